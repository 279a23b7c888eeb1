//! What a turn is doing is told when it changes, and not only from time to time.

use crate::harness::{Event, TestApp, Tested};

const NEVER: (&str, &str) = ("PALIADIN_STREAM__THINKING", "1h");

/// What each `thinking` of these tells: where the turn is, and what it does.
fn told(events: &[Event]) -> Vec<(&str, Option<&str>)> {
    let thinking = events.iter().filter(|event| event.kind == "thinking");
    thinking
        .map(|event| (event.data["upstream"].as_str().unwrap_or_default(), event.data["activity"].as_str()))
        .collect()
}

#[tokio::test]
async fn an_activity_is_told_at_once() -> Tested {
    let app = TestApp::with(&[NEVER]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("What can you do?").await?;
    let events = user.collect(&turn).await?;
    let told = told(&events);
    assert!(told.contains(&("answering", Some("Writing the demo answer"))), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "nothing is told twice: {told:?}");
    assert!(events.iter().filter(|event| event.kind == "thinking").all(|event| event.id.is_none()));

    let lines = user.ask("!lines 200 5").await?;
    let mut stream = user.stream(&lines, None).await?;
    let mut events = vec![stream.until("content").await?];
    events.extend(stream.rest().await?);
    let pieces = events.iter().filter(|event| event.kind == "content").count();
    let told = self::told(&events);
    assert!(pieces > 20 && told.len() <= 1, "{pieces} pieces, and not one for each: {told:?}");
    Ok(())
}

#[tokio::test]
async fn the_wait_for_a_person_and_its_end_are_told_at_once() -> Tested {
    let app = TestApp::with(&[NEVER]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!ask Well?").await?;
    let mut stream = user.stream(&turn, None).await?;
    let asked = stream.until("attention").await?.id.unwrap_or_default();
    let waits = stream.until("thinking").await?;
    assert_eq!(waits.data["upstream"], "attention");

    // Whoever comes later is told after what has happened.
    let mut late = user.stream(&turn, None).await?;
    late.until("attention").await?;
    assert_eq!(late.next().await?.map(|event| event.data["upstream"].clone()), Some(waits.data["upstream"].clone()));
    let mut resumed = user.stream(&turn, stream.last_id.as_deref()).await?;
    assert_eq!(resumed.next().await?.map(|event| event.data["upstream"].clone()), Some(waits.data["upstream"].clone()));

    // The demo agent answers in the same moment; so its report of going on comes from here.
    let over = format!("{{\"at\":1,\"event\":\"attention_over\",\"turn_id\":\"{}\"}}\n", turn.turn_id);
    let mut reports = std::fs::File::options().append(true).open(app.spool()?.join("out/events.jsonl"))?;
    std::io::Write::write_all(&mut reports, over.as_bytes())?;
    for stream in [&mut stream, &mut late, &mut resumed] {
        assert_eq!(stream.until("thinking").await?.data["upstream"], "working");
    }
    let (status, code) = user.reply(&turn, &asked, "too late").await?;
    assert_eq!((status, code.as_str()), (409, "no_attention"));
    user.cancelled(&turn).await?;
    Ok(())
}

#[tokio::test]
async fn a_reader_that_comes_while_nothing_special_is_done_is_told_nothing() -> Tested {
    let app = TestApp::with(&[NEVER, ("PALIADIN_STREAM__PING", "100ms")]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    user.stream(&turn, None).await?.until("meta").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("meta").await?;
    assert_eq!(stream.next().await?.map(|event| event.kind), Some("ping".to_owned()));
    user.cancelled(&turn).await?;
    Ok(())
}

#[tokio::test]
async fn nobody_is_waited_for_once_the_end_is_decided_though_it_is_not_recorded_yet() -> Tested {
    let app = TestApp::with(&[NEVER]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!ask Well?").await?;
    let mut stream = user.stream(&turn, None).await?;
    stream.until("attention").await?;
    assert_eq!(stream.until("thinking").await?.data["upstream"], "attention");
    app.arm_hold("answer.before_commit")?;
    user.cancelled(&turn).await?;
    app.held("answer.before_commit").await?;
    assert_eq!(stream.until("thinking").await?.data["upstream"], "working");
    app.release("answer.before_commit")?;
    assert_eq!(stream.until("error").await?.data["code"], "cancelled");
    Ok(())
}

#[tokio::test]
async fn a_client_whose_events_were_lost_is_told_the_open_question_again() -> Tested {
    let app = TestApp::with(&[NEVER]).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!ask Well?").await?;
    let asked = user.stream(&turn, None).await?.until("attention").await?;
    let mut stream = user.stream(&turn, Some("1-99")).await?;
    let resync = stream.until("resync").await?;
    assert!(resync.id < asked.id, "{:?} before {:?}", resync.id, asked.id);
    let again = stream.until("attention").await?;
    assert_eq!((&again.id, &again.data), (&asked.id, &asked.data));
    assert_eq!(stream.until("thinking").await?.data["upstream"], "attention");
    user.cancelled(&turn).await
}
