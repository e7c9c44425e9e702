//! Deciding what a refresh token is worth (RFC 9700 §4.14.2: rotation with detection of reuse).

use shared::secret::SecretHash;
use shared::time::UnixMillis;

use super::policy::Policy;
use super::{EndReason, Session, State};

/// What a refresh token that opened says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The generation it was minted for.
    pub generation: u32,
    /// Of the session's secret.
    pub secret_hash: SecretHash,
}

/// What becomes of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The session moves on to this generation.
    Rotate {
        /// The present generation plus one.
        to: u32,
    },
    /// The present generation is given out once more: two tabs refreshed at once, or an answer was lost.
    Reissue,
    /// The token was used before: somebody has a copy. The session ends.
    Reused,
    /// The session has run out; it ends now.
    Lapsed(EndReason),
    /// The session had ended, or never had this secret.
    Ended,
}

/// Decides upon `presented` for `session` at `now`.
///
/// Grace has depth one: only the token just before the present one gets the present one again, and not once the present
/// one was itself used, because then the generation has moved on. The window counts from the rotation and a reissue
/// does not move it.
pub fn decide(
    session: &Session,
    presented: Presented,
    policy: &Policy,
    now: UnixMillis,
) -> Decision {
    if session.state != State::Live || presented.secret_hash != session.secret_hash {
        return Decision::Ended;
    }
    if let Some(reason) = policy.lapse(session, now) {
        return Decision::Lapsed(reason);
    }
    if presented.generation == session.generation {
        // After four billion refreshes a session is simply over.
        return match session.generation.checked_add(1) {
            Some(to) => Decision::Rotate { to },
            None => Decision::Lapsed(EndReason::Expired),
        };
    }
    let just_before = session.generation.checked_sub(1) == Some(presented.generation);
    if just_before && now <= session.rotated_at.plus(policy.grace) {
        return Decision::Reissue;
    }
    Decision::Reused
}

