//! The event log of one open turn: events with sequence numbers, and a notify. Every reader has a cursor of its own,
//! so a reader can be as slow as it likes without slowing the turn or missing an event.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::frame;
use crate::turn::{DIALOG, Event, EventId, EventKind};

/// Where a turn is, in one word for people's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// It waits for its turn, or for the agent to start.
    Queued,
    /// The agent waits for a person.
    Attention,
    /// The agent has it, and nothing of the answer is there yet.
    Working,
    /// The answer has begun.
    Answering,
}

impl Upstream {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Attention => "attention",
            Self::Working => "working",
            Self::Answering => "answering",
        }
    }
}

/// What a turn is doing now: shown by `thinking`, kept in no log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// When the turn left the queue.
    pub started: Option<Instant>,
    /// When the first piece of the answer came.
    pub first: Option<Instant>,
    /// The agent waits for a person.
    pub attention: bool,
    /// What the agent says that it is doing.
    pub activity: Option<Arc<str>>,
}

impl Pulse {
    /// Where the turn is.
    pub fn upstream(&self) -> Upstream {
        match (&self.started, self.attention, &self.first) {
            (None, ..) => Upstream::Queued,
            (_, true, _) => Upstream::Attention,
            (_, _, None) => Upstream::Working,
            _ => Upstream::Answering,
        }
    }
}

/// How much has happened in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Number of events.
    pub events: usize,
    /// How often activity or upstream have changed.
    pub changes: u32,
}

/// The log of one turn.
#[derive(Debug)]
pub struct TurnLog {
    inner: RwLock<Inner>,
    /// Every reader waits on it.
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct Inner {
    entries: Vec<Entry>,
    /// The place of the next event.
    next: EventId,
    /// What a client that has seen everything holds as the answer.
    text: String,
    /// The position in the queue that was told last.
    queued_at: Option<u64>,
    /// The last `attention`.
    asked: Option<Question>,
    /// Bytes of all frames so far.
    bytes: usize,
    pulse: Pulse,
    /// See [`Progress::changes`].
    changes: u32,
    accepted: Instant,
}

/// An `attention` in a log.
#[derive(Debug)]
struct Question {
    data: Value,
    /// Its index.
    index: usize,
    /// Bytes of the text before it.
    text: usize,
}

#[derive(Debug)]
struct Entry {
    id: EventId,
    kind: EventKind,
    /// A question of the agent's own; a dialog in its terminal is none.
    asks: bool,
    frame: Bytes,
    /// Bytes of all frames up to the end of this one.
    end: usize,
}

/// What was told of a turn.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Told {
    /// The answer's body as far as it was shown.
    pub text: String,
    /// How often the agent was told to ask a person; dialogs in its terminal do not count.
    pub attentions: u32,
    /// What it was told to ask last, a dialog or not: the event's data.
    pub asked: Option<Value>,
    /// It was told that the agent has the turn.
    pub started: bool,
}

/// What a reader gets from one look.
#[derive(Debug, Default)]
pub struct Batch {
    /// Encoded events, in order.
    pub frames: Vec<Bytes>,
    /// Where the next look begins.
    pub next: usize,
    /// The last event is final: nothing follows.
    pub ended: bool,
    /// There is an `attention` among them.
    pub asks: bool,
    /// See [`Progress::changes`].
    pub changes: u32,
}

/// Where a reader that holds some event id begins.
#[derive(Debug, PartialEq, Eq)]
pub enum Position {
    /// At this index: it holds everything before.
    At(usize),
    /// What it holds is not known here: it gets this frame, then goes on at the index.
    Resync(Bytes, usize),
}

impl Default for TurnLog {
    fn default() -> Self {
        Self::new()
    }
}

impl TurnLog {
    /// An empty log, before any runner: epoch 0.
    pub fn new() -> Self {
        let inner = Inner {
            entries: Vec::new(),
            next: EventId { epoch: 0, seq: 1 },
            text: String::new(),
            queued_at: None,
            asked: None,
            bytes: 0,
            pulse: Pulse::default(),
            changes: 0,
            accepted: Instant::now(),
        };
        Self { inner: RwLock::new(inner), progress: watch::Sender::default() }
    }

    /// A log as the store has it, to go on with.
    pub fn restored(events: &[Event]) -> Self {
        let log = Self::new();
        if let Some(last) = events.last() {
            log.write(|inner| inner.next = EventId { epoch: last.id.epoch, seq: last.id.seq + 1 });
        }
        log.publish(events);
        log
    }

    /// From now on events are written under this epoch, unless they are already.
    pub fn begin_epoch(&self, epoch: i64) {
        self.write(|inner| {
            if epoch > inner.next.epoch {
                inner.next = EventId { epoch, seq: 1 };
            }
        });
    }

    /// Gives an event its place, without showing it yet. The one writer of a log shows it by [`Self::publish`] before
    /// it stages the next, save for the events that end a turn: those are shown together once they are durable.
    pub fn stage(&self, kind: EventKind, data: Value) -> Event {
        self.write(|inner| {
            let id = inner.next;
            inner.next.seq += 1;
            Event { id, kind, data }
        })
    }

    /// Shows events to every reader.
    pub fn publish(&self, events: &[Event]) {
        let progress = self.write(|inner| {
            for event in events {
                inner.push(event);
            }
            inner.progress()
        });
        self.progress.send_replace(progress);
    }

