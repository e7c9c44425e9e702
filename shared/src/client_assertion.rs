//! How a service proves who it is with a key of its own: `private_key_jwt` (OpenID Connect Core 1.0 §9, RFC 7523 §3).
//!
//! Read strictly and before any crypto, like every JWS here. Which algorithms there are, and the client's keys, are the
//! caller's: see [`Untrusted::check`].

use std::time::Duration;

use serde::Deserialize;

use crate::base64url;
use crate::id::ClientId;
use crate::rejection::Rejection;
use crate::strict;
use crate::time::UnixTime;

/// The longest assertion that is looked at.
pub const MAX_BYTES: usize = 4_096;

/// How far ahead `exp` may lie: its `jti` is remembered until then.
pub const LONGEST_LIFE: Duration = Duration::from_secs(10 * 60);

/// How far ahead of ours a client's clock may run: for `iat` and `nbf` only.
pub const SKEW: Duration = Duration::from_secs(30);

/// An assertion taken apart; nothing of it is proven yet.
#[derive(Debug)]
pub struct Untrusted<'a> {
    header: Header,
    claims: Said,
    client: ClientId,
    signed: &'a str,
    signature: Vec<u8>,
}

/// What a caller's keys must confirm.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `alg` as the header says it: the caller decides whether a key of the client's is of that kind.
    pub alg: &'a str,
    /// `kid`; empty where the header has none.
    pub kid: &'a str,
    /// What was signed.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// What an assertion proved. Only [`Untrusted::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAssertion {
    client: ClientId,
    id: String,
    expires: UnixTime,
}

impl ClientAssertion {
    /// The client that signed it.
    pub const fn client(&self) -> ClientId {
        self.client
    }

    /// Its own name (`jti`): whoever has seen it before sees a replay.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Until when the `jti` must be remembered.
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }
}

/// Members that ask the verifier to fetch or to do something (`jku`, `jwk`, `x5u`, `x5c`, `crit`, …) are refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    typ: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Said {
    iss: ClientId,
    sub: ClientId,
    aud: Audience,
    exp: UnixTime,
    jti: String,
    iat: Option<UnixTime>,
    nbf: Option<UnixTime>,
}

/// One audience. A list of several would let another server use the assertion here.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    List([String; 1]),
}

impl Audience {
    fn as_str(&self) -> &str {
        match self {
            Self::One(audience) | Self::List([audience]) => audience,
        }
    }
}

impl<'a> Untrusted<'a> {
    /// Takes `assertion` apart.
    ///
    /// # Errors
    /// [`Rejection`] where it has not the form that RFC 7523 §3 asks for: one client as `iss` and `sub`, one `aud`, a `jti` and
    /// an `exp`.
    pub fn parse(assertion: &'a str) -> Result<Self, Rejection> {
        if assertion.len() > MAX_BYTES {
            return Err(Rejection::Oversized { max: MAX_BYTES });
        }
        let parts = Rejection::Malformed("not three parts");
        let (signed, signature) = assertion.rsplit_once('.').ok_or(parts)?;
        let (header, payload) = signed
            .split_once('.')
            .filter(|(_, payload)| !payload.contains('.'))
            .ok_or(parts)?;
        let decoded =
            |part: &str| base64url::decode(part).ok_or(Rejection::Malformed("not base64url"));
        let header: Header =
            strict::object(&decoded(header)?).ok_or(Rejection::Malformed("header"))?;
        let is_known = |typ: &str| {
            ["JWT", "client-authentication+jwt"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(typ))
        };
        if !header.typ.as_deref().is_none_or(is_known) {
            return Err(Rejection::WrongType);
        }
        let claims: Said =
            strict::object(&decoded(payload)?).ok_or(Rejection::Malformed("claims"))?;
        if claims.iss != claims.sub {
            return Err(Rejection::WrongIssuer);
        }
        if !(1..=256).contains(&claims.jti.len()) {
            return Err(Rejection::Malformed("jti"));
        }
        Ok(Self {
            client: claims.iss,
            header,
            claims,
            signed,
            signature: decoded(signature)?,
        })
    }

    /// The client that it names: good for finding the client's keys, and for nothing else.
    pub const fn untrusted_client(&self) -> ClientId {
        self.client
    }

