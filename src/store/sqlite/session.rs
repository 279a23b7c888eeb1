//! How statements are executed in SQLite, and how its rows are read.

use std::borrow::Cow;

use async_trait::async_trait;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqliteConnection, SqlitePool, query};
use uuid::Uuid;

use super::error::store_error;
use crate::store::StoreError;
use crate::store::sql::dialect::{Dialect, SQLITE};
use crate::store::sql::session::{Argument, Columns, Session};

/// A statement with its arguments.
pub(super) fn bound<'q>(sql: &'static str, arguments: &'q [Argument<'_>]) -> Query<'q, Sqlite, SqliteArguments> {
    arguments.iter().fold(query(sql), |bound, argument| match argument {
        Argument::Id(id) => bound.bind(id.map(|id| id.hyphenated().to_string())),
        Argument::Text(text) => bound.bind(text.as_deref()),
        Argument::Number(number) => bound.bind(*number),
    })
}

impl Columns for SqliteRow {
    fn id(&self, column: &str) -> Result<Option<Uuid>, StoreError> {
        let text: Option<&str> = self.try_get(column).map_err(store_error)?;
        let corrupt = |error| StoreError::Corrupt(format!("column {column}: {error}"));
        text.map(|text| Uuid::parse_str(text).map_err(corrupt)).transpose()
    }

    fn text(&self, column: &str) -> Result<Option<Cow<'_, str>>, StoreError> {
        Ok(self.try_get::<Option<&str>, _>(column).map_err(store_error)?.map(Cow::Borrowed))
    }

    fn number(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.try_get(column).map_err(store_error)
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        self.try_get(column).map_err(store_error)
    }
}

macro_rules! session {
    ($type:ty, $session:ident => $executor:expr) => {
        #[async_trait]
        impl Session for $type {
            type Row = SqliteRow;
            const DIALECT: &'static Dialect = &SQLITE;

            async fn rows(
                &mut self,
                sql: &'static str,
                arguments: &[Argument<'_>],
            ) -> Result<Vec<SqliteRow>, StoreError> {
                let $session = self;
                bound(sql, arguments).fetch_all($executor).await.map_err(store_error)
            }

            async fn execute(&mut self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<u64, StoreError> {
                let $session = self;
                Ok(bound(sql, arguments).execute($executor).await.map_err(store_error)?.rows_affected())
            }
        }
    };
}

session!(SqliteConnection, connection => &mut *connection);
session!(SqlitePool, pool => &*pool);
