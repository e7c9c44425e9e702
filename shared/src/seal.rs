//! Sealing what only the issuer may read: XAES-256-GCM as C2SP specifies it (c2sp.org/XAES-256-GCM), on the `aes-gcm`
//! crate. A 24-byte random nonce derives a key for each message, so that any number of them is safe under one key.
//!
//! Layout of a sealed value: version (1 byte), key id (4), nonce (24), ciphertext with tag.

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::{Secret, SecretError, refuse_default_looking};

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;

const VERSION: u8 = 1;

/// What a sealed value is for. It is part of what is authenticated, so a value for one purpose does not open as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealPurpose {
    /// A refresh token in a browser's cookie.
    RefreshToken,
    /// The seed of a signing key in Postgres.
    SigningKey,
    /// The state of a sign-in that is under way.
    LoginState,
    /// Who has signed in with a browser before, in its cookie.
    KnownDevice,
}

impl SealPurpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::RefreshToken => b"portcullis refresh-token v1",
            Self::SigningKey => b"portcullis signing-key v1",
            Self::LoginState => b"portcullis login-state v1",
            Self::KnownDevice => b"portcullis known-device v1",
        }
    }
}

/// The value was not sealed with one of these keys for this purpose and issuer, or was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sealed with a key of ENCRYPTION_KEY for this purpose and issuer")]
pub struct Unsealable;

/// The keys of `ENCRYPTION_KEY`: the first seals, each opens. Never empty.
#[derive(Clone, Debug)]
pub struct SealKeys {
    newest: SealKey,
    older: Vec<SealKey>,
}

#[derive(Clone, Debug)]
struct SealKey {
    id: [u8; 4],
    key: Secret<32>,
}

impl SealKeys {
    /// Reads `new,old`; each is 32 characters, 64 hexadecimal digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// [`SecretError`] where one of them is something else, or looks like an example.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let mut keys = text.split(',').map(SealKey::parse);
        let newest = keys.next().ok_or(SecretError::Empty)??;
        let older = keys.collect::<Result<_, _>>()?;
        Ok(Self { newest, older })
    }

    /// Seals `plaintext` for `purpose` at the issuer `issuer` with the newest key.
    ///
    /// `nonce` must come from a CSPRNG; used twice, it would tell whether two plaintexts are the same and worse.
    pub fn seal(
        &self,
        purpose: SealPurpose,
        issuer: &str,
        plaintext: &[u8],
        nonce: [u8; NONCE_BYTES],
    ) -> Vec<u8> {
        let SealKey { id, key } = &self.newest;
        let ciphertext = encrypt(
            key,
            &nonce,
            plaintext,
            &associated_data(purpose, issuer, *id),
        );
        [&[VERSION][..], id, &nonce, &ciphertext].concat()
    }

    /// Opens what [`Self::seal`] made.
    ///
    /// # Errors
    /// [`Unsealable`], without saying why: the reasons are of use only to somebody who forges.
    pub fn open(
        &self,
        purpose: SealPurpose,
        issuer: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (version, rest) = sealed.split_first().ok_or(Unsealable)?;
        let (id, rest) = rest.split_first_chunk::<4>().ok_or(Unsealable)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(Unsealable)?;
        if *version != VERSION {
            return Err(Unsealable);
        }
        std::iter::once(&self.newest)
            .chain(&self.older)
            .filter(|key| key.id == *id)
            .find_map(|key| {
                decrypt(
                    &key.key,
                    nonce,
                    ciphertext,
                    &associated_data(purpose, issuer, *id),
                )
            })
            .map(Zeroizing::new)
            .ok_or(Unsealable)
    }
}

impl SealKey {
    fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        let bytes = Zeroizing::new(match text.len() {
            32 => text.as_bytes().to_vec(),
            64 => from_hex(text).ok_or(SecretError::NotAKey)?,
            43 => STANDARD_NO_PAD
                .decode(text)
                .map_err(|_| SecretError::NotAKey)?,
            44 => STANDARD.decode(text).map_err(|_| SecretError::NotAKey)?,
            _ => return Err(SecretError::NotAKey),
        });
        refuse_default_looking(text)?;
        let key: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| SecretError::NotAKey)?;
        let mut id = [0; 4];
        if Hkdf::<Sha256>::new(None, &key)
            .expand(b"portcullis seal key id v1", &mut id)
            .is_err()
        {
            unreachable!("HKDF-SHA-256 gives 4 bytes");
        }
        Ok(Self {
            id,
            key: Secret::from_bytes(key),
        })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()))
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect()
}

