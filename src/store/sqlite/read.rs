//! One function per read. Each is one statement on one of the readers, and each has its index (see the tests).

use sqlx::sqlite::SqliteRow;
use sqlx::{SqlitePool, query};

use super::columns::{agent_session_columns, token_columns, turn_columns, user_columns};
use super::error::store_error;
use super::rows::{self, Fields};
use super::statement::Bound;
use crate::store::{AgentSession, ApiToken, StoreError, Turn, User, WebSession};
use crate::turn::{Event, EventId, Timestamp, TurnId, UserId};

const PING: &str = "SELECT 1 FROM _sqlx_migrations LIMIT 1";
pub(super) const TURN: &str = concat!("SELECT ", turn_columns!(), " FROM paliadin_turns WHERE turn_id = ?1");
const TURN_OF: &str = concat!(
    "SELECT ",
    turn_columns!(),
    " FROM paliadin_turns WHERE turn_id = ?1 AND user_id = ?2 AND EXISTS (SELECT 1 FROM conversations c \
     WHERE c.session_id = paliadin_turns.session_id AND c.hidden_at IS NULL)"
);
const NEXT_QUEUED: &str = concat!(
    "SELECT ",
    turn_columns!(),
    " FROM paliadin_turns WHERE agent_session = ?1 AND state IN ('queued', 'running') AND state = 'queued' \
     ORDER BY turn_id LIMIT 1"
);
const QUEUED: &str = "SELECT turn_id FROM paliadin_turns \
     WHERE agent_session = ?1 AND state IN ('queued', 'running') AND state = 'queued' ORDER BY turn_id";
const OPEN_TURNS: &str =
    concat!("SELECT ", turn_columns!(), " FROM paliadin_turns WHERE state IN ('queued', 'running') ORDER BY +turn_id");
const FAILED_SINCE: &str = concat!(
    "SELECT ",
    turn_columns!(),
    " FROM paliadin_turns WHERE state = 'failed' AND finished_at >= ?1 AND delivering_at IS NOT NULL ORDER BY finished_at"
);
const EVENTS_AFTER: &str = "SELECT epoch, seq, kind, data FROM turn_events \
     WHERE turn_id = ?1 AND (epoch, seq) > (?2, ?3) ORDER BY epoch, seq LIMIT ?4";
const HAS_EVENT: &str = "SELECT 1 FROM turn_events WHERE turn_id = ?1 AND epoch = ?2 AND seq = ?3";
pub(super) const AGENT_SESSION: &str =
    concat!("SELECT ", agent_session_columns!(), " FROM agent_sessions WHERE user_id = ?1 AND persona = ?2");
const AGENT_SESSIONS: &str = concat!("SELECT ", agent_session_columns!(), " FROM agent_sessions ORDER BY name");
const USER: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE user_id = ?1");
const USER_BY_EMAIL: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE email = ?1");
const USERS: &str = concat!("SELECT ", user_columns!(), " FROM users ORDER BY email");
const TOKENS: &str =
    concat!("SELECT ", token_columns!(), " FROM api_tokens WHERE user_id = ?1 ORDER BY created_at DESC, token_id DESC");
const TOKEN_BY_HASH: &str = concat!("SELECT ", token_columns!(), " FROM api_tokens WHERE hash = ?1");
const WEB_SESSION: &str = "SELECT hash, user_id, expires_at, last_seen_at FROM web_sessions WHERE hash = ?1";

pub(super) async fn many<T>(
    pool: &SqlitePool,
    bound: Bound<'_>,
    decode: fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    bound.fetch_all(pool).await.map_err(store_error)?.iter().map(decode).collect()
}

pub(super) async fn one<T>(
    pool: &SqlitePool,
    bound: Bound<'_>,
    decode: fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    bound.fetch_optional(pool).await.map_err(store_error)?.as_ref().map(decode).transpose()
}

fn turn_id(row: &SqliteRow) -> Result<TurnId, StoreError> {
    Fields(row).parsed("turn_id")
}

/// Touches the file: `SELECT 1` alone would be answered without it.
pub(super) async fn ping(pool: &SqlitePool) -> Result<(), StoreError> {
    query(PING).fetch_optional(pool).await.map(drop).map_err(store_error)
}

pub(super) async fn turn(pool: &SqlitePool, id: TurnId) -> Result<Option<Turn>, StoreError> {
    one(pool, query(TURN).bind(id.to_string()), rows::turn).await
}

pub(super) async fn turn_of(pool: &SqlitePool, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
    one(pool, query(TURN_OF).bind(id.to_string()).bind(user.to_string()), rows::turn).await
}

pub(super) async fn next_queued(pool: &SqlitePool, agent_session: &str) -> Result<Option<Turn>, StoreError> {
    one(pool, query(NEXT_QUEUED).bind(agent_session), rows::turn).await
}

