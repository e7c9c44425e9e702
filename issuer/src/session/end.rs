//! What a change must announce to the edges, in the transaction that makes it.

use std::time::Duration;

use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;

use super::policy::REVOCATION_MARGIN;

/// A revocation to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What is refused from now on.
    pub subject: Subject,
    /// Until when edges must remember it.
    pub expires: UnixMillis,
}

/// What a revocation of ours names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Every access token of this session.
    Session(SessionId),
    /// Every access token of this user with a lower `ver`.
    User {
        /// `sub`.
        id: UserId,
        /// The first `ver` that is good.
        below: u32,
    },
}

/// What the end of session `id` at `now` announces; nothing where its last access token expired long ago anyway.
///
/// No token of it can be minted later: minting goes by a compare-and-swap that an ended row fails.
pub fn of_session(
    id: SessionId,
    access_expires_at: UnixMillis,
    now: UnixMillis,
) -> Option<Announcement> {
    let expires = access_expires_at.plus(REVOCATION_MARGIN);
    (expires > now).then_some(Announcement {
        subject: Subject::Session(id),
        expires,
    })
}

/// What a change of claims at `now` announces: tokens below the version `below` are out of date.
///
/// A refresh that read the user just before the change may still mint such a token just after it, so the announcement
/// lives as long as a token minted now, and no shorter than the longest that is out (`longest`).
pub fn of_claims(
    id: UserId,
    below: u32,
    longest: Option<UnixMillis>,
    access: Duration,
    now: UnixMillis,
) -> Announcement {
    let minted_now = now.plus(access);
    let expires = longest.map_or(minted_now, |longest| longest.max(minted_now));
    Announcement {
        subject: Subject::User { id, below },
        expires: expires.plus(REVOCATION_MARGIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis::from_millis(1_700_000_000_000);
    const SID: SessionId = SessionId::from_bytes([1; 16]);

    #[test]
    fn a_session_is_refused_until_its_last_token_has_expired() {
        let out = NOW.plus(Duration::from_secs(900));
        let announced = of_session(SID, out, NOW).unwrap();
        assert_eq!(announced.subject, Subject::Session(SID));
        assert!(announced.expires > out);
        assert_eq!(
            of_session(SID, NOW, NOW.plus(Duration::from_secs(3600))),
            None
        );
    }

    #[test]
    fn old_claims_are_refused_as_long_as_any_token_may_carry_them() {
        let (user, access) = (UserId::from_bytes([2; 16]), Duration::from_secs(900));
        let without = of_claims(user, 2, None, access, NOW);
        assert!(without.expires > NOW.plus(access));
        // The lifetime of access tokens was shortened, but longer ones are still out.
        let longest = NOW.plus(Duration::from_secs(7200));
        assert!(of_claims(user, 2, Some(longest), access, NOW).expires > longest);
    }
}
