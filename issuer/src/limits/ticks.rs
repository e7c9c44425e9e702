//! The issuer's clock as `governor` reads it.

use std::time::Duration;

use governor::clock;

use crate::time::Clock;

/// Tells the time since the epoch. Where the system's clock is set back, allowances rest until it has caught up.
#[derive(Clone, Debug)]
pub(super) struct Ticks(pub(super) Clock);

impl clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().millis()).unwrap_or(0))
    }
}
