//! Deciding which signing keys to make and which to forget. Pure.

use std::time::Duration;

use shared::time::UnixMillis;

use super::ACTIVATION_DELAY;
use super::stored::StoredKey;
use crate::session::policy::REVOCATION_MARGIN;

/// What is to be done about the stored keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Make a key that signs from then on.
    pub(super) create: Option<UnixMillis>,
    /// Delete these.
    pub(super) delete: Vec<String>,
}

impl Plan {
    /// The plan for `keys`, which are in the order of activation, at `now`. A key that cannot be opened has no say: another one
    /// signs in its place, is kept as long as it does, and gets a successor when its own time has come.
    pub(super) fn of(
        keys: &[StoredKey],
        rotation: Duration,
        access: Duration,
        now: UnixMillis,
    ) -> Self {
        let open = || keys.iter().filter(|key| key.seed.is_some());
        let create = match open().next_back().map(|key| &key.sealed) {
            // There is nothing that edges could know already, so there is nothing to wait for.
            None if keys.is_empty() => Some(now),
            // With the right ENCRYPTION_KEY they may open after all.
            None => None,
            Some(newest) if now >= newest.activates_at.plus(rotation) => {
                Some(now.plus(ACTIVATION_DELAY))
            }
            Some(_) => None,
        };
        let delete = keys
            .iter()
            .enumerate()
            .filter(|(at, _)| {
                let mut later = keys[at + 1..].iter().filter(|key| key.seed.is_some());
                later
                    .next()
                    .is_some_and(|next| forgotten_at(next.sealed.activates_at, access) < now)
            })
            .map(|(_, key)| key.sealed.kid.clone())
            .collect();
        Self { create, delete }
    }
}

/// When a key is deleted whose successor signs from `retires_at` on: the last token that it signed lives as long as any. Twice
/// that, because the lifetime may have been shortened since.
pub(super) fn forgotten_at(retires_at: UnixMillis, access: Duration) -> UnixMillis {
    retires_at.plus(access * 2).plus(REVOCATION_MARGIN)
}

#[cfg(test)]
mod tests {
    use shared::secret::Secret;

    use super::*;
    use crate::store::keys::SealedKey;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const ACCESS: Duration = Duration::from_secs(900);
    const NOW: UnixMillis = UnixMillis::from_millis(1_700_000_000_000);

    fn key(kid: &str, activates_at: UnixMillis) -> StoredKey {
        StoredKey {
            sealed: SealedKey {
                kid: kid.to_owned(),
                sealed_seed: vec![],
                created_at: activates_at,
                activates_at,
            },
            seed: Some(Secret::from_bytes([1; 32])),
        }
    }

    fn unreadable(kid: &str, activates_at: UnixMillis) -> StoredKey {
        StoredKey {
            seed: None,
            ..key(kid, activates_at)
        }
    }

    fn plan(keys: &[StoredKey], now: UnixMillis) -> Plan {
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

    #[test]
    fn a_key_that_cannot_be_opened_neither_replaces_another_nor_stays_for_ever() {
        let broken_next = [key("a", NOW), unreadable("b", NOW.plus(DAY))];
        assert_eq!(plan(&broken_next, NOW.plus(5 * DAY)), Plan::default());
        let due = NOW.plus(30 * DAY);
        let successor = Some(due.plus(ACTIVATION_DELAY));
        assert_eq!(plan(&broken_next, due).create, successor);
        let broken_first = [unreadable("a", NOW), key("b", NOW.plus(DAY))];
        assert_eq!(plan(&broken_first, NOW.plus(2 * DAY)).delete, ["a"]);
    }

    #[test]
    fn where_no_key_can_be_opened_nothing_is_made_or_deleted() {
        let keys = [unreadable("a", NOW), unreadable("b", NOW.plus(DAY))];
        assert_eq!(plan(&keys, NOW.plus(90 * DAY)), Plan::default());
    }
}
