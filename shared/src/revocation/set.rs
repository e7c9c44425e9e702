//! The revocations in the form that a request asks.

use std::collections::BTreeSet;

use super::entry::{Entry, Revocation};
use super::index::{self, Index};
use crate::claims::AccessClaims;
use crate::id::Fingerprint;
use crate::time::UnixTime;
use crate::token::Verified;

/// What the revocations say of a verified token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing against it.
    Good,
    /// The session may be good, but this token's claims are out of date: only the issuer can tell. Refresh.
    Stale,
    /// The key that signed it was withdrawn, so nobody knows who made it. A refresh token says whether the session is good.
    KeyRevoked,
    /// Refused.
    Revoked,
}

/// Live revocations. The worst that any of them says of a token counts (never the first, or the last).
///
/// Adding is a union: order and repetition do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationSet {
    sessions: Index<()>,
    tokens: Index<()>,
    /// Of each user or client the first version that is good.
    users: Index<u32>,
    /// Those that were withdrawn. There are few. None is forgotten: whoever has stolen a key dates tokens as they like.
    keys: BTreeSet<Fingerprint>,
    everyone_before: Option<Everyone>,
}

/// The latest second that was asked for, kept as long as any of those who asked wanted theirs kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Everyone {
    before: UnixTime,
    expires: UnixTime,
}

impl RevocationSet {
    /// Into how many parts a sweep is divided.
    pub const PARTS: usize = index::PARTS;

    /// The set of `revocations`, in any order, doubled or not.
    pub fn from_entries(revocations: impl IntoIterator<Item = Revocation>) -> Self {
        let mut set = Self::default();
        set.extend(revocations);
        set
    }

    /// Forgets what has expired by `now` in one of [`Self::PARTS`] parts; whoever calls it for each part in turn, again and
    /// again, keeps the set small. It must be done every few days at least.
    ///
    /// No token becomes valid by this: an entry expires no earlier than every token it names.
    pub fn drop_expired(&mut self, now: UnixTime, part: usize) {
        self.sessions.drop_expired(now, part);
        self.tokens.drop_expired(now, part);
        self.users.drop_expired(now, part);
        self.everyone_before = self.everyone_before.filter(|held| held.expires > now);
    }

    /// The token's standing.
    ///
    /// A token issued in the very second before which everyone is refused is [`Standing::Stale`]: it may be from just
    /// after, so the issuer is asked, and it may be from just before, so it does not pass.
    pub fn standing<T: AccessClaims>(&self, token: &Verified<T>) -> Standing {
        let claims = token.claims();
        let before = self.everyone_before.map(|held| held.before);
        let session = claims.session();
        if session.is_some_and(|session| self.sessions.find(session.0).is_some())
            || self.tokens.find(claims.jti().fingerprint().0).is_some()
            || before.is_some_and(|before| claims.iat() < before)
        {
            return Standing::Revoked;
        }
        if self.keys.contains(&token.key().fingerprint()) {
            return Standing::KeyRevoked;
        }
        let below = self.users.find(claims.holder().0);
        if below.is_some_and(|below| claims.ver() < below) || before == Some(claims.iat()) {
            return Standing::Stale;
        }
        Standing::Good
    }

