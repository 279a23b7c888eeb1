//! The queue: looks at the table, runs what is next, and looks after a turn whose runner is over.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::intake::queued_data;
use super::{Child, Current, Left, SessionActor, SessionMsg, SessionState};
use crate::actors::address::Address;
use crate::actors::closing::{self, Cause};
use crate::actors::pane::PaneMsg;
use crate::actors::supervise::ChildSpec;
use crate::actors::turn::{Leaves, TurnActor, TurnMsg};
use crate::faults;
use crate::store::{SessionPatch, StoreError, Turn, Write};
use crate::turn::{ErrorCode, Event, EventId, EventKind, Timestamp, TurnId, TurnState};

/// Wait before a queue that could not be read is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What waits, as the store has it.
pub struct Queue {
    /// First come, first served.
    turns: Vec<TurnId>,
    /// The first of them.
    next: Option<Next>,
    /// Those that wait although they never had a log, with their events.
    unheard: Vec<(TurnId, Vec<Event>)>,
    /// How many turns had been submitted when this was read; `None` where the table still had to say something to one.
    submits: Option<u64>,
}

/// The turn that is next in line.
struct Next {
    turn: Box<Turn>,
    /// Its conversation was deleted, by this user: it is not run.
    deleted_by: Option<String>,
}

impl SessionActor {
    /// Looks what is next, if something could be started now.
    pub(super) fn look(&self, state: &mut SessionState) {
        if state.looking {
            state.look_again = true;
            return;
        }
        state.looking = true;
        state.look_again = false;
        let submits = Some(state.submits).filter(|_| state.submitting == 0);
        let (store, streams, name) = (self.wiring.store.clone(), self.wiring.streams.clone(), self.row.name.clone());
        let read = async move {
            faults::halt("session.look").await;
            let turns = store.queued(&name).await?;
            let mut unheard = Vec::new();
            for turn_id in turns.iter().copied().filter(|turn_id| streams.get(*turn_id).is_none()) {
                // Read after the look for the log: that of a turn which has just ended is gone, too.
                if store.turn(turn_id).await?.is_some_and(|turn| turn.state == TurnState::Queued) {
                    unheard.push((turn_id, store.events_after(turn_id, EventId::START, u32::MAX).await?));
                }
            }
            let next = match turns.first() {
                Some(first) => store.turn(*first).await?,
                None => None,
            };
            let next = match next {
                Some(turn) => {
                    let deleted_by = closing::deleted_by(&*store, &turn).await?;
                    Some(Next { turn: Box::new(turn), deleted_by })
                }
                None => None,
            };
            Ok(Queue { turns, next, unheard, submits })
        };
        self.address.pipe(read, |queue| SessionMsg::Queue(Box::new(queue)));
    }

    /// Something is over. Whoever waits for the agent's place asks for it first: word of that is before that of what is
    /// next, which may come as soon as it is looked for.
    pub(super) fn go_further(&self, state: &mut SessionState) {
        self.note(state);
        self.look(state);
    }

    /// Looks in a while: what is to be seen now is known, and leads to nothing.
    pub(super) fn look_later(&self) {
        self.address.pipe(tokio::time::sleep(LOOK_AGAIN), |()| SessionMsg::Look);
    }

    pub(super) async fn queue(
        &self,
        myself: &ActorRef<SessionMsg>,
        state: &mut SessionState,
        queue: Result<Queue, StoreError>,
    ) -> Result<(), ActorProcessingErr> {
        state.looking = false;
        let is_known = queue.is_ok();
        let Queue { turns, next, unheard, submits } = match queue {
            Ok(queue) => queue,
            Err(error) => {
                tracing::error!(session = %self.row.name, %error, "the queue cannot be read");
                self.look_later();
                Queue { turns: Vec::new(), next: None, unheard: Vec::new(), submits: None }
            }
        };
        if submits == Some(state.submits) {
            self.take_unheard(state, unheard);
        }
        // A turn whose runner has not claimed it yet is still queued in the table.
        let running = state.current.as_ref().map(|current| current.turn.turn_id);
        state.queued = turns.into_iter().filter(|id| Some(*id) != running).collect();
        let blocked =
            state.current.is_some() || state.draining.is_some() || state.ending || !state.kept || state.taking_over;
        // Found before the session was asked for its place, of which word is behind this one.
        let blocked = blocked || (state.look_again && self.wiring.seats.is_wanted(&self.row.name));
        // A turn without a log was committed a moment ago: word of it is still on its way, and wakes us again.
        let can_run = |turn: &Turn| {
            turn.state == TurnState::Queued
                && !state.cancelling.contains_key(&turn.turn_id)
                && self.wiring.streams.get(turn.turn_id).is_some()
        };
        let next = next.filter(|next| !blocked && can_run(&next.turn));
        if let Some(Next { turn, deleted_by: Some(by) }) = next {
            // Whoever deleted it could not end it then, or is about to.
            self.cancel_waiting(state, turn.turn_id, by, None);
        } else if let Some(Next { turn, .. }) = next {
            state.queued.retain(|id| *id != turn.turn_id);
            self.run(myself, state, *turn).await?;
            state.moved = None;
            self.tell_positions(state, None);
        } else if is_known
            && !state.look_again
            && let Some(moved) = state.moved.take()
        {
            self.tell_positions(state, Some(moved));
        }
        self.make_room(state);
        self.note(state);
        if state.look_again {
            self.look(state);
        }
        Ok(())
    }

