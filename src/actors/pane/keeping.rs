//! When an agent that has ended may be started again: its profile's policy, backoff, and a budget. Without I/O.

use std::time::Duration;

use tokio::time::Instant;

use crate::actors::supervise::{Budget, ChildSpec, End, Restart, Verdict};
use crate::agent::profile::RestartPolicy;

/// How agents that end are started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restarts {
    /// Wait before the first restart; doubled for each further one within the period.
    pub backoff: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// So many ends of an agent ...
    pub limit: usize,
    /// ... within this period, and it is not started again.
    pub period: Duration,
}

/// What becomes of an agent that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It is started again after this long.
    Restart(Duration),
    /// It may be started again after this long, by whoever needs it.
    Wait(Duration),
    /// Its profile says that it is not started again.
    Stay,
    /// It has ended too often.
    GiveUp,
}

/// Whether an agent may be started now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leave {
    /// It may.
    Given,
    /// Not before then.
    From(Instant),
    /// Not before it is reset: it was there once, and is started once only.
    Once,
    /// Not before it is reset: it has ended too often.
    CrashLoop,
}

/// What is known of an agent's ends.
#[derive(Debug)]
pub struct Keeping {
    policy: RestartPolicy,
    spec: ChildSpec,
    budget: Budget,
    leave: Leave,
}

impl Keeping {
    /// Nothing has happened yet.
    pub fn new(policy: RestartPolicy, restarts: Restarts) -> Self {
        let Restarts { backoff, backoff_max, limit, period } = restarts;
        let spec =
            ChildSpec { restart: Restart::Permanent, backoff, backoff_max, restarts: limit.saturating_sub(1), period };
        Self { policy, spec, budget: Budget::default(), leave: Leave::Given }
    }

    /// The agent ended by itself, or could not be started. `needed`: without being asked, it would be there.
    pub fn ended(&mut self, now: Instant, needed: bool) -> Next {
        let verdict = self.budget.judge(&self.spec, &End::Normal, now);
        let (leave, next) = match (verdict, self.policy) {
            (_, RestartPolicy::Never) => (Leave::Once, Next::Stay),
            (Verdict::RestartAfter(wait), RestartPolicy::Permanent) if needed => {
                (Leave::From(now + wait), Next::Restart(wait))
            }
            (Verdict::RestartAfter(wait), _) => (Leave::From(now + wait), Next::Wait(wait)),
            (Verdict::GiveUp | Verdict::Forget, _) => (Leave::CrashLoop, Next::GiveUp),
        };
        self.leave = leave;
        next
    }

    /// Whether it may be started.
    pub fn leave(&self, now: Instant) -> Leave {
        match self.leave {
            Leave::From(then) if then <= now => Leave::Given,
            leave => leave,
        }
    }

    /// It is reset: what was, does not count any more.
    pub fn clear(&mut self) {
        self.budget = Budget::default();
        self.leave = Leave::Given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTARTS: Restarts = Restarts {
        backoff: Duration::from_millis(500),
        backoff_max: Duration::from_secs(3),
        limit: 5,
        period: Duration::from_secs(60),
    };

    #[test]
    fn five_ends_in_a_row_are_too_many_until_a_reset() {
        let mut keeping = Keeping::new(RestartPolicy::Permanent, RESTARTS);
        let now = Instant::now();
        let nexts: Vec<Next> = (0..5).map(|_| keeping.ended(now, true)).collect();
        let restart = |ms| Next::Restart(Duration::from_millis(ms));
        assert_eq!(nexts, [restart(500), restart(1_000), restart(2_000), restart(3_000), Next::GiveUp]);
        assert_eq!(keeping.leave(now + RESTARTS.period * 10), Leave::CrashLoop);
        keeping.clear();
        assert_eq!((keeping.leave(now), keeping.ended(now, true)), (Leave::Given, restart(500)));
        let later = now + RESTARTS.period + Duration::from_millis(1);
        assert_eq!(keeping.ended(later, true), restart(500), "ends of long ago do not count");
    }

    #[test]
    fn the_policy_says_who_starts_it_again() {
        let now = Instant::now();
        let wait = Duration::from_millis(500);
        for (policy, needed, next) in [
            (RestartPolicy::Permanent, false, Next::Wait(wait)),
            (RestartPolicy::OnDemand, true, Next::Wait(wait)),
            (RestartPolicy::Never, true, Next::Stay),
        ] {
            let mut keeping = Keeping::new(policy, RESTARTS);
            assert_eq!(keeping.ended(now, needed), next, "{policy:?}");
            let leave = if next == Next::Stay { Leave::Once } else { Leave::From(now + wait) };
            assert_eq!(keeping.leave(now), leave);
            assert_eq!(keeping.leave(now + wait) == Leave::Given, next != Next::Stay);
        }
    }
}
