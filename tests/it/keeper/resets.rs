//! A reset ends the agent, whatever it is at.

use std::fs;

use paliadin::tmux::Server;
use rustix::process::Signal;
use serde_json::json;

use super::left::restart_without_a_look;
use super::memory::with_claude;
use crate::harness::processes::Process;
use crate::harness::{TestApp, Tested, eventually};

/// Does not get ready, and minds no hangup.
const STUBBORN: &str = "trap '' HUP; while :; do sleep 0.2; done";

/// A server whose agent does not get ready, until `mended` is in the state directory.
async fn never_ready() -> Tested<TestApp> {
    let mut app = TestApp::prepare(&[("PALIADIN_AGENT__READY_TIMEOUT", "10m")])?;
    app.agent_after("test -e \"$PALIADIN_SPOOL/../../mended\" || exec sleep infinity")?;
    app.boot().await?;
    Ok(app)
}

fn is_hanging(process: &Process) -> bool {
    process.arguments == ["sleep", "infinity"]
}

/// The agent that does not get ready, once it is there: that it starts is told before.
async fn hanging(app: &TestApp) -> Tested<Process> {
    eventually("the agent to be started", async || Ok(app.processes()?.into_iter().find(is_hanging))).await
}

fn is_there(app: &TestApp, process: &Process) -> Tested<bool> {
    Ok(app.processes()?.iter().any(|known| known.pid == process.pid))
}

/// How often a key was shown in the only terminal, which echoes what is typed, that interrupts the agent.
async fn interrupts(server: &Server) -> Tested<usize> {
    let info = server.panes().await?.pop().ok_or("no terminal")?;
    Ok(server.capture(&info.pane).await?.concat().matches("^[").count())
}

#[tokio::test]
async fn a_reset_does_not_wait_for_an_agent_that_does_not_get_ready() -> Tested {
    let app = never_ready().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!count").await?;
    let hangs = hanging(&app).await?;
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert_eq!(user.ended(&turn).await?["error_code"], "session_reset");
    assert!(!is_there(&app, &hangs)?, "it is gone");
    fs::write(app.state().join("mended"), "")?;
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn nor_for_one_that_is_taken_over_and_does_not_get_ready() -> Tested {
    let mut app = never_ready().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!count").await?;
    let hangs = hanging(&app).await?;
    user.cancelled(&turn).await?;
    user.ended(&turn).await?;
    app.restart(Signal::KILL).await?;
    user.session_is("opening").await?;
    assert!(is_there(&app, &hangs)?, "it is there to be taken over");
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert!(!is_there(&app, &hangs)?, "it is gone");
    fs::write(app.state().join("mended"), "")?;
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn nor_for_one_that_was_left_and_does_not_stop_its_work() -> Tested {
    let mut app = with_claude().await?;
    app.set("PALIADIN_AGENT__INTERRUPT_TIMEOUT", "10m");
    app.restart(Signal::TERM).await?;
    let user = app.user("ann@example.org")?;
    let hangs = user.ask("hang").await?;
    user.stream(&hangs, None).await?.until("meta").await?;
    user.cancelled(&hangs).await?;
    user.ended(&hangs).await?;
    app.arm_hold("left.interrupt")?;
    restart_without_a_look(&mut app).await?;
    let waits = user.ask("and on").await?;
    app.held("left.interrupt").await?;
    let server = app.tmux().await?;
    let before = interrupts(&server).await?;
    app.release("left.interrupt")?;
    eventually("the interrupt", async || Ok((interrupts(&server).await? > before).then_some(()))).await?;
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert_eq!(user.ended(&waits).await?["error_code"], "session_reset");
    assert!(user.response("and on").await?.starts_with("You said: and on"));
    Ok(())
}

#[tokio::test]
async fn after_one_health_is_asked_again_also_where_no_agent_was_there_to_end() -> Tested {
    let app = never_ready().await?;
    let (admin, user) = (app.owner()?, app.user("ann@example.org")?);
    let turn = user.ask("!count").await?;
    hanging(&app).await?;
    user.cancelled(&turn).await?;
    user.ended(&turn).await?;
    assert_eq!(super::probes(&admin).await?, 1);
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    fs::write(app.state().join("mended"), "")?;
    assert_eq!(user.response("!count").await?, "1");
    assert_eq!(super::probes(&admin).await?, 2);
    Ok(())
}

#[tokio::test]
async fn nor_does_the_next_keeper_wait_for_one_that_a_failed_keeper_has_started() -> Tested {
    let app = never_ready().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!count").await?;
    hanging(&app).await?;
    fs::write(app.state().join("mended"), "")?;
    // It fails when it is told that nobody waits for the agent any more.
    app.arm("pane.handle")?;
    user.cancelled(&turn).await?;
    user.ended(&turn).await?;
    assert_eq!(user.response("!count").await?, "1");
    assert!(!app.processes()?.iter().any(is_hanging), "that start was given up");
    Ok(())
}

#[tokio::test]
async fn it_is_through_when_the_process_is_gone_which_was_being_ended_already() -> Tested {
    let settings = [("PALIADIN_AGENT__READY_TIMEOUT", "1s"), ("PALIADIN_AGENT__INTERRUPT_TIMEOUT", "4s")];
    let mut app = TestApp::prepare(&settings)?;
    app.agent_after(STUBBORN)?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    user.ask("!count").await?;
    let is_agent = |process: &Process| process.arguments.iter().any(|argument| argument.ends_with("agent.sh"));
    eventually("the agent", async || Ok(app.processes()?.iter().any(is_agent).then_some(()))).await?;
    let terminals = paliadin::tmux::Command::new("list-panes").args(["-a", "-f", "#{@paliadin}", "-F", "#{pane_id}"]);
    let server = app.tmux().await?;
    eventually("its terminal to be gone", async || {
        Ok(server.control().command(terminals.clone()).await?.is_empty().then_some(()))
    })
    .await?;
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert!(!app.processes()?.iter().any(is_agent), "it is gone");
    Ok(())
}
