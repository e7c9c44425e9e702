//! When knowledge is renewed in the background, so that requests need not wait for it.

use std::time::Duration;

use shared::time::UnixMillis;

use crate::identity::Due;
use crate::view::View;

/// How long a look into KV lasts: the smallest `cacheTtl`. Looking again sooner shows the same.
pub const KV_INTERVAL: Duration = Duration::from_secs(30);

/// How long a background renewal may run before another one is started: the first may have been cancelled.
pub const RENEWAL_LIMIT: Duration = Duration::from_secs(10);

/// What to renew after a request for a route with this `freshness`.
///
/// KV every half minute. The issuer, where KV is too slow for the route: when three quarters of its bound are used up,
/// so that a busy route hardly ever waits. `kv_asked_at` is `None` while a renewal runs: then nothing is due.
pub fn due(
    view: Option<&View>,
    kv_asked_at: Option<UnixMillis>,
    freshness: Duration,
    now: UnixMillis,
) -> Due {
    let Some(asked_at) = kv_asked_at else {
        return Due::Nothing;
    };
    if now.since(asked_at) >= KV_INTERVAL {
        return Due::Kv;
    }
    match view {
        Some(view) if view.age(now) > freshness.mul_f32(0.75) => Due::Issuer,
        _ => Due::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn kv_first_and_the_issuer_where_that_is_too_slow() {
        let now = UnixMillis::from_millis(1_000_000);
        let ago = |seconds: i64| Some(UnixMillis::from_millis(1_000_000 - seconds * 1000));
        let aged = |seconds| fixtures::view(now, seconds, vec![]);
        let minute = Duration::from_secs(60);
        assert_eq!(due(Some(&aged(1)), ago(1), minute, now), Due::Nothing);
        assert_eq!(due(Some(&aged(1)), ago(30), minute, now), Due::Kv);
        assert_eq!(due(Some(&aged(46)), ago(1), minute, now), Due::Issuer);
        assert_eq!(due(Some(&aged(45)), ago(1), minute, now), Due::Nothing);
        assert_eq!(
            due(Some(&aged(2)), ago(1), Duration::from_secs(2), now),
            Due::Issuer
        );
        assert_eq!(due(Some(&aged(99)), None, minute, now), Due::Nothing);
    }
}
