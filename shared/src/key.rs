//! Keys that sign and verify access tokens, and the set of them that is published (RFC 7517, RFC 8037).

use std::fmt;

use jsonwebtoken::EncodingKey;
use jsonwebtoken::signature::Verifier as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::base64url;
use crate::envelope::{self, EnvelopeError};
use crate::hmac_sha256::HmacKey;
use crate::provider::VerifyKey;
use crate::secret::{Purpose, RootSecret, Secret};
use crate::time::UnixMillis;

/// How a key signs. The key says it; a token only has to agree (RFC 8725 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
    /// HMAC-SHA-256 (RFC 7518 §3.2): whoever can verify can also sign.
    Hs256,
}

impl Algorithm {
    /// The `alg` value of RFC 7518 §3.1 and RFC 8037 §3.1.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }
}

/// A key that signs access tokens: the issuer's alone, except with HS256.
pub struct SigningKey {
    secret: Zeroizing<Vec<u8>>,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// The Ed25519 key of `seed` (RFC 8032 §5.1.5), published under `kid`.
    pub fn ed25519(kid: String, seed: &Secret<32>) -> Self {
        let public = ed25519_dalek::SigningKey::from_bytes(seed.expose()).verifying_key();
        Self {
            secret: Zeroizing::new(seed.expose().to_vec()),
            verifying: VerifyingKey {
                kid,
                key: VerifyKey::Ed25519(public),
            },
        }
    }

    /// The HMAC key `secret` itself, as other verifiers that share `JWT_SECRET` use it.
    pub fn hs256(secret: &RootSecret) -> Self {
        Self {
            secret: Zeroizing::new(secret.expose().to_vec()),
            verifying: VerifyingKey::hs256(secret),
        }
    }

    /// The `kid` in the header of tokens signed with this key.
    pub fn kid(&self) -> &str {
        self.verifying.kid()
    }

    /// How it signs.
    pub const fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// The key that verifies what this one signs.
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The same key as `jsonwebtoken` takes it; `provider.rs` reads the seed, not PKCS#8.
    pub(crate) fn encoding_key(&self) -> EncodingKey {
        match self.algorithm() {
            Algorithm::EdDsa => EncodingKey::from_ed_der(&self.secret),
            Algorithm::Hs256 => EncodingKey::from_secret(&self.secret),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SigningKey({}, {})",
            self.kid(),
            self.algorithm().as_str()
        )
    }
}

/// A key that verifies access tokens.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: String,
    key: VerifyKey,
}

impl VerifyingKey {
    /// The Ed25519 public key `public`; `None` where these bytes are no point of the curve.
    pub fn ed25519(kid: String, public: &[u8; 32]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(public).ok()?;
        Some(Self {
            kid,
            key: VerifyKey::Ed25519(key),
        })
    }

    /// The HMAC key `JWT_SECRET`. Its `kid` follows from the secret, so that both sides find it without a key set.
    pub fn hs256(secret: &RootSecret) -> Self {
        let key = HmacKey::new(secret.expose());
        let [a, b, c, d, ..] = key.tag(b"portcullis hs256 kid v1");
        Self {
            kid: format!("hs256-{:08x}", u32::from_be_bytes([a, b, c, d])),
            key: VerifyKey::Hs256(key),
        }
    }

    /// The name that tokens call it by.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How what it verifies is signed.
    pub const fn algorithm(&self) -> Algorithm {
        match self.key {
            VerifyKey::Ed25519(_) => Algorithm::EdDsa,
            VerifyKey::Hs256(_) => Algorithm::Hs256,
        }
    }

    pub(crate) fn holds(&self, message: &[u8], signature: &Vec<u8>) -> bool {
        self.key.verify(message, signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VerifyingKey({}, {})",
            self.kid,
            self.algorithm().as_str()
        )
    }
}

/// The keys that verify access tokens at one time: the one that signs now, those before it, and the next.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<VerifyingKey>);

impl KeySet {
    /// The set of `keys`.
    pub const fn new(keys: Vec<VerifyingKey>) -> Self {
        Self(keys)
    }

    /// Reads a JWK set (RFC 7517 §5). Keys that are not Ed25519 signature keys with a `kid` are passed over, as §5 says.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] where it is no JWK set, or an Ed25519 key in it is no point of the curve.
    pub fn from_jwks(json: &str) -> Result<Self, EnvelopeError> {
        let set: JwkSet =
            serde_json::from_str(json).map_err(|_| EnvelopeError::Malformed("not a JWK set"))?;
        set.into_keys()
    }

    /// The public keys as a JWK set (RFC 7517 §5, RFC 8037 §2). A shared HS256 secret is never in it.
    pub fn to_jwks(&self) -> String {
        to_json(&JwkSet::from(self))
    }

