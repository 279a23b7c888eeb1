//! What ends a turn before its answer: the agent's death and a reset.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::processes::{Process, end};
use crate::harness::{Event, TestApp, Tested};

/// Long enough for a busy machine, and far below every timeout of the product.
const AT_ONCE: Duration = Duration::from_secs(2);

fn assert_failed(events: &[Event], row: &Value, code: &str) {
    let last = &events[events.len() - 1];
    assert_eq!((last.kind.as_str(), &last.data["code"]), ("error", &json!(code)), "{}", last.raw);
    assert!(last.data["message"].as_str().is_some_and(|message| !message.is_empty()), "{}", last.raw);
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!(code)), "{row}");
    assert_eq!(row["response"], Value::Null, "only complete answers stand there");
}

#[tokio::test]
async fn an_agent_that_exits_ends_its_turn_at_once() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.response("!count").await?, "1");
    let turn = user.ask("!die").await?;
    let next = user.ask("!count").await?;
    app.typed_once(&turn.turn_id).await?;
    let since = Instant::now();
    let events = user.collect(&turn).await?;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert_failed(&events, &user.turn(&turn.turn_id).await?, "agent_died");
    assert_eq!(user.ended(&next).await?["response"], "1", "the next turn has a new agent");
    let status = user.status().await?["agent_session"].clone();
    assert_eq!((&status["restarts"], &status["agent_alive"]), (&json!(1), &json!(true)), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_killed_agent_ends_its_turn_at_once_and_what_it_said_is_kept() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 1000 20").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    stream.until("content").await?;
    let agent = app.typed_once(&turn.turn_id).await?.pid;
    assert_eq!(app.process(Process::is_agent)?.pid, agent);
    assert!(end(agent, rustix::process::Signal::KILL)?);
    let since = Instant::now();
    let events = stream.rest().await?;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    let row = user.turn(&turn.turn_id).await?;
    assert_failed(&events, &row, "agent_died");
    assert!(row["partial"].as_str().is_some_and(|partial| partial.starts_with("line 1\nline 2")), "{row}");
    assert_eq!(user.response("!count").await?, "1", "the next turn has a new agent");
    Ok(())
}

#[tokio::test]
async fn a_reset_ends_every_turn_and_the_agent() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let other = app.user("bob@example.org")?;
    let beside = other.ask("!lines 20 50").await?;
    let running = user.ask("!lines 1000 20").await?;
    let waiting = [user.ask("!echo 1").await?, user.ask("!echo 2").await?];
    let mut stream = user.stream(&running, None).await?;
    stream.until("content").await?;
    let agent = app.typed_once(&running.turn_id).await?.pid;
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert!(!app.processes()?.iter().any(|process| process.pid == agent), "the agent is gone when reset answers");
    assert_failed(&stream.rest().await?, &user.turn(&running.turn_id).await?, "session_reset");
    for turn in &waiting {
        let events = user.collect(turn).await?;
        assert_failed(&events, &user.turn(&turn.turn_id).await?, "session_reset");
        assert_eq!(app.typed(&turn.turn_id)?.len(), 0);
    }
    assert_eq!(user.response("!count").await?, "1", "the next turn has a new agent");
    assert_eq!(other.ended(&beside).await?["state"], "done", "another user does not notice");
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert_eq!(user.reset().await?, json!({ "ok": true }), "there may be nothing to reset");
    Ok(())
}

#[tokio::test]
async fn a_reset_before_any_turn_is_fine() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    assert_eq!(user.status().await?["agent_session"], Value::Null);
    assert_eq!(user.reset().await?, json!({ "ok": true }));
    assert_eq!(user.response("!echo x").await?, "x");
    Ok(())
}
