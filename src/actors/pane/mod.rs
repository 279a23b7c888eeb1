//! `pane`: keeps the agent of one session. It starts the agent when a turn needs it, and again when it has ended, as its
//! profile says; it tells what becomes of the agent, and keeps in mind what the agent remembers.

mod end;
mod keeping;
mod start;

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::keeping::Keeping;
pub use self::keeping::Restarts;
use super::address::Address;
use super::seats::Seat;
use super::session::SessionMsg;
use super::wiring::Wiring;
use crate::backend::{Adopted, Agent, BackendError, Exit, LeftAgent, Opened};
use crate::faults;
use crate::turn::{Memory, TurnId};

/// What an `Open` is answered.
pub type Ready = Result<Arc<dyn Agent>, BackendError>;

/// What an `Adopt` is answered.
pub type Found = Result<Adopted, BackendError>;

/// A message to the pane's keeper.
pub enum PaneMsg {
    /// The agent, started if it is not there.
    Open(oneshot::Sender<Ready>),
    /// There is a place for an agent, for the start of this number.
    Seated(u64, Seat),
    /// Nobody waits for an agent any more.
    Unwanted,
    /// Take over the agent that an earlier owner left, if there is one.
    TakeOver,
    /// What became of looking for it, by its number.
    Left(u64, Result<Option<LeftAgent>, BackendError>),
    /// The very agent at this place, which an earlier owner had chosen for this turn; none is started.
    Adopt(String, TurnId, oneshot::Sender<Found>),
    /// What became of looking for it, by its number.
    Adopted(u64, Found, oneshot::Sender<Found>),
    /// What became of a start, by its number.
    Started(u64, Result<Opened, BackendError>),
    /// The wait before the start of this number is over.
    Rested(u64),
    /// The agent's process is gone.
    Exited {
        /// Which incarnation.
        place: String,
        /// How it ended.
        exit: Exit,
    },
    /// What the agent at this place remembers now.
    Remembers(String, Memory),
    /// The agent may go on with this turn: the one at this place, if that is given. Answered when it is done with it, or
    /// gone.
    Drain(TurnId, Option<String>, oneshot::Sender<()>),
    /// For how long the agent has shown and reported nothing, while it may be at work on this turn; `None` where that cannot
    /// be told.
    QuietFor(TurnId, oneshot::Sender<Option<Duration>>),
    /// Make sure that the agent does not work on this turn any more; at worst by ending it. Answered when it is so.
    Quiesce(TurnId, oneshot::Sender<()>),
    /// The agent at this place is being ended, since it does not stop its work.
    Ending(String),
    /// End the agent. Answered when its process is gone.
    Close(Why, oneshot::Sender<Result<(), BackendError>>),
}

/// Why an agent is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Its user, or an admin, wants it so. It shall remember nothing.
    Reset,
    /// Others wait for its place.
    Seat,
    /// Nobody has needed it for a while.
    Idle,
    /// It did not stop its work on a turn that is over.
    Stuck,
    /// It was not started as one would be now.
    Outdated,
}

impl Why {
    /// For people: `the agent was ended …`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "by a reset",
            Self::Seat => "because others waited for its place",
            Self::Idle => "because nobody had needed it for a while",
            Self::Stuck => "because it did not stop its work",
            Self::Outdated => "because it had been started with other settings",
        }
    }
}

/// What the keeper is given.
pub struct PaneActor {
    /// Handles.
    pub wiring: Wiring,
    /// The agent session's name.
    pub name: String,
    /// Its own address.
    pub address: Address<PaneMsg>,
    /// Its supervisor.
    pub session: Address<SessionMsg>,
}

