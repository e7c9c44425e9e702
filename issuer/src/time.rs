//! The clock: the only file of the issuer that asks the operating system what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shared::time::UnixMillis;

/// Tells the time; in tests, a time that can be moved. Clones share their shift.
#[derive(Clone, Debug)]
pub struct Clock {
    shift_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Self {
        Self::manual(Arc::default())
    }

    /// The system's time plus `shift_ms`, which several issuers in one process may share.
    pub const fn manual(shift_ms: Arc<AtomicI64>) -> Self {
        Self { shift_ms }
    }

    /// This moment.
    pub fn now(&self) -> UnixMillis {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let now = SystemTime::now();
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        UnixMillis::from_millis(millis.saturating_add(self.shift_ms.load(Ordering::SeqCst)))
    }

    /// Moves this clock, and those that share its shift, into the future.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.shift_ms.fetch_add(millis, Ordering::SeqCst);
    }
}

/// The moment as RFC 3339 writes it, in UTC and whole seconds; nothing for years that it cannot write.
pub fn rfc3339(moment: UnixMillis) -> Option<String> {
    let moment = time::OffsetDateTime::from_unix_timestamp(moment.to_secs().secs()).ok()?;
    moment
        .format(&time::format_description::well_known::Rfc3339)
        .ok()
}

/// Measures how long something took. Not a source of points in time.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "measures durations only")]
        let started = Instant::now();
        Self(started)
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_says() {
        let text = rfc3339(UnixMillis::from_millis(1_764_000_000_999));
        assert_eq!(text.as_deref(), Some("2025-11-24T16:00:00Z"));
        assert_eq!(rfc3339(UnixMillis::from_millis(i64::MAX)), None);
    }

    #[test]
    fn clocks_that_share_a_shift_move_together() {
        let shift = Arc::new(AtomicI64::new(0));
        let (one, other) = (Clock::manual(shift.clone()), Clock::manual(shift));
        let before = other.now();
        one.advance(Duration::from_secs(3600));
        assert!(other.now().since(before) >= Duration::from_secs(3600));
    }
}
