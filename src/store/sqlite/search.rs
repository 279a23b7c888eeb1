//! The connection for searches, and what stops one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use super::error::{is_interrupted, store_error};
use super::open::{self, SqliteOptions};
use super::session::bound;
use crate::store::StoreError;
use crate::store::sql::session::Argument;

/// Steps of SQLite's machine from one look at the clock to the next. A step may be one text of a megabyte (about a
/// millisecond), and a row takes some twenty of them.
const STEPS: i32 = 100;

/// The connection for searches.
pub(super) struct Searcher {
    pool: SqlitePool,
    limit: Duration,
}

/// Stops a statement whose caller does not wait any more.
struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Searcher {
    pub(super) fn new(path: &Path, options: &SqliteOptions) -> Self {
        Self { pool: open::search_pool(path, options), limit: options.search_limit }
    }

    /// Every row of a search. `TooSlow` where its turn does not come within the limit, or it takes longer than that.
    pub(super) async fn rows(
        &self,
        sql: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => self.too_slow("others were before it"),
            error => store_error(error),
        })?;
        let stop = StopWhenDropped(Arc::default());
        let stopped = stop.0.clone();
        let deadline = Instant::now() + self.limit;
        // It stays with the connection until the next search sets its own: nothing else is executed there.
        connection
            .lock_handle()
            .await
            .map_err(store_error)?
            .set_progress_handler(STEPS, move || !stopped.load(Ordering::Relaxed) && Instant::now() < deadline);
        bound(sql, arguments).fetch_all(&mut *connection).await.map_err(|error| match is_interrupted(&error) {
            true => self.too_slow("it was stopped"),
            false => store_error(error),
        })
    }

    fn too_slow(&self, what: &str) -> StoreError {
        StoreError::TooSlow(format!("a search was not done after {:?}: {what}", self.limit))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
