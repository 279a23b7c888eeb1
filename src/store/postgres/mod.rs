//! PostgreSQL: one writing connection, a pool of readers and one connection for searches beside it. Other processes may
//! write to the same database at the same time (see [`super::sql::dialect::POSTGRES`]).

mod error;
mod escape;
mod inspect;
mod open;
mod options;
mod search;
mod session;
mod write;

use async_trait::async_trait;
use sqlx::PgPool;
use sqlx::postgres::PgRow;
use tokio::sync::Mutex;
use tokio::time::timeout;

pub use options::{PostgresAddress, PostgresOptions};

use super::sql::driver::Driver;
use super::sql::session::Argument;
use super::sql::writer::Writer;
use crate::store::{StoreError, Write, Written};
use error::unavailable;
use search::Searcher;
use session::Reading;
use write::Connector;

/// The driver for a server of its own.
pub struct PostgresStore {
    options: PostgresOptions,
    readers: PgPool,
    searcher: Searcher,
    writer: Mutex<Writer<Connector>>,
}

impl PostgresStore {
    /// Connects, and brings the schema up to date; the database itself has to be there, with the encoding UTF8.
    /// `Unavailable` where the server does not answer or refuses; `Corrupt` where the database is not ours or one of a
    /// newer version.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let writer = write::open(options.clone()).await?;
        let (readers, searcher) = (open::reader_pool(&options), Searcher::new(options.clone()));
        Ok(Self { options, readers, searcher, writer: Mutex::new(writer) })
    }
}

#[async_trait]
impl Driver for PostgresStore {
    type Readers = Reading;

    fn readers(&self) -> Reading {
        Reading { pool: self.readers.clone(), limit: self.options.read_limit }
    }

    async fn search(&self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<Vec<PgRow>, StoreError> {
        self.searcher.rows(sql, arguments).await
    }

    async fn write_batch(&self, batch: &[Write]) -> Result<Vec<Result<Written, StoreError>>, StoreError> {
        let mut writer = self.writer.lock().await;
        let limit = self.options.write_limit;
        // Whether it was committed, nobody knows then.
        let late = |_| unavailable(format_args!("no answer to a write within {limit:?}"));
        timeout(limit, writer.write(batch)).await.map_err(late)?
    }

    async fn end(&self) {
        self.searcher.close().await;
        self.readers.close().await;
        self.writer.lock().await.close().await;
    }
}
