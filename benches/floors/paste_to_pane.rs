//! Floor of row 2: two commits, then a paste and Enter through a bare control-mode client, until the program in the
//! pane has the line.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::commit::Commit;
use super::receiver::{NOTE, READY};
use crate::measure::{Measured, Outcome, Tail, monotonic_ns};

/// As long as the envelope of row 2 with its message.
pub const LINE: &str = "[PALIADIN:01900000-0000-7000-8000-000000000001] !echo";

/// A tmux server of its own with one pane, and the control-mode client that made it.
pub struct Pane {
    socket: PathBuf,
    client: Child,
    input: ChildStdin,
}

impl Pane {
    /// Runs this program in a pane, with `arguments`. The server's socket is `<directory>/tmux`.
    pub fn open(directory: &Path, arguments: &[&OsStr]) -> Outcome<Self> {
        let socket = directory.join("tmux");
        let mut client = Command::new("tmux")
            .args([OsStr::new("-S"), socket.as_os_str()])
            .args(["-f", "/dev/null", "-C", "new-session", "-x", "80", "-y", "24", "--"])
            .arg(std::env::current_exe()?)
            .args(arguments)
            .env_remove("TMUX")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("tmux: {error}"))?;
        let input = client.stdin.take().ok_or("tmux has an input")?;
        let mut output = client.stdout.take().ok_or("tmux has an output")?;
        // What tmux says must be read, or it stops at a full pipe.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(Self { socket, client, input })
    }

    /// Types `line`, which has no quotes, and Enter: one write to tmux.
    pub fn paste(&mut self, line: &str) -> Outcome<()> {
        let command =
            format!("set-buffer -b floor -- '{line}' ; paste-buffer -d -b floor -t %0 ; send-keys -t %0 Enter\n");
        Ok(self.input.write_all(command.as_bytes())?)
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").stderr(Stdio::null()).status();
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// From nothing to the line in the pane.
pub struct PasteToPane {
    commit: Commit,
    pane: Pane,
    log: Tail,
    count: u32,
}

impl PasteToPane {
    /// Works in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        let path = directory.join("log").join("lines");
        let mut log = Tail::open(&path)?;
        let pane = Pane::open(directory, &[NOTE.as_ref(), path.as_os_str()])?;
        log.line_with(READY)?;
        Ok(Self { commit: Commit::open(directory)?, pane, log, count: 0 })
    }
}

impl Measured for PasteToPane {
    fn sample(&mut self) -> Outcome<Duration> {
        self.count += 1;
        let line = format!("{LINE} {}", self.count);
        let start = monotonic_ns();
        self.commit.commit()?;
        self.commit.commit()?;
        self.pane.paste(&line)?;
        let noted = self.log.line_with(&format!("{line}\n"))?;
        let at: u64 = noted.split(' ').next().unwrap_or_default().parse()?;
        Ok(Duration::from_nanos(at.saturating_sub(start)))
    }
}
