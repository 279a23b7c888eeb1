//! Backends: where agent sessions live. One trait; every implementation streams the same [`AgentEvent`]s.

mod disabled;
mod local;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use disabled::DisabledBackend;
pub use local::{LocalBackend, LocalConfig, Outcome, Trial, Unanswered};

use crate::agent::profile::RestartPolicy;
use crate::agent::question::QuestionName;
use crate::agent::token::Grant;
use crate::turn::{ErrorCode, Memory, TurnId};

/// What an agent does with a turn, as every backend reports it.
#[derive(Clone, PartialEq, Debug)]
pub enum AgentEvent {
    /// The agent was seen to have the message.
    Started,
    /// The next piece of the answer's body.
    Delta(String),
    /// What the agent is doing, for people; `None` when it is over.
    Activity(Option<String>),
    /// The agent waits for a person.
    Attention {
        /// `question`, `permission`, or [`DIALOG`](crate::turn::DIALOG).
        kind: String,
        /// What it asks.
        prompt: String,
        /// What can be chosen from; empty where any text will do.
        options: Vec<String>,
        /// Which question it is, where it is open until that very one is over.
        name: Option<QuestionName>,
        /// The reply of a person can be taken, and that it is over is told: a hook of the agent's waits for it under that name,
        /// or it is typed.
        reply: bool,
    },
    /// A person is seen to be asked something in the agent's terminal, in these words.
    Dialog(String),
    /// It waits no more.
    AttentionOver {
        /// The name of the question that is over; `None` for those without one.
        name: Option<QuestionName>,
    },
    /// A sign of life.
    Heartbeat,
    /// What the agent had reported before it was asked for has been told. Once, before anything that it reports later.
    CaughtUp,
    /// The whole answer, trailer and all. Nothing follows.
    Done(String),
    /// The turn ended without a complete answer. Nothing follows.
    Error {
        /// The stable code.
        code: ErrorCode,
        /// For people; no turn text.
        message: String,
    },
}

/// Why a backend could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct BackendError {
    /// The stable code.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// An agent's process was started, and is why.
    pub of_process: bool,
}

impl BackendError {
    /// An error with this code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), of_process: false }
    }

    /// The same, for which a process is to blame that was started.
    pub fn of_process(self) -> Self {
        Self { of_process: true, ..self }
    }
}

/// How an agent's process ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    /// For people: `exited with status 1`, `was ended by signal 9`, `ended`.
    pub reason: String,
}

impl Default for Exit {
    fn default() -> Self {
        Self { reason: "ended".to_owned() }
    }
}

/// How an agent came to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It was started, and remembers nothing.
    Started,
    /// It was started, and has taken up its memory again.
    Resumed,
    /// It was there.
    TakenOver,
}

/// An agent that takes turns.
#[derive(Clone)]
pub struct Opened {
    /// The agent.
    pub agent: Arc<dyn Agent>,
    /// How it came to be there.
    pub origin: Origin,
}

/// An agent that an earlier owner left.
pub struct LeftAgent {
    /// The agent.
    pub agent: Arc<dyn Agent>,
    /// The turn on which it may still be at work; that turn is over.
    pub works_on: Option<TurnId>,
    /// It says by itself when it is done with a turn, also with one that it has answered by a file.
    pub tells_end: bool,
    /// It was not started as one would be now, or is at work without having got ready: it is to be ended when it is done.
    pub outdated: bool,
}

/// What became of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replied {
    /// It was handed to the agent.
    Typed,
    /// This attention was replied to before, or the agent is at another turn: nothing was typed.
    Refused,
}

/// One turn, as a backend gets it.
#[derive(Clone)]
pub struct Job {
    /// Which turn.
    pub turn_id: TurnId,
    /// The agent session's epoch, for the pane's fence.
    pub epoch: i64,
    /// The question as it came from the client.
    pub message: String,
    /// The page's context.
    pub context: Option<Value>,
    /// What was said in the conversation before, as Markdown, for an agent that does not remember it.
    pub primer: Option<String>,
    /// The token by which the agent asks for data.
    pub token: Option<Grant>,
}

/// What a person says to an agent that asks something.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The turn in which it asks.
    pub turn_id: TurnId,
    /// Which of its questions in this turn (1, 2, …).
    pub number: u32,
    /// The question's name, if it has one.
    pub name: Option<QuestionName>,
    /// One line of sanitised text.
    pub text: String,
    /// The question that it waits for, as far as is known by now.
    pub asks: watch::Receiver<Option<u32>>,
    /// The last moment at which it may be typed.
    pub until: Instant,
}

/// What became of the agent that a turn was to be typed to, by an earlier owner of the session.
#[derive(Clone)]
pub enum Adopted {
    /// It is there, and may have the turn.
    Here {
        /// The agent.
        agent: Arc<dyn Agent>,
        /// It was not started as one would be now: it is to be ended when it is done.
        outdated: bool,
    },
    /// It is gone.
    Gone(Fate),
}

/// What is known of a turn whose agent is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The whole answer lies there.
    Answered(String),
    /// The turn was never typed.
    NotTyped,
    /// The agent had it, and has ended.
    Died {
        /// For people: `exited with status 1`.
        how: String,
        /// What lies there of its answer.
        said: String,
    },
    /// Nothing.
    Unknown,
}

impl Fate {
    /// A word for logs; no turn text.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::NotTyped => "not typed",
            Self::Died { .. } => "died",
            Self::Unknown => "unknown",
        }
    }
}

