//! How the keeper comes to an agent: it starts one, or takes over one that is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::keeping::{Leave, Next};
use super::{Found, PaneActor, PaneMsg, PaneState, Ready};
use crate::actors::health::HealthMsg;
use crate::actors::seats::{Ask, Seat};
use crate::actors::session::{AgentChange, LeftBusy, SessionMsg, Standing, Takeover, standing};
use crate::actors::wiring::Wiring;
use crate::backend::{Adopted, Agent, BackendError, LeftAgent, Opened, Origin};
use crate::faults;
use crate::turn::{ErrorCode, Memory, TurnId};

/// Numbers the starts of agents in this process.
static STARTS: AtomicU64 = AtomicU64::new(0);

impl PaneActor {
    pub(super) fn open(&self, state: &mut PaneState, reply: oneshot::Sender<Ready>) {
        if let Some(agent) = state.agent.as_ref().filter(|agent| agent.exit().borrow().is_none()) {
            let _ = reply.send(Ok(agent.clone()));
            return;
        }
        if let Err(error) = self.may_start(state) {
            let _ = reply.send(Err(error));
            return;
        }
        state.waiting.push(reply);
        if state.starting.is_none() {
            self.start(state, false);
        }
    }

    /// Whether there is no end to be waited for.
    fn may_start(&self, state: &PaneState) -> Result<(), BackendError> {
        let refused = |code, what: &str| {
            let last = state.last_end.as_deref().unwrap_or("ended");
            Err(BackendError::new(code, format!("the agent {last}, {what}; a reset starts it again")))
        };
        match state.keeping.leave(Instant::now()) {
            Leave::Given | Leave::From(_) => Ok(()),
            Leave::Once => refused(ErrorCode::AgentDied, "and its profile says that it is started once only"),
            Leave::CrashLoop => refused(ErrorCode::AgentCrashLoop, "and has ended too often in a short time"),
        }
    }

    /// Starts an agent, as soon as one may be started; `unasked` for one that nobody waits for.
    fn start(&self, state: &mut PaneState, unasked: bool) {
        // The place of the one before, whose end may not have been told yet: others may have waited for it for longer.
        state.seat = None;
        state.unasked = unasked;
        self.tell_starting(true);
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        state.starting = Some(number);
        match state.keeping.leave(Instant::now()) {
            Leave::From(then) => {
                state.resting = true;
                self.address.gauge().note("waiting before the agent is started again");
                self.address.pipe(sleep_until(then), move |()| PaneMsg::Rested(number));
            }
            _ => self.take_seat(state, number),
        }
    }

    pub(super) fn rested(&self, state: &mut PaneState, number: u64) {
        state.resting = false;
        self.take_seat(state, number);
    }

    fn take_seat(&self, state: &mut PaneState, number: u64) {
        state.waiting.retain(|reply| !reply.is_closed());
        // Others shall not lose their agents, or wait for theirs, for one that idles.
        if state.unasked && state.waiting.is_empty() {
            if let Some(seat) = self.wiring.seats.try_take(&self.name, self.ask_for_seat()) {
                return self.seated(state, number, seat);
            }
            tracing::info!(session = %self.name, "no place for the agent; it is started by the next turn");
            state.starting = None;
            self.tell_starting(false);
            self.address.gauge().note("no agent: others have its place");
            return self.settle(state);
        }
        match self.wiring.seats.take(&self.name, self.ask_for_seat()) {
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

    fn tell_starting(&self, starts: bool) {
        let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::Starting(starts)));
    }

    fn ask_for_seat(&self) -> Ask {
        let session = self.session.clone();
        Box::new(move || {
            let _ = session.send(SessionMsg::GiveSeat);
        })
    }

    pub(super) fn seated(&self, state: &mut PaneState, number: u64, seat: Seat) {
        state.seating = None;
        state.seat = Some(seat);
        self.address.gauge().note("starting the agent");
        let (wiring, name, memory) = (self.wiring.clone(), self.name.clone(), state.memory.clone());
        let given_up = state.begin();
        let open = async move {
            // Given up meanwhile, it is not started either.
            let left = given_up.run_until_cancelled(settled(&wiring, &name, &memory, &given_up)).await;
            match left.transpose()?.flatten() {
                Some(agent) => Ok(Opened { agent, origin: Origin::TakenOver }),
                None => wiring.backend.open(&name, &memory, &given_up).await,
            }
        };
        self.address.pipe(open, move |opened| PaneMsg::Started(number, opened));
    }

    /// Nobody waits for an agent any more. One that is started unasked is started all the same, unless others would lose
    /// theirs for it.
    pub(super) fn unwanted(&self, state: &mut PaneState) {
        if !state.unasked || state.seating.is_some() {
            self.give_up_start(state);
        }
    }