    /// How many revocations it holds.
    pub fn len(&self) -> usize {
        self.sessions.len()
            + self.tokens.len()
            + self.users.len()
            + self.keys.len()
            + usize::from(self.everyone_before.is_some())
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of memory that its sessions, tokens and users take, without what the allocator adds.
    pub fn bytes(&self) -> usize {
        self.sessions.bytes() + self.tokens.bytes() + self.users.bytes()
    }
}

impl Extend<Revocation> for RevocationSet {
    fn extend<I: IntoIterator<Item = Revocation>>(&mut self, revocations: I) {
        for Revocation { entry, expires } in revocations {
            match entry {
                Entry::Session(fingerprint) => self.sessions.insert(fingerprint.0, (), expires),
                Entry::Token(fingerprint) => self.tokens.insert(fingerprint.0, (), expires),
                Entry::Key(fingerprint) => {
                    self.keys.insert(fingerprint);
                }
                Entry::User { user, below } => self.users.insert(user.0, below, expires),
                Entry::Everyone { before } => {
                    let asked = Everyone { before, expires };
                    let held = self.everyone_before.unwrap_or(asked);
                    self.everyone_before = Some(Everyone {
                        before: held.before.max(before),
                        expires: held.expires.max(expires),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::id::KeyId;
    use crate::revocation::testing::{NOW, service_token_issued_at, token_issued_at};

    fn set(entries: &[Entry]) -> RevocationSet {
        RevocationSet::from_entries(entries.iter().map(|entry| Revocation {
            entry: *entry,
            expires: NOW,
        }))
    }

    #[test]
    fn each_kind_names_what_it_says() {
        let token = token_issued_at(NOW);
        let claims = token.claims();
        let user = claims.sub.fingerprint();
        let later = UnixTime::from_secs(NOW.secs() + 1);
        let other = Fingerprint(!user.0);
        let table = [
            (vec![], Standing::Good),
            (
                vec![Entry::Session(claims.sid.fingerprint())],
                Standing::Revoked,
            ),
            (
                vec![Entry::Token(claims.jti.fingerprint())],
                Standing::Revoked,
            ),
            (
                vec![
                    Entry::Session(claims.jti.fingerprint()),
                    Entry::Token(claims.sid.fingerprint()),
                ],
                Standing::Good,
            ),
            (
                vec![Entry::User {
                    user,
                    below: claims.ver,
                }],
                Standing::Good,
            ),
            (
                vec![Entry::User {
                    user,
                    below: claims.ver + 1,
                }],
                Standing::Stale,
            ),
            (
                vec![
                    Entry::User {
                        user,
                        below: claims.ver + 1,
                    },
                    Entry::User { user, below: 0 },
                ],
                Standing::Stale,
            ),
            (
                vec![Entry::User {
                    user: other,
                    below: u32::MAX,
                }],
                Standing::Good,
            ),
            (
                vec![Entry::Key(KeyId::of("k").fingerprint())],
                Standing::KeyRevoked,
            ),
            (
                vec![
                    Entry::User {
                        user,
                        below: claims.ver + 1,
                    },
                    Entry::Key(KeyId::of("k").fingerprint()),
                ],
                Standing::KeyRevoked,
            ),
            (
                vec![
                    Entry::Session(claims.sid.fingerprint()),
                    Entry::Key(KeyId::of("k").fingerprint()),
                ],
                Standing::Revoked,
            ),
            (
                vec![Entry::Key(KeyId::of("other").fingerprint())],
                Standing::Good,
            ),
            (vec![Entry::Everyone { before: later }], Standing::Revoked),
            (vec![Entry::Everyone { before: NOW }], Standing::Stale),
            (
                vec![
                    Entry::Everyone { before: NOW },
                    Entry::Everyone { before: later },
                ],
                Standing::Revoked,
            ),
            (
                vec![Entry::Everyone {
                    before: UnixTime::from_secs(NOW.secs() - 1),
                }],
                Standing::Good,
            ),
        ];
        for (entries, expected) in table {
            assert_eq!(set(&entries).standing(&token), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_service_is_named_by_its_id_and_has_no_session() {
        let token = service_token_issued_at(NOW);
        let claims = token.claims();
        let (client, jti) = (claims.client_id.fingerprint(), claims.jti.fingerprint());
        let below = |below| Entry::User {
            user: client,
            below,
        };
        let later = UnixTime::from_secs(NOW.secs() + 1);
        for (entry, expected) in [
            (Entry::Token(jti), Standing::Revoked),
            (below(claims.ver), Standing::Good),
            (below(claims.ver + 1), Standing::Stale),
            (Entry::Session(client), Standing::Good),
            (Entry::Session(jti), Standing::Good),
            (
                Entry::Key(KeyId::of("k").fingerprint()),
                Standing::KeyRevoked,
            ),
            (Entry::Everyone { before: later }, Standing::Revoked),
        ] {
            assert_eq!(set(&[entry]).standing(&token), expected, "{entry:?}");
        }
    }

    #[test]
    fn a_withdrawn_key_is_never_forgotten() {
        let key = Entry::Key(KeyId::of("k").fingerprint());
        let mut held = set(&[key, key]);
        for part in 0..RevocationSet::PARTS {
            held.drop_expired(UnixTime::from_secs(NOW.secs() + 90_000), part);
        }
        assert_eq!(held.standing(&token_issued_at(NOW)), Standing::KeyRevoked);
        assert_eq!(held.len(), 1);
    }

    #[test]
    fn each_kind_counts_among_the_entries_and_the_bytes() {
        let user = Entry::User {
            user: Fingerprint(3),
            below: 1,
        };
        let kinds = [
            Entry::Session(Fingerprint(1)),
            Entry::Token(Fingerprint(2)),
            user,
        ];
        for kind in kinds {
            let one = set(&[kind]);
            assert!(one.len() == 1 && one.bytes() > 0, "{kind:?}");
        }
        let all = set(&kinds);
        let parts: usize = kinds.iter().map(|kind| set(&[*kind]).bytes()).sum();
        assert_eq!((all.len(), all.bytes()), (3, parts));
    }
}
