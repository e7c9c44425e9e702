//! Sign-ins that are under way at a provider: everything of theirs in one sealed cookie, so that several tabs can sign in at
//! once and nothing is stored for a stranger.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::cookie;
use shared::seal::{NONCE_BYTES, SealKeys, SealPurpose};
use shared::time::UnixMillis;

/// How long somebody may take at the provider.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// How many sign-ins a browser may have under way; one more drops the oldest.
const MOST: usize = 8;

/// One sign-in that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// `state` (RFC 6749 §4.1.1): which sign-in an answer belongs to.
    #[serde(rename = "s")]
    pub state: String,
    /// `nonce` (OpenID Connect Core 1.0 §3.1.2.1): which sign-in an ID token belongs to.
    #[serde(rename = "n")]
    pub nonce: String,
    /// `code_verifier` (RFC 7636 §4.1).
    #[serde(rename = "v")]
    pub verifier: String,
    /// At which provider.
    #[serde(rename = "p")]
    pub provider: String,
    /// Where to go afterwards, checked when the sign-in began.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub return_to: Option<String>,
    /// When it began.
    #[serde(rename = "t")]
    pub began: UnixMillis,
}

impl Pending {
    /// A sign-in that begins at `began`. `random` comes from a CSPRNG: 16 octets each for `state` and `nonce`, 32 for the
    /// verifier.
    pub fn new(
        provider: &str,
        return_to: Option<String>,
        random: &[u8; 64],
        began: UnixMillis,
    ) -> Self {
        let text = |range: std::ops::Range<usize>| {
            URL_SAFE_NO_PAD.encode(random.get(range).unwrap_or_default())
        };
        Self {
            state: text(0..16),
            nonce: text(16..32),
            verifier: text(32..64),
            provider: provider.to_owned(),
            return_to,
            began,
        }
    }
}

/// The sign-ins of one browser, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingSet(Vec<Pending>);

impl PendingSet {
    /// Those in a cookie of ours that have not run out at `now`. None where it does not open: then there are none.
    pub fn open(value: &str, keys: &SealKeys, issuer: &str, now: UnixMillis) -> Self {
        let opened = || {
            let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
            let plain = keys.open(SealPurpose::LoginState, issuer, &sealed).ok()?;
            serde_json::from_slice::<Vec<Pending>>(&plain).ok()
        };
        let mut pending = opened().unwrap_or_default();
        pending.retain(|pending| now < pending.began.plus(LIFETIME));
        Self(pending)
    }

    /// Adds one. The oldest make way, until no more are left than a browser may have and a cookie can hold. If it is too
    /// long alone, it leads home.
    pub fn add(&mut self, pending: Pending) {
        self.0.push(pending);
        while self.0.len() > MOST || (self.0.len() > 1 && !self.fits()) {
            self.0.remove(0);
        }
        if !self.fits()
            && let Some(last) = self.0.last_mut()
        {
            last.return_to = None;
        }
    }

    /// Takes out the one that an answer with this `state` belongs to.
    pub fn take(&mut self, state: &str) -> Option<Pending> {
        let at = self.0.iter().position(|pending| pending.state == state)?;
        Some(self.0.remove(at))
    }

    /// `Set-Cookie` for what is left. `nonce` comes from a CSPRNG.
    pub fn set_cookie(&self, keys: &SealKeys, issuer: &str, nonce: [u8; NONCE_BYTES]) -> String {
        if self.0.is_empty() {
            return cookie::clear(cookie::LOGIN);
        }
        let sealed = keys.seal(SealPurpose::LoginState, issuer, &self.plain(), nonce);
        cookie::set(cookie::LOGIN, &URL_SAFE_NO_PAD.encode(sealed), LIFETIME)
            .unwrap_or_else(|_| cookie::clear(cookie::LOGIN))
    }

