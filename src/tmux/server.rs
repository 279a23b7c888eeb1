//! One tmux server for the whole product, on a socket of its own. It outlives the process that started it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;
use tracing::{info, warn};

use super::client::{doorway, spawn_error, tmux};
use super::pane::{READY_OPTION, is_key};
use super::{
    Command, Control, ControlConfig, Cursor, DEFAULT_DEADLINE, Look, Output, Pane, PaneId, PaneInfo, SpawnSpec,
    TmuxError, TmuxSessionId, Version, leftover, socket,
};

/// The session that keeps a server alive that has no agents, and that the control client is attached to.
pub const KEEPER: &str = "_paliadin";

/// How often the start of a server is tried. Each try but the last may meet a server that is just going away.
const START_TRIES: u32 = 5;

/// How long a server may take to end that was told to.
const END_GRACE: Duration = Duration::from_secs(2);

/// Where the server is and what its panes are like.
#[derive(Clone)]
pub struct ServerConfig {
    /// The program: a path, or a name that is looked up in the `PATH` of `env`.
    pub program: PathBuf,
    /// The socket, an absolute path in a directory that is ours alone (mode 0700; made where it is missing).
    pub socket: PathBuf,
    /// The only environment variables that the server and its panes get.
    pub env: Vec<(OsString, OsString)>,
    /// Columns of a pane.
    pub width: u16,
    /// Rows of a pane.
    pub height: u16,
}

impl ServerConfig {
    /// The variables that a server gets from the process that starts it, where they are set.
    pub const ENV: [&str; 10] = ["PATH", "HOME", "LANG", "LC_ALL", "TERM", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR"];

    /// Those of our own environment.
    pub fn allowed_env() -> Vec<(OsString, OsString)> {
        Self::ENV.iter().filter_map(|name| Some(((*name).into(), std::env::var_os(name)?))).collect()
    }
}

/// Cheap handle on the server.
#[derive(Clone)]
pub struct Server {
    control: Control,
    socket: PathBuf,
    width: u16,
    height: u16,
}

impl Server {
    /// Which tmux this is; an error where it is missing or older than [`Version::OLDEST`].
    pub async fn probe(program: &Path) -> Result<Version, TmuxError> {
        Version::probe(program, &ServerConfig::allowed_env()).await
    }

    /// Makes sure that a server can have its socket there, without starting one.
    ///
    /// # Errors
    /// [`TmuxError::SocketDir`].
    pub fn prepare(socket: &Path) -> Result<(), TmuxError> {
        socket::prepare(socket)
    }

    /// Starts the server, or joins the one that answers on this socket, and attaches the control client.
    ///
    /// Several processes may do so at once: tmux itself serialises the start by a lock file, the first one's keeper
    /// session stays, and the others join. The socket of a dead server is replaced; a server that takes connections and
    /// drops them all is killed first.
    pub async fn start(config: ServerConfig) -> Result<Self, TmuxError> {
        let ServerConfig { program, socket, env, width, height } = config;
        Version::probe(&program, &env).await?;
        socket::prepare(&socket)?;
        let control = ControlConfig { program, socket, env, session: KEEPER.to_owned(), deadline: DEFAULT_DEADLINE };
        let socket = control.socket.clone();
        let (mut tries, mut replaced) = (0, false);
        let control = loop {
            tries += 1;
            let connected = match keep(&control, width, height).await {
                Ok(()) => Control::connect(control.clone()).await,
                Err(error) => Err(error),
            };
            match connected {
                Err(TmuxError::ServerGone(_) | TmuxError::Interrupted { .. }) if tries < START_TRIES => {}
                // It takes connections and drops them: it was told to end, and cannot.
                Err(TmuxError::ServerGone(why)) if !replaced && drops(&why) && leftover::kill_server(&socket).await => {
                    (tries, replaced) = (0, true);
                }
                result => break result?,
            }
        };
        let server = Self { control, socket, width, height };
        server.control.command(settings()).await?;
        info!(server_pid = server.control.server_pid(), tries, "tmux server ready");
        Ok(server)
    }

