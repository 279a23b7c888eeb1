//! Agents that a killed server left at work.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::memory::with_claude;
use super::{QUICK, agent_of};
use crate::harness::processes::Process;
use crate::harness::{Accepted, Client, TestApp, Tested, eventually};

/// Sessions at once: what is tested is a race.
const SESSIONS: usize = 8;

#[tokio::test]
async fn an_agent_that_still_works_is_given_nothing_else_and_comes_to_its_answer() -> Tested {
    let settings = [
        ("PALIADIN_AGENT__SESSION_SCOPE", "conversation"),
        ("PALIADIN_TURN__DEADLINE", "1s"),
        ("PALIADIN_TURN__DRAIN_TIMEOUT", "5min"),
    ];
    let mut app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    let mut turns = Vec::new();
    for _ in 0..SESSIONS {
        turns.push((user.ask("!lines 60 100").await?, None));
    }
    for (first, second) in &mut turns {
        assert_eq!(user.ended(first).await?["error_code"], "timeout");
        *second = Some(user.ask_in(&first.session_id, "!echo next").await?);
    }
    app.restart(Signal::KILL).await?;
    for (first, second) in &turns {
        let second = second.as_ref().ok_or("no second turn")?;
        let row = user.ended(second).await?;
        assert_eq!((&row["state"], &row["response"]), (&json!("done"), &json!("next")));
        let late = eventually("the late answer", async || {
            let row = user.turn(&first.turn_id).await?;
            Ok((row["state"] == "done").then_some(row))
        })
        .await?;
        assert_eq!(late["late"], true);
        assert!(late["response"].as_str().is_some_and(|answer| answer.trim_end().ends_with("line 60")), "{late}");
        for turn in [first, second] {
            assert_eq!(app.typed(&turn.turn_id)?.len(), 1);
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_has_answered_by_a_file_ends_its_turn_first_also_after_a_restart() -> Tested {
    let mut app = with_claude().await?;
    app.make_pipe()?;
    let user = app.user("ann@example.org")?;
    for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
        assert_eq!(user.response("answer by file").await?, "in a file");
        let next = user.ask("and on").await?;
        user.session_is("draining").await?;
        if let Some(signal) = signal {
            app.restart(signal).await?;
            user.session_is("draining").await?;
        }
        assert_eq!(user.turn(&next.turn_id).await?["state"], "queued", "nothing is typed meanwhile");
        app.go_on().await?;
        let row = user.ended(&next).await?;
        assert!(row["response"].as_str().is_some_and(|answer| answer.starts_with("You said: and on")), "{row}");
        assert_eq!(super::session(&user).await?["restarts"], 0, "it was left alone");
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_still_starting_is_taken_over_once_it_is_ready() -> Tested {
    let mut app = TestApp::behind_pipe().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!count").await?;
    // It is told before its process is there.
    let is_agent = |process: &Process| process.arguments.iter().any(|argument| argument.ends_with("agent.sh"));
    eventually("the agent", async || Ok(app.processes()?.iter().any(is_agent).then_some(()))).await?;
    user.cancelled(&turn).await?;
    assert_eq!(user.ended(&turn).await?["state"], "cancelled");
    app.restart(Signal::KILL).await?;
    user.session_is("opening").await?;
    app.go_on().await?;
    let taken = super::agent_is(&user, "ready").await?;
    assert_eq!((&taken["last_reason"], &taken["restarts"]), (&json!("agent taken over, with its memory"), &json!(0)));
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

/// A shell that answers by files only, and has done so; its user, and its process.
async fn idle_shell() -> Tested<(TestApp, Client, String)> {
    let mut app = TestApp::for_accounts()?;
    let command = crate::launch::shell(&app)?;
    app.choose("shell", &command)?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let process = user.response("echo $PPID").await?;
    Ok((app, user, process))
}

#[tokio::test]
async fn an_idle_agent_that_answers_by_files_only_is_idle_after_a_restart() -> Tested {
    let (mut app, user, process) = idle_shell().await?;
    for signal in [Signal::TERM, Signal::KILL] {
        app.restart(signal).await?;
        super::agent_is(&user, "ready").await?;
        user.session_is("idle").await?;
        assert_eq!(user.response("echo $PPID").await?, process, "it is the same agent");
    }
    Ok(())
}

/// Gives the profile a further field.
fn add_to_profile(app: &TestApp, field: &str) -> Tested {
    let profile = app.root().join("profiles/scripted.toml");
    let text = fs::read_to_string(&profile)?;
    Ok(fs::write(&profile, format!("{text}{field}\n"))?)
}

/// Another setting.
const OTHER: &str = "environment = { OTHER = '1' }";
/// How the last agent was ended.
const OUTDATED: &str = "the agent was ended because it had been started with other settings";

#[tokio::test]
async fn an_agent_of_other_settings_may_come_to_its_answer_and_is_ended_then() -> Tested {
    let mut app = TestApp::prepare(&[("PALIADIN_TURN__DEADLINE", "1s"), ("PALIADIN_TURN__DRAIN_TIMEOUT", "5min")])?;
    app.agent_after("")?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!lines 40 100").await?;
    assert_eq!(user.ended(&first).await?["error_code"], "timeout");
    let left = app.process(Process::is_agent)?;
    add_to_profile(&app, OTHER)?;
    app.restart(Signal::KILL).await?;
    let waits = user.ask("!count").await?;
    assert_eq!(user.ended(&waits).await?["response"], "1", "by an agent of the new settings");
    assert!(!app.processes()?.iter().any(|process| process.pid == left.pid));
    eventually("the late answer", async || Ok((user.turn(&first.turn_id).await?["late"] == true).then_some(())))
        .await?;
    let told = super::session(&user).await?;
    assert_eq!(told["last_exit"]["reason"], OUTDATED);
    Ok(())
}

#[tokio::test]
async fn so_it_is_where_its_turn_still_runs() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    app.agent_after("")?;
    add_to_profile(&app, "reply = 'line'")?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!ask which one?").await?;
    let asked = user.stream(&turn, None).await?.until("attention").await?;
    let attention = asked.id.ok_or("no id")?;
    // Durable, so that it is this event that is replied to.
    assert_eq!(app.nobody().get("/readyz").await?.status, 200);
    let left = app.process(Process::is_agent)?;
    add_to_profile(&app, OTHER)?;
    app.restart(Signal::KILL).await?;
    app.expect_reply("this one");
    eventually("the reply to be taken", async || {
        let (status, _) = user.reply(&turn, &attention, "this one").await?;
        Ok((status == 202).then_some(()))
    })
    .await?;
    assert_eq!(user.ended(&turn).await?["state"], "done", "by the agent that it was given to");
    assert_eq!(user.response("!count").await?, "1", "by an agent of the new settings");
    assert!(!app.processes()?.iter().any(|process| process.pid == left.pid));
    assert_eq!(super::session(&user).await?["last_exit"]["reason"], OUTDATED);
    Ok(())
}

/// A turn that its agent works on when it is given up.
async fn given_up(user: &Client) -> Tested<Accepted> {
    let hangs = user.ask("!hang").await?;
    assert_eq!(user.ended(&hangs).await?["error_code"], "timeout");
    Ok(hangs)
}

#[tokio::test]
async fn a_turn_that_cannot_be_read_does_not_keep_those_after_it_waiting() -> Tested {
    let mut app = TestApp::with(&[("PALIADIN_TURN__DEADLINE", "2s")]).await?;
    let user = app.user("ann@example.org")?;
    let hangs = given_up(&user).await?;
    app.stop(Signal::KILL)?;
    let spoil = "UPDATE paliadin_turns SET error_code = 'of another version' WHERE turn_id = ?1";
    assert_eq!(app.database().await?.run(spoil, &[&hangs.turn_id]).await?, 1);
    app.boot().await?;
    assert_eq!(user.response("!count").await?, "2", "its agent was interrupted");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_has_ended_meanwhile_is_not_waited_for() -> Tested {
    let settings = [("PALIADIN_TURN__DEADLINE", "2s"), ("PALIADIN_TURN__DRAIN_TIMEOUT", "5min"), QUICK];
    let mut app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    given_up(&user).await?;
    let left = agent_of(&app, &user, None).await?;
    app.arm_hold("takeover.read")?;
    app.restart(Signal::KILL).await?;
    app.held("takeover.read").await?;
    left.kill()?;
    agent_of(&app, &user, Some(left.pid)).await?;
    super::agent_is(&user, "ready").await?;
    app.release("takeover.read")?;
    assert_eq!(user.response("!count").await?, "1", "by the next one, which never had that turn");
    Ok(())
}

/// How many messages the only session has handled.
async fn handled(owner: &Client) -> Tested<u64> {
    let actors = owner.actors().await?;
    let session = actors.iter().find(|actor| actor["kind"] == "session").ok_or("no session")?;
    Ok(session["handled"].as_u64().ok_or("no number")?)
}

#[tokio::test]
async fn a_reset_ends_the_wait_for_what_is_still_to_be_known_of_it() -> Tested {
    let mut app = TestApp::with(&[("PALIADIN_TURN__DEADLINE", "2s")]).await?;
    let user = app.user("ann@example.org")?;
    given_up(&user).await?;
    app.arm_hold("takeover.read")?;
    app.restart(Signal::KILL).await?;
    app.held("takeover.read").await?;
    user.session_is("opening").await?;
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert_eq!(user.response("!count").await?, "1");
    user.session_is("idle").await?;
    let owner = app.owner()?;
    let before = handled(&owner).await?;
    app.release("takeover.read")?;
    eventually("it to be told", async || Ok((handled(&owner).await? > before).then_some(()))).await?;
    assert_eq!(user.response("!count").await?, "2", "what comes to be known then is of no agent that is there");
    Ok(())
}

/// The next server fails to look for the agent that was left, and the cause is mended before it looks again.
pub async fn restart_without_a_look(app: &mut TestApp) -> Tested {
    app.stop(Signal::KILL)?;
    let (work, away) = (app.spool()?.join("work"), app.spool()?.join("away"));
    fs::rename(&work, &away)?;
    fs::write(&work, "")?;
    app.boot().await?;
    let log = app.root().join("server.log");
    eventually("a look that failed", async || {
        Ok(fs::read_to_string(&log)?.contains("not known whether an agent was left").then_some(()))
    })
    .await?;
    fs::remove_file(&work)?;
    Ok(fs::rename(&away, &work)?)
}

#[tokio::test]
async fn a_turn_that_looks_for_an_idle_agent_itself_finds_it_idle() -> Tested {
    let (mut app, user, process) = idle_shell().await?;
    restart_without_a_look(&mut app).await?;
    assert_eq!(user.response("echo $PPID").await?, process, "it is the same agent");
    Ok(())
}

#[tokio::test]
async fn and_lets_one_that_was_given_up_come_to_its_answer() -> Tested {
    let settings = [("PALIADIN_TURN__DEADLINE", "2s"), ("PALIADIN_TURN__DRAIN_TIMEOUT", "5min")];
    let mut app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    let first = user.ask("!lines 60 100").await?;
    assert_eq!(user.ended(&first).await?["error_code"], "timeout");
    restart_without_a_look(&mut app).await?;
    assert_eq!(user.response("!count").await?, "2", "it is the same agent");
    let late = eventually("the late answer", async || {
        Ok(Some(user.turn(&first.turn_id).await?).filter(|row| row["late"] == true))
    })
    .await?;
    assert!(late["response"].as_str().is_some_and(|answer| answer.trim_end().ends_with("line 60")), "{late}");
    Ok(())
}
