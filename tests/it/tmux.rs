//! The tmux module against a real tmux. Every test has a server of its own.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, its helpers too")]

mod control;
mod fence;
mod output;
mod quote;
mod server;
mod spawn;

use std::path::PathBuf;
use std::time::Duration;

use paliadin::tmux::{
    Command, ControlConfig, DEFAULT_DEADLINE, KEEPER, Newline, Pane, PaneId, PaneInfo, Paste, Server, ServerConfig,
    SpawnSpec, TmuxError,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;

/// Far beyond what anything here takes; it turns a hang into a failure.
const DEADLINE: Duration = Duration::from_secs(20);

/// Says `R` through the pipe `$0` once its terminal is raw and tmux has read `$1`, then copies what is typed.
///
/// A terminal answers a question about its cursor (six bytes from the top left corner) only after everything before it.
const RECORDER: &str = r#"stty raw -echo; exec 3>"$0"; printf '%b\033[1;1H\033[6n' "$1"
dd bs=1 count=6 of=/dev/null 2>/dev/null; printf R >&3; exec cat >&3"#;

struct Host {
    dir: TempDir,
    server: Server,
}

impl Host {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(Self::config(&dir)).await.unwrap();
        Self { dir, server }
    }

    fn config(dir: &TempDir) -> ServerConfig {
        let (socket, env) = (Self::socket(dir), ServerConfig::allowed_env());
        ServerConfig { program: "tmux".into(), socket, env, width: 80, height: 24 }
    }

    fn socket(dir: &TempDir) -> PathBuf {
        dir.path().join("tmux/s")
    }

    fn control_config(&self) -> ControlConfig {
        ControlConfig {
            program: "tmux".into(),
            socket: Self::socket(&self.dir),
            env: ServerConfig::allowed_env(),
            session: KEEPER.into(),
            deadline: DEFAULT_DEADLINE,
        }
    }

    async fn run(&self, command: Command) -> Result<Vec<String>, TmuxError> {
        self.server.control().command(command).await
    }

    /// The value of a format for a pane.
    async fn format(&self, pane: &PaneId, format: &str) -> String {
        let command = Command::new("display-message").args(["-p", "-t", pane.as_str(), format]);
        self.run(command).await.unwrap().concat()
    }

    fn spec(&self, name: &str, argv: &[&str]) -> SpawnSpec {
        let argv = argv.iter().map(|&argument| argument.to_owned()).collect();
        SpawnSpec { name: name.to_owned(), cwd: self.dir.path().to_owned(), env: vec![], argv, more: vec![] }
    }

    async fn spawn(&self, name: &str, argv: &[&str]) -> Pane {
        self.server.spawn(self.spec(name, argv)).await.unwrap()
    }

    fn pipe(&self, name: &str) -> (String, Output) {
        let path = self.dir.path().join(name);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        // Open for writing, too: no end of file before the program has opened it.
        let receiver = pipe::OpenOptions::new().read_write(true).open_receiver(&path).unwrap();
        (path.to_str().unwrap().to_owned(), Output(receiver))
    }

    /// A pane that records what is typed, after it has printed `screen`.
    async fn recorder(&self, name: &str, screen: &str) -> (Pane, Output) {
        let (path, mut output) = self.pipe(name);
        let pane = self.spawn(name, &["sh", "-c", RECORDER, &path, screen]).await;
        output.expect("R").await;
        (pane, output)
    }

    async fn until(&self, pane: &PaneId, condition: impl Fn(&PaneInfo) -> bool) -> PaneInfo {
        let mut last = None;
        let wait = async {
            loop {
                let info = self.server.pane(pane).await.unwrap().unwrap();
                if condition(&info) {
                    return info;
                }
                last = Some(info);
            }
        };
        let reached = timeout(DEADLINE, wait).await;
        reached.unwrap_or_else(|_| panic!("not in time: {last:?}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let socket = Self::socket(&self.dir);
        let status = std::process::Command::new("tmux").arg("-N").arg("-S").arg(socket).arg("kill-server").output();
        status.unwrap();
    }
}

struct Output(pipe::Receiver);

impl Output {
    async fn read(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        timeout(DEADLINE, self.0.read_exact(&mut bytes)).await.expect("output in time").unwrap();
        String::from_utf8(bytes).unwrap()
    }

    async fn expect(&mut self, text: &str) {
        assert_eq!(self.read(text.len()).await, text);
    }
}

fn turn<'a>(pane: &'a PaneId, fence: &'a str, epoch: i64, text: &'a str) -> Paste<'a> {
    Paste { pane, fence, epoch, text, newline: Newline::Lf, bracketed: true }
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}
