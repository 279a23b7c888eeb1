//! Conversations: reads, writes, and the turns of one.

use sqlx::{SqliteConnection, SqlitePool, query};

use super::columns::turn_columns;
use super::rows::Fields;
use super::search::Searcher;
use super::statement::execute;
use super::{accounts, read, rows};
use crate::store::{AuditEntry, Conversation, ConversationSummary, HISTORY_BYTES, Listing, StoreError, Turn, Written};
use crate::turn::{SessionId, TurnId, UserId};

/// Sorts after every turn id.
const AFTER_ALL: &str = "g";

const CONVERSATION: &str = "SELECT session_id, user_id, title, hidden_at FROM conversations WHERE session_id = ?1";

const OPEN_TURNS: &str = concat!(
    "SELECT ",
    turn_columns!(),
    " FROM paliadin_turns WHERE session_id = ?1 AND state IN ('queued', 'running') ORDER BY turn_id"
);

/// The newest turns of a user's conversation.
macro_rules! history {
    ($columns:expr) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM paliadin_turns WHERE session_id = ?2 AND turn_id < ?3 AND EXISTS (SELECT 1 FROM conversations \
             WHERE session_id = ?2 AND user_id = ?1 AND hidden_at IS NULL) ORDER BY turn_id DESC LIMIT ?4"
        )
    };
}

const HISTORY: &str = history!(turn_columns!());

/// SQLite has the lengths in a row's header: the texts themselves are not read for it.
const HISTORY_SIZES: &str = history!(
    "octet_length(user_message) + coalesce(octet_length(context), 0) + coalesce(octet_length(response), 0) \
     + coalesce(octet_length(partial), 0) + octet_length(error_history) + octet_length(used_tools) \
     + octet_length(rows_seen) AS size"
);

/// What is told of the conversations of `chosen` (session_id, title, created_at, last_turn_id), newest first.
macro_rules! summaries {
    ($chosen:expr) => {
        concat!(
            "SELECT chosen.session_id, chosen.title, chosen.created_at, chosen.last_turn_id, \
             (SELECT t.queued_at FROM paliadin_turns t WHERE t.turn_id = chosen.last_turn_id) AS last_turn_at, \
             (SELECT count(*) FROM paliadin_turns t WHERE t.session_id = chosen.session_id \
              AND t.state IN ('queued', 'running')) AS open_turns FROM (",
            $chosen,
            ") AS chosen ORDER BY chosen.last_turn_id DESC"
        )
    };
}

/// Of a user, those that are not hidden. The newest turn is a step in `turns_of_conversation`.
macro_rules! visible {
    () => {
        "SELECT c.session_id, c.title, c.created_at, \
         (SELECT max(t.turn_id) FROM paliadin_turns t WHERE t.session_id = c.session_id) AS last_turn_id \
         FROM conversations c WHERE c.user_id = ?1 AND c.hidden_at IS NULL"
    };
}

const ONE_OF: &str = summaries!(concat!(visible!(), " AND c.session_id = ?2 AND last_turn_id IS NOT NULL"));

/// Sorted by what no index of conversations holds; a user has not that many.
const LIST: &str = summaries!(concat!(visible!(), " AND last_turn_id < ?2 ORDER BY last_turn_id DESC LIMIT ?3"));

/// `instr` takes its argument as it is (in `LIKE` some characters mean something, and NUL ends a text); like `LIKE`,
/// `lower` knows ASCII only.
const SEARCH: &str = summaries!(concat!(
    visible!(),
    " AND last_turn_id < ?2 AND (instr(lower(c.title), lower(?4)) > 0 OR EXISTS (SELECT 1 FROM paliadin_turns t \
     WHERE t.session_id = c.session_id \
     AND (instr(lower(t.user_message), lower(?4)) > 0 OR instr(lower(t.response), lower(?4)) > 0))) \
     ORDER BY last_turn_id DESC LIMIT ?3"
));

const RENAME: &str = "UPDATE conversations SET title = ?3, updated_at = ?4 \
     WHERE session_id = ?1 AND user_id = ?2 AND hidden_at IS NULL";

const HIDE: &str = "UPDATE conversations SET hidden_at = ?3, updated_at = ?3 \
     WHERE session_id = ?1 AND user_id = ?2 AND hidden_at IS NULL";

