//! Whatever fails, fails alone.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::processes::Process;
use crate::harness::sse::kinds;
use crate::harness::{Client, TestApp, Tested};

/// How long an answer about a session may take on a busy machine; a turn that it waited for would run for ever.
const SOON: Duration = Duration::from_secs(1);

/// Every actor that is no turn: where it is, since when it runs, and how often it was restarted.
async fn standing(admin: &Client) -> Tested<Vec<(Value, Value, Value)>> {
    let mut actors = admin.actors().await?;
    actors.retain(|actor| actor["kind"] != "turn");
    Ok(actors.iter().map(|actor| (actor["path"].clone(), actor["since"].clone(), actor["restarts"].clone())).collect())
}

/// A panic at this point, in a turn with this question: what its final event and row say. The rest must stand as before.
async fn after_panic_at(point: &str, question: &str) -> Tested<(Value, Value)> {
    let app = TestApp::start().await?;
    let (admin, user, other) = (app.owner()?, app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(user.response("!count").await?, "1");
    assert_eq!(other.response("!count").await?, "1");
    let before = standing(&admin).await?;
    assert!(before.iter().all(|(_, _, restarts)| *restarts == 0), "{before:?}");
    let beside = other.ask("!lines 10 50").await?;
    other.stream(&beside, None).await?.until("content").await?;

    app.arm(point)?;
    let turn = user.ask(question).await?;
    let next = user.ask("!echo next").await?;
    let events = user.collect(&turn).await?;
    assert!(!app.is_armed(point), "{point} was not passed");
    let row = user.turn(&turn.turn_id).await?;
    let next = user.ended(&next).await?;
    assert_eq!(next["response"], "next", "after {point}: {next}");
    assert_eq!(other.ended(&beside).await?["state"], "done");
    assert_eq!(standing(&admin).await?, before, "nobody was restarted, and nobody else is there");
    assert!(app.typed(&turn.turn_id)?.len() <= 1);
    let replayed = user.collect(&turn).await?;
    let last = &replayed[replayed.len() - 1];
    // The agent may have answered all the same.
    assert!(last.raw == events[events.len() - 1].raw || last.data["late"] == json!(true), "{}", last.raw);
    Ok((events[events.len() - 1].data.clone(), row))
}

async fn fails_upstream(point: &str) -> Tested {
    let (ending, row) = after_panic_at(point, "!lines 500 20").await?;
    assert_eq!((&ending["code"], &ending["retryable"]), (&json!("upstream_error"), &json!(true)), "{point}: {ending}");
    let ended = (&row["state"], &row["error_code"], &row["late"]);
    let failed = ended == (&json!("failed"), &json!("upstream_error"), &json!(false));
    assert!(failed || ended == (&json!("done"), &Value::Null, &json!(true)), "{point}: {row}");
    Ok(())
}

#[tokio::test]
async fn a_panic_before_the_claim_fails_that_turn_only() -> Tested {
    fails_upstream("turn.ready").await
}

#[tokio::test]
async fn a_panic_after_the_claim_fails_that_turn_only() -> Tested {
    fails_upstream("turn.claimed").await
}

#[tokio::test]
async fn a_panic_after_typing_fails_that_turn_only() -> Tested {
    fails_upstream("backend.typed").await
}

#[tokio::test]
async fn a_panic_while_the_agent_answers_fails_that_turn_only() -> Tested {
    fails_upstream("turn.confirmed").await
}

#[tokio::test]
async fn a_panic_after_the_end_was_committed_changes_nothing() -> Tested {
    let (ending, row) = after_panic_at("turn.committed", "!lines 3 10").await?;
    assert_eq!((&row["state"], &row["response"]), (&json!("done"), &json!("line 1\nline 2\nline 3\n")), "{row}");
    assert_eq!(ending["turn_id"], row["turn_id"], "who follows is told of the end: {ending}");
    Ok(())
}

#[tokio::test]
async fn the_control_client_may_be_killed_in_mid_turn() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 30 50").await?;
    let next = user.ask("!count").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    app.process(Process::is_tmux_client)?.kill()?;
    stream.rest().await?;
    let row = user.turn(&turn.turn_id).await?;
    assert_eq!((&row["state"], row["response"].as_str().map(|text| text.lines().count())), (&json!("done"), Some(30)));
    assert_eq!(user.ended(&next).await?["response"], "2", "the same agent, through a new client");
    // And again while nothing runs.
    app.process(Process::is_tmux_client)?.kill()?;
    assert_eq!(user.response("!count").await?, "3");
    Ok(())
}

