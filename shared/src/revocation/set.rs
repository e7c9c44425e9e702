//! The revocations in the form that a request asks.

use std::collections::BTreeMap;

use super::entry::{Entry, Revocation};
use super::index::{self, Index};
use crate::claims::Claims;
use crate::time::UnixTime;
use crate::token::Verified;

/// What the revocations say of a verified token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing against it.
    Good,
    /// The session may be good, but this token's claims are out of date: only the issuer can tell. Refresh.
    Stale,
    /// Refused.
    Revoked,
}

/// Live revocations. The worst that any of them says of a token counts (never the first, or the last).
///
/// Adding is a union: order and repetition do not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationSet {
    sessions: Index,
    tokens: Index,
    users: BTreeMap<u64, Until<u32>>,
    everyone_before: Option<Until<UnixTime>>,
}

/// The highest limit that was asked for, kept as long as any of those who asked wanted theirs kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Until<T> {
    limit: T,
    expires: UnixTime,
}

impl<T: Ord> Until<T> {
    fn with(self, other: Self) -> Self {
        Self {
            limit: self.limit.max(other.limit),
            expires: self.expires.max(other.expires),
        }
    }
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
        self.users.retain(|_, below| below.expires > now);
        self.everyone_before = self.everyone_before.filter(|before| before.expires > now);
    }

    /// The token's standing.
    ///
    /// A token issued in the very second before which everyone is refused is [`Standing::Stale`]: it may be from just
    /// after, so the issuer is asked, and it may be from just before, so it does not pass.
    pub fn standing(&self, token: &Verified<Claims>) -> Standing {
        let claims = token.claims();
        let before = self.everyone_before.map(|before| before.limit);
        if self.sessions.contains(claims.sid.fingerprint().0)
            || self.tokens.contains(claims.jti.fingerprint().0)
            || before.is_some_and(|before| claims.iat < before)
        {
            return Standing::Revoked;
        }
        let below = self.users.get(&claims.sub.fingerprint().0);
        if below.is_some_and(|below| claims.ver < below.limit) || before == Some(claims.iat) {
            return Standing::Stale;
        }
        Standing::Good
    }

    /// How many revocations it holds.
    pub fn len(&self) -> usize {
        self.sessions.len()
            + self.tokens.len()
            + self.users.len()
            + usize::from(self.everyone_before.is_some())
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of memory that its sessions and tokens take, without what the allocator adds.
    pub fn bytes(&self) -> usize {
        self.sessions.bytes() + self.tokens.bytes()
    }
}

impl Extend<Revocation> for RevocationSet {
    fn extend<I: IntoIterator<Item = Revocation>>(&mut self, revocations: I) {
        for Revocation { entry, expires } in revocations {
            match entry {
                Entry::Session(fingerprint) => self.sessions.insert(fingerprint.0, expires),
                Entry::Token(fingerprint) => self.tokens.insert(fingerprint.0, expires),
                Entry::User { user, below } => {
                    let asked = Until {
                        limit: below,
                        expires,
                    };
                    self.users
                        .entry(user.0)
                        .and_modify(|held| *held = held.with(asked))
                        .or_insert(asked);
                }
                Entry::Everyone { before } => {
                    let asked = Until {
                        limit: before,
                        expires,
                    };
                    self.everyone_before =
                        Some(self.everyone_before.map_or(asked, |held| held.with(asked)));
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
    use crate::id::Fingerprint;
    use crate::revocation::testing::{NOW, token_issued_at};

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
}
