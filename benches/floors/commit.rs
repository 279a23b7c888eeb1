//! Floor: one bare commit. One row, one transaction, durable when it returns.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::runtime::{Builder, Runtime};

use crate::measure::{Measured, Outcome};

const SCHEMA: &str = "create table floor (id integer primary key, data text not null)";

/// In one trip to SQLite's thread. The text has the size of a small event.
const TRANSACTION: &str = "begin immediate; \
    insert into floor (data) values ('{\"delta\":\"The quick brown fox jumps over the lazy dog.\",\"streamed\":true}'); \
    commit";

/// A database of its own, in the file system that the product's lies in.
pub struct Commit {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Commit {
    /// Makes the database `<directory>/floor.db`.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let runtime = Builder::new_current_thread().build()?;
        let options = SqliteConnectOptions::new()
            .filename(directory.join("floor.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // Each commit is on the disk before it returns, as the product promises it.
            .synchronous(SqliteSynchronous::Full);
        let connection = runtime.block_on(async {
            let mut connection = options.connect().await?;
            sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        })?;
        Ok(Self { runtime, connection })
    }

    /// Commits one row.
    pub fn commit(&mut self) -> Outcome<()> {
        self.runtime.block_on(sqlx::raw_sql(TRANSACTION).execute(&mut self.connection))?;
        Ok(())
    }
}

impl Measured for Commit {
    fn sample(&mut self) -> Outcome<Duration> {
        let start = Instant::now();
        self.commit()?;
        Ok(start.elapsed())
    }
}
