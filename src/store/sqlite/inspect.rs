//! A look at a database file that changes nothing, not even beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection, query_scalar};

use super::error::store_error;
use super::{SqliteStore, open};
use crate::store::sql::migrations;
use crate::store::{Standing, StoreError};

/// How long a lock of another process is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

impl SqliteStore {
    /// What the file holds; `None` where there is no file.
    ///
    /// # Errors
    /// Where it cannot be read, or is no database.
    pub async fn inspect(path: &Path) -> Result<Option<Standing>, StoreError> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        match tokio::fs::metadata(path).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::Unavailable(told(&error))),
            Ok(_) => {}
        }
        // Whoever reads a database in WAL mode needs its -wal and -shm, and makes them where they are missing. They are there
        // while a server runs, and after one that was killed; else nobody writes, and it can be read without.
        let wal = PathBuf::from(format!("{}-wal", path.display()));
        let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(!wal.exists());
        let look = async {
            let mut connection = options.busy_timeout(PATIENCE).connect().await?;
            let standing = standing(&mut connection).await;
            connection.close().await?;
            standing
        };
        look.await.map(Some).map_err(|error: sqlx::Error| match store_error(error) {
            StoreError::Corrupt(error) => StoreError::Corrupt(told(&error)),
            error => StoreError::Unavailable(told(&error)),
        })
    }
}

async fn standing(connection: &mut SqliteConnection) -> Result<Standing, sqlx::Error> {
    let tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table'";
    let ours =
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('_sqlx_migrations', 'paliadin_turns')";
    let tables: i64 = query_scalar(tables).fetch_one(&mut *connection).await?;
    let ours: i64 = query_scalar(ours).fetch_one(&mut *connection).await?;
    Ok(match (tables, ours) {
        (0, _) => Standing::Empty,
        (_, 2) => {
            let version = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
            let version = query_scalar(version).fetch_one(&mut *connection).await?;
            Standing::Ours { version, newest: migrations::newest(open::MIGRATIONS) }
        }
        _ => Standing::Foreign,
    })
}
