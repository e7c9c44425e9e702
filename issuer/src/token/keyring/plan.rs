//! Deciding which signing keys to make and which to forget. Pure.

use std::time::Duration;

use shared::time::UnixMillis;

use super::ACTIVATION_DELAY;
use crate::session::policy::REVOCATION_MARGIN;
use crate::store::keys::SealedKey;

/// What is to be done about the stored keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Make a key that signs from then on.
    pub(super) create: Option<UnixMillis>,
    /// Delete these.
    pub(super) delete: Vec<String>,
}

impl Plan {
    /// The plan for `keys`, which are in the order of activation, at `now`.
    pub(super) fn of(
        keys: &[SealedKey],
        rotation: Duration,
        access: Duration,
        now: UnixMillis,
    ) -> Self {
        let create = match keys.last() {
            // There is nothing that edges could know already, so there is nothing to wait for.
            None => Some(now),
            Some(newest) if now >= newest.activates_at.plus(rotation) => {
                Some(now.plus(ACTIVATION_DELAY))
            }
            Some(_) => None,
        };
        // A key signs until its successor is active; the last token it signed lives as long as any. Twice that, because
        // the lifetime may have been shortened since.
        let forgotten = |successor: &SealedKey| {
            successor
                .activates_at
                .plus(access * 2)
                .plus(REVOCATION_MARGIN)
                < now
        };
        let delete = keys
            .iter()
            .zip(keys.iter().skip(1))
            .filter(|(_, successor)| forgotten(successor))
            .map(|(key, _)| key.kid.clone())
            .collect();
        Self { create, delete }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const ACCESS: Duration = Duration::from_secs(900);
    const NOW: UnixMillis = UnixMillis::from_millis(1_700_000_000_000);

    fn key(kid: &str, activates_at: UnixMillis) -> SealedKey {
        SealedKey {
            kid: kid.to_owned(),
            sealed_seed: vec![],
            created_at: activates_at,
            activates_at,
        }
    }

    fn plan(keys: &[SealedKey], now: UnixMillis) -> Plan {
        Plan::of(keys, 30 * DAY, ACCESS, now)
    }

    #[test]
    fn the_first_key_signs_at_once() {
        assert_eq!(
            plan(&[], NOW),
            Plan {
                create: Some(NOW),
                delete: vec![]
            }
        );
        assert_eq!(plan(&[key("a", NOW)], NOW), Plan::default());
    }

    #[test]
    fn an_old_key_gets_one_successor_that_is_published_first() {
        let later = NOW.plus(30 * DAY);
        let successor = later.plus(ACTIVATION_DELAY);
        assert_eq!(plan(&[key("a", NOW)], later).create, Some(successor));
        assert_eq!(
            plan(&[key("a", NOW), key("b", successor)], later),
            Plan::default()
        );
    }

    #[test]
    fn a_key_is_kept_while_its_tokens_live() {
        let keys = [key("a", NOW), key("b", NOW.plus(DAY))];
        assert_eq!(plan(&keys, NOW.plus(DAY).plus(ACCESS)), Plan::default());
        assert_eq!(plan(&keys, NOW.plus(DAY).plus(DAY)).delete, ["a"]);
    }
}
