//! Executing statements and reading rows, whatever the database.

use std::borrow::Cow;

use async_trait::async_trait;
use uuid::Uuid;

use super::dialect::Dialect;
use crate::store::StoreError;
use crate::turn::{SessionId, Timestamp, TurnId, UserId};

/// A value of a statement; `$1` is the first one (SQLite reads that as its own `?1`).
#[derive(Clone)]
pub(in crate::store) enum Argument<'q> {
    /// An id, or NULL.
    Id(Option<Uuid>),
    /// A text, or NULL.
    Text(Option<Cow<'q, str>>),
    /// A number, or NULL.
    Number(Option<i64>),
}

/// `arguments![a, b]`: what `$1` and `$2` are.
macro_rules! arguments {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::session::Argument::from($value)),*] };
}
pub(in crate::store) use arguments;

macro_rules! argument_from {
    ($($type:ty, $value:ident => $argument:expr;)+) => { $(
        impl<'q> From<$type> for Argument<'q> {
            fn from($value: $type) -> Self {
                $argument
            }
        }
    )+ };
}

argument_from! {
    Uuid, id => Self::Id(Some(id));
    UserId, id => Self::Id(Some(id.0));
    TurnId, id => Self::Id(Some(id.0));
    SessionId, id => Self::Id(Some(id.0));
    Option<SessionId>, id => Self::Id(id.map(|id| id.0));
    &'q str, text => Self::Text(Some(Cow::Borrowed(text)));
    &'q String, text => Self::Text(Some(Cow::Borrowed(text)));
    String, text => Self::Text(Some(Cow::Owned(text)));
    Option<&'q str>, text => Self::Text(text.map(Cow::Borrowed));
    &'q Option<String>, text => Self::Text(text.as_deref().map(Cow::Borrowed));
    Option<String>, text => Self::Text(text.map(Cow::Owned));
    i64, number => Self::Number(Some(number));
    u32, number => Self::Number(Some(number.into()));
    Option<u32>, number => Self::Number(number.map(i64::from));
    Timestamp, moment => Self::Number(Some(moment.0));
    Option<Timestamp>, moment => Self::Number(moment.map(|moment| moment.0));
}

/// A row of a result: columns by name, `None` where one is NULL. `Corrupt` where a column holds something else.
pub(in crate::store) trait Columns {
    /// An id.
    fn id(&self, column: &str) -> Result<Option<Uuid>, StoreError>;
    /// A text.
    fn text(&self, column: &str) -> Result<Option<Cow<'_, str>>, StoreError>;
    /// A number.
    fn number(&self, column: &str) -> Result<Option<i64>, StoreError>;
    /// True or false; never NULL.
    fn flag(&self, column: &str) -> Result<bool, StoreError>;
}

/// Where statements are executed: a connection, or a pool of them.
#[async_trait]
pub(in crate::store) trait Session: Send {
    /// What it answers with.
    type Row: Columns + Send;
    /// What is said differently there.
    const DIALECT: &'static Dialect;

    /// Executes a statement to its end; every row of the result.
    async fn rows(&mut self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<Vec<Self::Row>, StoreError>;

    /// Executes a statement; how many rows it changed.
    async fn execute(&mut self, sql: &'static str, arguments: &[Argument<'_>]) -> Result<u64, StoreError>;
}

/// How a row is read.
pub(in crate::store) type Decode<R, T> = fn(&R) -> Result<T, StoreError>;

/// Every row of a result.
pub(in crate::store) async fn many<S: Session, T>(
    session: &mut S,
    sql: &'static str,
    arguments: &[Argument<'_>],
    decode: Decode<S::Row, T>,
) -> Result<Vec<T>, StoreError> {
    session.rows(sql, arguments).await?.iter().map(decode).collect()
}

/// The first row of a result.
///
/// The statement is executed to its end: SQLite checks the foreign keys of an `INSERT … RETURNING` when the statement
/// ends, and whoever stops it after its first row would not hear of it.
pub(in crate::store) async fn one<S: Session, T>(
    session: &mut S,
    sql: &'static str,
    arguments: &[Argument<'_>],
    decode: Decode<S::Row, T>,
) -> Result<Option<T>, StoreError> {
    session.rows(sql, arguments).await?.first().map(decode).transpose()
}
