//! The product of one test: a server with a state directory, a tmux socket and a database of its own. Its `Drop` ends
//! it and fails on what is left: processes, a tmux server, files of turns that are over, turns that were typed twice.

use std::any::Any;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use paliadin::tmux::{Server, ServerConfig};
use rustix::process::Signal;
use tempfile::TempDir;

use super::client::{Client, Place};
use super::database::{self, Database};
use super::processes::{self, Process};
use super::server::ServerProcess;
use super::typed::{self, Typed};
use super::{Tested, eventually, postgres};

/// Lines of the server's log that are shown where a test fails.
const LOG_SHOWN: usize = 60;

/// What the tokens of turns are signed with, unless a test says otherwise.
pub const JWT_SECRET: &str = "planted-turn-secret-0123456789abcdef";
/// How every such token begins: the header `{"typ":"JWT",…`.
const JWT_BEGINS: &str = "eyJ0eXAiOiJKV1Qi";

/// How long what runs in tmux, and its helpers, may take to follow it.
const TMUX_GRACE: Duration = Duration::from_secs(5);

/// A product.
pub struct TestApp {
    root: TempDir,
    place: Place,
    settings: Vec<(String, String)>,
    server: Option<ServerProcess>,
    replies: Mutex<Vec<String>>,
    /// Its database on the server that tests share, where the run is for PostgreSQL.
    database: Option<String>,
    /// The program.
    pub(super) program: PathBuf,
    /// Words before every command of the program.
    wrapped: Vec<String>,
    /// Where the state directory is to be seen from here, if not at its own path; and what keeps it there.
    seen: Option<(PathBuf, Box<dyn Any + Send>)>,
}

impl TestApp {
    /// Starts one with the defaults.
    pub async fn start() -> Tested<Self> {
        Self::with(&[]).await
    }

    /// Starts one with further variables.
    pub async fn with(variables: &[(&str, &str)]) -> Tested<Self> {
        let mut app = Self::prepare(variables)?;
        app.boot().await?;
        Ok(app)
    }

