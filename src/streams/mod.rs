//! Streams of events: a log per open turn in memory, the store for what is over, and readers that go from the one to
//! the other without a gap.

pub mod follow;
pub mod frame;
pub mod log;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use log::{Position, Pulse, TurnLog};

use crate::turn::{Event, TurnId};

/// The logs of all open turns.
#[derive(Debug, Default)]
pub struct Streams {
    logs: Mutex<HashMap<TurnId, Arc<TurnLog>>>,
}

impl Streams {
    /// The log of a turn that was just accepted, or the one it has already.
    pub fn open(&self, turn: TurnId) -> Arc<TurnLog> {
        self.logs().entry(turn).or_default().clone()
    }

    /// The log of a turn that was open before this process or actor began; one that is here already is kept.
    pub fn restore(&self, turn: TurnId, events: &[Event]) -> Arc<TurnLog> {
        self.logs().entry(turn).or_insert_with(|| Arc::new(TurnLog::restored(events))).clone()
    }

    /// The log of an open turn.
    pub fn get(&self, turn: TurnId) -> Option<Arc<TurnLog>> {
        self.logs().get(&turn).cloned()
    }

    /// Forgets the log of a turn whose last event is durable and published. Its readers keep it until they are
    /// through; whoever comes later reads the store.
    pub fn close(&self, turn: TurnId) {
        self.logs().remove(&turn);
    }

    fn logs(&self) -> MutexGuard<'_, HashMap<TurnId, Arc<TurnLog>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
