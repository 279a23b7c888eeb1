//! Supervision as in OTP: child specs, restart kinds, backoff, and a restart budget for each child of its own.
//!
//! [`Children`] decides; the supervising actor acts. A child that exhausts its budget ends alone: its siblings and its
//! supervisor never notice.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, ActorId, SupervisionEvent};
use tokio::time::Instant;

use super::observe::Gauge;

/// When a child that ended is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Only after a failure.
    Transient,
    /// Never.
    Temporary,
}

/// How a child is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChildSpec {
    /// When it is started again.
    pub restart: Restart,
    /// Wait before the first restart; doubled for each further one within the period.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// Restart intensity: so many restarts ...
    pub restarts: usize,
    /// ... within this period are allowed. One more, and the child has failed.
    pub period: Duration,
}

impl ChildSpec {
    /// Started again after whatever end, at once at first, 5 times in 60 s.
    pub const PERMANENT: ChildSpec = ChildSpec {
        restart: Restart::Permanent,
        backoff: Duration::from_millis(10),
        backoff_max: Duration::from_secs(5),
        restarts: 5,
        period: Duration::from_secs(60),
    };

    /// The same, but not after its own stop.
    pub const TRANSIENT: ChildSpec = ChildSpec { restart: Restart::Transient, ..Self::PERMANENT };

    /// Never started again.
    pub const TEMPORARY: ChildSpec = ChildSpec { restart: Restart::Temporary, ..Self::PERMANENT };
}

/// How a child ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// By its own stop.
    Normal,
    /// By a panic or an error; holds what it said.
    Failure(String),
}

/// What to do about a child that ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Start it again after this long.
    RestartAfter(Duration),
    /// Its restart budget is used up.
    GiveUp,
    /// It is done.
    Forget,
}

/// A child's restarts within the period.
#[derive(Debug, Default)]
pub struct Budget {
    recent: VecDeque<Instant>,
}

impl Budget {
    /// What to do about a child that ended now.
    pub fn judge(&mut self, spec: &ChildSpec, end: &End, now: Instant) -> Verdict {
        let again = match spec.restart {
            Restart::Permanent => true,
            Restart::Transient => matches!(end, End::Failure(_)),
            Restart::Temporary => false,
        };
        if !again {
            return Verdict::Forget;
        }
        while self.recent.front().is_some_and(|at| now.duration_since(*at) > spec.period) {
            self.recent.pop_front();
        }
        if self.recent.len() >= spec.restarts {
            return Verdict::GiveUp;
        }
        let doublings = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        self.recent.push_back(now);
        let wait = spec.backoff.saturating_mul(2u32.saturating_pow(doublings));
        Verdict::RestartAfter(wait.min(spec.backoff_max))
    }
}

/// The children of one supervisor, each under a key of the supervisor's choice.
#[derive(Debug)]
pub struct Children<K> {
    children: HashMap<K, Child>,
    keys: HashMap<ActorId, K>,
}

#[derive(Debug)]
struct Child {
    spec: ChildSpec,
    gauge: Arc<Gauge>,
    budget: Budget,
}

impl<K> Default for Children<K> {
    fn default() -> Self {
        Self { children: HashMap::new(), keys: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash> Children<K> {
    /// A child was started, for the first time or again.
    pub fn started(&mut self, key: K, spec: ChildSpec, actor: &ActorCell, gauge: &Arc<Gauge>) {
        self.keys.insert(actor.get_id(), key.clone());
        let child = Child { spec, gauge: gauge.clone(), budget: Budget::default() };
        self.children.entry(key).or_insert(child);
    }

    /// The entry of a child that was there before, to go on with.
    pub fn gauge(&self, key: &K) -> Option<Arc<Gauge>> {
        self.children.get(key).map(|child| child.gauge.clone())
    }

    /// Forgets a child that is not there any more, and what it used of its budget.
    pub fn forget(&mut self, key: &K) {
        self.children.remove(key);
    }

    /// Reads an event of ractor's: which child ended, how, and what to do. `None` for events that need nothing.
    pub fn ended(&mut self, event: &SupervisionEvent) -> Option<(K, End, Verdict)> {
        let (actor, end) = match event {
            SupervisionEvent::ActorTerminated(actor, _, None) => (actor, End::Normal),
            // Nobody gives a reason for a stop that is as it should be.
            SupervisionEvent::ActorTerminated(actor, _, Some(reason)) => (actor, End::Failure(reason.clone())),
            SupervisionEvent::ActorFailed(actor, error) => (actor, End::Failure(error.to_string())),
            _ => return None,
        };
        let key = self.keys.remove(&actor.get_id())?;
        let verdict = self.judge(&key, &end);
        Some((key, end, verdict))
    }

    /// A child that was there before could not be started again.
    pub fn start_failed(&mut self, key: &K, error: &str) -> Verdict {
        self.judge(key, &End::Failure(error.to_owned()))
    }

    fn judge(&mut self, key: &K, end: &End) -> Verdict {
        let Some(child) = self.children.get_mut(key) else { return Verdict::Forget };
        let why = match end {
            End::Normal => "ended",
            End::Failure(why) => why,
        };
        let verdict = child.budget.judge(&child.spec, end, Instant::now());
        match verdict {
            Verdict::RestartAfter(_) => child.gauge.restarting(why),
            Verdict::GiveUp => child.gauge.failed(why),
            Verdict::Forget => {
                self.children.remove(key);
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> End {
        End::Failure("boom".to_owned())
    }

    #[test]
    fn backoff_doubles_up_to_its_limit_and_the_budget_ends() {
        let mut budget = Budget::default();
        let spec = ChildSpec { backoff_max: Duration::from_millis(50), ..ChildSpec::PERMANENT };
        let now = Instant::now();
        let waits: Vec<Verdict> = (0..5).map(|_| budget.judge(&spec, &failure(), now)).collect();
        let expected = [10, 20, 40, 50, 50].map(|ms| Verdict::RestartAfter(Duration::from_millis(ms)));
        assert_eq!(waits, expected);
        assert_eq!(budget.judge(&spec, &failure(), now), Verdict::GiveUp);
        let later = now + spec.period + Duration::from_millis(1);
        assert_eq!(budget.judge(&spec, &failure(), later), expected[0]);
    }

    #[test]
    fn the_kind_says_which_ends_count() {
        let now = Instant::now();
        let judge = |restart, end: &End| {
            Budget::default().judge(&ChildSpec { restart, ..ChildSpec::PERMANENT }, end, now) == Verdict::Forget
        };
        assert!(!judge(Restart::Permanent, &End::Normal));
        assert!(judge(Restart::Transient, &End::Normal));
        assert!(!judge(Restart::Transient, &failure()));
        assert!(judge(Restart::Temporary, &failure()));
    }
}
