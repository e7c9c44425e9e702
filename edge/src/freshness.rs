//! When knowledge is renewed in the background, so that requests need not wait for it.

use std::time::Duration;

use shared::time::UnixMillis;

use crate::identity::Due;
use crate::rule::LEAST_FRESHNESS;
use crate::view::{View, ago};

pub mod turn;

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
    due_in_time(view, kv_asked_at, freshness, in_time(freshness), now)
}

/// The same after a look at an open connection. Nothing can be held back there until the issuer has answered, so where KV
/// is too slow it is asked at half of the bound.
pub fn due_while_open(
    view: Option<&View>,
    kv_asked_at: Option<UnixMillis>,
    freshness: Duration,
    now: UnixMillis,
) -> Due {
    due_in_time(view, kv_asked_at, freshness, freshness / 2, now)
}

/// After which time [`due_while_open`] names something, unless somebody else renews it before.
pub fn until_due_while_open(
    view: Option<&View>,
    kv_asked_at: Option<UnixMillis>,
    freshness: Duration,
    now: UnixMillis,
) -> Duration {
    let (Some(view), Some(asked_at)) = (view, kv_asked_at) else {
        return Duration::ZERO;
    };
    let (age, kv_age) = (view.age(now), ago(asked_at, now));
    let half = (freshness / 2).saturating_sub(age);
    let old = if kv_can_help(freshness) {
        let again = KV_INTERVAL_WHEN_OLD.saturating_sub(kv_age);
        half.max(again)
            .min(issuer_in_time(freshness).saturating_sub(age))
    } else {
        half
    };
    old.min(KV_INTERVAL.saturating_sub(kv_age))
}

/// Whether the issuer was asked, at `asked_at`, since it was time to, for an open connection on a route with this
/// `freshness`: then its bound is not put off any more.
pub fn asked_in_time(
    view: Option<&View>,
    asked_at: Option<UnixMillis>,
    freshness: Duration,
    now: UnixMillis,
) -> bool {
    let latest = if kv_can_help(freshness) {
        issuer_in_time(freshness)
    } else {
        freshness / 2
    };
    let age = view.map_or(Duration::MAX, |view| view.age(now));
    asked_at.is_some_and(|at| ago(at, now) <= age.saturating_sub(latest))
}

fn due_in_time(
    view: Option<&View>,
    kv_asked_at: Option<UnixMillis>,
    freshness: Duration,
    in_time: Duration,
    now: UnixMillis,
) -> Due {
    let (Some(view), Some(asked_at)) = (view, kv_asked_at) else {
        return Due::Nothing;
    };
    let (age, kv_age) = (view.age(now), ago(asked_at, now));
    if kv_age >= KV_INTERVAL {
        return Due::Kv;
    }
    if !kv_can_help(freshness) {
        return if age > in_time {
            Due::Issuer
        } else {
            Due::Nothing
        };
    }
    if age > freshness / 2 && kv_age >= KV_INTERVAL_WHEN_OLD {
        Due::Kv
    } else if age > issuer_in_time(freshness) {
        Due::Issuer
    } else {
        Due::Nothing
    }
}

/// Whether a request that cannot wait should look into KV before it asks the issuer.
pub fn kv_first(kv_asked_at: Option<UnixMillis>, freshness: Duration, now: UnixMillis) -> bool {
    kv_asked_at.is_none_or(|at| ago(at, now) >= KV_INTERVAL_WHEN_OLD && kv_can_help(freshness))
}

/// Whether an answer that another isolate shared will do, after which what is known is so old: for every rule, and so that
/// it need not be renewed at once.
pub fn shared_will_do(age: Duration) -> bool {
    age <= in_time(LEAST_FRESHNESS)
}

/// Whether it was of use for every rule to ask the issuer, after whose answer what is known is so old.
pub fn issuer_helped(age: Duration) -> bool {
    age <= LEAST_FRESHNESS
}

/// The age at which the issuer is asked where KV could have helped.
fn issuer_in_time(freshness: Duration) -> Duration {
    freshness.saturating_sub(MARGIN)
}

/// The age at which what is known is renewed where KV is too slow for the bound.
fn in_time(freshness: Duration) -> Duration {
    freshness.mul_f32(0.75)
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
            // The clock was put back: nobody knows when KV was asked, or how old anything is.
            (1, ago(-1), MINUTE, Due::Kv),
            (-1, ago(9), MINUTE, Due::Issuer),
            (-1, ago(9), STRICT, Due::Issuer),
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
        assert!(kv_first(ago(-1), MINUTE, NOW), "the clock was put back");
    }

    #[test]
    fn what_others_share_serves_the_narrowest_rule_and_is_not_renewed_at_once() {
        let millis = Duration::from_millis;
        assert!(shared_will_do(millis(1_500)) && !shared_will_do(millis(1_501)));
        assert!(issuer_helped(millis(2_000)) && !issuer_helped(millis(2_001)));
        assert!(!issuer_helped(Duration::MAX));
    }
}
