//! The rows: the product itself, as a process of its own, seen from outside.

mod client;
mod idle;
mod restart;
mod server;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::floors::receiver::{AGENT, CLAUDE, PROCESS, READY};
use crate::measure::{Measured, Outcome, Tail, monotonic_ns};
use client::{Client, Stream};
pub use idle::Sessions;
pub use restart::{CleanStart, Killed};
use server::Server;

/// What the instant agent is told.
const QUESTION: &str = "!echo x";

/// A product whose agent confirms each turn and leaves the answer to this process, and what the agent takes down.
fn steered(directory: &Path) -> Outcome<(Server, Tail)> {
    played(directory, AGENT, &[], "", &[])
}

/// A product whose agent is this program with `word`, its log and `arguments`, and that log. `more` are further lines of the
/// agent's profile, `settings` of the product.
fn played(
    directory: &Path,
    word: &str,
    arguments: &[&str],
    more: &str,
    settings: &[(&str, &Path)],
) -> Outcome<(Server, Tail)> {
    let log = directory.join("log").join("typed");
    let typed = Tail::open(&log)?;
    let profiles = directory.join("profiles");
    std::fs::create_dir(&profiles)?;
    let own = std::env::current_exe()?;
    let words = [own.to_str(), Some(word), log.to_str()].into_iter().chain(arguments.iter().copied().map(Some));
    // A JSON string without control characters is a TOML string, too.
    let command = serde_json::to_string(&words.collect::<Option<Vec<_>>>().ok_or("a path that is no text")?)?;
    let profile = format!("command = {command}\nnewline = \"lf\"\ninterrupt_key = \"C-c\"\n{more}");
    std::fs::write(profiles.join("played.toml"), profile)?;
    let own = [("PALIADIN_PROFILE", Path::new("played")), ("PALIADIN_AGENT__PROFILES_DIR", profiles.as_path())];
    Ok((Server::start(directory, &[&own, settings].concat())?, typed))
}

/// Where such an agent's answers have to lie, which it says when it starts.
fn out_of(typed: &mut Tail) -> Outcome<PathBuf> {
    let ready = typed.line_with(READY)?;
    let spool = ready.trim_end().split_once(READY).ok_or("the agent names its spool")?.1;
    Ok(Path::new(spool.trim_start()).join("out"))
}

/// Row 1. The agent in the pane confirms each turn and leaves the answer to this process.
pub struct AnswerToEnd {
    directory: PathBuf,
    client: Client,
    typed: Tail,
    /// The session's `out/`; known once its agent has started.
    out: Option<PathBuf>,
    waiting: Option<(String, Stream)>,
    _server: Server,
}

impl AnswerToEnd {
    /// Starts a product with its state in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let (server, typed) = steered(directory)?;
        let client = server.client()?;
        Ok(Self { directory: directory.to_owned(), client, typed, out: None, waiting: None, _server: server })
    }
}

impl Measured for AnswerToEnd {
    fn prepare(&mut self) -> Outcome<()> {
        let turn = self.client.ask("The answer comes by file.")?;
        let mut stream = self.client.stream(&turn)?;
        if self.out.is_none() {
            self.out = Some(out_of(&mut self.typed)?);
        }
        self.typed.line_with(&turn.turn_id)?;
        stream.until("meta")?;
        std::fs::write(self.directory.join("beside"), "x")?;
        self.waiting = Some((turn.turn_id, stream));
        Ok(())
    }

    fn sample(&mut self) -> Outcome<Duration> {
        let (Some((turn_id, mut stream)), Some(out)) = (self.waiting.take(), &self.out) else {
            return Err("no turn was prepared".into());
        };
        let start = Instant::now();
        std::fs::rename(self.directory.join("beside"), out.join(format!("{turn_id}.txt")))?;
        stream.until("end")?;
        Ok(start.elapsed())
    }
}

/// Row 2. The demo agent takes down when it had the message.
pub struct PostToPane {
    client: Client,
    typed: Tail,
    _server: Server,
}

