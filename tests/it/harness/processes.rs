//! Processes of a test, found by the test's directory in their arguments or environment.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::{PATIENCE, Tested};

/// Plays Claude Code.
pub const CLAUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/hook/claude.sh");

/// One process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Process {
    /// The control-mode client of tmux.
    pub fn is_tmux_client(&self) -> bool {
        self.is_tmux() && self.has("-C")
    }

    /// The tmux server.
    pub fn is_tmux_server(&self) -> bool {
        self.is_tmux() && !self.has("-C")
    }

    /// The demo agent.
    pub fn is_agent(&self) -> bool {
        self.has("agent") && self.has("demo")
    }

    fn is_tmux(&self) -> bool {
        self.arguments.first().is_some_and(|program| program.starts_with("tmux"))
    }

    fn has(&self, argument: &str) -> bool {
        self.arguments.iter().any(|known| known == argument)
    }

    /// Whether it ends by itself in this time.
    pub fn ends_within(&self, patience: Duration) -> Tested<bool> {
        let pid = Pid::from_raw(self.pid).ok_or("not the id of a process")?;
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(true) };
        is_gone(&process, patience)
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&self) -> Tested {
        end(self.pid, Signal::KILL).map(drop)
    }
}

/// Every process that has this directory in its arguments or environment. A zombie has neither.
pub fn of(directory: &Path) -> Tested<Vec<Process>> {
    let wanted = directory.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let arguments = read("cmdline");
        let names = |bytes: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
        if names(&arguments) || names(&read("environ")) {
            let arguments = arguments.split(|byte| *byte == 0).filter(|argument| !argument.is_empty());
            let arguments = arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect();
            found.push(Process { pid, arguments });
        }
    }
    Ok(found)
}

/// Sends a signal and waits until the process is gone; false where it is not after [`PATIENCE`].
pub fn end(pid: i32, signal: Signal) -> Tested<bool> {
    let pid = Pid::from_raw(pid).ok_or("not the id of a process")?;
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(true) };
    let _ = kill_process(pid, signal);
    is_gone(&process, PATIENCE)
}

fn is_gone(process: &OwnedFd, patience: Duration) -> Tested<bool> {
    let patience = Timespec::try_from(patience)?;
    // A child of the test that ends may interrupt the wait; then it begins anew.
    Ok(retry_on_intr(|| poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&patience)))? > 0)
}

/// How long a tmux server may take to end that was told to, before it is told again.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// Ends the tmux server on the socket that the processes of this directory use, if there is one, and every program in it.
pub fn end_tmux(socket: &Path, directory: &Path) -> Tested {
    // One that is just starting takes no command yet: it is told again.
    for _ in 0..PATIENCE.as_secs() {
        let mut tmux = Command::new("tmux");
        tmux.args(["-N", "-f", "/dev/null", "-S"]).arg(socket).arg("kill-server").env_remove("TMUX");
        // Whatever it says: who is left is seen by its process.
        tmux.output()?;
        let mut all_gone = true;
        for server in of(directory)?.iter().filter(|process| process.is_tmux_server()) {
            all_gone &= server.ends_within(TELL_AGAIN)?;
        }
        if all_gone {
            return Ok(());
        }
        // A client of a server that was killed just now is one that nobody reads, for which tmux may wait for ever. The next
        // server ends such clients; here there is none.
        for client in of(directory)?.iter().filter(|process| process.is_tmux_client()) {
            client.kill()?;
        }
    }
    Ok(())
}

/// Copies a program, to be run at once. By a process of its own: what another test starts at this moment would inherit the
/// file that we write, and nobody can run a program that somebody may write to.
pub fn copy_program(from: &Path, to: &Path, mode: &str) -> Tested {
    let status = Command::new("install").args(["-m", mode]).args([from, to]).status()?;
    if status.success() { Ok(()) } else { Err(format!("{} was not copied", from.display()).into()) }
}