    /// Changes what `thinking` tells; readers learn at once where that is something new.
    pub fn update_pulse(&self, change: impl FnOnce(&mut Pulse)) {
        let progress = self.write(|inner| {
            inner.change(change);
            inner.progress()
        });
        self.progress.send_if_modified(|known| std::mem::replace(known, progress) != progress);
    }

    /// What the turn does now, and when it was accepted.
    pub fn pulse(&self) -> (Pulse, Instant) {
        self.read(|inner| (inner.pulse.clone(), inner.accepted))
    }

    /// What was told of the turn so far, for whoever goes on with it, and the last question of the agent's own.
    pub fn told(&self) -> (Told, Option<EventId>) {
        self.read(|inner| {
            let asked = || inner.entries.iter().filter(|entry| entry.asks);
            let told = Told {
                text: inner.text.clone(),
                asked: inner.asked.as_ref().map(|asked| asked.data.clone()),
                attentions: u32::try_from(asked().count()).unwrap_or(u32::MAX),
                started: inner.entries.iter().any(|entry| entry.kind == EventKind::Meta),
            };
            (told, asked().next_back().map(|entry| entry.id))
        })
    }

    /// Whether there was a question, open or not.
    pub fn has_asked(&self) -> bool {
        self.read(|inner| inner.asked.is_some())
    }

    /// What a client that has seen everything holds as the answer.
    pub fn text(&self) -> String {
        self.read(|inner| inner.text.clone())
    }

    /// The position in the queue that its readers know.
    pub fn queued_at(&self) -> Option<u64> {
        self.read(|inner| inner.queued_at)
    }

    /// Where a reader begins that saw the event `seen` last.
    pub fn position(&self, seen: EventId) -> Position {
        self.read(|inner| {
            if seen == EventId::START {
                return Position::At(0);
            }
            if let Ok(index) = inner.entries.binary_search_by_key(&seen, |entry| entry.id) {
                return Position::At(index + 1);
            }
            let resync = |index: usize, text| Position::Resync(frame::resync(inner.entries[index].id, text), index + 1);
            // A question that is open is told again.
            if let Some((before, text)) = inner.before_open_question() {
                return resync(before, text);
            }
            // A final event is never replaced: it is sent as it is, after the text.
            let open = inner.entries.iter().rposition(|entry| !entry.kind.is_final());
            open.map_or(Position::At(0), |index| resync(index, &inner.text))
        })
    }

    /// Everything from `index` on.
    pub fn batch(&self, index: usize) -> Batch {
        self.read(|inner| Batch {
            frames: inner.entries.iter().skip(index).map(|entry| entry.frame.clone()).collect(),
            next: inner.entries.len(),
            ended: inner.entries.last().is_some_and(|entry| entry.kind.is_final()),
            asks: inner.entries.iter().skip(index).any(|entry| entry.kind == EventKind::Attention),
            changes: inner.changes,
        })
    }

    /// Bytes that lie between two indexes.
    pub fn bytes_between(&self, from: usize, to: usize) -> usize {
        self.read(|inner| {
            let end =
                |index: usize| index.checked_sub(1).and_then(|at| inner.entries.get(at)).map_or(0, |entry| entry.end);
            end(to).saturating_sub(end(from))
        })
    }

    /// Resolves whenever something has happened.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Readers that wait now.
    pub fn readers(&self) -> usize {
        self.progress.receiver_count()
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn progress(&self) -> Progress {
        Progress { events: self.entries.len(), changes: self.changes }
    }

    /// The index of the event before the question that is open, and the text as it was then.
    fn before_open_question(&self) -> Option<(usize, &str)> {
        let is_over = self.entries.last().is_some_and(|entry| entry.kind.is_final());
        let asked = self.asked.as_ref().filter(|_| self.pulse.attention && !is_over)?;
        // Where the text was replaced since, what replaced it is told again as well.
        Some((asked.index.checked_sub(1)?, self.text.get(..asked.text).unwrap_or_default()))
    }

    fn change(&mut self, change: impl FnOnce(&mut Pulse)) {
        let told = |pulse: &Pulse| (pulse.upstream(), pulse.activity.clone());
        let before = told(&self.pulse);
        change(&mut self.pulse);
        self.changes = self.changes.wrapping_add(u32::from(told(&self.pulse) != before));
    }

    fn push(&mut self, event: &Event) {
        match event.kind {
            EventKind::Content => {
                let piece = event.data.get("delta").or_else(|| event.data.get("text"));
                self.text.push_str(piece.and_then(Value::as_str).unwrap_or_default());
                if self.pulse.first.is_none() {
                    self.change(|pulse| pulse.first = Some(Instant::now()));
                }
            }
            EventKind::Resync => {
                self.text = event.data.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
            }
            EventKind::Attention => {
                let (index, text) = (self.entries.len(), self.text.len());
                self.asked = Some(Question { data: event.data.clone(), index, text });
                // In one step with the event: a reader that is told of somebody waited for no more has nothing to ask any more.
                self.change(|pulse| pulse.attention = true);
            }
            EventKind::Queued => self.queued_at = event.data.get("position").and_then(Value::as_u64),
            _ => {}
        }
        let frame = frame::event(event);
        self.bytes += frame.len();
        let asks = event.kind == EventKind::Attention && event.data.get("kind").is_none_or(|kind| kind != DIALOG);
        self.entries.push(Entry { id: event.id, kind: event.kind, asks, frame, end: self.bytes });
    }
}

#[cfg(test)]
mod tests;
