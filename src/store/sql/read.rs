//! One function per read. Each is one statement, and each has its index (SQLite's tests look at the plans).

use super::columns::{agent_session_columns, token_columns, turn_columns, user_columns};
use super::rows;
use super::session::{Session, arguments, many, one};
use crate::store::{AgentSession, ApiToken, StoreError, Turn, User, WebSession};
use crate::turn::{Event, EventId, SessionId, Timestamp, TurnId, UserId};

const PING: &str = "SELECT 1 FROM _sqlx_migrations LIMIT 1";
pub(super) const TURN: &str = concat!("SELECT ", turn_columns!(), " FROM paliadin_turns WHERE turn_id = $1");
const TURN_OF: &str = concat!(
    "SELECT ",
    turn_columns!(),
    " FROM paliadin_turns WHERE turn_id = $1 AND user_id = $2 AND EXISTS (SELECT 1 FROM conversations c \
     WHERE c.session_id = paliadin_turns.session_id AND c.hidden_at IS NULL)"
);
const NEXT_QUEUED: &str = concat!(
    "SELECT ",
    turn_columns!(),
    " FROM paliadin_turns WHERE agent_session = $1 AND state IN ('queued', 'running') AND state = 'queued' \
     ORDER BY turn_id LIMIT 1"
);
const QUEUED: &str = "SELECT turn_id FROM paliadin_turns \
     WHERE agent_session = $1 AND state IN ('queued', 'running') AND state = 'queued' ORDER BY turn_id";
const FAILED_SINCE: &str = concat!(
    "SELECT ",
    turn_columns!(),
    " FROM paliadin_turns WHERE state = 'failed' AND finished_at >= $1 AND delivering_at IS NOT NULL ORDER BY finished_at"
);
const EVENTS_AFTER: &str = "SELECT epoch, seq, kind, data FROM turn_events \
     WHERE turn_id = $1 AND (epoch, seq) > ($2, $3) ORDER BY epoch, seq LIMIT $4";
const HAS_EVENT: &str = "SELECT 1 FROM turn_events WHERE turn_id = $1 AND epoch = $2 AND seq = $3";
const AGENT_SESSION: &str = concat!(
    "SELECT ",
    agent_session_columns!(),
    " FROM agent_sessions WHERE user_id = $1 AND persona = $2 AND session_id IS NULL"
);
const AGENT_SESSION_IN: &str = concat!(
    "SELECT ",
    agent_session_columns!(),
    " FROM agent_sessions WHERE user_id = $1 AND persona = $2 AND session_id = $3"
);
const AGENT_SESSION_NAMED: &str = concat!("SELECT ", agent_session_columns!(), " FROM agent_sessions WHERE name = $1");
const AGENT_SESSIONS_OF: &str =
    concat!("SELECT ", agent_session_columns!(), " FROM agent_sessions WHERE session_id = $1");
const AGENT_SESSIONS: &str = concat!("SELECT ", agent_session_columns!(), " FROM agent_sessions ORDER BY name");
const USER: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE user_id = $1");
const TOKENS: &str =
    concat!("SELECT ", token_columns!(), " FROM api_tokens WHERE user_id = $1 ORDER BY created_at DESC, token_id DESC");
const TOKEN_BY_HASH: &str = concat!("SELECT ", token_columns!(), " FROM api_tokens WHERE hash = $1");
const WEB_SESSION: &str = "SELECT hash, user_id, expires_at, last_seen_at FROM web_sessions WHERE hash = $1";

/// Statements here that have to find their rows by an index.
#[cfg(test)]
pub(super) const INDEXED: [&str; 16] = [
    TURN,
    TURN_OF,
    NEXT_QUEUED,
    QUEUED,
    FAILED_SINCE,
    EVENTS_AFTER,
    HAS_EVENT,
    AGENT_SESSION,
    AGENT_SESSION_IN,
    AGENT_SESSION_NAMED,
    AGENT_SESSIONS_OF,
    USER,
    super::dialect::SQLITE.user_by_email,
    TOKENS,
    TOKEN_BY_HASH,
    WEB_SESSION,
];

