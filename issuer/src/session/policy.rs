//! The limits a session lives under (OWASP ASVS 5.0, 7.1.1, 7.1.2, 7.3.1, 7.3.2).

use std::time::Duration;

use shared::time::UnixMillis;

use super::{EndReason, Requester, Session};
pub use crate::config::{AtLimit, LONGEST_ACCESS, Policy};

/// Time by which a revocation outlives the tokens it touches: for clocks that differ, and for answers on their way.
pub const REVOCATION_MARGIN: Duration = Duration::from_secs(60);

/// How long the token before the present one is accepted after an edge's renewal, at least. An origin's answer takes
/// seconds or minutes; a client that has waited longer has given up.
pub const EDGE_GRACE: Duration = Duration::from_secs(120);

impl Policy {
    /// How long after a rotation the token before it is accepted, if `requester` asked for the rotation.
    pub fn grace_of(&self, requester: Requester) -> Duration {
        match requester {
            Requester::Client => self.grace,
            Requester::Edge => self.grace.max(EDGE_GRACE),
        }
    }

    /// Whether, and how, `session` has run out of time at `now`.
    pub fn lapse(&self, session: &Session, now: UnixMillis) -> Option<EndReason> {
        if now >= session.expires_at {
            Some(EndReason::Expired)
        } else if now >= session.last_seen_at.plus(self.idle) {
            Some(EndReason::Idle)
        } else {
            None
        }
    }

    /// When an access token minted at `now` for a session with this absolute end expires: never after the session.
    pub fn access_expiry(&self, session_expires_at: UnixMillis, now: UnixMillis) -> UnixMillis {
        let expiry = now
            .to_secs()
            .plus(self.access)
            .min(session_expires_at.to_secs());
        UnixMillis::from(expiry)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::tests::fresh;
    use super::*;

    pub(crate) const POLICY: Policy = Policy {
        access: Duration::from_secs(900),
        absolute: Duration::from_secs(7 * 24 * 3600),
        idle: Duration::from_secs(24 * 3600),
        grace: Duration::from_secs(10),
        max_sessions: 5,
        at_limit: AtLimit::EvictOldest,
    };

    const START: UnixMillis = UnixMillis::from_millis(1_700_000_000_123);

    #[test]
    fn a_session_lapses_by_idleness_or_by_age() {
        let mut session = fresh(START);
        assert_eq!(POLICY.lapse(&session, START), None);
        assert_eq!(
            POLICY.lapse(&session, START.plus(POLICY.idle)),
            Some(EndReason::Idle)
        );
        session.last_seen_at = START.plus(POLICY.absolute);
        assert_eq!(
            POLICY.lapse(&session, START.plus(POLICY.absolute)),
            Some(EndReason::Expired)
        );
    }

    #[test]
    fn no_access_token_outlives_its_session() {
        let end = START.plus(Duration::from_secs(100));
        assert!(POLICY.access_expiry(end, START) <= end);
        let long = POLICY.access_expiry(START.plus(POLICY.absolute), START);
        assert_eq!(long.to_secs(), START.to_secs().plus(POLICY.access));
    }
}
