//! A look at a database that changes nothing.

use sqlx::{Connection, PgConnection, query_scalar, raw_sql};

use super::error::unavailable;
use super::options::PostgresOptions;
use super::{PostgresStore, open};
use crate::store::sql::migrations;
use crate::store::{Standing, StoreError};

impl PostgresStore {
    /// What the database holds.
    ///
    /// # Errors
    /// Where the server does not answer or refuses, the encoding is not UTF8, or a schema could not be made.
    pub async fn inspect(options: &PostgresOptions) -> Result<Standing, StoreError> {
        let mut connection = open::connect(options).await?;
        raw_sql("SET default_transaction_read_only = on").execute(&mut connection).await.map_err(unavailable)?;
        let standing = standing(&mut connection, &options.place()).await;
        connection.close().await.map_err(unavailable)?;
        standing
    }
}

async fn standing(connection: &mut PgConnection, place: &str) -> Result<Standing, StoreError> {
    let encoding: String =
        query_scalar("SHOW server_encoding").fetch_one(&mut *connection).await.map_err(unavailable)?;
    if encoding != "UTF8" {
        return Err(StoreError::Corrupt(format!("{place} has the encoding {encoding}; UTF8 is needed")));
    }
    let ours = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL, to_regclass('paliadin_turns') IS NOT NULL";
    let (migrated, ours): (bool, bool) = sqlx::query_as(ours).fetch_one(&mut *connection).await.map_err(unavailable)?;
    if migrated && ours {
        let version = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
        let version = query_scalar(version).fetch_one(&mut *connection).await.map_err(unavailable)?;
        return Ok(Standing::Ours { version, newest: migrations::newest(open::MIGRATIONS) });
    }
    if migrated {
        return Ok(Standing::Foreign);
    }
    let may = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let may: bool = query_scalar(may).fetch_one(&mut *connection).await.map_err(unavailable)?;
    if may {
        Ok(Standing::Empty)
    } else {
        Err(StoreError::Unavailable(format!("{place}: no tables can be made there")))
    }
}
