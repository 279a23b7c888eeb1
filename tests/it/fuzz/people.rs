//! Who asks: users with conversations of their own, in which stands a text that nobody else may see.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::wire::Answer;
use crate::harness::random::Random;
use crate::harness::{Client, TestApp, Tested, eventually};

/// Turns that are remembered, to be asked for again, with their conversations.
const REMEMBERED: usize = 64;

/// One of them.
pub struct Person {
    pub client: Client,
    /// Stands in each of their conversations, and nowhere else.
    pub secret: String,
    /// Their own conversation, which stays.
    pub session_id: String,
}

/// All of them; the first one is the owner.
pub struct People {
    pub all: Vec<Person>,
    /// Of a signed-in browser of the owner.
    pub cookie: String,
    /// A token that was good once.
    pub revoked: String,
    turns: Mutex<Vec<Turn>>,
}

/// A turn that is known, and whose it is.
#[derive(Clone)]
struct Turn {
    asker: usize,
    turn_id: String,
    session_id: String,
}

impl People {
    /// Signs them up, and lets each of them have a turn.
    pub async fn gather(app: &mut TestApp) -> Tested<Self> {
        let link = app.printed("sign in:").await?;
        let path = link.find("/paliadin/sign-in").map(|at| link[at..].to_owned()).ok_or("no link")?;
        let signed_in = app.nobody().get(&path).await?;
        let cookie = signed_in.header("set-cookie").and_then(|cookie| cookie.split(';').next()).ok_or("no cookie")?;
        let cookie = cookie.to_owned();
        let mut clients = vec![app.owner()?];
        for email in ["ann@example.org", "bob@example.org", "eve@example.org"] {
            clients.push(app.user(email)?);
        }
        let mut all = Vec::new();
        let mut turns = Vec::new();
        for (number, client) in clients.into_iter().enumerate() {
            let secret = format!("only-of-number{number}");
            let body = json!({"user_message": format!("!echo {secret}"), "client_turn_id": secret,
                "context": {"title": secret, "extra": {"more": secret}}});
            let turn = client.submit(&body).await?;
            assert_eq!(client.ended(&turn).await?["response"], secret.as_str());
            turns.push(Turn { asker: number, turn_id: turn.turn_id, session_id: turn.session_id.clone() });
            all.push(Person { client, secret, session_id: turn.session_id });
        }
        let revoked = app.user("gone@example.org")?.token;
        let tokens = app.cli(&["token", "list", "--email", "gone@example.org"])?;
        app.cli(&["token", "revoke", tokens.split('\t').next().ok_or("no token")?])?;
        Ok(Self { all, cookie, revoked, turns: Mutex::new(turns) })
    }

    /// Where the server is.
    pub fn address(&self) -> SocketAddr {
        self.all[0].client.address()
    }

    /// A turn of this asker's that was accepted.
    pub fn remember(&self, asker: Option<usize>, answer: &Answer) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(asker), Some(turn_id), Some(session_id)) =
            (asker, body["turn_id"].as_str(), body["session_id"].as_str())
        {
            if turns.len() == REMEMBERED {
                // Those that were there from the beginning stay.
                turns.remove(self.all.len());
            }
            turns.push(Turn { asker, turn_id: turn_id.to_owned(), session_id: session_id.to_owned() });
        }
    }

    /// The id of a turn, mostly of one of the asker's own.
    pub fn turn(&self, random: &mut Random, asker: Option<usize>) -> String {
        self.known(random, asker).turn_id
    }

    /// The id of a conversation, mostly of the asker's own, that stays.
    pub fn session(&self, random: &mut Random, asker: Option<usize>) -> String {
        let person = asker.filter(|_| !random.once_in(4)).unwrap_or(random.below(0..self.all.len() as u64) as usize);
        self.all[person].session_id.clone()
    }

    /// The id of a conversation that may be deleted by the asker.
    pub fn spare_session(&self, random: &mut Random, asker: Option<usize>) -> Option<String> {
        let session_id = self.known(random, asker).session_id;
        let stays = |person: &Person| person.session_id == session_id;
        if self.all.iter().any(stays) { None } else { Some(session_id) }
    }

    fn known(&self, random: &mut Random, asker: Option<usize>) -> Turn {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let own: Vec<&Turn> = turns.iter().filter(|turn| Some(turn.asker) == asker).collect();
        if own.is_empty() || random.once_in(4) {
            return turns[random.below(0..turns.len() as u64) as usize].clone();
        }
        own[random.below(0..own.len() as u64) as usize].clone()
    }

    /// Ends every agent, and every turn with it.
    pub async fn calm(&self) -> Tested {
        for person in &self.all {
            eventually("a reset", async || {
                let mut reset = person.client.request("POST", "/api/paliadin/reset").send().await?;
                let body = reset.text().await?;
                match reset.status {
                    200 => Ok(Some(())),
                    // Agents are ended one after the other; a reset may have to wait for one before it.
                    503 => Ok(None),
                    status => Err(format!("a reset was answered with {status}: {body}").into()),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Everybody gets an answer, and the text of their own.
    pub async fn are_answered(&self) -> Tested {
        for Person { client, secret, .. } in &self.all {
            assert_eq!(&client.response(&format!("!echo {secret}")).await?, secret);
        }
        Ok(())
    }

    /// There are no rows but those of what was accepted, and of who was there at the beginning.
    pub async fn rows_are_accounted_for(&self, app: &TestApp, accepted: usize) -> Tested {
        let mut database = app.database().await?;
        let most = accepted + self.all.len();
        let limits = [
            ("paliadin_turns", most),
            ("conversations", most),
            ("agent_sessions", self.all.len()),
            ("users", self.all.len() + 1),
            ("api_tokens", self.all.len() + 1),
            ("web_sessions", 1),
        ];
        for (table, most) in limits {
            let rows: usize = database.value(&format!("SELECT count(*) FROM {table}"), &[]).await?.parse()?;
            println!("{table}: {rows} rows, at most {most}");
            assert!(rows <= most, "{table}: {rows} rows, at most {most}");
        }
        Ok(())
    }
}
