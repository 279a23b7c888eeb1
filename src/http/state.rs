//! What handlers share.

use std::sync::Arc;

use tokio::sync::watch;

use super::auth::Sayings;
use super::auth::admission::Admissions;
use super::auth::jwt::Verifier;
use super::auth::limits::Limits;
use super::signin::SignInLinks;
use crate::actors::Address;
use crate::actors::janitor::JanitorMsg;
use crate::actors::observe::Registry;
use crate::actors::recorder::Recorder;
use crate::actors::sessions::{Key, SessionsMsg};
use crate::backend::Backend;
use crate::config::{Config, SessionScope};
use crate::store::{SharedStore, StoreError, Turn};
use crate::streams::Streams;
use crate::streams::follow::Pace;

/// Handles and settings; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Settings.
    pub config: Arc<Config>,
    /// For reads.
    pub store: SharedStore,
    /// For writes.
    pub recorder: Recorder,
    /// Where turns are submitted.
    pub sessions: Address<SessionsMsg>,
    /// Who is asked for late answers.
    pub janitor: Address<JanitorMsg>,
    /// The event logs.
    pub streams: Arc<Streams>,
    /// Who runs.
    pub registry: Arc<Registry>,
    /// Where agents live.
    pub backend: Arc<dyn Backend>,
    /// Sign-in links that were printed.
    pub links: Arc<SignInLinks>,
    /// Host names that requests may be addressed to.
    pub hosts: Arc<Vec<String>>,
    /// Verifies tokens of another service, where there are such.
    pub verifier: Option<Arc<Verifier>>,
    /// What other services said of people.
    pub sayings: Arc<Sayings>,
    /// How much of it one may do.
    pub limits: Arc<Limits>,
    /// Whose event streams are open.
    pub admissions: Arc<Admissions>,
    /// Turns true when the server stops: streams end, so that clients come again.
    pub closing: watch::Receiver<bool>,
}

impl App {
    /// Intervals and limits of event streams.
    pub fn pace(&self) -> Pace {
        let stream = &self.config.stream;
        Pace { thinking: stream.thinking, ping: stream.ping, retry: stream.retry, max_lag: stream.max_lag }
    }

    /// Whose agent session looks after a turn.
    pub async fn key_of(&self, turn: &Turn) -> Result<Key, StoreError> {
        let apart = self.config.agent.session_scope == SessionScope::Conversation;
        Key::of_turn(&*self.store, turn, apart).await
    }
}
