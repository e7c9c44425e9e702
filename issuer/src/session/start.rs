//! Deciding what a sign-in does to the sessions that are there already.

use std::time::Duration;

use shared::id::SessionId;
use shared::time::{UnixMillis, UnixTime};

use super::policy::{AtLimit, Policy};

/// What a sign-in does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Begins a session, after ending these.
    Admit {
        /// Live sessions that make room, oldest first.
        evict: Vec<SessionId>,
    },
    /// Nothing: the user has as many sessions as allowed.
    Refuse,
}

/// Decides upon one more session beside `live`, which holds the user's live sessions without the one that this sign-in
/// replaces, oldest first, and cannot change until the decision is carried out (the user's row is locked).
pub fn decide(live: &[SessionId], policy: &Policy) -> Start {
    let surplus = (live.len() + 1).saturating_sub(policy.max_sessions);
    match policy.at_limit {
        AtLimit::Refuse if surplus > 0 => Start::Refuse,
        AtLimit::Refuse | AtLimit::EvictOldest => Start::Admit {
            evict: live.iter().take(surplus).copied().collect(),
        },
    }
}

/// When a session begins that begins at `now`, by the clock of this issuer, where everyone's tokens were revoked that were
/// issued before `everyone_before`.
///
/// Always later than that, though the clock of whoever ended everyone may be ahead of ours: the session would be born
/// revoked. By a second, for a token of that very second counts as out of date.
pub fn first_moment(now: UnixMillis, everyone_before: Option<UnixTime>) -> UnixMillis {
    everyone_before.map_or(now, |before| {
        now.max(before.plus(Duration::from_secs(1)).into())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::policy::tests::POLICY;
    use super::*;

    fn ids(count: u8) -> Vec<SessionId> {
        (0..count).map(|n| SessionId::from_bytes([n; 16])).collect()
    }

    #[test]
    fn the_oldest_makes_room() {
        assert_eq!(decide(&ids(4), &POLICY), Start::Admit { evict: vec![] });
        assert_eq!(decide(&ids(5), &POLICY), Start::Admit { evict: ids(1) });
        assert_eq!(
            decide(&ids(9), &POLICY),
            Start::Admit { evict: ids(5) },
            "after the limit was lowered"
        );
    }

    #[test]
    fn or_the_sign_in_is_refused() {
        let policy = Policy {
            at_limit: AtLimit::Refuse,
            ..POLICY
        };
        assert_eq!(decide(&ids(4), &policy), Start::Admit { evict: vec![] });
        assert_eq!(decide(&ids(5), &policy), Start::Refuse);
    }

    #[test]
    fn a_session_begins_after_the_end_of_all_others_by_any_issuers_clock() {
        let now = UnixMillis::from_millis(1_700_000_000_900);
        assert_eq!(first_moment(now, None), now);
        let long_ago = now.to_secs().minus(Duration::from_secs(1));
        assert_eq!(first_moment(now, Some(long_ago)), now);
        for ahead in [0, 1, 4] {
            let before = now.to_secs().plus(Duration::from_secs(ahead));
            let begun = first_moment(now, Some(before));
            assert!(begun > now && begun.to_secs() > before, "{ahead}");
        }
    }

    proptest! {
        #[test]
        fn any_number_of_sign_ins_leaves_the_newest(sign_ins in 1u8..60, limit in 1usize..8) {
            let policy = Policy { max_sessions: limit, ..POLICY };
            let mut live = vec![];
            for id in ids(sign_ins) {
                let Start::Admit { evict } = decide(&live, &policy) else { panic!("never refuses") };
                live.retain(|id| !evict.contains(id));
                live.push(id);
            }
            let newest = ids(sign_ins).split_off(usize::from(sign_ins).saturating_sub(limit));
            prop_assert_eq!(live, newest);
        }
    }
}
