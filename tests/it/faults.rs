//! What is broken on purpose, for real, around a server that runs as a process of its own: and then the state of each
//! row, what a client saw that kept its cursor all the while, and how often each message was typed.

mod answers;
mod disk;
mod ends;
mod halts;
mod intake;
mod locked;
mod panes;
mod readers;
mod server;
mod stop;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use crate::harness::sse::{assert_same, held, kinds};
use crate::harness::{Accepted, Client, Event, TestApp, Tested};

/// From one try of a client to the next, where the server is not there.
const COME_AGAIN: Duration = Duration::from_millis(20);
/// How long a client comes again and again.
const STAMINA: Duration = Duration::from_secs(60);

/// A client that follows a turn to its end: it keeps its cursor, and comes again with it whenever its stream ends.
struct Follower {
    user: Client,
    turn: Accepted,
    events: JoinHandle<Tested<Vec<Event>>>,
}

impl Follower {
    /// One that begins now.
    fn of(user: &Client, turn: &Accepted) -> Self {
        let events = tokio::spawn(follow(user.clone(), turn.clone()));
        Self { user: user.clone(), turn: turn.clone(), events }
    }

    /// Waits for the turn's end, and checks that everything about it is true; gives the row and what this client saw.
    /// The turn must have been typed so often.
    async fn ended(self, app: &TestApp, typed: usize) -> Tested<(Value, Vec<Event>)> {
        let seen = self.events.await??;
        let row = self.user.turn(&self.turn.turn_id).await?;
        let replay = self.user.collect(&self.turn).await?;
        for events in [&seen, &replay] {
            assert_true(events, &row);
        }
        if !kinds(&seen).contains(&"resync") {
            assert_same(&seen, &replay);
        }
        let times = app.typed(&self.turn.turn_id)?.len();
        assert_eq!(times, typed, "typed {times} times: {row}");
        Ok((row, seen))
    }

    /// As [`Self::ended`], of a turn that was typed once and has this answer.
    async fn done(self, app: &TestApp, answer: &str) -> Tested<Vec<Event>> {
        let (row, seen) = self.ended(app, 1).await?;
        assert_eq!((&row["state"], &row["response"]), (&json!("done"), &json!(answer)), "{row}");
        Ok(seen)
    }

    /// As [`Self::ended`], of a turn that failed so.
    async fn failed(self, app: &TestApp, code: &str, typed: usize) -> Tested<Value> {
        let (row, _) = self.ended(app, typed).await?;
        assert_eq!((&row["state"], &row["error_code"]), (&json!("failed"), &json!(code)), "{row}");
        Ok(row)
    }
}

async fn follow(user: Client, turn: Accepted) -> Tested<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    let mut cursor = None;
    let mut tries = interval(COME_AGAIN);
    let following = async {
        loop {
            tries.tick().await;
            // Refused, or no server: it comes again.
            let Ok(mut stream) = user.stream(&turn, cursor.as_deref()).await else { continue };
            while let Some(event) = stream.next().await? {
                let is_final = event.is_final();
                cursor = event.id.clone().or(cursor);
                events.push(event);
                if is_final {
                    return Ok(events);
                }
            }
        }
    };
    timeout(STAMINA, following).await.map_err(|_| format!("{} did not end", turn.turn_id))?
}

/// Fails where events do not tell what the row says, or one was told twice.
#[track_caller]
fn assert_true(events: &[Event], row: &Value) {
    let last = &events[events.len() - 1];
    let (text, told) = match row["state"].as_str() {
        Some("done") => (&row["response"], json!("end")),
        Some("cancelled") => (&row["partial"], json!("cancelled")),
        _ => (&row["partial"], row["error_code"].clone()),
    };
    let tells = if last.kind == "end" { json!("end") } else { last.data["code"].clone() };
    assert_eq!(tells, told, "{row} {}", last.raw);
    assert!(held(events) == text.as_str().unwrap_or_default(), "{row}: a client holds {:?}", held(events));
    assert_eq!(events.iter().filter(|event| event.is_final()).count(), 1, "{row}");
    let mut before = (0, 0);
    for event in events.iter().filter(|event| event.id.is_some()) {
        let id = event.id.as_deref().and_then(|id| id.split_once('-')).unwrap_or_default();
        let id: (u64, u64) = (id.0.parse().unwrap_or_default(), id.1.parse().unwrap_or_default());
        // A `resync` says itself where it stands.
        assert!(event.kind == "resync" || id > before, "{id:?} after {before:?}: {row}");
        before = id;
    }
}

/// The answer to `!lines <count> <pause>`.
fn lines(count: usize) -> String {
    (1..=count).map(|line| format!("line {line}\n")).collect()
}