pub(super) async fn queued(pool: &SqlitePool, agent_session: &str) -> Result<Vec<TurnId>, StoreError> {
    many(pool, query(QUEUED).bind(agent_session), turn_id).await
}

pub(super) async fn open_turns(pool: &SqlitePool) -> Result<Vec<Turn>, StoreError> {
    many(pool, query(OPEN_TURNS), rows::turn).await
}

pub(super) async fn failed_since(pool: &SqlitePool, ended: Timestamp) -> Result<Vec<Turn>, StoreError> {
    many(pool, query(FAILED_SINCE).bind(ended.0), rows::turn).await
}

pub(super) async fn events_after(
    pool: &SqlitePool,
    turn: TurnId,
    after: EventId,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    let bound = query(EVENTS_AFTER).bind(turn.to_string()).bind(after.epoch).bind(after.seq).bind(limit);
    many(pool, bound, rows::event).await
}

pub(super) async fn has_event(pool: &SqlitePool, turn: TurnId, id: EventId) -> Result<bool, StoreError> {
    let bound = query(HAS_EVENT).bind(turn.to_string()).bind(id.epoch).bind(id.seq);
    Ok(bound.fetch_optional(pool).await.map_err(store_error)?.is_some())
}

pub(super) async fn agent_session(
    pool: &SqlitePool,
    user: UserId,
    persona: &str,
) -> Result<Option<AgentSession>, StoreError> {
    one(pool, query(AGENT_SESSION).bind(user.to_string()).bind(persona), rows::agent_session).await
}

pub(super) async fn agent_sessions(pool: &SqlitePool) -> Result<Vec<AgentSession>, StoreError> {
    many(pool, query(AGENT_SESSIONS), rows::agent_session).await
}

pub(super) async fn user(pool: &SqlitePool, id: UserId) -> Result<Option<User>, StoreError> {
    one(pool, query(USER).bind(id.to_string()), rows::user).await
}

pub(super) async fn user_by_email(pool: &SqlitePool, email: &str) -> Result<Option<User>, StoreError> {
    one(pool, query(USER_BY_EMAIL).bind(email), rows::user).await
}

pub(super) async fn users(pool: &SqlitePool) -> Result<Vec<User>, StoreError> {
    many(pool, query(USERS), rows::user).await
}

pub(super) async fn tokens(pool: &SqlitePool, user: UserId) -> Result<Vec<ApiToken>, StoreError> {
    many(pool, query(TOKENS).bind(user.to_string()), rows::api_token).await
}

pub(super) async fn token_by_hash(pool: &SqlitePool, hash: &str) -> Result<Option<ApiToken>, StoreError> {
    one(pool, query(TOKEN_BY_HASH).bind(hash), rows::api_token).await
}

pub(super) async fn web_session(pool: &SqlitePool, hash: &str) -> Result<Option<WebSession>, StoreError> {
    one(pool, query(WEB_SESSION).bind(hash), rows::web_session).await
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row};

    use super::super::conversations;
    use super::*;

    /// Every read by key or range must be a search of an index; only listings of small tables may scan.
    #[tokio::test]
    async fn every_read_has_its_index() {
        let directory = tempfile::tempdir().unwrap();
        let store = super::super::SqliteStore::open(&directory.path().join("db")).await.unwrap();
        let searches = [
            TURN,
            TURN_OF,
            NEXT_QUEUED,
            QUEUED,
            FAILED_SINCE,
            EVENTS_AFTER,
            HAS_EVENT,
            AGENT_SESSION,
            USER,
            USER_BY_EMAIL,
            TOKENS,
            TOKEN_BY_HASH,
            WEB_SESSION,
        ];
        let searches = searches
            .into_iter()
            .chain(super::super::turns::INDEXED)
            .chain(super::super::events::INDEXED)
            .chain(conversations::INDEXED);
        let sorted = conversations::SORTED.into_iter().map(|sql| (sql, true));
        for (sql, may_sort) in searches.map(|sql| (sql, false)).chain(sorted) {
            let plan =
                query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&store.readers).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            assert!(plan.iter().any(|step| step.starts_with("SEARCH")), "{sql}\n{plan:#?}");
            for step in &plan {
                // `chosen` is what a search has found.
                let scans = step.starts_with("SCAN") && step != "SCAN CONSTANT ROW" && step != "SCAN chosen";
                let sorts = step.contains("TEMP B-TREE") && !may_sort;
                assert!(!scans && !sorts, "{sql}\n{plan:#?}");
            }
        }
        let plan = query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {OPEN_TURNS}"))).fetch_all(&store.readers).await;
        let plan: Vec<String> = plan.unwrap().iter().map(|row| row.get("detail")).collect();
        assert!(plan[0].contains("turns_open"), "{plan:#?}");
    }
}
