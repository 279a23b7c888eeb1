//! `health`: whether an agent of a session can be had, asked before each turn. What was found good holds for a while; what
//! was found bad does not. Whoever asks while a probe is under way waits for that one.

use std::collections::HashMap;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::address::Address;
use super::wiring::Wiring;
use crate::backend::BackendError;
use crate::turn::ErrorCode;

/// What is found of a session.
pub type Health = Result<(), BackendError>;

/// How health is probed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probing {
    /// How long a good result holds.
    pub cache: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
}

/// A message to the actor.
pub enum HealthMsg {
    /// Can an agent of this session be had?
    Check(String, oneshot::Sender<Health>),
    /// What a probe found, by its number.
    Probed(String, u64, Health),
    /// Something has happened to this session: what was found does not hold any more, nor what is just being found.
    Forget(String),
}

/// The actor.
pub struct HealthActor {
    /// Handles.
    pub wiring: Wiring,
    /// Its own address.
    pub address: Address<HealthMsg>,
}

/// What is known.
#[derive(Default)]
pub struct HealthState {
    /// Until when a session counts as healthy.
    good_until: HashMap<String, Instant>,
    /// By session; one at a time.
    probes: HashMap<String, Probe>,
    /// Numbers the probes.
    count: u64,
}

struct Probe {
    number: u64,
    waiting: Vec<oneshot::Sender<Health>>,
    /// It began before the last that happened to its session.
    is_stale: bool,
}

impl Actor for HealthActor {
    type Msg = HealthMsg;
    type State = HealthState;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<HealthMsg>, (): ()) -> Result<HealthState, ActorProcessingErr> {
        self.address.bind(myself);
        Ok(HealthState::default())
    }

    async fn handle(
        &self,
        _myself: ActorRef<HealthMsg>,
        message: HealthMsg,
        state: &mut HealthState,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        match message {
            HealthMsg::Check(session, reply) => self.check(state, session, reply),
            HealthMsg::Probed(session, number, health) => self.probed(state, session, number, health),
            HealthMsg::Forget(session) => {
                state.good_until.remove(&session);
                if let Some(probe) = state.probes.get_mut(&session) {
                    probe.is_stale = true;
                }
            }
        }
        let (healthy, now, count) = (state.good_until.len(), state.probes.len(), state.count);
        self.address.gauge().note(format!("{healthy} healthy, {now} being probed, {count} probes so far"));
        Ok(())
    }
}

impl HealthActor {
    fn check(&self, state: &mut HealthState, session: String, reply: oneshot::Sender<Health>) {
        if state.good_until.get(&session).is_some_and(|until| Instant::now() < *until) {
            let _ = reply.send(Ok(()));
        } else if let Some(probe) = state.probes.get_mut(&session) {
            probe.waiting.push(reply);
        } else {
            self.probe(state, session, vec![reply]);
        }
    }

    fn probe(&self, state: &mut HealthState, session: String, waiting: Vec<oneshot::Sender<Health>>) {
        state.count += 1;
        let number = state.count;
        state.probes.insert(session.clone(), Probe { number, waiting, is_stale: false });
        let (backend, limit, name) = (self.wiring.backend.clone(), self.wiring.limits.health.timeout, session.clone());
        let probe = async move {
            timeout(limit, backend.probe(&name)).await.unwrap_or_else(|_| {
                let message = format!("no answer within {} s", limit.as_secs_f32());
                Err(BackendError::new(ErrorCode::TmuxUnavailable, message))
            })
        };
        self.address.pipe(probe, move |health| HealthMsg::Probed(session, number, health));
    }

    fn probed(&self, state: &mut HealthState, session: String, number: u64, health: Health) {
        let Some(probe) = state.probes.remove(&session) else { return };
        if probe.number != number {
            state.probes.insert(session, probe);
        } else if probe.is_stale {
            self.probe(state, session, probe.waiting);
        } else {
            let now = Instant::now();
            state.good_until.retain(|_, until| now < *until);
            match &health {
                Ok(()) => drop(state.good_until.insert(session, now + self.wiring.limits.health.cache)),
                Err(error) => tracing::warn!(session, code = %error.code, reason = error.message, "no agent to be had"),
            }
            for reply in probe.waiting {
                let _ = reply.send(health.clone());
            }
        }
    }
}
