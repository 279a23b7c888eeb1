//! Configuration: `config/default.toml`, then a file, then the environment; a struct per concern.

mod auth;
mod load;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use auth::{Auth, AuthMode, JwtKeys, SHORTEST_SECRET};
pub use load::{ConfigError, default_state_dir, load, variables_read};

/// The reference, with every key.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// Everything that can be configured. `config/default.toml` says what each key means.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// Web chat and API.
    pub server: Server,
    /// Where files live.
    pub state: State,
    /// Database.
    pub store: Store,
    /// Where agents live.
    pub backend: Backend,
    /// Which agent, and its timings.
    pub agent: Agent,
    /// What is asked before a turn.
    pub health: Health,
    /// Limits of a turn.
    pub turn: Turn,
    /// What is cleared up, and when.
    pub janitor: Janitor,
    /// Event streams.
    pub stream: Stream,
    /// Who may come in.
    pub auth: Auth,
    /// Logs.
    pub log: Log,
}

/// Section `[server]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Whether the product exists at all.
    pub enabled: bool,
    /// Further allowed values of the Host header, without port.
    #[serde(deserialize_with = "load::comma_list")]
    pub allowed_hosts: Vec<String>,
    /// Deadline for a client to read what was written to it.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// Deadline for the head of a request, and how long a connection may idle.
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    /// Deadline for the head of an answer, the body of its request included.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Event streams of a user at once.
    pub max_streams: usize,
    /// Requests of a user within a minute; 0 for any number.
    pub rate_limit: u32,
}

/// Section `[state]`.
#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// The state directory; never empty after [`load`].
    pub dir: PathBuf,
}

impl State {
    /// The tmux server's socket (in a directory of its own, which tmux wants to be private).
    pub fn tmux_socket(&self) -> PathBuf {
        self.dir.join("tmux").join("server")
    }

    /// The directory of all spools.
    pub fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// The file that holds the command line's own API token.
    pub fn cli_token(&self) -> PathBuf {
        self.dir.join("cli.token")
    }
}

/// Section `[store]`.
#[derive(Clone, Deserialize)]
pub struct Store {
    /// `sqlite://PATH`, `postgres://…` or `postgresql://…`; never empty after [`load`].
    pub url: String,
}

/// Section `[backend]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Backend {
    /// `auto`, `local`, `disabled`; other words mean `auto`.
    pub kind: String,
    /// The tmux program.
    pub tmux: PathBuf,
}

/// Section `[agent]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Agent {
    /// Profile name, or `auto`.
    pub profile: String,
    /// First part of agent session names.
    pub session_prefix: String,
    /// What has an agent session of its own.
    pub session_scope: SessionScope,
    /// Directory of further profiles; empty for none.
    pub profiles_dir: PathBuf,
    /// Deadline for the ready signal.
    #[serde(with = "humantime_serde")]
    pub ready_timeout: Duration,
    /// Deadline for the confirmation of a delivery.
    #[serde(with = "humantime_serde")]
    pub confirm_timeout: Duration,
    /// Deadline for the confirmation of an interrupt.
    #[serde(with = "humantime_serde")]
    pub interrupt_timeout: Duration,
    /// Agents that may live at once; zero for any number.
    pub max_live: usize,
    /// For how long an agent may idle; zero for ever.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Wait before an agent that ended is started again.
    #[serde(with = "humantime_serde")]
    pub restart_backoff: Duration,
    /// The longest such wait.
    #[serde(with = "humantime_serde")]
    pub restart_backoff_max: Duration,
    /// So many ends within `restart_period` are a crash loop.
    pub restart_limit: usize,
    /// See `restart_limit`.
    #[serde(with = "humantime_serde")]
    pub restart_period: Duration,
    /// Turns of a conversation of which an agent is told that does not remember them.
    pub primer_turns: u32,
    /// Signs the token of each turn; empty for none.
    pub jwt_secret: SecretString,
    /// The audience that these tokens name.
    pub jwt_audience: String,
    /// The demo agent's record of what it received; empty for none.
    pub typed_log: PathBuf,
}

/// Section `[health]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Health {
    /// How long a good result holds.
    #[serde(with = "humantime_serde")]
    pub cache: Duration,
    /// How long a probe may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// What has an agent session of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum SessionScope {
    /// Every user, for all conversations.
    User,
    /// Every conversation.
    Conversation,
}

impl TryFrom<String> for SessionScope {
    type Error = String;
    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "user" => Ok(Self::User),
            "conversation" => Ok(Self::Conversation),
            _ => Err(format!("{word:?} is not known; there are `user` and `conversation`")),
        }
    }
}

/// Section `[turn]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Turn {
    /// Bytes of a message that are typed; longer ones go by file.
    pub inline_limit: usize,
    /// Bytes of a message.
    pub max_message: usize,
    /// Bytes of an answer.
    pub max_response: usize,
    /// Queued turns per user.
    pub queue_limit: u32,
    /// Longest time without a sign of life from the agent; zero for none.
    #[serde(with = "humantime_serde")]
    pub silence_timeout: Duration,
    /// Longest time that the agent may take; zero for none.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// How long an agent that was given up may go on while others wait.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// How long a late answer is awaited, whatever its agent does.
    #[serde(with = "humantime_serde")]
    pub recovery_window: Duration,
}

/// Section `[janitor]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Janitor {
    /// From one sweep to the next.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Age at which files of an unknown turn are removed.
    #[serde(with = "humantime_serde")]
    pub orphan_age: Duration,
    /// How long events are kept after their turn ended; zero for ever.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
}

/// Section `[stream]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Stream {
    /// Interval of `thinking`.
    #[serde(with = "humantime_serde")]
    pub thinking: Duration,
    /// Interval of `ping`.
    #[serde(with = "humantime_serde")]
    pub ping: Duration,
    /// The `retry` field of a stream.
    #[serde(with = "humantime_serde")]
    pub retry: Duration,
    /// Bytes a reader may lag behind the live turn.
    pub max_lag: usize,
}

/// Section `[log]`.
#[derive(Debug, Clone, Deserialize)]
pub struct Log {
    /// Form of a line.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl TryFrom<String> for LogFormat {
    type Error = String;
    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("{word:?} is not known; there are `text` and `json`")),
        }
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Whether the URL names a PostgreSQL server.
    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres://") || self.url.starts_with("postgresql://")
    }

    /// The database's file, where the URL names one.
    pub fn sqlite_path(&self) -> Option<&Path> {
        self.url.strip_prefix("sqlite://").map(Path::new)
    }
}
