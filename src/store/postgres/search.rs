//! The connection for searches, and what stops one.

use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::{is_canceled, store_error, unavailable};
use super::open;
use super::options::PostgresOptions;
use super::session::bound;
use crate::store::StoreError;
use crate::store::sql::session::Argument;

/// The connection for searches.
pub(super) struct Searcher {
    options: PostgresOptions,
    /// Out of its place while it is in use: a search that nobody waits for any more closes it, and the server notices.
    connection: Mutex<Place>,
}

enum Place {
    Free(Option<PgConnection>),
    Closed,
}

impl Searcher {
    pub(super) fn new(options: PostgresOptions) -> Self {
        Self { options, connection: Mutex::new(Place::Free(None)) }
    }

    /// Every row of a search. `TooSlow` where its turn does not come within the limit, or it takes longer than that.
    pub(super) async fn rows(&self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<Vec<PgRow>, StoreError> {
        let limit = self.options.search_limit;
        let place = timeout(limit, self.connection.lock()).await;
        let mut place = place.map_err(|_| self.too_slow("others were before it"))?;
        let Place::Free(kept) = &mut *place else { return Err(unavailable("the database was closed")) };
        let mut connection = match kept.take() {
            Some(connection) => self.revived(connection).await?,
            None => open::connect_searcher(&self.options).await?,
        };
        // The server keeps the limit; the rest is for one that does not answer at all.
        let patience = limit + self.options.patience;
        let found = timeout(patience, bound(sql, arguments).fetch_all(&mut connection)).await;
        match found.map_err(|_| unavailable(format_args!("no answer to a search within {patience:?}")))? {
            Ok(rows) => {
                *kept = Some(connection);
                Ok(rows)
            }
            Err(error) if is_canceled(&error) => {
                *kept = Some(connection);
                Err(self.too_slow("it was stopped"))
            }
            Err(error) => Err(store_error(error)),
        }
    }

    /// A connection that was kept, or another one: the server may have ended it meanwhile.
    async fn revived(&self, mut connection: PgConnection) -> Result<PgConnection, StoreError> {
        match timeout(self.options.patience, connection.ping()).await {
            Ok(Ok(())) => Ok(connection),
            _ => open::connect_searcher(&self.options).await,
        }
    }

    fn too_slow(&self, what: &str) -> StoreError {
        StoreError::TooSlow(format!("a search was not done after {:?}: {what}", self.options.search_limit))
    }

    pub(super) async fn close(&self) {
        let place = std::mem::replace(&mut *self.connection.lock().await, Place::Closed);
        if let Place::Free(Some(connection)) = place {
            // What it has to say does not matter any more.
            let _ = timeout(self.options.patience, connection.close()).await;
        }
    }
}
