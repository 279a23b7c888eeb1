//! Statements as the writes use them.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteConnection};

use super::error::store_error;
use crate::store::StoreError;

/// A statement with its arguments.
pub(super) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Executes a statement; how many rows it changed.
pub(super) async fn execute(connection: &mut SqliteConnection, bound: Bound<'_>) -> Result<u64, StoreError> {
    Ok(bound.execute(connection).await.map_err(store_error)?.rows_affected())
}

/// Executes a statement that gives back at most one row.
///
/// Not by `fetch_optional`, which stops a statement after its first row: SQLite checks the foreign keys of an
/// `INSERT … RETURNING` when the statement ends, and sqlx would not hear of it.
pub(super) async fn returning<T>(
    connection: &mut SqliteConnection,
    bound: Bound<'_>,
    decode: fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    bound.fetch_all(connection).await.map_err(store_error)?.first().map(decode).transpose()
}
