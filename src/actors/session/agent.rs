//! The session's agent: its keeper, its comings and goings, and its end by a reset.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{Mutex, oneshot};

use super::{AgentChange, AgentState, Child, LastExit, LastStart, SessionActor, SessionMsg, SessionState};
use crate::actors::closing::{self, Cause};
use crate::actors::pane::{PaneActor, PaneMsg, Why};
use crate::actors::supervise::ChildSpec;
use crate::actors::turn::TurnMsg;
use crate::actors::wiring::Wiring;
use crate::backend::{BackendError, Origin};
use crate::store::{AgentSession, SessionPatch, StoreError, Write};
use crate::turn::{ErrorCode, Memory, Timestamp, TurnId, TurnState};

/// What a turn is told that a reset ended.
const RESET: &str = "the agent session was reset";
/// How long a reset may take until whoever asked for it is told otherwise.
const RESET_TIMEOUT: Duration = Duration::from_secs(10);

impl SessionActor {
    pub(super) async fn start_pane(
        &self,
        myself: &ActorRef<SessionMsg>,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        let keeper = PaneActor {
            wiring: self.wiring.clone(),
            name: self.row.name.clone(),
            address: state.pane.clone(),
            session: self.address.clone(),
        };
        let (actor, _) = Actor::spawn_linked(None, keeper, state.memory.clone(), myself.get_cell()).await?;
        state.kept = true;
        state.children.started(Child::Pane, ChildSpec::PERMANENT, &actor.get_cell(), state.pane.gauge());
        // The agent of a turn that was left running is looked for by that turn.
        if state.left.is_none() {
            state.taking_over = true;
            let _ = state.pane.send(PaneMsg::TakeOver);
        }
        Ok(())
    }

    pub(super) fn agent_changed(&self, state: &mut SessionState, change: AgentChange) {
        if let AgentChange::Starting(starts) = change {
            let other = if state.agent_seen { AgentState::Ended } else { AgentState::None };
            state.agent = if starts { AgentState::Starting } else { other };
            return;
        }
        let mut patch = SessionPatch::default();
        let reason = match change {
            AgentChange::Starting(_) => None,
            AgentChange::Remembers(memory) => {
                state.memory = memory.clone();
                patch.memory = Some(memory);
                None
            }
            AgentChange::Ready { origin, after, outdated } => {
                let is_restart = state.agent_seen && origin != Origin::TakenOver;
                state.agent = AgentState::Ready;
                state.outdated = outdated;
                state.agent_seen = true;
                state.agent_restarts += u64::from(is_restart);
                patch.restarts = i64::from(is_restart);
                let reason = came(origin, after.as_deref());
                if origin != Origin::TakenOver {
                    let is_resumed = origin == Origin::Resumed;
                    state.last_start = Some(LastStart { at: Timestamp::now(), resumed: is_resumed, after });
                }
                self.idles(state);
                self.note(state);
                Some(reason)
            }
            AgentChange::NotReady(reason) => {
                state.agent = AgentState::Ended;
                Some(reason)
            }
            AgentChange::Ended(reason) => {
                state.agent = AgentState::Ended;
                state.outdated = false;
                state.last_exit = Some(LastExit { at: Timestamp::now(), reason: reason.clone() });
                Some(reason)
            }
            AgentChange::CrashLoop(last) => {
                state.agent = AgentState::CrashLoop;
                Some(format!("the agent {last}; it has ended too often in a short time, and a reset starts it again"))
            }
        };
        if reason.is_some() {
            patch.state = Some(state.agent.as_str().to_owned());
            patch.last_reason.clone_from(&reason);
            state.last_reason = reason;
        }
        self.wiring.recorder.later(Write::PatchAgentSession { name: self.row.name.clone(), patch });
    }

    /// Someone waits for a place among the live agents: one that nobody needs is ended for it, and the next turn waits. It
    /// may be starting still, for a turn that was cancelled.
    pub(super) fn give_seat(&self, state: &mut SessionState) {
        // Whoever it was may have gone by now.
        if Self::can_give(state) && self.wiring.seats.is_wanted(&self.row.name) {
            self.end_agent(state, Why::Seat);
        }
    }

    pub(super) fn seat_given(&self, state: &mut SessionState, ended: bool) {
        state.ending = false;
        state.giving = false;
        // One that could not be ended is asked again, after all others. Of one that was, the keeper may hear only now: until
        // then it counts as asked, lest another one is ended for the same.
        if !ended {
            self.wiring.seats.set_idle(&self.row.name, false);
        }
        self.ended(state);
    }

    /// Goes on after the agent was ended; with a reset, if one was asked for meanwhile.
    fn ended(&self, state: &mut SessionState) {
        if state.resetting.is_empty() {
            self.look(state);
        } else {
            self.begin_reset(state);
        }
    }

    /// Nothing runs, nor is being ended. An agent that was given up may go on only as long as nobody else needs its place,
    /// once it had its time.
    pub(super) fn can_give(state: &SessionState) -> bool {
        let is_free = state.draining.as_ref().is_none_or(|draining| draining.is_late && !draining.is_interrupted);
        state.current.is_none() && is_free && !state.ending && !state.taking_over
    }