/// Every part with its length before it, so that no two different lists give the same bytes.
fn associated_data(purpose: SealPurpose, issuer: &str, key_id: [u8; 4]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in [purpose.label(), issuer.as_bytes(), &key_id] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}

fn encrypt(key: &Secret<32>, nonce: &[u8; NONCE_BYTES], msg: &[u8], aad: &[u8]) -> Vec<u8> {
    let (cipher, nonce) = message_cipher(key, nonce);
    match cipher.encrypt(&nonce.into(), Payload { msg, aad }) {
        Ok(ciphertext) => ciphertext,
        Err(_) => unreachable!("AES-GCM takes messages of up to 64 GiB"),
    }
}

fn decrypt(key: &Secret<32>, nonce: &[u8; NONCE_BYTES], msg: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    let (cipher, nonce) = message_cipher(key, nonce);
    cipher.decrypt(&nonce.into(), Payload { msg, aad }).ok()
}

/// The AES-256-GCM key and nonce of one message: a CMAC-based KDF in counter mode (NIST SP 800-108r1) over the first
/// half of the nonce, as C2SP's XAES-256-GCM lays it out.
fn message_cipher(key: &Secret<32>, nonce: &[u8; NONCE_BYTES]) -> (Aes256Gcm, [u8; 12]) {
    let cipher = Aes256::new(key.expose().into());
    let (derive, pass): ([u8; 12], [u8; 12]) = halves(nonce);

    let mut subkey = [0; 16];
    encrypt_block(&cipher, &mut subkey);
    let doubled = u128::from_be_bytes(subkey) << 1;
    let carry = if subkey.first().is_some_and(|byte| byte & 0x80 != 0) {
        0x87
    } else {
        0
    };
    let subkey = doubled ^ carry;

    let derived = Zeroizing::new([1u8, 2].map(|counter| {
        let mut block = [0; 16];
        let [_, slot, x, _, rest @ ..] = &mut block;
        *slot = counter;
        *x = b'X';
        *rest = derive;
        block = (u128::from_be_bytes(block) ^ subkey).to_be_bytes();
        encrypt_block(&cipher, &mut block);
        block
    }));
    let mut message_key = Zeroizing::new([0; 32]);
    message_key.copy_from_slice(derived.as_flattened());
    (Aes256Gcm::new((&*message_key).into()), pass)
}

fn encrypt_block(cipher: &Aes256, block: &mut [u8; 16]) {
    cipher.encrypt_block(block.into());
}

