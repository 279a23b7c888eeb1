//! The rows, as the rest of the product sees them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::turn::{ErrorCode, Memory, SessionId, Timestamp, TurnId, TurnState, UserId};

/// What an account may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Talk to an agent.
    User,
    /// See and steer everything, too.
    Admin,
}

impl Role {
    /// The word in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "user" => Ok(Self::User),
            "admin" => Ok(Self::Admin),
            other => Err(format!("unknown role {other:?}: `user` or `admin`")),
        }
    }
}

/// A row of `users`.
#[derive(Clone, PartialEq, Debug)]
pub struct User {
    /// Primary key.
    pub user_id: UserId,
    /// Unique without regard to ASCII case.
    pub email: String,
    /// For people; may be empty.
    pub display_name: String,
    /// What the account may do.
    pub role: Role,
    /// Since when the account is shut, if it is.
    pub disabled_at: Option<Timestamp>,
}

/// A row of `api_tokens`. The secret itself is shown once and never stored.
#[derive(Clone, PartialEq)]
pub struct ApiToken {
    /// Primary key; what `token revoke` takes.
    pub token_id: Uuid,
    /// Whom the token speaks for.
    pub user_id: UserId,
    /// For people.
    pub name: String,
    /// Lower-case hex of the secret's SHA-256.
    pub hash: String,
    /// What the token may be used for; empty means everything its user may.
    pub scopes: Vec<String>,
    /// When it ends by itself, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last accepted.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiToken").field("token_id", &self.token_id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A row of `web_sessions`: one signed-in browser.
#[derive(Clone, PartialEq)]
pub struct WebSession {
    /// Lower-case hex of the cookie's SHA-256.
    pub hash: String,
    /// Whom the cookie speaks for.
    pub user_id: UserId,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was last accepted.
    pub last_seen_at: Timestamp,
}

impl fmt::Debug for WebSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSession").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// A row of `agent_sessions`.
#[derive(Clone, PartialEq, Debug)]
pub struct AgentSession {
    /// Primary key, `<prefix>-<userid8>` or `<prefix>-<userid8>-<conversation8>`, unique to whom it serves;
    /// `[A-Za-z0-9_][A-Za-z0-9_-]{0,63}`.
    pub name: String,
    /// Whom it serves.
    pub user_id: UserId,
    /// `""` is the default persona.
    pub persona: String,
    /// The only conversation that it serves; `None` where it serves all of its user's.
    pub conversation: Option<SessionId>,
    /// Which backend it lives on.
    pub backend: String,
    /// Which agent host, where the backend has several.
    pub host: Option<String>,
    /// Counts the incarnations of its owner; every write and every paste for it is fenced by this number.
    pub epoch: i64,
    /// What its agent remembers.
    pub memory: Memory,
    /// For people: what it was last known to do.
    pub state: String,
    /// How often its agent was started again.
    pub restarts: i64,
    /// For people: why it last changed.
    pub last_reason: Option<String>,
    /// When it last took a turn.
    pub last_used_at: Option<Timestamp>,
}

/// A row of `conversations`.
#[derive(Clone, PartialEq, Debug)]
pub struct Conversation {
    /// Primary key.
    pub session_id: SessionId,
    /// Its only reader.
    pub user_id: UserId,
    /// For people; may be empty.
    pub title: String,
    /// Since when its user does not see it any more.
    pub hidden_at: Option<Timestamp>,
}

/// A conversation as its user finds it in a listing.
#[derive(Clone, PartialEq)]
pub struct ConversationSummary {
    /// Which one.
    pub session_id: SessionId,
    /// For people; may be empty.
    pub title: String,
    /// When its first turn was accepted.
    pub created_at: Timestamp,
    /// When its last turn was accepted.
    pub last_turn_at: Timestamp,
    /// Its last turn; listings are in the order of these.
    pub last_turn_id: TurnId,
    /// How many of its turns are not over.
    pub open_turns: u32,
}

impl fmt::Debug for ConversationSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationSummary").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// A row of `paliadin_turns`: the audit record of one turn.
#[derive(Clone, PartialEq)]
pub struct Turn {
    /// Primary key, a UUIDv7 made by the server.
    pub turn_id: TurnId,
    /// Who asked.
    pub user_id: UserId,
    /// In which conversation.
    pub session_id: SessionId,
    /// Which agent session answers.
    pub agent_session: String,
    /// The client's own id of the turn, unique per user: the same id again is the same turn.
    pub client_turn_id: Option<String>,
    /// Where it stands.
    pub state: TurnState,
    /// The incarnation of the runner that may write to it; 0 while queued.
    pub epoch: i64,
    /// Which backend runs it.
    pub backend: String,
    /// `""` is the default persona.
    pub persona: String,
    /// Which agent profile answers.
    pub profile: String,
    /// The question.
    pub user_message: String,
    /// Where the embedding page was.
    pub page_origin: Option<String>,
    /// The page's context, a JSON object.
    pub context: Option<Value>,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// When the intent to type was committed.
    pub delivering_at: Option<Timestamp>,
    /// Where it was to be typed: pane, process, and when that process began (see `tmux::fence`).
    pub delivering_pane: Option<String>,
    /// When the agent was seen to have it.
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
    /// From `queued_at` to `finished_at`.
    pub duration_ms: Option<i64>,
    /// The complete answer's body.
    pub response: Option<String>,
    /// What had been streamed when it ended without a complete answer.
    pub partial: Option<String>,
    /// Why it failed.
    pub error_code: Option<ErrorCode>,
    /// Earlier codes and warnings, a JSON array of objects.
    pub error_history: Value,
    /// From the trailer.
    pub used_tools: Vec<String>,
    /// From the trailer.
    pub rows_seen: Vec<u64>,
    /// Chips in the answer.
    pub chip_count: i64,
    /// From the trailer.
    pub classifier_tag: Option<String>,
    /// The answer's length in tokens, approximated.
    pub response_tokens: Option<i64>,
    /// The answer came after the turn had failed.
    pub late: bool,
    /// The central backend's own conversation id.
    pub aichat_conversation_id: Option<String>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("turn_id", &self.turn_id).field("state", &self.state).finish_non_exhaustive()
    }
}
