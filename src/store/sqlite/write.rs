//! The one connection that writes.

use std::path::Path;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection, query};

use super::error::unavailable;
use super::{SqliteOptions, open};
use crate::store::StoreError;
use crate::store::sql::writer::{Connect, Writer};

/// Opens and closes it.
pub(super) struct Connector {
    connect: SqliteConnectOptions,
    options: SqliteOptions,
}

/// Opens the file and brings its schema up to date.
pub(super) async fn open(path: &Path, options: SqliteOptions) -> Result<Writer<Connector>, StoreError> {
    let connector = Connector { connect: open::writer_options(path, &options), options };
    let mut connection = connector.connect().await?;
    open::migrate(&mut connection).await?;
    Ok(Writer::new(connector, connection))
}

#[async_trait]
impl Connect for Connector {
    type Connection = SqliteConnection;

    async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        open::connect(&self.connect, &self.options).await
    }

    async fn close(&self, connection: SqliteConnection) -> Result<(), StoreError> {
        connection.close().await.map_err(unavailable)
    }

    /// Always: a file does not hang up.
    async fn is_alive(&self, _connection: &mut SqliteConnection) -> bool {
        true
    }

    async fn begin(&self, connection: &mut SqliteConnection, _alone: bool) -> Result<(), StoreError> {
        query("BEGIN IMMEDIATE").execute(connection).await.map(drop).map_err(unavailable)
    }

    /// Never: a transaction begins with the only lock there is.
    fn is_conflict(&self, _connection: &SqliteConnection) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Row, query};

    use crate::store::sqlite::SqliteStore;
    use crate::store::{Role, Store, StoreError, User, Write, Written};
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
        let connection = writer.connection().unwrap();
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
        if let Some(connection) = store.writer.lock().await.connection() {
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
