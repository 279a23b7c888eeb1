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

/// A server. Dropping it ends the server and its agents.
pub struct Server {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
    settings: Vec<(String, PathBuf)>,
    token: String,
}

impl Server {
    /// Starts it with its state in `<directory>/state` and its log in `<directory>/server.log`, and makes a user.
    pub fn start(directory: &Path, settings: &[(&str, &Path)]) -> Outcome<Self> {
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), value.to_path_buf())).collect();
        let (child, address) = serve(directory, &settings)?;
        // From here on, whatever fails ends the server.
        let mut server = Self { child, address, directory: directory.to_owned(), settings, token: String::new() };
        server.token = server.user(EMAIL)?;
        Ok(server)
    }

    /// Makes a user; returns their token.
    pub fn user(&self, email: &str) -> Outcome<String> {
        self.command(&["user", "add", "--email", email])?;
        Ok(self.command(&["token", "create", "--email", email, "--name", "bench"])?.trim().to_owned())
    }

    /// Starts it on the state that it has, after [`Self::end`] or [`Self::kill`]; returns when it listens.
    pub fn start_again(&mut self) -> Outcome<()> {
        (self.child, self.address) = serve(&self.directory, &self.settings)?;
        Ok(())
    }

    /// Ends it by SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// A client that is signed in.
    pub fn client(&self) -> Outcome<Client> {
        self.client_of(&self.token)
    }

    /// A client with this token.
    pub fn client_of(&self, token: &str) -> Outcome<Client> {
        Client::connect(self.address, token)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command of the product beside the server and returns what it printed.
    fn command(&self, arguments: &[&str]) -> Outcome<String> {
        let output = program(&self.state()).args(arguments).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`paliadin {}`: {}: {said}", arguments.join(" "), output.status).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Ends it by SIGTERM, if it runs, and waits until it is gone. Its agents stay.
    pub fn end(&mut self) -> Outcome<()> {
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
        let socket = self.state().join("tmux").join("server");
        if socket.exists() {
            let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").stderr(Stdio::null()).status();
        }
    }
}

/// Starts a server; returns when it listens.
fn serve(directory: &Path, settings: &[(String, PathBuf)]) -> Outcome<(Child, SocketAddr)> {
    let log = directory.join("server.log");
    let mut child = program(&directory.join("state"))
        .arg("serve")
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .env("PALIADIN_LISTEN", "127.0.0.1:0")
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::options().append(true).create(true).open(&log)?)
        .spawn()
        .map_err(|error| format!("{PROGRAM}: {error}"))?;
    let output = child.stdout.take().ok_or("the server has an output")?;
    let (sender, addresses) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once(LISTENING) {
                let _ = sender.send(address.trim_end_matches('/').parse());
            }
        }
    });
    match addresses.recv_timeout(DEADLINE) {
        Ok(Ok(address)) => Ok((child, address)),
        _ => {
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("the server does not listen:\n{}", std::fs::read_to_string(&log).unwrap_or_default()).into())
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
