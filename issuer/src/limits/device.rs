//! The cookie by which a browser is known to accounts that have signed in with it. It proves nothing but that: whoever has it
//! still needs the password, and has as many tries as the browser itself.

use std::time::Duration;

use shared::id::UserId;
use shared::seal::{NONCE_BYTES, SealKeys, SealPurpose};
use shared::time::UnixTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How long a browser is known after a sign-in.
pub const LIFETIME: Duration = Duration::from_secs(180 * 24 * 3600);

/// How many accounts a browser is known to; the one that signed in longest ago makes way.
const MOST_USERS: usize = 5;

/// Characters of the longest cookie, and some.
const MAX: usize = 512;

/// A browser's random name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId([u8; 16]);

impl DeviceId {
    /// The name made of these bytes, which the caller drew from a CSPRNG.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A browser that somebody has signed in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    id: DeviceId,
    /// Who, and until when that counts; the latest first.
    users: Vec<(UserId, UnixTime)>,
}

impl Device {
    /// A browser that is known to nobody yet.
    pub const fn new(id: DeviceId) -> Self {
        Self {
            id,
            users: Vec::new(),
        }
    }

    /// Opens a cookie's value. Nothing comes of one that this issuer has not sealed.
    pub fn open(untrusted: &str, keys: &SealKeys, issuer: &str) -> Option<Self> {
        if untrusted.len() > MAX {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(untrusted).ok()?;
        let plain = keys.open(SealPurpose::KnownDevice, issuer, &sealed).ok()?;
        let (id, users) = plain.split_first_chunk()?;
        let (users, rest) = users.as_chunks::<24>();
        if !rest.is_empty() {
            return None;
        }
        let user = |bytes: &[u8; 24]| {
            let (id, until) = bytes.split_first_chunk()?;
            let until = i64::from_be_bytes(until.try_into().ok()?);
            Some((UserId::from_bytes(*id), UnixTime::from_secs(until)))
        };
        Some(Self {
            id: DeviceId(*id),
            users: users.iter().filter_map(user).collect(),
        })
    }

    /// The cookie's value. `nonce` comes from a CSPRNG.
    pub fn seal(&self, keys: &SealKeys, issuer: &str, nonce: [u8; NONCE_BYTES]) -> String {
        let mut plain = self.id.0.to_vec();
        for (id, until) in &self.users {
            plain.extend_from_slice(id.as_bytes());
            plain.extend_from_slice(&until.secs().to_be_bytes());
        }
        URL_SAFE_NO_PAD.encode(keys.seal(SealPurpose::KnownDevice, issuer, &plain, nonce))
    }

    /// Its name, where `user` has signed in with it and that still counts at `now`.
    pub fn known_to(&self, user: UserId, now: UnixTime) -> Option<DeviceId> {
        let mut users = self.users.iter();
        users
            .any(|(id, until)| *id == user && now < *until)
            .then_some(self.id)
    }

    /// The browser after a sign-in of `user` at `now`.
    #[must_use]
    pub fn with(mut self, user: UserId, now: UnixTime) -> Self {
        self.users.retain(|(id, until)| *id != user && now < *until);
        self.users.insert(0, (user, now.plus(LIFETIME)));
        self.users.truncate(MOST_USERS);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
    const ISSUER: &str = "https://example.org";

    fn keys() -> SealKeys {
        SealKeys::parse("9f3c1e7ab45d2086ee17c94b60fa8d23715bc0e4a6d89f1237be05c4d1a2f86e").unwrap()
    }

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 16])
    }

    fn device() -> Device {
        Device::new(DeviceId([7; 16]))
    }

    #[test]
    fn it_is_known_to_the_last_few_who_signed_in_and_for_so_long() {
        let device = (1..=6).fold(device(), |device, n| device.with(user(n), NOW));
        let known = |n, at| device.known_to(user(n), at).is_some();
        assert!(!known(1, NOW), "made way");
        assert!((2..=6).all(|n| known(n, NOW)));
        assert!(!known(7, NOW));
        assert!(!known(6, NOW.plus(LIFETIME)));
        let later = NOW.plus(LIFETIME / 2);
        let renewed = device.with(user(6), later);
        assert!(renewed.known_to(user(6), NOW.plus(LIFETIME)).is_some());
        assert_eq!(renewed.users.len(), 5);
    }

    #[test]
    fn only_what_this_issuer_sealed_for_this_purpose_opens() {
        let full = (1..=6).fold(device(), |device, n| device.with(user(n), NOW));
        let sealed = full.seal(&keys(), ISSUER, [1; 24]);
        assert!(sealed.len() < MAX, "{}", sealed.len());
        assert_eq!(Device::open(&sealed, &keys(), ISSUER), Some(full));
        assert_eq!(
            Device::open(&sealed, &keys(), "https://other.example"),
            None
        );
        let other = keys().seal(SealPurpose::RefreshToken, ISSUER, &[0; 40], [1; 24]);
        let other = URL_SAFE_NO_PAD.encode(other);
        assert_eq!(Device::open(&other, &keys(), ISSUER), None);
    }

    proptest! {
        #[test]
        fn nothing_else_opens(text in ".{0,200}") {
            prop_assert_eq!(Device::open(&text, &keys(), ISSUER), None);
        }
    }
}
