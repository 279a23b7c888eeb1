//! `turn:<id>`: runs one turn against the backend, and lives as long as it.

pub mod machine;

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use serde_json::json;
use tokio::sync::{oneshot, watch};

pub use self::machine::NoReply;
use self::machine::{Effect, Input, Machine};
use super::address::Address;
use super::closing::{self, Cause};
use super::pane::PaneMsg;
use super::session::SessionMsg;
use super::wiring::Wiring;
use crate::backend::{Agent, AgentEvent, BackendError, Job, Replied, Reply};
use crate::faults;
use crate::store::{Turn, Write, Written};
use crate::streams::TurnLog;
use crate::turn::{ErrorCode, EventId, EventKind, Timestamp, TurnState};

/// A message to a turn.
pub enum TurnMsg {
    /// The agent is ready, or there is none.
    Opened(Result<Arc<dyn Agent>, BackendError>),
    /// What became of the intent: the row, if it was still queued.
    Claimed(Option<Box<Turn>>),
    /// The backend reports; `None` when it stopped.
    Agent(Option<AgentEvent>),
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

/// What a person says to an agent that asks.
#[derive(Clone)]
pub struct PersonsReply {
    /// The `attention` event that it answers.
    pub attention: EventId,
    /// One sanitised line.
    pub line: String,
    /// When whoever sent it stops waiting: it is not handed to the agent later.
    pub until: tokio::time::Instant,
}

/// What a reply is answered.
pub type Answered = Result<(), ReplyError>;

/// Why a reply was not handed to the agent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReplyError {
    /// Now is not the time, or this is not the text.
    #[error(transparent)]
    Refused(#[from] NoReply),
    /// The agent cannot be reached.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// What a turn is given.
pub struct TurnActor {
    /// Handles.
    pub wiring: Wiring,
    /// Its own address.
    pub address: Address<TurnMsg>,
    /// Its supervisor, told when it is over.
    pub session: Address<SessionMsg>,
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
    /// Forwards what the backend reports.
    pump: Option<tokio::task::JoinHandle<()>>,
    /// In whose name the turn was cancelled.
    cancelled_by: Option<String>,
    /// The last `attention` event; whether it is still open, the machine knows.
    attention: Option<EventId>,
    /// See [`Machine::asks`]: for a reply that is on its way.
    asks: watch::Sender<Option<u32>>,
}

impl Drop for TurnRun {
    fn drop(&mut self) {
        self.asks.send_replace(None);
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
    }
}

impl Actor for TurnActor {
    type Msg = TurnMsg;
    type State = TurnRun;
    type Arguments = Turn;

    async fn pre_start(&self, myself: ActorRef<TurnMsg>, turn: Turn) -> Result<TurnRun, ActorProcessingErr> {
        self.address.bind(myself);
        let machine = Machine::default();
        let asks = watch::Sender::new(None);
        Ok(TurnRun { machine, turn, agent: None, pump: None, cancelled_by: None, attention: None, asks })
    }

    async fn post_start(&self, _myself: ActorRef<TurnMsg>, _run: &mut TurnRun) -> Result<(), ActorProcessingErr> {
        let pane = self.pane.clone();
        let open = async move {
            let gone = |_| Err(BackendError::new(ErrorCode::BootstrapFailed, "the pane's keeper was restarted"));
            pane.ask(PaneMsg::Open).await.unwrap_or_else(gone)
        };
        self.address.gauge().note("waiting for the agent to be ready");
        self.address.pipe(open, TurnMsg::Opened);
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
            TurnMsg::Opened(Err(error)) => Input::NotReady(error.code, error.message),
            TurnMsg::Claimed(Some(turn)) => {
                run.turn = *turn;
                Input::Claimed
            }
            TurnMsg::Claimed(None) => Input::ClaimLost,
            TurnMsg::Agent(Some(event)) => Input::Agent(event),
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
        Ok(())
    }
}

impl TurnActor {
    fn perform(&self, myself: &ActorRef<TurnMsg>, run: &mut TurnRun, effect: Effect) {
        match effect {
            Effect::Claim(place) => self.claim(run, place),
            Effect::Deliver => self.deliver(run),
            Effect::Start => self.start(run),
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
                if let Some(pump) = run.pump.take() {
                    pump.abort();
                }
            }
            Effect::Finish { outcome, streamed } => {
                self.address.gauge().note("recording the end");
                self.log.begin_epoch(self.epoch);
                let by = run.cancelled_by.as_deref();
                let finish = closing::finish(&run.turn, self.epoch, outcome, streamed, &self.log, by);
                let (wiring, turn_id) = (self.wiring.clone(), run.turn.turn_id);
                // Told beside the actor, too: whatever becomes of it, an end that is recorded is shown.
                let work = async move {
                    let ending = closing::record(wiring.clone(), finish).await;
                    faults::point("turn.committed");
                    // An end that cannot be recorded is logged, and not shown.
                    closing::tell(&wiring.streams, turn_id, ending.unwrap_or_default());
                };
                self.address.pipe(work, |()| TurnMsg::Recorded);
            }
            Effect::Close => {
                if let Some(agent) = &run.agent {
                    // What an agent that still works writes goes once it is quiet (see `PaneMsg::Quiesce`).
                    let settled = !run.machine.leaves_agent_busy() || agent.exit().borrow().is_some();
                    agent.forget(run.turn.turn_id, settled);
                }
                self.over(myself, run, false);
            }
            Effect::Abandon => self.over(myself, run, true),
        }
    }

    fn claim(&self, run: &TurnRun, pane: String) {
        faults::point("turn.ready");
        self.address.gauge().note("committing the intent to type");
        let (wiring, turn_id, epoch) = (self.wiring.clone(), run.turn.turn_id, self.epoch);
        let write = Write::ClaimTurn { turn_id, epoch, pane, at: Timestamp::now() };
        let claim = async move {
            match wiring.recorder.write_until_durable(write).await {
                Ok(Written::Turn(Some(turn))) => Some(turn),
                // Refused because it was made already, by a try whose reply was lost? There is one runner per epoch.
                _ => wiring
                    .store
                    .turn(turn_id)
                    .await
                    .ok()
                    .flatten()
                    .map(Box::new)
                    .filter(|turn| turn.state == TurnState::Running && turn.epoch == epoch),
            }
        };
        self.address.pipe(claim, TurnMsg::Claimed);
    }

    fn deliver(&self, run: &mut TurnRun) {
        faults::point("turn.claimed");
        self.address.gauge().note("handing the message to the agent");
        self.log.begin_epoch(self.epoch);
        self.log.update_pulse(|pulse| pulse.started = Some(Instant::now()));
        let Some(agent) = run.agent.clone() else { return };
        let job = Job {
            turn_id: run.turn.turn_id,
            epoch: self.epoch,
            message: run.turn.user_message.clone(),
            context: run.turn.context.clone(),
        };
        let address = self.address.clone();
        run.pump = Some(tokio::spawn(async move {
            let mut reports = agent.run(job);
            while let Some(event) = reports.next().await {
                if address.send(TurnMsg::Agent(Some(event))).is_err() {
                    return;
                }
            }
            let _ = address.send(TurnMsg::Agent(None));
        }));
    }

    /// Hands a reply to the agent, beside the actor; what tmux is asked to do once, it does once.
    fn reply(run: &TurnRun, said: PersonsReply, reply: oneshot::Sender<Answered>) {
        let PersonsReply { attention, line: text, until } = said;
        // It may be an answer to an earlier question, sent again or late.
        let meant = if run.attention == Some(attention) { Ok(()) } else { Err(NoReply::NothingAsked) };
        let number = match meant.and_then(|()| run.machine.reply(&text)) {
            Ok(number) => number,
            Err(refusal) => return drop(reply.send(Err(refusal.into()))),
        };
        let Some(agent) = run.agent.clone() else { return };
        let said = Reply { turn_id: run.turn.turn_id, number, text, asks: run.asks.subscribe(), until };
        tokio::spawn(async move {
            let answer = match agent.reply(said).await {
                Ok(Replied::Typed) => Ok(()),
                Ok(Replied::Refused) => Err(NoReply::NothingAsked.into()),
                Err(error) => Err(error.into()),
            };
            let _ = reply.send(answer);
        });
    }

    fn start(&self, run: &mut TurnRun) {
        let now = Timestamp::now();
        run.turn.started_at = Some(now);
        self.address.gauge().note("the agent is answering");
        let (turn_id, epoch) = (run.turn.turn_id, self.epoch);
        let event = self.log.stage(EventKind::Meta, json!({ "turn_id": turn_id, "started_at": now }));
        self.log.publish(std::slice::from_ref(&event));
        self.wiring.recorder.append(turn_id, vec![event]);
        self.wiring.recorder.later(Write::StartTurn { turn_id, epoch, at: now });
        faults::point("turn.confirmed");
    }

    fn over(&self, myself: &ActorRef<TurnMsg>, run: &TurnRun, lost: bool) {
        let turn_id = run.turn.turn_id;
        let busy = run.machine.leaves_agent_busy();
        let _ = self.session.send(SessionMsg::TurnOver { turn_id, busy, lost });
        myself.stop(None);
    }
}
