//! Turns that their user ends: waiting, starting, running, over.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::random::Random;
use crate::harness::sse::{assert_same, held, kinds};
use crate::harness::{Accepted, Event, TestApp, Tested, eventually};

/// Long enough for a busy machine, and far below every timeout of the product.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Turns of the storm.
const STORM: usize = 60;

fn assert_cancelled(events: &[Event], row: &Value) {
    let last = &events[events.len() - 1];
    assert_eq!((last.kind.as_str(), &last.data["code"]), ("error", &json!("cancelled")), "{}", last.raw);
    assert_eq!(last.data["retryable"], false, "{}", last.raw);
    assert_eq!((&row["state"], &row["response"]), (&json!("cancelled"), &Value::Null), "{row}");
    assert_eq!(held(events), row["partial"].as_str().unwrap_or_default(), "{row}");
}

#[tokio::test]
async fn a_turn_that_waits_is_over_at_once_and_those_behind_move_up() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!hang").await?;
    app.typed_once(&running.turn_id).await?;
    let mut waiting = Vec::new();
    for number in 1..=4 {
        waiting.push(user.ask(&format!("!echo {number}")).await?);
    }
    let mut last = user.stream(&waiting[3], None).await?;
    assert_eq!(last.until("queued").await?.data["position"], 4);
    user.cancelled(&waiting[1]).await?;
    assert_eq!(user.turn(&waiting[1].turn_id).await?["state"], "cancelled", "when it is answered, it is recorded");
    assert_eq!(last.until("queued").await?.data["position"], 3);
    let events = user.collect(&waiting[1]).await?;
    assert_eq!(kinds(&events), ["queued", "error"]);
    assert_cancelled(&events, &user.turn(&waiting[1].turn_id).await?);
    let queued = user.status().await?["agent_session"]["queued"].clone();
    assert_eq!(queued, json!([waiting[0].turn_id, waiting[2].turn_id, waiting[3].turn_id]));

    // The one before it was told nothing.
    user.cancelled(&running).await?;
    let first = user.collect(&waiting[0]).await?;
    assert_eq!(kinds(&first), ["queued", "meta", "content", "end"]);
    assert_eq!(user.ended(&waiting[3]).await?["response"], "4");
    assert_eq!(app.typed(&waiting[1].turn_id)?.len(), 0);
    assert_eq!(app.audited("turn.cancel", &waiting[1].turn_id).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_running_turn_keeps_what_was_said_and_the_agent_goes_on_with_the_next() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 1000 20").await?;
    let next = user.ask("!count").await?;
    let mut stream = user.stream(&turn, None).await?;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(stream.until("content").await?);
    }
    let since = Instant::now();
    user.cancelled(&turn).await?;
    events.extend(stream.rest().await?);
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    let row = user.turn(&turn.turn_id).await?;
    assert_cancelled(&events, &row);
    assert!(row["partial"].as_str().is_some_and(|partial| partial.starts_with("line 1\nline 2\n")), "{row}");
    assert_eq!(user.ended(&next).await?["response"], "2", "the same agent, interrupted");
    let left: Vec<_> =
        fs::read_dir(app.spool()?.join("out"))?.map(|file| Ok(file?.file_name())).collect::<Tested<_>>()?;
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(&turn.turn_id)), "{left:?}");
    for turn in [&turn, &next] {
        assert_eq!(app.typed(&turn.turn_id)?.len(), 1);
    }
    assert_same(&user.collect(&turn).await?, &user.collect(&turn).await?);
    assert_eq!(user.turn(&turn.turn_id).await?, row);
    assert_eq!(app.audited("turn.cancel", &turn.turn_id).await?, 1);
    Ok(())
}

