//! How a user ends a turn before its answer, and answers what the agent asks.
//!
//! A turn that has a runner is ended by it. One that waits is ended here; while that goes on it is not started, so a
//! turn is never recorded as cancelled behind its runner's back.

use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};

use super::{SessionActor, SessionMsg, SessionState};
use crate::actors::closing::{self, Cause};
use crate::actors::turn::{Answered, NoReply, PersonsReply, TurnMsg};
use crate::actors::wiring::Wiring;
use crate::store::StoreError;
use crate::turn::{TurnId, TurnState};

/// What a cancel is answered: whether it is this one that ended the turn.
pub type Cancelled = Result<bool, StoreError>;

/// A turn that is being cancelled while it waits.
pub struct Cancelling {
    /// In whose name.
    by: String,
    /// Who wants to know.
    waiting: Vec<oneshot::Sender<Cancelled>>,
    /// Its end is on its way to the store.
    under_way: bool,
}

/// What became of ending a turn that waited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It is cancelled.
    Cancelled,
    /// It did not wait any more, or someone else ended it.
    Otherwise,
    /// It was committed a moment ago: word of it is still on its way, and its log is opened only then.
    Unheard,
}

impl SessionActor {
    pub(super) fn cancel(
        &self,
        state: &mut SessionState,
        turn_id: TurnId,
        by: String,
        reply: oneshot::Sender<Cancelled>,
    ) {
        if let Some(current) = state.current.as_ref().filter(|current| current.turn.turn_id == turn_id) {
            let (taken, answer) = oneshot::channel();
            let _ = current.address.send(TurnMsg::End { cause: Cause::Cancelled { by }, taken: Some(taken) });
            tokio::spawn(async move {
                // A runner that is gone has ended its turn, or it is just ended as failed.
                let _ = reply.send(Ok(answer.await.unwrap_or(false)));
            });
            return;
        }
        self.cancel_waiting(state, turn_id, by, Some(reply));
    }

    /// Cancels a turn that waits, whoever wants to know of it.
    pub(super) fn cancel_waiting(
        &self,
        state: &mut SessionState,
        turn_id: TurnId,
        by: String,
        reply: Option<oneshot::Sender<Cancelled>>,
    ) {
        let fresh = || Cancelling { by, waiting: Vec::new(), under_way: false };
        state.cancelling.entry(turn_id).or_insert_with(fresh).waiting.extend(reply);
        self.end_cancelled(state, turn_id);
    }

    /// Ends this turn, if it is to be cancelled and that is not under way.
    pub(super) fn end_cancelled(&self, state: &mut SessionState, turn_id: TurnId) {
        let Some(cancelling) = state.cancelling.get_mut(&turn_id).filter(|cancelling| !cancelling.under_way) else {
            return;
        };
        cancelling.under_way = true;
        let (wiring, settling, by) = (self.wiring.clone(), state.settling.clone(), cancelling.by.clone());
        let ending = end_queued(wiring, self.row.epoch, settling, turn_id, by);
        self.address.pipe(ending, move |outcome| SessionMsg::CancelDone(turn_id, outcome));
    }

    pub(super) fn cancel_done(&self, state: &mut SessionState, turn_id: TurnId, outcome: Result<Ended, StoreError>) {
        if matches!(outcome, Ok(Ended::Unheard)) {
            if let Some(cancelling) = state.cancelling.get_mut(&turn_id) {
                cancelling.under_way = false;
            }
            // Word of it came meanwhile, or it wakes us again; where none will come, a look tells.
            if self.wiring.streams.get(turn_id).is_some() {
                self.end_cancelled(state, turn_id);
            } else {
                self.look(state);
            }
            return;
        }
        let waiting = state.cancelling.remove(&turn_id).map(|cancelling| cancelling.waiting).unwrap_or_default();
        if matches!(outcome, Ok(Ended::Cancelled)) {
            state.queued.retain(|queued| *queued != turn_id);
            // Those behind it move up.
            state.moved = Some(state.moved.map_or(turn_id, |moved| moved.min(turn_id)));
        }
        let is_known = outcome.is_ok();
        let mut answer = outcome.map(|ended| ended == Ended::Cancelled);
        for reply in waiting {
            let _ = reply.send(answer.clone());
            // It is ended once.
            answer = answer.map(|_| false);
        }
        if is_known {
            self.look(state);
        } else {
            // It is still next in line.
            self.look_later();
        }
        self.note(state);
    }

    pub(super) fn reply(state: &SessionState, turn_id: TurnId, said: PersonsReply, reply: oneshot::Sender<Answered>) {
        let (handed, answer) = oneshot::channel();
        if let Some(current) = state.current.as_ref().filter(|current| current.turn.turn_id == turn_id) {
            let _ = current.address.send(TurnMsg::Reply(said, handed));
        }
        tokio::spawn(async move {
            // Without a runner, or with one that is just gone, nothing is asked.
            let nothing = |_| Err(NoReply::NothingAsked.into());
            let _ = reply.send(answer.await.unwrap_or_else(nothing));
        });
    }
}

/// Ends a turn that waits. One at a time with whoever else ends waiting turns of this session (`settling`): a turn's log
/// has one writer.
async fn end_queued(
    wiring: Wiring,
    epoch: i64,
    settling: Arc<Mutex<()>>,
    turn_id: TurnId,
    by: String,
) -> Result<Ended, StoreError> {
    let _only = settling.lock().await;
    let turn = wiring.store.turn(turn_id).await?.filter(|turn| turn.state == TurnState::Queued);
    let Some(turn) = turn else { return Ok(Ended::Otherwise) };
    if wiring.streams.get(turn_id).is_none() {
        return Ok(Ended::Unheard);
    }
    let by_us = closing::settle(wiring, turn, epoch, Cause::Cancelled { by }).await?;
    Ok(if by_us { Ended::Cancelled } else { Ended::Otherwise })
}
