//! The keeper of an agent: it starts again what ended, gives up what ends too often, ends what nobody needs, takes over what
//! was left, and tells of all that.

mod left;
mod memory;
mod policies;
mod resets;

use std::path::Path;

use paliadin::turn::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::processes::Process;
use crate::harness::{Client, TestApp, Tested, eventually};

/// Short waits: what is tested is that there are some.
const QUICK: (&str, &str) = ("PALIADIN_AGENT__RESTART_BACKOFF", "20ms");

/// The agent of a user's session, once there is one other than `before`.
async fn agent_of(app: &TestApp, user: &Client, before: Option<i32>) -> Tested<Process> {
    let name = user.status().await?["agent_session"]["name"].as_str().unwrap_or_default().to_owned();
    let variable = format!("PALIADIN_SESSION={name}");
    let is_theirs = |process: &Process| {
        let environment = std::fs::read(Path::new("/proc").join(process.pid.to_string()).join("environ"));
        environment.is_ok_and(|all| all.split(|byte| *byte == 0).any(|known| known == variable.as_bytes()))
    };
    eventually("another agent", async || {
        let agents = app.processes()?.into_iter().filter(Process::is_agent);
        Ok(agents.into_iter().find(|agent| Some(agent.pid) != before && is_theirs(agent)))
    })
    .await
}

async fn session(user: &Client) -> Tested<Value> {
    Ok(user.status().await?["agent_session"].clone())
}

async fn agent_is(user: &Client, state: &str) -> Tested<Value> {
    eventually(&format!("the agent to be {state}"), async || {
        Ok(Some(session(user).await?).filter(|session| session["agent"] == state))
    })
    .await
}

#[tokio::test]
async fn an_agent_that_is_killed_is_there_again_unasked_and_that_is_told() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__RESTART_BACKOFF", "2s")]).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    let killed = agent_of(&app, &user, None).await?;
    killed.kill()?;
    agent_of(&app, &user, Some(killed.pid)).await?;
    let session = agent_is(&user, "ready").await?;
    assert_eq!(session["restarts"], 1, "{session}");
    assert_eq!(session["last_exit"]["reason"], "the agent was ended by signal 9");
    let reason = "agent restarted after it was ended by signal 9, it remembers nothing";
    assert_eq!(session["last_reason"], reason);
    let start = &session["last_start"];
    assert_eq!((&start["resumed"], &start["after"]), (&json!(false), &json!("was ended by signal 9")));
    let at = |what: &str| serde_json::from_value::<Timestamp>(session[what]["at"].clone());
    let rested = at("last_start")?.millis_since(at("last_exit")?);
    // Both are told by the session, which may hear of the end late.
    assert!(rested >= 1_000, "after the configured rest: {session}");
    assert_eq!(user.response("!count").await?, "1", "a new process");
    Ok(())
}

#[tokio::test]
async fn five_ends_in_a_row_are_a_crash_loop_of_that_user_alone_until_a_reset() -> Tested {
    let app = TestApp::with(&[QUICK]).await?;
    let (ann, bob) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(ann.response("!count").await?, "1");
    assert_eq!(bob.response("!count").await?, "1");
    let mut before = None;
    for _ in 0..5 {
        let agent = agent_of(&app, &ann, before).await?;
        // It counts as ended by itself only once it was ready.
        agent_is(&ann, "ready").await?;
        agent.kill()?;
        before = Some(agent.pid);
    }
    let looping = agent_is(&ann, "crash_loop").await?;
    assert!(looping["last_reason"].as_str().is_some_and(|reason| reason.contains("too often")), "{looping}");
    let refused = ann.answer("!count").await?;
    assert_eq!((&refused["state"], &refused["error_code"]), (&json!("failed"), &json!("agent_crash_loop")));
    assert_eq!(app.agents()?, 1, "it is not started again");
    assert_eq!(bob.response("!count").await?, "2", "nobody else notices");

    ann.reset().await?;
    assert_eq!(ann.response("!count").await?, "1");
    assert_eq!(session(&ann).await?["agent"], "ready");
    Ok(())
}

