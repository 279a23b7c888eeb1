//! SQLite: one file, one writing connection, a pool of readers and one connection for searches beside it (WAL: none
//! waits for the other).

mod accounts;
mod columns;
mod conversations;
mod error;
mod events;
mod open;
mod read;
mod rows;
mod search;
mod sessions;
mod statement;
mod turns;
mod write;

use std::path::Path;

use async_trait::async_trait;
use sqlx::SqlitePool;
use tokio::sync::Mutex;

pub use open::SqliteOptions;

use crate::store::{
    AgentSession, ApiToken, Conversation, ConversationSummary, Listing, Store, StoreError, Turn, User, WebSession,
    Write, Written,
};
use crate::turn::{Event, EventId, SessionId, Timestamp, TurnId, UserId};
use search::Searcher;
use write::Writer;

/// The embedded driver.
pub struct SqliteStore {
    readers: SqlitePool,
    searcher: Searcher,
    writer: Mutex<Writer>,
}

impl SqliteStore {
    /// Opens the database at `path` with the default options; see [`SqliteStore::open_with`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// Opens the database at `path`, makes it where there is none (mode 0600, its directory 0700), and brings its schema
    /// up to date. `Unavailable` where the file cannot be used or stays locked by another process for longer than
    /// `busy_timeout`; `Corrupt` where it is no database of ours or one of a newer version.
    pub async fn open_with(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        open::create_file(path).await?;
        // The writer first: readers can neither make the schema nor the WAL.
        let writer = Writer::open(path, options.clone()).await?;
        let (readers, searcher) = (open::reader_pool(path, &options), Searcher::new(path, &options));
        Ok(Self { readers, searcher, writer: Mutex::new(writer) })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, StoreError>>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.writer.lock().await.write(batch).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        read::ping(&self.readers).await
    }

    async fn turn(&self, id: TurnId) -> Result<Option<Turn>, StoreError> {
        read::turn(&self.readers, id).await
    }

    async fn turn_of(&self, user: UserId, id: TurnId) -> Result<Option<Turn>, StoreError> {
        read::turn_of(&self.readers, user, id).await
    }

    async fn next_queued(&self, agent_session: &str) -> Result<Option<Turn>, StoreError> {
        read::next_queued(&self.readers, agent_session).await
    }

    async fn queued(&self, agent_session: &str) -> Result<Vec<TurnId>, StoreError> {
        read::queued(&self.readers, agent_session).await
    }

    async fn open_turns(&self) -> Result<Vec<Turn>, StoreError> {
        read::open_turns(&self.readers).await
    }

    async fn failed_since(&self, ended: Timestamp) -> Result<Vec<Turn>, StoreError> {
        read::failed_since(&self.readers, ended).await
    }

    async fn open_turns_of(&self, session: SessionId) -> Result<Vec<Turn>, StoreError> {
        conversations::open_turns(&self.readers, session).await
    }

    async fn events_after(&self, turn: TurnId, after: EventId, limit: u32) -> Result<Vec<Event>, StoreError> {
        read::events_after(&self.readers, turn, after, limit).await
    }

    async fn has_event(&self, turn: TurnId, id: EventId) -> Result<bool, StoreError> {
        read::has_event(&self.readers, turn, id).await
    }

    async fn history(
        &self,
        user: UserId,
        session: SessionId,
        before: Option<TurnId>,
        limit: u32,
    ) -> Result<Vec<Turn>, StoreError> {
        conversations::history(&self.readers, user, session, before, limit).await
    }

    async fn conversation(&self, session: SessionId) -> Result<Option<Conversation>, StoreError> {
        conversations::one(&self.readers, session).await
    }

    async fn conversation_of(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<Option<ConversationSummary>, StoreError> {
        conversations::one_of(&self.readers, user, session).await
    }

    async fn conversations(&self, user: UserId, listing: Listing<'_>) -> Result<Vec<ConversationSummary>, StoreError> {
        match listing.search {
            Some(text) => conversations::search(&self.searcher, user, text, listing).await,
            None => conversations::list(&self.readers, user, listing).await,
        }
    }

    async fn agent_session(&self, user: UserId, persona: &str) -> Result<Option<AgentSession>, StoreError> {
        read::agent_session(&self.readers, user, persona).await
    }

    async fn agent_sessions(&self) -> Result<Vec<AgentSession>, StoreError> {
        read::agent_sessions(&self.readers).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        read::user(&self.readers, id).await
    }

    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        read::user_by_email(&self.readers, email).await
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        read::users(&self.readers).await
    }

    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError> {
        read::tokens(&self.readers, user).await
    }

    async fn token_by_hash(&self, hash: &str) -> Result<Option<ApiToken>, StoreError> {
        read::token_by_hash(&self.readers, hash).await
    }

    async fn web_session(&self, hash: &str) -> Result<Option<WebSession>, StoreError> {
        read::web_session(&self.readers, hash).await
    }

    async fn close(&self) {
        // The writer last: whoever closes the file last checkpoints the WAL, and readers may not.
        self.searcher.close().await;
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }
}
