//! Follows one turn from a client's last event to the end, wherever the events are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use super::frame;
use super::log::{Position, Progress, Pulse, TurnLog, Upstream};
use crate::store::{Store, StoreError, Turn};
use crate::turn::{ErrorCode, Event, EventId, EventKind, TurnState, error_data};

/// Events of a finished turn that are read from the store at once.
const PAGE: u32 = 500;

/// Intervals and limits of a reader.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Of `thinking`.
    pub thinking: Duration,
    /// Of `ping`.
    pub ping: Duration,
    /// The `retry` field.
    pub retry: Duration,
    /// Bytes behind the live turn after which a reader is dropped.
    pub max_lag: usize,
}

/// The frames of an open turn after `seen`. Ends after the final event, when `closing` turns true, or when the reader
/// lags too far behind what happened since it came (it can resume).
pub fn live(log: Arc<TurnLog>, seen: EventId, pace: Pace, closing: watch::Receiver<bool>) -> BoxStream<'static, Bytes> {
    let (first, index) = match log.position(seen) {
        Position::At(index) => (None, index),
        Position::Resync(frame, index) => (Some(frame), index),
    };
    let (pulse, _) = log.pulse();
    let may_ask = first.is_some() || log.has_asked();
    let reader = Reader {
        progress: log.watch(),
        backlog: log.batch(index).next,
        // Whoever comes takes it that nothing special is done, and that nobody is waited for, unless it may hold a question:
        // that is answered in either case.
        told: (Some(pulse.upstream()).filter(|upstream| *upstream != Upstream::Attention && !may_ask), None),
        changes: None,
        index,
        thinking: interval(pace.thinking),
        ping: interval(pace.ping),
        closing,
        ended: false,
        pace,
        log,
    };
    let opening = [Some(frame::retry(pace.retry.as_millis())), first].into_iter().flatten();
    stream::iter(opening).chain(stream::unfold(reader, Reader::next).flat_map(stream::iter)).boxed()
}

fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

struct Reader {
    log: Arc<TurnLog>,
    progress: watch::Receiver<Progress>,
    index: usize,
    /// Events that were there when the reader came: being behind these is no fault of its own.
    backlog: usize,
    /// Upstream and activity as `thinking` told them last.
    told: (Option<Upstream>, Option<Arc<str>>),
    /// The log's count of changes when these were looked at.
    changes: Option<u32>,
    thinking: Interval,
    ping: Interval,
    closing: watch::Receiver<bool>,
    ended: bool,
    pace: Pace,
}

impl Reader {
    async fn next(mut self) -> Option<(Vec<Bytes>, Reader)> {
        // Whoever has to wait has caught up. Only what piled up while the connection was busy with earlier events is
        // the reader's own delay.
        let mut caught_up = false;
        loop {
            if self.ended || *self.closing.borrow() {
                return None;
            }
            self.progress.mark_unchanged();
            let batch = self.log.batch(self.index);
            if batch.next > self.index {
                let lag = self.log.bytes_between(self.index.max(self.backlog), batch.next);
                if !caught_up && lag > self.pace.max_lag {
                    tracing::info!(lag, "slow reader dropped");
                    return None;
                }
                self.index = batch.next;
                self.ended = batch.ended;
                self.thinking.reset();
                self.ping.reset();
                let mut frames = batch.frames;
                if batch.asks {
                    // Whoever reads of a question takes it for open, and learns at once where it is not any more.
                    (self.told.0, self.changes) = (None, None);
                }
                if !self.ended {
                    frames.extend(self.changed(batch.changes));
                }
                return Some((frames, self));
            }
            if batch.ended {
                return None;
            }
            if let Some(frame) = self.changed(batch.changes) {
                self.thinking.reset();
                self.ping.reset();
                return Some((vec![frame], self));
            }
            caught_up = true;
            tokio::select! {
                _ = self.progress.changed() => {}
                _ = self.closing.changed() => {}
                _ = self.thinking.tick() => {
                    self.ping.reset();
                    let (pulse, accepted) = self.log.pulse();
                    return Some((vec![self.thinking(&pulse, accepted)], self));
                }
                _ = self.ping.tick() => return Some((vec![frame::transient("ping", &json!({}))], self)),
            }
        }
    }

    /// A `thinking` where upstream or activity are not what this reader was told last.
    fn changed(&mut self, changes: u32) -> Option<Bytes> {
        if self.changes.replace(changes) == Some(changes) {
            return None;
        }
        let (pulse, accepted) = self.log.pulse();
        let same = self.told.0 == Some(pulse.upstream()) && self.told.1 == pulse.activity;
        (!same).then(|| self.thinking(&pulse, accepted))
    }