#[tokio::test]
async fn cancelling_again_or_what_is_over_changes_nothing() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let done = user.ask("!echo done").await?;
    let row = user.ended(&done).await?;
    user.cancelled(&done).await?;
    assert_eq!(user.turn(&done.turn_id).await?, row);
    let hanging = user.ask("!hang").await?;
    let waiting = user.ask("!echo waited").await?;
    app.typed_once(&hanging.turn_id).await?;
    for turn in [&waiting, &hanging] {
        let three = tokio::join!(user.cancelled(turn), user.cancelled(turn), user.cancelled(turn));
        for answer in [three.0, three.1, three.2] {
            answer?;
        }
        let events = user.collect(turn).await?;
        let row = user.turn(&turn.turn_id).await?;
        assert_cancelled(&events, &row);
        user.cancelled(turn).await?;
        assert_eq!(user.turn(&turn.turn_id).await?, row);
        assert_same(&user.collect(turn).await?, &events);
    }
    assert_eq!(user.response("!count").await?, "3");
    for turn in [&waiting, &hanging] {
        assert_eq!(app.audited("turn.cancel", &turn.turn_id).await?, 1, "it was cancelled once");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_else_can_cancel_a_turn() -> Tested {
    let app = TestApp::start().await?;
    let (user, other, admin) = (app.user("ann@example.org")?, app.user("bob@example.org")?, app.owner()?);
    let turn = user.ask("!hang").await?;
    app.typed_once(&turn.turn_id).await?;
    for stranger in [&other, &admin] {
        let mut refused = stranger.cancel(&turn.turn_id).await?;
        assert_eq!((refused.status, refused.problem().await?.as_str()), (404, "not_found"));
    }
    assert_eq!(user.cancel("x").await?.status, 404);
    assert_eq!(user.turn(&turn.turn_id).await?["state"], "running");
    user.cancelled(&turn).await?;
    assert_eq!(user.ended(&turn).await?["state"], "cancelled");
    Ok(())
}

#[tokio::test]
async fn a_turn_whose_agent_is_still_starting_can_be_cancelled() -> Tested {
    let mut app = TestApp::prepare(&[])?;
    let go = app.root().join("go");
    app.agent_after(&format!("until [ -e {} ]; do sleep 0.02; done", go.display()))?;
    app.boot().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!echo never").await?;
    eventually("the turn to be started", async || {
        let running = user.status().await?["agent_session"]["running"].clone();
        Ok((running == turn.turn_id.as_str()).then_some(()))
    })
    .await?;
    let next = user.ask("!count").await?;
    let since = Instant::now();
    user.cancelled(&turn).await?;
    let events = user.collect(&turn).await?;
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert_cancelled(&events, &user.turn(&turn.turn_id).await?);
    fs::write(go, "")?;
    assert_eq!(user.ended(&next).await?["response"], "1");
    assert_eq!(app.typed(&turn.turn_id)?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn without_a_database_a_turn_that_waits_is_cancelled_later() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!hang").await?;
    app.typed_once(&running.turn_id).await?;
    let waiting = user.ask("!echo waited").await?;
    let mut database = app.database().await?;
    database.lock().await?;
    let mut refused = user.cancel(&waiting.turn_id).await?;
    assert_eq!((refused.status, refused.problem().await?.as_str()), (503, "store_unavailable"));
    // The agent is told nothing before the record says so; then it is.
    user.cancelled(&running).await?;
    assert_eq!(user.status().await?["agent_session"]["running"], running.turn_id.as_str());
    database.unlock().await?;
    for turn in [&running, &waiting] {
        assert_eq!(user.ended(turn).await?["state"], "cancelled");
    }
    assert_eq!(app.typed(&waiting.turn_id)?.len(), 0);
    assert_eq!(user.response("!count").await?, "2");
    Ok(())
}

/// Asks and cancels at random moments: while turns wait, are started, are typed, run, end. Sometimes with a reset.
#[tokio::test]
async fn a_storm_of_cancels_leaves_every_turn_in_a_true_state() -> Tested {
    let app = TestApp::with(&[("PALIADIN_TURN__QUEUE_LIMIT", "1000")]).await?;
    let user = app.user("ann@example.org")?;
    let mut random = Random::seeded()?;
    let mut turns: Vec<Accepted> = Vec::new();
    let mut cancels = tokio::task::JoinSet::new();
    for number in 0..STORM {
        let message = match random.below(0..4) {
            0 => "!hang".to_owned(),
            1 => "!lines 3 5".to_owned(),
            2 => "!sleep 0.02".to_owned(),
            _ => format!("!echo {number}"),
        };
        let turn = user.ask(&message).await?;
        turns.push(turn.clone());
        // What hangs has to be cancelled some time; of the rest, most.
        if message == "!hang" || random.below(0..4) > 0 {
            let longest = [1_000, 20_000, 300_000][random.below(0..3) as usize];
            let (user, wait) = (user.clone(), Duration::from_micros(random.below(0..longest)));
            cancels.spawn(async move {
                tokio::time::sleep(wait).await;
                user.cancelled(&turn).await
            });
        }
        match random.below(0..30) {
            0 => drop(user.reset().await?),
            // The next one is started at once.
            1..15 => drop(user.collect(&turns[turns.len() - 1]).await?),
            _ => {}
        }
    }
    for done in cancels.join_all().await {
        done?;
    }
    let mut database = app.database().await?;
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for turn in &turns {
        let events = user.collect(turn).await?;
        let row = user.turn(&turn.turn_id).await?;
        let last = &events[events.len() - 1];
        let state = row["state"].as_str().unwrap_or_default();
        let told = match state {
            "done" => last.kind == "end",
            "cancelled" => last.data["code"] == "cancelled",
            "failed" => last.data["code"] == row["error_code"] && last.data["code"] == "session_reset",
            _ => false,
        };
        assert!(told, "{row} {}", last.raw);
        let text = if state == "done" { &row["response"] } else { &row["partial"] };
        assert_eq!(held(&events), text.as_str().unwrap_or_default(), "{row}");
        let intended = "SELECT count(delivering_at) FROM paliadin_turns WHERE turn_id = ?1";
        let intended = database.value(intended, &[&turn.turn_id]).await? == "1";
        let typed = app.typed(&turn.turn_id)?.len();
        assert!(typed <= usize::from(intended), "typed {typed} times, intended: {intended}: {row}");
        *counts.entry(format!("{state}, typed: {typed}")).or_default() += 1;
    }
    println!("{counts:?}");
    user.session_is("idle").await?;
    let session = user.status().await?["agent_session"].clone();
    assert_eq!((&session["queued"], &session["running"]), (&json!([]), &Value::Null), "{session}");
    assert!(user.response("!count").await?.parse::<u32>().is_ok());
    Ok(())
}