/// Where agent sessions live.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The word for this backend in rows and in `status`.
    fn name(&self) -> &'static str;

    /// The agent profile that answers.
    fn profile(&self) -> &str;

    /// Whether [`Agent::reply`] does anything here; else what an agent asks is answered in its terminal only.
    fn can_reply(&self) -> bool;

    /// When an agent that has ended is started again.
    fn restart(&self) -> RestartPolicy;

    /// Whether an agent of this session can be had, as far as that is to be seen without starting one.
    async fn probe(&self, session: &str) -> Result<(), BackendError>;

    /// Starts the agent of a session, in the place of whatever is there, and waits until it is ready. It takes up `memory`
    /// if it can: what the session's last agent was known to remember. Given up, it ends what it has started.
    async fn open(&self, session: &str, memory: &Memory, given_up: &CancellationToken) -> Result<Opened, BackendError>;

    /// The agent of a session that an earlier owner left, ready; what it works on is left to it. None is started. One that
    /// was not started as one would be now, and idles, is ended.
    async fn find(
        &self,
        session: &str,
        memory: &Memory,
        given_up: &CancellationToken,
    ) -> Result<Option<LeftAgent>, BackendError>;

    /// The very agent at `place` (see [`Agent::place`]), for which an earlier owner made the intent to type `turn`.
    async fn adopt(&self, session: &str, memory: &Memory, place: &str, turn: TurnId) -> Result<Adopted, BackendError>;

    /// Whether the agent at `place` may still come to an answer to `turn`, of which it has no complete one yet: it lives,
    /// it was given this turn last, and it has not said that it is done with it; or its answer is coming.
    async fn works_on(&self, session: &str, place: &str, turn: TurnId) -> Result<bool, BackendError>;

    /// The complete answer to a turn that nobody follows any more; `None` while there is none.
    ///
    /// # Errors
    /// Where there is something that cannot be used.
    async fn answer(&self, session: &str, turn: TurnId) -> Result<Option<String>, BackendError>;

    /// Whether an answer lies there that is not known to be complete: it is being written, or was put there just now.
    fn is_coming(&self, session: &str, turn: TurnId) -> bool;

    /// Counts what happens where [`Backend::answer`] looks; `None` where nothing can happen there.
    fn changes(&self, session: &str) -> Option<watch::Receiver<u64>>;

    /// Takes back the token that the agent was given for a turn which is over. What else there is of the turn stays.
    fn revoke(&self, session: &str, turn: TurnId);

    /// Drops every file of a turn: its end is recorded, and no other answer to it is wanted.
    fn forget(&self, session: &str, turn: TurnId);

    /// Every turn of which there are files, with its session, and how long the newest of them has been there.
    fn turns_with_files(&self) -> Vec<(String, TurnId, Duration)>;

    /// The sessions that have an agent.
    async fn sessions(&self) -> Result<Vec<String>, BackendError>;

    /// Ends whatever runs under this name, whoever started it.
    async fn end(&self, session: &str) -> Result<(), BackendError>;

    /// Lets go of the agents, which go on: the product stops, and will come back to them.
    async fn detach(&self);
}

/// One incarnation of a session's agent.
#[async_trait]
pub trait Agent: Send + Sync + 'static {
    /// Where it can be typed to: what `delivering_pane` records. Differs for every incarnation.
    fn place(&self) -> &str;

    /// `Some` once the agent's process is gone.
    fn exit(&self) -> watch::Receiver<Option<Exit>>;

    /// What the agent remembers, as far as it has reported that.
    fn memory(&self) -> watch::Receiver<Memory>;

    /// Takes in what the agent has reported. For the time between two turns only: what it reports of a turn is lost by it.
    fn catch_up(&self);

    /// Delivers the turn, at most once however often it is called, and streams what comes of it. The stream ends after
    /// [`AgentEvent::Done`] or [`AgentEvent::Error`].
    fn run(self: Arc<Self>, job: Job) -> BoxStream<'static, AgentEvent>;

    /// Hands a person's reply to the agent: at most once for each of its questions, however often it is called. Not
    /// where the agent is known to ask something else by now or nothing, not after [`Reply::until`], and never after
    /// [`Agent::interrupt`] of the turn. An error tells whether it may have been typed all the same.
    async fn reply(&self, reply: Reply) -> Result<Replied, BackendError>;

    /// Whether nothing more of this turn, which it was given, will be heard from the agent: it is gone, it has said so, or it
    /// is one that need not say so once it has answered.
    fn has_ended(&self, turn: TurnId) -> bool;

    /// Resolves when the agent is done with this turn, or gone.
    async fn finished(&self, turn: TurnId);

    /// For how long the agent has shown nothing in its terminal, to a second, and written nothing of this turn; `None` where
    /// that cannot be told.
    async fn quiet_for(&self, turn: TurnId) -> Option<Duration>;

    /// Stops the agent's work on this turn and waits until it is seen to be idle. From then on nothing of the turn is
    /// typed.
    async fn interrupt(&self, turn: TurnId) -> Result<(), BackendError>;

    /// Drops the files of a turn whose end is recorded; what the agent wrote only where nothing more can come of it
    /// (`settled`).
    fn forget(&self, turn: TurnId, settled: bool);

    /// Ends the agent and waits until its process is gone.
    async fn close(&self) -> Result<(), BackendError>;
}
