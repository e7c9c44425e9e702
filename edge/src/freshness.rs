//! When knowledge is renewed in the background, so that requests need not wait for it.

use std::time::Duration;

use shared::time::UnixMillis;

use crate::identity::Due;
use crate::view::View;

/// How long a look into KV lasts: the smallest `cacheTtl`. Looking again sooner mostly shows the same.
pub const KV_INTERVAL: Duration = Duration::from_secs(30);

/// How soon to look again where what is known gets old: what KV keeps at this location may be replaced at any time.
const KV_INTERVAL_WHEN_OLD: Duration = Duration::from_secs(10);

/// So long before a bound the issuer is asked where KV could have helped and did not.
const MARGIN: Duration = Duration::from_secs(5);

/// Whether KV can be young enough for a bound: its head is written every half minute.
pub fn kv_can_help(freshness: Duration) -> bool {
    freshness >= KV_INTERVAL
}

/// What to renew after a request for a route with this `freshness`.
///
/// KV every half minute, and sooner when half of the bound is used up. The issuer only where that did not help, just
/// before the bound; or at three quarters of it, where KV is too slow for the route: so a busy route hardly ever waits.
/// `kv_asked_at` is `None` while a renewal runs: then nothing is due.
pub fn due(
    view: Option<&View>,
    kv_asked_at: Option<UnixMillis>,
    freshness: Duration,
    now: UnixMillis,
) -> Due {
    let (Some(view), Some(asked_at)) = (view, kv_asked_at) else {
        return Due::Nothing;
    };
    let (age, kv_age) = (view.age(now), now.since(asked_at));
    if kv_age >= KV_INTERVAL {
        return Due::Kv;
    }
    if !kv_can_help(freshness) {
        return if age > freshness.mul_f32(0.75) {
            Due::Issuer
        } else {
            Due::Nothing
        };
    }
    if age > freshness / 2 && kv_age >= KV_INTERVAL_WHEN_OLD {
        Due::Kv
    } else if age + MARGIN > freshness {
        Due::Issuer
    } else {
        Due::Nothing
    }
}

/// Whether a request that cannot wait should look into KV before it asks the issuer.
pub fn kv_first(kv_asked_at: Option<UnixMillis>, freshness: Duration, now: UnixMillis) -> bool {
    kv_asked_at.is_none_or(|at| now.since(at) >= KV_INTERVAL_WHEN_OLD && kv_can_help(freshness))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    const NOW: UnixMillis = UnixMillis::from_millis(1_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const STRICT: Duration = Duration::from_secs(2);

    fn ago(seconds: i64) -> Option<UnixMillis> {
        Some(UnixMillis::from_millis(NOW.millis() - seconds * 1000))
    }

    #[test]
    fn kv_first_and_the_issuer_where_that_is_too_slow() {
        for (age, kv_asked_at, freshness, expected) in [
            (1, ago(1), MINUTE, Due::Nothing),
            (1, ago(30), MINUTE, Due::Kv),
            (31, ago(9), MINUTE, Due::Nothing),
            (31, ago(10), MINUTE, Due::Kv),
            (55, ago(9), MINUTE, Due::Nothing),
            (56, ago(9), MINUTE, Due::Issuer),
            (56, ago(10), MINUTE, Due::Kv),
            (1, ago(1), STRICT, Due::Nothing),
            (2, ago(1), STRICT, Due::Issuer),
            (2, ago(29), STRICT, Due::Issuer),
            (2, ago(30), STRICT, Due::Kv),
            (99, None, MINUTE, Due::Nothing),
        ] {
            let view = fixtures::view(NOW, age, vec![]);
            assert_eq!(
                due(Some(&view), kv_asked_at, freshness, NOW),
                expected,
                "{age} s, {kv_asked_at:?}, {freshness:?}"
            );
        }
        assert_eq!(due(None, ago(99), MINUTE, NOW), Due::Nothing);
    }

    #[test]
    fn who_waits_looks_into_kv_only_if_that_may_help() {
        assert!(kv_first(None, STRICT, NOW));
        assert!(kv_first(ago(10), MINUTE, NOW));
        assert!(!kv_first(ago(9), MINUTE, NOW));
        assert!(!kv_first(ago(99), STRICT, NOW));
    }
}
