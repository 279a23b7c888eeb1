//! How a user ends a turn before its answer, and answers what the agent asks.
//!
//! A turn that has a runner is ended by it. One that waits is ended here; while that goes on it is not started, so a
//! turn is never recorded as cancelled behind its runner's back.

use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};

use super::{SessionActor, SessionMsg, SessionState};
use crate::actors::closing::{self, CANCELLED, Settled};
use crate::actors::turn::{Answered, NoReply, TurnMsg};
use crate::actors::wiring::Wiring;
use crate::store::StoreError;
use crate::turn::{ErrorCode, TurnId, TurnState};

/// What a cancel is answered: whether it is this one that ended the turn.
pub type Cancelled = Result<bool, StoreError>;

impl SessionActor {
    pub(super) fn cancel(&self, state: &mut SessionState, turn_id: TurnId, reply: oneshot::Sender<Cancelled>) {
        if let Some(current) = state.current.as_ref().filter(|current| current.turn.turn_id == turn_id) {
            let (taken, answer) = oneshot::channel();
            let (code, message) = (ErrorCode::Cancelled, CANCELLED.to_owned());
            let _ = current.address.send(TurnMsg::End { code, message, taken: Some(taken) });
            tokio::spawn(async move {
                // A runner that is gone has ended its turn, or it is just ended as failed.
                let _ = reply.send(Ok(answer.await.unwrap_or(false)));
            });
            return;
        }
        let waiting = state.cancelling.entry(turn_id).or_default();
        waiting.push(reply);
        if waiting.len() == 1 {
            let cancel = end_queued(self.wiring.clone(), self.row.epoch, state.settling.clone(), turn_id);
            self.address.pipe(cancel, move |outcome| SessionMsg::CancelDone(turn_id, outcome));
        }
    }

    pub(super) fn cancel_done(
        &self,
        state: &mut SessionState,
        turn_id: TurnId,
        outcome: Result<Option<Settled>, StoreError>,
    ) {
        let waiting = state.cancelling.remove(&turn_id).unwrap_or_default();
        if let Ok(Some(settled)) = &outcome {
            if self.wiring.streams.get(turn_id).is_some() {
                // Word of the turn came while it was being ended.
                closing::tell(&self.wiring.streams, turn_id, settled.ending.clone());
            } else if !settled.had_log && settled.ending.is_some() {
                state.ended_unheard.insert(turn_id);
            }
            state.queued.retain(|queued| *queued != turn_id);
            // Those behind it move up.
            state.moved = Some(state.moved.map_or(turn_id, |moved| moved.min(turn_id)));
        }
        let mut answer = outcome.map(|settled| settled.is_some_and(|settled| settled.by_us));
        for reply in waiting {
            let _ = reply.send(answer.clone());
            // It is ended once.
            answer = answer.map(|_| false);
        }
        self.look(state);
        self.note(state);
    }

    pub(super) fn reply(state: &SessionState, turn_id: TurnId, line: String, reply: oneshot::Sender<Answered>) {
        let (handed, answer) = oneshot::channel();
        if let Some(current) = state.current.as_ref().filter(|current| current.turn.turn_id == turn_id) {
            let _ = current.address.send(TurnMsg::Reply(line, handed));
        }
        tokio::spawn(async move {
            // Without a runner, or with one that is just gone, nothing is asked.
            let nothing = |_| Err(NoReply::NothingAsked.into());
            let _ = reply.send(answer.await.unwrap_or_else(nothing));
        });
    }
}

/// Ends a turn that waits; `None` where it waits no more. One at a time with whoever else ends waiting turns of this
/// session (`settling`): a turn's log has one writer.
pub(super) async fn end_queued(
    wiring: Wiring,
    epoch: i64,
    settling: Arc<Mutex<()>>,
    turn_id: TurnId,
) -> Result<Option<Settled>, StoreError> {
    let _only = settling.lock().await;
    let turn = wiring.store.turn(turn_id).await?.filter(|turn| turn.state == TurnState::Queued);
    let Some(turn) = turn else { return Ok(None) };
    Ok(Some(closing::settle(wiring, turn, epoch, ErrorCode::Cancelled, CANCELLED).await))
}