    fn thinking(&mut self, pulse: &Pulse, accepted: Instant) -> Bytes {
        self.told = (Some(pulse.upstream()), pulse.activity.clone());
        let seconds = |since: Instant| since.elapsed().as_secs();
        let data = json!({
            "elapsed_seconds": seconds(accepted),
            "since_first": pulse.first.map(seconds),
            "upstream": pulse.upstream().as_str(),
            "activity": pulse.activity.as_deref(),
        });
        frame::transient("thinking", &data)
    }
}

/// The frames of a finished turn after `seen`, from the store; `None` where nothing follows.
///
/// # Errors
/// Where the store does not answer.
pub async fn finished(
    store: &dyn Store,
    turn: &Turn,
    seen: EventId,
    pace: Pace,
) -> Result<Option<Vec<Bytes>>, StoreError> {
    let mut frames = vec![frame::retry(pace.retry.as_millis())];
    if !turn.state.is_final() {
        // Its log is just being opened, or its owner is being restarted: the client shall come again.
        return Ok(Some(frames));
    }
    let known = seen == EventId::START || store.has_event(turn.turn_id, seen).await?;
    let mut events = Vec::new();
    let mut after = if known { seen } else { EventId::START };
    loop {
        let page = store.events_after(turn.turn_id, after, PAGE).await?;
        let full = page.len() == PAGE as usize;
        after = page.last().map_or(after, |event| event.id);
        events.extend(page);
        if !full {
            break;
        }
    }
    if known && events.is_empty() && seen != EventId::START {
        return Ok(None);
    }
    if known && is_whole(seen, &events) {
        frames.extend(told(&events).map(frame::event));
        return Ok(Some(frames));
    }
    // What the client holds is unknown, or the events were pruned: the row is the record.
    let open = events.iter().rfind(|event| !event.kind.is_final()).map(|event| event.id);
    let last = events.into_iter().next_back().filter(|event| event.kind.is_final());
    let newer = match &last {
        // A late answer came after the row was read.
        Some(last) if last.kind == EventKind::End && turn.state != TurnState::Done => store.turn(turn.turn_id).await?,
        _ => None,
    };
    let turn = newer.as_ref().unwrap_or(turn);
    let ending = last.unwrap_or_else(|| ending(turn));
    if seen == ending.id {
        return Ok(None);
    }
    let covered = open.unwrap_or(EventId { epoch: ending.id.epoch, seq: ending.id.seq - 1 });
    let text = turn.response.as_deref().or(turn.partial.as_deref()).unwrap_or_default();
    frames.push(frame::resync(covered, text));
    frames.push(frame::event(&ending));
    Ok(Some(frames))
}

/// Whether these are all events after `seen`, to the end. Events that nobody waits for can be lost with the recorder: what
/// has a hole is not told as if it were whole.
fn is_whole(seen: EventId, events: &[Event]) -> bool {
    events.last().is_some_and(|event| event.kind.is_final()) && is_gapless(seen, events)
}

/// What is told of these events: a connection closes after a final one, so an error that a late answer has overtaken is
/// left out.
fn told(events: &[Event]) -> impl Iterator<Item = &Event> {
    let last = events.last().map(|event| event.id);
    events.iter().filter(move |event| !event.kind.is_final() || Some(event.id) == last)
}

/// Whether each event follows the one before, or begins an epoch.
fn is_gapless(seen: EventId, events: &[Event]) -> bool {
    let follows = |before: EventId, id: EventId| {
        if id.epoch == before.epoch { id.seq == before.seq + 1 } else { id.epoch > before.epoch && id.seq == 1 }
    };
    let before = std::iter::once(seen).chain(events.iter().map(|event| event.id));
    before.zip(events).all(|(before, event)| follows(before, event.id))
}

/// The final event of a turn whose events are gone, told from its row.
fn ending(turn: &Turn) -> Event {
    // A late end is not that of the error which it overtook: a client may hold the one and not the other.
    let id = EventId { epoch: turn.epoch + i64::from(turn.late), seq: i64::from(i32::MAX) };
    match turn.state {
        TurnState::Done => Event { id, kind: EventKind::End, data: end_data(turn, false) },
        state => {
            let fallback = if state == TurnState::Cancelled { ErrorCode::Cancelled } else { ErrorCode::Uncertain };
            let code = turn.error_code.unwrap_or(fallback);
            Event { id, kind: EventKind::Error, data: error_data(code, "the turn ended without an answer") }
        }
    }
}

/// Data of an `end` event, from the row.
pub fn end_data(turn: &Turn, streamed: bool) -> Value {
    let mut data = json!({
        "turn_id": turn.turn_id,
        "used_tools": turn.used_tools,
        "rows_seen": turn.rows_seen,
        "chip_count": turn.chip_count,
        "classifier_tag": turn.classifier_tag,
        "duration_ms": turn.duration_ms,
        "streamed": streamed,
        "late": turn.late,
    });
    if let Some(id) = &turn.aichat_conversation_id {
        data["aichat_conversation_id"] = json!(id);
    }
    data
}

#[cfg(test)]
mod tests;
