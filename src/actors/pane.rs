//! `pane`: keeps the agent of one session. It starts the agent when a turn needs it, and tells when it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::address::Address;
use super::seats::{Ask, Seat, Seats};
use super::session::{AgentChange, SessionMsg};
use crate::backend::{Adopted, Agent, Backend, BackendError};
use crate::turn::{ErrorCode, TurnId};

/// Numbers the starts of agents in this process.
static STARTS: AtomicU64 = AtomicU64::new(0);

/// What an `Open` is answered.
pub type Opened = Result<Arc<dyn Agent>, BackendError>;

/// What an `Adopt` is answered.
pub type Found = Result<Adopted, BackendError>;

/// A message to the pane's keeper.
pub enum PaneMsg {
    /// The agent, started if it is not there.
    Open(oneshot::Sender<Opened>),
    /// There is a place for an agent, for the start of this number.
    Seated(u64, Seat),
    /// Nobody waits for an agent any more.
    Unwanted,
    /// The very agent at this place, which an earlier owner had chosen for this turn; none is started.
    Adopt(String, TurnId, oneshot::Sender<Found>),
    /// What became of looking for it, by its number.
    Adopted(u64, Found, oneshot::Sender<Found>),
    /// What became of a start, by its number.
    Started(u64, Opened),
    /// The agent's process is gone.
    Exited {
        /// Which incarnation.
        place: String,
        /// For people.
        reason: String,
    },
    /// The agent may go on with this turn. Answered when it is done with it, or gone.
    Drain(TurnId, oneshot::Sender<()>),
    /// Make sure that the agent does not work on this turn any more; at worst by ending it. Answered when it is so.
    Quiesce(TurnId, oneshot::Sender<()>),
    /// End the agent, for a reason for people. Answered when its process is gone.
    Close(&'static str, oneshot::Sender<Result<(), BackendError>>),
}

/// What the keeper is given.
pub struct PaneActor {
    /// Where agents live.
    pub backend: Arc<dyn Backend>,
    /// How many may live.
    pub seats: Arc<Seats>,
    /// The agent session's name.
    pub name: String,
    /// Its own address.
    pub address: Address<PaneMsg>,
    /// Its supervisor.
    pub session: Address<SessionMsg>,
}

/// The agent, and who waits for it.
#[derive(Default)]
pub struct PaneState {
    agent: Option<Arc<dyn Agent>>,
    /// Its place among the live agents; also that of one which is being started.
    seat: Option<Seat>,
    /// The number of the start that is under way.
    starting: Option<u64>,
    /// The start waits for a place.
    seating: Option<JoinHandle<()>>,
    waiting: Vec<oneshot::Sender<Opened>>,
    /// Asked to end while it was still starting.
    closing: Vec<(&'static str, oneshot::Sender<Result<(), BackendError>>)>,
    /// Asked to stop its work on a turn while it was still starting.
    quiescing: Vec<(TurnId, oneshot::Sender<()>)>,
    /// The incarnation that we ended ourselves, and why.
    ended: Option<(String, &'static str)>,
}

impl Drop for PaneState {
    fn drop(&mut self) {
        if let Some(seating) = self.seating.take() {
            seating.abort();
        }
    }
}

impl Actor for PaneActor {
    type Msg = PaneMsg;
    type State = PaneState;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<PaneMsg>, (): ()) -> Result<PaneState, ActorProcessingErr> {
        self.address.bind(myself);
        self.address.gauge().note("no agent yet");
        Ok(PaneState::default())
    }

    async fn handle(
        &self,
        _myself: ActorRef<PaneMsg>,
        message: PaneMsg,
        state: &mut PaneState,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        match message {
            PaneMsg::Open(reply) => self.open(state, reply),
            PaneMsg::Seated(number, seat) if state.starting == Some(number) => self.seated(state, number, seat),
            PaneMsg::Seated(..) => {}
            PaneMsg::Unwanted => self.unwanted(state),
            PaneMsg::Adopt(place, turn, reply) => self.adopt(state, place, turn, reply),
            PaneMsg::Adopted(number, found, reply) if state.starting == Some(number) => {
                self.adopted(state, found, reply);
            }
            PaneMsg::Adopted(..) => {}
            PaneMsg::Started(number, opened) if state.starting == Some(number) => self.started(state, opened),
            // Another keeper's, which has ended meanwhile. It may have been taken over by now, or is just being.
            PaneMsg::Started(_, Ok(agent)) => {
                let is_ours = state.agent.as_ref().is_some_and(|ours| ours.place() == agent.place());
                if !is_ours && state.starting.is_none() {
                    tokio::spawn(async move { agent.close().await });
                }
            }
            PaneMsg::Started(_, Err(_)) => {}
            PaneMsg::Exited { place, reason } => self.exited(state, &place, &reason),
            PaneMsg::Drain(turn, reply) => Self::drain(state, turn, reply),
            PaneMsg::Quiesce(turn, reply) => self.quiesce(state, turn, reply),
            PaneMsg::Close(why, reply) => self.close(state, why, reply),
        }
        Ok(())
    }
}

impl PaneActor {
    fn open(&self, state: &mut PaneState, reply: oneshot::Sender<Opened>) {
        if let Some(agent) = state.agent.as_ref().filter(|agent| agent.exit().borrow().is_none()) {
            let _ = reply.send(Ok(agent.clone()));
            return;
        }
        state.waiting.push(reply);
        if state.starting.is_none() {
            let number = STARTS.fetch_add(1, Ordering::Relaxed);
            state.starting = Some(number);
            match self.seats.take(&self.name, self.ask_for_seat()) {
                Ok(seat) => self.seated(state, number, seat),
                Err(free) => {
                    tracing::info!(session = %self.name, "no place for another agent; waiting");
                    self.address.gauge().note("waiting for a place among the live agents");
                    let address = self.address.clone();
                    state.seating = Some(tokio::spawn(async move {
                        if let Ok(seat) = free.await {
                            let _ = address.send(PaneMsg::Seated(number, seat));
                        }
                    }));
                }
            }
        }
    }