    /// Starts one that keeps its address when it is restarted, by an address that no other test has.
    pub async fn with_own_address() -> Tested<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::with(&[("PALIADIN_LISTEN", &format!("127.{high}.{low}.{count}:0"))]).await
    }

    /// A directory and variables, without a server yet.
    pub fn prepare(variables: &[(&str, &str)]) -> Tested<Self> {
        let root = tempfile::tempdir()?;
        for directory in ["home", "faults"] {
            fs::create_dir(root.path().join(directory))?;
        }
        let place = Arc::new(Mutex::new(SocketAddr::from(([127, 0, 0, 1], 0))));
        let settings = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let database = if database::is_postgres() { Some(database::create()?) } else { None };
        let (replies, wrapped, seen) = (Mutex::default(), Vec::new(), None);
        let program = env!("CARGO_BIN_EXE_paliadin").into();
        Ok(Self { root, place, settings, server: None, replies, database, program, wrapped, seen })
    }

    /// Keeps to a file, whatever the run is for: what is tested is about the file.
    pub fn use_file(&mut self) -> Tested {
        self.database.take().map_or(Ok(()), |name| database::remove(&name))
    }

    /// Sets a further variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// From the next start on agents are the demo agent, started by a shell that does this first.
    pub fn agent_after(&mut self, first: &str) -> Tested {
        let (profiles, script) = (self.root().join("profiles"), self.root().join("agent.sh"));
        fs::create_dir_all(&profiles)?;
        fs::write(&script, format!("#!/bin/sh\n{first}\nexec {} agent demo\n", env!("CARGO_BIN_EXE_paliadin")))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        let profile = format!("command = [\"{}\"]\nnewline = \"lf\"\ninterrupt_key = \"Escape\"\n", script.display());
        fs::write(profiles.join("scripted.toml"), profile)?;
        self.set("PALIADIN_AGENT__PROFILES_DIR", &profiles.display().to_string());
        self.set("PALIADIN_PROFILE", "scripted");
        Ok(())
    }

    /// From now on the program is run by way of these words. Where they take it to a place of its own, its state is to be
    /// seen at `seen` from here, for as long as what comes with that is not dropped.
    pub fn wrap(&mut self, words: Vec<String>, seen: Option<(PathBuf, Box<dyn Any + Send>)>) {
        self.wrapped = words;
        self.seen = seen;
    }

    /// Starts the server, and waits until it has said where it is.
    pub async fn boot(&mut self) -> Tested {
        self.launch()?;
        self.booted().await
    }

    /// Starts the server, and waits for nothing.
    pub fn launch(&mut self) -> Tested {
        self.server = Some(ServerProcess::spawn(self.command(), &self.log())?);
        Ok(())
    }

    /// Waits until a server that was launched has said where it is.
    pub async fn booted(&mut self) -> Tested {
        let server = self.server.as_mut().ok_or("no server runs")?;
        let address = server.address().await?;
        if !self.settings.iter().any(|(name, value)| name == "PALIADIN_ENABLED" && value == "false") {
            // The owner's token is there then.
            server.line_with("or ask:").await?;
        }
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = address;
        if let Some((_, listen)) = self.settings.iter_mut().find(|(name, _)| name == "PALIADIN_LISTEN") {
            *listen = address.to_string();
        }
        Ok(())
    }

    /// Ends the server by a signal, and starts another one on the same state.
    pub async fn restart(&mut self, signal: Signal) -> Tested {
        self.stop(signal)?;
        self.boot().await
    }

    /// Ends the server by a signal.
    pub fn stop(&mut self, signal: Signal) -> Tested {
        let mut server = self.server.take().ok_or("no server runs")?;
        match server.end(signal)? {
            Some(status) if signal == Signal::KILL || status.success() => Ok(()),
            Some(status) => Err(format!("the server ended with {status}").into()),
            None => Err("the server had to be killed".into()),
        }
    }

    /// The program, with nothing in its environment but what a test sets.
    pub fn command(&self) -> Command {
        let mut words = self.wrapped.iter().map(AsRef::as_ref).chain([self.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command.env_clear().current_dir(self.root());
        for name in ["PATH", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", self.root().join("home"));
        command.env("PALIADIN_STATE_DIR", self.root().join("state")).env("PALIADIN_LISTEN", "127.0.0.1:0");
        command.env("PALIADIN_PROFILE", "demo").env("PALIADIN_AGENT__TYPED_LOG", self.typed_log());
        if let Some(url) = self.database.as_ref().and_then(|name| Some(postgres::shared().ok()?.url(name))) {
            command.env("DATABASE_URL", url);
        }
        command.env("PALIADIN_FAULTS", self.root().join("faults")).env("PALIADIN_JWT_SECRET", JWT_SECRET);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command of the program beside the server.
    pub fn run(&self, arguments: &[&str]) -> Tested<Output> {
        Ok(self.command().args(arguments).stdin(Stdio::null()).output()?)
    }

    /// Runs a command that must succeed; gives what it printed.
    pub fn cli(&self, arguments: &[&str]) -> Tested<String> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// A client of a new user.
    pub fn user(&self, email: &str) -> Tested<Client> {
        self.sign_in(email, &["user", "add", "--email", email])
    }

    /// A client of a new user with this id.
    pub fn user_with_id(&self, email: &str, id: &str) -> Tested<Client> {
        self.sign_in(email, &["user", "add", "--email", email, "--id", id])
    }

    fn sign_in(&self, email: &str, add: &[&str]) -> Tested<Client> {
        let user_id = self.cli(add)?;
        let token = self.cli(&["token", "create", "--email", email])?;
        Ok(Client { place: self.place.clone(), token, user_id })
    }

    /// A client of the owner, who is an admin.
    pub fn owner(&self) -> Tested<Client> {
        let token = fs::read_to_string(self.state().join("cli.token"))?;
        Ok(Client { place: self.place.clone(), token, user_id: String::new() })
    }

    /// A client without any credentials.
    pub fn nobody(&self) -> Client {
        Client { place: self.place.clone(), token: String::new(), user_id: String::new() }
    }

    /// What the server prints after these words.
    pub async fn printed(&mut self, words: &str) -> Tested<String> {
        self.server.as_mut().ok_or("no server runs")?.line_with(words).await
    }

    /// The directory of everything of this test.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.seen.as_ref().map_or_else(|| self.root().join("state"), |(seen, _)| seen.clone())
    }

    /// The server's process id.
    pub fn server_pid(&self) -> Tested<i32> {
        Ok(self.server.as_ref().ok_or("no server runs")?.pid())
    }

    /// The socket of the agents' tmux server.
    pub fn tmux_socket(&self) -> PathBuf {
        self.state().join("tmux").join("server")
    }

    /// Another client of the agents' tmux server, as a second process of the product would have.
    pub async fn tmux(&self) -> Tested<Server> {
        let (socket, env) = (self.tmux_socket(), ServerConfig::allowed_env());
        let config = ServerConfig { program: "tmux".into(), socket, env, width: 200, height: 50 };
        Ok(Server::start(config).await?)
    }

    /// The spool of the only agent session there is.
    pub fn spool(&self) -> Tested<PathBuf> {
        let mut sessions = fs::read_dir(self.state().join("spool"))?;
        match (sessions.next(), sessions.next()) {
            (Some(only), None) => Ok(only?.path()),
            _ => Err("not exactly one spool".into()),
        }
    }

    pub(super) fn typed_log(&self) -> PathBuf {
        self.root().join("typed.log")
    }

    fn log(&self) -> PathBuf {
        self.root().join("server.log")
    }

    /// What was typed for a turn, by whichever agent took it down.
    pub fn typed(&self, turn_id: &str) -> Tested<Vec<Typed>> {
        let all = typed::read(&self.typed_log())?;
        Ok(all.into_iter().filter(|typed| typed.turn() == Some(turn_id)).collect())
    }

    /// Everything that was typed.
    pub fn typed_all(&self) -> Tested<Vec<Typed>> {
        typed::read(&self.typed_log())
    }

    /// Waits until a turn was typed.
    pub async fn typed_once(&self, turn_id: &str) -> Tested<Typed> {
        eventually("the turn to be typed", async || Ok(self.typed(turn_id)?.pop())).await
    }

    /// From now on this may be typed once beside the turns: a reply to what the agent asks.
    pub fn expect_reply(&self, text: &str) {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }

    /// A connection of its own to the database.
    pub async fn database(&self) -> Tested<Database> {
        match &self.database {
            Some(name) => Database::server(name).await,
            None => Database::file(&self.state().join("paliadin.db")).await,
        }
    }

    /// How many entries of this action and target the audit log has, once everything that was done is written down: a
    /// write of the probe is made after whatever the server had to write before.
    pub async fn audited(&self, action: &str, target: &str) -> Tested<i64> {
        let ready = self.nobody().get("/readyz").await?.status;
        if ready != 200 {
            return Err(format!("not ready: {ready}").into());
        }
        let count = "SELECT count(*) FROM audit_log WHERE action = ?1 AND target = ?2";
        Ok(self.database().await?.value(count, &[action, target]).await?.parse()?)
    }

    /// The processes that this test has started.
    pub fn processes(&self) -> Tested<Vec<Process>> {
        processes::of(self.root())
    }

    /// How many demo agents live.
    pub fn agents(&self) -> Tested<usize> {
        Ok(self.processes()?.iter().filter(|process| process.is_agent()).count())
    }

    /// The only process of this sort.
    pub fn process(&self, is_wanted: fn(&Process) -> bool) -> Tested<Process> {
        let mut found: Vec<Process> = self.processes()?.into_iter().filter(is_wanted).collect();
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (last, _) => Err(format!("not exactly one such process: {found:?} {last:?}").into()),
        }
    }

    /// Ends everything; what is left of it is the error.
    fn close(&mut self) -> Tested {
        let stopped = if self.server.is_some() { self.stop(Signal::TERM) } else { Ok(()) };
        let mut left: Vec<String> = stopped.err().map(|error| error.to_string()).into_iter().collect();
        // The agents outlive their server: they go with tmux, or they are left behind.
        processes::end_tmux(&self.tmux_socket(), self.root())?;
        for process in self.processes()? {
            if process.ends_within(TMUX_GRACE)? {
                continue;
            }
            left.push(format!("process {} {:?}", process.pid, process.arguments));
            process.kill()?;
        }
        left.extend(self.inputs_left());
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let told = [JWT_SECRET, JWT_BEGINS].into_iter().filter(|secret| log.contains(secret));
        left.extend(told.map(|secret| format!("{secret:?} in the log")));
        let replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match typed::each_turn_once(&self.typed_log(), &replies) {
            Ok(turns) => println!("typed log: {turns} turns, none of them twice"),
            Err(error) => left.push(error.to_string()),
        }
        self.use_file()?;
        if left.is_empty() { Ok(()) } else { Err(left.join("; ").into()) }
    }

    /// Files that the server handed to agents and did not take away again. An agent's settings stay with it.
    pub fn inputs_left(&self) -> Vec<String> {
        let spools = fs::read_dir(self.state().join("spool")).into_iter().flatten().flatten();
        let inputs = spools.flat_map(|spool| fs::read_dir(spool.path().join("in")).into_iter().flatten().flatten());
        let of_turns = inputs.filter(|file| file.file_name() != "settings.json");
        of_turns.map(|file| format!("file {}", file.path().display())).collect()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let closed = self.close();
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        // Shown by the test runner where the test fails, whoever is to blame.
        println!("server log:\n{}", lines[lines.len().saturating_sub(LOG_SHOWN)..].join("\n"));
        if let Err(error) = closed {
            eprintln!("left behind: {error}");
            assert!(std::thread::panicking(), "left behind: {error}");
        }
    }
}
