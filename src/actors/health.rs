//! `health`: whether an agent of a session can be had, asked before each turn. What was found good holds for a while; what
//! was found bad does not. Whoever asks while a probe is under way waits for that one.

mod known;

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use self::known::{Asked, Found, Known};
use super::address::Address;
use super::wiring::Wiring;
use crate::backend::BackendError;
use crate::turn::ErrorCode;

/// What is found of a session.
pub type Health = Result<(), BackendError>;

type KnownHealth = Known<oneshot::Sender<Health>>;

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

impl Actor for HealthActor {
    type Msg = HealthMsg;
    type State = KnownHealth;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<HealthMsg>, (): ()) -> Result<KnownHealth, ActorProcessingErr> {
        self.address.bind(myself);
        Ok(Known::new(self.wiring.limits.health.cache))
    }

    async fn handle(
        &self,
        _myself: ActorRef<HealthMsg>,
        message: HealthMsg,
        known: &mut KnownHealth,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        match message {
            HealthMsg::Check(session, reply) => self.check(known, session, reply),
            HealthMsg::Probed(session, number, health) => self.probed(known, session, number, &health),
            HealthMsg::Forget(session) => known.forget(&session),
        }
        self.address.gauge().note(known.note());
        Ok(())
    }
}

impl HealthActor {
    fn check(&self, known: &mut KnownHealth, session: String, reply: oneshot::Sender<Health>) {
        match known.ask(&session, reply, Instant::now()) {
            Asked::Good(reply) => drop(reply.send(Ok(()))),
            Asked::Probe(number) => self.probe(session, number),
            Asked::Waits => {}
        }
    }

    fn probe(&self, session: String, number: u64) {
        let (backend, limit, name) = (self.wiring.backend.clone(), self.wiring.limits.health.timeout, session.clone());
        let probe = async move {
            timeout(limit, backend.probe(&name)).await.unwrap_or_else(|_| {
                let message = format!("no answer within {} s", limit.as_secs_f32());
                Err(BackendError::new(ErrorCode::TmuxUnavailable, message))
            })
        };
        self.address.pipe(probe, move |health| HealthMsg::Probed(session, number, health));
    }

    fn probed(&self, known: &mut KnownHealth, session: String, number: u64, health: &Health) {
        if let Err(error) = health {
            tracing::warn!(session, code = %error.code, reason = error.message, "no agent to be had");
        }
        match known.probed(&session, number, health.is_ok(), Instant::now()) {
            Found::Tell(waiting) => waiting.into_iter().for_each(|reply| drop(reply.send(health.clone()))),
            Found::Again(number) => self.probe(session, number),
            Found::Nothing => {}
        }
    }
}
