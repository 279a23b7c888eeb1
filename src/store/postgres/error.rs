//! What PostgreSQL's error codes mean to a caller (codes: https://www.postgresql.org/docs/current/errcodes-appendix.html).

use crate::store::StoreError;

/// `query_canceled`: by `statement_timeout`, or by somebody.
const CANCELED: &str = "57014";
/// `serialization_failure` and `deadlock_detected`: other transactions were in the way.
const CONFLICTS: [&str; 2] = ["40001", "40P01"];
/// `insufficient_privilege` and `undefined_table`: someone is at the database, with a restore or a change of rights.
const WORKED_ON: [&str; 2] = ["42501", "42P01"];

/// Sorts an error into the three kinds, by the class of its code. What is not known to be about one statement or one row
/// (the connection, its end by an administrator, too many of them, a full disk, tables that are away or may not be touched,
/// and whatever PostgreSQL may add) counts as an outage. A message names columns and constraints; what could hold values is in its detail, which is not told.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    match &error {
        sqlx::Error::Database(database) => match database.code().as_deref().and_then(|code| code.get(..2)) {
            // Bad data, violated constraints, limits such as the size of an index entry.
            Some("22" | "23" | "54") => StoreError::Constraint(text),
            Some("42") if code(&error).is_some_and(|code| WORKED_ON.contains(&&*code)) => StoreError::Unavailable(text),
            // A statement that this database cannot execute (another schema), or damaged pages: as an outage it would be
            // tried again for ever.
            Some("42" | "XX") => StoreError::Corrupt(text),
            _ => StoreError::Unavailable(text),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreError::Corrupt(text)
        }
        _ => StoreError::Unavailable(text),
    }
}

/// An error of what opens or ends a connection, whatever the code.
pub(super) fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Whether the statement was stopped.
pub(super) fn is_canceled(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(CANCELED)
}

/// Whether the same transaction may go through when it is begun anew.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| CONFLICTS.contains(&&*code))
}

fn code(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error()?.code()
}
