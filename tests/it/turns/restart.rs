//! What becomes of turns when the server is killed, or ended, and started again on the same state.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::sse::{kinds, replayable};
use crate::harness::{TestApp, Tested};

#[tokio::test]
async fn a_killed_server_loses_no_turn_and_types_none_twice() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let running = user.ask("!lines 1000 20").await?;
    let mut waiting = Vec::new();
    for place in 1..=3 {
        waiting.push(user.ask(&format!("!echo {place}")).await?);
    }
    let mut stream = user.stream(&running, None).await?;
    for _ in 0..5 {
        stream.until("content").await?;
    }
    let cursor = stream.last_id.clone().ok_or("no id")?;
    app.restart(Signal::KILL).await?;
    stream.drain().await?;

    let events = user.stream(&running, Some(&cursor)).await?.rest().await?;
    let row = user.turn(&running.turn_id).await?;
    assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!("uncertain")), "{row}");
    let last = &events[events.len() - 1];
    assert_eq!((last.kind.as_str(), &last.data["code"]), ("error", &json!("uncertain")));
    // What was shown may have been durable already (then nothing is repeated) or not (then it is replaced).
    assert!(kinds(&events[..events.len() - 1]).iter().all(|kind| ["content", "resync"].contains(kind)), "{events:?}");
    let id = last.id.clone().ok_or("no id")?;
    assert_eq!(user.request("GET", &running.sse_url).header("last-event-id", id).send().await?.status, 204);

    let mut finished = Vec::new();
    for (place, turn) in waiting.iter().enumerate() {
        let row = user.ended(turn).await?;
        assert_eq!(row["response"], (place + 1).to_string(), "{row}");
        finished.push(row["finished_at"].as_str().unwrap_or_default().to_owned());
        assert_eq!(app.typed(&turn.turn_id)?.len(), 1);
    }
    assert!(finished.is_sorted(), "{finished:?}");
    assert_eq!(app.typed(&running.turn_id)?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_cursor_that_was_never_durable_is_answered_by_resync() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 1000 5").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("content").await?;
    app.restart(Signal::KILL).await?;
    // As from a client that saw more than the store did.
    let ahead = stream.last_id.as_deref().and_then(|id| id.split('-').next()).map(|epoch| format!("{epoch}-100000"));
    let events = user.stream(&turn, ahead.as_deref()).await?.rest().await?;
    assert_eq!(kinds(&events), ["resync", "error"]);
    let partial = user.turn(&turn.turn_id).await?["partial"].clone();
    assert_eq!(events[0].data["text"], partial.as_str().unwrap_or_default());
    assert_eq!(user.response("!echo on").await?, "on");
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_ends_its_streams_and_goes_on_with_the_queue() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let done = user.ask("!lines 3 0").await?;
    let whole = user.collect(&done).await?;
    let running = user.ask("!hang").await?;
    let waiting = user.ask("!echo on").await?;
    let (mut one, mut two) = (user.stream(&running, None).await?, user.stream(&waiting, None).await?);
    one.until("meta").await?;
    let queued = two.until("queued").await?;
    app.restart(Signal::TERM).await?;
    for stream in [&mut one, &mut two] {
        let rest = stream.drain().await?;
        assert!(!stream.is_cut && !rest.iter().any(|event| event.is_final()), "a stream is ended, not cut: {rest:?}");
    }
    let rest = user.stream(&waiting, queued.id.as_deref()).await?.rest().await?;
    assert_eq!(kinds(&rest).first().copied(), Some("meta"), "nothing is repeated: {rest:?}");
    assert_eq!(user.turn(&waiting.turn_id).await?["response"], "on");
    assert_eq!(user.ended(&running).await?["error_code"], "uncertain");
    let again = user.collect(&done).await?;
    assert_eq!(replayable(&again), replayable(&whole), "what is over reads the same for ever");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_started_and_stopped_again_leaves_nothing() -> Tested {
    let mut app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    app.typed_once(&turn.turn_id).await?;
    app.restart(Signal::KILL).await?;
    assert_eq!(user.ended(&turn).await?["error_code"], "uncertain");
    // The agent of the killed server is still there, or not; the drop looks.
    Ok(())
}
