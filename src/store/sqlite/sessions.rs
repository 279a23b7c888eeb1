//! Writes to agent sessions.

use serde_json::json;
use sqlx::{SqliteConnection, query};

use super::columns::agent_session_columns;
use super::read;
use super::rows;
use super::statement::{execute, returning};
use crate::store::{SessionPatch, StoreError, Written};
use crate::turn::{Timestamp, UserId};

/// Longest name of an agent session, in characters.
const NAME_MAX: usize = 64;
/// Hex digits of the user's id in the shortest name, and how many more each next candidate has.
const SUFFIX_MIN: usize = 8;
const SUFFIX_STEP: usize = 4;

/// Takes the first candidate (a JSON array, best first) that nobody has.
const INSERT: &str = concat!(
    "INSERT INTO agent_sessions (name, user_id, persona, backend, created_at, updated_at) \
     SELECT value, ?2, ?3, ?4, ?5, ?5 FROM json_each(?1) \
     WHERE value NOT IN (SELECT name FROM agent_sessions) ORDER BY key LIMIT 1 RETURNING ",
    agent_session_columns!()
);

const TAKE: &str = concat!(
    "UPDATE agent_sessions SET owner_node = ?2, lease_until = ?3, epoch = epoch + 1, updated_at = ?4 \
     WHERE name = ?1 RETURNING ",
    agent_session_columns!()
);

const PATCH: &str = "UPDATE agent_sessions SET state = coalesce(?2, state), last_reason = coalesce(?3, last_reason), \
     restarts = restarts + ?4, agent_resume_id = coalesce(?5, agent_resume_id), \
     last_used_at = coalesce(?6, last_used_at), updated_at = ?7 WHERE name = ?1";

/// `Write::OpenAgentSession`. `Constraint` where the prefix makes no usable name or all names are taken.
pub(super) async fn open(
    connection: &mut SqliteConnection,
    prefix: &str,
    user_id: UserId,
    persona: &str,
    backend: &str,
) -> Result<Written, StoreError> {
    let user = user_id.to_string();
    let known = query(read::AGENT_SESSION).bind(&user).bind(persona);
    if let Some(session) = returning(connection, known, rows::agent_session).await? {
        return Ok(Written::AgentSession(Box::new(session)));
    }
    let candidates = candidates(prefix, user_id);
    if candidates.is_empty() {
        return Err(StoreError::Constraint(format!("{prefix:?} cannot begin the name of an agent session")));
    }
    let bound = query(INSERT).bind(json!(candidates).to_string()).bind(user).bind(persona).bind(backend);
    match returning(connection, bound.bind(Timestamp::now().0), rows::agent_session).await? {
        Some(session) => Ok(Written::AgentSession(Box::new(session))),
        None => Err(StoreError::Constraint(format!("every name for an agent session of {user_id} is taken"))),
    }
}

/// The names that a user's agent session may get, best first.
fn candidates(prefix: &str, user_id: UserId) -> Vec<String> {
    let digits = user_id.0.simple().to_string();
    let prefix = prefix.replace('.', "_");
    (SUFFIX_MIN..=digits.len())
        .step_by(SUFFIX_STEP)
        .map(|length| format!("{prefix}-{}", &digits[..length]))
        .filter(|name| is_name(name))
        .collect()
}

/// `[A-Za-z0-9_][A-Za-z0-9_-]{0,63}`
fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= NAME_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'-')
}

/// `Write::TakeAgentSession`. `Constraint` where there is none of this name.
pub(super) async fn take(
    connection: &mut SqliteConnection,
    name: &str,
    node: &str,
    lease_until: Timestamp,
) -> Result<Written, StoreError> {
    let bound = query(TAKE).bind(name).bind(node).bind(lease_until.0).bind(Timestamp::now().0);
    let session = returning(connection, bound, rows::agent_session).await?.ok_or_else(|| unknown(name))?;
    Ok(Written::AgentSession(Box::new(session)))
}

/// `Write::PatchAgentSession`. `Constraint` where there is none of this name.
pub(super) async fn patch(
    connection: &mut SqliteConnection,
    name: &str,
    patch: &SessionPatch,
) -> Result<Written, StoreError> {
    let bound = query(PATCH).bind(name).bind(patch.state.as_deref()).bind(patch.last_reason.as_deref());
    let bound = bound.bind(patch.restarts).bind(patch.agent_resume_id.as_deref());
    let bound = bound.bind(patch.last_used_at.map(|at| at.0)).bind(Timestamp::now().0);
    if execute(connection, bound).await? == 0 {
        return Err(unknown(name));
    }
    Ok(Written::Done)
}

fn unknown(name: &str) -> StoreError {
    StoreError::Constraint(format!("there is no agent session {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_grow_by_four_digits() {
        let user = UserId("0123abcd-4567-89ab-cdef-0123456789ab".parse().unwrap());
        let names = candidates("team.chat", user);
        assert_eq!(names[..2], ["team_chat-0123abcd", "team_chat-0123abcd4567"]);
        assert_eq!(names.last().unwrap(), "team_chat-0123abcd456789abcdef0123456789ab");
    }

    #[test]
    fn unusable_prefixes_make_no_name() {
        let user = UserId::fresh();
        for prefix in ["", "-x", "a b", "a:b", "ä", "a\0", &"x".repeat(56)] {
            assert_eq!(candidates(prefix, user), Vec::<String>::new(), "{prefix:?}");
        }
        assert_eq!(candidates(&"x".repeat(55), user).len(), 1);
    }
}
