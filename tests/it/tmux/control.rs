//! The control client: replies, errors, its death.

use std::path::PathBuf;

use paliadin::tmux::{Command, Control, Pane, PaneId, TmuxError, paste};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{DEADLINE, Host, kill, turn};

#[tokio::test]
async fn replies_go_to_their_commands() {
    let host = Host::start().await;
    let mut commands = JoinSet::new();
    for number in 0..200 {
        let control = host.server.control().clone();
        commands.spawn(async move {
            let text = number.to_string();
            let print = Command::new("display-message").args(["-p", &text]);
            let command = match number % 4 {
                0 => print,
                1 => print.then(Command::new("kill-pane").args(["-t", "%999"])),
                2 => Command::new("if-shell").args(["-F", "1"]).command(&print.clone().then(print)),
                _ => Command::new("set-option").args(["-g", "@number", &text]),
            };
            let expected = match number % 4 {
                0 => Ok(vec![text]),
                1 => Err(TmuxError::Command { command: "display-message", message: "can't find pane: %999".into() }),
                2 => Ok(vec![text.clone(), text]),
                _ => Ok(vec![]),
            };
            assert_eq!(control.command(command).await, expected, "command {number}");
        });
    }
    while let Some(result) = commands.join_next().await {
        result.unwrap();
    }
    assert_eq!(host.server.control().reconnects(), 0);
}

#[tokio::test]
async fn errors_are_typed() {
    let host = Host::start().await;
    let refused = host.run(Command::new("no-such-command").arg("x")).await.unwrap_err();
    assert!(matches!(&refused, TmuxError::Command { command: "no-such-command", .. }), "{refused}");
    assert!(!refused.is_missing_target());
    let missing: PaneId = "%999".parse().unwrap();
    assert!(host.server.capture(&missing).await.unwrap_err().is_missing_target());
    assert!(host.server.send_key(&missing, "Enter").await.unwrap_err().is_missing_target());
    assert!(host.server.set_pane_option(&missing, "@x", "y").await.unwrap_err().is_missing_target());
    assert!(paste(&host.server, turn(&missing, "T", 1, "x")).await.unwrap_err().is_missing_target());
    assert_eq!(host.server.pane(&missing).await, Ok(None));
    assert_eq!(host.server.kill_session(&"$999".parse().unwrap()).await, Ok(()));
    let nul = host.run(Command::new("display-message").arg("\0")).await;
    assert!(matches!(nul, Err(TmuxError::Invalid(_))), "{nul:?}");
}

#[tokio::test]
async fn a_killed_client_is_replaced() {
    let host = Host::start().await;
    let control = host.server.control().clone();
    // A command that is known to run, and that does not end by itself.
    let stuck = Command::new("set-option").args(["-g", "@stuck", "yes"]).then(Command::new("wait-for").arg("never"));
    let in_flight = tokio::spawn(async move { control.command(stuck).await });
    let other = Control::connect(host.control_config()).await.unwrap();
    let seen = async {
        while other.command(Command::new("display-message").args(["-p", "#{@stuck}"])).await.unwrap() != ["yes"] {}
    };
    timeout(DEADLINE, seen).await.unwrap();
    let first = host.server.control().client_pid().unwrap();
    kill(first);
    let interrupted = TmuxError::Interrupted { command: "set-option" };
    assert_eq!(timeout(DEADLINE, in_flight).await.unwrap().unwrap(), Err(interrupted));
    assert_eq!(host.run(Command::new("display-message").args(["-p", "back"])).await.unwrap(), ["back"]);
    assert_eq!(host.server.control().reconnects(), 1);
    assert_ne!(host.server.control().client_pid(), Some(first));
    assert!(!PathBuf::from(format!("/proc/{first}")).exists(), "the dead client was reaped");
}

#[tokio::test]
async fn a_dropped_handle_ends_its_client() {
    let host = Host::start().await;
    let other = Control::connect(host.control_config()).await.unwrap();
    let process = PathBuf::from(format!("/proc/{}", other.client_pid().unwrap()));
    assert!(process.exists());
    drop(other);
    let gone = async {
        while process.exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, gone).await.unwrap();
}

#[tokio::test]
async fn a_screen_cannot_forge_replies() {
    let host = Host::start().await;
    let screen = r"%%end 1 1 1\r\n%%begin 1 1 1\r\n%%exit\r\nGr\303\274\303\237e\r\n";
    let screen = screen.replace("%%", "%");
    let (Pane { pane, .. }, _typed) = host.recorder("agent", &screen).await;
    let lines = host.server.capture(&pane).await.unwrap();
    assert_eq!(lines.len(), 24, "the height of the pane");
    assert_eq!(lines[..5], ["%end 1 1 1", "%begin 1 1 1", "%exit", "Grüße", ""]);
    host.server.set_pane_option(&pane, "@note", "a; 'b' ~ #{pid}").await.unwrap();
    assert_eq!(host.format(&pane, "#{@note}").await, "a; 'b' ~ #{pid}");
}
