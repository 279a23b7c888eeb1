//! One look at a turn that has failed: an answer that is there is recorded, whenever it came.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::decide::Awaited;
use crate::actors::closing;
use crate::actors::wiring::Wiring;
use crate::agent::answer;
use crate::backend::BackendError;
use crate::store::{Finish, StoreError, Turn, Write, Written};
use crate::streams::{TurnLog, follow};
use crate::turn::{Answer, Event, EventId, EventKind, Outcome, Timestamp, TurnId, TurnState};

/// How long an answer that is on its way is waited for by whoever asks for its turn.
const COMING: Duration = Duration::from_secs(1);

/// What became of a turn that is awaited.
#[derive(Debug)]
pub enum Attended {
    /// It has its answer, or it was given up: it is awaited no more.
    Over(TurnId),
    /// Nothing is there yet.
    Kept(Awaited),
    /// Something is there that cannot be used.
    Refused(Awaited, BackendError),
    /// The store does not do its part.
    Unable(Awaited, StoreError),
}

impl Attended {
    /// Which turn.
    pub fn turn_id(&self) -> TurnId {
        match self {
            Self::Over(turn_id) => *turn_id,
            Self::Kept(turn) | Self::Refused(turn, _) | Self::Unable(turn, _) => turn.turn_id,
        }
    }
}

/// What can be said to whoever asks for a failed turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hope {
    /// Its row is not that of a failed turn (any more).
    Answered,
    /// Nothing is there, but the agent is at work on it, or cannot be asked.
    Working,
    /// Nothing is there, and the agent is done with it or gone.
    Nothing,
}

/// What lies there.
enum Looked {
    /// The row tells all there is to be told.
    Closed,
    Nothing,
    Refused(BackendError),
}

/// Records the answer, if it is there; gives the turn up, if its time is over and none can come any more.
pub(super) async fn attend(wiring: &Wiring, turn: Awaited) -> Attended {
    let window = wiring.limits.upkeep.recovery_window;
    let mut looked = look(wiring, &turn).await;
    if !turn.is_recent(Timestamp::now(), window)
        && matches!(looked, Ok(Looked::Nothing | Looked::Refused(_)))
        && may_come(wiring, &turn).await == Some(false)
    {
        // It may have come just before the agent was seen to be done.
        looked = look(wiring, &turn).await;
        if matches!(looked, Ok(Looked::Nothing | Looked::Refused(_))) {
            tracing::info!(turn_id = %turn.turn_id, "no late answer came");
            wiring.backend.forget(&turn.session, turn.turn_id);
            return Attended::Over(turn.turn_id);
        }
    }
    match looked {
        Ok(Looked::Closed) => Attended::Over(turn.turn_id),
        Ok(Looked::Nothing) => Attended::Kept(turn),
        Ok(Looked::Refused(error)) => Attended::Refused(turn, error),
        Err(error) => Attended::Unable(turn, error),
    }
}

/// Records the answer, if it is there; else tells whether it may still come.
///
/// # Errors
/// Where the store does not do its part.
pub(super) async fn hope(wiring: &Wiring, turn: &Awaited) -> Result<Hope, StoreError> {
    let mut looked = look(wiring, turn).await?;
    if matches!(looked, Looked::Nothing) && came(wiring, turn).await {
        looked = look(wiring, turn).await?;
    }
    let mut hope = Hope::Working;
    if !matches!(looked, Looked::Closed) && may_come(wiring, turn).await == Some(false) {
        // It may have come just before the agent was seen to be done.
        looked = look(wiring, turn).await?;
        hope = Hope::Nothing;
    }
    // Where nothing is there, someone else may have recorded and removed it meanwhile.
    let is_failed = |row: Turn| row.state == TurnState::Failed;
    match looked {
        Looked::Nothing | Looked::Refused(_) if wiring.store.turn(turn.turn_id).await?.is_some_and(is_failed) => {
            Ok(hope)
        }
        _ => Ok(Hope::Answered),
    }
}

/// Whether an answer was on its way, and has come: that it is complete is told a moment after it can be seen.
async fn came(wiring: &Wiring, turn: &Awaited) -> bool {
    let is_coming = || wiring.backend.is_coming(&turn.session, turn.turn_id);
    let Some(mut changes) = wiring.backend.changes(&turn.session).filter(|_| is_coming()) else { return false };
    let whole = async { while is_coming() && changes.changed().await.is_ok() {} };
    timeout(COMING, whole).await.is_ok()
}

