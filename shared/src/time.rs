//! Points in time, as whole seconds (what tokens carry) and as milliseconds (what freshness is measured in).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted: the NumericDate of RFC 7519 §2, whole seconds only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The moment `secs` seconds after the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Seconds since the epoch.
    pub const fn secs(self) -> i64 {
        self.0
    }

    /// This moment moved later by the whole seconds of `by`; stays at the end of time rather than wrap.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(by.as_secs()))
    }

    /// This moment moved earlier by the whole seconds of `by`.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(by.as_secs()))
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(i128::from(self.0) - i128::from(earlier.0)).unwrap_or(0))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(i64);

impl UnixMillis {
    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// The second this moment lies in.
    pub const fn to_secs(self) -> UnixTime {
        UnixTime(self.0.div_euclid(1000))
    }

    /// This moment moved later by the whole milliseconds of `by`.
    pub fn plus(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add_unsigned(by))
    }

    /// This moment moved earlier by the whole milliseconds of `by`.
    pub fn minus(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub_unsigned(by))
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(
            u64::try_from(i128::from(self.0) - i128::from(earlier.0)).unwrap_or(0),
        )
    }
}

impl From<UnixTime> for UnixMillis {
    fn from(time: UnixTime) -> Self {
        Self(time.0.saturating_mul(1000))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn differences_never_go_below_zero_and_never_wrap() {
        let (early, late) = (UnixTime::from_secs(10), UnixTime::from_secs(25));
        assert_eq!(late.since(early), Duration::from_secs(15));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(
            UnixTime::from_secs(i64::MAX).plus(Duration::MAX).secs(),
            i64::MAX
        );
        assert_eq!(
            UnixTime::from_secs(i64::MIN).since(UnixTime::from_secs(i64::MAX)),
            Duration::ZERO
        );
    }

    #[test]
    fn milliseconds_round_down_to_their_second() {
        assert_eq!(UnixMillis::from_millis(1999).to_secs().secs(), 1);
        assert_eq!(UnixMillis::from_millis(-1).to_secs().secs(), -1);
    }
}