/// Reads a table: `SELECT 1` alone would be answered without the database's file.
pub(super) async fn ping<S: Session>(session: &mut S) -> Result<(), StoreError> {
    session.rows(PING, &[]).await.map(drop)
}

pub(super) async fn turn<S: Session>(session: &mut S, id: TurnId) -> Result<Option<Turn>, StoreError> {
    one(session, TURN, arguments![id], rows::turn).await
}

pub(super) async fn turn_of<S: Session>(session: &mut S, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
    one(session, TURN_OF, arguments![id, user], rows::turn).await
}

pub(super) async fn next_queued<S: Session>(session: &mut S, agent_session: &str) -> Result<Option<Turn>, StoreError> {
    one(session, NEXT_QUEUED, arguments![agent_session], rows::turn).await
}

pub(super) async fn queued<S: Session>(session: &mut S, agent_session: &str) -> Result<Vec<TurnId>, StoreError> {
    many(session, QUEUED, arguments![agent_session], rows::turn_id).await
}

pub(super) async fn open_turns<S: Session>(session: &mut S) -> Result<Vec<Turn>, StoreError> {
    many(session, S::DIALECT.open_turns, &[], rows::turn).await
}

pub(super) async fn failed_since<S: Session>(session: &mut S, ended: Timestamp) -> Result<Vec<Turn>, StoreError> {
    many(session, FAILED_SINCE, arguments![ended], rows::turn).await
}

pub(super) async fn events_after<S: Session>(
    session: &mut S,
    turn: TurnId,
    after: EventId,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    many(session, EVENTS_AFTER, arguments![turn, after.epoch, after.seq, limit], rows::event).await
}

pub(super) async fn has_event<S: Session>(session: &mut S, turn: TurnId, id: EventId) -> Result<bool, StoreError> {
    Ok(!session.rows(HAS_EVENT, arguments![turn, id.epoch, id.seq]).await?.is_empty())
}

pub(super) async fn agent_session<S: Session>(
    session: &mut S,
    user: UserId,
    persona: &str,
    conversation: Option<SessionId>,
) -> Result<Option<AgentSession>, StoreError> {
    match conversation {
        None => one(session, AGENT_SESSION, arguments![user, persona], rows::agent_session).await,
        Some(id) => one(session, AGENT_SESSION_IN, arguments![user, persona, id], rows::agent_session).await,
    }
}

pub(super) async fn agent_session_named<S: Session>(
    session: &mut S,
    name: &str,
) -> Result<Option<AgentSession>, StoreError> {
    one(session, AGENT_SESSION_NAMED, arguments![name], rows::agent_session).await
}

pub(super) async fn agent_sessions_of<S: Session>(
    session: &mut S,
    conversation: SessionId,
) -> Result<Vec<AgentSession>, StoreError> {
    many(session, AGENT_SESSIONS_OF, arguments![conversation], rows::agent_session).await
}

pub(super) async fn agent_sessions<S: Session>(session: &mut S) -> Result<Vec<AgentSession>, StoreError> {
    many(session, AGENT_SESSIONS, &[], rows::agent_session).await
}

pub(super) async fn user<S: Session>(session: &mut S, id: UserId) -> Result<Option<User>, StoreError> {
    one(session, USER, arguments![id], rows::user).await
}

pub(super) async fn user_by_email<S: Session>(session: &mut S, email: &str) -> Result<Option<User>, StoreError> {
    one(session, S::DIALECT.user_by_email, arguments![email], rows::user).await
}

pub(super) async fn users<S: Session>(session: &mut S) -> Result<Vec<User>, StoreError> {
    many(session, S::DIALECT.users, &[], rows::user).await
}

pub(super) async fn tokens<S: Session>(session: &mut S, user: UserId) -> Result<Vec<ApiToken>, StoreError> {
    many(session, TOKENS, arguments![user], rows::api_token).await
}

pub(super) async fn token_by_hash<S: Session>(session: &mut S, hash: &str) -> Result<Option<ApiToken>, StoreError> {
    one(session, TOKEN_BY_HASH, arguments![hash], rows::api_token).await
}

pub(super) async fn web_session<S: Session>(session: &mut S, hash: &str) -> Result<Option<WebSession>, StoreError> {
    one(session, WEB_SESSION, arguments![hash], rows::web_session).await
}