    /// The client, for commands of one's own.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Starts a program in a session of its own. It gets the variables of [`ServerConfig::env`], those of the spec, and
    /// what tmux adds (`TERM`, `TMUX`, `TMUX_PANE`, `PWD`, `SHELL` and the like).
    ///
    /// A program that cannot be run is a pane that is dead at once. A session of this very name is
    /// [`TmuxError::SessionExists`].
    pub async fn spawn(&self, spec: SpawnSpec) -> Result<Pane, TmuxError> {
        let command = spec.command(self.width, self.height)?;
        if spec.name == KEEPER {
            return Err(TmuxError::Invalid(format!("{KEEPER:?} is the server's own session")));
        }
        // tmux would start the program in the home directory instead, and say nothing.
        if !tokio::fs::metadata(&spec.cwd).await.is_ok_and(|metadata| metadata.is_dir()) {
            return Err(TmuxError::Invalid(format!("no directory to start in: {}", spec.cwd.display())));
        }
        match self.control.command(command).await {
            Ok(lines) => Pane::parse(lines.first().map_or("", String::as_str)),
            Err(TmuxError::Command { message, .. }) if message.starts_with("duplicate session") => {
                Err(TmuxError::SessionExists(spec.name))
            }
            Err(error) => Err(error),
        }
    }

    /// How a pane stands; `None` where there is none of this id.
    pub async fn pane(&self, id: &PaneId) -> Result<Option<PaneInfo>, TmuxError> {
        let info = self.pane_info(id).await?;
        // A program that ends just after its start may stay unreaped until tmux gets the next SIGCHLD (seen on 3.3a). A
        // SIGCHLD of ours makes it look, and does nothing else.
        let unreaped = |info: &PaneInfo| info.dead && info.dead_status.is_none() && info.dead_signal.is_none();
        match self.server_process() {
            Some(server) if info.as_ref().is_some_and(unreaped) && kill_process(server, Signal::CHILD).is_ok() => {
                self.pane_info(id).await
            }
            _ => Ok(info),
        }
    }

