//! When to write, and how long to wait after a failure.

use std::time::Duration;

use crate::entropy;

/// KV takes one write a second for each key.
pub(super) const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// What is to be written of the revocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// The head.
    pub(super) head: bool,
    /// A new base, and the head over it.
    pub(super) base: bool,
}

impl Due {
    /// All of it.
    pub(super) const EVERYTHING: Self = Self {
        head: true,
        base: true,
    };

    /// Whether there is anything.
    pub(super) const fn any(self) -> bool {
        self.head || self.base
    }
}

/// Waits that double from one failure to the next.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_secs(1);
    /// The first write after KV is back must not be long in coming: routes count on it.
    const LONGEST: Duration = Duration::from_secs(10);

    /// How long to wait now.
    pub(super) fn next(&mut self) -> Duration {
        let doubled = Self::FIRST.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        jittered(doubled.min(Self::LONGEST))
    }
}

/// `around`, up to a quarter shorter or longer, so that issuers do not march in step.
pub(super) fn jittered(around: Duration) -> Duration {
    around.mul_f64(0.75 + entropy::jitter() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<f64> = (0..40).map(|_| backoff.next().as_secs_f64()).collect();
        assert!((0.75..=1.25).contains(&waits[0]), "{waits:?}");
        assert!((1.5..=2.5).contains(&waits[1]), "{waits:?}");
        assert!(
            waits[10..].iter().all(|wait| (7.5..=12.5).contains(wait)),
            "{waits:?}"
        );
    }
}
