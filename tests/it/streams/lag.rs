//! Clients that do not read, and answers that are large.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use crate::harness::sse::{assert_same, held, kinds};
use crate::harness::{Client, Event, EventStream, TestApp, Tested};

/// What the system takes for a client that does not read is out of our hands: up to about 4.5 MiB. So the answers here
/// have much more.
const PIECES: usize = 60;
const PIECE: usize = 200_000;

/// A turn whose answer the test writes in the agent's place, piece by piece, each after a reader has the one before.
struct Told {
    events: Vec<Event>,
    slow: EventStream,
}

async fn tell(app: &TestApp, user: &Client) -> Tested<(crate::harness::Accepted, Told)> {
    let turn = user.ask("!hang").await?;
    let mut fast = user.stream(&turn, None).await?;
    let mut events = vec![fast.until("queued").await?, fast.until("meta").await?];
    let slow = Client::opened(user.request("GET", &turn.sse_url)).await?;
    let out = app.spool()?.join("out");
    let mut part = File::options().append(true).create(true).open(out.join(format!("{}.part", turn.turn_id)))?;
    let mut answer = String::new();
    for number in 0..PIECES {
        let piece = format!("{number} {}.", "x".repeat(PIECE));
        part.write_all(piece.as_bytes())?;
        answer.push_str(&piece);
        while held(&events).len() < answer.len() {
            events.push(fast.until("content").await?);
        }
    }
    fs::write(out.join(".whole"), &answer)?;
    fs::rename(out.join(".whole"), out.join(format!("{}.txt", turn.turn_id)))?;
    events.extend(fast.rest().await?);
    assert!(held(&events) == answer);
    Ok((turn, Told { events, slow }))
}

#[tokio::test]
async fn a_slow_reader_is_dropped_without_slowing_the_turn_and_can_resume() -> Tested {
    let settings = [("PALIADIN_SERVER__WRITE_TIMEOUT", "10min"), ("PALIADIN_TURN__MAX_RESPONSE", "67108864")];
    let app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    let (turn, Told { events, mut slow }) = tell(&app, &user).await?;
    let mut pieces = slow.drain().await?;
    assert!(pieces.len() < events.len() && !kinds(&pieces).contains(&"end"), "it was not dropped");
    pieces.extend(user.stream(&turn, slow.last_id.as_deref()).await?.rest().await?);
    assert_same(&pieces, &events);
    Ok(())
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_and_can_resume() -> Tested {
    let settings = [
        ("PALIADIN_SERVER__WRITE_TIMEOUT", "300ms"),
        ("PALIADIN_TURN__MAX_RESPONSE", "67108864"),
        ("PALIADIN_STREAM__MAX_LAG", "67108864"),
    ];
    let app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    let (turn, Told { events, mut slow }) = tell(&app, &user).await?;
    // Longer than the server waits for a client. The user's own agent still hangs.
    let other = app.user("bob@example.org")?;
    assert_eq!(other.response("!sleep 1").await?, "slept 1");
    let mut pieces = slow.drain().await?;
    assert!(slow.is_cut && !kinds(&pieces).contains(&"end"), "it was not cut off");
    pieces.extend(user.stream(&turn, slow.last_id.as_deref()).await?.rest().await?);
    assert_same(&pieces, &events);
    Ok(())
}

#[tokio::test]
async fn a_large_answer_in_one_piece_reaches_who_follows_it() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!big 1000000").await?;
    let events = user.collect(&turn).await?;
    assert_eq!(kinds(&events), ["queued", "meta", "content", "end"]);
    assert_eq!(held(&events).len(), 1_000_000);
    assert_same(&user.collect(&turn).await?, &events);
    Ok(())
}

#[tokio::test]
async fn readers_that_do_not_read_do_not_slow_the_turn() -> Tested {
    let app = TestApp::start().await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!lines 300 5").await?;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(Client::opened(user.request("GET", &turn.sse_url)).await?);
    }
    let since = Instant::now();
    user.collect(&turn).await?;
    assert!(since.elapsed() < Duration::from_secs(10), "300 pauses of 5 ms took {:?}", since.elapsed());
    Ok(())
}
