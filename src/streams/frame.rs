//! Events as bytes of a `text/event-stream`. Encoded once, shared by every reader.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::turn::{Event, EventId, EventKind};

/// A replayable event.
pub fn event(event: &Event) -> Bytes {
    with_id(event.id, event.kind, &event.data)
}

/// The whole text in place of what the client holds. `id` is the last event that the text covers.
pub fn resync(id: EventId, text: &str) -> Bytes {
    with_id(id, EventKind::Resync, &json!({ "text": text }))
}

/// An event that is in no log (`thinking`, `ping`).
pub fn transient(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// How long a client should wait before it reconnects.
pub fn retry(milliseconds: u128) -> Bytes {
    Bytes::from(format!("retry: {milliseconds}\n\n"))
}

/// JSON on one line holds no line break, so one `data` field is enough.
fn with_id(id: EventId, kind: EventKind, data: &Value) -> Bytes {
    Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {data}\n\n"))
}
