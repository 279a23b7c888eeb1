//! Programs: what reaches them, how they end.

use std::collections::BTreeMap;

use paliadin::tmux::{ServerConfig, SpawnSpec, TmuxError};

use super::{Host, kill};

#[tokio::test]
async fn how_a_program_ended_is_told() {
    let host = Host::start().await;
    let killed = host.spawn("killed", &["cat", "-"]).await;
    kill(killed.pid);
    let info = host.until(&killed.pane, |info| info.dead_status.or(info.dead_signal).is_some()).await;
    assert_eq!((info.pid, info.dead, info.dead_status), (killed.pid, true, None));
    assert_eq!(info.dead_signal, Some(9));
    let unknown = host.spawn("unknown", &["/nonexistent/program", "x"]).await;
    let info = host.until(&unknown.pane, |info| info.dead_status.is_some()).await;
    assert_ne!(info.dead_status, Some(0));
    host.server.kill_session(&killed.session).await.unwrap();
    assert_eq!(host.server.pane(&killed.pane).await, Ok(None));
}

#[tokio::test]
async fn arguments_reach_the_program_untouched() {
    let host = Host::start().await;
    let (path, mut output) = host.pipe("out");
    let arguments =
        ["a b", "'", "\"", "$(touch pwned)", "`id`", ";", "x;", "\\;", "", "-v", "~", "#{pid}", "%H", "é\n\t*"];
    let script = r#"pipe=$1; shift; printf '<%s>' "$@" > "$pipe"; exec cat"#;
    let mut argv = vec!["sh", "-c", script, "sh", &path];
    argv.extend(arguments);
    let pane = host.spawn("agent", &argv).await;
    output.expect(&arguments.map(|argument| format!("<{argument}>")).concat()).await;
    // The pane's process is the program itself, not a shell around it.
    let command = std::fs::read_to_string(format!("/proc/{}/comm", pane.pid)).unwrap();
    assert!(["sh\n", "cat\n"].contains(&command.as_str()), "{command:?}");
    assert!(!host.dir.path().join("pwned").exists());

    // A single argument is a program, too, and no line for a shell.
    let single = host.dir.path().join("a program; touch pwned");
    std::os::unix::fs::symlink("/bin/true", &single).unwrap();
    let pane = host.spawn("single", &[single.to_str().unwrap()]).await;
    let info = host.until(&pane.pane, |info| info.dead_status.is_some()).await;
    assert_eq!(info.dead_status, Some(0));
    assert!(!host.dir.path().join("pwned").exists());
}

#[tokio::test]
async fn the_working_directory_is_the_one_asked_for() {
    let host = Host::start().await;
    let (path, mut output) = host.pipe("out");
    let odd = host.dir.path().join("p#S %H ##[x] #[y] #{pid} $HOME ;");
    std::fs::create_dir(&odd).unwrap();
    let spec = SpawnSpec { cwd: odd.clone(), ..host.spec("odd", &["sh", "-c", r#"pwd -P > "$0""#, &path]) };
    host.server.spawn(spec).await.unwrap();
    output.expect(&format!("{}\n", odd.canonicalize().unwrap().display())).await;
    let nowhere = SpawnSpec { cwd: "/nonexistent".into(), ..host.spec("nowhere", &["cat", "-"]) };
    let error = host.server.spawn(nowhere).await.unwrap_err();
    assert!(matches!(error, TmuxError::Invalid(_)), "{error}");
}

#[tokio::test]
async fn the_environment_is_what_was_passed() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "our own environment holds more than is passed on");
    let host = Host::start().await;
    let (path, mut output) = host.pipe("out");
    let mut spec = host.spec("agent", &["sh", "-c", r#"printf R > "$0"; read line"#, &path]);
    spec.env = vec![("PALIADIN_SPOOL".into(), "/a b/#{pid};%H\n$HOME".into()), ("EMPTY".into(), String::new())];
    let pane = host.server.spawn(spec).await.unwrap();
    output.expect("R").await;
    let bytes = std::fs::read(format!("/proc/{}/environ", pane.pid)).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let mut found: BTreeMap<&str, &str> = text.split('\0').filter_map(|entry| entry.split_once('=')).collect();
    assert_eq!(found.remove("PALIADIN_SPOOL"), Some("/a b/#{pid};%H\n$HOME"));
    assert_eq!(found.remove("EMPTY"), Some(""));
    let of_tmux = ["TERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "TMUX_PANE", "PWD", "SHELL", "COLORTERM"];
    for name in found.keys() {
        assert!(ServerConfig::ENV.contains(name) || of_tmux.contains(name), "{name} was not to be passed on");
    }
    // Nor does the server hold what its panes must not have: they could ask it.
    let server = std::fs::read_to_string(format!("/proc/{}/environ", host.server.control().server_pid())).unwrap();
    assert!(!server.contains("CARGO_"), "{server:?}");
}

#[tokio::test]
async fn names_are_exact() {
    let host = Host::start().await;
    let long = host.spawn("agent-12", &["cat", "-"]).await;
    let short = host.spawn("agent-1", &["cat", "-"]).await;
    assert_eq!(host.format(&short.pane, "#{session_name} #{@paliadin}").await, "agent-1 agent-1");
    assert_eq!(host.format(&long.pane, "#{session_name} #{@paliadin}").await, "agent-12 agent-12");
    let twice = host.server.spawn(host.spec("agent-1", &["cat", "-"])).await;
    assert_eq!(twice, Err(TmuxError::SessionExists("agent-1".into())));
    let mut panes = host.server.panes().await.unwrap();
    panes.sort_by(|one, other| one.session_name.cmp(&other.session_name));
    let names: Vec<&str> = panes.iter().map(|pane| pane.session_name.as_str()).collect();
    assert_eq!(names, ["agent-1", "agent-12"], "the keeper is not among them");
    assert_eq!((panes[0].pid, &panes[0].window, panes[0].dead), (short.pid, &short.window, false));
    host.server.kill_session(&short.session).await.unwrap();
    host.server.kill_session(&short.session).await.unwrap();
    assert_eq!(host.server.pane(&short.pane).await, Ok(None));
    assert!(host.server.pane(&long.pane).await.unwrap().is_some());
}
