//! One user's client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Request, Response};
use super::{Event, EventStream, Tested, eventually};

/// A turn that was taken on.
#[derive(Deserialize, Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Which turn.
    pub turn_id: String,
    /// Its conversation.
    pub session_id: String,
    /// Where its events are.
    pub sse_url: String,
    /// How many turns are before it.
    pub position: u32,
}

/// What [`Client::reply`] gives for a reply that is refused with this code.
pub fn refused(code: &str) -> (u16, String) {
    (409, code.to_owned())
}

/// Where the server is; another place after a restart.
pub type Place = Arc<Mutex<SocketAddr>>;

/// A user who is signed in by a token.
#[derive(Clone)]
pub struct Client {
    /// Where the server is.
    pub place: Place,
    /// The user's API token.
    pub token: String,
    /// The user's id; empty for the owner.
    pub user_id: String,
}

impl Client {
    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request in the user's name.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.address(), method, path).header("authorization", format!("Bearer {}", self.token))
    }

    /// Reads a path.
    pub async fn get(&self, path: &str) -> Tested<Response> {
        self.request("GET", path).send().await
    }

    /// Reads a path as JSON; anything but 200 is an error.
    pub async fn read(&self, path: &str) -> Tested<Value> {
        let mut response = self.get(path).await?;
        let body = response.json().await?;
        if response.status == 200 { Ok(body) } else { Err(format!("GET {path}: {body}").into()) }
    }

    /// Posts a turn; gives the answer as it is.
    pub async fn post_turn(&self, body: &Value) -> Tested<Response> {
        self.request("POST", "/api/paliadin/turn").json(body.to_string()).send().await
    }

    /// Posts a turn that must be accepted.
    pub async fn submit(&self, body: &Value) -> Tested<Accepted> {
        let mut response = self.post_turn(body).await?;
        let answer = response.json().await?;
        if response.status != 202 {
            return Err(format!("POST turn: {answer}").into());
        }
        Ok(serde_json::from_value(answer)?)
    }

    /// Asks in a new conversation.
    pub async fn ask(&self, message: &str) -> Tested<Accepted> {
        self.submit(&json!({ "user_message": message })).await
    }

    /// Asks in this conversation.
    pub async fn ask_in(&self, session_id: &str, message: &str) -> Tested<Accepted> {
        self.submit(&json!({ "user_message": message, "session_id": session_id })).await
    }

    /// Opens the turn's stream after this event; the answer must be a stream.
    pub async fn stream(&self, turn: &Accepted, last_event_id: Option<&str>) -> Tested<EventStream> {
        let mut request = self.request("GET", &turn.sse_url);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        Self::opened(request).await
    }

    /// Sends a request whose answer must be a stream.
    pub async fn opened(request: Request) -> Tested<EventStream> {
        let mut response = request.send().await?;
        match response.status {
            200 => Ok(EventStream::new(response)),
            status => Err(format!("no stream: {status}: {}", response.text().await?).into()),
        }
    }

    /// Every event of the turn, from the first to the final one.
    pub async fn collect(&self, turn: &Accepted) -> Tested<Vec<Event>> {
        self.stream(turn, None).await?.rest().await
    }

    /// Asks, and waits for the final event; gives the row.
    pub async fn answer(&self, message: &str) -> Tested<Value> {
        let turn = self.ask(message).await?;
        self.ended(&turn).await
    }

    /// Asks, and gives the answer of a turn that must be done.
    pub async fn response(&self, message: &str) -> Tested<String> {
        Self::done(&self.answer(message).await?)
    }

    /// Asks in this conversation, and gives the answer of a turn that must be done.
    pub async fn response_in(&self, session_id: &str, message: &str) -> Tested<String> {
        let turn = self.ask_in(session_id, message).await?;
        Self::done(&self.ended(&turn).await?)
    }

    fn done(row: &Value) -> Tested<String> {
        match row["response"].as_str() {
            Some(response) if row["state"] == "done" => Ok(response.to_owned()),
            _ => Err(format!("not done: {row}").into()),
        }
    }

    /// Waits for the final event; gives the row.
    pub async fn ended(&self, turn: &Accepted) -> Tested<Value> {
        self.collect(turn).await?;
        self.turn(&turn.turn_id).await
    }

    /// The row of a turn.
    pub async fn turn(&self, turn_id: &str) -> Tested<Value> {
        self.read(&format!("/api/paliadin/turns/{turn_id}")).await
    }

    /// What may become of a turn.
    pub async fn recovery(&self, turn: &Accepted) -> Tested<String> {
        let row = self.read(&format!("/api/paliadin/turns/{}/recover", turn.turn_id)).await?;
        Ok(row["recovery_state"].as_str().ok_or("no recovery state")?.to_owned())
    }

    /// Where the user's agent session stands.
    pub async fn status(&self) -> Tested<Value> {
        self.read("/api/paliadin/status").await
    }

    /// Where the agent session of this conversation stands, where each has one of its own.
    pub async fn session_of(&self, session_id: &str) -> Tested<Value> {
        Ok(self.read(&format!("/api/paliadin/status?session={session_id}")).await?["agent_session"].clone())
    }

    /// Waits until the user's agent session is in this state: it may still be on its way there when a turn's end is told.
    pub async fn session_is(&self, state: &str) -> Tested {
        let look = async || Ok((self.status().await?["agent_session"]["state"] == state).then_some(()));
        eventually(&format!("an agent session that is {state}"), look).await
    }

    /// The turns of a conversation, with a limit as it is written.
    pub async fn history(&self, session_id: &str, limit: Option<&str>) -> Tested<Vec<Value>> {
        let limit = limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
        let turns = self.read(&format!("/api/paliadin/history?session={session_id}{limit}")).await?;
        Ok(turns.as_array().ok_or("no array")?.clone())
    }

    /// Ends the agent session.
    pub async fn reset(&self) -> Tested<Value> {
        let mut response = self.request("POST", "/api/paliadin/reset").send().await?;
        response.json().await
    }

    /// Ends the agent session of this conversation, where each has one of its own; gives the answer as it is.
    pub async fn reset_in(&self, session_id: &str) -> Tested<Response> {
        self.request("POST", &format!("/api/paliadin/reset?session={session_id}")).send().await
    }

    /// Ends a turn; gives the answer as it is.
    pub async fn cancel(&self, turn_id: &str) -> Tested<Response> {
        self.request("POST", &format!("/api/paliadin/turns/{turn_id}/cancel")).send().await
    }

    /// Ends a turn; that must be accepted.
    pub async fn cancelled(&self, turn: &Accepted) -> Tested {
        let mut response = self.cancel(&turn.turn_id).await?;
        match (response.status, response.json().await?) {
            (202, body) if body == json!({ "ok": true }) => Ok(()),
            (status, body) => Err(format!("not accepted: {status}: {body}").into()),
        }
    }

    /// Answers what the agent asked by this event; gives the status, and the code of a refusal.
    pub async fn reply(&self, turn: &Accepted, attention: &str, text: &str) -> Tested<(u16, String)> {
        let body = json!({ "text": text, "attention": attention }).to_string();
        let path = format!("/api/paliadin/turns/{}/reply", turn.turn_id);
        let mut response = self.request("POST", &path).json(body).send().await?;
        match response.status {
            202 => Ok((202, response.json().await?["ok"].to_string())),
            status => Ok((status, response.problem().await?)),
        }
    }

    /// What runs in the server, for admins.
    pub async fn actors(&self) -> Tested<Vec<Value>> {
        let actors = self.read("/api/admin/paliadin/actors").await?;
        Ok(actors.as_array().ok_or("no array")?.clone())
    }
}