/// Statements here that have to find their rows by an index.
#[cfg(test)]
pub(super) const INDEXED: [&str; 7] = [CONVERSATION, OPEN_TURNS, HISTORY, HISTORY_SIZES, ONE_OF, RENAME, HIDE];

/// Statements here that may sort what an index found.
#[cfg(test)]
pub(super) const SORTED: [&str; 2] = [LIST, SEARCH];

pub(super) async fn one(pool: &SqlitePool, session: SessionId) -> Result<Option<Conversation>, StoreError> {
    read::one(pool, query(CONVERSATION).bind(session.to_string()), rows::conversation).await
}

pub(super) async fn open_turns(pool: &SqlitePool, session: SessionId) -> Result<Vec<Turn>, StoreError> {
    read::many(pool, query(OPEN_TURNS).bind(session.to_string()), rows::turn).await
}

pub(super) async fn history(
    pool: &SqlitePool,
    user: UserId,
    session: SessionId,
    before: Option<TurnId>,
    limit: u32,
) -> Result<Vec<Turn>, StoreError> {
    let bound = |statement, limit: u32| {
        query(statement).bind(user.to_string()).bind(session.to_string()).bind(cursor(before)).bind(limit)
    };
    let sizes = read::many(pool, bound(HISTORY_SIZES, limit), |row| Fields(row).get("size")).await?;
    // What is asked in between is newer, and takes the place of the oldest.
    let mut newest_first = read::many(pool, bound(HISTORY, page(&sizes)), rows::turn).await?;
    newest_first.reverse();
    Ok(newest_first)
}

/// How many turns of these sizes, newest first, make a page.
fn page(sizes: &[i64]) -> u32 {
    let totals = sizes.iter().scan(0, |total: &mut i64, size| {
        *total = total.saturating_add(*size);
        Some(*total)
    });
    let fit = totals.take_while(|total| *total <= HISTORY_BYTES).count();
    u32::try_from(fit).unwrap_or(u32::MAX).max(1)
}

pub(super) async fn one_of(
    pool: &SqlitePool,
    user: UserId,
    session: SessionId,
) -> Result<Option<ConversationSummary>, StoreError> {
    let bound = query(ONE_OF).bind(user.to_string()).bind(session.to_string());
    read::one(pool, bound, rows::conversation_summary).await
}

pub(super) async fn list(
    pool: &SqlitePool,
    user: UserId,
    listing: Listing<'_>,
) -> Result<Vec<ConversationSummary>, StoreError> {
    let bound = query(LIST).bind(user.to_string()).bind(cursor(listing.before)).bind(listing.limit);
    read::many(pool, bound, rows::conversation_summary).await
}

/// As [`list`], but only those that have this text.
pub(super) async fn search(
    searcher: &Searcher,
    user: UserId,
    text: &str,
    listing: Listing<'_>,
) -> Result<Vec<ConversationSummary>, StoreError> {
    let bound = query(SEARCH).bind(user.to_string()).bind(cursor(listing.before)).bind(listing.limit).bind(text);
    searcher.rows(bound, rows::conversation_summary).await
}

fn cursor(before: Option<TurnId>) -> String {
    before.map_or_else(|| AFTER_ALL.to_owned(), |before| before.to_string())
}

/// `Write::RenameConversation`.
pub(super) async fn rename(
    connection: &mut SqliteConnection,
    session: SessionId,
    user: UserId,
    title: &str,
    entry: &AuditEntry,
) -> Result<Written, StoreError> {
    let bound = query(RENAME).bind(session.to_string()).bind(user.to_string()).bind(title).bind(entry.at.0);
    let changed = execute(connection, bound).await?;
    told(connection, changed, entry).await
}

/// `Write::HideConversation`.
pub(super) async fn hide(
    connection: &mut SqliteConnection,
    session: SessionId,
    user: UserId,
    entry: &AuditEntry,
) -> Result<Written, StoreError> {
    let bound = query(HIDE).bind(session.to_string()).bind(user.to_string()).bind(entry.at.0);
    let changed = execute(connection, bound).await?;
    told(connection, changed, entry).await
}

/// What changed nothing is not told in the audit log.
async fn told(connection: &mut SqliteConnection, changed: u64, entry: &AuditEntry) -> Result<Written, StoreError> {
    if changed > 0 {
        accounts::audit(connection, entry).await?;
    }
    Ok(Written::Count(changed))
}
