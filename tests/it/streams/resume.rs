//! Streams that are taken up again.

use crate::harness::http::Request;
use crate::harness::random::Random;
use crate::harness::sse::{assert_same, held, kinds};
use crate::harness::{Accepted, Client, Event, EventStream, TestApp, Tested};

/// Cuts in all.
const CUTS: usize = 100;

/// The stream after this event, asked for by the header or by the query.
fn after(user: &Client, turn: &Accepted, id: &str, by_header: bool) -> Request {
    if by_header {
        user.request("GET", &turn.sse_url).header("last-event-id", id)
    } else {
        user.request("GET", &format!("{}?last_event_id={id}", turn.sse_url))
    }
}

/// Reads a turn with a connection that is dropped after a random event, again and again.
async fn read_in_pieces(user: &Client, turn: &Accepted, random: &mut Random, cuts: &mut usize) -> Tested<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    let mut last = String::new();
    loop {
        let request = match last.as_str() {
            "" => user.request("GET", &turn.sse_url),
            id => after(user, turn, id, cuts.is_multiple_of(2)),
        };
        let mut stream: EventStream = Client::opened(request).await?;
        for _ in 0..random.below(1..5) {
            let event = stream.next().await?.ok_or("the stream ended without a final event")?;
            let is_final = event.is_final();
            if let Some(id) = &event.id {
                last.clone_from(id);
            }
            events.push(event);
            if is_final {
                return Ok(events);
            }
        }
        *cuts += 1;
    }
}

#[tokio::test]
async fn after_a_hundred_random_cuts_every_event_was_seen_once() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let mut random = Random::seeded()?;
    let mut cuts = 0;
    while cuts < CUTS {
        let turn = user.ask("!lines 150 10").await?;
        let (whole, pieces) = tokio::join!(user.collect(&turn), read_in_pieces(&user, &turn, &mut random, &mut cuts));
        let (whole, pieces) = (whole?, pieces?);
        assert_same(&pieces, &whole);
        assert_eq!(held(&pieces).lines().count(), 150);
    }
    println!("{cuts} cuts");
    Ok(())
}

#[tokio::test]
async fn nothing_follows_the_end() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 5 10").await?;
    let mut events = user.collect(&turn).await?;
    events.retain(|event| event.id.is_some());
    let ids: Vec<&str> = events.iter().filter_map(|event| event.id.as_deref()).collect();
    for by_header in [true, false] {
        let mut over = after(&user, &turn, ids[ids.len() - 1], by_header).send().await?;
        assert_eq!((over.status, over.text().await?.as_str()), (204, ""));
        for (seen, id) in ids[..ids.len() - 1].iter().enumerate() {
            let rest = Client::opened(after(&user, &turn, id, by_header)).await?.rest().await?;
            assert_same(&rest, &events[seen + 1..]);
        }
    }
    let query = format!("{}?last_event_id={}", turn.sse_url, ids[ids.len() - 1]);
    let both = user.request("GET", &query).header("last-event-id", ids[0]);
    assert_eq!(Client::opened(both).await?.rest().await?.len(), ids.len() - 1, "the header is the newer word");
    Ok(())
}

#[tokio::test]
async fn an_unknown_id_is_answered_by_the_whole_text() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let unknown = ["garbage", "0-99", "99-1", "1-", "-1", "1-1-1", "99999999999999999999-1", "%00", "1-1%20"];
    let turn = user.ask("!lines 30 40").await?;
    let mut first = user.stream(&turn, None).await?;
    for _ in 0..3 {
        first.until("content").await?;
    }
    let mut live = Vec::new();
    for id in unknown {
        live.push(Client::opened(after(&user, &turn, id, false)).await?);
    }
    for (id, stream) in unknown.iter().zip(&mut live) {
        let events = stream.rest().await?;
        let kinds = kinds(&events);
        assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("resync", "end"), "{id}: {kinds:?}");
        assert!(kinds[1..kinds.len() - 1].iter().all(|kind| *kind == "content"), "{id}: {kinds:?}");
        assert!(events[0].piece().starts_with("line 1\nline 2"), "{id}: {}", events[0].raw);
        assert_eq!(held(&events).lines().count(), 30, "{id}");
    }
    first.rest().await?;
    for id in unknown {
        for by_header in [true, false] {
            let events = Client::opened(after(&user, &turn, id, by_header)).await?.rest().await?;
            assert_eq!(kinds(&events), ["resync", "end"], "{id}");
            assert_eq!(held(&events).lines().count(), 30, "{id}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_resync_can_be_resumed_from() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 30 40").await?;
    let mut first = user.stream(&turn, None).await?;
    first.until("content").await?;
    let mut stream = user.stream(&turn, Some("7-7")).await?;
    let mut events = vec![stream.until("resync").await?];
    events.push(stream.until("content").await?);
    let last = stream.last_id.clone().ok_or("no id")?;
    drop(stream);
    events.extend(user.stream(&turn, Some(&last)).await?.rest().await?);
    let answer: String = (1..=30).map(|line| format!("line {line}\n")).collect();
    assert_eq!(held(&events), answer);
    let resync = events[0].id.clone().ok_or("a resync without an id")?;
    let rest = user.stream(&turn, Some(&resync)).await?.rest().await?;
    assert_same(&rest, &events[1..]);
    Ok(())
}
