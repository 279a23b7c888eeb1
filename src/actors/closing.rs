//! How a turn is ended: the row and the events that tell it become durable together, and only then is the end shown.

use std::sync::Arc;
use std::time::Duration;

use super::wiring::Wiring;
use crate::store::{Finish, Store, StoreError, Turn, Write, Written};
use crate::streams::{Streams, TurnLog, follow};
use crate::turn::{ErrorCode, Event, EventId, EventKind, Outcome, Timestamp, TurnId, TurnState, error_data};

/// Wait before an unavailable store is asked again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What is told of a turn that its user ended.
pub const CANCELLED: &str = "the turn was cancelled by its user";

/// The end of a turn, with the event that will tell it.
pub fn finish(turn: &Turn, epoch: i64, outcome: Outcome, streamed: bool, log: &TurnLog) -> Finish {
    let at = Timestamp::now();
    let (kind, data) = match &outcome {
        Outcome::Done(answer) => {
            let mut row = turn.clone();
            row.state = TurnState::Done;
            row.used_tools.clone_from(&answer.trailer.used_tools);
            row.rows_seen.clone_from(&answer.trailer.rows_seen);
            row.classifier_tag.clone_from(&answer.trailer.classifier_tag);
            row.chip_count = i64::from(answer.chip_count);
            row.duration_ms = Some(at.millis_since(turn.queued_at));
            (EventKind::End, follow::end_data(&row, streamed))
        }
        Outcome::Failed { code, message, .. } => (EventKind::Error, error_data(*code, message)),
        Outcome::Cancelled { .. } => (EventKind::Error, error_data(ErrorCode::Cancelled, CANCELLED)),
    };
    Finish { turn_id: turn.turn_id, epoch, outcome, at, events: vec![log.stage(kind, data)] }
}

/// Makes the end durable, however long the store takes. The event to show: this end's, or that of the one which the turn
/// had before (by a try whose reply was lost, or by someone else).
pub async fn record(wiring: Wiring, finish: Finish) -> Option<Event> {
    let turn_id = finish.turn_id;
    let ending = finish.events.last().cloned();
    match wiring.recorder.write_until_durable(Write::FinishTurn(Box::new(finish))).await {
        Ok(Written::Turn(Some(turn))) => {
            let (state, code, duration_ms) = (turn.state, turn.error_code, turn.duration_ms);
            tracing::info!(%turn_id, %state, ?code, duration_ms, "turn ended");
            ending
        }
        Ok(_) => stored_ending(&*wiring.store, turn_id).await,
        Err(error) => {
            tracing::error!(%turn_id, %error, "the end of the turn cannot be recorded");
            None
        }
    }
}

/// The final event that the store has of a turn.
async fn stored_ending(store: &dyn Store, turn_id: TurnId) -> Option<Event> {
    read_events(store, turn_id).await.into_iter().rfind(|event| event.kind.is_final())
}

/// The events that the store has of a turn, however long it takes to answer.
async fn read_events(store: &dyn Store, turn_id: TurnId) -> Vec<Event> {
    loop {
        match store.events_after(turn_id, EventId::START, u32::MAX).await {
            Ok(events) => return events,
            Err(StoreError::Unavailable(reason)) => {
                tracing::warn!(%turn_id, reason, "events not read, the store is unavailable");
                tokio::time::sleep(READ_AGAIN).await;
            }
            Err(error) => {
                tracing::error!(%turn_id, %error, "events cannot be read");
                return Vec::new();
            }
        }
    }
}

/// Shows the end to whoever follows the turn; who comes later reads the store. Without an end to show, the turn belongs
/// to a later owner, and so does its log.
pub fn tell(streams: &Streams, turn_id: TurnId, ending: Option<Event>) {
    let Some(event) = ending else { return };
    if let Some(log) = streams.get(turn_id) {
        log.publish(&[event]);
    }
    streams.close(turn_id);
}

/// What became of a turn that was to be ended.
#[derive(Debug)]
pub struct Settled {
    /// The event that tells its end, if that is recorded.
    pub ending: Option<Event>,
    /// It is this try that ended it.
    pub by_us: bool,
    /// It had a log, which is closed now.
    pub had_log: bool,
}

/// Ends a turn that has no runner (any more), from record to telling: cancelled, or failed with another code.
pub async fn settle(wiring: Wiring, turn: Turn, epoch: i64, code: ErrorCode, message: &str) -> Settled {
    let open = wiring.streams.get(turn.turn_id);
    let had_log = open.is_some();
    let log = match open {
        Some(log) => log,
        None => Arc::new(TurnLog::restored(&read_events(&*wiring.store, turn.turn_id).await)),
    };
    log.begin_epoch(epoch);
    let partial = Some(log.text()).filter(|text| !text.is_empty());
    let outcome = match code {
        ErrorCode::Cancelled => Outcome::Cancelled { partial },
        code => Outcome::Failed { code, message: message.to_owned(), partial },
    };
    let finish = finish(&turn, epoch, outcome, false, &log);
    let ours = finish.events.last().cloned();
    let ending = record(wiring.clone(), finish).await;
    tell(&wiring.streams, turn.turn_id, ending.clone());
    Settled { by_us: ending.is_some() && ending == ours, ending, had_log }
}