    /// Checks the signature with `holds`, and that it was made for one of `audiences` and is within its time at `now`.
    ///
    /// # Errors
    /// [`Rejection`] with the first thing that is wrong.
    pub fn check(
        self,
        holds: impl FnOnce(Signed<'_>) -> bool,
        audiences: &[&str],
        now: UnixTime,
    ) -> Result<ClientAssertion, Rejection> {
        let signed = Signed {
            alg: &self.header.alg,
            kid: &self.header.kid,
            message: self.signed.as_bytes(),
            signature: &self.signature,
        };
        if !holds(signed) {
            return Err(Rejection::BadSignature);
        }
        let claims = self.claims;
        if !audiences.contains(&claims.aud.as_str()) {
            return Err(Rejection::WrongAudience);
        }
        if now >= claims.exp {
            return Err(Rejection::Expired);
        }
        if claims.exp > now.plus(LONGEST_LIFE) {
            return Err(Rejection::Malformed("exp lies too far ahead"));
        }
        let begins = [claims.iat, claims.nbf];
        if begins
            .into_iter()
            .flatten()
            .any(|begin| begin > now.plus(SKEW))
        {
            return Err(Rejection::NotYetValid);
        }
        Ok(ClientAssertion {
            client: self.client,
            id: claims.jti,
            expires: claims.exp,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
    const SITE: &str = "https://site.test";
    const CLIENT: ClientId = ClientId::from_bytes([7; 16]);

    fn good() -> Value {
        json!({
            "iss": CLIENT, "sub": CLIENT, "aud": SITE, "jti": "j-1",
            "exp": NOW.secs() + 60, "iat": NOW.secs(), "nbf": NOW.secs(), "other": [1]
        })
    }

    fn written(header: &str, payload: &str) -> String {
        let [header, payload] = [header, payload].map(base64url::encode);
        format!("{header}.{payload}.{}", base64url::encode("signature"))
    }

    fn checked(header: &str, payload: &str) -> Result<ClientAssertion, Rejection> {
        let text = written(header, payload);
        let untrusted = Untrusted::parse(&text)?;
        assert_eq!(untrusted.untrusted_client(), CLIENT);
        let holds = |signed: Signed<'_>| {
            signed.signature == b"signature"
                && signed.alg == "ES256"
                && text.as_bytes().starts_with(signed.message)
        };
        untrusted.check(holds, &[SITE, "https://site.test/oauth/token"], NOW)
    }

    const HEADER: &str = r#"{"alg":"ES256","kid":"k1"}"#;

    fn changed(member: &str, value: Value) -> Result<ClientAssertion, Rejection> {
        let mut claims = good();
        claims[member] = value;
        checked(HEADER, &claims.to_string())
    }

    #[test]
    fn a_good_one_names_its_client_and_its_id() {
        let proven = checked(HEADER, &good().to_string()).unwrap();
        assert_eq!(proven.client(), CLIENT);
        assert_eq!(proven.expires(), NOW.plus(Duration::from_secs(60)));
        let other = changed("jti", json!("j-2")).unwrap();
        assert_ne!(proven.id(), other.id());
        for good in [
            changed("aud", json!("https://site.test/oauth/token")),
            changed("aud", json!([SITE])),
            changed("iat", json!(NOW.secs() + 20)),
            checked(r#"{"alg":"ES256","typ":"JWT"}"#, &good().to_string()),
        ] {
            assert!(good.is_ok(), "{good:?}");
        }
    }

    #[test]
    fn every_claim_is_checked() {
        let malformed = Err(Rejection::Malformed("claims"));
        let table = [
            (
                "iss",
                json!(ClientId::from_bytes([8; 16])),
                Err(Rejection::WrongIssuer),
            ),
            ("iss", json!("https://site.test"), malformed.clone()),
            (
                "aud",
                json!("https://other.test"),
                Err(Rejection::WrongAudience),
            ),
            (
                "aud",
                json!([SITE, "https://other.test"]),
                malformed.clone(),
            ),
            ("aud", json!([]), malformed.clone()),
            ("exp", json!(NOW.secs()), Err(Rejection::Expired)),
            (
                "exp",
                json!((NOW.secs() + 60).to_string()),
                malformed.clone(),
            ),
            (
                "exp",
                json!(NOW.secs() + 601),
                Err(Rejection::Malformed("exp lies too far ahead")),
            ),
            ("exp", Value::Null, malformed.clone()),
            ("iat", json!(NOW.secs() + 31), Err(Rejection::NotYetValid)),
            ("nbf", json!(NOW.secs() + 31), Err(Rejection::NotYetValid)),
            ("nbf", json!("soon"), malformed.clone()),
            ("jti", json!(""), Err(Rejection::Malformed("jti"))),
            (
                "jti",
                json!("j".repeat(257)),
                Err(Rejection::Malformed("jti")),
            ),
            ("jti", json!(7), malformed.clone()),
        ];
        for (member, value, expected) in table {
            assert_eq!(
                changed(member, value.clone()),
                expected,
                "{member}: {value}"
            );
        }
        for member in ["iss", "sub", "aud", "exp", "jti"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(member);
            assert_eq!(checked(HEADER, &claims.to_string()), malformed, "{member}");
        }
        let doubled = good().to_string().replacen('{', r#"{"jti":"x","#, 1);
        assert_eq!(checked(HEADER, &doubled), malformed);
    }

    #[test]
    fn the_header_asks_for_nothing_else() {
        let payload = good().to_string();
        for (header, expected) in [
            (r#"{"alg":"none"}"#, Rejection::BadSignature),
            (r#"{"alg":"HS256"}"#, Rejection::BadSignature),
            (r#"{"alg":"ES256","typ":"at+jwt"}"#, Rejection::WrongType),
            (
                r#"{"alg":"ES256","typ":"portcullis-assertion+jwt"}"#,
                Rejection::WrongType,
            ),
            (
                r#"{"alg":"ES256","jku":"https://evil"}"#,
                Rejection::Malformed("header"),
            ),
            (
                r#"{"alg":"ES256","jwk":{}}"#,
                Rejection::Malformed("header"),
            ),
            (
                r#"{"alg":"ES256","crit":["exp"]}"#,
                Rejection::Malformed("header"),
            ),
            (
                r#"{"alg":"ES256","alg":"none"}"#,
                Rejection::Malformed("header"),
            ),
            (r#"{"kid":"k1"}"#, Rejection::Malformed("header")),
        ] {
            assert_eq!(checked(header, &payload), Err(expected), "{header}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let good = written(HEADER, &good().to_string());
        for text in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c.d",
            &format!("{good}.x"),
            &format!("{good}="),
        ] {
            assert!(Untrusted::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Untrusted::parse(&"a".repeat(MAX_BYTES + 1)).unwrap_err(),
            Rejection::Oversized { max: MAX_BYTES }
        );
    }
}
