//! Reads of a turn that are made however long the store takes: where they were given up, nobody would look after the turn.

use std::time::Duration;

use tokio::time::sleep;

use crate::store::{Store, StoreError, Turn};
use crate::turn::{Event, EventId, TurnId};

/// Wait before an unavailable store is asked again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// The row of a turn; `None` also where it cannot be read.
pub(super) async fn turn(store: &dyn Store, turn_id: TurnId) -> Option<Turn> {
    patiently(turn_id, || store.turn(turn_id)).await.flatten()
}

/// The events that the store has of a turn; none also where they cannot be read.
pub(super) async fn events(store: &dyn Store, turn_id: TurnId) -> Vec<Event> {
    patiently(turn_id, || store.events_after(turn_id, EventId::START, u32::MAX)).await.unwrap_or_default()
}

async fn patiently<T, R: Future<Output = Result<T, StoreError>>>(turn_id: TurnId, read: impl Fn() -> R) -> Option<T> {
    loop {
        match read().await {
            Ok(answer) => return Some(answer),
            Err(StoreError::Unavailable(reason)) => {
                tracing::warn!(%turn_id, reason, "turn not read yet, the store is unavailable");
                sleep(READ_AGAIN).await;
            }
            Err(error) => {
                tracing::error!(%turn_id, %error, "turn cannot be read");
                return None;
            }
        }
    }
}
