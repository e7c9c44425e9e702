//! The provider's keys, and every way to sign that it is tried with.

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A SubjectPublicKeyInfo of P-256 up to its point (RFC 5480 §2).
const SPKI: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Signature {
    /// ES256 with the key that is published.
    #[default]
    Good,
    /// `alg: none` and nothing behind the last dot (RFC 7519 §6).
    Absent,
    /// HS256 with the client's secret.
    HmacOfSecret,
    /// HS256 with the published key's PEM as the secret (RFC 8725 §2.1).
    HmacOfPublicKey,
    /// By a key that is not published, under a `kid` that is not published.
    UnknownKid,
    /// By a key that is not published, under the `kid` of the one that is.
    ForeignKey,
    /// By a key that the header brings along as `jwk` (RFC 8725 §3.10).
    KeyInHeader,
    /// [`Signature::Good`], but for one bit.
    Broken,
}

/// A key pair of ES256.
pub(super) struct Key {
    kid: String,
    pair: EcdsaKeyPair,
}

impl Key {
    pub(super) fn new(kid: &str) -> Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let failed = |what: &str| anyhow!("cannot make a key: {what}");
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| failed("none"))?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random)
            .map_err(|error| failed(&error.to_string()))?;
        Ok(Self {
            kid: kid.to_owned(),
            pair,
        })
    }

    /// What is published of it (RFC 7517 §4, RFC 7518 §6.2.1).
    pub(super) fn jwk(&self) -> Value {
        // 0x04, then 32 bytes each.
        let point = self.pair.public_key().as_ref();
        let part = |from: usize| BASE64URL.encode(&point[from..from + 32]);
        json!({"kty": "EC", "crv": "P-256", "x": part(1), "y": part(33), "kid": self.kid, "use": "sig", "alg": "ES256"})
    }

    /// A JWT of this type with these claims.
    pub(super) fn token(
        &self,
        typ: &str,
        claims: &Value,
        signature: Signature,
        secret: &str,
    ) -> Result<String> {
        let header = |alg: &str| json!({"typ": typ, "alg": alg, "kid": self.kid});
        let by_hmac = |secret: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let text = signed_text(&header("HS256"), claims);
            let tag = hmac::sign(&key, text.as_bytes());
            joined(&text, tag.as_ref())
        };
        match signature {
            Signature::Good => self.sign(&header("ES256"), claims),
            Signature::Absent => Ok(joined(&signed_text(&header("none"), claims), &[])),
            Signature::HmacOfSecret => Ok(by_hmac(secret.as_bytes())),
            Signature::HmacOfPublicKey => Ok(by_hmac(self.pem()?.as_bytes())),
            Signature::UnknownKid => Self::new(&format!("{}-unknown", self.kid))?.token(
                typ,
                claims,
                Signature::Good,
                secret,
            ),
            Signature::ForeignKey => {
                Self::new(&self.kid)?.token(typ, claims, Signature::Good, secret)
            }
            Signature::KeyInHeader => {
                let own = Self::new(&self.kid)?;
                let header = json!({"typ": typ, "alg": "ES256", "jwk": own.jwk()});
                own.sign(&header, claims)
            }
            Signature::Broken => {
                let token = self.sign(&header("ES256"), claims)?;
                let (text, tag) = token.rsplit_once('.').unwrap_or_default();
                let mut tag = BASE64URL.decode(tag)?;
                tag[40] ^= 1;
                Ok(joined(text, &tag))
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> Result<String> {
        let text = signed_text(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes());
        let signature = signature.map_err(|_| anyhow!("a key does not sign"))?;
        Ok(joined(&text, signature.as_ref()))
    }

    fn pem(&self) -> Result<String> {
        let der = [&hex::decode(SPKI)?, self.pair.public_key().as_ref()].concat();
        let text = STANDARD.encode(der);
        let (first, second) = text.split_at(64);
        Ok(format!(
            "-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n"
        ))
    }
}

fn signed_text(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| BASE64URL.encode(json.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn joined(text: &str, signature: &[u8]) -> String {
    format!("{text}.{}", BASE64URL.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    fn verifies(token: &str, key: &Key) -> bool {
        let (text, signature) = token.rsplit_once('.').unwrap();
        let signature = BASE64URL.decode(signature).unwrap();
        let public = key.pair.public_key().as_ref();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(text.as_bytes(), &signature)
            .is_ok()
    }

    #[test]
    fn one_way_of_signing_is_good_and_no_other() {
        let key = Key::new("a").unwrap();
        let signed = |how| {
            key.token("JWT", &json!({"sub": "x"}), how, "secret")
                .unwrap()
        };
        assert!(verifies(&signed(Signature::Good), &key));
        for how in [
            Signature::Absent,
            Signature::HmacOfSecret,
            Signature::HmacOfPublicKey,
            Signature::UnknownKid,
            Signature::ForeignKey,
            Signature::KeyInHeader,
            Signature::Broken,
        ] {
            assert!(!verifies(&signed(how), &key), "{how:?}");
        }
        assert!(signed(Signature::Absent).ends_with('.'));
    }
}
