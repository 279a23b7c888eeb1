//! tmux, from 3.2 on, spoken to in control mode: one server of our own on a private socket, one client of it.
//!
//! What the rest builds on, all of it measured on 3.3a: `-t name` matches prefixes, so targets are ids; a control client
//! that is attached with `no-output` gets replies and notifications but no screen output; a command takes 0.15 ms
//! where a spawned `tmux` takes 3.3 ms; a line of several commands runs without any other client's command in between.

mod client;
mod control;
mod fence;
mod ids;
mod leftover;
mod output;
mod pane;
mod protocol;
mod quote;
mod server;
mod socket;
mod version;

pub use client::ControlConfig;
pub use control::{Control, DEFAULT_DEADLINE};
pub use fence::{Newline, Paste, Pasted, Reply, enter, paste, press_again, put, reply};
pub use ids::{PaneId, TmuxSessionId, WindowId};
pub use output::Output;
pub use pane::{Cursor, Look, Pane, PaneInfo, SpawnSpec};
pub use protocol::{Block, Event, Parser};
pub use quote::{Command, quote};
pub use server::{KEEPER, Server, ServerConfig};
pub use version::Version;

/// What can go wrong with tmux. No variant holds a turn's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TmuxError {
    /// There is no such program.
    #[error("tmux was not found: {0}")]
    NotFound(String),
    /// The program is older than [`Version::OLDEST`].
    #[error("tmux {found} is too old: {} or later is needed", Version::OLDEST)]
    TooOld {
        /// What it says of itself.
        found: Version,
    },
    /// No server answers on the socket, or it is not the one that this handle was made for (whose ids mean something
    /// else). The command was not run; only `Server::start` helps.
    #[error("the tmux server is gone: {0}")]
    ServerGone(String),
    /// The client ended before the reply came: the command may have been run or not. The next command gets a new client.
    #[error("the tmux client ended before the reply to `{command}`")]
    Interrupted {
        /// The first word of the command line.
        command: &'static str,
    },
    /// No reply in time: the command may have been run, may yet be run, or not.
    #[error("no reply to tmux `{command}` in time")]
    Timeout {
        /// The first word of the command line.
        command: &'static str,
    },
    /// tmux refused the command.
    #[error("tmux `{command}`: {message}")]
    Command {
        /// The first word of the command line.
        command: &'static str,
        /// What tmux says.
        message: String,
    },
    /// A session of exactly this name is there already.
    #[error("there is a tmux session {0:?} already")]
    SessionExists(String),
    /// The pane is there, but its program has ended.
    #[error("the program in pane {0} has ended")]
    PaneDead(PaneId),
    /// Somebody switched the pane's input off (`select-pane -d`): what is typed there is dropped.
    #[error("the input of pane {0} is switched off")]
    InputOff(PaneId),
    /// An argument that this module does not pass on. Nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// The socket's directory cannot be used, or others than its owner may enter it.
    #[error("the tmux socket's directory: {0}")]
    SocketDir(String),
    /// tmux said something that this module does not understand.
    #[error("tmux gave an unexpected reply: {0}")]
    Protocol(String),
    /// The system refused something.
    #[error("tmux could not be run: {0}")]
    Io(String),
}

impl TmuxError {
    /// True where the pane, window or session that the command names is not there.
    pub fn is_missing_target(&self) -> bool {
        // The words of `cmd_find_target`, and of `set-option`, which has its own.
        const WORDS: [&str; 6] = [
            "can't find pane",
            "can't find window",
            "can't find session",
            "no such pane",
            "no such window",
            "no such session",
        ];
        matches!(self, Self::Command { message, .. } if WORDS.iter().any(|words| message.starts_with(words)))
    }

    /// The error for a pane that is not there, in tmux's own words.
    pub(crate) fn missing_pane(command: &'static str, pane: &PaneId) -> Self {
        Self::Command { command, message: format!("can't find pane: {pane}") }
    }
}
