//! `session:<name>`: the serialiser of one agent session. One turn at a time, first come first served.
//!
//! The queue is the table: messages only wake. Nothing here waits inside a handler, so cancel, reset and status are
//! answered at once while a turn runs for half an hour.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::address::Address;
use super::closing;
use super::pane::{PaneActor, PaneMsg};
use super::supervise::{ChildSpec, Children, End, Verdict};
use super::turn::{TurnActor, TurnMsg};
use super::wiring::Wiring;
use crate::backend::BackendError;
use crate::store::{Accepted, AgentSession, NewTurn, Refusal, SessionPatch, StoreError, Turn, Write, Written};
use crate::turn::{ErrorCode, EventKind, SessionId, Timestamp, TurnId, TurnState, UserId};

/// A turn as it comes in.
#[derive(Clone)]
pub struct Question {
    /// Who asks.
    pub user_id: UserId,
    /// `""` is the default persona.
    pub persona: String,
    /// In which conversation.
    pub session_id: SessionId,
    /// The client's own id of the turn.
    pub client_turn_id: Option<String>,
    /// The message, within the size limit.
    pub user_message: String,
    /// Where the embedding page is.
    pub page_origin: Option<String>,
    /// The page's context, a JSON object.
    pub context: Option<Value>,
}

/// What a submitted turn is answered.
pub type Submitted = Result<Accepted, SubmitError>;

/// Why a turn was not accepted. Nothing of it is in the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The table refused it.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The table does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session's actor failed too often; an admin or a restart clears it.
    #[error("the agent session has failed too often")]
    Failed,
}

/// A message to a session.
pub enum SessionMsg {
    /// Accept this turn.
    Submit(Box<Question>, oneshot::Sender<Submitted>),
    /// What the table said to it.
    Accepted(Box<Result<Written, StoreError>>, oneshot::Sender<Submitted>),
    /// The queue as the table has it, and its first turn.
    Queue(Result<(Vec<TurnId>, Option<Box<Turn>>), StoreError>),
    /// The turn that ran is over; `busy` says that the agent may still work on it.
    TurnOver {
        /// Which turn.
        turn_id: TurnId,
        /// See above.
        busy: bool,
    },
    /// A turn whose runner failed is ended.
    Settled(TurnId),
    /// The agent is idle again.
    Quiet,
    /// The agent started, or ended.
    AgentChanged {
        /// For people.
        reason: String,
        /// Whether it is there.
        alive: bool,
    },
    /// End the agent, and every turn with `session_reset`.
    Reset(oneshot::Sender<Result<(), BackendError>>),
    /// The reset is through.
    ResetDone(Result<(), BackendError>),
    /// What do you do?
    Report(oneshot::Sender<Report>),
    /// The backoff of the pane's keeper is over.
    RestartPane,
}

/// What a session does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The agent session's name.
    pub name: String,
    /// `idle`, `running`, `draining` or `resetting`.
    pub state: &'static str,
    /// Counts the incarnations of the session's owner.
    pub epoch: i64,
    /// Whether the agent's process is there.
    pub agent_alive: bool,
    /// The turn that runs.
    pub running: Option<TurnId>,
    /// Turns that wait, next in line first.
    pub queued: Vec<TurnId>,
    /// How often the agent was started again since the server started.
    pub restarts: u64,
    /// Why the agent changed last.
    pub last_reason: Option<String>,
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
    current: Option<Current>,
    /// Waiting for the agent to be idle before anything is typed.
    draining: bool,
    resetting: Vec<oneshot::Sender<Result<(), BackendError>>>,
    /// A look at the queue is under way.
    looking: bool,
    /// Something changed since that look began.
    look_again: bool,
    /// As of the last look; for reports only.
    queued: Vec<TurnId>,
    agent_alive: bool,
    agent_starts: u64,
    last_reason: Option<String>,
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
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<SessionMsg>, (): ()) -> Result<SessionState, ActorProcessingErr> {
        let path = format!("{}/pane", self.address.gauge().path());
        let mut state = SessionState {
            children: Children::default(),
            pane: Address::new(self.wiring.registry.enter(&path, "pane")),
            current: None,
            draining: false,
            resetting: Vec::new(),
            looking: false,
            look_again: false,
            queued: Vec::new(),
            agent_alive: false,
            agent_starts: 0,
            last_reason: None,
        };
        self.start_pane(&myself, &mut state).await?;
        Ok(state)
    }

    async fn post_start(
        &self,
        _myself: ActorRef<SessionMsg>,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
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
        match message {
            SessionMsg::Submit(question, reply) => self.submit(*question, reply),
            SessionMsg::Accepted(written, reply) => self.accepted(state, *written, reply),
            SessionMsg::Queue(queue) => self.queue(&myself, state, queue).await?,
            SessionMsg::TurnOver { turn_id, busy } => self.turn_over(state, turn_id, busy),
            SessionMsg::Settled(turn_id) => self.turn_over(state, turn_id, true),
            SessionMsg::Quiet => {
                state.draining = false;
                self.look(state);
            }
            SessionMsg::AgentChanged { reason, alive } => self.agent_changed(state, reason, alive),
            SessionMsg::Reset(reply) => self.reset(state, reply),
            SessionMsg::ResetDone(outcome) => {
                for reply in state.resetting.drain(..) {
                    let _ = reply.send(outcome.clone());
                }
                self.look(state);
            }
            SessionMsg::Report(reply) => drop(reply.send(self.report(state))),
            SessionMsg::RestartPane => self.start_pane(&myself, state).await?,
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
                self.address.pipe(tokio::time::sleep(wait), |()| SessionMsg::RestartPane);
            }
            // Without its pane a session is no use: its own supervisor decides.
            Some((Child::Pane, ..)) => return Err("the pane's keeper ended too often".into()),
            None => {}
        }
        Ok(())
    }
}