#[tokio::test]
async fn the_tmux_server_may_be_killed_in_mid_turn() -> Tested {
    let app = TestApp::start().await?;
    let users = [app.user("ann@example.org")?, app.user("bob@example.org")?];
    let mut streams = Vec::new();
    for user in &users {
        let turn = user.ask("!lines 1000 20").await?;
        let mut stream = user.stream(&turn, None).await?;
        stream.until("content").await?;
        streams.push((turn, stream));
    }
    let since = Instant::now();
    app.process(Process::is_tmux_server)?.kill()?;
    for (user, (turn, stream)) in users.iter().zip(&mut streams) {
        let events = stream.rest().await?;
        assert_eq!(events[events.len() - 1].data["code"], "agent_died", "after {:?}", since.elapsed());
        assert_eq!(user.turn(&turn.turn_id).await?["error_code"], "agent_died");
    }
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let (one, two) = tokio::join!(users[0].response("!count"), users[1].response("!count"));
    assert_eq!((one?, two?), ("1".to_owned(), "1".to_owned()), "both have a new agent");
    Ok(())
}

#[tokio::test]
async fn a_session_answers_while_a_turn_runs() -> Tested {
    let app = TestApp::start().await?;
    let (admin, user) = (app.owner()?, app.user("ann@example.org")?);
    let turn = user.ask("!lines 1000 20").await?;
    let waiting = user.ask("!hang").await?;
    user.stream(&turn, None).await?.until("content").await?;
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let since = Instant::now();
        let status = user.status().await?;
        slowest = slowest.max(since.elapsed());
        let session = &status["agent_session"];
        assert_eq!((&session["state"], &session["running"]), (&json!("running"), &json!(turn.turn_id)), "{status}");
        assert_eq!(session["queued"], json!([waiting.turn_id]), "{status}");
    }
    println!("slowest of 50: {slowest:?}");
    assert!(slowest < SOON, "{slowest:?}");
    let actors = admin.actors().await?;
    let of_kind = |kind: &str| actors.iter().filter(|actor| actor["kind"] == kind).count();
    for (kind, count) in [("recorder", 1), ("sessions", 1), ("session", 1), ("pane", 1), ("turn", 1)] {
        assert_eq!(of_kind(kind), count, "{kind}: {actors:?}");
    }
    let path = |kind: &str| actors.iter().find(|actor| actor["kind"] == kind).map(|actor| actor["path"].clone());
    let session = path("session").and_then(|path| path.as_str().map(str::to_owned)).unwrap_or_default();
    assert_eq!(path("turn"), Some(json!(format!("{session}/turn:{}", turn.turn_id))));
    user.reset().await?;
    Ok(())
}

/// How often the actor of this kind was started again.
async fn restarts(admin: &Client, kind: &str) -> Tested<Value> {
    let actors = admin.actors().await?;
    let actor = actors.iter().find(|actor| actor["kind"] == kind).ok_or_else(|| format!("no {kind}"))?;
    Ok(actor["restarts"].clone())
}

