//! A [`Store`] is whatever can execute statements.

use async_trait::async_trait;

use super::session::{Argument, Session};
use super::{conversations, read, rows, turns};
use crate::store::{
    AgentSession, ApiToken, Conversation, ConversationSummary, Listing, NewTurn, Store, StoreError, Turn, User,
    WebSession, Write, Written,
};
use crate::turn::{Event, EventId, SessionId, Timestamp, TurnId, UserId};

/// What a database needs to be a [`Store`].
#[async_trait]
pub(in crate::store) trait Driver: Send + Sync + 'static {
    /// Where reads are executed.
    type Readers: Session;

    /// A handle to that.
    fn readers(&self) -> Self::Readers;

    /// Executes a read that looks through texts. How long one takes grows with what a user has, so it must not take a
    /// connection from anyone else: these have one of their own, wait for each other, and are stopped where they take
    /// too long (`TooSlow`) or nobody waits for them any more.
    async fn search(
        &self,
        sql: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<<Self::Readers as Session>::Row>, StoreError>;

    /// See [`Store::write`]; the batch is not empty.
    async fn write_batch(&self, batch: &[Write]) -> Result<Vec<Result<Written, StoreError>>, StoreError>;

    /// See [`Store::close`].
    async fn end(&self);
}

#[async_trait]
impl<D: Driver> Store for D {
    async fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, StoreError>>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.write_batch(batch).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        read::ping(&mut self.readers()).await
    }

    async fn foresee(&self, new: &NewTurn) -> Result<Option<Written>, StoreError> {
        Ok(turns::foresee(&mut self.readers(), new).await?.err())
    }

    async fn turn(&self, id: TurnId) -> Result<Option<Turn>, StoreError> {
        read::turn(&mut self.readers(), id).await
    }

    async fn turn_of(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
        read::turn_of(&mut self.readers(), user, id).await
    }

    async fn next_queued(&self, agent_session: &str) -> Result<Option<Turn>, StoreError> {
        read::next_queued(&mut self.readers(), agent_session).await
    }

    async fn queued(&self, agent_session: &str) -> Result<Vec<TurnId>, StoreError> {
        read::queued(&mut self.readers(), agent_session).await
    }

    async fn open_turns(&self) -> Result<Vec<Turn>, StoreError> {
        read::open_turns(&mut self.readers()).await
    }

    async fn failed_since(&self, ended: Timestamp) -> Result<Vec<Turn>, StoreError> {
        read::failed_since(&mut self.readers(), ended).await
    }

    async fn open_turns_of(&self, session: SessionId) -> Result<Vec<Turn>, StoreError> {
        conversations::open_turns(&mut self.readers(), session).await
    }

    async fn events_after(&self, turn: TurnId, after: EventId, limit: u32) -> Result<Vec<Event>, StoreError> {
        read::events_after(&mut self.readers(), turn, after, limit).await
    }

    async fn has_event(&self, turn: TurnId, id: EventId) -> Result<bool, StoreError> {
        read::has_event(&mut self.readers(), turn, id).await
    }

    async fn has_started_since(&self, session: SessionId, moment: Timestamp) -> Result<bool, StoreError> {
        conversations::has_started_since(&mut self.readers(), session, moment).await
    }

    async fn history(
        &self,
        user: UserId,
        session: SessionId,
        before: Option<TurnId>,
        limit: u32,
    ) -> Result<Vec<Turn>, StoreError> {
        conversations::history(&mut self.readers(), user, session, before, limit).await
    }

    async fn conversation(&self, session: SessionId) -> Result<Option<Conversation>, StoreError> {
        conversations::one(&mut self.readers(), session).await
    }

    async fn conversation_of(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<Option<ConversationSummary>, StoreError> {
        conversations::one_of(&mut self.readers(), user, session).await
    }

    async fn conversations(&self, user: UserId, listing: Listing<'_>) -> Result<Vec<ConversationSummary>, StoreError> {
        match listing.search {
            Some(text) => {
                let found = self
                    .search(<D::Readers as Session>::DIALECT.search, &conversations::sought(user, text, listing))
                    .await?;
                found.iter().map(rows::conversation_summary).collect()
            }
            None => conversations::list(&mut self.readers(), user, listing).await,
        }
    }

    async fn agent_session(
        &self,
        user: UserId,
        persona: &str,
        conversation: Option<SessionId>,
    ) -> Result<Option<AgentSession>, StoreError> {
        read::agent_session(&mut self.readers(), user, persona, conversation).await
    }

    async fn agent_session_named(&self, name: &str) -> Result<Option<AgentSession>, StoreError> {
        read::agent_session_named(&mut self.readers(), name).await
    }

    async fn agent_sessions_of(&self, conversation: SessionId) -> Result<Vec<AgentSession>, StoreError> {
        read::agent_sessions_of(&mut self.readers(), conversation).await
    }

    async fn agent_sessions(&self) -> Result<Vec<AgentSession>, StoreError> {
        read::agent_sessions(&mut self.readers()).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        read::user(&mut self.readers(), id).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        read::user_by_email(&mut self.readers(), email).await
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        read::users(&mut self.readers()).await
    }

    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError> {
        read::tokens(&mut self.readers(), user).await
    }

    async fn token_by_hash(&self, hash: &str) -> Result<Option<ApiToken>, StoreError> {
        read::token_by_hash(&mut self.readers(), hash).await
    }

    async fn web_session(&self, hash: &str) -> Result<Option<WebSession>, StoreError> {
        read::web_session(&mut self.readers(), hash).await
    }

    async fn close(&self) {
        self.end().await;
    }
}
