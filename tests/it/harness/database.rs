//! The database of one test's product, whichever driver the run is for. `PALIADIN_TEST_STORE=postgres` runs every test that
//! does not choose for itself on PostgreSQL.

use std::path::Path;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row, SqliteConnection, raw_sql};

use super::planted::Planted;
use super::{Tested, postgres};

/// A connection of one's own.
pub enum Database {
    /// To the file.
    Sqlite(SqliteConnection),
    /// To the server.
    Postgres(PgConnection),
}

/// Whether this run is for PostgreSQL.
///
/// # Panics
/// Where the variable says something else.
pub fn is_postgres() -> bool {
    match std::env::var("PALIADIN_TEST_STORE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite" | "") | Err(_) => false,
        Ok(other) => panic!("PALIADIN_TEST_STORE is {other:?}; there are sqlite and postgres"),
    }
}

/// Makes an empty database on the server that tests share; its name.
pub fn create() -> Tested<String> {
    apart(async { postgres::shared()?.create().await })
}

/// Removes it, whoever uses it.
pub fn remove(name: &str) -> Tested {
    let name = name.to_owned();
    apart(async move { postgres::shared()?.remove(&name).await })
}

/// Where in its rows one of these secrets is.
pub fn search(name: &str, planted: Planted) -> Tested<Vec<String>> {
    let name = name.to_owned();
    apart(async move { planted.in_rows(Database::server(&name).await?).await })
}

/// Runs this on a thread of its own: who asks may be on a runtime already, and need not be able to wait there.
fn apart<T: Send + 'static>(work: impl Future<Output = Tested<T>> + Send + 'static) -> Tested<T> {
    let thread =
        std::thread::spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work));
    thread.join().map_err(|_| "the thread panicked")?
}

impl Database {
    /// Connects to the file.
    pub async fn file(path: &Path) -> Tested<Self> {
        Ok(Self::Sqlite(SqliteConnectOptions::new().filename(path).connect().await?))
    }

    /// Connects to a database of the server that tests share.
    pub async fn server(name: &str) -> Tested<Self> {
        let url = postgres::shared()?.url(name);
        Ok(Self::Postgres(url.parse::<PgConnectOptions>()?.connect().await?))
    }

    /// Runs a statement; how many rows it changed. `?1`, `?2` and so on stand for the values.
    pub async fn run(&mut self, sql: &str, values: &[&str]) -> Tested<u64> {
        let sql = raw_sql(AssertSqlSafe(filled(sql, values)));
        Ok(match self {
            Self::Sqlite(connection) => sql.execute(connection).await?.rows_affected(),
            Self::Postgres(connection) => sql.execute(connection).await?.rows_affected(),
        })
    }

    /// What a query gives: rows of columns as text, `None` for NULL.
    pub async fn rows(&mut self, sql: &str, values: &[&str]) -> Tested<Vec<Vec<Option<String>>>> {
        let sql = raw_sql(AssertSqlSafe(filled(sql, values)));
        // Both give any value as text here: SQLite by itself, PostgreSQL in its simple protocol.
        let rows = match self {
            Self::Sqlite(connection) => {
                let rows = sql.fetch_all(connection).await?;
                rows.iter().map(|row| (0..row.len()).map(|at| row.try_get_unchecked(at)).collect()).collect()
            }
            Self::Postgres(connection) => {
                let rows = sql.fetch_all(connection).await?;
                rows.iter().map(|row| (0..row.len()).map(|at| row.try_get_unchecked(at)).collect()).collect()
            }
        };
        let rows: Result<Vec<Vec<Option<String>>>, sqlx::Error> = rows;
        Ok(rows?)
    }

    /// The only column of the only row of a query; empty for NULL.
    pub async fn value(&mut self, sql: &str, values: &[&str]) -> Tested<String> {
        let rows = self.rows(sql, values).await?;
        match rows.as_slice() {
            [row] if row.len() == 1 => Ok(row[0].clone().unwrap_or_default()),
            rows => Err(format!("not one value: {rows:?}").into()),
        }
    }

    /// Keeps everyone else from writing, until [`Self::unlock`].
    pub async fn lock(&mut self) -> Tested {
        let lock = match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            // The lock that the store itself takes to be alone. One on the tables would let pass what changes nothing.
            Self::Postgres(_) => "BEGIN; SELECT pg_advisory_xact_lock(1885432937, 2)",
        };
        self.run(lock, &[]).await.map(drop)
    }

    /// Ends it.
    pub async fn unlock(&mut self) -> Tested {
        self.run("ROLLBACK", &[]).await.map(drop)
    }
}

/// A literal without a type takes that of its column: an id is text here and a UUID there.
fn filled(sql: &str, values: &[&str]) -> String {
    let quoted = |value: &str| format!("'{}'", value.replace('\'', "''"));
    values
        .iter()
        .enumerate()
        .rev()
        .fold(sql.to_owned(), |sql, (index, value)| sql.replace(&format!("?{}", index + 1), &quoted(value)))
}
