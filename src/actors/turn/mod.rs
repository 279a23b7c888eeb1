//! `turn:<id>`: runs one turn against the backend, and lives as long as it.

pub mod machine;
mod primer;
mod reply;
mod steps;
mod vigil;

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::machine::{Effect, Input, Machine};
pub use self::machine::{Leaves, NoReply};
pub use self::reply::{Answered, PersonsReply, ReplyError};
pub use self::vigil::Patience;
use self::vigil::Vigil;
use super::address::Address;
use super::closing::{self, Cause};
use super::health::HealthMsg;
use super::pane::PaneMsg;
use super::session::SessionMsg;
use super::wiring::Wiring;
use crate::agent::token::Grant;
use crate::backend::{Adopted, Agent, AgentEvent, BackendError};
use crate::faults;
use crate::store::Turn;
use crate::streams::TurnLog;
use crate::turn::{ErrorCode, EventId, EventKind, Outcome, TurnState};

/// A message to a turn.
pub enum TurnMsg {
    /// The agent is ready, or there is none.
    Opened(Result<Arc<dyn Agent>, BackendError>),
    /// What became of the agent that an earlier owner had chosen.
    Adopted(Result<Adopted, BackendError>),
    /// What became of the intent: the row, if it was still queued.
    Claimed(Option<Box<Turn>>),
    /// The backend reports; `None` when it stopped.
    Agent(Option<AgentEvent>),
    /// It is time to look whether the turn takes too long.
    Watch,
    /// For how long the agent's terminal has shown nothing, where that is known.
    Quiet(Option<Duration>),
    /// Someone ends the turn.
    End {
        /// Why.
        cause: Cause,
        /// Told whether it is this that ends it.
        taken: Option<oneshot::Sender<bool>>,
    },
    /// A person's reply to what the agent asks.
    Reply(PersonsReply, oneshot::Sender<Answered>),
    /// The end is durable and shown.
    Recorded,
}

/// What a turn is given.
pub struct TurnActor {
    /// Handles.
    pub wiring: Wiring,
    /// Its own address.
    pub address: Address<TurnMsg>,
    /// Its supervisor, told when it is over.
    pub session: Address<SessionMsg>,
    /// The agent session's name.
    pub session_name: String,
    /// Who keeps the agent.
    pub pane: Address<PaneMsg>,
    /// The agent session's epoch, which becomes the turn's.
    pub epoch: i64,
    /// Its event log.
    pub log: Arc<TurnLog>,
}

/// How far it is.
pub struct TurnRun {
    machine: Machine,
    /// The row as it was read last.
    turn: Turn,
    agent: Option<Arc<dyn Agent>>,
    /// The token that the agent is given.
    grant: Option<Grant>,
    /// Forwards what the backend reports.
    pump: Option<JoinHandle<()>>,
    /// Over the agent, from the moment at which it is given the turn.
    vigil: Option<Vigil>,
    /// Waits for the moment at which the vigil has to be looked at.
    timer: Option<(Instant, JoinHandle<()>)>,
    /// It ends without an answer, and not by its user.
    has_failed: bool,
    /// In whose name the turn was cancelled.
    cancelled_by: Option<String>,
    /// The last `attention` event; whether it is still open, the machine knows.
    attention: Option<EventId>,
    /// See [`Machine::asks`]: for a reply that is on its way.
    asks: watch::Sender<Option<u32>>,
}

impl TurnRun {
    /// What the agent may do with the turn although it is over.
    fn leaves(&self) -> Leaves {
        let has_ended = self.agent.as_ref().is_none_or(|agent| agent.has_ended(self.turn.turn_id));
        self.machine.leaves(has_ended)
    }

    /// Whoever is still on the way to the agent finds no token to leave there.
    fn withdraw(&mut self) {
        if let Some(grant) = self.grant.take() {
            grant.withdraw();
        }
    }
}

impl Drop for TurnRun {
    fn drop(&mut self) {
        self.withdraw();
        self.asks.send_replace(None);
        let timer = self.timer.take().map(|(_, timer)| timer);
        self.pump.take().into_iter().chain(timer).for_each(|task| task.abort());
    }
}

impl Actor for TurnActor {
    type Msg = TurnMsg;
    type State = TurnRun;
    type Arguments = Turn;

    async fn pre_start(&self, myself: ActorRef<TurnMsg>, turn: Turn) -> Result<TurnRun, ActorProcessingErr> {
        self.address.bind(myself);
        let (machine, attention) = match turn.state {
            TurnState::Running => {
                let (told, attention) = self.log.told();
                (Machine::resumed(told), attention)
            }
            _ => (Machine::default(), None),
        };
        let asks = watch::Sender::new(None);
        let (agent, grant, pump, vigil, timer, cancelled_by) = (None, None, None, None, None, None);
        let has_failed = false;
        Ok(TurnRun { machine, turn, agent, grant, pump, vigil, timer, has_failed, cancelled_by, attention, asks })
    }