/// The `iat` of an access token that a refresh at `now` gives out. By another issuer's clock the session may have begun, or
/// been refreshed, later than that: no token of it is older than that moment, which came after the last end of everyone.
pub fn minted_at(session: &Session, now: UnixMillis) -> UnixMillis {
    now.max(session.last_seen_at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::policy::tests::POLICY;
    use super::super::tests::fresh;
    use super::*;

    const START: UnixMillis = UnixMillis::from_millis(1_700_000_000_123);

    fn token(generation: u32) -> Presented {
        Presented {
            generation,
            secret_hash: SecretHash::from_bytes([3; 32]),
        }
    }

    fn rotated_once() -> Session {
        Session {
            generation: 1,
            rotated_at: START,
            ..fresh(START)
        }
    }

    #[test]
    fn the_present_token_rotates_the_session() {
        assert_eq!(
            decide(&fresh(START), token(0), &POLICY, START),
            Decision::Rotate { to: 1 }
        );
    }

    #[test]
    fn no_token_is_older_than_its_session() {
        let later = START.plus(Duration::from_secs(1));
        assert_eq!(minted_at(&fresh(START), later), later);
        assert_eq!(minted_at(&fresh(later), START), later);
    }

    #[test]
    fn the_one_before_gets_the_same_successor_within_the_grace() {
        let session = rotated_once();
        for ms in [0, 1, 9_999, 10_000] {
            let now = START.plus(Duration::from_millis(ms));
            assert_eq!(
                decide(&session, token(0), &POLICY, now),
                Decision::Reissue,
                "{ms}"
            );
        }
        let late = START.plus(Duration::from_millis(10_001));
        assert_eq!(decide(&session, token(0), &POLICY, late), Decision::Reused);
    }

    #[test]
    fn older_and_future_tokens_are_reuse_even_within_the_grace() {
        let session = Session {
            generation: 2,
            ..rotated_once()
        };
        assert_eq!(decide(&session, token(0), &POLICY, START), Decision::Reused);
        assert_eq!(decide(&session, token(3), &POLICY, START), Decision::Reused);
    }

    #[test]
    fn an_ended_session_stays_ended_whatever_comes() {
        let state = State::Ended {
            at: START,
            reason: EndReason::Logout,
        };
        let session = Session {
            state,
            ..rotated_once()
        };
        for generation in 0..3 {
            assert_eq!(
                decide(&session, token(generation), &POLICY, START),
                Decision::Ended
            );
        }
    }

    #[test]
    fn a_foreign_secret_opens_nothing_and_ends_nothing() {
        let presented = Presented {
            secret_hash: SecretHash::from_bytes([9; 32]),
            ..token(1)
        };
        assert_eq!(
            decide(&rotated_once(), presented, &POLICY, START),
            Decision::Ended
        );
    }

    #[test]
    fn the_last_generation_does_not_wrap() {
        let session = Session {
            generation: u32::MAX,
            ..fresh(START)
        };
        assert_eq!(
            decide(&session, token(u32::MAX), &POLICY, START),
            Decision::Lapsed(EndReason::Expired)
        );
    }

    /// Carries a decision out as the compare-and-swap in the store does.
    fn apply(session: &mut Session, decision: Decision, now: UnixMillis) {
        match decision {
            Decision::Rotate { to } => {
                session.generation = to;
                session.rotated_at = now;
                session.last_seen_at = now;
            }
            Decision::Reissue => session.last_seen_at = now,
            Decision::Reused => {
                session.state = State::Ended {
                    at: now,
                    reason: EndReason::RefreshReused,
                }
            }
            Decision::Lapsed(reason) => session.state = State::Ended { at: now, reason },
            Decision::Ended => {}
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Present { back: u32 },
        Wait { ms: u64 },
        Logout,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0u32..4).prop_map(|back| Step::Present { back }),
            4 => (0u64..15_000).prop_map(|ms| Step::Wait { ms }),
            1 => Just(Step::Wait { ms: 90_000_000 }),
            1 => Just(Step::Logout),
        ];
        proptest::collection::vec(step, 1..60)
    }

    proptest! {
        /// Whatever order tokens come in: one live successor at a time, depth one, a window that does not slide, and
        /// an end that is final.
        #[test]
        fn laws_of_rotation(steps in steps()) {
            let mut session = fresh(START);
            let mut now = START;
            for step in steps {
                let before = session.clone();
                match step {
                    Step::Wait { ms } => now = now.plus(Duration::from_millis(ms)),
                    Step::Logout => session.state = State::Ended { at: now, reason: EndReason::Logout },
                    Step::Present { back } => {
                        let presented = token(session.generation.saturating_sub(back));
                        let decision = decide(&session, presented, &POLICY, now);
                        apply(&mut session, decision, now);
                        match decision {
                            Decision::Rotate { to } => {
                                prop_assert_eq!(presented.generation, before.generation);
                                prop_assert_eq!(to, before.generation + 1);
                                // The loser of the race, presenting the same token a moment later, gets the same one.
                                prop_assert_eq!(decide(&session, presented, &POLICY, now), Decision::Reissue);
                            }
                            Decision::Reissue => {
                                prop_assert_eq!(session.generation, before.generation, "no second successor");
                                prop_assert_eq!(session.rotated_at, before.rotated_at, "the window does not slide");
                                prop_assert_eq!(presented.generation + 1, before.generation, "depth one");
                                prop_assert!(now <= before.rotated_at.plus(POLICY.grace));
                            }
                            Decision::Reused | Decision::Lapsed(_) => prop_assert_ne!(session.state, State::Live),
                            Decision::Ended => prop_assert_ne!(before.state, State::Live),
                        }
                    }
                }
                if before.state != State::Live {
                    prop_assert_ne!(session.state, State::Live, "nothing revives a session");
                    prop_assert_eq!(session.generation, before.generation);
                }
            }
        }
    }
}