    /// A start that still waits is given up.
    pub(super) fn give_up_start(&self, state: &mut PaneState) {
        let seating = state.seating.take();
        if seating.is_none() && !std::mem::take(&mut state.resting) {
            return;
        }
        if let Some(seating) = seating {
            seating.abort();
        }
        state.starting = None;
        if state.agent.is_none() {
            state.seat = None;
        }
        self.tell_starting(false);
        self.address.gauge().note("no agent yet");
        for reply in state.waiting.drain(..) {
            let _ = reply.send(Err(BackendError::new(ErrorCode::SessionReset, "nobody waits for the agent any more")));
        }
        self.settle(state);
    }

    pub(super) fn take_over(&self, state: &mut PaneState) {
        if state.agent.is_some() || state.starting.is_some() {
            let _ = self.session.send(SessionMsg::TookOver(Takeover::Idle));
            return;
        }
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        state.starting = Some(number);
        let (backend, name, memory) = (self.wiring.backend.clone(), self.name.clone(), state.memory.clone());
        let health = self.wiring.health.clone();
        let given_up = state.begin();
        // The session runs nothing before this is known: it shall not wait for a terminal that does not answer.
        let look = async move {
            if let Ok(Err(error)) = health.ask(|reply| HealthMsg::Check(name.clone(), reply)).await {
                return Err(error);
            }
            backend.find(&name, &memory, &given_up).await
        };
        self.address.pipe(look, move |left| PaneMsg::Left(number, left));
    }

    pub(super) fn left(&self, state: &mut PaneState, left: Result<Option<LeftAgent>, BackendError>) {
        state.starting = None;
        let mut told = Takeover::Idle;
        match left {
            // A turn whose keeper was started again waits for it; it gets the agent when that is done with its work.
            Ok(Some(LeftAgent { works_on: Some(_), .. })) if !state.waiting.is_empty() => {}
            Ok(Some(LeftAgent { agent, works_on, tells_end, outdated })) => {
                for reply in state.waiting.drain(..) {
                    let _ = reply.send(Ok(agent.clone()));
                }
                state.seat = Some(self.wiring.seats.keep(&self.name, self.ask_for_seat()));
                if let Some(turn_id) = works_on {
                    told = Takeover::Busy(LeftBusy { place: agent.place().to_owned(), turn_id, tells_end });
                }
                self.keep(state, agent, Origin::TakenOver, outdated);
            }
            Ok(None) => self.tell_starting(false),
            // It is being ended, for a reset.
            Err(_) if !state.closing.is_empty() => self.tell_starting(false),
            // Whoever needs an agent hears of it; one that idles there is looked for again.
            Err(error) => {
                tracing::warn!(session = %self.name, %error, "not known whether an agent was left");
                self.tell_starting(false);
                told = Takeover::Unknown;
            }
        }
        let _ = self.session.send(SessionMsg::TookOver(told));
        self.settle(state);
        if !state.waiting.is_empty() && state.starting.is_none() {
            self.start(state, false);
        }
    }

    pub(super) fn adopt(&self, state: &mut PaneState, place: String, turn: TurnId, reply: oneshot::Sender<Found>) {
        let is_kept = |agent: &&Arc<dyn Agent>| agent.place() == place && agent.exit().borrow().is_none();
        if let Some(agent) = state.agent.as_ref().filter(is_kept) {
            // How it was started the session knows by now.
            let _ = reply.send(Ok(Adopted::Here { agent: agent.clone(), outdated: false }));
            return;
        }
        // The session waits for a look that is under way; this one finds the agent, too.
        if state.starting.is_some() {
            let _ = self.session.send(SessionMsg::TookOver(Takeover::Idle));
        }
        let number = STARTS.fetch_add(1, Ordering::Relaxed);
        state.starting = Some(number);
        self.address.gauge().note("looking for the agent that was left");
        let (backend, name, memory) = (self.wiring.backend.clone(), self.name.clone(), state.memory.clone());
        let look = async move { backend.adopt(&name, &memory, &place, turn).await };
        self.address.pipe(look, move |found| PaneMsg::Adopted(number, found, reply));
    }