    async fn post_start(&self, _myself: ActorRef<TurnMsg>, run: &mut TurnRun) -> Result<(), ActorProcessingErr> {
        match &run.turn.delivering_pane {
            Some(place) if run.machine.is_resumed() => self.adopt(place.clone(), run.turn.turn_id),
            _ => self.open(),
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<TurnMsg>,
        message: TurnMsg,
        run: &mut TurnRun,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        let (mut taken, mut cancelled_by) = (None, None);
        let input = match message {
            TurnMsg::Opened(Ok(agent)) => {
                let place = agent.place().to_owned();
                run.agent = Some(agent);
                Input::Ready(place)
            }
            TurnMsg::Adopted(Ok(Adopted::Here { agent, .. })) => {
                let place = agent.place().to_owned();
                run.agent = Some(agent);
                Input::Ready(place)
            }
            TurnMsg::Adopted(Ok(Adopted::Gone(fate))) => Input::Gone(fate),
            TurnMsg::Opened(Err(error)) | TurnMsg::Adopted(Err(error)) => Input::NotReady(error.code, error.message),
            TurnMsg::Claimed(Some(turn)) => {
                run.turn = *turn;
                Input::Claimed
            }
            TurnMsg::Claimed(None) => Input::ClaimLost,
            TurnMsg::Agent(Some(event)) => {
                if let Some(vigil) = &mut run.vigil {
                    vigil.sign(Instant::now());
                }
                Input::Agent(event)
            }
            TurnMsg::Watch => {
                self.watch(run);
                return Ok(());
            }
            TurnMsg::Quiet(quiet) => match self.quiet(run, quiet) {
                Some(input) => input,
                None => return Ok(()),
            },
            TurnMsg::Agent(None) => Input::Vanished,
            TurnMsg::End { cause, taken: asker } => {
                taken = asker;
                match cause {
                    Cause::Cancelled { by } => {
                        cancelled_by = Some(by);
                        Input::End(ErrorCode::Cancelled, closing::CANCELLED.to_owned())
                    }
                    Cause::Failed { code, message } => Input::End(code, message),
                }
            }
            TurnMsg::Reply(said, reply) => {
                Self::reply(run, said, reply);
                return Ok(());
            }
            TurnMsg::Recorded => Input::Recorded,
        };
        let (machine, effects) = std::mem::take(&mut run.machine).step(input);
        run.machine = machine;
        run.asks.send_replace(run.machine.asks());
        run.cancelled_by = run.cancelled_by.take().or(cancelled_by.filter(|_| !effects.is_empty()));
        if let Some(taken) = taken {
            // Without an effect it was decided already how the turn ends.
            let _ = taken.send(!effects.is_empty());
        }
        for effect in effects {
            self.perform(&myself, run, effect);
        }
        self.suspend_watch(run);
        Ok(())
    }
}

impl TurnActor {
    fn perform(&self, myself: &ActorRef<TurnMsg>, run: &mut TurnRun, effect: Effect) {
        match effect {
            Effect::Open => self.open(),
            Effect::Claim(place) => self.claim(run, place),
            Effect::Deliver => self.deliver(run),
            Effect::Start { tell } => self.start(run, tell),
            Effect::Emit(kind, data) => {
                let event = self.log.stage(kind, data);
                if kind == EventKind::Attention {
                    run.attention = Some(event.id);
                }
                self.log.publish(std::slice::from_ref(&event));
                self.wiring.recorder.append(run.turn.turn_id, vec![event]);
            }
            Effect::Activity(activity) => self.log.update_pulse(|pulse| pulse.activity = activity.map(Into::into)),
            Effect::Attention(waits) => self.log.update_pulse(|pulse| pulse.attention = waits),
            Effect::Detach => {
                run.withdraw();
                if let Some(pump) = run.pump.take() {
                    pump.abort();
                }
                self.log.update_pulse(|pulse| (pulse.attention, pulse.activity) = (false, None));
                // What is due with a turn whose end is decided would be due again and again, until that is recorded.
                run.vigil = None;
                if let Some((_, timer)) = run.timer.take() {
                    timer.abort();
                }
            }
            Effect::Finish { outcome, streamed } => {
                self.address.gauge().note("recording the end");
                self.log.begin_epoch(self.epoch);
                let by = run.cancelled_by.as_deref();
                let finish = closing::finish(&run.turn, self.epoch, outcome, streamed, &self.log, by);
                let (wiring, turn_id) = (self.wiring.clone(), run.turn.turn_id);
                let session = run.turn.agent_session.clone();
                run.has_failed = matches!(finish.outcome, Outcome::Failed { .. });
                if run.has_failed {
                    let _ = self.wiring.health.send(HealthMsg::Forget(self.session_name.clone()));
                }
                // Told beside the actor, too: whatever becomes of it, an end that is recorded is shown.
                let work = async move {
                    faults::halt("answer.before_commit").await;
                    let ending = closing::record(wiring.clone(), &session, finish).await;
                    faults::halt("answer.after_commit").await;
                    faults::point("turn.committed");
                    // An end that cannot be recorded is logged, and not shown.
                    closing::tell(&wiring.streams, turn_id, ending.unwrap_or_default());
                };
                self.address.pipe(work, |()| TurnMsg::Recorded);
            }
            Effect::Close => {
                if let Some(agent) = &run.agent {
                    // What an agent that still works needs and writes stays until it is done (see `PaneMsg::Quiesce`).
                    match run.leaves() {
                        Leaves::GivenUp => {}
                        leaves => {
                            let is_quiet = leaves != Leaves::Busy || agent.exit().borrow().is_some();
                            // A late answer to a turn that failed is for the janitor.
                            let settled = is_quiet && !run.has_failed;
                            agent.forget(run.turn.turn_id, settled);
                        }
                    }
                } else if run.machine.is_resumed() && run.leaves() == Leaves::Idle {
                    self.wiring.backend.forget(&run.turn.agent_session, run.turn.turn_id);
                }
                self.over(myself, run, false);
            }
            Effect::Abandon => self.over(myself, run, true),
        }
    }
}