impl SessionActor {
    async fn start_pane(
        &self,
        myself: &ActorRef<SessionMsg>,
        state: &mut SessionState,
    ) -> Result<(), ActorProcessingErr> {
        let keeper = PaneActor {
            backend: self.wiring.backend.clone(),
            name: self.row.name.clone(),
            address: state.pane.clone(),
            session: self.address.clone(),
        };
        let (actor, _) = Actor::spawn_linked(None, keeper, (), myself.get_cell()).await?;
        state.children.started(Child::Pane, ChildSpec::PERMANENT, &actor.get_cell(), state.pane.gauge());
        state.pane.bind(actor);
        Ok(())
    }

    fn submit(&self, question: Question, reply: oneshot::Sender<Submitted>) {
        let turn = NewTurn {
            turn_id: TurnId::fresh(),
            user_id: question.user_id,
            session_id: question.session_id,
            agent_session: self.row.name.clone(),
            client_turn_id: question.client_turn_id,
            backend: self.wiring.backend.name().to_owned(),
            persona: question.persona,
            profile: self.wiring.backend.profile().to_owned(),
            user_message: question.user_message,
            page_origin: question.page_origin,
            context: question.context,
            queued_at: Timestamp::now(),
            queue_limit: self.wiring.limits.queue,
        };
        let recorder = self.wiring.recorder.clone();
        let write = async move { recorder.write(Write::AcceptTurn(Box::new(turn))).await };
        self.address.pipe(write, |written| SessionMsg::Accepted(Box::new(written), reply));
    }

    fn accepted(
        &self,
        state: &mut SessionState,
        written: Result<Written, StoreError>,
        reply: oneshot::Sender<Submitted>,
    ) {
        let answer = match written {
            Ok(Written::Accepted(accepted)) => {
                if accepted.created {
                    let log = self.wiring.streams.open(accepted.turn.turn_id);
                    // The same event that the table has already.
                    log.publish(&[log.stage(EventKind::Queued, queued_data(accepted.turn.turn_id, accepted.ahead))]);
                    self.look(state);
                }
                Ok(*accepted)
            }
            Ok(Written::Refused(refusal)) => Err(SubmitError::Refused(refusal)),
            Ok(other) => Err(StoreError::Corrupt(format!("unexpected answer {other:?}")).into()),
            Err(error) => Err(error.into()),
        };
        // Whoever asked may have hung up; the turn runs all the same.
        let _ = reply.send(answer);
    }

    /// Looks what is next, if something could be started now.
    fn look(&self, state: &mut SessionState) {
        if state.looking {
            state.look_again = true;
            return;
        }
        state.looking = true;
        state.look_again = false;
        let (store, name) = (self.wiring.store.clone(), self.row.name.clone());
        let read = async move {
            let queued = store.queued(&name).await?;
            let next = match queued.first() {
                Some(first) => store.turn(*first).await?.map(Box::new),
                None => None,
            };
            Ok((queued, next))
        };
        self.address.pipe(read, SessionMsg::Queue);
    }

