//! What is known of the sessions' health, and who waits to know. Without I/O and without a clock of its own.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// What is known. `W` waits to be told.
#[derive(Debug)]
pub struct Known<W> {
    /// How long a good result holds.
    cache: Duration,
    /// Until when a session counts as healthy.
    good_until: HashMap<String, Instant>,
    /// By session; one at a time.
    probes: HashMap<String, Probe<W>>,
    /// Numbers the probes.
    count: u64,
}

#[derive(Debug)]
struct Probe<W> {
    number: u64,
    waiting: Vec<W>,
    /// It began before the last that happened to its session.
    is_stale: bool,
}

/// What is to be done for whoever asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked<W> {
    /// It is healthy.
    Good(W),
    /// A probe of this number is to be made.
    Probe(u64),
    /// One is under way.
    Waits,
}

/// What is to be done about the result of a probe.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<W> {
    /// These are told.
    Tell(Vec<W>),
    /// It does not hold any more: another probe, of this number, is to be made.
    Again(u64),
    /// Nobody waits for it.
    Nothing,
}

impl<W> Known<W> {
    pub(super) fn new(cache: Duration) -> Self {
        Self { cache, good_until: HashMap::new(), probes: HashMap::new(), count: 0 }
    }

    pub(super) fn ask(&mut self, session: &str, waiter: W, now: Instant) -> Asked<W> {
        if self.good_until.get(session).is_some_and(|until| now < *until) {
            Asked::Good(waiter)
        } else if let Some(probe) = self.probes.get_mut(session) {
            probe.waiting.push(waiter);
            Asked::Waits
        } else {
            Asked::Probe(self.begin(session, vec![waiter]))
        }
    }

    fn begin(&mut self, session: &str, waiting: Vec<W>) -> u64 {
        self.count += 1;
        let probe = Probe { number: self.count, waiting, is_stale: false };
        self.probes.insert(session.to_owned(), probe);
        self.count
    }

    /// A good result holds for a while; a bad one is told, and not kept.
    pub(super) fn probed(&mut self, session: &str, number: u64, is_good: bool, now: Instant) -> Found<W> {
        if self.probes.get(session).is_none_or(|probe| probe.number != number) {
            return Found::Nothing;
        }
        let Some(probe) = self.probes.remove(session) else { return Found::Nothing };
        if probe.is_stale {
            return Found::Again(self.begin(session, probe.waiting));
        }
        self.good_until.retain(|_, until| now < *until);
        if is_good {
            self.good_until.insert(session.to_owned(), now + self.cache);
        }
        Found::Tell(probe.waiting)
    }

    /// Something has happened to this session.
    pub(super) fn forget(&mut self, session: &str) {
        self.good_until.remove(session);
        if let Some(probe) = self.probes.get_mut(session) {
            probe.is_stale = true;
        }
    }

    /// For people.
    pub(super) fn note(&self) -> String {
        let (healthy, now, count) = (self.good_until.len(), self.probes.len(), self.count);
        format!("{healthy} healthy, {now} being probed, {count} probes so far")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CACHE: Duration = Duration::from_secs(10);

    #[test]
    fn there_is_one_probe_at_a_time_and_a_good_result_holds() {
        let (mut known, now) = (Known::new(CACHE), Instant::now());
        assert_eq!(known.ask("a", 1, now), Asked::Probe(1));
        assert_eq!(known.ask("a", 2, now), Asked::Waits);
        assert_eq!(known.ask("b", 3, now), Asked::Probe(2), "that of another session");
        assert_eq!(known.probed("a", 1, true, now), Found::Tell(vec![1, 2]));
        assert_eq!(known.ask("a", 4, now + CACHE - Duration::from_millis(1)), Asked::Good(4));
        assert_eq!(known.ask("a", 5, now + CACHE), Asked::Probe(3));
        assert_eq!(known.probed("a", 1, true, now), Found::Nothing, "an old one");
    }

    #[test]
    fn a_bad_result_is_told_and_not_kept() {
        let (mut known, now) = (Known::new(CACHE), Instant::now());
        assert_eq!(known.ask("a", 1, now), Asked::Probe(1));
        assert_eq!(known.probed("a", 1, false, now), Found::Tell(vec![1]));
        assert_eq!(known.ask("a", 2, now), Asked::Probe(2));
    }

    #[test]
    fn what_happens_to_a_session_makes_what_was_found_void() {
        let (mut known, now) = (Known::new(CACHE), Instant::now());
        assert_eq!(known.ask("a", 1, now), Asked::Probe(1));
        known.forget("a");
        assert_eq!(known.ask("a", 2, now), Asked::Waits);
        assert_eq!(known.probed("a", 1, true, now), Found::Again(2));
        assert_eq!(known.probed("a", 2, true, now), Found::Tell(vec![1, 2]));
        known.forget("a");
        assert_eq!(known.ask("a", 3, now), Asked::Probe(3));
    }
}