    fn ask_for_seat(&self) -> Ask {
        let session = self.session.clone();
        Box::new(move || {
            let _ = session.send(SessionMsg::GiveSeat);
        })
    }

    fn seated(&self, state: &mut PaneState, number: u64, seat: Seat) {
        state.seating = None;
        state.seat = Some(seat);
        self.address.gauge().note("starting the agent");
        let (backend, name) = (self.backend.clone(), self.name.clone());
        self.address.pipe(async move { backend.open(&name).await }, move |opened| PaneMsg::Started(number, opened));
    }

    /// A start that still waits for its place is given up.
    fn unwanted(&self, state: &mut PaneState) {
        let Some(seating) = state.seating.take() else { return };
        seating.abort();
        state.starting = None;
        self.address.gauge().note("no agent yet");
        for reply in state.waiting.drain(..) {
            let _ = reply.send(Err(BackendError::new(ErrorCode::SessionReset, "nobody waits for the agent any more")));
        }
        self.settle(state);
    }

    fn adopt(&self, state: &mut PaneState, place: String, turn: TurnId, reply: oneshot::Sender<Found>) {
        let is_kept = |agent: &&Arc<dyn Agent>| agent.place() == place && agent.exit().borrow().is_none();
        if let Some(agent) = state.agent.as_ref().filter(is_kept) {
            let _ = reply.send(Ok(Adopted::Here(agent.clone())));
            return;
        }
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        state.starting = Some(number);
        self.address.gauge().note("looking for the agent that was left");
        let (backend, name) = (self.backend.clone(), self.name.clone());
        let look = async move { backend.adopt(&name, &place, turn).await };
        self.address.pipe(look, move |found| PaneMsg::Adopted(number, found, reply));
    }

    fn adopted(&self, state: &mut PaneState, found: Found, reply: oneshot::Sender<Found>) {
        state.starting = None;
        match &found {
            Ok(Adopted::Here(agent)) => {
                state.seat = Some(self.seats.keep(&self.name, self.ask_for_seat()));
                self.keep(state, agent.clone());
            }
            Ok(Adopted::Gone(fate)) => {
                tracing::info!(session = %self.name, fate = fate.as_str(), "the agent that was left is gone");
                self.address.gauge().note("no agent yet");
            }
            Err(error) => {
                tracing::warn!(session = %self.name, code = %error.code, reason = %error.message, "agent not found");
                self.address.gauge().note(format!("no agent: {}", error.code));
            }
        }
        let _ = reply.send(found);
        self.settle(state);
    }

    /// Does what was asked while an agent was being started.
    fn settle(&self, state: &mut PaneState) {
        for (turn, reply) in std::mem::take(&mut state.quiescing) {
            self.quiesce(state, turn, reply);
        }
        for (why, reply) in std::mem::take(&mut state.closing) {
            self.close(state, why, reply);
        }
    }