    /// Nothing runs, waits or is being ended, and nothing came that could.
    pub(super) fn is_unused(state: &SessionState) -> bool {
        let is_idle = state.current.is_none() && state.draining.is_none() && !state.ending && !state.taking_over;
        let has_agent = matches!(state.agent, AgentState::Ready | AgentState::Starting);
        is_idle && !has_agent && state.queued.is_empty() && state.submitting == 0 && state.cancelling.is_empty()
    }

    pub(super) fn reset(&self, state: &mut SessionState, reply: oneshot::Sender<Result<(), BackendError>>) {
        state.resetting.push(reply);
        // One that is under way may be past the turns that came just before this one.
        if !state.ending {
            self.begin_reset(state);
        }
    }

    fn begin_reset(&self, state: &mut SessionState) {
        state.ending = true;
        state.served = state.resetting.len();
        state.resets += 1;
        let number = state.resets;
        self.address.pipe(tokio::time::sleep(RESET_TIMEOUT), move |()| SessionMsg::ResetLate(number));
        self.note(state);
        if let Some(current) = &state.current {
            let cause = Cause::failed(ErrorCode::SessionReset, RESET);
            let end = TurnMsg::End { cause, taken: None };
            let _ = current.address.send(end);
        }
        let running = state.current.as_ref().map(|current| current.turn.turn_id);
        let pane = state.pane.clone();
        let ending = end_waiting(self.wiring.clone(), self.row.clone(), state.settling.clone(), running);
        let patch = SessionPatch { memory: Some(Memory::default()), ..SessionPatch::default() };
        let forget = Write::PatchAgentSession { name: self.row.name.clone(), patch };
        let recorder = self.wiring.recorder.clone();
        let reset = async move {
            let error = |code, message: &str| Err(BackendError::new(code, message));
            let (closed, ended) = tokio::join!(pane.ask(|reply| PaneMsg::Close(Why::Reset, reply)), ending);
            // After the agent's end, and so after all that it may have reported of its memory.
            let forgotten = recorder.write(forget).await;
            match (closed, ended, forgotten) {
                (Err(_), ..) => error(ErrorCode::BootstrapFailed, "the pane's keeper was restarted; try again"),
                (Ok(closed), Ok(()), Ok(_)) => closed,
                (Ok(_), Err(_), _) => error(ErrorCode::StoreUnavailable, "turns that wait could not be ended"),
                (Ok(_), Ok(()), Err(_)) => {
                    error(ErrorCode::StoreUnavailable, "the agent's memory could not be dropped")
                }
            }
        };
        self.address.pipe(reset, SessionMsg::ResetDone);
    }
}

impl SessionActor {
    pub(super) fn reset_done(&self, state: &mut SessionState, outcome: &Result<(), BackendError>) {
        state.ending = false;
        // What was still to be known of an agent that was left does not matter any more.
        state.taking_over &= outcome.is_err();
        for reply in state.resetting.drain(..std::mem::take(&mut state.served)) {
            let _ = reply.send(outcome.clone());
        }
        self.ended(state);
    }

    /// Answers whoever waits for a reset that takes long. It goes on, and nothing is run until it is through.
    pub(super) fn reset_late(state: &mut SessionState, number: u64) {
        if state.ending && state.resets == number {
            for reply in state.resetting.drain(..std::mem::take(&mut state.served)) {
                let message = "the reset takes long; it goes on";
                let _ = reply.send(Err(BackendError::new(ErrorCode::Timeout, message)));
            }
        }
    }
}

/// Ends the turns that wait. One that has a runner is ended by it; one without a log was committed a moment ago, and runs
/// after the reset.
async fn end_waiting(
    wiring: Wiring,
    row: AgentSession,
    settling: Arc<Mutex<()>>,
    running: Option<TurnId>,
) -> Result<(), StoreError> {
    for turn_id in wiring.store.queued(&row.name).await? {
        let _only = settling.lock().await;
        if Some(turn_id) != running
            && wiring.streams.get(turn_id).is_some()
            && let Some(turn) = wiring.store.turn(turn_id).await?.filter(|turn| turn.state == TurnState::Queued)
        {
            let reset = Cause::failed(ErrorCode::SessionReset, RESET);
            closing::settle(wiring.clone(), turn, row.epoch, reset).await?;
        }
    }
    Ok(())
}

/// How an agent came to be there, for people; `after` is how the one before it ended.
fn came(origin: Origin, after: Option<&str>) -> String {
    let memory = if origin == Origin::Resumed { "memory resumed" } else { "it remembers nothing" };
    match (origin, after) {
        (Origin::TakenOver, _) => "agent taken over, with its memory".to_owned(),
        (_, Some(after)) => format!("agent restarted after it {after}, {memory}"),
        (Origin::Resumed, None) => "agent started, memory resumed".to_owned(),
        (Origin::Started, None) => "agent started".to_owned(),
    }
}
