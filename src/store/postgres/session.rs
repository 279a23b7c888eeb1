//! How statements are executed in PostgreSQL, and how its rows are read.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, PgPool, Postgres, Row, query};
use tokio::time::timeout;
use uuid::Uuid;

use super::error::{is_conflict, store_error, unavailable};
use super::escape::{escape, unescape};
use crate::store::StoreError;
use crate::store::sql::dialect::{Dialect, POSTGRES};
use crate::store::sql::session::{Argument, Columns, Session};

/// A statement with its arguments.
pub(super) fn bound<'q>(sql: &'static str, arguments: &'q [Argument<'_>]) -> Query<'q, Postgres, PgArguments> {
    arguments.iter().fold(query(sql), |bound, argument| match argument {
        Argument::Id(id) => bound.bind(*id),
        Argument::Text(text) => bound.bind(text.as_deref().map(escape)),
        Argument::Number(number) => bound.bind(*number),
    })
}

impl Columns for PgRow {
    fn id(&self, column: &str) -> Result<Option<Uuid>, StoreError> {
        self.try_get(column).map_err(store_error)
    }

    fn text(&self, column: &str) -> Result<Option<Cow<'_, str>>, StoreError> {
        let stored: Option<&str> = self.try_get(column).map_err(store_error)?;
        let foreign = || StoreError::Corrupt(format!("column {column}: no text as it is stored"));
        stored.map(|stored| unescape(stored).ok_or_else(foreign)).transpose()
    }

    fn number(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.try_get(column).map_err(store_error)
    }

    fn flag(&self, column: &str) -> Result<bool, StoreError> {
        self.try_get(column).map_err(store_error)
    }
}

/// The connection that writes.
pub(super) struct Writing {
    pub(super) connection: PgConnection,
    /// When it answered last.
    pub(super) answered: Instant,
    /// Whether other transactions were in the way of the last statement.
    pub(super) conflicted: bool,
}

impl Writing {
    pub(super) fn told<T>(&mut self, answer: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        self.answered = Instant::now();
        self.conflicted = answer.as_ref().is_err_and(is_conflict);
        answer.map_err(store_error)
    }
}

#[async_trait]
impl Session for Writing {
    type Row = PgRow;
    const DIALECT: &'static Dialect = &POSTGRES;

    async fn rows(&mut self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<Vec<PgRow>, StoreError> {
        let rows = bound(sql, arguments).fetch_all(&mut self.connection).await;
        self.told(rows)
    }

    async fn execute(&mut self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<u64, StoreError> {
        let done = bound(sql, arguments).execute(&mut self.connection).await;
        Ok(self.told(done)?.rows_affected())
    }
}

/// The connections that read.
pub(in crate::store) struct Reading {
    pub(super) pool: PgPool,
    /// How long one statement may take.
    pub(super) limit: Duration,
}

impl Reading {
    async fn within<T>(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(store_error)?;
        match timeout(self.limit, statement(&mut connection)).await {
            Ok(answer) => answer.map_err(store_error),
            Err(_) => {
                // What it may still say is nobody's answer any more.
                drop(connection.detach());
                Err(unavailable(format_args!("no answer to a read within {:?}", self.limit)))
            }
        }
    }
}

#[async_trait]
impl Session for Reading {
    type Row = PgRow;
    const DIALECT: &'static Dialect = &POSTGRES;

    async fn rows(&mut self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<Vec<PgRow>, StoreError> {
        self.within(async |connection| bound(sql, arguments).fetch_all(connection).await).await
    }

    async fn execute(&mut self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<u64, StoreError> {
        let done = self.within(async |connection| bound(sql, arguments).execute(connection).await).await?;
        Ok(done.rows_affected())
    }
}
