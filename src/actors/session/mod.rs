//! `session:<name>`: the serialiser of one agent session. One turn at a time, first come first served.
//!
//! The queue is the table: messages only wake. Nothing here waits inside a handler, so cancel, reset and status are
//! answered at once while a turn runs for half an hour.

mod agent;
mod cancel;
mod drain;
mod idle;
mod intake;
mod queue;
mod report;
mod takeover;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

pub use cancel::Cancelled;
use cancel::{Cancelling, Ended};
pub use intake::{Question, SubmitError, Submitted};
use queue::Queue;
pub use report::{AgentState, LastExit, LastStart, Report};

pub use takeover::{LeftBusy, Standing, Takeover, standing};

use super::address::Address;
use super::pane::PaneMsg;
use super::supervise::{Children, End, Verdict};
use super::turn::{Answered, Leaves, PersonsReply, TurnMsg};
use super::wiring::Wiring;
use crate::backend::{BackendError, Origin};
use crate::faults;
use crate::store::{AgentSession, StoreError, Turn, Written};
use crate::turn::{Memory, TurnId};

/// A message to a session.
pub enum SessionMsg {
    /// Accept this turn.
    Submit(Box<Question>, oneshot::Sender<Submitted>),
    /// What the table said to it.
    Accepted(Box<Result<Written, StoreError>>, oneshot::Sender<Submitted>),
    /// The queue as the table has it, and its first turn.
    Queue(Box<Result<Queue, StoreError>>),
    /// The turn that ran is over.
    TurnOver {
        /// Which turn.
        turn_id: TurnId,
        /// What the agent may still do with it.
        leaves: Leaves,
        /// The turn could not be claimed: it is not queued any more, or this session has a later owner.
        lost: bool,
    },
    /// A turn whose runner failed is ended.
    Settled(TurnId),
    /// Look at the queue.
    Look,
    /// The agent is idle again, after this turn.
    Quiet(TurnId),
    /// An agent that was given up has gone on with this turn for as long as it may while others wait.
    DrainLate(TurnId),
    /// The agent started, or ended.
    AgentChanged(AgentChange),
    /// The keeper has looked for an agent that was left.
    TookOver(Takeover),
    /// How the turn stands on which it may still be at work.
    LeftAtWork(LeftBusy, Standing),
    /// Look for an agent that was left: this could not be done before.
    TakeOver,
    /// The agent has idled for as long as it may, if it was not needed since.
    IdleLate,
    /// For how long it has shown nothing, as far as that can be told, while it may still be at work on this turn.
    Silent(TurnId, Option<Duration>),
    /// End this turn, if it is not over, in the name of whoever is named.
    Cancel(TurnId, String, oneshot::Sender<Cancelled>),
    /// What became of ending a turn that waited.
    CancelDone(TurnId, Result<Ended, StoreError>),
    /// Hand this to the agent, as a reply to what it asks in this turn.
    Reply(TurnId, Box<PersonsReply>, oneshot::Sender<Answered>),
    /// End the agent, and every turn with `session_reset`.
    Reset(oneshot::Sender<Result<(), BackendError>>),
    /// Give up the agent's place among the live ones, if it idles: someone waits.
    GiveSeat,
    /// The agent is ended for that, as far as it can be.
    SeatGiven(bool),
    /// The reset takes longer than whoever asked for it should wait.
    ResetLate(u64),
    /// The reset is through.
    ResetDone(Result<(), BackendError>),
    /// The conversation that this session serves was deleted: nobody needs it any more.
    Leave,
    /// What do you do?
    Report(oneshot::Sender<Report>),
    /// The backoff of the pane's keeper is over.
    RestartPane,
}

/// What became of the agent. Texts are for people.
pub enum AgentChange {
    /// It takes turns.
    Ready {
        /// How it came to be there.
        origin: Origin,
        /// How the one before it ended, where that was by itself: `exited with status 1`.
        after: Option<String>,
        /// It was not started as one would be now: it is to be ended when it is done.
        outdated: bool,
    },
    /// It could not be started.
    NotReady(String),
    /// It was there, and has ended.
    Ended(String),
    /// It ended so once too often, and is not started again.
    CrashLoop(String),
    /// It remembers something else than what was known.
    Remembers(Memory),
    /// One is being started, or not any more.
    Starting(bool),
}

