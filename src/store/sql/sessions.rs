//! Writes to agent sessions.

use super::columns::agent_session_columns;
use super::session::{Session, arguments, one};
use super::{read, rows};
use crate::store::{SessionPatch, StoreError, Written};
use crate::turn::{SessionId, Timestamp, UserId};

/// Longest name of an agent session, in characters.
const NAME_MAX: usize = 64;
/// Hex digits of an id in the shortest name, and how many more each next candidate has.
const SUFFIX_MIN: usize = 8;
const SUFFIX_STEP: usize = 4;

/// No row where the name, or the place of the user or of the conversation, is taken.
const INSERT: &str = concat!(
    "INSERT INTO agent_sessions (name, user_id, persona, session_id, backend, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT DO NOTHING RETURNING ",
    agent_session_columns!()
);

const TAKE: &str = concat!(
    "UPDATE agent_sessions SET owner_node = $2, lease_until = $3, epoch = epoch + 1, updated_at = $4 \
     WHERE name = $1 RETURNING ",
    agent_session_columns!()
);

const PATCH: &str = "UPDATE agent_sessions SET state = coalesce($2, state), last_reason = coalesce($3, last_reason), \
     restarts = restarts + $4, agent_resume_id = CASE WHEN $6 IS NULL THEN agent_resume_id ELSE $5 END, \
     memory_since = coalesce($6, memory_since), last_used_at = coalesce($7, last_used_at), updated_at = $8 \
     WHERE name = $1";

/// `Write::OpenAgentSession`. `Constraint` where the prefix makes no usable name or all names are taken.
pub(super) async fn open<S: Session>(
    session: &mut S,
    prefix: &str,
    user_id: UserId,
    persona: &str,
    conversation: Option<SessionId>,
    backend: &str,
) -> Result<Written, StoreError> {
    let candidates = candidates(prefix, user_id, conversation);
    let usable = !candidates.is_empty();
    for name in candidates.into_iter().map(Some).chain([None]) {
        // Before the first name, and again after each that was not to be had: it may have been made just now.
        if let Some(known) = read::agent_session(session, user_id, persona, conversation).await? {
            return Ok(Written::AgentSession(Box::new(known)));
        }
        let Some(name) = name else { break };
        let new = arguments![name, user_id, persona, conversation, backend, Timestamp::now()];
        if let Some(made) = one(session, INSERT, new, rows::agent_session).await? {
            return Ok(Written::AgentSession(Box::new(made)));
        }
    }
    Err(StoreError::Constraint(match usable {
        true => format!("every name for an agent session of {user_id} is taken"),
        false => format!("{prefix:?} cannot begin the name of an agent session"),
    }))
}

/// The names that a user's agent session may get, or that of a conversation, best first.
fn candidates(prefix: &str, user_id: UserId, conversation: Option<SessionId>) -> Vec<String> {
    let (prefix, user) = (prefix.replace('.', "_"), user_id.0.simple().to_string());
    let lengths = (SUFFIX_MIN..=user.len()).step_by(SUFFIX_STEP);
    let names: Vec<String> = match conversation.map(|id| id.0.simple().to_string()) {
        None => lengths.map(|length| format!("{prefix}-{}", &user[..length])).collect(),
        // The last digits: the first ones of a UUIDv7 are the time, which conversations share that were begun together.
        Some(id) => {
            lengths.map(|length| format!("{prefix}-{}-{}", &user[..SUFFIX_MIN], &id[id.len() - length..])).collect()
        }
    };
    names.into_iter().filter(|name| is_name(name)).collect()
}

/// `[A-Za-z0-9_][A-Za-z0-9_-]{0,63}`
fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= NAME_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'-')
}

/// `Write::TakeAgentSession`. `Constraint` where there is none of this name.
pub(super) async fn take<S: Session>(
    session: &mut S,
    name: &str,
    node: &str,
    lease_until: Timestamp,
) -> Result<Written, StoreError> {
    let arguments = arguments![name, node, lease_until, Timestamp::now()];
    let taken = one(session, TAKE, arguments, rows::agent_session).await?.ok_or_else(|| unknown(name))?;
    Ok(Written::AgentSession(Box::new(taken)))
}

/// `Write::PatchAgentSession`. `Constraint` where there is none of this name.
pub(super) async fn patch<S: Session>(
    session: &mut S,
    name: &str,
    patch: &SessionPatch,
) -> Result<Written, StoreError> {
    let arguments = arguments![
        name,
        &patch.state,
        &patch.last_reason,
        patch.restarts,
        patch.memory.as_ref().and_then(|memory| memory.resume_id.as_deref()),
        patch.memory.as_ref().map(|memory| memory.since),
        patch.last_used_at,
        Timestamp::now(),
    ];
    if session.execute(PATCH, arguments).await? == 0 {
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
        let names = candidates("team.chat", user, None);
        assert_eq!(names[..2], ["team_chat-0123abcd", "team_chat-0123abcd4567"]);
        assert_eq!(names.last().unwrap(), "team_chat-0123abcd456789abcdef0123456789ab");
    }

    #[test]
    fn those_of_a_conversation_grow_by_its_last_digits() {
        let user = UserId("0123abcd-4567-89ab-cdef-0123456789ab".parse().unwrap());
        let conversation = Some(SessionId("01a1fc4b-e581-720d-93be-34eea19004d5".parse().unwrap()));
        let names = candidates("team.chat", user, conversation);
        assert_eq!(names[..2], ["team_chat-0123abcd-a19004d5", "team_chat-0123abcd-34eea19004d5"]);
        assert_eq!(names.last().unwrap(), "team_chat-0123abcd-01a1fc4be581720d93be34eea19004d5");
        // With the longest prefix that can be configured, the longest one does not fit.
        assert_eq!(candidates(&"x".repeat(24), user, conversation).len(), names.len() - 1);
    }

    #[test]
    fn unusable_prefixes_make_no_name() {
        let user = UserId::fresh();
        for prefix in ["", "-x", "a b", "a:b", "ä", "a\0", &"x".repeat(56)] {
            assert_eq!(candidates(prefix, user, None), Vec::<String>::new(), "{prefix:?}");
        }
        assert_eq!(candidates(&"x".repeat(55), user, None).len(), 1);
    }
}
