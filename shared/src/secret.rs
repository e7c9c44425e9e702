//! Secrets as types of their own: they do not print, compare in constant time and are wiped when dropped.

use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

/// `N` secret bytes.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes over `bytes`, which the caller drew from a CSPRNG, derived, or unsealed.
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves: for crypto only, never for a log line or a query.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// What may be stored in place of the secret. One round of SHA-256 is enough because the secret is random.
    pub fn sha256(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0).into())
    }
}

impl Secret<32> {
    /// A name for `message` that says nothing about it to whoever lacks the secret: HKDF-Expand (RFC 5869 §2.3), that is, an
    /// HMAC-SHA-256.
    pub fn pseudonym(&self, message: &[u8]) -> [u8; 32] {
        let mut name = [0; 32];
        let expanded =
            Hkdf::<Sha256>::from_prk(&self.0).map(|hkdf| hkdf.expand(message, &mut name));
        match expanded {
            Ok(Ok(())) => name,
            _ => unreachable!("HKDF-SHA-256 takes a key of 32 bytes and gives as many"),
        }
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a [`Secret`]: the only form in which SQL sees one.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// A hash read back from storage.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash, to be stored.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A secret that arrives as text, such as a connection string or an API token.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SecretText(String);

impl SecretText {
    /// Takes over `text`.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: for the peer it is meant for, never for a log line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Why a configured secret was refused. Never holds the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Nothing there, or nothing between two commas.
    #[error("is empty")]
    Empty,
    /// Fewer bytes than the algorithm needs.
    #[error("has {got} bytes, needs at least {need}")]
    TooShort {
        /// Bytes found.
        got: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The value of an example, or too regular to be random.
    #[error("looks like an example, not like a secret; make one with: openssl rand -hex 32")]
    DefaultLooking,
    /// `ENCRYPTION_KEY` in none of its three spellings.
    #[error("must be 32 characters, 64 hexadecimal digits, or base64 of 32 bytes")]
    NotAKey,
}

/// Refuses text that was copied from an example, or typed: fewer than ten different characters, or a telling word.
///
/// A random value of 32 characters is wrongly refused with odds below 10⁻⁴ in hex and 10⁻⁸ in base64.
pub(crate) fn refuse_default_looking(text: &str) -> Result<(), SecretError> {
    const TELLING: [&str; 12] = [
        "changeme",
        "change-me",
        "change_me",
        "secret",
        "password",
        "example",
        "your-",
        "your_",
        "default",
        "insert",
        "1234567",
        "abcdefg",
    ];
    let lower = Zeroizing::new(text.to_ascii_lowercase());
    let mut seen = [false; 256];
    for byte in text.bytes() {
        if let Some(slot) = seen.get_mut(usize::from(byte)) {
            *slot = true;
        }
    }
    let different = seen.iter().filter(|seen| **seen).count();
    if different < 10 || TELLING.iter().any(|word| lower.contains(word)) {
        return Err(SecretError::DefaultLooking);
    }
    Ok(())
}

/// What a key derived from a [`RootSecret`] is for. A new use is a new variant; a label is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The token with which edge and issuer recognise each other.
    EdgeToken,
    /// The MAC of a revocation update.
    RevocationUpdate,
    /// The MAC of an update that one isolate shares with others.
    Relay,
    /// The MAC of a published key set.
    KeySet,
    /// The signature of `Portcullis-Assertion`.
    Assertion,
    /// The names under which attempts at an account are counted.
    Attempts,
    /// Whose hash a sign-in to an unknown account is as slow as.
    UnknownAccount,
}

impl Purpose {
    /// The `info` of HKDF (RFC 5869 §2.3).
    pub(crate) const fn label(self) -> &'static [u8] {
        match self {
            Self::EdgeToken => b"portcullis edge-token v1",
            Self::RevocationUpdate => b"portcullis revocation-update v2",
            Self::Relay => b"portcullis relay v1",
            Self::KeySet => b"portcullis key-set v1",
            Self::Assertion => b"portcullis assertion v2",
            Self::Attempts => b"portcullis attempts v1",
            Self::UnknownAccount => b"portcullis unknown-account v1",
        }
    }
}

/// A configured secret from which keys are derived, each for one purpose: `EDGE_SECRET`, `ORIGIN_SECRET`.
#[derive(Clone, ZeroizeOnDrop)]
pub struct RootSecret(Vec<u8>);

impl RootSecret {
    /// Bytes that a root secret has at least.
    pub const MIN_BYTES: usize = 32;

