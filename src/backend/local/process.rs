//! The process of an agent: which one it is, and how it ends.

use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal as OsSignal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::backend::Exit;
use crate::tmux::{Pane, PaneInfo, Server};

/// Questions to tmux until it has reaped a process that the kernel says is gone: about 0.15 ms each.
const REAP_TRIES: usize = 200;
/// How long an agent may take to end after its terminal did.
const HANGUP: Duration = Duration::from_millis(500);

/// Field 22 of `/proc/<pid>/stat`: when the process began. Together with the number it names one process for good.
pub(super) fn process_start(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The program's name, in parentheses, may hold anything; the 20th field after it is the start.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(19).unwrap_or("gone").to_owned()
}

/// Tells when the process is gone, and why. The kernel says it at once; tmux knows the status a moment later.
pub(super) async fn watch_process(
    server: Server,
    terminal: Pane,
    told: watch::Sender<Option<Exit>>,
    last_screen: Arc<OnceLock<Vec<String>>>,
) {
    let agent = match watched(terminal.pid) {
        Ok(agent) => agent,
        Err(error) => {
            tracing::error!(%error, pid = terminal.pid, "the agent's process cannot be watched; its end will not be seen");
            // Whoever waits for the end waits until the agent is closed.
            return told.closed().await;
        }
    };
    if let Some(agent) = agent {
        let outlived = match watched(server.control().server_pid()) {
            Ok(Some(tmux)) => tokio::select! {
                _ = agent.readable() => false,
                _ = tmux.readable() => true,
            },
            Ok(None) => true,
            Err(_) => agent.readable().await.is_err(),
        };
        if outlived && tokio::time::timeout(HANGUP, agent.readable()).await.is_err() {
            // Its terminal is gone and it has not minded: nobody can talk to it any more.
            tracing::warn!(pid = terminal.pid, "the agent outlives its terminal; killing it");
            let _ = rustix::process::pidfd_send_signal(agent.get_ref(), OsSignal::KILL);
            let _ = agent.readable().await;
        }
    }
    // Until then the task holds no room for this.
    let reason = Box::pin(reap(&server, &terminal, &last_screen)).await;
    told.send_replace(Some(Exit { reason }));
}

/// How the process ended, which is gone, as tmux has it; its terminal goes, too.
async fn reap(server: &Server, terminal: &Pane, last_screen: &OnceLock<Vec<String>>) -> String {
    let mut reason = None;
    for _ in 0..REAP_TRIES {
        let Ok(Some(info)) = server.pane(&terminal.pane).await else { break };
        reason = how_it_ended(&info);
        if reason.is_some() {
            let _ = last_screen.set(server.capture_dead(&terminal.pane).await.unwrap_or_default());
            break;
        }
    }
    // Its terminal has nothing left to show.
    let _ = server.kill_session(&terminal.session).await;
    reason.unwrap_or_else(|| Exit::default().reason)
}

/// How the program of a dead pane ended, once tmux knows it.
pub(super) fn how_it_ended(pane: &PaneInfo) -> Option<String> {
    let by_signal = || pane.dead_signal.map(|signal| format!("was ended by signal {signal}"));
    pane.dead_status.map(|status| format!("exited with status {status}")).or_else(by_signal)
}

/// A handle that becomes readable when the process ends; `None` where it has ended already.
fn watched(pid: u32) -> std::io::Result<Option<AsyncFd<OwnedFd>>> {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let handle = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    #[expect(
        deprecated,
        reason = "sound for an `OwnedFd`, which stays open; the successor is `unsafe`, and that is forbidden here"
    )]
    AsyncFd::with_interest(handle, Interest::READABLE).map(Some)
}

/// Resolves with the reason once the process is gone.
pub(super) async fn gone(exit: &mut watch::Receiver<Option<Exit>>) -> String {
    let exit = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
    exit.unwrap_or_default().reason
}
