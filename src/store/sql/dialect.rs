//! What SQLite and PostgreSQL do not say in the same words.

use super::columns::{turn_columns, user_columns};
use super::conversations::{page, search, summaries, visible};

/// The statements of one database.
pub(in crate::store) struct Dialect {
    /// Takes the lock under which turns are added to a user's conversations, and these are changed, where the
    /// transaction alone does not keep other writers out.
    pub(super) lock_user: Option<&'static str>,
    pub(super) claim: &'static str,
    pub(super) reattach: &'static str,
    pub(super) open_turns: &'static str,
    pub(super) user_by_email: &'static str,
    pub(super) users: &'static str,
    pub(super) prunable: &'static str,
    pub(super) search: &'static str,
}

macro_rules! open_turns {
    ($order:literal) => {
        concat!(
            "SELECT ",
            turn_columns!(),
            " FROM paliadin_turns WHERE state IN ('queued', 'running') ORDER BY ",
            $order
        )
    };
}

/// `$lock` keeps the agent session's epoch from changing until the claim is committed.
macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "UPDATE paliadin_turns SET state = 'running', epoch = $2, delivering_pane = $3, delivering_at = $4, \
             updated_at = $4 WHERE turn_id = $1 AND state = 'queued' \
             AND $2 >= coalesce((SELECT s.epoch FROM agent_sessions s WHERE s.name = agent_session",
            $lock,
            "), 0) RETURNING ",
            turn_columns!()
        )
    };
}

macro_rules! reattach {
    ($lock:literal) => {
        concat!(
            "UPDATE paliadin_turns SET epoch = $2, delivering_pane = $4, updated_at = $3 \
             WHERE turn_id = $1 AND state = 'running' AND epoch <= $2 \
             AND $2 >= coalesce((SELECT s.epoch FROM agent_sessions s WHERE s.name = agent_session",
            $lock,
            "), 0) RETURNING ",
            turn_columns!()
        )
    };
}

/// The ids are UUIDv7: turns that ended before a moment were accepted before it, and theirs sort before its own.
macro_rules! prunable {
    ($join:literal) => {
        concat!(
            "SELECT DISTINCT e.turn_id FROM turn_events e ",
            $join,
            " paliadin_turns t ON t.turn_id = e.turn_id \
             WHERE e.turn_id < $1 AND t.finished_at < $2 ORDER BY e.turn_id LIMIT $3"
        )
    };
}

/// SQLite: one writer at a time, whatever the process.
pub(in crate::store) static SQLITE: Dialect = Dialect {
    lock_user: None,
    claim: claim!(""),
    reattach: reattach!(""),
    // The sign keeps SQLite from reading the whole table in the order of its key.
    open_turns: open_turns!("+turn_id"),
    // The column's collation folds ASCII.
    user_by_email: concat!("SELECT ", user_columns!(), " FROM users WHERE email = $1"),
    users: concat!("SELECT ", user_columns!(), " FROM users ORDER BY email"),
    // `CROSS JOIN` keeps SQLite from beginning with the turns, of which most have no events any more.
    prunable: prunable!("CROSS JOIN"),
    // `instr` takes its argument as it is (in `LIKE` some characters mean something, and NUL ends a text); like `LIKE`,
    // `lower` knows ASCII only.
    search: search!("instr"),
};

/// PostgreSQL, with any number of writers. Each statement sees what was committed before it began (READ COMMITTED), and
/// an `UPDATE` looks at its row again once it has the row's lock: what decides is in the `WHERE` of the change itself, or
/// under a lock.
pub(in crate::store) static POSTGRES: Dialect = Dialect {
    // Foreign keys to the user are not held up by it.
    lock_user: Some("SELECT user_id FROM users WHERE user_id = $1 FOR NO KEY UPDATE"),
    // Whoever takes the agent session waits for claims under the epoch before, and claims wait for whoever takes it.
    claim: claim!(" FOR SHARE"),
    reattach: reattach!(" FOR SHARE"),
    open_turns: open_turns!("turn_id"),
    // The columns have the collation "C", in which `lower` knows ASCII only.
    user_by_email: concat!("SELECT ", user_columns!(), " FROM users WHERE lower(email) = lower($1 COLLATE \"C\")"),
    users: concat!("SELECT ", user_columns!(), " FROM users ORDER BY lower(email)"),
    prunable: prunable!("JOIN"),
    search: search!("strpos"),
};
