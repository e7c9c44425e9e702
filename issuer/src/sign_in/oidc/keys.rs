//! A provider's keys, and what they have signed beside ID tokens: logout tokens and calls for revocation.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyId, JsonWebKeyUse as _};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::metadata::TENANT;

/// Algorithms that a signature may have: those that only the holder of a private key can make. Not `none`, and no HMAC:
/// else a public key would serve as a secret (RFC 8725 §2.1, §3.1).
pub(super) const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Octets that a token may have.
const LONGEST: usize = 16 * 1024;

/// A published key set (RFC 7517 §5).
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) set: CoreJsonWebKeySet,
    /// For which issuer a key signs, where the set says so: Microsoft's keys for all tenants do.
    issuers: BTreeMap<String, String>,
}

/// The set is no JSON object with `keys`.
#[derive(Debug, thiserror::Error)]
#[error("the keys cannot be read: {0}")]
pub(super) struct BadKeys(#[from] serde_json::Error);

/// Why a token was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadJws {
    /// No compact JWS of JSON (RFC 7515 §3.1), or one with extensions that we do not know (§4.1.11).
    #[error("no JWS: {0}")]
    Malformed(&'static str),
    /// An algorithm that is not allowed, `none` among them.
    #[error("signed with an algorithm that is not allowed")]
    Algorithm,
    /// No key of this id and kind.
    #[error("signed with a key that the provider does not publish")]
    UnknownKey,
    /// The key is another issuer's.
    #[error("the key signs for another issuer")]
    Issuer,
    /// The signature is not that of the key.
    #[error("the signature does not hold")]
    Signature,
}

/// What a provider's key has signed. Only [`Keys::verify`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedClaims {
    /// `typ` of the header, in lower case and without `application/` (RFC 7515 §4.1.9).
    pub typ: Option<String>,
    /// The claims, of which nothing was checked yet.
    pub claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: Value,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl Keys {
    pub(super) fn parse(json: &[u8]) -> Result<Self, BadKeys> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let Document { keys } = serde_json::from_slice(json)?;
        let text = |key: &Value, name| key.get(name).and_then(Value::as_str).map(str::to_owned);
        let issuers = keys
            .iter()
            .filter_map(|key| Some((text(key, "kid")?, text(key, "issuer")?)))
            .collect();
        // A key of a kind that is not known here must not spoil the others (RFC 7517 §5).
        let known = keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<CoreJsonWebKey>(key).ok());
        Ok(Self {
            set: CoreJsonWebKeySet::new(known.collect()),
            issuers,
        })
    }

    /// The issuer for which this key signs, where that is said.
    pub(super) fn issuer_of(&self, kid: Option<&str>) -> Option<&str> {
        self.issuers.get(kid?).map(String::as_str)
    }

    /// Checks the signature of a compact JWS with JSON in it.
    pub(super) fn verify(&self, token: &str) -> Result<SignedClaims, BadJws> {
        let Parts {
            signed,
            header,
            claims,
            signature,
        } = parts(token)?;
        if header.crit.is_some() {
            return Err(BadJws::Malformed("crit"));
        }
        let algorithm: CoreJwsSigningAlgorithm =
            serde_json::from_value(header.alg).map_err(|_| BadJws::Algorithm)?;
        if !ALGORITHMS.contains(&algorithm) {
            return Err(BadJws::Algorithm);
        }
        let kid = header.kid.clone().map(JsonWebKeyId::new);
        let mut candidates = self
            .set
            .keys()
            .iter()
            .filter(|key| kid.is_none() || key.key_id() == kid.as_ref())
            .filter(|key| key.key_use().is_none_or(|usage| usage.allows_signature()))
            .peekable();
        if candidates.peek().is_none() {
            return Err(BadJws::UnknownKey);
        }
        if !candidates.any(|key| {
            key.verify_signature(&algorithm, signed.as_bytes(), &signature)
                .is_ok()
        }) {
            return Err(BadJws::Signature);
        }
        // A key for one tenant signs for no other.
        let of_key = self.issuer_of(header.kid.as_deref());
        let of_key = of_key.filter(|issuer| !issuer.contains(TENANT));
        if of_key.is_some_and(|issuer| claims.get("iss").and_then(Value::as_str) != Some(issuer)) {
            return Err(BadJws::Issuer);
        }
        let typ = header.typ.map(|typ| {
            let lower = typ.to_ascii_lowercase();
            lower
                .strip_prefix("application/")
                .map_or_else(|| lower.clone(), str::to_owned)
        });
        Ok(SignedClaims { typ, claims })
    }
}

#[cfg(test)]
impl SignedClaims {
    pub(super) fn of(typ: Option<&str>, claims: &Value) -> Self {
        Self {
            typ: typ.map(str::to_owned),
            claims: claims.as_object().unwrap().clone(),
        }
    }
}

/// The id of the key that a token says it was signed with, and its claims. Nothing of it is proved.
pub(super) fn untrusted_parts(token: &str) -> Result<(Option<String>, Map<String, Value>), BadJws> {
    let Parts { header, claims, .. } = parts(token)?;
    Ok((header.kid, claims))
}