    async fn pane_info(&self, id: &PaneId) -> Result<Option<PaneInfo>, TmuxError> {
        // A list, since `display-message` answers for a missing pane, too, with empty fields. It holds all panes of the
        // pane's window.
        let filter = format!("#{{==:#{{pane_id}},{id}}}");
        let command = Command::new("list-panes").args(["-t", id.as_str(), "-f", &filter, "-F", PaneInfo::FORMAT]);
        match self.control.command(command).await {
            Ok(lines) => lines.first().map(|line| PaneInfo::parse(line)).transpose(),
            Err(error) if error.is_missing_target() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn server_process(&self) -> Option<Pid> {
        i32::try_from(self.control.server_pid()).ok().and_then(Pid::from_raw)
    }

    /// Every agent's pane: those that [`Server::spawn`] made.
    pub async fn panes(&self) -> Result<Vec<PaneInfo>, TmuxError> {
        let command = Command::new("list-panes").args(["-a", "-f", "#{@paliadin}", "-F", PaneInfo::FORMAT]);
        self.control.command(command).await?.iter().map(|line| PaneInfo::parse(line)).collect()
    }

    /// Ends the session of this pane, and waits for its program to be gone: one that does not mind the hangup is killed
    /// after `patience`.
    pub async fn end(&self, pane: &PaneInfo, patience: Duration) -> Result<(), TmuxError> {
        let program = leftover::handle(pane.pid)?;
        // Seen there with the handle open, the program had not been waited for: the number means no other process.
        let now = self.pane(&pane.pane).await?;
        let program = program.filter(|_| now.is_some_and(|now| !now.dead && now.pid == pane.pid));
        self.kill_session(&pane.session).await?;
        let Some(program) = program else { return Ok(()) };
        if leftover::ends_within(&program, patience).await? {
            return Ok(());
        }
        warn!(pid = pane.pid, session = pane.session_name, "a program outlives its terminal; killing it");
        if leftover::kill(&program).await? { Ok(()) } else { Err(TmuxError::Timeout { command: "kill-session" }) }
    }

    /// Ends a session and its programs (SIGHUP). One that is gone already is fine.
    pub async fn kill_session(&self, id: &TmuxSessionId) -> Result<(), TmuxError> {
        match self.control.command(Command::new("kill-session").args(["-t", id.as_str()])).await {
            Err(error) if !error.is_missing_target() => Err(error),
            _ => Ok(()),
        }
    }

    /// Presses one key, e.g. `Enter`, `Escape`, `C-c`, `y`. Copy mode is left first, for it would swallow the key.
    pub async fn send_key(&self, pane: &PaneId, key: &str) -> Result<(), TmuxError> {
        let press = key_press(pane, key)?;
        self.if_alive("1", pane, press).await.map(drop)
    }

    /// Leaves copy mode and any other mode of the pane; fine where there is none.
    pub async fn leave_mode(&self, pane: &PaneId) -> Result<(), TmuxError> {
        self.control.command(leave_mode(pane)).await.map(drop)
    }

    /// The lines on the program's screen, also while copy mode covers it. Trailing spaces are not there.
    pub async fn capture(&self, pane: &PaneId) -> Result<Vec<String>, TmuxError> {
        self.control.command(Command::new("capture-pane").args(["-p", "-t", pane.as_str()])).await
    }

    /// As [`Server::capture`], of a program that has ended, with the line that tmux's notice of that pushed off the screen
    /// (seen on 3.3a); the notice itself stands in the last line.
    pub async fn capture_dead(&self, pane: &PaneId) -> Result<Vec<String>, TmuxError> {
        self.control.command(Command::new("capture-pane").args(["-p", "-S", "-1", "-t", pane.as_str()])).await
    }

    /// As [`Server::capture`], with where the cursor is at that moment, and the title.
    pub async fn look(&self, pane: &PaneId) -> Result<Look, TmuxError> {
        let capture = Command::new("capture-pane").args(["-p", "-t", pane.as_str()]);
        let cursor = Command::new("display-message").args(["-p", "-t", pane.as_str(), Cursor::FORMAT]);
        let mut lines = self.control.command(capture.then(cursor)).await?;
        let (cursor, title) = Cursor::parse(&lines.pop().unwrap_or_default())?;
        Ok(Look { lines, cursor, title })
    }

    /// Tells when the program prints something, from a moment on that it tells, too.
    pub fn output(&self, pane: &PaneId) -> Output {
        Output::of(self.clone(), pane.clone(), &self.socket)
    }

    /// Marks a pane whose program is ready (see [`PaneInfo::ready`]).
    pub async fn mark_ready(&self, pane: &PaneId) -> Result<(), TmuxError> {
        self.set_pane_option(pane, READY_OPTION, "1").await
    }

    /// Sets a user option of the pane; its name is `@` and `[a-z0-9_-]+`.
    pub async fn set_pane_option(&self, pane: &PaneId, name: &str, value: &str) -> Result<(), TmuxError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if !name.strip_prefix('@').is_some_and(|word| !word.is_empty() && word.bytes().all(plain)) {
            return Err(TmuxError::Invalid(format!("{name:?} is not the name of a user option")));
        }
        let command = Command::new("set-option").args(["-p", "-t", pane.as_str(), "--", name, value]);
        self.control.command(command).await.map(drop)
    }

    /// Ends the control clients of other processes on our socket: an earlier process left them, and one that nobody reads
    /// keeps the server from ending. A person's terminal is left alone.
    pub async fn end_leftover_clients(&self) -> Result<(), TmuxError> {
        let list = Command::new("list-clients").args(["-F", "#{client_control_mode} #{client_pid}"]);
        let lines = self.control.command(list).await?;
        let pids = lines.iter().filter_map(|line| line.strip_prefix("1 ")?.parse().ok());
        let others: Vec<u32> = pids.filter(|pid| Some(*pid) != self.control.client_pid()).collect();
        if others.is_empty() {
            return Ok(());
        }
        let _doorway = timeout(DEFAULT_DEADLINE, doorway(&self.socket)).await;
        for pid in others {
            leftover::kill_client(pid, &self.socket).await?;
        }
        Ok(())
    }

    /// Ends the server and every agent in it (SIGHUP), and waits for the server's process to be gone. One that does not
    /// end when it is told to is killed.
    pub async fn shutdown(&self) -> Result<(), TmuxError> {
        // Gone already, where there is none.
        let Some(process) = leftover::process(self.control.server_pid())? else { return Ok(()) };
        if let Err(error) = self.end_leftover_clients().await {
            info!(%error, "clients on our socket not looked through");
        }
        // Whatever is said to that: what counts is its end.
        let told = self.control.command(Command::new("kill-server")).await;
        let patience = if matches!(told, Err(TmuxError::Timeout { .. })) { Duration::ZERO } else { END_GRACE };
        if leftover::ends_within(&process, patience).await? {
            return Ok(());
        }
        warn!(server_pid = self.control.server_pid(), "the tmux server does not end; killing it");
        if leftover::kill(&process).await? { Ok(()) } else { Err(TmuxError::Timeout { command: "kill-server" }) }
    }

    /// Runs the command if the pane is there, its program lives, its input is on and the condition (a format) holds. All
    /// in one line, so that nothing can change in between.
    pub(super) async fn if_alive(&self, when: &str, pane: &PaneId, command: Command) -> Result<Guarded, TmuxError> {
        const RAN: &str = "ran";
        const NO: &str = "no|#{pane_id}|#{pane_dead}|#{pane_input_off}|#{@epoch}|#{@turn}";
        let name = command.name();
        // With a missing target `if-shell` and `display-message` see empty formats instead of failing.
        let here = format!("#{{&&:#{{==:#{{pane_id}},{pane}}},#{{!=:#{{pane_dead}},1}}}}");
        let able = format!("#{{&&:{here},#{{&&:#{{!=:#{{pane_input_off}},1}},{when}}}}}");
        let run = leave_mode(pane).then(command).then(Command::new("display-message").args(["-p", RAN]));
        let refuse = Command::new("display-message").args(["-p", "-t", pane.as_str(), NO]);
        let line = Command::new("if-shell").args(["-F", "-t", pane.as_str(), &able]).command(&run).command(&refuse);
        let reply = self.control.command(line).await?.pop().unwrap_or_default();
        let fields: Vec<&str> = reply.splitn(6, '|').collect();
        match fields.as_slice() {
            [RAN] => Ok(Guarded::Ran),
            ["no", "", ..] => Err(TmuxError::missing_pane(name, pane)),
            ["no", _, "1", ..] => Err(TmuxError::PaneDead(pane.clone())),
            ["no", _, _, "1", ..] => Err(TmuxError::InputOff(pane.clone())),
            ["no", _, _, _, epoch, turn] => {
                Ok(Guarded::Refused { epoch: epoch.parse().unwrap_or(0), turn: (*turn).to_owned() })
            }
            _ => Err(TmuxError::Protocol(format!("neither run nor refused: {reply:?}"))),
        }
    }
}

/// What became of a command under a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Guarded {
    /// The condition held.
    Ran,
    /// It did not, and this is what the pane's fence said at that moment.
    Refused {
        /// `@epoch`; 0 where there is none.
        epoch: i64,
        /// `@turn`; empty where there is none.
        turn: String,
    },
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("pid", &self.control.server_pid()).finish_non_exhaustive()
    }
}

