//! SQLite: one file, one writing connection, a pool of readers and one connection for searches beside it (WAL: none
//! waits for the other).

mod error;
mod inspect;
mod open;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod rebuilt;
mod search;
mod session;
mod write;

use std::path::Path;

use async_trait::async_trait;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;
use tokio::sync::Mutex;

pub use open::SqliteOptions;

use super::sql::driver::Driver;
use super::sql::session::Argument;
use super::sql::writer::Writer;
use crate::store::{StoreError, Write, Written};
use search::Searcher;
use write::Connector;

/// The embedded driver.
pub struct SqliteStore {
    readers: SqlitePool,
    searcher: Searcher,
    writer: Mutex<Writer<Connector>>,
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
        let writer = write::open(path, options.clone()).await?;
        let (readers, searcher) = (open::reader_pool(path, &options), Searcher::new(path, &options));
        Ok(Self { readers, searcher, writer: Mutex::new(writer) })
    }
}

#[async_trait]
impl Driver for SqliteStore {
    type Readers = SqlitePool;

    fn readers(&self) -> SqlitePool {
        self.readers.clone()
    }

    async fn search(&self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<Vec<SqliteRow>, StoreError> {
        self.searcher.rows(sql, arguments).await
    }

    async fn write_batch(&self, batch: &[Write]) -> Result<Vec<Result<Written, StoreError>>, StoreError> {
        self.writer.lock().await.write(batch).await
    }

    async fn end(&self) {
        // The writer last: whoever closes the file last checkpoints the WAL, and readers may not.
        self.searcher.close().await;
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }
}
