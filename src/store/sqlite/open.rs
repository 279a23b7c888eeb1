//! Opening a database file: its permissions, its connections, its schema.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::fs::{DirBuilder, OpenOptions};
use tokio::time::{Instant, sleep};

use super::error::{is_busy, store_error, unavailable};
use crate::store::StoreError;
use crate::store::sql::migrations::{self, Step};

pub(super) const MIGRATIONS: &[Step] = &[
    (1, "init", include_str!("../../../migrations/sqlite/0001_init.sql")),
    (2, "conversations", include_str!("../../../migrations/sqlite/0002_conversations.sql")),
    (3, "late", include_str!("../../../migrations/sqlite/0003_late.sql")),
    (4, "memory", include_str!("../../../migrations/sqlite/0004_memory.sql")),
    (5, "scope", include_str!("../../../migrations/sqlite/0005_scope.sql")),
];

/// Rows that a query may run ahead of its reader. A replay is some thousand rows, and each hand-over wakes a thread.
const ROW_BUFFER: usize = 512;

/// How soon a database that is busy while it is opened is tried again.
const BUSY_RETRY: Duration = Duration::from_millis(10);

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// How long a statement waits for another process's write lock before the store counts as unavailable.
    pub busy_timeout: Duration,
    /// Connections for reads. Each is a thread and up to 2 MiB of page cache. Searches have one more, of their own.
    pub readers: u32,
    /// How long a search may wait for those before it, and then take itself.
    pub search_limit: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), readers: 4, search_limit: Duration::from_secs(5) }
    }
}

/// Makes an empty file of mode 0600, in a directory of mode 0700 if that has to be made. What is there stays as it is.
///
/// An existing file must not be opened here, not even to look at it: closing any descriptor of a file drops all POSIX
/// locks that the process holds on it, those of SQLite too (https://www.sqlite.org/howtocorrupt.html, 2.2).
pub(super) async fn create_file(path: &Path) -> Result<(), StoreError> {
    let told = |error: std::io::Error| unavailable(format_args!("{}: {error}", path.display()));
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).await.map_err(told)?;
    }
    // SQLite gives the -wal and -shm files the mode of this one.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(told(error)),
        _ => Ok(()),
    }
}

/// Settings of the writing connection.
pub(super) fn writer_options(path: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(options.busy_timeout)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL syncs the WAL at each commit: an acknowledged turn survives a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .thread_name(|_| "store-writer".to_owned())
}

/// The pool that reads go through. It opens its connections when they are needed.
pub(super) fn reader_pool(path: &Path, options: &SqliteOptions) -> SqlitePool {
    let connection = reader_options(path, options).thread_name(|number| format!("store-reader-{number}"));
    pool(connection, options.readers.max(1), options.busy_timeout)
}

/// The connection that searches go through, one after the other.
pub(super) fn search_pool(path: &Path, options: &SqliteOptions) -> SqlitePool {
    let connection = reader_options(path, options).thread_name(|_| "store-searcher".to_owned());
    pool(connection, 1, options.search_limit)
}

fn reader_options(path: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(options.busy_timeout)
        .read_only(true)
        .row_buffer_size(ROW_BUFFER)
}

fn pool(connection: SqliteConnectOptions, connections: u32, patience: Duration) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        // A file does not hang up: nothing to test, nothing to renew.
        .test_before_acquire(false)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(connection)
}

/// Opens the writing connection.
///
/// Where two processes switch a new file to WAL at once, SQLite's own busy timeout does not help: one of them is told at
/// once that the database is locked (github.com/launchbadge/sqlx/pull/1930). A lock in another process sends no event,
/// so this asks again, as SQLite does elsewhere.
pub(super) async fn connect(
    connection: &SqliteConnectOptions,
    options: &SqliteOptions,
) -> Result<SqliteConnection, StoreError> {
    let deadline = Instant::now() + options.busy_timeout;
    loop {
        match connection.connect().await {
            Ok(connected) => return Ok(connected),
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(BUSY_RETRY).await,
            Err(error) => {
                let told = format!("{}: {error}", connection.get_filename().display());
                return Err(match store_error(error) {
                    StoreError::Corrupt(_) => StoreError::Corrupt(told),
                    _ => StoreError::Unavailable(told),
                });
            }
        }
    }
}

/// Brings the schema up to date. All of it is one transaction under the write lock, so that two processes that start at
/// once do not both do it, and one that fails leaves the database as it was.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
    migrations::run(&mut *transaction, MIGRATIONS).await?;
    transaction.commit().await.map_err(unavailable)
}