    /// Reads one secret.
    ///
    /// # Errors
    /// [`SecretError`] where it is empty, shorter than [`Self::MIN_BYTES`], or looks like an example.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        if text.len() < Self::MIN_BYTES {
            return Err(SecretError::TooShort {
                got: text.len(),
                need: Self::MIN_BYTES,
            });
        }
        refuse_default_looking(text)?;
        Ok(Self(text.as_bytes().to_vec()))
    }

    /// Reads `new,old`: the first is used to sign, each is accepted. Never empty.
    ///
    /// # Errors
    /// As [`Self::parse`], for any of them.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, SecretError> {
        text.split(',').map(Self::parse).collect()
    }

    /// The bytes themselves: for an algorithm that others must be able to check with the same secret (`JWT_SECRET`).
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The key for `purpose`: HKDF-SHA-256 (RFC 5869), no salt, the purpose as `info`.
    pub fn derive(&self, purpose: Purpose) -> Secret<32> {
        let mut key = Secret([0; 32]);
        if Hkdf::<Sha256>::new(None, &self.0)
            .expand(purpose.label(), &mut key.0)
            .is_err()
        {
            // HKDF-SHA-256 fails above 8160 bytes only; if that ever changed, a wiped key must not be handed out.
            key.0.zeroize();
            unreachable!("HKDF-SHA-256 gives 32 bytes");
        }
        key
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const GOOD: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

    #[test]
    fn secrets_do_not_print() {
        let printed = format!(
            "{:?} {:?} {:?} {:?}",
            Secret::from_bytes([65; 32]),
            Secret::from_bytes([65; 32]).sha256(),
            SecretText::new(GOOD.into()),
            RootSecret::parse(GOOD).unwrap()
        );
        assert!(
            !printed.contains("65") && !printed.contains("AAA") && !printed.contains("mJ4v"),
            "{printed}"
        );
    }

    #[test]
    fn examples_and_short_ones_are_refused() {
        assert_eq!(RootSecret::parse("").unwrap_err(), SecretError::Empty);
        assert_eq!(
            RootSecret::parse("short").unwrap_err(),
            SecretError::TooShort { got: 5, need: 32 }
        );
        for text in [
            "please-changeme-please-changeme-0",
            "00000000000000000000000000000000",
            "a-Secret-Of-Thirty-Two-Characters",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(
                RootSecret::parse(text).unwrap_err(),
                SecretError::DefaultLooking,
                "{text}"
            );
        }
    }

    #[test]
    fn a_list_has_the_new_one_first() {
        let old = "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J";
        let list = RootSecret::parse_list(&format!("{GOOD},{old}")).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].0, GOOD.as_bytes());
        assert_eq!(
            RootSecret::parse_list(&format!("{GOOD},")).unwrap_err(),
            SecretError::Empty
        );
    }

    #[test]
    fn a_pseudonym_follows_from_secret_and_message() {
        let (one, other) = (Secret::from_bytes([1; 32]), Secret::from_bytes([2; 32]));
        assert_eq!(one.pseudonym(b"ada"), one.pseudonym(b"ada"));
        assert_ne!(one.pseudonym(b"ada"), one.pseudonym(b"bob"));
        assert_ne!(one.pseudonym(b"ada"), other.pseudonym(b"ada"));
    }

    #[test]
    fn each_purpose_has_its_own_key() {
        let root = RootSecret::parse(GOOD).unwrap();
        assert_ne!(
            root.derive(Purpose::RevocationUpdate),
            root.derive(Purpose::KeySet)
        );
        assert_eq!(
            root.derive(Purpose::RevocationUpdate),
            root.derive(Purpose::RevocationUpdate)
        );
    }
}