/// Whether the agent may still come to an answer; `None` where it cannot be asked.
async fn may_come(wiring: &Wiring, turn: &Awaited) -> Option<bool> {
    let Some(pane) = &turn.pane else { return Some(false) };
    match wiring.backend.works_on(&turn.session, pane, turn.turn_id).await {
        Ok(works) => Some(works),
        Err(error) => {
            tracing::debug!(turn_id = %turn.turn_id, %error, "nothing is known of the turn's agent");
            None
        }
    }
}

async fn look(wiring: &Wiring, turn: &Awaited) -> Result<Looked, StoreError> {
    match wiring.backend.answer(&turn.session, turn.turn_id).await {
        Ok(None) => Ok(Looked::Nothing),
        Ok(Some(text)) => record(wiring, turn, &text).await,
        Err(error) => Ok(Looked::Refused(error)),
    }
}

async fn record(wiring: &Wiring, turn: &Awaited, text: &str) -> Result<Looked, StoreError> {
    let turn_id = turn.turn_id;
    let row = wiring.store.turn(turn_id).await?.filter(|row| row.state == TurnState::Failed);
    if let Some(row) = row {
        let events = wiring.store.events_after(turn_id, EventId::START, u32::MAX).await?;
        let finish = finish(&row, &events, answer::read(text), Timestamp::now());
        // Where another look was faster, or another owner, nothing is written.
        if let Written::Turn(Some(row)) = wiring.recorder.write(Write::RecordLate(Box::new(finish))).await? {
            let code = row.error_history.as_array().and_then(|history| history.last()).map(|last| last["code"].clone());
            tracing::info!(%turn_id, ?code, duration_ms = row.duration_ms, "a late answer was recorded");
        }
    }
    wiring.backend.forget(&turn.session, turn_id);
    Ok(Looked::Closed)
}

/// The late end of a failed turn, with the events that tell it behind those that are stored.
fn finish(row: &Turn, events: &[Event], answer: Answer, at: Timestamp) -> Finish {
    let log = TurnLog::restored(events);
    // Where the events are gone, their ids shall not come again: clients may hold them.
    log.begin_epoch(row.epoch + i64::from(events.is_empty()));
    let answered = Turn { late: true, ..closing::answered(row, &answer, at) };
    let resync = log.stage(EventKind::Resync, json!({ "text": answer.body }));
    let end = log.stage(EventKind::End, follow::end_data(&answered, false));
    let (turn_id, epoch) = (row.turn_id, row.epoch);
    Finish { turn_id, epoch, outcome: Outcome::Done(answer), at, events: vec![resync, end], audit: None }
}

#[cfg(test)]
mod tests {
    use super::super::decide::tests::turn;
    use super::*;

    fn event(epoch: i64, seq: i64, kind: EventKind) -> Event {
        Event { id: EventId { epoch, seq }, kind, data: json!({}) }
    }

    fn ids(finish: &Finish) -> Vec<(i64, i64, EventKind)> {
        finish.events.iter().map(|event| (event.id.epoch, event.id.seq, event.kind)).collect()
    }

    #[test]
    fn a_late_end_goes_behind_the_error() {
        let row = turn(TurnState::Failed, Some(2_000));
        let events = [event(0, 1, EventKind::Queued), event(3, 1, EventKind::Meta), event(3, 2, EventKind::Error)];
        let answer = answer::read("All is well.\n<!-- paliadin {\"used_tools\":[\"sql\"],\"rows_seen\":[2]} -->");
        let finish = finish(&row, &events, answer, Timestamp(7_000));
        assert_eq!(ids(&finish), [(3, 3, EventKind::Resync), (3, 4, EventKind::End)]);
        assert_eq!(finish.epoch, 3);
        assert_eq!(finish.events[0].data, json!({ "text": "All is well." }));
        let end = &finish.events[1].data;
        assert_eq!((&end["late"], &end["streamed"]), (&json!(true), &json!(false)));
        assert_eq!((&end["used_tools"], &end["rows_seen"]), (&json!(["sql"]), &json!([2])));
        assert_eq!(end["duration_ms"], 6_000);
    }

    #[test]
    fn an_id_that_was_pruned_does_not_come_again() {
        let row = turn(TurnState::Failed, Some(2_000));
        let finish = finish(&row, &[], answer::read("x"), Timestamp(7_000));
        assert_eq!(ids(&finish), [(4, 1, EventKind::Resync), (4, 2, EventKind::End)]);
        assert_eq!(finish.epoch, 3, "the row's own epoch stays");
    }
}
