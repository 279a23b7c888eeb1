//! Row 8 and its floor, which is the product itself in its best case: no program that is less can tell what a start of
//! this one costs. Both have state of the same size, an agent that lives on, and a client that comes as soon as the server
//! listens.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Accepted;
use super::server::Server;
use super::{out_of, steered};
use crate::floors::receiver::wall_ms;
use crate::measure::{Measured, Outcome, Tail, Tally};

/// A product that is started again and again, with the turns that it was given.
struct Restarted {
    directory: PathBuf,
    server: Server,
    typed: Tail,
    /// The session's `out/`; known once its agent has started.
    out: Option<PathBuf>,
    turns: Vec<Accepted>,
}

impl Restarted {
    fn open(directory: &Path) -> Outcome<Self> {
        let (server, typed) = steered(directory)?;
        Ok(Self { directory: directory.to_owned(), server, typed, out: None, turns: Vec::new() })
    }

    /// Asks something, and waits until the agent is at work on it.
    fn ask(&mut self) -> Outcome<()> {
        let mut client = self.server.client()?;
        let turn = client.ask("The answer comes by file.")?;
        client.stream(&turn)?.until("meta")?;
        if self.out.is_none() {
            self.out = Some(out_of(&mut self.typed)?);
        }
        self.turns.push(turn);
        Ok(std::fs::write(self.directory.join("beside"), "x")?)
    }

    /// The agent answers, and says that it is idle again.
    fn answer(&self) -> Outcome<()> {
        let (out, turn) = (self.out.as_ref().ok_or("no agent")?, &self.last()?.turn_id);
        std::fs::rename(self.directory.join("beside"), out.join(format!("{turn}.txt")))?;
        let stopped = json!({"at": wall_ms(), "event": "stopped", "turn_id": turn, "message": null});
        let mut events = File::options().append(true).open(out.join("events.jsonl"))?;
        Ok(events.write_all(format!("{stopped}\n").as_bytes())?)
    }

    /// The server starts, and its client gets the answer to the last question.
    fn deliver(&mut self) -> Outcome<()> {
        self.server.start_again()?;
        self.server.client()?.delivered(self.last()?)
    }

    fn last(&self) -> Outcome<&Accepted> {
        self.turns.last().ok_or_else(|| "nothing was asked".into())
    }
}

/// Floor of row 8: the server was stopped when the turn was over; it starts, and the answer is served from the store.
pub struct CleanStart(Restarted);

impl CleanStart {
    /// Starts a product with its state in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        Ok(Self(Restarted::open(directory)?))
    }
}

impl Measured for CleanStart {
    fn prepare(&mut self) -> Outcome<()> {
        self.0.ask()?;
        self.0.answer()?;
        self.0.server.client()?.delivered(self.0.last()?)?;
        self.0.server.end()
    }

    fn sample(&mut self) -> Outcome<Duration> {
        let start = Instant::now();
        self.0.deliver()?;
        Ok(start.elapsed())
    }
}

/// Row 8: the server is killed while the agent is at work, which answers before the next one is there. The time counts
/// from the kill.
pub struct Killed(Restarted);

impl Killed {
    /// Starts a product with its state in `directory`, which exists and is empty.
    pub fn open(directory: &Path) -> Outcome<Self> {
        Ok(Self(Restarted::open(directory)?))
    }
}

impl Measured for Killed {
    fn prepare(&mut self) -> Outcome<()> {
        self.0.ask()
    }

    fn sample(&mut self) -> Outcome<Duration> {
        let start = Instant::now();
        self.0.server.kill()?;
        self.0.answer()?;
        self.0.deliver()?;
        Ok(start.elapsed())
    }

    fn tally(&mut self) -> Outcome<Option<Tally>> {
        let client = self.0.server.client()?;
        let typed = std::fs::read_to_string(self.0.typed.path())?;
        let lost = self.0.turns.iter().filter(|turn| client.delivered(turn).is_err()).count();
        let times = |turn: &Accepted| typed.lines().filter(|line| line.contains(&turn.turn_id)).count();
        let (never, twice) = (
            self.0.turns.iter().filter(|turn| times(turn) == 0).count(),
            self.0.turns.iter().filter(|turn| times(turn) > 1).count(),
        );
        let text = format!("{} kills: {} turns lost, {twice} typed twice", self.0.turns.len(), lost + never);
        Ok(Some(Tally { text, is_kept: lost + never + twice == 0 }))
    }
}
