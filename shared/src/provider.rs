//! The crypto that `jsonwebtoken` calls: HMAC-SHA-256 and Ed25519, nothing else.
//!
//! Its own `rust_crypto` feature would bring RSA and P-384 into the worker (835 KB of wasm).

use std::sync::Once;

use ed25519_dalek::{Signer as _, SigningKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};

use crate::hmac_sha256::HmacKey;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(SignKey::new(*algorithm, key)?)),
    verifier_factory: |algorithm, key| Ok(Box::new(VerifyKey::new(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use this provider, once for the process.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    // An Err means that the program around us installed a provider of its own first: then its Ed25519 would read our
    // seeds as PKCS#8 and fail with an error, never sign wrongly.
    INSTALLED.call_once(|| {
        let _ = PROVIDER.install_default();
    });
}

enum SignKey {
    Ed25519(SigningKey),
    Hs256(HmacKey),
}

impl SignKey {
    fn new(algorithm: Algorithm, key: &EncodingKey) -> Result<Self> {
        match (algorithm, key.family()) {
            (Algorithm::EdDSA, AlgorithmFamily::Ed) => Ok(Self::Ed25519(SigningKey::from_bytes(
                key.as_bytes()
                    .try_into()
                    .map_err(|_| ErrorKind::InvalidKeyFormat)?,
            ))),
            (Algorithm::HS256, AlgorithmFamily::Hmac) => {
                Ok(Self::Hs256(HmacKey::new(key.as_bytes())))
            }
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

impl Signer<Vec<u8>> for SignKey {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(match self {
            Self::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Self::Hs256(key) => key.tag(message).to_vec(),
        })
    }
}

impl JwtSigner for SignKey {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDSA,
            Self::Hs256(_) => Algorithm::HS256,
        }
    }
}

/// A key that checks signatures, with all that depends on the key alone already computed.
#[derive(Clone)]
pub(crate) enum VerifyKey {
    Ed25519(ed25519_dalek::VerifyingKey),
    Hs256(HmacKey),
}

impl VerifyKey {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self> {
        match (algorithm, key.family()) {
            (Algorithm::EdDSA, AlgorithmFamily::Ed) => key
                .try_get_as_bytes()?
                .try_into()
                .ok()
                .and_then(|bytes| ed25519_dalek::VerifyingKey::from_bytes(bytes).ok())
                .map(Self::Ed25519)
                .ok_or_else(|| ErrorKind::InvalidKeyFormat.into()),
            (Algorithm::HS256, AlgorithmFamily::Hmac) => {
                Ok(Self::Hs256(HmacKey::new(key.try_get_as_bytes()?)))
            }
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

impl Verifier<Vec<u8>> for VerifyKey {
    /// Ed25519 by RFC 8032 §5.1.7 with small-order keys refused, so that a signature fits one message only.
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let holds = match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(tag)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::Hs256(key) => key.holds(message, tag),
        };
        holds.then_some(()).ok_or_else(signature::Error::new)
    }
}

impl JwtVerifier for VerifyKey {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDSA,
            Self::Hs256(_) => Algorithm::HS256,
        }
    }
}

/// Project Wycheproof's vectors, which hold the mistakes that implementations made before; natively and in wasm.
#[cfg(test)]
mod tests {
    use aes_gcm::aead::{Aead as _, Payload};
    use aes_gcm::{Aes256Gcm, KeyInit as _};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;
    use wycheproof::{TestResult, aead, eddsa, mac};

    use super::*;

    #[test]
    fn ed25519_accepts_what_is_valid_and_nothing_else() {
        let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
        let mut seen = 0;
        for group in &set.test_groups {
            let key = DecodingKey::from_ed_der(&group.key.pk);
            let key = (PROVIDER.verifier_factory)(&Algorithm::EdDSA, &key).unwrap();
            for test in &group.tests {
                let holds = key.verify(&test.msg, &test.sig.to_vec()).is_ok();
                assert_eq!(
                    holds,
                    test.result == TestResult::Valid,
                    "{}: {}",
                    test.tc_id,
                    test.comment
                );
                seen += 1;
            }
        }
        assert_eq!(seen, set.number_of_tests);
    }

    #[test]
    fn hmac_accepts_whole_tags_and_nothing_else() {
        let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
        let mut seen = 0;
        for group in set.test_groups.iter().filter(|group| group.tag_size == 256) {
            for test in &group.tests {
                let key = DecodingKey::from_secret(&test.key);
                let key = (PROVIDER.verifier_factory)(&Algorithm::HS256, &key).unwrap();
                let holds = key.verify(&test.msg, &test.tag.to_vec()).is_ok();
                assert_eq!(
                    holds,
                    test.result == TestResult::Valid,
                    "{}: {}",
                    test.tc_id,
                    test.comment
                );
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen} vectors");
    }

    /// The primitive under seals: XAES-256-GCM is AES-256-GCM with a key and a nonce of its own for each message.
    #[test]
    fn aes_256_gcm_opens_what_is_valid_and_nothing_else() {
        let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let mut seen = 0;
        let ours = set
            .test_groups
            .iter()
            .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128));
        for test in ours.flat_map(|group| &group.tests) {
            let cipher = Aes256Gcm::new_from_slice(&test.key).unwrap();
            let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
            let sealed = [&test.ct[..], &test.tag].concat();
            let payload = Payload {
                msg: &sealed,
                aad: &test.aad,
            };
            let opened = cipher.decrypt(&nonce.into(), payload).ok();
            let valid = test.result == TestResult::Valid;
            let expected = valid.then(|| test.pt.to_vec());
            assert_eq!(opened, expected, "{}: {}", test.tc_id, test.comment);
            let payload = Payload {
                msg: &test.pt,
                aad: &test.aad,
            };
            let made = cipher.encrypt(&nonce.into(), payload).unwrap();
            assert_eq!(made == sealed, valid, "{}: {}", test.tc_id, test.comment);
            seen += 1;
        }
        assert!(seen > 50, "{seen} vectors");
    }

    #[test]
    fn no_other_algorithm_is_signed_or_verified() {
        for algorithm in [
            Algorithm::HS384,
            Algorithm::HS512,
            Algorithm::RS256,
            Algorithm::ES256,
        ] {
            assert!(
                (PROVIDER.signer_factory)(&algorithm, &EncodingKey::from_secret(b"k")).is_err()
            );
            assert!(
                (PROVIDER.verifier_factory)(&algorithm, &DecodingKey::from_secret(b"k")).is_err()
            );
        }
        let public_key_as_secret = DecodingKey::from_secret(&[7; 32]);
        assert!((PROVIDER.verifier_factory)(&Algorithm::EdDSA, &public_key_as_secret).is_err());
    }
}