/// A turn that an earlier owner left running.
pub struct Left {
    /// Its row.
    pub turn: Turn,
    /// Its conversation was deleted, by this user: it is cancelled once its agent is found.
    pub deleted_by: Option<String>,
}

/// What a session is given.
pub struct SessionActor {
    /// Handles.
    pub wiring: Wiring,
    /// Its own address.
    pub address: Address<SessionMsg>,
    /// Its row, under the epoch of this incarnation.
    pub row: AgentSession,
}

/// What runs and what waits.
pub struct SessionState {
    children: Children<Child>,
    pane: Address<PaneMsg>,
    /// The pane's keeper is there.
    kept: bool,
    /// It looks for an agent that was left: nothing is run before it has told.
    taking_over: bool,
    // Both on the heap: a session that idles holds no room for a turn.
    current: Option<Box<Current>>,
    /// What an earlier owner left running: run before anything else.
    left: Option<Box<Left>>,
    /// Waiting for the agent to be idle before anything is typed.
    draining: Option<Draining>,
    /// The agent is being ended, by a reset or for another user: nothing is run until it is through.
    ending: bool,
    /// It is ended for another user.
    giving: bool,
    /// Nobody needs it any more: it ends once there is nothing left to do.
    leaving: bool,
    /// Counts the resets.
    resets: u64,
    resetting: Vec<oneshot::Sender<Result<(), BackendError>>>,
    /// How many of them, the first, wait for the reset that is under way; the others for the next one.
    served: usize,
    /// Turns of which the table has not said yet whether it takes them.
    submitting: usize,
    /// Counts the turns that were submitted.
    submits: u64,
    /// A look at the queue is under way.
    looking: bool,
    /// Something changed since that look began.
    look_again: bool,
    /// As of the last look; for reports and positions only.
    queued: Vec<TurnId>,
    /// Turns that are being cancelled while they wait. None of them is started.
    cancelling: HashMap<TurnId, Cancelling>,
    /// Held while turns that wait are ended: by a cancel or by a reset.
    settling: Arc<Mutex<()>>,
    /// The turns after this one are still to be told that they moved up.
    moved: Option<TurnId>,
    /// The session's own row says what it remembers; this is newer.
    memory: Memory,
    agent: AgentState,
    /// It was not started as one would be now: it is ended once it idles.
    outdated: bool,
    /// There was one since this session was started.
    agent_seen: bool,
    agent_restarts: u64,
    last_reason: Option<String>,
    last_start: Option<LastStart>,
    last_exit: Option<LastExit>,
    /// Since when the agent idles.
    idle_since: Instant,
    /// It is going to be looked at whether it idled for too long.
    idle_watched: bool,
}

/// An agent that is still at work on a turn that is over.
struct Draining {
    turn_id: TurnId,
    /// It had its time.
    is_late: bool,
    /// It is being interrupted.
    is_interrupted: bool,
}

struct Current {
    turn: Turn,
    address: Address<TurnMsg>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Child {
    Pane,
    Turn(TurnId),
}

impl Actor for SessionActor {
    type Msg = SessionMsg;
    type State = SessionState;
    type Arguments = Option<Left>;

    async fn pre_start(
        &self,
        myself: ActorRef<SessionMsg>,
        left: Option<Left>,
    ) -> Result<SessionState, ActorProcessingErr> {
        self.address.bind(myself.clone());
        let path = self.address.gauge().path();
        self.wiring.registry.leave_below(path);
        let path = format!("{path}/pane");
        let mut state = SessionState {
            children: Children::default(),
            pane: Address::new(self.wiring.registry.enter(&path, "pane")),
            kept: false,
            taking_over: false,
            current: None,
            left: left.map(Box::new),
            draining: None,
            ending: false,
            giving: false,
            leaving: false,
            resets: 0,
            resetting: Vec::new(),
            served: 0,
            submitting: 0,
            submits: 0,
            looking: false,
            look_again: false,
            queued: Vec::new(),
            cancelling: HashMap::new(),
            settling: Arc::default(),
            moved: None,
            memory: self.row.memory.clone(),
            agent: AgentState::None,
            outdated: false,
            agent_seen: false,
            agent_restarts: 0,
            last_reason: None,
            last_start: None,
            last_exit: None,
            idle_since: Instant::now(),
            idle_watched: false,
        };
        self.start_pane(&myself, &mut state).await?;
        Ok(state)
    }

