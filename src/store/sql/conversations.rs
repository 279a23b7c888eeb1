//! Conversations: reads, writes, and the turns of one.

use uuid::Uuid;

use super::columns::turn_columns;
use super::rows::Fields;
use super::session::{Argument, Session, arguments, many, one as first};
use super::{accounts, rows, turns};
use crate::store::{AuditEntry, Conversation, ConversationSummary, HISTORY_BYTES, Listing, StoreError, Turn, Written};
use crate::turn::{SessionId, Timestamp, TurnId, UserId};

/// Sorts after every turn id.
const AFTER_ALL: TurnId = TurnId(Uuid::max());

const CONVERSATION: &str = "SELECT session_id, user_id, title, hidden_at FROM conversations WHERE session_id = $1";

const OPEN_TURNS: &str = concat!(
    "SELECT ",
    turn_columns!(),
    " FROM paliadin_turns WHERE session_id = $1 AND state IN ('queued', 'running') ORDER BY turn_id"
);

/// The newest first: where there is one, it is mostly the last.
const STARTED_SINCE: &str =
    "SELECT 1 FROM paliadin_turns WHERE session_id = $1 AND started_at >= $2 ORDER BY turn_id DESC LIMIT 1";

/// The newest turns of a user's conversation.
macro_rules! history {
    ($columns:expr) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM paliadin_turns WHERE session_id = $2 AND turn_id < $3 AND EXISTS (SELECT 1 FROM conversations \
             WHERE session_id = $2 AND user_id = $1 AND hidden_at IS NULL) ORDER BY turn_id DESC LIMIT $4"
        )
    };
}

const HISTORY: &str = history!(turn_columns!());

