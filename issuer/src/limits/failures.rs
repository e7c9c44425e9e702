//! How many failed sign-ins the security log gets. Anybody can make as many as they like, so past a rate they are counted, and
//! the next one that is written says how many there were.
//!
//! The rate is one for all: a failure at an account that exists costs no statement more than any other.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::ticks::Ticks;
use crate::events::Detail;
use crate::time::Clock;

/// How many are written in a minute, by each issuer.
pub const WRITTEN_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// What is written of failed sign-ins.
pub struct Failures {
    limiter: RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<std::time::Duration>>,
    left_out: AtomicU64,
}

impl Failures {
    /// With nothing counted yet.
    pub fn new(clock: &Clock) -> Self {
        let quota = Quota::per_minute(WRITTEN_PER_MINUTE);
        Self {
            limiter: RateLimiter::new(quota, InMemoryState::default(), Ticks(clock.clone())),
            left_out: AtomicU64::new(0),
        }
    }

    /// Counts a failure. `Some` where it is to be written, with the detail for it: `method`, and how many were not written
    /// since the last one.
    pub fn detail(&self, method: &str) -> Option<Detail> {
        if self.limiter.check().is_err() {
            self.count();
            return None;
        }
        let detail = Detail::NONE.with("provider", method);
        Some(match self.left_out.swap(0, Ordering::Relaxed) {
            0 => detail,
            left_out => detail.with("not_written_before", left_out),
        })
    }

    /// Counts a failure that is never written by itself: one that a limit refused.
    pub fn count(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn past_the_rate_they_are_counted_and_the_next_one_says_so() {
        let clock = Clock::system();
        let failures = Failures::new(&clock);
        let written = (0..1000).filter_map(|_| failures.detail("password"));
        assert_eq!(written.count(), 60);
        failures.count();
        clock.advance(Duration::from_secs(2));
        let plain = Detail::NONE.with("provider", "password");
        let said = failures.detail("password").unwrap();
        assert_eq!(said, plain.clone().with("not_written_before", 941));
        assert_eq!(failures.detail("password"), Some(plain));
    }
}
