//! The record: every turn a row, every event of a turn a row. A [`Store`] has drivers beside it (`sqlite`).
//!
//! Reads may be made by anyone. While the server runs, it writes through the recorder actor only, which turns
//! whatever piles up during one commit into the next commit.

pub mod postgres;
mod rows;
mod sql;
pub mod sqlite;
pub mod title;
mod write;

use std::sync::Arc;

use async_trait::async_trait;

pub use rows::{AgentSession, ApiToken, Conversation, ConversationSummary, Role, Turn, User, WebSession};
pub use write::{Accepted, AuditEntry, Finish, NewTurn, Refusal, SessionPatch, UserPatch, Write, Written};

use crate::turn::{Event, EventId, SessionId, Timestamp, TurnId, UserId};

/// What a store can answer instead of data.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, is locked, is full or was shut down. Trying again later may help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What was asked for is more work than one read may be. Everything else goes on.
    #[error("the store gave up: {0}")]
    TooSlow(String),
    /// A constraint does not allow this write; trying again does not help.
    #[error("the store refused the write: {0}")]
    Constraint(String),
    /// A row holds what this version cannot read.
    #[error("a stored row cannot be read: {0}")]
    Corrupt(String),
}

/// Bytes of text in one page of a history, unless a single turn has more.
pub const HISTORY_BYTES: i64 = 8 * 1024 * 1024;

/// Which conversations are wanted.
#[derive(Clone, Copy, PartialEq)]
pub struct Listing<'a> {
    /// Only those with this text in their title, or in a question or an answer, without regard to ASCII case.
    pub search: Option<&'a str>,
    /// Only those whose last turn comes before this one.
    pub before: Option<TurnId>,
    /// So many at most.
    pub limit: u32,
}

/// What a database holds, as far as is seen without changing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing. The first start makes everything.
    Empty,
    /// A schema of ours.
    Ours {
        /// Its version.
        version: i64,
        /// The newest version that this program knows.
        newest: i64,
    },
    /// Something else.
    Foreign,
}

/// Shared handle to whichever driver the configuration names.
pub type SharedStore = Arc<dyn Store>;

/// What the product needs of a database.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies the batch in order in one transaction, and returns once it is durable: one result for each write.
    /// A write that a constraint refuses fails alone. `Err` means that nothing of the batch was applied.
    async fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, StoreError>>, StoreError>;

    /// Cheapest proof that reads are answered.
    async fn ping(&self) -> Result<(), StoreError>;

    /// What [`Write::AcceptTurn`] would answer to this without making a turn; `None` where it would make one. Only a
    /// write is a promise.
    async fn foresee(&self, new: &NewTurn) -> Result<Option<Written>, StoreError>;

    /// The turn with this id.
    async fn turn(&self, id: TurnId) -> Result<Option<Turn>, StoreError>;

    /// The turn with this id as its user sees it: none where it is someone else's, or its conversation is hidden.
    async fn turn_of(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError>;

    /// The queued turn of an agent session that is next in line.
    async fn next_queued(&self, agent_session: &str) -> Result<Option<Turn>, StoreError>;

    /// All queued turns of an agent session, next in line first.
    async fn queued(&self, agent_session: &str) -> Result<Vec<TurnId>, StoreError>;

    /// Every turn in state `queued` or `running`, oldest first: what a server that starts has to look after.
    async fn open_turns(&self) -> Result<Vec<Turn>, StoreError>;

    /// Failed turns that the agent may have seen (their intent to type is committed) and that ended at this moment or
    /// later, oldest first: an answer to them may still come.
    async fn failed_since(&self, ended: Timestamp) -> Result<Vec<Turn>, StoreError>;

    /// The turns of a conversation in state `queued` or `running`, oldest first.
    async fn open_turns_of(&self, session: SessionId) -> Result<Vec<Turn>, StoreError>;

    /// Up to `limit` events of a turn that come after `after` in (epoch, seq) order.
    async fn events_after(&self, turn: TurnId, after: EventId, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// Whether exactly this event is in the store.
    async fn has_event(&self, turn: TurnId, id: EventId) -> Result<bool, StoreError>;

    /// Whether an agent was seen to have a turn of this conversation at that moment or later.
    async fn has_started_since(&self, session: SessionId, moment: Timestamp) -> Result<bool, StoreError>;

    /// The newest `limit` turns of the user's conversation, oldest first, of those before `before` where that is given;
    /// empty for someone else's, and for one that is hidden. Fewer of them, but at least one, where their texts have
    /// more than [`HISTORY_BYTES`]: only an empty page is the end.
    async fn history(
        &self,
        user: UserId,
        session: SessionId,
        before: Option<TurnId>,
        limit: u32,
    ) -> Result<Vec<Turn>, StoreError>;

    /// The conversation with this id.
    async fn conversation(&self, session: SessionId) -> Result<Option<Conversation>, StoreError>;

    /// The conversation with this id as its user sees it: none where it is someone else's or hidden.
    async fn conversation_of(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<Option<ConversationSummary>, StoreError>;

    /// The user's conversations that are not hidden, newest last turn first. A search that takes too long is
    /// `TooSlow`; it holds up other searches, and no other read.
    async fn conversations(&self, user: UserId, listing: Listing<'_>) -> Result<Vec<ConversationSummary>, StoreError>;

    /// The agent session of a user and persona (`""` is the default persona): that of this conversation, or the one that
    /// serves all of them.
    async fn agent_session(
        &self,
        user: UserId,
        persona: &str,
        conversation: Option<SessionId>,
    ) -> Result<Option<AgentSession>, StoreError>;

    /// The agent session with this name.
    async fn agent_session_named(&self, name: &str) -> Result<Option<AgentSession>, StoreError>;

    /// The agent sessions that serve this conversation only.
    async fn agent_sessions_of(&self, conversation: SessionId) -> Result<Vec<AgentSession>, StoreError>;

    /// Every agent session, by name.
    async fn agent_sessions(&self) -> Result<Vec<AgentSession>, StoreError>;

    /// The user with this id.
    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError>;

    /// The user with this address, compared without regard to ASCII case.
    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError>;

    /// Every user, by email.
    async fn users(&self) -> Result<Vec<User>, StoreError>;

    /// Tokens of a user, newest first, revoked ones too.
    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError>;

    /// The API token whose secret has this SHA-256 hash, whatever its standing.
    async fn token_by_hash(&self, hash: &str) -> Result<Option<ApiToken>, StoreError>;

    /// The signed-in browser whose cookie has this SHA-256 hash, expired or not.
    async fn web_session(&self, hash: &str) -> Result<Option<WebSession>, StoreError>;

    /// Waits for running work and closes the database.
    async fn close(&self);
}

/// Writes a batch of which every write has to be made; the first refusal is the error.
///
/// # Errors
/// As [`Store::write`], and what a write was refused for.
pub async fn write_all(store: &dyn Store, batch: &[Write]) -> Result<Vec<Written>, StoreError> {
    store.write(batch).await?.into_iter().collect()
}
