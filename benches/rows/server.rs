//! The product as a child process, with a state directory of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::client::Client;
use crate::measure::{DEADLINE, Outcome};

const PROGRAM: &str = env!("CARGO_BIN_EXE_paliadin");
const EMAIL: &str = "bench@localhost";
/// What the server prints before its address.
const LISTENING: &str = "listening on http://";

/// A running server. Dropping it ends the server and its agents.
pub struct Server {
    child: Child,
    address: SocketAddr,
    state: PathBuf,
    token: String,
}

impl Server {
    /// Starts it with its state in `<directory>/state` and its log in `<directory>/server.log`, and makes a user.
    pub fn start(directory: &Path, settings: &[(&str, &Path)]) -> Outcome<Self> {
        let state = directory.join("state");
        let log = directory.join("server.log");
        let mut child = program(&state)
            .arg("serve")
            .envs(settings.iter().copied())
            .env("PALIADIN_LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .map_err(|error| format!("{PROGRAM}: {error}"))?;
        let output = child.stdout.take().ok_or("the server has an output")?;
        // From here on, whatever fails ends the server.
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), state, token: String::new() };
        let (sender, addresses) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once(LISTENING) {
                    let _ = sender.send(address.trim_end_matches('/').to_owned());
                }
            }
        });
        let address = addresses.recv_timeout(DEADLINE).map_err(|_| {
            format!("the server does not listen:\n{}", std::fs::read_to_string(&log).unwrap_or_default())
        })?;
        server.address = address.parse()?;
        server.command(&["user", "add", "--email", EMAIL])?;
        server.token = server.command(&["token", "create", "--email", EMAIL, "--name", "bench"])?.trim().to_owned();
        Ok(server)
    }

    /// A client that is signed in.
    pub fn client(&self) -> Outcome<Client> {
        Client::connect(self.address, &self.token)
    }

    /// Runs a command of the product beside the server and returns what it printed.
    fn command(&self, arguments: &[&str]) -> Outcome<String> {
        let output = program(&self.state).args(arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`paliadin {}`: {}: {said}", arguments.join(" "), output.status).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn end(&mut self) -> Outcome<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_child(&self.child);
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        kill_process(pid, Signal::TERM)?;
        let patience = Timespec::try_from(DEADLINE)?;
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        if poll(&mut ended, Some(&patience))? == 0 {
            self.child.kill()?;
        }
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("bench: the server does not end: {error}");
        }
        // The agents' tmux server is made to outlive the product.
        let socket = self.state.join("tmux").join("server");
        if socket.exists() {
            let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").stderr(Stdio::null()).status();
        }
    }
}

/// The product's program, with nothing of its configuration in the environment but the state directory.
fn program(state: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("PALIADIN_") || ["DATABASE_URL", "RUST_LOG", "TMUX"].contains(&&*name_text) {
            command.env_remove(&name);
        }
    }
    command.env("PALIADIN_STATE_DIR", state);
    command
}
