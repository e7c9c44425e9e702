//! Deciding what a refresh token is worth (RFC 9700 §4.14.2: rotation with detection of reuse).

#[cfg(test)]
mod model;

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
    /// The present generation is given out once more: two tabs refreshed at once, or an answer was late or lost.
    Reissue,
    /// The token was used before (reuse detected): somebody has a copy. The session ends.
    Reused,
    /// The session has run out; it ends now.
    Lapsed(EndReason),
    /// The session had ended, or never had this secret.
    Ended,
}

/// Decides upon `presented` for `session` at `now`.
///
/// The law: the token before the present one is accepted until the present one is presented, and at most for
/// [`Policy::grace_of`] whoever asked for the present one, counted from the rotation. A reissue does not move the window.
/// Every other token of the session is reuse.
///
/// What follows for a copied token. Thief and owner hold the same generation. The first of them to present it rotates the
/// session; the other gets the same successor only within the window and before that successor is presented. A thief who
/// is to stay unseen must do this at every refresh, for as long as the session lives. The first time that one of the two
/// is late, the session ends for both.
pub fn decide(
    session: &Session,
    presented: Presented,
    policy: &Policy,
    now: UnixMillis,
) -> Decision {
    // Nobody was given a refresh token of a session in which they act as somebody else.
    if session.state != State::Live
        || session.actor.is_some()
        || presented.secret_hash != session.secret_hash
    {
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
    if just_before && now <= session.rotated_at.plus(policy.grace_of(session.renewed_by)) {
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

    use super::super::Requester;
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

    fn rotated_once(renewed_by: Requester) -> Session {
        Session {
            generation: 1,
            rotated_at: START,
            renewed_by,
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
        for (requester, window) in [(Requester::Client, 10_000), (Requester::Edge, 120_000)] {
            let session = rotated_once(requester);
            for ms in [0, 1, window - 1, window] {
                let now = START.plus(Duration::from_millis(ms));
                let decision = decide(&session, token(0), &POLICY, now);
                assert_eq!(decision, Decision::Reissue, "{requester:?}, {ms} ms");
            }
            let late = START.plus(Duration::from_millis(window + 1));
            assert_eq!(decide(&session, token(0), &POLICY, late), Decision::Reused);
        }
    }

    #[test]
    fn a_longer_grace_of_the_settings_holds_for_edges_too() {
        let policy = Policy {
            grace: Duration::from_secs(300),
            ..POLICY
        };
        for requester in [Requester::Client, Requester::Edge] {
            assert_eq!(policy.grace_of(requester), Duration::from_secs(300));
        }
    }

    #[test]
    fn older_and_future_tokens_are_reuse_even_within_the_grace() {
        let session = Session {
            generation: 2,
            ..rotated_once(Requester::Edge)
        };
        assert_eq!(decide(&session, token(0), &POLICY, START), Decision::Reused);
        assert_eq!(decide(&session, token(3), &POLICY, START), Decision::Reused);
    }

    #[test]
    fn a_session_in_which_somebody_else_acts_is_not_refreshed() {
        let session = Session {
            actor: Some(shared::id::UserId::from_bytes([9; 16])),
            ..fresh(START)
        };
        assert_eq!(decide(&session, token(0), &POLICY, START), Decision::Ended);
    }

    #[test]
    fn an_ended_session_stays_ended_whatever_comes() {
        let state = State::Ended {
            at: START,
            reason: EndReason::Logout,
        };
        let session = Session {
            state,
            ..rotated_once(Requester::Client)
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
            decide(&rotated_once(Requester::Client), presented, &POLICY, START),
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
}
