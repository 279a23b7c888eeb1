//! How much of it one user, or one address, may do.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// A limit for each key.
struct Limiter<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, MonotonicClock>,
    /// So many keys, and those that are not needed are dropped: twice as many as were needed the last time.
    sweep_at: AtomicUsize,
}

/// The limits of this server.
pub struct Limits {
    /// None where there is no limit.
    requests: Option<Limiter<UserId>>,
    tokens: Option<Limiter<IpAddr>>,
    links: Option<Limiter<IpAddr>>,
}

/// What is tried, to get in. Whoever tries the one is not kept from the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// A token.
    Token,
    /// A sign-in link.
    Link,
}

impl Limits {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        let attempts = config.auth.max_attempts;
        Self { requests: limiter(config.server.rate_limit), tokens: limiter(attempts), links: limiter(attempts) }
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

    /// Counts an attempt to get in from this address, that was in vain.
    ///
    /// # Errors
    /// 429 where it is one too many.
    pub fn attempt(&self, what: Attempt, address: IpAddr) -> Result<(), Problem> {
        let limiter = match what {
            Attempt::Token => &self.tokens,
            Attempt::Link => &self.links,
        };
        let too_many = |wait| {
            tracing::info!(%address, ?what, "too many attempts to get in");
            let detail = "too many attempts from this address";
            Problem::later(StatusCode::TOO_MANY_REQUESTS, Code::TooManyAttempts, detail, Some(wait))
        };
        check(limiter.as_ref(), &network(address)).map_err(too_many)
    }
}

/// Whoever has one address of IPv6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
    }
}

/// A minute's worth may come at once.
fn limiter<K: Hash + Eq + Clone>(per_minute: u32) -> Option<Limiter<K>> {
    let quota = Quota::per_minute(NonZeroU32::new(per_minute)?);
    let limiter = RateLimiter::hashmap_with_clock(quota, MonotonicClock);
    Some(Limiter { limiter, sweep_at: AtomicUsize::new(MANY) })
}

/// How long to wait, where there is too much of it.
fn check<K: Hash + Eq + Clone>(limiter: Option<&Limiter<K>>, key: &K) -> Result<(), Duration> {
    let Some(Limiter { limiter, sweep_at }) = limiter else { return Ok(()) };
    if limiter.len() > sweep_at.load(Ordering::Relaxed) {
        limiter.retain_recent();
        sweep_at.store(MANY.max(2 * limiter.len()), Ordering::Relaxed);
    }
    limiter.check_key(key).map_err(|until| until.wait_time_from(MonotonicClock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_as_one() {
        for (address, counts_as) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::9", "2001:db8:1:2::"),
            ("192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(network(address.parse().unwrap()), counts_as.parse::<IpAddr>().unwrap());
        }
    }

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
        assert!(quick.is_some_and(|limiter| limiter.limiter.len() <= MANY + 1));
    }
}
