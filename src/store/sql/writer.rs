//! One batch, one transaction, on the one connection that writes.

use std::mem;

use async_trait::async_trait;

use super::apply::apply;
use super::session::Session;
use crate::store::{StoreError, Write, Written};

type Results = Vec<Result<Written, StoreError>>;

/// Opens and closes the connection that writes.
#[async_trait]
pub(in crate::store) trait Connect: Send + Sync {
    /// The connection.
    type Connection: Session;

    /// Opens one.
    async fn connect(&self) -> Result<Self::Connection, StoreError>;

    /// Closes one.
    async fn close(&self, connection: Self::Connection) -> Result<(), StoreError>;

    /// Whether a connection that was kept can still be used.
    async fn is_alive(&self, connection: &mut Self::Connection) -> bool;

    /// Begins a transaction that writes; `alone`, without any other at the same time.
    async fn begin(&self, connection: &mut Self::Connection, alone: bool) -> Result<(), StoreError>;

    /// Whether the last statement failed because of other transactions, and all of this one may be tried again.
    fn is_conflict(&self, connection: &Self::Connection) -> bool;
}

/// The one connection that writes.
pub(in crate::store) struct Writer<C: Connect> {
    connect: C,
    state: State<C::Connection>,
}

enum State<C> {
    Ready(C),
    /// A batch failed on it, or is using it.
    Lost,
    Closed,
}

impl<C: Connect> Writer<C> {
    /// Writes on this connection, and where it is lost on another one.
    pub(in crate::store) fn new(connect: C, connection: C::Connection) -> Self {
        Self { connect, state: State::Ready(connection) }
    }

    /// See [`crate::store::Store::write`].
    pub(in crate::store) async fn write(&mut self, batch: &[Write]) -> Result<Results, StoreError> {
        // The connection is out of its place while it is in use, and comes back only after a batch that went well. So
        // whatever happens in between (an error, a panic, a caller who drops this future) closes it, which rolls back,
        // and the next batch opens another. A database may also end a transaction by itself, and nobody would know.
        let mut connection = match mem::replace(&mut self.state, State::Lost) {
            State::Ready(mut connection) => match self.connect.is_alive(&mut connection).await {
                true => connection,
                false => self.connect.connect().await?,
            },
            State::Lost => self.connect.connect().await?,
            State::Closed => {
                self.state = State::Closed;
                return Err(StoreError::Unavailable("the database was closed".to_owned()));
            }
        };
        match self.settle(&mut connection, batch).await {
            Ok(results) => {
                self.state = State::Ready(connection);
                Ok(results)
            }
            Err(error) => {
                // Closed here and not by a drop in the background: its locks must be gone when the caller tries again.
                if let Err(error) = self.connect.close(connection).await {
                    tracing::debug!(%error, "closing a failed connection");
                }
                Err(error)
            }
        }
    }

    /// A batch for which other writers left no way through is begun anew, without them.
    async fn settle(&self, connection: &mut C::Connection, batch: &[Write]) -> Result<Results, StoreError> {
        match self.transact(connection, batch, false).await {
            Err(_) if self.connect.is_conflict(connection) => {
                control(connection, "ROLLBACK").await?;
                self.transact(connection, batch, true).await
            }
            settled => settled,
        }
    }

    /// Batches nearly always go through, so the first attempt spends nothing on keeping writes apart. Where one fails it
    /// is all undone and done again with a savepoint round each write.
    async fn transact(
        &self,
        connection: &mut C::Connection,
        batch: &[Write],
        alone: bool,
    ) -> Result<Results, StoreError> {
        self.connect.begin(connection, alone).await.map_err(unavailable)?;
        let mut results = Vec::with_capacity(batch.len());
        for write in batch {
            match apply(connection, write).await {
                Ok(written) => results.push(Ok(written)),
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                Err(_) => break,
            }
        }
        if results.len() == batch.len() {
            control(connection, "COMMIT").await?;
            return Ok(results);
        }
        control(connection, "ROLLBACK").await?;

        self.connect.begin(connection, alone).await.map_err(unavailable)?;
        results.clear();
        for write in batch {
            results.push(apply_apart(connection, write).await?);
        }
        control(connection, "COMMIT").await?;
        Ok(results)
    }

    /// The connection, where there is one.
    #[cfg(test)]
    pub(in crate::store) fn connection(&mut self) -> Option<&mut C::Connection> {
        match &mut self.state {
            State::Ready(connection) => Some(connection),
            State::Lost | State::Closed => None,
        }
    }

    /// Closes it for good.
    pub(in crate::store) async fn close(&mut self) {
        if let State::Ready(connection) = mem::replace(&mut self.state, State::Closed)
            && let Err(error) = self.connect.close(connection).await
        {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }
}

/// Applies a write in whole or not at all. The outer error is the whole batch's.
async fn apply_apart<S: Session>(session: &mut S, write: &Write) -> Result<Result<Written, StoreError>, StoreError> {
    control(session, "SAVEPOINT one_write").await?;
    let result = apply(session, write).await;
    match &result {
        Err(StoreError::Unavailable(_)) => return result.map(Ok),
        Err(_) => control(session, "ROLLBACK TO one_write").await?,
        Ok(_) => {}
    }
    control(session, "RELEASE one_write").await?;
    Ok(result)
}

/// A statement about the transaction.
async fn control<S: Session>(session: &mut S, statement: &'static str) -> Result<(), StoreError> {
    session.execute(statement, &[]).await.map(drop).map_err(unavailable)
}

/// Where a transaction cannot be begun or ended, the batch did not happen, or nobody knows, whatever the code.
fn unavailable(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(_) => error,
        other => StoreError::Unavailable(other.to_string()),
    }
}
