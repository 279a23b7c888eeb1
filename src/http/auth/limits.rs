//! How much of it one user, or one address, may do.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::StatusCode;
use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::super::{Code, Problem};
use crate::config::Config;
use crate::turn::UserId;

/// Keys that are remembered before those which are not needed are dropped.
const MANY: usize = 4096;

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, MonotonicClock>;

/// The limits of this server.
pub struct Limits {
    /// None where there is no limit.
    requests: Option<Limiter<UserId>>,
    attempts: Option<Limiter<IpAddr>>,
}

impl Limits {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        Self { requests: limiter(config.server.rate_limit), attempts: limiter(config.auth.max_attempts) }
    }

    /// Counts a request of this user.
    ///
    /// # Errors
    /// 429 where it is one too many.
    pub fn request(&self, user: UserId) -> Result<(), Problem> {
        let too_many = |wait| {
            let detail = "you send too many requests";
            Problem::later(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, detail, Some(wait))
        };
        check(self.requests.as_ref(), &user).map_err(too_many)
    }

    /// Counts an attempt to get in from this address.
    ///
    /// # Errors
    /// 429 where it is one too many.
    pub fn attempt(&self, address: IpAddr) -> Result<(), Problem> {
        let too_many = |wait| {
            tracing::warn!(%address, "too many attempts to get in");
            let detail = "too many attempts from this address";
            Problem::later(StatusCode::TOO_MANY_REQUESTS, Code::TooManyAttempts, detail, Some(wait))
        };
        check(self.attempts.as_ref(), &address).map_err(too_many)
    }
}

/// A minute's worth may come at once.
fn limiter<K: Hash + Eq + Clone>(per_minute: u32) -> Option<Limiter<K>> {
    let quota = Quota::per_minute(NonZeroU32::new(per_minute)?);
    Some(RateLimiter::hashmap_with_clock(quota, MonotonicClock))
}

/// How long to wait, where there is too much of it.
fn check<K: Hash + Eq + Clone>(limiter: Option<&Limiter<K>>, key: &K) -> Result<(), Duration> {
    let Some(limiter) = limiter else { return Ok(()) };
    if limiter.len() > MANY {
        limiter.retain_recent();
    }
    limiter.check_key(key).map_err(|until| until.wait_time_from(MonotonicClock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_limit_and_those_that_are_not_needed_are_dropped() {
        let limiter = limiter(2);
        for key in [1, 2] {
            assert!(check(limiter.as_ref(), &key).is_ok());
            assert!(check(limiter.as_ref(), &key).is_ok());
            let wait = check(limiter.as_ref(), &key).unwrap_err();
            assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(30), "{wait:?}");
        }
        assert!(check::<u32>(None, &1).is_ok());
        // At this rate each key is as new after 60 ns.
        let quick = self::limiter(u32::MAX);
        for key in 0..10 * MANY {
            assert!(check(quick.as_ref(), &key).is_ok());
        }
        assert!(quick.is_some_and(|limiter| limiter.len() <= MANY + 1));
    }
}