    /// The key named `kid`.
    pub fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.iter().find(|key| key.kid == kid)
    }

    /// The keys, in the order they were given.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.0
    }

    /// The value that the issuer writes to KV: the JWK set as of `made_at`, with a MAC under `secret`.
    pub fn publish(&self, made_at: UnixMillis, secret: &RootSecret) -> Vec<u8> {
        let published = Published {
            made_at,
            set: JwkSet::from(self),
        };
        envelope::close(to_json(&published).into_bytes(), Purpose::KeySet, secret)
    }

    /// Reads what [`Self::publish`] wrote, made with any of `secrets`.
    ///
    /// # Errors
    /// [`EnvelopeError`] where the MAC does not hold, or what is inside is no key set.
    pub fn open(bytes: &[u8], secrets: &[RootSecret]) -> Result<(Self, UnixMillis), EnvelopeError> {
        let payload = envelope::open(bytes, Purpose::KeySet, secrets)?;
        let published: Published = serde_json::from_slice(payload)
            .map_err(|_| EnvelopeError::Malformed("not a published key set"))?;
        Ok((published.set.into_keys()?, published.made_at))
    }
}

#[derive(Serialize, Deserialize)]
struct Published {
    made_at: UnixMillis,
    #[serde(flatten)]
    set: JwkSet,
}

#[derive(Serialize, Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    kid: String,
    #[serde(default)]
    x: String,
    #[serde(default, rename = "use")]
    usage: String,
    #[serde(default)]
    alg: String,
}

impl JwkSet {
    fn into_keys(self) -> Result<KeySet, EnvelopeError> {
        self.keys
            .iter()
            .filter(|jwk| jwk.kty == "OKP" && jwk.crv == "Ed25519" && !jwk.kid.is_empty())
            .filter(|jwk| jwk.usage.is_empty() || jwk.usage == "sig")
            .map(|jwk| {
                base64url::decode_array(&jwk.x)
                    .and_then(|public| VerifyingKey::ed25519(jwk.kid.clone(), &public))
                    .ok_or(EnvelopeError::Malformed(
                        "an Ed25519 key is not a point of the curve",
                    ))
            })
            .collect::<Result<_, _>>()
            .map(KeySet)
    }
}

impl From<&KeySet> for JwkSet {
    fn from(set: &KeySet) -> Self {
        let keys = set.0.iter().filter_map(|key| match &key.key {
            VerifyKey::Hs256(_) => None,
            VerifyKey::Ed25519(public) => Some(Jwk {
                kty: "OKP".to_owned(),
                crv: "Ed25519".to_owned(),
                kid: key.kid.clone(),
                x: base64url::encode(public.as_bytes()),
                usage: "sig".to_owned(),
                alg: key.algorithm().as_str().to_owned(),
            }),
        });
        Self {
            keys: keys.collect(),
        }
    }
}

fn to_json(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(json) => json,
        Err(_) => unreachable!("strings and integers always serialize"),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn root(text: &str) -> RootSecret {
        RootSecret::parse(text).unwrap()
    }

    const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

    /// RFC 8037 appendix A.1 to A.3: seed, public key.
    #[test]
    fn the_public_key_is_that_of_rfc_8037() {
        let seed = base64url::decode_array("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SigningKey::ed25519("k".into(), &Secret::from_bytes(seed));
        let jwks = KeySet::new(vec![key.verifying_key().clone()]).to_jwks();
        assert!(
            jwks.contains(r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#),
            "{jwks}"
        );
        assert!(!jwks.contains("\"d\""));
    }

    #[test]
    fn a_set_survives_publishing_and_only_with_the_right_secret() {
        let key = SigningKey::ed25519("k1".into(), &Secret::from_bytes([7; 32]));
        let set = KeySet::new(vec![
            key.verifying_key().clone(),
            VerifyingKey::hs256(&root(SECRET)),
        ]);
        let made_at = UnixMillis::from_millis(5);
        let bytes = set.publish(made_at, &root(SECRET));
        let (read, read_at) = KeySet::open(&bytes, &[root(SECRET)]).unwrap();
        assert_eq!(read_at, made_at);
        assert!(read.get("k1").is_some());
        assert_eq!(read.keys().len(), 1, "a shared secret is never published");
        let other = root("pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J");
        assert_eq!(
            KeySet::open(&bytes, &[other]).unwrap_err(),
            EnvelopeError::BadMac
        );
    }

    #[test]
    fn foreign_keys_are_passed_over_and_broken_ones_refused() {
        let set = r#"{"keys":[{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"},{"kty":"oct","kid":"o","k":"AAAA"},
            {"kty":"OKP","crv":"Ed25519","kid":"enc","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        assert!(KeySet::from_jwks(set).unwrap().keys().is_empty());
        let broken = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"AAAA"}]}"#;
        assert!(KeySet::from_jwks(broken).is_err());
        assert!(KeySet::from_jwks("[]").is_err());
    }

    #[test]
    fn keys_do_not_print() {
        let key = SigningKey::ed25519("k".into(), &Secret::from_bytes([65; 32]));
        assert_eq!(format!("{key:?}"), "SigningKey(k, EdDSA)");
        let printed = format!("{:?}", SigningKey::hs256(&root(SECRET)));
        assert!(
            printed.starts_with("SigningKey(hs256-") && !printed.contains("mJ4v"),
            "{printed}"
        );
    }
}
