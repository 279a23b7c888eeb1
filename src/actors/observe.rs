//! The introspection snapshot: every actor has an entry here for as long as it lives or is waited for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::turn::Timestamp;

/// What an actor is up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Starting,
    /// It handles messages.
    Running,
    /// It ended, and its supervisor will start it again after the backoff.
    Waiting,
    /// It ended too often and is not started again until someone clears it.
    Failed,
}

/// All entries, by path.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Mutex<BTreeMap<String, Arc<Gauge>>>,
}

/// One actor's entry; shared by the actor, its supervisor and everyone who sends to it.
#[derive(Debug)]
pub struct Gauge {
    path: String,
    kind: &'static str,
    handled: AtomicU64,
    /// Sent and not yet handled. Signed: a message may be counted out before it is counted in.
    depth: AtomicI64,
    restarts: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    status: Status,
    since: Timestamp,
    last_failure: Option<String>,
    note: String,
}

/// One line of the snapshot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its place in the tree, `/` between the levels.
    pub path: String,
    /// What sort of actor it is.
    pub kind: &'static str,
    /// What it is up to.
    pub status: Status,
    /// Since when.
    pub since: Timestamp,
    /// Messages handled in all its incarnations.
    pub handled: u64,
    /// Messages that wait for it.
    pub mailbox: i64,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it ended last.
    pub last_failure: Option<String>,
    /// What it is doing now, in a few words.
    pub note: String,
}

impl Registry {
    /// Makes the entry of an actor; one that is there under this path is replaced.
    pub fn enter(&self, path: &str, kind: &'static str) -> Arc<Gauge> {
        let told = Told { status: Status::Starting, since: Timestamp::now(), last_failure: None, note: String::new() };
        let gauge = Arc::new(Gauge {
            path: path.to_owned(),
            kind,
            handled: AtomicU64::new(0),
            depth: AtomicI64::new(0),
            restarts: AtomicU64::new(0),
            told: Mutex::new(told),
        });
        self.entries().insert(path.to_owned(), gauge.clone());
        gauge
    }

    /// Drops the entry of an actor that is gone for good, and those of everything below it.
    pub fn leave(&self, path: &str) {
        self.leave_below(path);
        self.entries().remove(path);
    }

    /// Drops the entries of everything below an actor: it ended, and its children with it.
    pub fn leave_below(&self, path: &str) {
        let below = format!("{path}/");
        self.entries().retain(|entry, _| !entry.starts_with(&below));
    }

    /// Everything that runs, by path.
    pub fn snapshot(&self) -> Vec<Entry> {
        self.entries().values().map(|gauge| gauge.entry()).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Gauge>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gauge {
    /// Its place in the tree.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A message was put into the mailbox.
    pub fn sent(&self) {
        self.depth.fetch_add(1, Ordering::Relaxed);
    }

    /// A message was taken out of the mailbox; called first thing by every handler.
    pub fn handled(&self) {
        self.depth.fetch_sub(1, Ordering::Relaxed);
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages that wait.
    pub fn depth(&self) -> i64 {
        self.depth.load(Ordering::Relaxed).max(0)
    }

    /// What the actor is doing now, in a few words. No turn text.
    pub fn note(&self, note: impl Into<String>) {
        self.told().note = note.into();
    }

    /// The actor runs, with an empty mailbox.
    pub fn started(&self) {
        self.depth.store(0, Ordering::Relaxed);
        self.set(Status::Running);
    }

    /// The actor ended and will be started again.
    pub fn restarting(&self, failure: &str) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.told().last_failure = Some(failure.to_owned());
        self.set(Status::Waiting);
    }

    /// The actor ended too often.
    pub fn failed(&self, failure: &str) {
        self.told().last_failure = Some(failure.to_owned());
        self.set(Status::Failed);
    }

    fn set(&self, status: Status) {
        let mut told = self.told();
        told.status = status;
        told.since = Timestamp::now();
    }

    fn entry(&self) -> Entry {
        let told = self.told();
        Entry {
            path: self.path.clone(),
            kind: self.kind,
            status: told.status,
            since: told.since,
            handled: self.handled.load(Ordering::Relaxed),
            mailbox: self.depth(),
            restarts: self.restarts.load(Ordering::Relaxed),
            last_failure: told.last_failure.clone(),
            note: told.note.clone(),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_takes_everything_below_along_and_nothing_beside() {
        let registry = Registry::default();
        for path in ["root", "root/a", "root/a/b", "root/ab"] {
            registry.enter(path, "test");
        }
        registry.leave("root/a");
        let left: Vec<String> = registry.snapshot().into_iter().map(|entry| entry.path).collect();
        assert_eq!(left, ["root", "root/ab"]);
    }
}