fn halves(nonce: &[u8; NONCE_BYTES]) -> ([u8; 12], [u8; 12]) {
    match nonce.as_chunks::<12>() {
        ([first, second], _) => (*first, *second),
        _ => unreachable!("24 bytes are twice 12"),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const NEW: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
    const OLD: &str = "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J";
    const NONCE: &[u8; 24] = b"ABCDEFGHIJKLMNOPQRSTUVWX";

    /// The two vectors of C2SP's XAES-256-GCM: the first takes the branch without the carry, the second the one with it.
    #[test]
    fn ciphertexts_are_those_of_c2sp() {
        let first = encrypt(&Secret::from_bytes([1; 32]), NONCE, b"XAES-256-GCM", b"");
        assert_eq!(
            hex::encode(&first),
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"
        );
        let second = encrypt(
            &Secret::from_bytes([3; 32]),
            NONCE,
            b"XAES-256-GCM",
            b"c2sp.org/XAES-256-GCM",
        );
        assert_eq!(
            hex::encode(&second),
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"
        );
    }

    /// C2SP's accumulated vector: the SHAKE128 of 10,000 ciphertexts of random keys, nonces, plaintexts and data.
    #[test]
    fn ten_thousand_ciphertexts_are_those_of_c2sp() {
        use shake::{ExtendableOutput as _, Shake128, Update as _, XofReader};
        fn read(source: &mut impl XofReader, length: usize) -> Vec<u8> {
            let mut bytes = vec![0; length];
            source.read(&mut bytes);
            bytes
        }
        let mut source = Shake128::default().finalize_xof();
        let mut digest = Shake128::default();
        for _ in 0..10_000 {
            let key = Secret::from_bytes(read(&mut source, 32).try_into().unwrap());
            let nonce = read(&mut source, 24).try_into().unwrap();
            let length = read(&mut source, 1)[0];
            let plaintext = read(&mut source, length.into());
            let length = read(&mut source, 1)[0];
            let data = read(&mut source, length.into());
            let ciphertext = encrypt(&key, &nonce, &plaintext, &data);
            assert_eq!(decrypt(&key, &nonce, &ciphertext, &data), Some(plaintext));
            digest.update(&ciphertext);
        }
        let digest = read(&mut digest.finalize_xof(), 32);
        assert_eq!(
            hex::encode(digest),
            "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
        );
    }

    #[test]
    fn a_value_opens_for_its_purpose_and_issuer_only() {
        let keys = SealKeys::parse(NEW).unwrap();
        let sealed = keys.seal(SealPurpose::RefreshToken, "https://a", b"inside", *NONCE);
        let open = |purpose, issuer, sealed: &[u8]| {
            keys.open(purpose, issuer, sealed)
                .map(|plain| plain.to_vec())
        };
        assert_eq!(
            open(SealPurpose::RefreshToken, "https://a", &sealed),
            Ok(b"inside".to_vec())
        );
        assert_eq!(
            open(SealPurpose::LoginState, "https://a", &sealed),
            Err(Unsealable)
        );
        assert_eq!(
            open(SealPurpose::RefreshToken, "https://b", &sealed),
            Err(Unsealable)
        );
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(
                open(SealPurpose::RefreshToken, "https://a", &flipped),
                Err(Unsealable),
                "byte {at}"
            );
            assert_eq!(
                open(SealPurpose::RefreshToken, "https://a", &sealed[..at]),
                Err(Unsealable)
            );
        }
    }

    #[test]
    fn while_rotating_the_old_key_still_opens_and_no_longer_seals() {
        let old = SealKeys::parse(OLD).unwrap();
        let both = SealKeys::parse(&format!("{NEW},{OLD}")).unwrap();
        let new = SealKeys::parse(NEW).unwrap();
        let purpose = SealPurpose::SigningKey;
        let by_old = old.seal(purpose, "i", b"x", *NONCE);
        assert!(both.open(purpose, "i", &by_old).is_ok());
        assert!(new.open(purpose, "i", &by_old).is_err());
        let by_both = both.seal(purpose, "i", b"x", *NONCE);
        assert!(new.open(purpose, "i", &by_both).is_ok());
    }

    #[test]
    fn a_key_has_three_spellings() {
        let hex_key = hex::encode(NEW);
        let base64_key = STANDARD.encode(NEW);
        let sealed = SealKeys::parse(NEW)
            .unwrap()
            .seal(SealPurpose::LoginState, "i", b"x", *NONCE);
        for spelling in [
            hex_key.as_str(),
            &base64_key,
            base64_key.trim_end_matches('='),
        ] {
            let keys = SealKeys::parse(spelling).unwrap();
            assert!(
                keys.open(SealPurpose::LoginState, "i", &sealed).is_ok(),
                "{}",
                spelling.len()
            );
        }
        assert_eq!(SealKeys::parse("").unwrap_err(), SecretError::Empty);
        assert_eq!(
            SealKeys::parse(&"z".repeat(64)).unwrap_err(),
            SecretError::NotAKey
        );
        assert_eq!(SealKeys::parse("short").unwrap_err(), SecretError::NotAKey);
        assert_eq!(
            SealKeys::parse(&"0".repeat(64)).unwrap_err(),
            SecretError::DefaultLooking
        );
    }
}