    fn started(&self, state: &mut PaneState, mut opened: Opened) {
        state.starting = None;
        if !state.closing.is_empty() {
            if let Ok(agent) = opened {
                let (closing, seat) = (std::mem::take(&mut state.closing), state.seat.take());
                tokio::spawn(async move {
                    let closed = agent.close().await;
                    drop(seat);
                    for (_, reply) in closing {
                        let _ = reply.send(closed.clone());
                    }
                });
            }
            for (_, reply) in state.closing.drain(..) {
                let _ = reply.send(Ok(()));
            }
            opened = Err(BackendError::new(ErrorCode::SessionReset, "the agent session was reset"));
        }
        match &opened {
            Ok(agent) => self.keep(state, agent.clone()),
            Err(error) => {
                state.seat = None;
                tracing::warn!(session = %self.name, code = %error.code, reason = %error.message, "no agent");
                self.address.gauge().note(format!("no agent: {}", error.code));
                let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::NotReady(error.to_string())));
            }
        }
        for reply in state.waiting.drain(..) {
            let _ = reply.send(opened.clone());
        }
        self.settle(state);
    }

    fn keep(&self, state: &mut PaneState, agent: Arc<dyn Agent>) {
        tracing::info!(session = %self.name, place = agent.place(), "agent ready");
        self.address.gauge().note(format!("agent at {}", agent.place()));
        let place = agent.place().to_owned();
        let mut exit = agent.exit();
        let reason = async move {
            let exit = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
            exit.map_or_else(|| "ended".to_owned(), |exit| exit.reason)
        };
        self.address.pipe(reason, move |reason| PaneMsg::Exited { place, reason });
        state.agent = Some(agent);
        let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::Ready));
    }

    fn exited(&self, state: &mut PaneState, place: &str, reason: &str) {
        if state.agent.as_ref().is_some_and(|agent| agent.place() == place) {
            tracing::info!(session = %self.name, place, reason, "agent gone");
            self.address.gauge().note(format!("agent gone: {reason}"));
            state.agent = None;
            // The next one may have been given a place already.
            if state.starting.is_none() || state.seating.is_some() {
                state.seat = None;
            }
            let by_us = state.ended.take().filter(|(ended, _)| ended == place);
            let reason =
                by_us.map_or_else(|| format!("the agent {reason}"), |(_, why)| format!("the agent was ended {why}"));
            let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::Ended(reason)));
        }
    }

    fn drain(state: &PaneState, turn: TurnId, reply: oneshot::Sender<()>) {
        let agent = state.agent.clone();
        tokio::spawn(async move {
            if let Some(agent) = agent {
                agent.finished(turn).await;
                // What it wrote is looked through by whoever waits for a late answer.
                agent.forget(turn, false);
            }
            let _ = reply.send(());
        });
    }

    fn quiesce(&self, state: &mut PaneState, turn: TurnId, reply: oneshot::Sender<()>) {
        if state.starting.is_some() {
            state.quiescing.push((turn, reply));
            return;
        }
        let (agent, backend, name) = (state.agent.clone(), self.backend.clone(), self.name.clone());
        tokio::spawn(async move {
            if let Some(agent) = agent {
                let mut quiet = true;
                if agent.exit().borrow().is_none()
                    && let Err(error) = agent.interrupt(turn).await
                {
                    tracing::warn!(%turn, %error, "the agent did not stop; ending it");
                    if let Err(error) = agent.close().await {
                        quiet = false;
                        tracing::error!(%turn, %error, "the agent cannot be ended");
                    }
                }
                // An answer that came just before is looked at by whoever waits for a late one.
                let is_answered = matches!(backend.answer(&name, turn).await, Ok(Some(_)));
                agent.forget(turn, quiet && !is_answered);
            }
            let _ = reply.send(());
        });
    }

    fn close(&self, state: &mut PaneState, why: &'static str, reply: oneshot::Sender<Result<(), BackendError>>) {
        self.unwanted(state);
        if state.starting.is_some() {
            state.closing.push((why, reply));
            return;
        }
        let (agent, backend, name) = (state.agent.clone(), self.backend.clone(), self.name.clone());
        state.ended = agent.as_ref().map(|agent| (agent.place().to_owned(), why));
        tokio::spawn(async move {
            let closed = match agent {
                Some(agent) => agent.close().await,
                // One that an earlier keeper started may be there all the same.
                None => backend.end(&name).await,
            };
            let _ = reply.send(closed);
        });
    }
}