    pub(super) fn adopted(&self, state: &mut PaneState, found: Found, reply: oneshot::Sender<Found>) {
        state.starting = None;
        match &found {
            Ok(Adopted::Here { agent, outdated }) => {
                state.seat = Some(self.wiring.seats.keep(&self.name, self.ask_for_seat()));
                self.keep(state, agent.clone(), Origin::TakenOver, *outdated);
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
    pub(super) fn settle(&self, state: &mut PaneState) {
        for (turn, reply) in std::mem::take(&mut state.quiescing) {
            self.quiesce(state, turn, reply);
        }
        for (why, reply) in std::mem::take(&mut state.closing) {
            self.close(state, why, reply);
        }
    }

    pub(super) fn started(&self, state: &mut PaneState, mut opened: Result<Opened, BackendError>) {
        state.starting = None;
        if !state.closing.is_empty() {
            let (closing, seat) = (std::mem::take(&mut state.closing), state.seat.take());
            let (backend, name) = (self.wiring.backend.clone(), self.name.clone());
            tokio::spawn(async move {
                let closed = match opened {
                    Ok(Opened { agent, .. }) => agent.close().await,
                    // What was started of it may be there.
                    Err(_) => backend.end(&name).await,
                };
                drop(seat);
                for (_, reply) in closing {
                    let _ = reply.send(closed.clone());
                }
            });
            opened = Err(BackendError::new(ErrorCode::SessionReset, "the agent session was reset"));
        }
        let ready = opened.map(|Opened { agent, origin }| {
            self.keep(state, agent.clone(), origin, false);
            agent
        });
        if let Err(error) = &ready {
            self.not_started(state, error);
        }
        for reply in state.waiting.drain(..) {
            let _ = reply.send(ready.clone());
        }
        self.settle(state);
    }

    fn not_started(&self, state: &mut PaneState, error: &BackendError) {
        state.seat = None;
        tracing::warn!(session = %self.name, code = %error.code, reason = %error.message, "no agent");
        self.address.gauge().note(format!("no agent: {}", error.code));
        let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::NotReady(error.to_string())));
        // What ails the terminal, the host or the configuration is no fault of the agent's.
        if error.of_process {
            let unasked = state.waiting.is_empty();
            state.last_end = Some(format!("could not be started ({})", error.message));
            self.go_on(state, unasked);
        }
    }

    /// Does what the policy says about an agent that has ended, or did not start.
    pub(super) fn go_on(&self, state: &mut PaneState, needed: bool) {
        match state.keeping.ended(Instant::now(), needed) {
            Next::Restart(wait) => {
                self.address.gauge().note(format!("starting the agent again in {} s", wait.as_secs_f32()));
                self.start(state, true);
            }
            Next::Wait(_) | Next::Stay => {}
            Next::GiveUp => {
                let last = state.last_end.clone().unwrap_or_default();
                tracing::error!(session = %self.name, last, "the agent ends again and again; giving up");
                self.address.gauge().note(format!("the agent {last}, once too often"));
                let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::CrashLoop(last)));
                if let Err(error) = self.may_start(state) {
                    for reply in state.waiting.drain(..) {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    fn keep(&self, state: &mut PaneState, agent: Arc<dyn Agent>, origin: Origin, outdated: bool) {
        let place = agent.place().to_owned();
        tracing::info!(session = %self.name, place, ?origin, "agent ready");
        self.address.gauge().note(format!("agent at {place}"));
        let mut exit = agent.exit();
        let gone = async move {
            let exit = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
            faults::halt("pane.exited").await;
            exit
        };
        let gone_place = place.clone();
        self.address.pipe(gone, move |exit| PaneMsg::Exited { place: gone_place, exit: exit.unwrap_or_default() });
        let memory = agent.memory().borrow().clone();
        self.watch_memory(&agent, place);
        state.agent = Some(agent);
        let after = state.last_end.take();
        let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::Ready { origin, after, outdated }));
        self.learn(state, memory);
    }

    /// Tells the keeper whenever the agent's memory begins anew.
    fn watch_memory(&self, agent: &Arc<dyn Agent>, place: String) {
        let (mut memory, address) = (agent.memory(), self.address.clone());
        tokio::spawn(async move {
            while memory.changed().await.is_ok() {
                let now = memory.borrow_and_update().clone();
                if address.send(PaneMsg::Remembers(place.clone(), now)).is_err() {
                    return;
                }
            }
        });
    }

    pub(super) fn learn(&self, state: &mut PaneState, memory: Memory) {
        if memory != state.memory {
            state.memory = memory.clone();
            let _ = self.session.send(SessionMsg::AgentChanged(AgentChange::Remembers(memory)));
        }
    }

    /// What was found of this session's agent does not hold any more.
    pub(super) fn unsure(&self) {
        let _ = self.wiring.health.send(HealthMsg::Forget(self.name.clone()));
    }
}

/// The agent that was left, once it is done with what it was given last: as a session has it that takes an agent over, save
/// that a turn waits for this one already. `None` where there is none that can be used.
async fn settled(
    wiring: &Wiring,
    name: &str,
    memory: &Memory,
    given_up: &CancellationToken,
) -> Result<Option<Arc<dyn Agent>>, BackendError> {
    let left = wiring.backend.find(name, memory, given_up).await?;
    let Some(LeftAgent { agent, works_on, tells_end, outdated }) = left else { return Ok(None) };
    if let Some(turn) = works_on {
        let is_done = match standing(&*wiring.store, turn, tells_end).await {
            Standing::Over => true,
            Standing::Wanted => timeout(wiring.limits.drain, agent.finished(turn)).await.is_ok(),
            Standing::Unwanted => false,
        };
        if !is_done {
            faults::halt("left.interrupt").await;
            if let Err(error) = agent.interrupt(turn).await {
                tracing::warn!(session = name, %turn, %error, "the agent that was left does not stop its work");
                return Ok(None);
            }
        }
    }
    let is_there = agent.exit().borrow().is_none();
    Ok((is_there && !outdated).then_some(agent))
}
