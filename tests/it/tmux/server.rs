//! The server: its start, its death, its place.

use std::io::Write;
use std::process::{Child, Stdio};

use paliadin::tmux::{Command, KEEPER, Server, TmuxError};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{DEADLINE, Host, kill};

#[tokio::test]
async fn a_server_that_dies_is_reported_and_started_again() {
    let host = Host::start().await;
    let agent = host.spawn("agent", &["cat", "-"]).await;
    kill(host.server.control().server_pid());
    let gone = async {
        loop {
            match host.server.pane(&agent.pane).await {
                Err(TmuxError::Interrupted { .. }) | Ok(Some(_)) => {}
                other => return other,
            }
        }
    };
    let error = timeout(DEADLINE, gone).await.unwrap().unwrap_err();
    assert!(matches!(error, TmuxError::ServerGone(_)), "{error}");
    // The dead server's socket is still there.
    assert!(Host::socket(&host.dir).exists());
    let again = Server::start(Host::config(&host.dir)).await.unwrap();
    assert_eq!(again.panes().await, Ok(vec![]));
    let same_id = again.spawn(host.spec("agent", &["cat", "-"])).await.unwrap();
    assert_eq!(same_id.pane, agent.pane, "a new server counts from the beginning");
    let error = host.server.pane(&agent.pane).await.unwrap_err();
    assert!(matches!(error, TmuxError::ServerGone(_)), "an old handle must not reach the new pane: {error}");
    assert_eq!(again.shutdown().await, Ok(()));
    assert_eq!(again.shutdown().await, Ok(()));
}

#[tokio::test]
async fn starters_at_once_share_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut starters = JoinSet::new();
    for _ in 0..8 {
        starters.spawn(Server::start(Host::config(&dir)));
    }
    let servers: Vec<Server> = starters.join_all().await.into_iter().map(Result::unwrap).collect();
    let pids: Vec<u32> = servers.iter().map(|server| server.control().server_pid()).collect();
    assert!(pids.iter().all(|&pid| pid == pids[0]), "{pids:?}");
    let host = Host { dir, server: servers[0].clone() };
    assert_eq!(host.run(Command::new("list-sessions").args(["-F", "#{session_name}"])).await.unwrap(), [KEEPER]);
    host.server.shutdown().await.unwrap();
}

#[tokio::test]
async fn unusable_programs_and_directories_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    assert!(Server::probe("tmux".as_ref()).await.is_ok());
    let missing = Server::probe("/nonexistent/tmux".as_ref()).await;
    assert!(matches!(missing, Err(TmuxError::NotFound(_))), "{missing:?}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tmux")).unwrap();
    std::fs::set_permissions(dir.path().join("tmux"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let open = Server::start(Host::config(&dir)).await;
    assert!(matches!(open, Err(TmuxError::SocketDir(_))), "{open:?}");
}

/// A control client that wants to say more than anyone reads; it stays, and the server waits for it.
async fn unread_client(host: &Host) -> Child {
    let mut client = std::process::Command::new("tmux");
    client.args(["-u", "-f", "/dev/null", "-S"]).arg(Host::socket(&host.dir)).args(["-N", "-C", "attach-session"]);
    client.args(["-f", "no-output,ignore-size", "-t", "=_paliadin"]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = client.spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    // Some 400 kB of output: more than a pipe holds, so that it is pending when the reader goes.
    input.write_all("list-commands\n".repeat(40).as_bytes()).unwrap();
    let attached = async {
        let list = || Command::new("list-clients").args(["-F", "#{client_pid}"]);
        while !host.run(list()).await.unwrap().contains(&client.id().to_string()) {}
    };
    timeout(DEADLINE, attached).await.unwrap();
    // The server has taken all of it once this client is answered, that came later.
    host.run(Command::new("list-sessions")).await.unwrap();
    drop((input, client.stdout.take()));
    client
}

#[tokio::test]
async fn a_client_that_nobody_reads_does_not_keep_the_server_from_ending() {
    let host = Host::start().await;
    let mut client = unread_client(&host).await;
    timeout(DEADLINE, host.server.shutdown()).await.unwrap().unwrap();
    assert!(!client.wait().unwrap().success());
}

#[tokio::test]
async fn a_server_that_cannot_end_is_replaced() {
    let host = Host::start().await;
    let mut client = unread_client(&host).await;
    let before = host.server.control().server_pid();
    let _ = host.run(Command::new("kill-server")).await;
    let again = timeout(DEADLINE, Server::start(Host::config(&host.dir))).await.unwrap().unwrap();
    assert_ne!(again.control().server_pid(), before);
    assert_eq!(again.panes().await, Ok(vec![]));
    again.shutdown().await.unwrap();
    let _ = client.kill();
    client.wait().unwrap();
}

#[tokio::test]
async fn a_server_that_is_stopped_is_killed() {
    let host = Host::start().await;
    let server = rustix::process::Pid::from_raw(host.server.control().server_pid().cast_signed()).unwrap();
    rustix::process::kill_process(server, rustix::process::Signal::STOP).unwrap();
    timeout(DEADLINE, host.server.shutdown()).await.unwrap().unwrap();
    let again = Server::start(Host::config(&host.dir)).await.unwrap();
    again.shutdown().await.unwrap();
}