#[tokio::test]
async fn an_agent_that_nobody_needs_is_ended_and_comes_back_with_the_next_turn() -> Tested {
    let app = TestApp::with(&[("PALIADIN_AGENT__IDLE_TIMEOUT", "300ms")]).await?;
    let user = app.user("ann@example.org")?;
    // It is at work for longer than it may idle.
    assert_eq!(user.response("!sleep 1").await?, "slept 1");
    let idle = eventually("the agent to be ended", async || {
        let session = session(&user).await?;
        Ok(Some(session).filter(|session| !session["last_exit"].is_null()))
    })
    .await?;
    let reason = "the agent was ended because nobody had needed it for a while";
    assert_eq!((&idle["last_exit"]["reason"], &idle["agent"]), (&json!(reason), &json!("ended")));
    assert_eq!(app.agents()?, 0);
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn so_is_one_that_was_given_up_and_says_nothing_more() -> Tested {
    let settings = [
        ("PALIADIN_AGENT__IDLE_TIMEOUT", "1s"),
        ("PALIADIN_TURN__SILENCE_TIMEOUT", "1s"),
        ("PALIADIN_TURN__DRAIN_TIMEOUT", "100ms"),
    ];
    let app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.answer("!hang").await?["error_code"], "upstream_silence");
    let idle = eventually("the agent to be ended", async || {
        Ok(Some(session(&user).await?).filter(|session| !session["last_exit"].is_null()))
    })
    .await?;
    let reason = "the agent was ended because nobody had needed it for a while";
    assert_eq!(idle["last_exit"]["reason"], reason);
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn but_not_one_that_goes_on_to_say_something() -> Tested {
    let settings = [
        ("PALIADIN_AGENT__IDLE_TIMEOUT", "3s"),
        ("PALIADIN_TURN__DEADLINE", "1s"),
        ("PALIADIN_TURN__DRAIN_TIMEOUT", "100ms"),
    ];
    let app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 60 100").await?;
    assert_eq!(user.ended(&turn).await?["error_code"], "timeout");
    let late = eventually("the late answer", async || {
        Ok(Some(user.turn(&turn.turn_id).await?).filter(|row| row["late"] == true))
    })
    .await?;
    assert!(late["response"].as_str().is_some_and(|answer| answer.trim_end().ends_with("line 60")), "{late}");
    Ok(())
}

#[tokio::test]
async fn agents_that_were_left_are_kept_from_the_start_on() -> Tested {
    let mut app = TestApp::with(&[QUICK]).await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    let left = agent_of(&app, &user, None).await?;
    app.restart(Signal::TERM).await?;
    // Nobody has asked it anything since.
    let taken = agent_is(&user, "ready").await?;
    assert_eq!((&taken["last_reason"], &taken["restarts"]), (&json!("agent taken over, with its memory"), &json!(0)));
    left.kill()?;
    agent_of(&app, &user, Some(left.pid)).await?;
    let again = agent_is(&user, "ready").await?;
    assert_eq!(again["restarts"], 1, "{again}");
    assert_eq!(user.response("!count").await?, "1");
    Ok(())
}

#[tokio::test]
async fn agents_that_were_left_idle_no_longer_than_others() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    app.set("PALIADIN_AGENT__IDLE_TIMEOUT", "300ms");
    app.restart(Signal::TERM).await?;
    let idle = eventually("the agent to be ended", async || {
        Ok(Some(session(&user).await?).filter(|session| !session["last_exit"].is_null()))
    })
    .await?;
    let reason = "the agent was ended because nobody had needed it for a while";
    assert_eq!(idle["last_exit"]["reason"], reason);
    assert_eq!(app.agents()?, 0);
    Ok(())
}

/// What the health actor says that it does.
async fn probes(admin: &Client) -> Tested<u64> {
    let actors = admin.actors().await?;
    let health = actors.iter().find(|actor| actor["path"] == "root/health").ok_or("no health actor")?;
    let note = health["note"].as_str().unwrap_or_default();
    let count = note.rsplit(", ").next().and_then(|words| words.split(' ').next()).unwrap_or_default();
    Ok(if note.is_empty() { 0 } else { count.parse().map_err(|_| format!("{note:?}"))? })
}

#[tokio::test]
async fn health_is_asked_once_in_a_while_and_again_when_something_happened() -> Tested {
    let app = TestApp::with(&[QUICK]).await?;
    let (admin, user) = (app.owner()?, app.user("ann@example.org")?);
    for _ in 0..3 {
        user.response("!echo x").await?;
    }
    assert_eq!(probes(&admin).await?, 1, "what was found holds");
    user.reset().await?;
    user.response("!echo x").await?;
    assert_eq!(probes(&admin).await?, 2, "a reset that ended the agent");
    let agent = agent_of(&app, &user, None).await?;
    agent.kill()?;
    let next = agent_of(&app, &user, Some(agent.pid)).await?;
    agent_is(&user, "ready").await?;
    user.response("!echo x").await?;
    assert_eq!(probes(&admin).await?, 3, "the agent's end");
    assert_eq!(user.answer("!big 2097152").await?["error_code"], "response_too_large");
    user.response("!echo x").await?;
    assert_eq!(app.process(Process::is_agent)?.pid, next.pid, "it has not ended");
    assert_eq!(probes(&admin).await?, 4, "a turn that failed");
    Ok(())
}

#[tokio::test]
async fn nothing_is_typed_where_no_agent_can_be_had() -> Tested {
    let app = TestApp::with(&[("PALIADIN_HEALTH__TIMEOUT", "1s")]).await?;
    let user = app.user("ann@example.org")?;
    user.response("!echo x").await?;
    user.reset().await?;
    let server = app.process(Process::is_tmux_server)?;
    let pid = rustix::process::Pid::from_raw(server.pid).ok_or("no process")?;
    rustix::process::kill_process(pid, Signal::STOP)?;
    let turns = [user.ask("!echo one").await?, user.ask("!echo two").await?];
    for turn in &turns {
        let row = user.ended(turn).await?;
        assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("tmux_unavailable")));
        assert!(row["started_at"].is_null());
    }
    rustix::process::kill_process(pid, Signal::CONT)?;
    for turn in &turns {
        assert_eq!(app.typed(&turn.turn_id)?.len(), 0);
    }
    assert_eq!(user.response("!echo three").await?, "three");
    Ok(())
}