    async fn post_start(
        &self,
        myself: ActorRef<SessionMsg>,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(left) = state.left.take() {
            Box::pin(self.go_on(&myself, state, *left)).await?;
        }
        self.look(state);
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<SessionMsg>,
        message: SessionMsg,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        faults::point("session.handle");
        match message {
            SessionMsg::Submit(question, reply) => self.submit(state, *question, reply),
            SessionMsg::Accepted(written, reply) => self.accepted(state, *written, reply),
            // What takes much memory is on the heap while it runs: an actor that waits holds room for all that it may do.
            SessionMsg::Queue(queue) => Box::pin(self.queue(&myself, state, *queue)).await?,
            SessionMsg::TurnOver { turn_id, leaves, lost } => self.turn_over(state, turn_id, leaves, lost),
            SessionMsg::Settled(turn_id) => self.turn_over(state, turn_id, Leaves::Busy, false),
            SessionMsg::Look => self.look(state),
            SessionMsg::Quiet(turn_id) => {
                faults::halt("session.quiet").await;
                self.quiet(state, turn_id);
            }
            SessionMsg::DrainLate(turn_id) => self.drain_late(state, turn_id),
            SessionMsg::AgentChanged(change) => self.agent_changed(state, change),
            SessionMsg::TookOver(takeover) => self.took_over(state, takeover),
            SessionMsg::LeftAtWork(left, standing) => self.left_at_work(state, left, standing),
            SessionMsg::TakeOver => self.take_over(state),
            SessionMsg::IdleLate => self.idle_late(state),
            SessionMsg::Silent(turn_id, quiet) => self.silent(state, turn_id, quiet),
            SessionMsg::Cancel(turn_id, by, reply) => self.cancel(state, turn_id, by, reply),
            SessionMsg::CancelDone(turn_id, outcome) => self.cancel_done(state, turn_id, outcome),
            SessionMsg::Reply(turn_id, said, reply) => Self::reply(state, turn_id, *said, reply),
            SessionMsg::Reset(reply) => self.reset(state, reply),
            SessionMsg::GiveSeat => self.give_seat(state),
            SessionMsg::ResetLate(number) => Self::reset_late(state, number),
            SessionMsg::SeatGiven(ended) => self.seat_given(state, ended),
            SessionMsg::ResetDone(outcome) => self.reset_done(state, &outcome),
            SessionMsg::Leave => state.leaving = true,
            SessionMsg::Report(reply) => drop(reply.send(self.report(state))),
            SessionMsg::RestartPane => {
                Box::pin(self.start_pane(&myself, state)).await?;
                self.look(state);
            }
        }
        if state.leaving && Self::is_unused(state) {
            myself.stop(None);
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<SessionMsg>,
        event: SupervisionEvent,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        match state.children.ended(&event) {
            Some((Child::Turn(turn_id), end, _)) => {
                self.wiring.registry.leave(&self.turn_path(turn_id));
                if let End::Failure(why) = end {
                    self.runner_failed(state, turn_id, &why);
                }
            }
            Some((Child::Pane, end, Verdict::RestartAfter(wait))) => {
                tracing::error!(session = %self.row.name, ?end, "the pane's keeper ended; starting it again");
                state.kept = false;
                self.address.pipe(tokio::time::sleep(wait), |()| SessionMsg::RestartPane);
            }
            // Without its pane a session is no use: its own supervisor decides.
            Some((Child::Pane, ..)) => return Err("the pane's keeper ended too often".into()),
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mailbox has room for 32 messages from its first one on.
    #[test]
    fn messages_are_small() {
        let sizes = [size_of::<SessionMsg>(), size_of::<PaneMsg>()];
        assert!(sizes.iter().all(|size| *size <= 64), "{sizes:?}");
    }
}
