//! Settings of the local backend.

use std::path::PathBuf;
use std::time::Duration;

use crate::agent::profile::Profile;

/// How the local backend works.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// The tmux program.
    pub tmux: PathBuf,
    /// Its socket.
    pub socket: PathBuf,
    /// Where the spools are.
    pub spool: PathBuf,
    /// This program's own path, for profiles that start it.
    pub own_program: PathBuf,
    /// How the agent is started and typed to.
    pub profile: Profile,
    /// What the agent program says of itself with `--version`; empty where nobody asked, or it said nothing.
    pub agent_version: String,
    /// Variables that agents get beside those of their profile.
    pub environment: Vec<(String, String)>,
    /// Deadline for the ready signal.
    pub ready_timeout: Duration,
    /// Deadline for the confirmation of a delivery, before Enter is sent again.
    pub confirm_timeout: Duration,
    /// Deadline for the confirmation of an interrupt, and for the end of a process.
    pub interrupt_timeout: Duration,
    /// Bytes of a message that are typed; longer ones go by file.
    pub inline_limit: usize,
    /// Bytes of an answer.
    pub max_response: usize,
}