    fn plain(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    fn fits(&self) -> bool {
        // Version, key id, nonce and tag of the seal.
        const SEAL: usize = 1 + 4 + NONCE_BYTES + 16;
        let sealed = self.plain().len() + SEAL;
        cookie::LOGIN.len() + (sealed * 4).div_ceil(3) <= cookie::MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SITE: &str = "https://site.test";
    const NOW: UnixMillis = UnixMillis::from_millis(1_764_000_000_000);

    fn keys() -> SealKeys {
        SealKeys::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap()
    }

    fn pending(number: u8, return_to: Option<String>) -> Pending {
        let began = NOW.plus(Duration::from_secs(number.into()));
        Pending::new("demo", return_to, &[number; 64], began)
    }

    /// As the browser keeps it.
    fn value(set: &PendingSet) -> String {
        let header = set.set_cookie(&keys(), SITE, [7; 24]);
        let pair = header.split(';').next().unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        assert!(
            name.len() + value.len() <= cookie::MAX_BYTES,
            "{}",
            pair.len()
        );
        value.to_owned()
    }

    #[test]
    fn five_tabs_sign_in_at_once_each_with_its_own_way_back() {
        let mut set = PendingSet::default();
        for number in 0..5 {
            set.add(pending(number, Some(format!("/app/{number}?x=%26#part"))));
        }
        let mut opened = PendingSet::open(&value(&set), &keys(), SITE, NOW);
        assert_eq!(opened, set);
        for number in [3, 0, 4, 1, 2] {
            let expected = pending(number, Some(format!("/app/{number}?x=%26#part")));
            assert_eq!(opened.take(&expected.state), Some(expected.clone()));
            assert_eq!(opened.take(&expected.state), None, "single use");
        }
        assert!(
            opened
                .set_cookie(&keys(), SITE, [7; 24])
                .contains("Max-Age=0")
        );
    }

    #[test]
    fn a_sign_in_runs_out() {
        let mut set = PendingSet::default();
        set.add(pending(0, None));
        set.add(pending(5, None));
        let value = value(&set);
        let open =
            |at: u64| PendingSet::open(&value, &keys(), SITE, NOW.plus(Duration::from_secs(at)));
        assert_eq!(open(599).0.len(), 2);
        assert_eq!(open(600).0, [pending(5, None)]);
        assert_eq!(open(605), PendingSet::default());
    }

    #[test]
    fn nobody_else_can_write_the_cookie() {
        let mut set = PendingSet::default();
        set.add(pending(0, None));
        let good = value(&set);
        let other = SealKeys::parse("pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J").unwrap();
        let none = PendingSet::default();
        assert_eq!(PendingSet::open(&good, &other, SITE, NOW), none);
        assert_eq!(
            PendingSet::open(&good, &keys(), "https://other.test", NOW),
            none
        );
        for bad in ["", "AAAA", "not base64url!", &good[..good.len() - 1]] {
            assert_eq!(PendingSet::open(bad, &keys(), SITE, NOW), none, "{bad}");
        }
        let refresh = keys().seal(SealPurpose::RefreshToken, SITE, b"[]", [7; 24]);
        let refresh = URL_SAFE_NO_PAD.encode(refresh);
        assert_eq!(PendingSet::open(&refresh, &keys(), SITE, NOW), none);
    }

    #[test]
    fn the_verifier_and_the_state_are_as_long_as_they_must_be() {
        let pending = pending(1, None);
        // RFC 7636 §4.1; 128 bits (OWASP ASVS 5.0, 7.2.3).
        assert_eq!(
            (
                pending.verifier.len(),
                pending.state.len(),
                pending.nonce.len()
            ),
            (43, 22, 22)
        );
        assert_ne!(pending.verifier, pending.state);
    }

    proptest! {
        #[test]
        fn whatever_is_added_the_cookie_fits_and_the_newest_is_in_it(lengths in prop::collection::vec(0usize..9000, 1..14)) {
            let mut set = PendingSet::default();
            for (number, length) in (0u8..).zip(&lengths) {
                let newest = pending(number, Some(format!("/{}", "a".repeat(*length))));
                set.add(newest.clone());
                let mut opened = PendingSet::open(&value(&set), &keys(), SITE, NOW);
                prop_assert!(opened.0.len() <= MOST);
                let taken = opened.take(&newest.state).unwrap();
                prop_assert!(taken.return_to == newest.return_to || *length > 2500);
            }
        }
    }
}
