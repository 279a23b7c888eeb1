//! What every actor of an agent session is given: handles that stay the same for the life of the process.

use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::health::HealthMsg;
pub use super::health::Probing;
use super::janitor::JanitorMsg;
pub use super::janitor::Upkeep;
use super::observe::Registry;
pub use super::pane::Restarts;
use super::recorder::Recorder;
use super::seats::Seats;
pub use super::turn::Patience;
use crate::agent::token::TurnTokens;
use crate::backend::Backend;
use crate::store::SharedStore;
use crate::streams::Streams;

/// Limits that the actors keep.
#[derive(Debug)]
pub struct Limits {
    /// Queued turns per user.
    pub queue: u32,
    /// Every conversation gets an agent session of its own; else one serves all of its user's.
    pub conversations_apart: bool,
    /// Live agents at once; zero for any number.
    pub live_agents: usize,
    /// How long a turn may take, and go without a sign of life.
    pub patience: Patience,
    /// How agents that end are started again.
    pub restarts: Restarts,
    /// For how long an agent may idle until it is ended; zero for ever.
    pub idle_timeout: Duration,
    /// Turns of a conversation of which an agent is told that does not remember them.
    pub primer_turns: u32,
    /// How long what was found of a session's health holds, and how long the search for it may take.
    pub health: Probing,
    /// How long an agent that was given up may go on with its turn while others wait.
    pub drain: Duration,
    /// What is kept for how long, and how often that is looked at.
    pub upkeep: Upkeep,
    /// First part of agent session names.
    pub session_prefix: String,
}

/// Immutable wiring, cheap to clone.
#[derive(Clone)]
pub struct Wiring {
    /// For reads.
    pub store: SharedStore,
    /// For writes.
    pub recorder: Recorder,
    /// Told of turns that failed.
    pub janitor: Address<JanitorMsg>,
    /// Asked before each turn.
    pub health: Address<HealthMsg>,
    /// Where agents live.
    pub backend: Arc<dyn Backend>,
    /// The event logs.
    pub streams: Arc<Streams>,
    /// Who runs.
    pub registry: Arc<Registry>,
    /// The places for live agents.
    pub seats: Arc<Seats>,
    /// Makes a token for each turn, where there is a secret for that.
    pub tokens: Option<Arc<TurnTokens>>,
    /// Limits.
    pub limits: Arc<Limits>,
    /// This process, as an owner of agent sessions.
    pub node: Arc<str>,
}
