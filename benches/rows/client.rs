//! The least of an HTTP/1.1 client: one kept connection to post on, and a new one for each stream.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use serde::Deserialize;

use crate::measure::{DEADLINE, Outcome};

/// A turn that was taken on.
#[derive(Deserialize)]
pub struct Accepted {
    /// Which turn.
    pub turn_id: String,
    /// Its conversation.
    session_id: String,
    /// Where its events are, as a path or with scheme and host.
    sse_url: String,
}

/// Signed in, with one conversation.
pub struct Client {
    address: SocketAddr,
    token: String,
    posts: BufReader<TcpStream>,
    session_id: Option<String>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr, token: &str) -> Outcome<Self> {
        Ok(Self { address, token: token.to_owned(), posts: open(address)?, session_id: None })
    }

    /// Posts a question and waits until it is accepted.
    pub fn ask(&mut self, message: &str) -> Outcome<Accepted> {
        let mut body = serde_json::json!({"user_message": message});
        if let Some(session_id) = &self.session_id {
            body["session_id"] = session_id.as_str().into();
        }
        let body = body.to_string();
        let request = format!(
            "POST /api/paliadin/turn HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len(),
        );
        self.posts.get_mut().write_all(request.as_bytes())?;
        let head = Head::read(&mut self.posts)?;
        let mut answer = vec![0; head.length.ok_or("an answer to POST without Content-Length")?];
        self.posts.read_exact(&mut answer)?;
        if head.status != 202 {
            return Err(format!("POST: {}: {}", head.status, String::from_utf8_lossy(&answer)).into());
        }
        let accepted: Accepted = serde_json::from_slice(&answer)?;
        self.session_id = Some(accepted.session_id.clone());
        Ok(accepted)
    }

    /// Opens the turn's stream.
    pub fn stream(&self, turn: &Accepted) -> Outcome<Stream> {
        let path = turn.sse_url.find("/api/").map_or(turn.sse_url.as_str(), |at| &turn.sse_url[at..]);
        let mut connection = open(self.address)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
            self.address, self.token,
        );
        connection.get_mut().write_all(request.as_bytes())?;
        let head = Head::read(&mut connection)?;
        if head.status != 200 {
            return Err(format!("GET {path}: {}", head.status).into());
        }
        let left = if head.is_chunked { 0 } else { head.length.unwrap_or(usize::MAX) };
        let chunks = Chunks { connection, left, is_chunked: head.is_chunked, is_first: true };
        Ok(Stream { lines: BufReader::new(chunks) })
    }

    /// Follows the turn to its `end`, over as many connections as that takes: a server that has just started may send a
    /// client away that comes before the turn was taken up.
    pub fn delivered(&self, turn: &Accepted) -> Outcome<()> {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.stream(turn)?.next_of("end")? {
                Some(_) => return Ok(()),
                None if Instant::now() > until => return Err("the answer is never delivered".into()),
                None => {}
            }
        }
    }
}

fn open(address: SocketAddr) -> Outcome<BufReader<TcpStream>> {
    let connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(DEADLINE))?;
    Ok(BufReader::new(connection))
}

/// What matters of a response's head.
struct Head {
    status: u16,
    length: Option<usize>,
    is_chunked: bool,
}

impl Head {
    fn read(connection: &mut impl BufRead) -> Outcome<Self> {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("the connection was closed")?.parse()?;
        let mut head = Self { status, length: None, is_chunked: false };
        loop {
            line.clear();
            if connection.read_line(&mut line)? == 0 {
                return Err("the connection was closed".into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(head) };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.trim().parse()?),
                "transfer-encoding" => head.is_chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
    }
}

/// A body in chunks, read as if it had none.
struct Chunks {
    connection: BufReader<TcpStream>,
    /// Bytes that are still to come: of the present chunk, or of the whole body where it has none.
    left: usize,
    is_chunked: bool,
    is_first: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && self.is_chunked {
            let mut line = String::new();
            if !std::mem::take(&mut self.is_first) {
                self.connection.read_line(&mut line)?;
                line.clear();
            }
            self.connection.read_line(&mut line)?;
            self.left = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.connection.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

/// The events of a turn.
pub struct Stream {
    lines: BufReader<Chunks>,
}

impl Stream {
    /// Reads up to the blank line that ends the next event of this name. An `error` is one.
    pub fn until(&mut self, name: &str) -> Outcome<()> {
        if self.next_of(name)?.is_some() { Ok(()) } else { Err(format!("the stream ended before `{name}`").into()) }
    }

    /// Reads up to the turn's `error`, and returns its data.
    pub fn failure(&mut self) -> Outcome<String> {
        self.next_of("error")?.ok_or_else(|| "the stream ended before the turn failed".into())
    }

    /// As [`Self::until`], with the event's data; `None` where the stream ends before.
    fn next_of(&mut self, name: &str) -> Outcome<Option<String>> {
        let (mut event, mut data, mut line) = (String::new(), String::new(), String::new());
        loop {
            line.clear();
            if self.lines.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let text = line.trim_end_matches(['\r', '\n']);
            if let Some((field, value)) = text.split_once(':') {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => event = value.to_owned(),
                    "data" => data = value.to_owned(),
                    _ => {}
                }
            } else if event == name {
                return Ok(Some(data));
            } else if event == "error" {
                return Err(format!("the turn failed: {data}").into());
            } else {
                event.clear();
            }
        }
    }
}