#[tokio::test]
async fn a_session_whose_actor_panics_comes_back_under_the_next_epoch() -> Tested {
    let app = TestApp::start().await?;
    let (admin, user, other) = (app.owner()?, app.user("ann@example.org")?, app.user("bob@example.org")?);
    let running = user.ask("!lines 50 30").await?;
    let waiting = user.ask("!echo waited").await?;
    let mut stream = user.stream(&running, None).await?;
    stream.until("content").await?;
    let beside = other.ask("!lines 20 50").await?;
    other.stream(&beside, None).await?.until("content").await?;

    app.arm("session.handle")?;
    // Bob's turn runs on without a message to his session; Ann's status is one.
    let _ = user.status().await;
    assert!(!app.is_armed("session.handle"));
    let row = user.ended(&running).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("done"), &Value::Null), "{row}");
    assert_eq!(row["response"].as_str().map(|text| text.lines().count()), Some(50), "{row}");
    // Whoever follows the turn does not notice.
    let events = stream.rest().await?;
    assert!(!kinds(&events).contains(&"resync"), "{events:?}");
    assert_eq!(user.ended(&waiting).await?["response"], "waited");
    assert_eq!(user.status().await?["agent_session"]["epoch"], 2);
    assert_eq!(restarts(&admin, "sessions").await?, 0);
    assert_eq!(other.ended(&beside).await?["state"], "done");
    assert_eq!(other.status().await?["agent_session"]["epoch"], 1);
    let turns = admin.actors().await?.iter().filter(|actor| actor["kind"] == "turn").count();
    assert_eq!(turns, 0, "nothing of what ended is shown");
    Ok(())
}

#[tokio::test]
async fn a_session_that_keeps_failing_ends_alone_and_a_reset_brings_it_back() -> Tested {
    let app = TestApp::start().await?;
    let (user, other) = (app.user("ann@example.org")?, app.user("bob@example.org")?);
    assert_eq!(user.response("!echo one").await?, "one");
    assert_eq!(other.response("!echo one").await?, "one");
    let refused = crate::harness::eventually("the session has failed", async || {
        app.arm("session.handle")?;
        let mut response = user.post_turn(&json!({ "user_message": "!echo two" })).await?;
        Ok(match response.status {
            202 => None,
            _ => Some(response.problem().await?).filter(|code| code == "agent_crash_loop"),
        })
    });
    refused.await?;
    // The point may still be armed: then it is the other session's message that meets it, and that session comes back.
    let _ = other.status().await;
    assert!(!app.is_armed("session.handle"));
    let session = user.status().await?["agent_session"].clone();
    assert_eq!((&session["state"], &session["agent_alive"]), (&json!("failed"), &json!(false)), "{session}");
    assert!(session["last_reason"].as_str().is_some_and(|reason| reason.contains("agent")), "{session}");
    user.reset().await?;
    assert_eq!(user.status().await?["agent_session"]["state"], "idle");
    assert_eq!(user.response("!echo three").await?, "three");
    assert_eq!(other.response("!echo four").await?, "four");
    Ok(())
}

#[tokio::test]
async fn a_recorder_that_panics_loses_no_turn() -> Tested {
    let app = TestApp::start().await?;
    let (admin, user) = (app.owner()?, app.user("ann@example.org")?);
    let turn = user.ask("!lines 20 20").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    app.arm("recorder.handle")?;
    let events = stream.rest().await?;
    assert!(!app.is_armed("recorder.handle"));
    assert!(events.last().is_some_and(|event| event.kind == "end"), "{events:?}");
    let row = user.turn(&turn.turn_id).await?;
    assert_eq!(row["response"].as_str().map(|text| text.lines().count()), Some(20));
    assert_eq!(restarts(&admin, "recorder").await?, 1);
    assert_eq!(restarts(&admin, "sessions").await?, 0);
    assert_eq!(user.response("!count").await?, "2");
    Ok(())
}

#[tokio::test]
async fn work_beside_an_actor_that_panics_fails_the_actor_and_not_the_session() -> Tested {
    let app = TestApp::start().await?;
    let (admin, user) = (app.owner()?, app.user("ann@example.org")?);
    app.arm("backend.open")?;
    let turn = user.ask("!echo lost").await?;
    let row = user.ended(&turn).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("bootstrap_failed")), "{row}");
    assert!(!app.is_armed("backend.open"));
    assert_eq!(user.response("!echo next").await?, "next");
    assert_eq!((restarts(&admin, "pane").await?, restarts(&admin, "session").await?), (json!(1), json!(0)));
    assert_eq!(user.reset().await?["ok"], true);
    Ok(())
}