    /// Opens the logs of turns that were committed while the word of it was lost, as it is where the database's connection
    /// breaks in that moment: no more word will come, and they are run as any other.
    fn take_unheard(&self, state: &mut SessionState, unheard: Vec<(TurnId, Vec<Event>)>) {
        for (turn_id, events) in unheard {
            tracing::warn!(%turn_id, "a turn was accepted and nobody was told; it is run all the same");
            self.wiring.streams.restore(turn_id, &events);
            self.end_cancelled(state, turn_id);
        }
    }

    /// Goes on with a turn that an earlier owner left running.
    pub(super) async fn go_on(
        &self,
        myself: &ActorRef<SessionMsg>,
        state: &mut SessionState,
        Left { turn, deleted_by }: Left,
    ) -> Result<(), ActorProcessingErr> {
        tracing::info!(session = %self.row.name, turn_id = %turn.turn_id, "taking up a turn that was left running");
        self.run(myself, state, turn).await?;
        if let (Some(by), Some(current)) = (deleted_by, &state.current) {
            let _ = current.address.send(TurnMsg::End { cause: Cause::Cancelled { by }, taken: None });
        }
        Ok(())
    }

    async fn run(
        &self,
        myself: &ActorRef<SessionMsg>,
        state: &mut SessionState,
        turn: Turn,
    ) -> Result<(), ActorProcessingErr> {
        let turn_id = turn.turn_id;
        let address = Address::new(self.wiring.registry.enter(&self.turn_path(turn_id), "turn"));
        let runner = TurnActor {
            wiring: self.wiring.clone(),
            address: address.clone(),
            session: self.address.clone(),
            session_name: self.row.name.clone(),
            pane: state.pane.clone(),
            epoch: self.row.epoch,
            log: self.wiring.streams.open(turn_id),
        };
        let (actor, _) = Actor::spawn_linked(None, runner, turn.clone(), myself.get_cell()).await?;
        state.children.started(Child::Turn(turn_id), ChildSpec::TEMPORARY, &actor.get_cell(), address.gauge());
        state.current = Some(Box::new(Current { turn, address }));
        Ok(())
    }

    /// Tells the turns that wait how many are before them now, where that is news; those after `moved` only, where that
    /// is given.
    fn tell_positions(&self, state: &SessionState, moved: Option<TurnId>) {
        let running = usize::from(state.current.is_some());
        for (index, turn_id) in state.queued.iter().enumerate() {
            // What is just being ended has another writer.
            let is_ending = state.ending || state.cancelling.contains_key(turn_id);
            if is_ending || moved.is_some_and(|moved| *turn_id < moved) {
                continue;
            }
            let Some(log) = self.wiring.streams.get(*turn_id) else { continue };
            let ahead = u32::try_from(index + running).unwrap_or(u32::MAX);
            if log.queued_at() == Some(ahead.into()) {
                continue;
            }
            let event = log.stage(EventKind::Queued, queued_data(*turn_id, ahead));
            log.publish(std::slice::from_ref(&event));
            self.wiring.recorder.append(*turn_id, vec![event]);
        }
    }

    pub(super) fn turn_over(&self, state: &mut SessionState, turn_id: TurnId, leaves: Leaves, lost: bool) {
        if state.current.as_ref().is_none_or(|current| current.turn.turn_id != turn_id) {
            return;
        }
        state.current = None;
        // It may have ended while it waited for its agent.
        let _ = state.pane.send(PaneMsg::Unwanted);
        self.idles(state);
        let patch = SessionPatch { last_used_at: Some(Timestamp::now()), ..SessionPatch::default() };
        self.wiring.recorder.later(Write::PatchAgentSession { name: self.row.name.clone(), patch });
        if leaves == Leaves::Idle {
            self.end_outdated(state);
            // Should one that was lost still be queued, the next look shall not follow at once.
            if !lost {
                return self.go_further(state);
            }
            self.look_later();
        } else {
            self.drain(state, turn_id, leaves, None);
        }
        self.note(state);
    }

    /// A panic or an error in a runner ends its turn, and nothing else.
    pub(super) fn runner_failed(&self, state: &mut SessionState, turn_id: TurnId, why: &str) {
        tracing::error!(session = %self.row.name, %turn_id, why, "the turn's runner failed");
        let current = state.current.as_ref().filter(|current| current.turn.turn_id == turn_id);
        let Some(turn) = current.map(|current| current.turn.clone()) else { return };
        let (wiring, epoch) = (self.wiring.clone(), self.row.epoch);
        let settle = async move {
            // The row as it is by now: the runner may have claimed it.
            let turn = wiring.store.turn(turn_id).await.ok().flatten().unwrap_or(turn);
            let message = "the turn's runner failed; the agent may have seen the message";
            // Logged where it cannot be.
            let _ = closing::settle(wiring, turn, epoch, Cause::failed(ErrorCode::UpstreamError, message)).await;
        };
        self.address.pipe(settle, move |()| SessionMsg::Settled(turn_id));
    }

    pub(super) fn turn_path(&self, turn_id: TurnId) -> String {
        format!("{}/turn:{turn_id}", self.address.gauge().path())
    }
}