/// The command that presses a key.
pub(super) fn key_press(pane: &PaneId, key: &str) -> Result<Command, TmuxError> {
    if !is_key(key) {
        return Err(TmuxError::Invalid(format!("{key:?} is not a key")));
    }
    Ok(Command::new("send-keys").args(["-t", pane.as_str(), "--", key]))
}

fn leave_mode(pane: &PaneId) -> Command {
    Command::new("copy-mode").args(["-q", "-t", pane.as_str()])
}

/// Makes sure that there is a server with a keeper session.
async fn keep(config: &ControlConfig, width: u16, height: u16) -> Result<(), TmuxError> {
    let mut command = tmux(config);
    command.args(["new-session", "-d", "-s", &config.session]).args(["-x", &width.to_string()]);
    command.args(["-y", &height.to_string()]).args(["--", "tail", "-f", "/dev/null"]);
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    let output = match timeout(config.deadline, command.output()).await {
        Err(_) => return Err(TmuxError::Timeout { command: "new-session" }),
        Ok(output) => output.map_err(|error| spawn_error(config, &error))?,
    };
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() || message.starts_with("duplicate session") {
        return Ok(());
    }
    Err(TmuxError::ServerGone(message))
}

/// Whether a client says that it was let in and then dropped.
fn drops(why: &str) -> bool {
    why.contains("server exited") || why.contains("lost server")
}

/// What the server's panes need; harmless to set again.
fn settings() -> Command {
    let set = |flags: &str, name: &str, value: &str| Command::new("set-option").args([flags, name, value]);
    // How a program ended can be asked only while its pane remains.
    set("-gw", "remain-on-exit", "on")
        // A pane is as high as its window, and nothing is drawn for nobody.
        .then(set("-g", "status", "off"))
        // tmux would look at the foreground process of every pane that prints.
        .then(set("-gw", "automatic-rename", "off"))
        // A session without a viewer stays.
        .then(set("-g", "destroy-unattached", "off"))
}
