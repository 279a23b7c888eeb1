//! The event stream of a turn.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;

use super::owned::OwnedTurn;
use super::{App, Problem};
use crate::streams::follow;
use crate::turn::EventId;

/// The query of a stream.
#[derive(Deserialize)]
pub struct StreamQuery {
    last_event_id: Option<String>,
}

/// `GET /api/paliadin/stream/{turn_id}`: what happened after the client's last event, then what happens, to the end.
/// 204 where nothing follows any more.
pub async fn stream(
    State(app): State<App>,
    OwnedTurn(turn): OwnedTurn,
    query: Result<Query<StreamQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let header = header.filter(|id| !id.is_empty());
    // An EventSource that reconnects by itself keeps its old address: the header is the newer word.
    let seen = last_event(header.or(query.last_event_id.as_deref()));
    if let Some(log) = app.streams.get(turn.turn_id) {
        let frames = follow::live(log, seen, app.pace(), app.closing.clone());
        return Ok(event_stream(Body::from_stream(frames.map(Ok::<_, Infallible>))));
    }
    // It ended between the two looks, or long ago.
    let turn = app.store.turn_of(turn.user_id, turn.turn_id).await?.ok_or_else(Problem::not_found)?;
    match follow::finished(&*app.store, &turn, seen, app.pace()).await? {
        Some(frames) => Ok(event_stream(Body::from(frames.concat()))),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// An id that cannot be read is one that we do not know: the client gets a `resync`.
fn last_event(id: Option<&str>) -> EventId {
    match id {
        None | Some("") => EventId::START,
        Some(id) => id.parse().unwrap_or(EventId { epoch: i64::MAX, seq: i64::MAX }),
    }
}

fn event_stream(body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}