    async fn queue(
        &self,
        myself: &ActorRef<SessionMsg>,
        state: &mut SessionState,
        queue: Result<(Vec<TurnId>, Option<Box<Turn>>), StoreError>,
    ) -> Result<(), ActorProcessingErr> {
        state.looking = false;
        let (queued, next) = match queue {
            Ok(queue) => queue,
            Err(error) => {
                tracing::error!(session = %self.row.name, %error, "the queue cannot be read");
                (Vec::new(), None)
            }
        };
        state.queued = queued;
        let blocked = state.current.is_some() || state.draining || !state.resetting.is_empty();
        if let Some(turn) = next.filter(|turn| !blocked && turn.state == TurnState::Queued) {
            state.queued.retain(|id| *id != turn.turn_id);
            self.run(myself, state, *turn).await?;
            self.tell_positions(state);
        }
        if state.look_again {
            self.look(state);
        }
        self.note(state);
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
            pane: state.pane.clone(),
            epoch: self.row.epoch,
            log: self.wiring.streams.open(turn_id),
        };
        let (actor, _) = Actor::spawn_linked(None, runner, turn.clone(), myself.get_cell()).await?;
        state.children.started(Child::Turn(turn_id), ChildSpec::TEMPORARY, &actor.get_cell(), address.gauge());
        address.bind(actor);
        state.current = Some(Current { turn, address });
        Ok(())
    }

    /// Tells the turns that wait how many are before them now.
    fn tell_positions(&self, state: &SessionState) {
        for (index, turn_id) in state.queued.iter().enumerate() {
            let Some(log) = self.wiring.streams.get(*turn_id) else { continue };
            let ahead = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let event = log.stage(EventKind::Queued, queued_data(*turn_id, ahead));
            log.publish(std::slice::from_ref(&event));
            self.wiring.recorder.append(*turn_id, vec![event]);
        }
    }

    fn turn_over(&self, state: &mut SessionState, turn_id: TurnId, busy: bool) {
        if state.current.as_ref().is_none_or(|current| current.turn.turn_id != turn_id) {
            return;
        }
        state.current = None;
        let patch = SessionPatch { last_used_at: Some(Timestamp::now()), ..SessionPatch::default() };
        self.wiring.recorder.later(Write::PatchAgentSession { name: self.row.name.clone(), patch });
        if busy {
            state.draining = true;
            let pane = state.pane.clone();
            let quiesce = async move { pane.ask(|reply| PaneMsg::Quiesce(turn_id, reply)).await };
            self.address.pipe(quiesce, |_| SessionMsg::Quiet);
        } else {
            self.look(state);
        }
        self.note(state);
    }

    /// A panic or an error in a runner ends its turn, and nothing else.
    fn runner_failed(&self, state: &mut SessionState, turn_id: TurnId, why: &str) {
        tracing::error!(session = %self.row.name, %turn_id, why, "the turn's runner failed");
        let Some(turn) = state.current.as_ref().map(|current| current.turn.clone()) else { return };
        let (wiring, epoch) = (self.wiring.clone(), self.row.epoch);
        let settle = async move {
            // The row as it is by now: the runner may have claimed it.
            let turn = wiring.store.turn(turn_id).await.ok().flatten().unwrap_or(turn);
            let message = "the turn's runner failed; the agent may have seen the message";
            let code = ErrorCode::UpstreamError;
            closing::settle(wiring, turn, epoch, code, message).await;
        };
        self.address.pipe(settle, move |()| SessionMsg::Settled(turn_id));
    }

    fn agent_changed(&self, state: &mut SessionState, reason: String, alive: bool) {
        state.agent_alive = alive;
        state.agent_starts += u64::from(alive);
        let restarted = alive && state.agent_starts > 1;
        let patch = SessionPatch {
            state: Some(if alive { "ready" } else { "ended" }.to_owned()),
            last_reason: Some(reason.clone()),
            restarts: i64::from(restarted),
            ..SessionPatch::default()
        };
        state.last_reason = Some(reason);
        self.wiring.recorder.later(Write::PatchAgentSession { name: self.row.name.clone(), patch });
    }

    fn reset(&self, state: &mut SessionState, reply: oneshot::Sender<Result<(), BackendError>>) {
        state.resetting.push(reply);
        if state.resetting.len() > 1 {
            return;
        }
        self.note(state);
        const MESSAGE: &str = "the agent session was reset";
        if let Some(current) = &state.current {
            let end = TurnMsg::End { code: ErrorCode::SessionReset, message: MESSAGE.to_owned() };
            let _ = current.address.send(end);
        }
        let (wiring, name, pane, epoch) =
            (self.wiring.clone(), self.row.name.clone(), state.pane.clone(), self.row.epoch);
        let running = state.current.as_ref().map(|current| current.turn.turn_id);
        let reset = async move {
            for turn_id in wiring.store.queued(&name).await.unwrap_or_default() {
                // One that has a runner is ended by it.
                if Some(turn_id) != running
                    && let Ok(Some(turn)) = wiring.store.turn(turn_id).await
                {
                    closing::settle(wiring.clone(), turn, epoch, ErrorCode::SessionReset, MESSAGE).await;
                }
            }
            let closed = pane.ask(PaneMsg::Close).await;
            closed.unwrap_or_else(|_| Err(BackendError::new(ErrorCode::BootstrapFailed, "the pane's keeper is gone")))
        };
        self.address.pipe(reset, SessionMsg::ResetDone);
    }

    fn report(&self, state: &SessionState) -> Report {
        Report {
            name: self.row.name.clone(),
            state: doing(state),
            epoch: self.row.epoch,
            agent_alive: state.agent_alive,
            running: state.current.as_ref().map(|current| current.turn.turn_id),
            queued: state.queued.clone(),
            restarts: state.agent_starts.saturating_sub(1),
            last_reason: state.last_reason.clone(),
        }
    }

    fn note(&self, state: &SessionState) {
        self.address.gauge().note(format!("{}, {} waiting", doing(state), state.queued.len()));
    }

    fn turn_path(&self, turn_id: TurnId) -> String {
        format!("{}/turn:{turn_id}", self.address.gauge().path())
    }
}

fn doing(state: &SessionState) -> &'static str {
    if !state.resetting.is_empty() {
        "resetting"
    } else if state.current.is_some() {
        "running"
    } else if state.draining {
        "draining"
    } else {
        "idle"
    }
}

fn queued_data(turn_id: TurnId, ahead: u32) -> Value {
    json!({ "turn_id": turn_id, "position": ahead })
}
