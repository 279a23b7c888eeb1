//! How a turn is ended: the row and the events that tell it become durable together, and only then is the end shown.

use std::sync::Arc;

use super::janitor::JanitorMsg;
use super::janitor::decide::Awaited;
use super::reading;
use super::wiring::Wiring;
use crate::store::{AuditEntry, Finish, Store, StoreError, Turn, Write, Written};
use crate::streams::{Streams, TurnLog, follow};
use crate::turn::{Answer, ErrorCode, Event, EventKind, Outcome, Timestamp, TurnId, TurnState, error_data};

/// What is told of a turn that its user ended.
pub const CANCELLED: &str = "the turn was cancelled by its user";

/// Why a turn ends without an answer.
#[derive(Clone, Debug)]
pub enum Cause {
    /// It is cancelled.
    Cancelled {
        /// In whose name, for the audit log.
        by: String,
    },
    /// It fails.
    Failed {
        /// The stable code.
        code: ErrorCode,
        /// For people.
        message: String,
    },
}

impl Cause {
    /// A failure with this code.
    pub fn failed(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into() }
    }
}

/// In whose name a turn is to be cancelled because its conversation was deleted; `None` where that was not.
///
/// # Errors
/// Where the store cannot be read.
pub async fn deleted_by(store: &dyn Store, turn: &Turn) -> Result<Option<String>, StoreError> {
    let conversation = store.conversation(turn.session_id).await?;
    if conversation.is_none_or(|conversation| conversation.hidden_at.is_none()) {
        return Ok(None);
    }
    let user = store.user(turn.user_id).await?;
    Ok(Some(user.map_or_else(|| turn.user_id.to_string(), |user| user.email)))
}

/// The end of a turn, with the event that will tell it; `by` is in whose name it is cancelled, if it is.
pub fn finish(turn: &Turn, epoch: i64, outcome: Outcome, streamed: bool, log: &TurnLog, by: Option<&str>) -> Finish {
    let at = Timestamp::now();
    let (kind, data) = match &outcome {
        Outcome::Done(answer) => (EventKind::End, follow::end_data(&answered(turn, answer, at), streamed)),
        Outcome::Failed { code, message, .. } => (EventKind::Error, error_data(*code, message)),
        Outcome::Cancelled { .. } => (EventKind::Error, error_data(ErrorCode::Cancelled, CANCELLED)),
    };
    let turn_id = turn.turn_id;
    let by = by.filter(|_| matches!(outcome, Outcome::Cancelled { .. }));
    let audit = by.map(|by| AuditEntry { at, ..AuditEntry::now(by, "turn.cancel", turn_id) });
    Finish { turn_id, epoch, outcome, at, events: vec![log.stage(kind, data)], audit }
}

/// The row of a turn with this answer, as far as its `end` tells of it.
pub fn answered(turn: &Turn, answer: &Answer, at: Timestamp) -> Turn {
    let mut row = turn.clone();
    row.state = TurnState::Done;
    row.used_tools.clone_from(&answer.trailer.used_tools);
    row.rows_seen.clone_from(&answer.trailer.rows_seen);
    row.classifier_tag.clone_from(&answer.trailer.classifier_tag);
    row.chip_count = i64::from(answer.chip_count);
    row.duration_ms = Some(at.millis_since(turn.queued_at));
    row
}

/// Makes the end of a turn of this agent session durable, however long the store takes. The event to show: this end's, or
/// that of the one which the turn had before (by a try whose reply was lost, or by someone else).
///
/// # Errors
/// Where the end cannot be recorded, however often it is tried.
pub async fn record(wiring: Wiring, session: &str, finish: Finish) -> Result<Option<Event>, StoreError> {
    let turn_id = finish.turn_id;
    // First: whatever becomes of the rest, a turn that is over has no token. Should its end be lost with the server, the next
    // one gives it another.
    wiring.backend.revoke(session, turn_id);
    let ending = finish.events.last().cloned();
    match wiring.recorder.write_until_durable(Write::FinishTurn(Box::new(finish))).await {
        Ok(Written::Turn(Some(turn))) => {
            let (state, code, duration_ms) = (turn.state, turn.error_code, turn.duration_ms);
            tracing::info!(%turn_id, %state, ?code, duration_ms, "turn ended");
            if let Some(failed) = Awaited::of(&turn) {
                // Where the janitor is just being restarted, it finds the turn in the table.
                let _ = wiring.janitor.send(JanitorMsg::Failed(failed));
            }
            Ok(ending)
        }
        Ok(_) => Ok(stored_ending(&*wiring.store, turn_id).await),
        Err(error) => {
            tracing::error!(%turn_id, %error, "the end of the turn cannot be recorded");
            Err(error)
        }
    }
}

/// The final event that the store has of a turn.
async fn stored_ending(store: &dyn Store, turn_id: TurnId) -> Option<Event> {
    reading::events(store, turn_id).await.into_iter().rfind(|event| event.kind.is_final())
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

/// Shows the end that the store has of a turn whose row is final. Nobody owns its log then.
pub(super) async fn tell_stored(wiring: &Wiring, turn_id: TurnId) {
    let ending = stored_ending(&*wiring.store, turn_id).await;
    tell(&wiring.streams, turn_id, ending);
    wiring.streams.close(turn_id);
}

/// Ends a turn that has no runner (any more), from record to telling. Whether it is this try that ended it.
///
/// # Errors
/// Where the end cannot be recorded; nothing is told then.
pub async fn settle(wiring: Wiring, turn: Turn, epoch: i64, cause: Cause) -> Result<bool, StoreError> {
    let log = match wiring.streams.get(turn.turn_id) {
        Some(log) => log,
        None => Arc::new(TurnLog::restored(&reading::events(&*wiring.store, turn.turn_id).await)),
    };
    log.begin_epoch(epoch);
    let partial = Some(log.text()).filter(|text| !text.is_empty());
    let (outcome, by) = match cause {
        Cause::Cancelled { by } => (Outcome::Cancelled { partial }, Some(by)),
        Cause::Failed { code, message } => (Outcome::Failed { code, message, partial }, None),
    };
    let finish = finish(&turn, epoch, outcome, false, &log, by.as_deref());
    let ours = finish.events.last().cloned();
    let ending = record(wiring.clone(), &turn.agent_session, finish).await?;
    let by_us = ending.is_some() && ending == ours;
    tell(&wiring.streams, turn.turn_id, ending);
    Ok(by_us)
}
