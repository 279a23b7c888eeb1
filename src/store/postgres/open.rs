//! Opening connections, and the schema.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool, Row, query, raw_sql};
use tokio::time::timeout;

use super::error::unavailable;
use super::options::PostgresOptions;
use crate::store::StoreError;
use crate::store::sql::migrations::{self, Step};

pub(super) const MIGRATIONS: &[Step] = &[
    (1, "init", include_str!("../../../migrations/postgres/0001_init.sql")),
    (2, "memory", include_str!("../../../migrations/postgres/0002_memory.sql")),
    (3, "scope", include_str!("../../../migrations/postgres/0003_scope.sql")),
];

/// How often the server looks whether anyone still waits for a search.
const LOOK_FOR_CLIENT: Duration = Duration::from_millis(100);

/// What every connection is set to. By statements and not by parameters of the connection, which poolers refuse.
fn settings(options: &PostgresOptions) -> String {
    format!(
        "SET client_min_messages = warning; SET lock_timeout = {patience}; SET default_transaction_isolation = \
         'read committed'",
        patience = options.patience.as_millis()
    )
}

/// Opens a connection.
pub(super) async fn connect(options: &PostgresOptions) -> Result<PgConnection, StoreError> {
    let opening = async {
        let mut connection = options.address.0.connect().await?;
        raw_sql(AssertSqlSafe(settings(options))).execute(&mut connection).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    let told = |error: &dyn std::fmt::Display| unavailable(format_args!("{}: {error}", options.place()));
    match timeout(options.patience, opening).await {
        Ok(connection) => connection.map_err(|error| told(&error)),
        Err(_) => Err(told(&format_args!("no answer within {:?}", options.patience))),
    }
}

/// Opens the connection that writes. A commit that was answered has to survive a power cut: where the server is set not
/// to wait for its disk, it is told to; a stricter setting stays.
pub(super) async fn connect_writer(options: &PostgresOptions) -> Result<PgConnection, StoreError> {
    let mut connection = connect(options).await?;
    let durable = "SELECT set_config('synchronous_commit', 'on', false) \
                   WHERE current_setting('synchronous_commit') = 'off'";
    query(durable).fetch_all(&mut connection).await.map_err(unavailable)?;
    Ok(connection)
}

/// Opens the connection for searches.
pub(super) async fn connect_searcher(options: &PostgresOptions) -> Result<PgConnection, StoreError> {
    let mut connection = connect(options).await?;
    let limit = format!("SET statement_timeout = {}", options.search_limit.as_millis().max(1));
    raw_sql(AssertSqlSafe(limit)).execute(&mut connection).await.map_err(unavailable)?;
    // Servers before version 14, and on some systems, cannot do that: there, what nobody waits for goes on to its limit.
    let look = format!("SET client_connection_check_interval = {}", LOOK_FOR_CLIENT.as_millis());
    if let Err(error) = raw_sql(AssertSqlSafe(look)).execute(&mut connection).await {
        tracing::debug!(%error, "searches cannot be stopped early");
    }
    Ok(connection)
}

/// The pool that reads go through. It opens its connections when they are needed, and tests one before it is used again.
pub(super) fn reader_pool(options: &PostgresOptions) -> PgPool {
    let settings = settings(options);
    PgPoolOptions::new()
        .max_connections(options.readers.max(1))
        .acquire_timeout(options.patience)
        .after_connect(move |connection, _| {
            let settings = AssertSqlSafe(settings.clone());
            Box::pin(async move { connection.execute(raw_sql(settings)).await.map(drop) })
        })
        .connect_lazy_with(options.address.0.clone())
}

/// Brings the schema up to date, in one transaction: one that fails leaves the database as it was.
pub(super) async fn migrate(connection: &mut PgConnection, options: &PostgresOptions) -> Result<(), StoreError> {
    let encoding = query("SHOW server_encoding").fetch_one(&mut *connection).await.map_err(unavailable)?;
    let encoding: String = encoding.try_get(0).map_err(unavailable)?;
    if encoding != "UTF8" {
        let place = options.place();
        return Err(StoreError::Corrupt(format!("{place} has the encoding {encoding}; UTF8 is needed")));
    }
    let mut transaction = connection.begin().await.map_err(unavailable)?;
    // Processes that start at once do it one after the other.
    let lock = "SELECT pg_advisory_xact_lock(1885432937, 1)";
    raw_sql(lock).execute(&mut *transaction).await.map_err(unavailable)?;
    migrations::run(&mut *transaction, MIGRATIONS).await?;
    transaction.commit().await.map_err(unavailable)
}
