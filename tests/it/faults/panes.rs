//! What happens to terminals, agents and their directory while a turn runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{Follower, lines};
use crate::harness::processes::Process;
use crate::harness::{Accepted, Client, TestApp, Tested, eventually};

/// Runs a command of the agents' tmux, beside the server.
pub fn tmux(app: &TestApp, arguments: &[&str]) -> Tested<String> {
    let mut tmux = Command::new("tmux");
    tmux.args(["-N", "-S"]).arg(app.tmux_socket()).args(arguments).env_remove("TMUX");
    let output = tmux.output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// The only agent's pane.
pub fn pane(app: &TestApp) -> Tested<String> {
    let panes = tmux(app, &["list-panes", "-a", "-f", "#{@paliadin}", "-F", "#{pane_id}"])?;
    if panes.lines().count() == 1 { Ok(panes) } else { Err(format!("not exactly one agent: {panes:?}").into()) }
}

/// A turn that streams, one that waits, and followers of both.
async fn under_way(user: &Client) -> Tested<(Follower, Follower)> {
    let turn = user.ask("!lines 1000 20").await?;
    let waiting = user.ask("!count").await?;
    let followers = (Follower::of(user, &turn), Follower::of(user, &waiting));
    user.stream(&turn, None).await?.until("content").await?;
    Ok(followers)
}

async fn dies_in_mid_turn(kill: impl Fn(&TestApp) -> Tested) -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let (running, waiting) = under_way(&user).await?;
    kill(&app)?;
    let row = running.failed(&app, "agent_died", 1).await?;
    assert!(row["partial"].as_str().is_some_and(|partial| partial.starts_with("line 1")), "{row}");
    waiting.done(&app, "1").await?;
    Ok(())
}

#[tokio::test]
async fn a_tmux_server_that_is_killed_in_mid_turn_costs_that_turn_only() -> Tested {
    dies_in_mid_turn(|app| app.process(Process::is_tmux_server)?.kill()).await
}

#[tokio::test]
async fn a_pane_that_is_killed_in_mid_turn_costs_that_turn_only() -> Tested {
    dies_in_mid_turn(|app| tmux(app, &["kill-pane", "-t", &pane(app)?]).map(drop)).await
}

#[tokio::test]
async fn an_agent_that_is_killed_in_mid_turn_costs_that_turn_only() -> Tested {
    dies_in_mid_turn(|app| app.process(Process::is_agent)?.kill()).await
}

#[tokio::test]
async fn a_control_client_that_is_killed_in_mid_turn_costs_nothing() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 40 20").await?;
    let (running, waiting) = (Follower::of(&user, &turn), user.ask("!count").await?);
    let waiting = Follower::of(&user, &waiting);
    user.stream(&turn, None).await?.until("content").await?;
    app.process(Process::is_tmux_client)?.kill()?;
    running.done(&app, &lines(40)).await?;
    waiting.done(&app, "2").await?;
    Ok(())
}

#[tokio::test]
async fn a_pane_in_copy_mode_takes_a_turn_and_goes_on_with_one() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    user.response("!echo begin").await?;
    let pane = pane(&app)?;
    let in_mode = |app: &TestApp| tmux(app, &["display-message", "-p", "-t", &pane, "#{pane_in_mode}"]);
    tmux(&app, &["copy-mode", "-t", &pane])?;
    assert_eq!(in_mode(&app)?, "1");
    let turn = user.ask("!lines 40 20").await?;
    let follower = Follower::of(&user, &turn);
    user.stream(&turn, None).await?.until("content").await?;
    assert_eq!(in_mode(&app)?, "0", "left, so that the message is typed to the agent");
    tmux(&app, &["copy-mode", "-t", &pane])?;
    follower.done(&app, &lines(40)).await?;
    assert_eq!(in_mode(&app)?, "1");
    assert_eq!(user.response("!count").await?, "3");
    // A cancel has to reach the agent, too.
    let turn = user.ask("!hang").await?;
    user.stream(&turn, None).await?.until("meta").await?;
    let agent = app.process(Process::is_agent)?.pid;
    tmux(&app, &["copy-mode", "-t", &pane])?;
    user.cancelled(&turn).await?;
    assert_eq!(user.response("!count").await?, "5");
    assert_eq!(app.process(Process::is_agent)?.pid, agent, "interrupted, not ended");
    Ok(())
}

fn replace_out(spool: &Path) -> Tested {
    fs::rename(spool.join("out"), spool.join("out.old"))?;
    fs::create_dir(spool.join("out"))?;
    Ok(fs::set_permissions(spool.join("out"), fs::Permissions::from_mode(0o700))?)
}

#[tokio::test]
async fn a_directory_that_is_replaced_in_mid_turn_brings_the_answer_all_the_same() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 40 20").await?;
    let follower = Follower::of(&user, &turn);
    user.stream(&turn, None).await?.until("content").await?;
    replace_out(&app.spool()?)?;
    follower.done(&app, &lines(40)).await?;
    assert_eq!(user.response("!count").await?, "2", "and the next one");
    Ok(())
}

/// Writes what the agent that hangs in this turn does not.
fn write_out(app: &TestApp, turn: &Accepted, suffix: &str, text: &str) -> Tested {
    let out = app.spool()?.join("out");
    fs::write(out.join(".beside"), text)?;
    Ok(fs::rename(out.join(".beside"), out.join(format!("{}.{suffix}", turn.turn_id)))?)
}

#[tokio::test]
async fn an_answer_that_is_begun_anew_in_another_directory_is_the_one_that_counts() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    let follower = Follower::of(&user, &turn);
    let mut stream = user.stream(&turn, None).await?;
    stream.until("meta").await?;
    write_out(&app, &turn, "part", "A first try that is long.\n\nMore")?;
    stream.until("content").await?;
    replace_out(&app.spool()?)?;
    // A reader that has seen the new directory stands in it; which of the two it saw of `.part` makes no difference.
    write_out(&app, &turn, "part", "Another")?;
    eventually("the new file", async || Ok(app.spool()?.join("out").exists().then_some(()))).await?;
    write_out(&app, &turn, "txt", "Another answer.")?;
    let seen = follower.done(&app, "Another answer.").await?;
    assert!(seen.iter().any(|event| event.kind == "resync"), "it does not begin with what was shown");
    assert_eq!(user.turn(&turn.turn_id).await?["error_code"], json!(null));
    Ok(())
}
