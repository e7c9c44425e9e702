//! Deciding what a sign-in does to the sessions that are there already.

use shared::id::SessionId;

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