/// A compact JWS, taken apart.
struct Parts<'a> {
    /// What the signature is over.
    signed: &'a str,
    header: Header,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

fn parts(token: &str) -> Result<Parts<'_>, BadJws> {
    if token.len() > LONGEST {
        return Err(BadJws::Malformed("length"));
    }
    let decode = |text| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| BadJws::Malformed("base64url"))
    };
    let (signed, signature) = token.rsplit_once('.').ok_or(BadJws::Malformed("parts"))?;
    let (header, claims) = signed.split_once('.').ok_or(BadJws::Malformed("parts"))?;
    let header =
        serde_json::from_slice(&decode(header)?).map_err(|_| BadJws::Malformed("header"))?;
    let claims =
        serde_json::from_slice(&decode(claims)?).map_err(|_| BadJws::Malformed("claims"))?;
    Ok(Parts {
        signed,
        header,
        claims,
        signature: decode(signature)?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use openidconnect::PrivateSigningKey as _;
    use openidconnect::core::CoreEdDsaPrivateSigningKey;
    use serde_json::json;

    use super::*;

    /// The key of RFC 8032 §7.1, TEST 1, as PKCS#8; it signs nothing but tests.
    const SEED: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c,
        0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
        0x7f, 0x60,
    ];

    fn key(kid: &str) -> CoreEdDsaPrivateSigningKey {
        let pkcs8 = [&hex("302e020100300506032b657004220420")[..], &SEED].concat();
        let text = base64::engine::general_purpose::STANDARD.encode(pkcs8);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let kid = Some(JsonWebKeyId::new(kid.to_owned()));
        CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, kid).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn keys() -> Keys {
        keys_for("https://op/{tenantid}")
    }

    /// The key with which [`token`] signs, under the id `k1`, for this issuer.
    pub(in super::super) fn keys_for(issuer: &str) -> Keys {
        let mut public = serde_json::to_value(key("k1").as_verification_key()).unwrap();
        public["issuer"] = issuer.into();
        let strange = json!({"kty": "AKP", "kid": "new", "pub": 7});
        Keys::parse(json!({"keys": [strange, public]}).to_string().as_bytes()).unwrap()
    }

    pub(in super::super) fn token(header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = key("k1")
            .sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn what_a_key_of_the_set_has_signed_is_believed() {
        let header = json!({"alg": "EdDSA", "kid": "k1", "typ": "application/Logout+JWT"});
        let signed = keys()
            .verify(&token(&header, &json!({"sub": "s"})))
            .unwrap();
        assert_eq!(signed.typ.as_deref(), Some("logout+jwt"));
        assert_eq!(signed.claims["sub"], "s");
        assert_eq!(keys().issuer_of(Some("k1")), Some("https://op/{tenantid}"));
        assert!(
            keys()
                .verify(&token(&json!({"alg": "EdDSA"}), &json!({})))
                .is_ok()
        );
    }

    #[test]
    fn nothing_else_is() {
        let claims = json!({"sub": "s"});
        let good = token(&json!({"alg": "EdDSA", "kid": "k1"}), &claims);
        let refusal = |token: &str| keys().verify(token).unwrap_err();
        for (header, expected) in [
            (json!({"alg": "none"}), BadJws::Algorithm),
            (json!({"alg": "HS256", "kid": "k1"}), BadJws::Algorithm),
            (json!({"alg": "ES256", "kid": "k1"}), BadJws::Signature),
            (json!({"alg": "EdDSA", "kid": "k2"}), BadJws::UnknownKey),
            (
                json!({"alg": "EdDSA", "kid": "k1", "crit": ["b64"]}),
                BadJws::Malformed("crit"),
            ),
            (json!({"kid": "k1"}), BadJws::Malformed("header")),
        ] {
            assert_eq!(refusal(&token(&header, &claims)), expected, "{header}");
        }
        let (signed, signature) = good.rsplit_once('.').unwrap();
        assert_eq!(refusal(&format!("{signed}.")), BadJws::Signature);
        let (header, _) = signed.split_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(r#"{"sub":"t"}"#);
        assert_eq!(
            refusal(&format!("{header}.{other}.{signature}")),
            BadJws::Signature
        );
        for malformed in ["", "a.b", "a.b.c", ".."] {
            assert!(
                matches!(refusal(malformed), BadJws::Malformed(_)),
                "{malformed}"
            );
        }
    }

    #[test]
    fn a_key_of_one_issuer_signs_for_no_other() {
        let keys = keys_for("https://op/one");
        let of = |iss: &str| {
            let header = json!({"alg": "EdDSA", "kid": "k1"});
            keys.verify(&token(&header, &json!({"iss": iss})))
        };
        assert!(of("https://op/one").is_ok());
        assert_eq!(of("https://op/two"), Err(BadJws::Issuer));
    }

    #[test]
    fn garbage_is_no_key_set() {
        for garbage in ["", "[]", "{}", "<html>", r#"{"keys":7}"#] {
            assert!(Keys::parse(garbage.as_bytes()).is_err(), "{garbage}");
        }
        let none = Keys::parse(br#"{"keys":[7,{"kty":"?"}]}"#).unwrap();
        assert!(none.set.keys().is_empty());
    }
}
