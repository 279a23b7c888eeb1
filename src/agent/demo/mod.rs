//! The demo agent: a small, deterministic agent in a terminal. It is what a newcomer meets on the first run, without
//! any account, and the real process that tests drive.
//!
//! It keeps to the contract between server and agent in full (envelope, spool, signals, trailer), and a message that
//! starts with `!` steers it. It is a program of its own: one thread, one wait for input or the next deadline.

mod agent;
pub(super) mod answer;
pub(super) mod decoder;
mod directive;
pub(super) mod envelope;
mod files;
mod screen;
mod terminal;
mod text;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use self::agent::Agent;
use self::files::{Spool, TypedLog};
use self::terminal::Terminal;

/// What the demo agent is told at its start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Takes down every submission, unfiltered, one JSON object per line.
    pub typed_log: Option<PathBuf>,
    /// The spool shared with the server. Without one, answers are shown on the screen only.
    pub spool: Option<PathBuf>,
    /// Name of the agent session.
    pub session: Option<String>,
}

impl Options {
    /// Completes the command line by the environment: `PALIADIN_SPOOL`, `PALIADIN_SESSION`, and, where the command
    /// line names no log, `PALIADIN_DEMO_TYPED_LOG`. Empty variables count as absent.
    pub fn from_environment(typed_log: Option<PathBuf>) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            typed_log: typed_log.or_else(|| variable("PALIADIN_DEMO_TYPED_LOG").map(PathBuf::from)),
            spool: variable("PALIADIN_SPOOL").map(PathBuf::from),
            session: variable("PALIADIN_SESSION").map(|name| name.to_string_lossy().into_owned()),
        }
    }
}

/// Runs the agent on standard input and output until it is left, and gives the process's exit status: 1 after `!die`.
///
/// # Errors
/// Where the log of what is typed cannot be opened, or the terminal fails.
pub fn run(options: Options) -> io::Result<ExitCode> {
    let Options { typed_log, spool, session } = options;
    let typed_log = typed_log.map(|path| TypedLog::open(path, session.clone())).transpose()?;
    let terminal = Terminal::enter()?;
    let mut agent = Agent::new(terminal.shows(), spool.map(Spool::new), typed_log);
    agent.converse(&terminal, session.as_deref()).map(ExitCode::from)
}
