//! Clients that hardly read, or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::interval;

use super::Follower;
use crate::harness::{Accepted, Client, TestApp, Tested, within};

/// Between two bytes of a very slow client.
const PAUSE: Duration = Duration::from_secs(1);
/// An answer in pieces, with far more in all than the system takes for a client that does not read.
const PIECES: usize = 40;
const PIECE: usize = 200_000;
/// Far more than the pieces take on a busy machine, far less than a client of one byte a second.
const NOT_SLOWED: Duration = Duration::from_secs(20);

/// Opens a stream with as small a buffer as the system allows, and reads nothing of it.
async fn open(user: &Client, turn: &Accepted) -> Tested<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(1)?;
    let mut connection = socket.connect(user.address()).await?;
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
        turn.sse_url,
        user.address(),
        user.token
    );
    connection.write_all(head.as_bytes()).await?;
    Ok(connection)
}

/// The last id in what a client has got of a stream, up to its last whole event.
fn cursor(got: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(got);
    let whole = &text[..text.rfind("\n\n")?];
    whole.lines().rev().find_map(|line| line.strip_prefix("id: ")).map(str::to_owned)
}

#[tokio::test]
async fn clients_that_hardly_read_slow_nothing_and_can_resume() -> Tested {
    let settings = [("PALIADIN_SERVER__WRITE_TIMEOUT", "2s"), ("PALIADIN_TURN__MAX_RESPONSE", "67108864")];
    let app = TestApp::with(&settings).await?;
    let user = app.user("ann@example.org")?;
    let turn = user.ask("!hang").await?;
    let follower = Follower::of(&user, &turn);
    let mut fast = user.stream(&turn, None).await?;
    fast.until("meta").await?;
    let (mut slow, idle) = (open(&user, &turn).await?, open(&user, &turn).await?);
    let crawl = tokio::spawn(async move {
        let (mut got, mut pauses) = (Vec::new(), interval(PAUSE));
        // To the end, however it comes: the server's, or that the client is told to read faster.
        loop {
            pauses.tick().await;
            match slow.read_u8().await {
                Ok(byte) => got.push(byte),
                Err(_) => return (got, slow),
            }
            if got.len() > 4 {
                return (got, slow);
            }
        }
    });
    let out = app.spool()?.join("out");
    let mut part = File::options().append(true).create(true).open(out.join(format!("{}.part", turn.turn_id)))?;
    let (since, mut answer, mut shown) = (Instant::now(), String::new(), 0);
    for number in 0..PIECES {
        let piece = format!("{number} {}.", "x".repeat(PIECE));
        part.write_all(piece.as_bytes())?;
        answer.push_str(&piece);
        while shown < answer.len() {
            shown += fast.until("content").await?.piece().len();
        }
    }
    fs::write(out.join(".whole"), &answer)?;
    fs::rename(out.join(".whole"), out.join(format!("{}.txt", turn.turn_id)))?;
    let seen = follower.done(&app, &answer).await?;
    assert!(since.elapsed() < NOT_SLOWED, "{:?}", since.elapsed());

    let (mut got, mut slow) = within("five bytes", crawl).await??;
    // What the system kept for it; then its connection is cut, for it had its time.
    let _ = within("the end of the slow client's stream", slow.read_to_end(&mut got)).await?;
    let mut kept = Vec::new();
    let mut idle = idle;
    let _ = within("the end of the idle client's stream", idle.read_to_end(&mut kept)).await?;
    for got in [&got, &kept] {
        assert!(got.starts_with(b"HTTP/1.1 200") && got.len() < answer.len(), "dropped after {} bytes", got.len());
        let cursor = cursor(got).ok_or("no whole event")?;
        let place = seen.iter().position(|event| event.id.as_ref() == Some(&cursor)).ok_or("an id of its own")?;
        let rest = user.stream(&turn, Some(&cursor)).await?.rest().await?;
        crate::harness::sse::assert_same(&rest, &seen[place + 1..]);
    }
    Ok(())
}
