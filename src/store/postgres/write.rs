//! The one connection that writes.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::{Connection, raw_sql};
use tokio::time::timeout;

use super::error::unavailable;
use super::open;
use super::options::PostgresOptions;
use super::session::Writing;
use crate::store::StoreError;
use crate::store::sql::writer::{Connect, Writer};

/// A connection that was silent for longer than this is tested before it is used: the server may be gone.
const SILENCE: Duration = Duration::from_secs(1);

/// Statements that go to the server together. The lock ("pali" in ASCII, and a number of ours) is only there to be alone with:
/// whoever was in a deadlock waits until nobody else writes, and then nobody else begins.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                     SELECT pg_advisory_xact_lock_shared(1885432937, 2)";
const BEGIN_ALONE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                           SELECT pg_advisory_xact_lock(1885432937, 2)";

/// Opens and closes it.
pub(super) struct Connector(pub(super) PostgresOptions);

/// Connects and brings the schema up to date.
pub(super) async fn open(options: PostgresOptions) -> Result<Writer<Connector>, StoreError> {
    let connector = Connector(options);
    let mut writing = connector.connect().await?;
    open::migrate(&mut writing.connection, &connector.0).await?;
    Ok(Writer::new(connector, writing))
}

#[async_trait]
impl Connect for Connector {
    type Connection = Writing;

    async fn connect(&self) -> Result<Writing, StoreError> {
        let connection = open::connect_writer(&self.0).await?;
        Ok(Writing { connection, answered: Instant::now(), conflicted: false })
    }

    async fn close(&self, writing: Writing) -> Result<(), StoreError> {
        match timeout(self.0.patience, writing.connection.close()).await {
            Ok(closed) => closed.map_err(unavailable),
            Err(late) => Err(unavailable(late)),
        }
    }

    async fn is_alive(&self, writing: &mut Writing) -> bool {
        writing.answered.elapsed() < SILENCE
            || matches!(timeout(self.0.patience, writing.connection.ping()).await, Ok(Ok(())))
    }

    async fn begin(&self, writing: &mut Writing, alone: bool) -> Result<(), StoreError> {
        let statements = if alone { BEGIN_ALONE } else { BEGIN };
        let begun = raw_sql(statements).execute(&mut writing.connection).await;
        writing.told(begun).map(drop)
    }

    fn is_conflict(&self, writing: &Writing) -> bool {
        writing.conflicted
    }
}
