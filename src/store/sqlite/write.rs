//! One batch, one transaction.

use std::mem;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection, query};

use super::error::unavailable;
use super::{SqliteOptions, accounts, conversations, events, open, sessions, turns};
use crate::store::{StoreError, Write, Written};

type Results = Vec<Result<Written, StoreError>>;

/// The one connection that writes.
pub(super) struct Writer {
    connect: SqliteConnectOptions,
    options: SqliteOptions,
    state: State,
}

enum State {
    Ready(SqliteConnection),
    /// A batch failed on it, or is using it.
    Lost,
    Closed,
}

impl Writer {
    pub(super) async fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let connect = open::writer_options(path, &options);
        let mut connection = open::connect(&connect, &options).await?;
        open::migrate(&mut connection).await?;
        Ok(Self { connect, options, state: State::Ready(connection) })
    }

    /// See [`crate::store::Store::write`].
    pub(super) async fn write(&mut self, batch: &[Write]) -> Result<Results, StoreError> {
        // The connection is out of its place while it is in use, and comes back only after a batch that went well. So
        // whatever happens in between (an error, a panic, a caller who drops this future) closes it, which rolls back,
        // and the next batch opens another. SQLite may also end a transaction by itself, and sqlx would not know.
        let mut connection = match mem::replace(&mut self.state, State::Lost) {
            State::Ready(connection) => connection,
            State::Lost => open::connect(&self.connect, &self.options).await?,
            State::Closed => {
                self.state = State::Closed;
                return Err(unavailable("the database was closed"));
            }
        };
        match transact(&mut connection, batch).await {
            Ok(results) => {
                self.state = State::Ready(connection);
                Ok(results)
            }
            Err(error) => {
                // Closed here and not by a drop in the background: its locks must be gone when the caller tries again.
                if let Err(error) = connection.close().await {
                    tracing::debug!(%error, "closing a failed connection");
                }
                Err(error)
            }
        }
    }

    pub(super) async fn close(&mut self) {
        if let State::Ready(connection) = mem::replace(&mut self.state, State::Closed)
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }
}

/// Batches nearly always go through, so the first attempt spends nothing on keeping writes apart. Where one fails it is
/// all undone and done again with a savepoint round each write.
async fn transact(connection: &mut SqliteConnection, batch: &[Write]) -> Result<Results, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
    let mut results = Vec::with_capacity(batch.len());
    for write in batch {
        match apply(&mut transaction, write).await {
            Ok(written) => results.push(Ok(written)),
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(_) => break,
        }
    }
    if results.len() == batch.len() {
        transaction.commit().await.map_err(unavailable)?;
        return Ok(results);
    }
    transaction.rollback().await.map_err(unavailable)?;

    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
    results.clear();
    for write in batch {
        results.push(apply_apart(&mut transaction, write).await?);
    }
    transaction.commit().await.map_err(unavailable)?;
    Ok(results)
}

/// Applies a write in whole or not at all. The outer error is the whole batch's.
async fn apply_apart(
    connection: &mut SqliteConnection,
    write: &Write,
) -> Result<Result<Written, StoreError>, StoreError> {
    query("SAVEPOINT one_write").execute(&mut *connection).await.map_err(unavailable)?;
    let result = apply(connection, write).await;
    match &result {
        Err(StoreError::Unavailable(_)) => return result.map(Ok),
        Err(_) => {
            query("ROLLBACK TO one_write").execute(&mut *connection).await.map_err(unavailable)?;
        }
        Ok(_) => {}
    }
    query("RELEASE one_write").execute(&mut *connection).await.map_err(unavailable)?;
    Ok(result)
}

async fn apply(connection: &mut SqliteConnection, write: &Write) -> Result<Written, StoreError> {
    match write {
        Write::Nothing => Ok(Written::Done),
        Write::AcceptTurn(new) => turns::accept(connection, new).await,
        Write::ClaimTurn { turn_id, epoch, pane, at } => turns::claim(connection, *turn_id, *epoch, pane, *at).await,
        Write::StartTurn { turn_id, epoch, at } => turns::start(connection, *turn_id, *epoch, *at).await,
        Write::ReattachTurn { turn_id, epoch, pane } => turns::reattach(connection, *turn_id, *epoch, pane).await,
        Write::FinishTurn(finish) => turns::finish(connection, finish).await,
        Write::RecordLate(finish) => turns::record_late(connection, finish).await,
        Write::PruneEvents { ended_before, limit } => events::prune(connection, *ended_before, *limit).await,
        Write::AppendEvents { turn_id, events, at } => events::append(connection, *turn_id, events, *at).await,
        Write::RenameConversation { session_id, user_id, title, audit } => {
            conversations::rename(connection, *session_id, *user_id, title, audit).await
        }
        Write::HideConversation { session_id, user_id, audit } => {
            conversations::hide(connection, *session_id, *user_id, audit).await
        }
        Write::OpenAgentSession { prefix, user_id, persona, backend } => {
            sessions::open(connection, prefix, *user_id, persona, backend).await
        }
        Write::TakeAgentSession { name, node, lease_until } => {
            sessions::take(connection, name, node, *lease_until).await
        }
        Write::PatchAgentSession { name, patch } => sessions::patch(connection, name, patch).await,
        Write::SaveUser(user) => accounts::save_user(connection, user).await,
        Write::CreateToken(token) => accounts::create_token(connection, token).await,
        Write::RevokeToken { token_id, at } => accounts::revoke_token(connection, *token_id, *at).await,
        Write::CreateWebSession(session) => accounts::create_web_session(connection, session).await,
        Write::DeleteWebSession { hash } => accounts::delete_web_session(connection, hash).await,
        Write::Audit(entry) => accounts::audit(connection, entry).await.map(|()| Written::Done),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Role, Store, User};
    use crate::turn::UserId;

    fn save(display_name: String) -> Write {
        let user_id = UserId::fresh();
        Write::SaveUser(User { user_id, email: user_id.to_string(), display_name, role: Role::User, disabled_at: None })
    }

    #[tokio::test]
    async fn the_writer_syncs_each_commit_and_checks_foreign_keys() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("db")).await.unwrap();
        let mut writer = store.writer.lock().await;
        let State::Ready(connection) = &mut writer.state else { panic!("no connection") };
        for (pragma, expected) in [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1)] {
            let value: i64 = query(pragma).fetch_one(&mut *connection).await.unwrap().get(0);
            assert_eq!(value, expected, "{pragma}");
        }
    }

    /// SQLite ends the transaction by itself when the disk is full. The writer has to get over that.
    #[tokio::test]
    async fn a_full_disk_costs_one_batch() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("db")).await.unwrap();
        if let State::Ready(connection) = &mut store.writer.lock().await.state {
            // No more than there is (SQLite raises a smaller limit to that); the next connection has no limit.
            query("PRAGMA max_page_count = 1").fetch_all(connection).await.unwrap();
        }
        let result = store.write(&[save("small".to_owned()), save("x".repeat(100_000)), save(String::new())]).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        assert!(store.users().await.unwrap().is_empty());
        let result = store.write(&[save("small".to_owned()), save("x".repeat(100_000))]).await.unwrap();
        assert!(matches!(result[..], [Ok(Written::Done), Ok(Written::Done)]), "{result:?}");
        assert_eq!(store.users().await.unwrap().len(), 2);
        store.close().await;
    }
}