/// Both databases have the lengths beside the texts: these themselves are not read for it.
const HISTORY_SIZES: &str = history!(
    "CAST(octet_length(user_message) AS bigint) + coalesce(octet_length(context), 0) + coalesce(octet_length(response), 0) \
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

/// Of a user, those that are not hidden, with the newest turn, a step in `turns_of_conversation`.
macro_rules! visible {
    () => {
        "SELECT c.session_id, c.title, c.created_at, (SELECT t.turn_id FROM paliadin_turns t \
         WHERE t.session_id = c.session_id ORDER BY t.turn_id DESC LIMIT 1) AS last_turn_id \
         FROM conversations c WHERE c.user_id = $1 AND c.hidden_at IS NULL"
    };
}

/// Of a user, so many that come before a turn. Sorted by what no index of conversations holds; a user has not that many.
macro_rules! page {
    ($found:expr) => {
        summaries!(concat!(
            "SELECT session_id, title, created_at, last_turn_id FROM (",
            $found,
            ") AS visible WHERE last_turn_id < $2 ORDER BY last_turn_id DESC LIMIT $3"
        ))
    };
}

const ONE_OF: &str = summaries!(concat!(
    "SELECT session_id, title, created_at, last_turn_id FROM (",
    visible!(),
    " AND c.session_id = $2) AS visible WHERE last_turn_id IS NOT NULL"
));

const LIST: &str = page!(visible!());

/// `$4` is in lower case already. `$position` tells where one text is in another, or 0.
macro_rules! search {
    ($position:literal) => {
        page!(concat!(
            visible!(),
            " AND (",
            $position,
            "(lower(c.title), $4) > 0 OR EXISTS (SELECT 1 FROM paliadin_turns t WHERE t.session_id = c.session_id AND (",
            $position,
            "(lower(t.user_message), $4) > 0 OR ",
            $position,
            "(lower(t.response), $4) > 0)))"
        ))
    };
}
pub(super) use {page, search, summaries, visible};

const RENAME: &str = "UPDATE conversations SET title = $3, updated_at = $4 \
     WHERE session_id = $1 AND user_id = $2 AND hidden_at IS NULL";

const HIDE: &str = "UPDATE conversations SET hidden_at = $3, updated_at = $3 \
     WHERE session_id = $1 AND user_id = $2 AND hidden_at IS NULL";

/// The memory of an agent session that served this conversation only.
const FORGET: &str =
    "UPDATE agent_sessions SET agent_resume_id = NULL, memory_since = NULL, updated_at = $2 WHERE session_id = $1";

/// Statements here that have to find their rows by an index.
#[cfg(test)]
pub(super) const INDEXED: [&str; 9] =
    [CONVERSATION, OPEN_TURNS, STARTED_SINCE, HISTORY, HISTORY_SIZES, ONE_OF, RENAME, HIDE, FORGET];

/// Statements here that may sort what an index found.
#[cfg(test)]
pub(super) const SORTED: [&str; 2] = [LIST, super::dialect::SQLITE.search];

pub(super) async fn one<S: Session>(
    session: &mut S,
    session_id: SessionId,
) -> Result<Option<Conversation>, StoreError> {
    first(session, CONVERSATION, arguments![session_id], rows::conversation).await
}

pub(super) async fn open_turns<S: Session>(session: &mut S, session_id: SessionId) -> Result<Vec<Turn>, StoreError> {
    many(session, OPEN_TURNS, arguments![session_id], rows::turn).await
}

pub(super) async fn has_started_since<S: Session>(
    session: &mut S,
    session_id: SessionId,
    moment: Timestamp,
) -> Result<bool, StoreError> {
    Ok(!session.rows(STARTED_SINCE, arguments![session_id, moment]).await?.is_empty())
}

pub(super) async fn history<S: Session>(
    session: &mut S,
    user: UserId,
    session_id: SessionId,
    before: Option<TurnId>,
    limit: u32,
) -> Result<Vec<Turn>, StoreError> {
    let before = before.unwrap_or(AFTER_ALL);
    let sizes = arguments![user, session_id, before, limit];
    let sizes = many(session, HISTORY_SIZES, sizes, |row| Fields(row).number("size")).await?;
    // What is asked in between is newer, and takes the place of the oldest.
    let turns = arguments![user, session_id, before, fitting(&sizes)];
    let mut newest_first = many(session, HISTORY, turns, rows::turn).await?;
    newest_first.reverse();
    Ok(newest_first)
}

/// How many turns of these sizes, newest first, make a page.
fn fitting(sizes: &[i64]) -> u32 {
    let totals = sizes.iter().scan(0, |total: &mut i64, size| {
        *total = total.saturating_add(*size);
        Some(*total)
    });
    let fit = totals.take_while(|total| *total <= HISTORY_BYTES).count();
    u32::try_from(fit).unwrap_or(u32::MAX).max(1)
}

pub(super) async fn one_of<S: Session>(
    session: &mut S,
    user: UserId,
    session_id: SessionId,
) -> Result<Option<ConversationSummary>, StoreError> {
    first(session, ONE_OF, arguments![user, session_id], rows::conversation_summary).await
}

pub(super) async fn list<S: Session>(
    session: &mut S,
    user: UserId,
    listing: Listing<'_>,
) -> Result<Vec<ConversationSummary>, StoreError> {
    let arguments = arguments![user, listing.before.unwrap_or(AFTER_ALL), listing.limit];
    many(session, LIST, arguments, rows::conversation_summary).await
}

/// The arguments of a search.
pub(super) fn sought(user: UserId, text: &str, listing: Listing<'_>) -> [Argument<'static>; 4] {
    let before = listing.before.unwrap_or(AFTER_ALL);
    [user.into(), before.into(), listing.limit.into(), text.to_ascii_lowercase().into()]
}

/// `Write::RenameConversation`.
pub(super) async fn rename<S: Session>(
    session: &mut S,
    session_id: SessionId,
    user: UserId,
    title: &str,
    entry: &AuditEntry,
) -> Result<Written, StoreError> {
    turns::lock_user(session, user).await?;
    let changed = session.execute(RENAME, arguments![session_id, user, title, entry.at]).await?;
    told(session, changed, entry).await
}

/// `Write::HideConversation`.
pub(super) async fn hide<S: Session>(
    session: &mut S,
    session_id: SessionId,
    user: UserId,
    entry: &AuditEntry,
) -> Result<Written, StoreError> {
    turns::lock_user(session, user).await?;
    let changed = session.execute(HIDE, arguments![session_id, user, entry.at]).await?;
    if changed > 0 {
        session.execute(FORGET, arguments![session_id, entry.at]).await?;
    }
    told(session, changed, entry).await
}

/// What changed nothing is not told in the audit log.
async fn told<S: Session>(session: &mut S, changed: u64, entry: &AuditEntry) -> Result<Written, StoreError> {
    if changed > 0 {
        accounts::audit(session, entry).await?;
    }
    Ok(Written::Count(changed))
}
