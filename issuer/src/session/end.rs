//! What a change must announce to the edges, in the transaction that makes it.

use std::time::Duration;

use shared::id::{ClientId, KeyId, SessionId, TokenId, UserId};
use shared::time::{UnixMillis, UnixTime};

use super::policy::{LONGEST_ACCESS, REVOCATION_MARGIN};

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
    /// This one access token.
    Token(TokenId),
    /// Every access token of this session.
    Session(SessionId),
    /// Every access token of this user with a lower `ver`.
    User {
        /// `sub`.
        id: UserId,
        /// The first `ver` that is good.
        below: u32,
    },
    /// Every access token of this service with a lower `ver`. Edges look at `sub` and `ver` in one way, whoever holds a token.
    Client {
        /// `client_id`.
        id: ClientId,
        /// The first `ver` that is good.
        below: u32,
    },
    /// Every access token that this key has signed.
    Key(KeyId),
    /// Every access token there is that was issued before.
    Everyone {
        /// The first `iat` that is good. A token of this very second is good if its session still stands.
        before: UnixTime,
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
    Announcement {
        subject: Subject::User { id, below },
        expires: last_expiry(longest, access, now),
    }
}

/// What revoking all of a service's tokens at `now` announces: those below the version `below` are refused.
///
/// No such token can be given out later: that goes by a compare-and-swap on the version. `longest` is when the longest-lived
/// that is out expires; nothing where that was long ago.
pub fn of_client(
    id: ClientId,
    below: u32,
    longest: Option<UnixMillis>,
    now: UnixMillis,
) -> Option<Announcement> {
    let expires = longest?.plus(REVOCATION_MARGIN);
    (expires > now).then_some(Announcement {
        subject: Subject::Client { id, below },
        expires,
    })
}

/// What revoking one access token at `now` announces. When it expires is not known, nor what was configured when it was
/// minted, so it is remembered for as long as any configuration lets a token live, beside `access`.
pub fn of_token(id: TokenId, access: Duration, now: UnixMillis) -> Announcement {
    Announcement {
        subject: Subject::Token(id),
        expires: last_expiry(None, access.max(LONGEST_ACCESS), now),
    }
}

/// What withdrawing a signing key at `now` announces. It is remembered as long as that of a token, for the same reason.
/// Edges that have learnt it never forget it, and later ones are not given the key.
pub fn of_key(id: KeyId, access: Duration, now: UnixMillis) -> Announcement {
    Announcement {
        subject: Subject::Key(id),
        expires: last_expiry(None, access.max(LONGEST_ACCESS), now),
    }
}

/// What ending every session at `now` announces, where `last_minted` is when the last of their access tokens was minted and
/// `longest` when the longest-lived expires. Sessions that had ended before were announced then.
///
/// That may lie after `now`, by the clock of another issuer: no token of theirs may pass for a later one.
pub fn of_everyone(
    last_minted: Option<UnixMillis>,
    longest: Option<UnixMillis>,
    access: Duration,
    now: UnixMillis,
) -> Announcement {
    let before = last_minted.map_or(now, |last| last.max(now)).to_secs();
    Announcement {
        subject: Subject::Everyone { before },
        expires: last_expiry(longest, access, now),
    }
}

/// Until when any access token of now may live: one minted this moment, or the longest-lived that is out.
fn last_expiry(longest: Option<UnixMillis>, access: Duration, now: UnixMillis) -> UnixMillis {
    let minted_now = now.plus(access);
    longest
        .map_or(minted_now, |longest| longest.max(minted_now))
        .plus(REVOCATION_MARGIN)
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

    #[test]
    fn a_service_is_refused_as_long_as_any_token_of_its_may_live() {
        let id = ClientId::from_bytes([4; 16]);
        let out = NOW.plus(Duration::from_secs(900));
        let announced = of_client(id, 2, Some(out), NOW).unwrap();
        assert_eq!(announced.subject, Subject::Client { id, below: 2 });
        assert!(announced.expires > out);
        assert_eq!(of_client(id, 2, None, NOW), None, "it never had one");
        let later = out.plus(Duration::from_secs(3600));
        assert_eq!(of_client(id, 2, Some(out), later), None);
    }

    #[test]
    fn everyone_is_refused_who_was_let_in_until_now_by_any_issuers_clock() {
        let access = Duration::from_secs(900);
        let before = |last| match of_everyone(last, None, access, NOW).subject {
            Subject::Everyone { before } => before,
            other => panic!("{other:?}"),
        };
        assert_eq!(before(None), NOW.to_secs());
        let ahead = NOW.plus(Duration::from_secs(4));
        assert_eq!(before(Some(ahead)), ahead.to_secs());
        let behind = UnixMillis::from_millis(NOW.millis() - 60_000);
        assert_eq!(before(Some(behind)), NOW.to_secs());
        let longest = NOW.plus(Duration::from_secs(7200));
        let announced = of_everyone(None, Some(longest), access, NOW);
        assert!(announced.expires > longest, "{announced:?}");
    }

    #[test]
    fn a_token_is_refused_for_as_long_as_any_may_live() {
        let minutes = Duration::from_secs(900);
        let announced = of_token(TokenId::from_bytes([3; 16]), minutes, NOW);
        assert!(announced.expires > NOW.plus(LONGEST_ACCESS));
    }
}
