//! What SQLite's result codes mean to a caller (codes: https://www.sqlite.org/rescode.html).

use crate::store::StoreError;

const SQLITE_ERROR: i32 = 1;
const SQLITE_BUSY: i32 = 5;
const SQLITE_INTERRUPT: i32 = 9;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_TOOBIG: i32 = 18;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_MISMATCH: i32 = 20;
const SQLITE_NOTADB: i32 = 26;

/// Sorts an error into the three kinds. What is not known to be about one statement or one row (busy, locked, full,
/// I/O, closed and whatever SQLite may add) counts as an outage. SQLite's messages name columns, never values.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    match &error {
        sqlx::Error::Database(database) => match primary_code(database.code().as_deref()) {
            SQLITE_CONSTRAINT | SQLITE_TOOBIG => StoreError::Constraint(text),
            // A generic error is a statement that this database cannot execute, such as JSON functions over a damaged
            // value: as an outage it would be tried again for ever.
            SQLITE_ERROR | SQLITE_CORRUPT | SQLITE_MISMATCH | SQLITE_NOTADB => StoreError::Corrupt(text),
            _ => StoreError::Unavailable(text),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreError::Corrupt(text)
        }
        _ => StoreError::Unavailable(text),
    }
}

/// An error of a statement that opens or ends a transaction: the batch did not happen, whatever the code.
pub(super) fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Whether another process held a lock for too long.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    has_code(error, SQLITE_BUSY)
}

/// Whether a progress handler stopped the statement.
pub(super) fn is_interrupted(error: &sqlx::Error) -> bool {
    has_code(error, SQLITE_INTERRUPT)
}

fn has_code(error: &sqlx::Error, code: i32) -> bool {
    error.as_database_error().is_some_and(|database| primary_code(database.code().as_deref()) == code)
}

/// The lower eight bits of an extended result code; 0 where there is none.
fn primary_code(extended: Option<&str>) -> i32 {
    extended.and_then(|digits| digits.parse::<i32>().ok()).map_or(0, |code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::primary_code;

    #[test]
    fn extended_codes_are_reduced() {
        assert_eq!(primary_code(Some("2067")), 19);
        assert_eq!(primary_code(Some("5")), 5);
        assert_eq!(primary_code(Some("?")), 0);
        assert_eq!(primary_code(None), 0);
    }
}
