//! The revocations in the form that a request asks: sorted numbers, searched by halves.

use super::entry::{Entry, Revocation};
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationSet {
    sessions: Vec<u64>,
    tokens: Vec<u64>,
    /// By user, each once, with the highest version that was asked for.
    users: Vec<(u64, u32)>,
    everyone_before: Option<UnixTime>,
}

impl RevocationSet {
    /// The set of `revocations`, in any order, doubled or not.
    pub fn from_entries(revocations: impl IntoIterator<Item = Revocation>) -> Self {
        let mut set = Self::default();
        for revocation in revocations {
            match revocation.entry {
                Entry::Session(fingerprint) => set.sessions.push(fingerprint.0),
                Entry::Token(fingerprint) => set.tokens.push(fingerprint.0),
                Entry::User { user, below } => set.users.push((user.0, below)),
                Entry::Everyone { before } => {
                    set.everyone_before = set.everyone_before.max(Some(before))
                }
            }
        }
        for list in [&mut set.sessions, &mut set.tokens] {
            list.sort_unstable();
            list.dedup();
        }
        set.users
            .sort_unstable_by_key(|(user, below)| (*user, std::cmp::Reverse(*below)));
        set.users.dedup_by_key(|(user, _)| *user);
        set
    }

    /// The token's standing.
    ///
    /// A token issued in the very second before which everyone is refused is [`Standing::Stale`]: it may be from just
    /// after, so the issuer is asked, and it may be from just before, so it does not pass.
    pub fn standing(&self, token: &Verified<Claims>) -> Standing {
        let claims = token.claims();
        let is_listed = |list: &[u64], fingerprint: u64| list.binary_search(&fingerprint).is_ok();
        if is_listed(&self.sessions, claims.sid.fingerprint().0)
            || is_listed(&self.tokens, claims.jti.fingerprint().0)
            || self
                .everyone_before
                .is_some_and(|before| claims.iat < before)
        {
            return Standing::Revoked;
        }
        let user = claims.sub.fingerprint().0;
        let claims_changed = self
            .users
            .binary_search_by_key(&user, |(user, _)| *user)
            .ok()
            .and_then(|at| self.users.get(at))
            .is_some_and(|(_, below)| claims.ver < *below);
        if claims_changed || self.everyone_before == Some(claims.iat) {
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
