//! A model API for agents under test: the Responses API and the Messages API, both streaming. What it answers is steered by
//! words in the person's message ([`steer`]); what it was asked is kept for the test to look at.

mod ask;
mod messages;
mod responses;
mod steer;
#[cfg(test)]
mod tests;
mod voice;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

pub use ask::Ask;
use steer::{Answer, Piece};
use voice::{Api, Voice};

use crate::harness::{Tested, within};

/// A model. Dropped, it ends, and with it every answer.
pub struct Model {
    address: SocketAddr,
    desk: Arc<Desk>,
    server: JoinHandle<()>,
}

/// What all requests share.
struct Desk {
    asked: Mutex<Vec<Ask>>,
    strays: Mutex<Vec<String>>,
    /// Raised for each request, and for each answer that came to where it is held.
    changed: watch::Sender<u64>,
    /// The turns whose answers are held.
    held: Mutex<Vec<String>>,
    /// Raised by a release: whoever is held then goes on.
    released: watch::Sender<u64>,
}

impl Model {
    /// Starts one on a free port of 127.0.0.1.
    pub async fn start() -> Tested<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk {
            asked: Mutex::default(),
            strays: Mutex::default(),
            changed: watch::channel(0).0,
            held: Mutex::default(),
            released: watch::channel(0).0,
        });
        let routes = axum::Router::new().fallback(answer).with_state(desk.clone());
        let routes = routes.layer(axum::extract::DefaultBodyLimit::disable());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                println!("the model ended: {error}");
            }
        });
        Ok(Self { address, desk, server })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that it was asked, in the order in which it came.
    pub fn asked(&self) -> Vec<Ask> {
        locked(&self.desk.asked).clone()
    }

    /// What the agent itself asked for a turn; side calls are left out.
    pub fn asked_for(&self, turn_id: &str) -> Vec<Ask> {
        let mut asked = self.asked();
        asked.retain(|ask| !ask.is_side && ask.turn.as_deref() == Some(turn_id));
        asked
    }

    /// Requests that are no question to a model.
    pub fn strays(&self) -> Vec<String> {
        locked(&self.desk.strays).clone()
    }

    /// Waits until an answer to this turn is held.
    pub async fn holds(&self, turn_id: &str) -> Tested {
        self.once("an answer to be held", || locked(&self.desk.held).iter().any(|held| held == turn_id)).await
    }

    /// Waits until something is true of what it was asked.
    pub async fn once(&self, what: &str, is_so: impl Fn() -> bool) -> Tested {
        let mut changes = self.desk.changed.subscribe();
        within(what, async {
            while !is_so() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        })
        .await
    }

    /// Lets every answer go on that is held.
    pub fn release(&self) {
        self.desk.released.send_modify(|count| *count += 1);
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(desk): State<Arc<Desk>>, method: Method, uri: Uri, body: Bytes) -> Response {
    let api = match (method.as_str(), uri.path()) {
        ("POST", "/v1/responses") => Api::Responses,
        ("POST", "/v1/messages") => Api::Messages,
        (method, path) => {
            locked(&desk.strays).push(format!("{method} {path}"));
            let status = if method == "HEAD" { StatusCode::OK } else { StatusCode::NOT_FOUND };
            return (status, "{}").into_response();
        }
    };
    let Ok(body) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let ask = api.read(&body);
    let number = {
        let mut asked = locked(&desk.asked);
        asked.push(ask.clone());
        asked.len()
    };
    desk.changed.send_modify(|count| *count += 1);
    match steer::answer(&ask) {
        Answer::Overload => {
            let status = StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            (status, [(header::CONTENT_TYPE, "application/json")], api.overload()).into_response()
        }
        Answer::Says(pieces) => {
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(speak(desk, ask, api.voice(number), pieces, sender));
            let frames = UnboundedReceiverStream::new(receiver).map(Ok::<_, Infallible>);
            ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response()
        }
    }
}

/// Says the pieces one after the other, until whoever asked goes away.
async fn speak(
    desk: Arc<Desk>,
    ask: Ask,
    mut voice: Box<dyn Voice>,
    pieces: Vec<Piece>,
    sender: mpsc::UnboundedSender<String>,
) {
    let _ = sender.send(voice.opens());
    for piece in pieces {
        match piece {
            Piece::Text(text) => drop(sender.send(voice.says(&text))),
            Piece::Call(call) => drop(sender.send(voice.calls(&call))),
            Piece::Pause(time) => {
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    () = sender.closed() => return,
                }
            }
            Piece::Hold => {
                let mut released = desk.released.subscribe();
                let turn = ask.turn.clone().unwrap_or_default();
                locked(&desk.held).push(turn.clone());
                desk.changed.send_modify(|count| *count += 1);
                let is_free = tokio::select! {
                    _ = released.changed() => true,
                    () = sender.closed() => false,
                };
                locked(&desk.held).retain(|held| *held != turn);
                if !is_free {
                    desk.changed.send_modify(|count| *count += 1);
                    return;
                }
            }
        }
    }
    let _ = sender.send(voice.closes());
}
