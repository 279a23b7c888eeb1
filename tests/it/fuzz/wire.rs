//! Sends bytes as they are, and takes apart what comes back, whatever that is.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::noise::Shot;
use crate::harness::{Tested, within};

/// Bytes of the answers to one connection: more than the history of all who ask here.
const MOST: usize = 32 * 1024 * 1024;
/// Bytes that are read at once, at first.
const READ_AT_ONCE: usize = 16 * 1024;

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// The answer to a `HEAD`.
    pub is_head: bool,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// It tells of a turn that was accepted.
    pub fn is_about_a_turn(&self) -> bool {
        self.body.windows(9).any(|window| window == b"\"sse_url\"")
    }

    /// The status, and the code of a refusal.
    pub fn kind(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match problem["code"].as_str() {
            Some(code) => format!("{} {code}", self.status),
            None if self.headers.iter().any(|(name, _)| name == "x-frame-options") => self.status.to_string(),
            None => format!("{} without a word", self.status),
        }
    }

    /// An event stream, of which nothing more was waited for.
    pub fn is_stream(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }
}

/// One connection: writes all of it, and reads until the server closes it.
pub async fn exchange(address: SocketAddr, shot: &Shot) -> Tested<Vec<Answer>> {
    within("the end of a connection", async {
        let connection = TcpStream::connect(address).await?;
        connection.set_nodelay(true)?;
        let (mut from, to) = connection.into_split();
        if shot.is_left {
            drop(write(to, shot).await);
            return Ok(Vec::new());
        }
        let (_to, read) = tokio::join!(write(to, shot), read(&mut from, shot.enough));
        let (answers, is_whole) = parse(&read?, shot)?;
        if shot.is_honest && !is_whole {
            return Err("an answer was cut off".into());
        }
        Ok(answers)
    })
    .await?
}

/// Writes it in its pieces. Whoever is refused before the end need not be read to the end.
async fn write(mut to: OwnedWriteHalf, shot: &Shot) -> Option<OwnedWriteHalf> {
    let mut rest = shot.bytes.as_slice();
    for length in shot.pieces.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        to.write_all(piece).await.ok()?;
        rest = after;
    }
    if !shot.is_honest {
        // Who promised more than they send says so by this.
        to.shutdown().await.ok()?;
    }
    Some(to)
}

/// Everything up to the end; of an event stream no more than `enough`.
async fn read(from: &mut OwnedReadHalf, enough: usize) -> Tested<Vec<u8>> {
    let mut bytes = Vec::with_capacity(READ_AT_ONCE);
    let is_stream = |bytes: &[u8]| {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_default();
        bytes[..end].windows(17).any(|window| window == b"text/event-stream")
    };
    while matches!(from.read_buf(&mut bytes).await, Ok(count) if count > 0) {
        if bytes.len() > MOST {
            return Err(format!("more than {MOST} bytes of answers").into());
        }
        if bytes.len() >= enough && is_stream(&bytes) {
            break;
        }
    }
    Ok(bytes)
}

/// The answers, and whether the last one is whole.
fn parse(bytes: &[u8], shot: &Shot) -> Tested<(Vec<Answer>, bool)> {
    let mut answers = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok((answers, false)) };
        let head = std::str::from_utf8(&rest[..end])?;
        rest = &rest[end + 4..];
        let (first, lines) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.strip_prefix("HTTP/1.").and_then(|line| line.split(' ').nth(1));
        let status: u16 = status.ok_or_else(|| format!("no status line: {first:?}"))?.parse()?;
        if status < 200 {
            continue;
        }
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.split("\r\n").filter_map(header).collect();
        let is_head = shot.methods.get(answers.len()).is_some_and(|method| method == "HEAD");
        let mut answer = Answer { status, headers, body: Vec::new(), is_head };
        let is_whole = body(&mut answer, &mut rest)?;
        // Whoever leaves a stream has not read its end.
        let is_stream = answer.is_stream();
        answers.push(answer);
        if !is_whole {
            return Ok((answers, is_stream));
        }
    }
    Ok((answers, true))
}

/// Takes the answer's body off; false where it is not all there.
fn body(answer: &mut Answer, rest: &mut &[u8]) -> Tested<bool> {
    if answer.is_head || matches!(answer.status, 204 | 304) {
        return Ok(true);
    }
    if answer.header("transfer-encoding") == Some("chunked") {
        loop {
            let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(false) };
            let length = usize::from_str_radix(std::str::from_utf8(&rest[..end])?, 16)?;
            let Some(chunk) = rest.get(end + 2..end + 2 + length) else { return Ok(false) };
            answer.body.extend_from_slice(chunk);
            let Some(after) = rest.get(end + 2 + length + 2..) else { return Ok(false) };
            *rest = after;
            if length == 0 {
                return Ok(true);
            }
        }
    }
    let length = match answer.header("content-length") {
        Some(length) => length.parse()?,
        None => rest.len(),
    };
    let is_whole = length <= rest.len();
    let (body, after) = rest.split_at(length.min(rest.len()));
    answer.body = body.to_vec();
    *rest = after;
    Ok(is_whole)
}