/// The agent, and who waits for it.
pub struct PaneState {
    agent: Option<Arc<dyn Agent>>,
    /// Its place among the live agents; also that of one which is being started.
    seat: Option<Seat>,
    /// The number of the start, or of the look for an agent, that is under way.
    starting: Option<u64>,
    /// The start waits for a place.
    seating: Option<JoinHandle<()>>,
    /// The start waits until the last end is long enough ago.
    resting: bool,
    /// Gives up the start, or the look for an agent that was left, that is under way: when it is dropped, also with a keeper
    /// that fails.
    giving_up: Option<DropGuard>,
    /// Nobody asked for the agent that is being started.
    unasked: bool,
    waiting: Vec<oneshot::Sender<Ready>>,
    /// Asked to end while it was still starting.
    closing: Vec<(Why, oneshot::Sender<Result<(), BackendError>>)>,
    /// Asked to stop its work on a turn while it was still starting.
    quiescing: Vec<(TurnId, oneshot::Sender<()>)>,
    /// The incarnation that we ended ourselves, and why.
    ended: Option<(String, Why)>,
    /// How it ended by itself, until it is there again.
    last_end: Option<String>,
    keeping: Keeping,
    /// What the last incarnation was known to remember.
    memory: Memory,
}

impl PaneState {
    /// What tells the start, or the look, that begins now that it is given up.
    fn begin(&mut self) -> CancellationToken {
        let given_up = CancellationToken::new();
        self.giving_up = Some(given_up.clone().drop_guard());
        given_up
    }
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
    type Arguments = Memory;

    async fn pre_start(&self, myself: ActorRef<PaneMsg>, memory: Memory) -> Result<PaneState, ActorProcessingErr> {
        self.address.bind(myself);
        self.address.gauge().note("no agent yet");
        Ok(PaneState {
            agent: None,
            seat: None,
            starting: None,
            seating: None,
            resting: false,
            giving_up: None,
            unasked: false,
            waiting: Vec::new(),
            closing: Vec::new(),
            quiescing: Vec::new(),
            ended: None,
            last_end: None,
            keeping: Keeping::new(self.wiring.backend.restart(), self.wiring.limits.restarts),
            memory,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<PaneMsg>,
        message: PaneMsg,
        state: &mut PaneState,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        faults::point("pane.handle");
        match message {
            PaneMsg::Open(reply) => self.open(state, reply),
            PaneMsg::Seated(number, seat) if state.starting == Some(number) => self.seated(state, number, seat),
            PaneMsg::Seated(..) => {}
            PaneMsg::Unwanted => self.unwanted(state),
            PaneMsg::TakeOver => self.take_over(state),
            PaneMsg::Left(number, left) if state.starting == Some(number) => self.left(state, left),
            // Another keeper looked, which has ended meanwhile; this one looks itself.
            PaneMsg::Left(..) => {}
            PaneMsg::Adopt(place, turn, reply) => self.adopt(state, place, turn, reply),
            PaneMsg::Adopted(number, found, reply) if state.starting == Some(number) => {
                self.adopted(state, found, reply);
            }
            PaneMsg::Adopted(..) => {}
            PaneMsg::Started(number, opened) if state.starting == Some(number) => self.started(state, opened),
            // Another keeper's, which has ended meanwhile. It may have been taken over by now, or is just being.
            PaneMsg::Started(_, Ok(Opened { agent, .. })) => {
                let is_ours = state.agent.as_ref().is_some_and(|ours| ours.place() == agent.place());
                if !is_ours && state.starting.is_none() {
                    tokio::spawn(async move { agent.close().await });
                }
            }
            PaneMsg::Started(_, Err(_)) => {}
            PaneMsg::Rested(number) if state.starting == Some(number) => self.rested(state, number),
            PaneMsg::Rested(_) => {}
            PaneMsg::Exited { place, exit } => self.exited(state, &place, &exit),
            PaneMsg::Remembers(place, memory) => self.remembers(state, &place, memory),
            PaneMsg::Drain(turn, place, reply) => Self::drain(state, turn, place, reply),
            PaneMsg::QuietFor(turn, reply) => Self::quiet_for(state, turn, reply),
            PaneMsg::Quiesce(turn, reply) => self.quiesce(state, turn, reply),
            PaneMsg::Ending(place) => {
                // Not where it is ended for a reason that says more: after a reset it shall remember nothing.
                if state.ended.as_ref().is_none_or(|(ended, _)| *ended != place) {
                    state.ended = Some((place, Why::Stuck));
                }
            }
            PaneMsg::Close(why, reply) => self.close(state, why, reply),
        }
        Ok(())
    }
}