impl PostToPane {
    /// Starts a product with its state in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let log = directory.join("log").join("typed");
        let typed = Tail::open(&log)?;
        let settings = [("PALIADIN_PROFILE", Path::new("demo")), ("PALIADIN_AGENT__TYPED_LOG", log.as_path())];
        let server = Server::start(directory, &settings)?;
        Ok(Self { client: server.client()?, typed, _server: server })
    }
}

impl Measured for PostToPane {
    fn sample(&mut self) -> Outcome<Duration> {
        let start = monotonic_ns();
        let turn = self.client.ask(QUESTION)?;
        let line = self.typed.line_with(&turn.turn_id)?;
        // The next question comes after this answer.
        self.client.stream(&turn)?.until("end")?;
        let typed: serde_json::Value = serde_json::from_str(&line)?;
        let at = typed["mono_ns"].as_u64().ok_or("the typed log has no mono_ns")?;
        Ok(Duration::from_nanos(at.saturating_sub(start)))
    }
}

/// Row 3.
pub struct WholeTurn {
    client: Client,
    _server: Server,
}

impl WholeTurn {
    /// Starts a product with its state in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let server = Server::start(directory, &[("PALIADIN_PROFILE", Path::new("demo"))])?;
        Ok(Self { client: server.client()?, _server: server })
    }
}

impl Measured for WholeTurn {
    fn sample(&mut self) -> Outcome<Duration> {
        let start = Instant::now();
        let turn = self.client.ask(QUESTION)?;
        self.client.stream(&turn)?.until("end")?;
        Ok(start.elapsed())
    }
}

/// Row 10. The agent plays Claude Code, and takes down when it ran its last hook.
pub struct StopToEnd {
    client: Client,
    stops: Tail,
    _server: Server,
}

impl StopToEnd {
    /// Starts a product with its state in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let (server, stops) = played(directory, CLAUDE, &["{settings}"], "hooks = \"claude\"\n", &[])?;
        Ok(Self { client: server.client()?, stops, _server: server })
    }
}

impl Measured for StopToEnd {
    fn sample(&mut self) -> Outcome<Duration> {
        let turn = self.client.ask(QUESTION)?;
        self.client.stream(&turn)?.until("end")?;
        let ended = monotonic_ns();
        let line = self.stops.line_with(&turn.turn_id)?;
        let stopped: u64 = line.split(' ').next().unwrap_or_default().parse()?;
        Ok(Duration::from_nanos(ended.saturating_sub(stopped)))
    }
}

/// Row 11. The agent is ended by SIGKILL while it has a turn; the next turn starts it again.
pub struct AgentDies {
    client: Client,
    typed: Tail,
    waiting: Option<(Pid, Stream)>,
    _server: Server,
}

impl AgentDies {
    /// Starts a product with its state in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        // Otherwise an agent that dies so often is not started again.
        let settings = [
            ("PALIADIN_AGENT__RESTART_LIMIT", Path::new("1000000")),
            ("PALIADIN_AGENT__RESTART_BACKOFF", Path::new("1ms")),
            ("PALIADIN_AGENT__RESTART_BACKOFF_MAX", Path::new("1ms")),
        ];
        let (server, typed) = played(directory, AGENT, &[], "", &settings)?;
        Ok(Self { client: server.client()?, typed, waiting: None, _server: server })
    }
}

impl Measured for AgentDies {
    fn prepare(&mut self) -> Outcome<()> {
        let turn = self.client.ask("There is no answer.")?;
        let mut stream = self.client.stream(&turn)?;
        let line = self.typed.line_with(PROCESS)?;
        let pid = line.trim_end().rsplit(' ').next().unwrap_or_default().parse()?;
        self.typed.line_with(&turn.turn_id)?;
        stream.until("meta")?;
        self.waiting = Some((Pid::from_raw(pid).ok_or("the agent has no process")?, stream));
        Ok(())
    }

    fn sample(&mut self) -> Outcome<Duration> {
        let (pid, mut stream) = self.waiting.take().ok_or("no turn was prepared")?;
        let start = Instant::now();
        kill_process(pid, Signal::KILL)?;
        let why = stream.failure()?;
        let took = start.elapsed();
        if why.contains("\"agent_died\"") { Ok(took) } else { Err(format!("the turn failed otherwise: {why}").into()) }
    }
}
