//! Ends what keeps a tmux server of ours from ending: control clients that nobody reads any more, and at last the server.
//!
//! A control client that cannot get rid of its output stays, and a server that is told to end waits for it for ever (seen
//! on 3.3a): it takes connections and drops them.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::warn;

use super::TmuxError;

/// How long the kernel may take to end a process that was killed.
const KILLED: Duration = Duration::from_secs(5);

/// A handle on a process of tmux; `None` where there is none of this id, or it is something else.
pub(super) fn process(pid: u32) -> Result<Option<OwnedFd>, TmuxError> {
    // The handle first: from then on the number cannot come to mean another process unnoticed.
    Ok(handle(pid)?.filter(|_| is_tmux(pid)))
}

/// A handle on whatever process has this id; `None` where there is none.
pub(super) fn handle(pid: u32) -> Result<Option<OwnedFd>, TmuxError> {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    match pidfd_open(number, PidfdFlags::empty()) {
        Ok(process) => Ok(Some(process)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(TmuxError::Io(error.to_string())),
    }
}

/// Waits for the end of a process; false where it is still there after `patience`.
pub(super) async fn ends_within(process: &OwnedFd, patience: Duration) -> Result<bool, TmuxError> {
    let system = |error: &dyn std::fmt::Display| TmuxError::Io(error.to_string());
    let process = process.try_clone().map_err(|error| system(&error))?;
    let limit = Timespec::try_from(patience).map_err(|error| system(&error))?;
    // On a thread of its own: it is seldom needed, and not for long.
    let wait = move || retry_on_intr(|| poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)));
    match tokio::task::spawn_blocking(wait).await {
        Ok(Ok(ready)) => Ok(ready > 0),
        Ok(Err(error)) => Err(system(&error)),
        Err(error) => Err(system(&error)),
    }
}

/// Kills a process and waits for its end; false where it does not come.
pub(super) async fn kill(process: &OwnedFd) -> Result<bool, TmuxError> {
    // Fails only where it is gone already.
    let _ = pidfd_send_signal(process, Signal::KILL);
    ends_within(process, KILLED).await
}

/// Kills a client of the server on this socket. Nothing is done to what is no such client.
pub(super) async fn kill_client(pid: u32, socket: &Path) -> Result<(), TmuxError> {
    if let Some(client) = process(pid)?.filter(|_| names(pid, socket)) {
        warn!(client_pid = pid, "ending a control client that was left on our socket");
        kill(&client).await?;
    }
    Ok(())
}

/// Kills the server that listens on this socket, one that drops whoever comes. True where it is gone now.
pub(super) async fn kill_server(socket: &Path) -> bool {
    let Ok(Ok(stream)) = timeout(KILLED, UnixStream::connect(socket)).await else { return false };
    let Some(pid) = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok()) else {
        return false;
    };
    let Ok(Some(server)) = process(pid) else { return false };
    warn!(server_pid = pid, "killing a tmux server on our socket that does not end");
    kill(&server).await.unwrap_or(false)
}

/// tmux names its processes `tmux: client` and `tmux: server`.
fn is_tmux(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("tmux"))
}

/// Whether a process has this path among its arguments.
fn names(pid: u32, path: &Path) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).any(|argument| argument == path.as_os_str().as_encoded_bytes())
}
