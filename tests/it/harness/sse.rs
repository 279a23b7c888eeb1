//! An event stream, taken apart as the standard says, with its bytes.

use std::time::Instant;

use serde_json::Value;

use super::http::Response;
use super::{Tested, within};

/// Characters of an event that a failure shows.
const SHOWN: usize = 300;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id; `None` for what cannot be replayed.
    pub id: Option<String>,
    /// What it is.
    pub kind: String,
    /// Its data.
    pub data: Value,
    /// Its bytes, up to the blank line.
    pub raw: String,
    /// When it came.
    pub at: Instant,
}

impl Event {
    /// The connection closes after this one.
    pub fn is_final(&self) -> bool {
        matches!(self.kind.as_str(), "end" | "error")
    }

    /// The piece of the answer that it brings.
    pub fn piece(&self) -> &str {
        let piece = self.data.get("delta").or_else(|| self.data.get("text"));
        piece.and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a client holds as the answer after these events.
pub fn held(events: &[Event]) -> String {
    events.iter().fold(String::new(), |held, event| match event.kind.as_str() {
        "content" => held + event.piece(),
        "resync" => event.piece().to_owned(),
        _ => held,
    })
}

/// The events that have an id, as bytes.
pub fn replayable(events: &[Event]) -> Vec<&str> {
    events.iter().filter(|event| event.id.is_some()).map(|event| event.raw.as_str()).collect()
}

/// Fails, without pouring out everything, where two readers did not get the same replayable events, byte for byte.
#[track_caller]
pub fn assert_same(one: &[Event], other: &[Event]) {
    let (one, other) = (replayable(one), replayable(other));
    let place = one.iter().zip(&other).position(|(one, other)| one != other).unwrap_or(one.len().min(other.len()));
    let shown = |events: &[&str]| events.get(place).map(|raw| raw.chars().take(SHOWN).collect::<String>());
    let (left, right) = (shown(&one), shown(&other));
    assert!(one == other, "{} and {} events, not the same from {place} on: {left:?} {right:?}", one.len(), other.len());
}

/// The kinds of the events that have an id, one after the other.
pub fn kinds(events: &[Event]) -> Vec<&str> {
    events.iter().filter(|event| event.id.is_some()).map(|event| event.kind.as_str()).collect()
}

/// An open stream. Dropped, its connection is closed.
pub struct EventStream {
    /// The answer's head.
    pub response: Response,
    /// What the server last said about reconnecting, in milliseconds.
    pub retry: Option<u64>,
    /// The id of the last event that had one.
    pub last_id: Option<String>,
    /// The connection broke before the body's end.
    pub is_cut: bool,
    unread: Vec<u8>,
}

impl EventStream {
    /// A stream that begins.
    pub fn new(response: Response) -> Self {
        Self { response, retry: None, last_id: None, is_cut: false, unread: Vec::new() }
    }

    /// The next event, or `None` where the connection ended.
    pub async fn next(&mut self) -> Tested<Option<Event>> {
        within("an event", self.read()).await?
    }

    async fn read(&mut self) -> Tested<Option<Event>> {
        loop {
            while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let raw = String::from_utf8(self.unread.drain(..end + 2).collect())?;
                if let Some(event) = self.parse(raw)? {
                    return Ok(Some(event));
                }
            }
            match self.response.bytes().await {
                Ok(Some(bytes)) => self.unread.extend(bytes),
                Ok(None) => return Ok(None),
                Err(_) => {
                    self.is_cut = true;
                    return Ok(None);
                }
            }
        }
    }

    fn parse(&mut self, raw: String) -> Tested<Option<Event>> {
        let (mut id, mut kind, mut data) = (None, String::new(), Vec::new());
        for line in raw.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => id = Some(value.to_owned()),
                "event" => kind = value.to_owned(),
                "data" => data.push(value),
                "retry" => self.retry = Some(value.parse()?),
                _ => {}
            }
        }
        if data.is_empty() {
            return Ok(None);
        }
        let data = serde_json::from_str(&data.join("\n"))?;
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        Ok(Some(Event { id, kind, data, raw, at: Instant::now() }))
    }

    /// The next event of this kind; those before it are passed over. Anything final in place of it is an error.
    pub async fn until(&mut self, kind: &str) -> Tested<Event> {
        within(kind, self.up_to(kind)).await?
    }

    async fn up_to(&mut self, kind: &str) -> Tested<Event> {
        loop {
            match self.next().await? {
                Some(event) if event.kind == kind => return Ok(event),
                Some(event) if event.is_final() => return Err(format!("{} instead of {kind:?}", event.raw).into()),
                Some(_) => {}
                None => return Err(format!("the stream ended before {kind:?}").into()),
            }
        }
    }

    /// Every event to the final one; the connection must end then.
    pub async fn rest(&mut self) -> Tested<Vec<Event>> {
        // A ping is an event, too: without this, one could wait for ever.
        within("the end of a stream", self.all_to_the_end()).await?
    }

    async fn all_to_the_end(&mut self) -> Tested<Vec<Event>> {
        let mut events: Vec<Event> = Vec::new();
        while let Some(event) = self.next().await? {
            if events.last().is_some_and(Event::is_final) {
                return Err(format!("{} after the final event", event.raw).into());
            }
            events.push(event);
        }
        if self.is_cut || !events.last().is_some_and(Event::is_final) {
            let last = events.last().map(|event| event.raw.chars().take(SHOWN).collect::<String>());
            return Err(format!("no final event after {} events; the last one: {last:?}", events.len()).into());
        }
        Ok(events)
    }

    /// Every event to where the connection ends, however it does.
    pub async fn drain(&mut self) -> Tested<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }
}
