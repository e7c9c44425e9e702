//! The public keys of a service, under which its assertions are checked (RFC 7517, RFC 7523).

use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, SignatureVerificationError};
use serde::{Deserialize, Serialize};
use shared::client_assertion::Signed;

/// The algorithms that are taken, as `alg` names them: RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2.
pub const ALGORITHMS: [&str; 3] = ["EdDSA", "Ed25519", "ES256"];

/// The most keys of one service: each may have to be tried.
const MOST: usize = 8;

/// Keys that hold nothing secret and are points of their curves.
#[derive(Clone, Debug)]
pub struct ClientKeys(Vec<Key>);

/// Why keys are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    /// Not JSON of that form.
    #[error("this is no JWK and no JWK set (RFC 7517)")]
    Shape,
    /// None, or too many.
    #[error("there must be 1 to {MOST} keys")]
    Count,
    /// A private key.
    #[error(
        "this holds a private key: register the public one, and make a new pair, for this one was shown"
    )]
    Private,
    /// RSA, a shared secret, another curve, or no point of it.
    #[error("a key must be an Ed25519 or a P-256 public key")]
    Kind,
}

/// What is kept of a JWK: neither `use` nor `alg`, for both follow from its kind.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing)]
    d: Option<String>,
    #[serde(skip_serializing)]
    k: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Clone, Debug)]
struct Key {
    jwk: Jwk,
    algorithm: CoreJwsSigningAlgorithm,
    key: CoreJsonWebKey,
}

impl ClientKeys {
    /// Reads a JWK or a JWK set.
    ///
    /// # Errors
    /// [`BadKeys`] with the first thing that is wrong.
    pub fn parse(json: &str) -> Result<Self, BadKeys> {
        let set = match serde_json::from_str::<JwkSet>(json) {
            Ok(set) => set.keys,
            Err(_) => vec![serde_json::from_str(json).map_err(|_| BadKeys::Shape)?],
        };
        if !(1..=MOST).contains(&set.len()) {
            return Err(BadKeys::Count);
        }
        set.into_iter()
            .map(Key::new)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The keys as a JWK set, to be stored.
    pub fn to_json(&self) -> String {
        let keys = self.0.iter().map(|key| key.jwk.clone()).collect();
        serde_json::to_string(&JwkSet { keys }).unwrap_or_default()
    }

    /// Whether one of them made the signature. The key says how it signs; the assertion only has to agree (RFC 8725 §3.1).
    pub fn hold(&self, signed: Signed<'_>) -> bool {
        let Some(algorithm) = algorithm(signed.alg) else {
            return false;
        };
        let is_meant = |key: &&Key| {
            let kid = key.jwk.kid.as_deref();
            key.algorithm == algorithm
                && kid.is_none_or(|kid| signed.kid.is_empty() || kid == signed.kid)
        };
        self.0
            .iter()
            .filter(is_meant)
            .any(|key| key.verify(signed.message, signed.signature).is_ok())
    }
}

fn algorithm(name: &str) -> Option<CoreJwsSigningAlgorithm> {
    match name {
        "EdDSA" | "Ed25519" => Some(CoreJwsSigningAlgorithm::EdDsa),
        "ES256" => Some(CoreJwsSigningAlgorithm::EcdsaP256Sha256),
        _ => None,
    }
}

impl Key {
    fn new(jwk: Jwk) -> Result<Self, BadKeys> {
        if jwk.d.is_some() || jwk.k.is_some() {
            return Err(BadKeys::Private);
        }
        let algorithm = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => CoreJwsSigningAlgorithm::EdDsa,
            ("EC", Some("P-256")) => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            _ => return Err(BadKeys::Kind),
        };
        let json = serde_json::to_value(&jwk).map_err(|_| BadKeys::Shape)?;
        let key = Self {
            key: serde_json::from_value(json).map_err(|_| BadKeys::Kind)?,
            algorithm,
            jwk,
        };
        // The library looks at the point only when there is a signature to check: so it gets one.
        match key.verify(b"", &[1; 64]) {
            Err(SignatureVerificationError::CryptoError(_)) => Ok(key),
            _ => Err(BadKeys::Kind),
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureVerificationError> {
        self.key
            .verify_signature(&self.algorithm, message, signature)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    /// RFC 8037 appendix A.4: an Ed25519 key and a signature of it.
    const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    const ED25519_SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const ED25519_SIGNATURE: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    /// RFC 7515 appendix A.3: a P-256 key and a signature of it.
    const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    const P256_SIGNED: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const P256_SIGNATURE: &str =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn holds(keys: &ClientKeys, alg: &str, kid: &str, message: &str, signature: &str) -> bool {
        keys.hold(Signed {
            alg,
            kid,
            message: message.as_bytes(),
            signature: &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        })
    }

    #[test]
    fn signatures_of_the_rfcs_hold_under_their_own_key_and_algorithm() {
        let both = format!(r#"{{"keys":[{ED25519},{P256}]}}"#);
        let keys = ClientKeys::parse(&both).unwrap();
        let stored = ClientKeys::parse(&keys.to_json()).unwrap();
        for keys in [&keys, &stored] {
            for (alg, kid, message, signature, expected) in [
                ("EdDSA", "ed", ED25519_SIGNED, ED25519_SIGNATURE, true),
                ("Ed25519", "", ED25519_SIGNED, ED25519_SIGNATURE, true),
                ("EdDSA", "other", ED25519_SIGNED, ED25519_SIGNATURE, false),
                ("ES256", "", P256_SIGNED, P256_SIGNATURE, true),
                ("ES256", "any", P256_SIGNED, P256_SIGNATURE, true),
                ("ES256", "", ED25519_SIGNED, P256_SIGNATURE, false),
                ("EdDSA", "", P256_SIGNED, P256_SIGNATURE, false),
                ("ES384", "", P256_SIGNED, P256_SIGNATURE, false),
                ("HS256", "", P256_SIGNED, P256_SIGNATURE, false),
                ("none", "", P256_SIGNED, "", false),
                ("ES256", "", P256_SIGNED, "", false),
            ] {
                let found = holds(keys, alg, kid, message, signature);
                assert_eq!(found, expected, "{alg} {kid}");
            }
        }
    }

    #[test]
    fn other_keys_are_refused() {
        let private = ED25519.replace(
            '}',
            r#","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#,
        );
        let nine = [ED25519; 9].join(",");
        for (json, expected) in [
            ("", BadKeys::Shape),
            ("[]", BadKeys::Shape),
            (r#"{"keys":[]}"#, BadKeys::Count),
            (&format!(r#"{{"keys":[{nine}]}}"#), BadKeys::Count),
            (&private, BadKeys::Private),
            (r#"{"kty":"oct","k":"AAAA"}"#, BadKeys::Private),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, BadKeys::Kind),
            (&ED25519.replace("11qY", "AAAA11qY"), BadKeys::Kind),
            (&ED25519.replace("Ed25519", "X25519"), BadKeys::Kind),
            (&P256.replace("f83O", "AAAA"), BadKeys::Kind),
            (&P256.replace("P-256", "P-384"), BadKeys::Kind),
        ] {
            assert_eq!(ClientKeys::parse(json).unwrap_err(), expected, "{json}");
        }
    }
}
