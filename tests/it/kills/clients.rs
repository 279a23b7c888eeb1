//! Users' programs as they should be: what was not answered is sent again under the same id, a full queue is waited for, and
//! a stream that broke is resumed from the last event.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::interval;

use super::Storm;
use super::questions::{Expected, Source};
use crate::harness::random::Random;
use crate::harness::{Accepted, Client, EventStream, Tested};

/// From one try to the next, where the server is there but asks for patience.
const AGAIN: Duration = Duration::from_millis(25);

/// One turn, as its user saw it.
pub struct Asked {
    /// Whose it is.
    pub client: Client,
    /// The client's own id.
    pub client_turn_id: String,
    /// As the server said.
    pub turn_id: String,
    /// When it was sent for the first time, and when it was acknowledged.
    pub sent: Instant,
    /// See above.
    pub acknowledged: Instant,
    /// When it was sent for the last time, in milliseconds since 1970.
    sent_last: u128,
    /// How often it was sent without an answer.
    pub unanswered: usize,
    /// What the answer must be.
    pub expected: Expected,
    /// What the stream showed.
    pub held: Held,
}

impl Asked {
    /// Whether the turn was there before its user was told so: an earlier answer was lost. Its id tells when it came to be.
    pub fn was_lost(&self) -> bool {
        let made = u128::from_str_radix(&self.turn_id.replace('-', "")[..12], 16);
        made.is_ok_and(|made| made < self.sent_last)
    }
}

/// A user, with what all their conversations have in common.
#[derive(Clone)]
pub struct User {
    client: Client,
    /// How many turns have ended: there may be room in the queue.
    ended: Arc<watch::Sender<usize>>,
}

impl User {
    /// Nothing was asked yet.
    pub fn new(client: Client) -> Self {
        Self { client, ended: Arc::default() }
    }
}

/// Asks one question after the other, as soon as the one before is acknowledged; gives every turn at its end.
pub async fn converse(
    storm: Arc<Storm>,
    user: User,
    name: String,
    mut random: Random,
    questions: Source,
) -> Tested<Vec<Asked>> {
    let mut following = Vec::new();
    let mut session_id: Option<String> = None;
    while !storm.is_over() {
        let mut question = questions.next(&mut random);
        let client_turn_id = format!("{name}.{}", following.len());
        question.body["client_turn_id"] = json!(client_turn_id);
        if let Some(id) = &session_id {
            question.body["session_id"] = json!(id);
        }
        let sent = Instant::now();
        let (accepted, unanswered, sent_last) = submit(&storm, &user, &client_turn_id, &question.body).await?;
        let acknowledged = Instant::now();
        storm.asked.fetch_add(1, Ordering::Relaxed);
        session_id = Some(accepted.session_id.clone());
        let (storm, user) = (storm.clone(), user.clone());
        following.push(tokio::spawn(async move {
            let held = follow(&storm, &user.client, &client_turn_id, &accepted).await?;
            user.ended.send_modify(|ended| *ended += 1);
            let (client, expected, turn_id) = (user.client, question.expected, accepted.turn_id);
            Ok(Asked { client, client_turn_id, turn_id, sent, acknowledged, sent_last, unanswered, expected, held })
        }));
    }
    try_join_all(following).await?.into_iter().collect()
}

/// Sends it until it is acknowledged; gives also how often no answer came, and when it was sent last.
async fn submit(storm: &Storm, user: &User, name: &str, body: &Value) -> Tested<(Accepted, usize, u128)> {
    let mut unanswered = 0;
    let (mut ended, mut boots) = (user.ended.subscribe(), storm.boots.subscribe());
    let mut again = interval(AGAIN);
    loop {
        storm.note(name, "being acknowledged");
        // Whatever ends or boots from here on is a reason to try again.
        ended.mark_unchanged();
        boots.mark_unchanged();
        let sent = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let Ok(mut response) = user.client.post_turn(body).await else {
            unanswered += 1;
            storm.note(name, "a boot, to send it again");
            boots.changed().await?;
            continue;
        };
        match (response.status, response.json().await) {
            (202, Ok(accepted)) => {
                storm.note(name, "");
                return Ok((serde_json::from_value(accepted)?, unanswered, sent));
            }
            (202, Err(_)) => {
                unanswered += 1;
                storm.note(name, "a boot, to send it again");
                boots.changed().await?;
            }
            (429, _) => {
                storm.note(name, "room in the queue");
                ended.changed().await?;
            }
            (503, _) => drop(again.tick().await),
            (status, body) => return Err(format!("{name}: {status}: {body:?}").into()),
        }
    }
}

/// What a client that keeps its cursor holds.
#[derive(Default)]
pub struct Held {
    /// The answer.
    pub text: String,
    /// The last event's id, as it was sent.
    pub cursor: Option<String>,
    /// That id, for comparison.
    last: (i64, i64),
    /// How often it was told to forget what it held.
    pub resyncs: usize,
    /// How often the connection broke.
    pub breaks: usize,
    /// `end`, or the code of an `error`, as often as there was one.
    pub endings: Vec<String>,
}

impl Held {
    /// As of a client that comes back after the end.
    pub fn come_back(&self) -> Self {
        Self { text: self.text.clone(), cursor: self.cursor.clone(), last: self.last, ..Self::default() }
    }

    /// Takes events to the end of a connection.
    ///
    /// # Errors
    /// Where an event does not follow the one before.
    pub async fn read(&mut self, stream: &mut EventStream) -> Tested {
        while let Some(event) = stream.next().await? {
            let Some(id) = event.id.clone() else { continue };
            let (epoch, seq) = id.split_once('-').ok_or("an id without an epoch")?;
            let place = (epoch.parse()?, seq.parse()?);
            match event.kind.as_str() {
                "resync" => {
                    self.resyncs += 1;
                    event.piece().clone_into(&mut self.text);
                }
                _ if place <= self.last => return Err(format!("{id} after {:?}: {}", self.cursor, event.kind).into()),
                "content" => self.text.push_str(event.piece()),
                "end" => self.endings.push("end".to_owned()),
                "error" => self.endings.push(event.data["code"].as_str().unwrap_or_default().to_owned()),
                _ => {}
            }
            self.last = place;
            self.cursor = Some(id);
        }
        Ok(())
    }
}

async fn follow(storm: &Storm, client: &Client, name: &str, turn: &Accepted) -> Tested<Held> {
    let mut held = Held::default();
    let mut boots = storm.boots.subscribe();
    let mut again = interval(AGAIN);
    while held.endings.is_empty() {
        storm.note(name, &format!("{} after {:?}", turn.turn_id, held.cursor));
        boots.mark_unchanged();
        let mut request = client.request("GET", &turn.sse_url);
        if let Some(cursor) = &held.cursor {
            request = request.header("last-event-id", cursor);
        }
        match request.send().await {
            Ok(response) if response.status == 200 => {
                let mut stream = EventStream::new(response);
                let read = held.read(&mut stream).await;
                read.map_err(|error| format!("{name}, turn {}: {error}", turn.turn_id))?;
                if !stream.is_cut {
                    // The server ended it, and has told how long to wait.
                    again.tick().await;
                    continue;
                }
            }
            Ok(response) if response.status == 503 => {
                again.tick().await;
                continue;
            }
            Ok(response) => return Err(format!("{name}, turn {}: {}", turn.turn_id, response.status).into()),
            Err(_) => {}
        }
        if held.endings.is_empty() {
            held.breaks += 1;
            storm.note(name, &format!("a boot, for {} after {:?}", turn.turn_id, held.cursor));
            boots.changed().await?;
        }
    }
    storm.note(name, "");
    Ok(held)
}
