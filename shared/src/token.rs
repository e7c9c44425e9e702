//! Access tokens: minting, and the only way to a [`Verified`] one (RFC 9068, RFC 8725).

use std::time::Duration;

use jsonwebtoken::Header;
use serde::{Deserialize, Serialize};

use crate::claims::{AccessClaims, Claims, ServiceClaims, is_role};
use crate::id::KeyId;
use crate::jws::UntrustedJws;
use crate::key::{Algorithm, KeySet, SigningKey};
use crate::provider;
use crate::rejection::Rejection;
use crate::strict;
use crate::time::UnixTime;

/// `typ` of an access token (RFC 9068 §2.1). No other token of ours has it.
pub const TYPE: &str = "at+jwt";

/// The longest token that is looked at: a cookie holds no more.
const MAX_BYTES: usize = crate::cookie::MAX_BYTES;

/// How far ahead of ours the issuer's clock may run. It widens only `iat`: a token never outlives its `exp`.
pub const SKEW: Duration = Duration::from_secs(5);

/// Why a token could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// A role that [`is_role`] refuses.
    #[error("a role is not 1 to 64 of a-z 0-9 _ - . :")]
    BadRole,
    /// The signer failed.
    #[error("the access token could not be signed")]
    Sign,
}

/// A user's access token that says `claims`, signed with `key`: a compact JWS (RFC 7515 §7.1).
///
/// # Errors
/// [`MintError`] where a role cannot travel in a header, or signing fails.
pub fn mint(claims: &Claims, key: &SigningKey) -> Result<String, MintError> {
    if !claims.roles.iter().all(|role| is_role(role)) {
        return Err(MintError::BadRole);
    }
    sign(claims, key)
}

/// A service's access token that says `claims`, likewise.
///
/// # Errors
/// [`MintError::Sign`] where signing fails.
pub fn mint_service(claims: &ServiceClaims, key: &SigningKey) -> Result<String, MintError> {
    sign(claims, key)
}

fn sign(claims: &impl Serialize, key: &SigningKey) -> Result<String, MintError> {
    provider::install();
    let mut header = Header::new(match key.algorithm() {
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
    });
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(key.kid().to_owned());
    jsonwebtoken::encode(&header, claims, &key.encoding_key()).map_err(|_| MintError::Sign)
}

/// Claims whose signature, type, issuer and audience were checked, and the key that had signed them. Only [`verify_any`] and what
/// calls it make one, and it cannot be deserialized. Time and standing change, so they are asked each time: [`check_time`],
/// [`RevocationSet::standing`](crate::revocation::RevocationSet::standing).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T, KeyId);

impl<T> Verified<T> {
    /// What was proven to be said.
    pub const fn claims(&self) -> &T {
        &self.0
    }

    /// The key that signed it.
    pub const fn key(&self) -> KeyId {
        self.1
    }
}

/// A verified access token, by who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A user, in a session.
    User(Verified<Claims>),
    /// A service, for itself.
    Service(Verified<ServiceClaims>),
}

impl From<Verified<Claims>> for Holder {
    fn from(token: Verified<Claims>) -> Self {
        Self::User(token)
    }
}

impl From<Verified<ServiceClaims>> for Holder {
    fn from(token: Verified<ServiceClaims>) -> Self {
        Self::Service(token)
    }
}

/// Whom a token must be from and for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// `iss`, compared byte by byte (RFC 9068 §4).
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
}

/// Checks everything about a user's `token` that stays true: size, form, type, key, signature, issuer, audience, claim types.
///
/// # Errors
/// [`Rejection`] with the first thing that is wrong. Everything cheap is refused before any crypto;
/// [`Rejection::UnknownKey`] may mean that `keys` is out of date. [`Rejection::WrongHolder`] for a service's token.
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<Verified<Claims>, Rejection> {
    match verify_any(token, keys, expected)? {
        Holder::User(token) => Ok(token),
        Holder::Service(_) => Err(Rejection::WrongHolder),
    }
}

/// The same for a service's `token`.
///
/// # Errors
/// [`Rejection`] as for [`verify`]; [`Rejection::WrongHolder`] for a user's token.
pub fn verify_service(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<Verified<ServiceClaims>, Rejection> {
    match verify_any(token, keys, expected)? {
        Holder::User(_) => Err(Rejection::WrongHolder),
        Holder::Service(token) => Ok(token),
    }
}

/// The same, whoever holds `token`.
///
/// # Errors
/// [`Rejection`] as for [`verify`].
pub fn verify_any(
    token: &str,
    keys: &KeySet,
    expected: &Expected<'_>,
) -> Result<Holder, Rejection> {
    let jws = UntrustedJws::parse(token, MAX_BYTES)?;
    let untrusted_header = &jws.untrusted_header;
    if untrusted_header.typ != TYPE {
        return Err(Rejection::WrongType);
    }
    let key = keys
        .get(&untrusted_header.kid)
        .ok_or(Rejection::UnknownKey)?;
    if untrusted_header.alg != key.algorithm().as_str() {
        return Err(Rejection::WrongAlgorithm);
    }
    let payload = jws.payload(|message, signature| key.holds(message, signature))?;
    let kid = KeyId::of(key.kid());
    let user = match strict::object::<Claims>(&payload) {
        Some(claims) => claims,
        None => return service(&payload, kid, expected),
    };
    expected.check(&user.iss, &user.aud)?;
    if !user.roles.iter().all(|role| is_role(role)) {
        return Err(Rejection::Malformed("roles"));
    }
    Ok(Holder::User(Verified(user, kid)))
}

/// What a payload says that no user's token has.
fn service(payload: &[u8], kid: KeyId, expected: &Expected<'_>) -> Result<Holder, Rejection> {
    let claims: ServiceClaims = strict::object(payload).ok_or(Rejection::Malformed("claims"))?;
    expected.check(&claims.iss, &claims.aud)?;
    if claims.sub != claims.client_id {
        return Err(Rejection::Malformed("sub is not client_id"));
    }
    Ok(Holder::Service(Verified(claims, kid)))
}

impl Expected<'_> {
    fn check(&self, issuer: &str, audience: &str) -> Result<(), Rejection> {
        if issuer != self.issuer {
            return Err(Rejection::WrongIssuer);
        }
        if audience != self.audience {
            return Err(Rejection::WrongAudience);
        }
        Ok(())
    }
}

/// Whether the token is within its time at `now`.
///
/// # Errors
/// [`Rejection::Expired`] from the second `exp` on; [`Rejection::NotYetValid`] while `iat` is more than [`SKEW`] ahead.
pub fn check_time<T: AccessClaims>(token: &Verified<T>, now: UnixTime) -> Result<(), Rejection> {
    if now >= token.claims().exp() {
        return Err(Rejection::Expired);
    }
    if token.claims().iat() > now.plus(SKEW) {
        return Err(Rejection::NotYetValid);
    }
    Ok(())
}

impl Holder {
    /// [`check_time`], whoever holds the token.
    ///
    /// # Errors
    /// [`Rejection`] as for [`check_time`].
    pub fn check_time(&self, now: UnixTime) -> Result<(), Rejection> {
        match self {
            Self::User(token) => check_time(token, now),
            Self::Service(token) => check_time(token, now),
        }
    }
}

/// Whether `token` says that it is an access token of `issuer`, unproven: good for keeping it from others, who could use
/// it, and for nothing else.
pub fn untrusted_is_from(token: &str, issuer: &str) -> bool {
    #[derive(Deserialize)]
    struct Untrusted {
        iss: String,
    }
    // Most texts are no token; this costs less than to see it by parsing them.
    if token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return false;
    }
    UntrustedJws::parse(token, MAX_BYTES).is_ok_and(|jws| {
        jws.untrusted_header.typ == TYPE
            && jws
                .untrusted_payload()
                .and_then(|payload| strict::object::<Untrusted>(&payload))
                .is_some_and(|claims| claims.iss == issuer)
    })
}

/// The `kid` that `token` names, unproven: good for deciding whether to look for newer keys, and for nothing else.
///
/// # Errors
/// [`Rejection`] where the token has no readable header.
pub fn untrusted_kid(token: &str) -> Result<String, Rejection> {
    Ok(UntrustedJws::parse(token, MAX_BYTES)?.untrusted_header.kid)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::base64url;
    use crate::hmac_sha256::HmacKey;
    use crate::id::{ClientId, SessionId, TokenId, UserId};
    use crate::scope::Scopes;
    use crate::secret::{RootSecret, Secret};

    const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
    const ISSUER: &str = "https://app.example.test";
    const EXPECTED: Expected<'_> = Expected {
        issuer: ISSUER,
        audience: ISSUER,
    };
    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn hs256() -> SigningKey {
        SigningKey::hs256(&RootSecret::parse(SECRET).unwrap())
    }

    fn eddsa() -> SigningKey {
        SigningKey::ed25519("ed-1".into(), &Secret::from_bytes([7; 32]))
    }

    fn keys() -> KeySet {
        KeySet::new(vec![
            hs256().verifying_key().clone(),
            eddsa().verifying_key().clone(),
        ])
    }

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.into(),
            aud: ISSUER.into(),
            sub: UserId::from_bytes([1; 16]),
            client_id: "browser".into(),
            sid: SessionId::from_bytes([2; 16]),
            jti: TokenId::from_bytes([3; 16]),
            iat: NOW,
            exp: NOW.plus(Duration::from_secs(900)),
            auth_time: NOW,
            ver: 4,
            roles: vec!["admin".into(), "user".into()],
            act: None,
        }
    }

    fn service_claims() -> ServiceClaims {
        ServiceClaims {
            iss: ISSUER.into(),
            aud: ISSUER.into(),
            sub: ClientId::from_bytes([1; 16]),
            client_id: ClientId::from_bytes([1; 16]),
            jti: TokenId::from_bytes([3; 16]),
            iat: NOW,
            exp: NOW.plus(Duration::from_secs(900)),
            ver: 4,
            scope: Scopes::parse("orders:read orders:write").unwrap(),
        }
    }

    /// A token with a good HS256 signature over whatever is asked for.
    fn signed(header: &str, payload: &str) -> String {
        let message = format!(
            "{}.{}",
            base64url::encode(header),
            base64url::encode(payload)
        );
        let tag = HmacKey::new(SECRET.as_bytes()).tag(message.as_bytes());
        format!("{message}.{}", base64url::encode(tag))
    }

    fn good_header() -> String {
        format!(
            r#"{{"typ":"at+jwt","alg":"HS256","kid":"{}"}}"#,
            hs256().kid()
        )
    }

    fn rejection(token: &str) -> Rejection {
        verify(token, &keys(), &EXPECTED).expect_err(token)
    }

    #[test]
    fn what_was_minted_is_verified_with_either_algorithm() {
        for key in [hs256(), eddsa()] {
            let token = mint(&claims(), &key).unwrap();
            assert_eq!(untrusted_kid(&token).as_deref(), Ok(key.kid()));
            let verified = verify(&token, &keys(), &EXPECTED).unwrap();
            assert_eq!(verified.claims(), &claims());
        }
    }

    /// Though both have the same id, type and key.
    #[test]
    fn a_service_never_passes_for_a_user_nor_a_user_for_a_service() {
        for key in [hs256(), eddsa()] {
            let service = mint_service(&service_claims(), &key).unwrap();
            let user = mint(&claims(), &key).unwrap();
            let verified = verify_service(&service, &keys(), &EXPECTED).unwrap();
            assert_eq!(verified.claims(), &service_claims());
            assert_eq!(rejection(&service), Rejection::WrongHolder);
            assert_eq!(
                verify_service(&user, &keys(), &EXPECTED),
                Err(Rejection::WrongHolder)
            );
            let holder = verify_any(&service, &keys(), &EXPECTED).unwrap();
            assert_eq!(holder, Holder::Service(verified));
            assert_eq!(holder.check_time(NOW), Ok(()));
            let end = service_claims().exp;
            assert_eq!(holder.check_time(end), Err(Rejection::Expired));
            assert!(untrusted_is_from(&service, ISSUER));
        }
    }

    #[test]
    fn every_claim_of_a_service_must_be_there_with_its_type() {
        let payload = serde_json::to_value(service_claims()).unwrap();
        let verified = |claims: &serde_json::Value| {
            verify_service(
                &signed(&good_header(), &claims.to_string()),
                &keys(),
                &EXPECTED,
            )
        };
        assert!(verified(&payload).is_ok());
        for name in payload.as_object().unwrap().keys() {
            let mut missing = payload.clone();
            missing.as_object_mut().unwrap().remove(name);
            let mut changed = payload.clone();
            changed[name] = serde_json::json!(1.5);
            for wrong in [missing, changed] {
                let expected = Err(Rejection::Malformed("claims"));
                assert_eq!(verified(&wrong), expected, "{wrong}");
            }
        }
        let with = |name: &str, value: serde_json::Value| {
            let mut changed = payload.clone();
            changed[name] = value;
            verified(&changed).unwrap_err()
        };
        let other = serde_json::json!(ClientId::from_bytes([2; 16]));
        assert_eq!(
            with("sub", other),
            Rejection::Malformed("sub is not client_id")
        );
        assert_eq!(
            with("client_id", "browser".into()),
            Rejection::Malformed("claims")
        );
        assert_eq!(
            with("iss", "https://other.test".into()),
            Rejection::WrongIssuer
        );
        assert_eq!(
            with("aud", "https://other.test".into()),
            Rejection::WrongAudience
        );
        assert_eq!(with("scope", "a  b".into()), Rejection::Malformed("claims"));
    }

    #[test]
    fn ours_is_what_says_at_jwt_and_our_issuer() {
        let ours = [hs256(), eddsa()].map(|key| mint(&claims(), &key).unwrap());
        let other = Claims {
            iss: "https://accounts.other.test".into(),
            ..claims()
        };
        let payload = serde_json::to_string(&claims()).unwrap();
        let theirs = [
            mint(&other, &eddsa()).unwrap(),
            signed(&good_header().replace("at+jwt", "JWT"), &payload),
            signed(
                &good_header(),
                &payload.replace('{', &format!(r#"{{"iss":"{ISSUER}","#)),
            ),
            signed(&good_header(), "[]"),
            "a.b.c".into(),
            String::new(),
        ];
        for token in &ours {
            assert!(untrusted_is_from(token, ISSUER));
            // Whoever signed it, and whether the signature holds.
            let said = token.rsplit_once('.').unwrap().0;
            assert!(untrusted_is_from(&format!("{said}.AAAA"), ISSUER));
            assert!(!untrusted_is_from(token, "https://other.test"));
        }
        for token in &theirs {
            assert!(!untrusted_is_from(token, ISSUER), "{token}");
        }
    }

    #[test]
    fn the_header_must_be_the_one_we_write() {
        let payload = serde_json::to_string(&claims()).unwrap();
        assert!(verify(&signed(&good_header(), &payload), &keys(), &EXPECTED).is_ok());
        let kid = hs256().kid().to_owned();
        let member = |extra: &str| good_header().replace('}', &format!(",{extra}}}"));
        let table = [
            (
                good_header().replace("HS256", "none"),
                Rejection::WrongAlgorithm,
            ),
            (
                good_header().replace("HS256", "EdDSA"),
                Rejection::WrongAlgorithm,
            ),
            (
                good_header().replace("HS256", "hs256"),
                Rejection::WrongAlgorithm,
            ),
            (
                good_header().replace(&kid, "ed-1"),
                Rejection::WrongAlgorithm,
            ),
            (good_header().replace(&kid, "nobody"), Rejection::UnknownKey),
            (
                r#"{"typ":"at+jwt","alg":"HS256"}"#.into(),
                Rejection::UnknownKey,
            ),
            (good_header().replace("at+jwt", "JWT"), Rejection::WrongType),
            (
                good_header().replace("at+jwt", "portcullis-assertion+jwt"),
                Rejection::WrongType,
            ),
            (
                member(r#""jku":"https://evil""#),
                Rejection::Malformed("header"),
            ),
            (member(r#""jwk":{}"#), Rejection::Malformed("header")),
            (
                member(r#""x5u":"https://evil""#),
                Rejection::Malformed("header"),
            ),
            (member(r#""x5c":[]"#), Rejection::Malformed("header")),
            (member(r#""crit":["exp"]"#), Rejection::Malformed("header")),
            (member(r#""b64":false"#), Rejection::Malformed("header")),
            (member(r#""alg":"HS256""#), Rejection::Malformed("header")),
            (member(r#""kid":7"#), Rejection::Malformed("header")),
            ("[]".into(), Rejection::Malformed("header")),
            (String::new(), Rejection::Malformed("header")),
        ];
        for (header, expected) in table {
            assert_eq!(rejection(&signed(&header, &payload)), expected, "{header}");
        }
    }

    #[test]
    fn every_claim_must_be_there_once_with_its_type() {
        let payload = serde_json::to_value(claims()).unwrap();
        let wrong = [
            serde_json::json!("1"),
            serde_json::json!(1.5),
            serde_json::json!(null),
            serde_json::json!(true),
        ];
        for name in payload.as_object().unwrap().keys() {
            let mut missing = payload.clone();
            missing.as_object_mut().unwrap().remove(name);
            assert_eq!(
                rejection(&signed(&good_header(), &missing.to_string())),
                Rejection::Malformed("claims"),
                "{name}"
            );
            for value in wrong
                .iter()
                .filter(|value| !(value.is_string() && payload[name].is_string()))
            {
                let mut changed = payload.clone();
                changed[name] = value.clone();
                let token = signed(&good_header(), &changed.to_string());
                assert_eq!(
                    rejection(&token),
                    Rejection::Malformed("claims"),
                    "{name}: {value}"
                );
            }
            let doubled =
                payload
                    .to_string()
                    .replacen('{', &format!("{{\"{name}\":{},", payload[name]), 1);
            assert_eq!(
                rejection(&signed(&good_header(), &doubled)),
                Rejection::Malformed("claims"),
                "{name} twice"
            );
        }
        let more = payload.to_string().replacen('{', r#"{"acr":"1","#, 1);
        assert!(
            verify(&signed(&good_header(), &more), &keys(), &EXPECTED).is_ok(),
            "an unknown claim is ignored"
        );
    }

    #[test]
    fn another_issuer_audience_or_role_is_refused() {
        let with = |change: fn(&mut Claims)| {
            let mut claims = claims();
            change(&mut claims);
            rejection(&signed(
                &good_header(),
                &serde_json::to_string(&claims).unwrap(),
            ))
        };
        assert_eq!(with(|claims| claims.iss.push('/')), Rejection::WrongIssuer);
        assert_eq!(
            with(|claims| claims.aud.push('/')),
            Rejection::WrongAudience
        );
        assert_eq!(
            with(|claims| claims.roles.push("a,admin".into())),
            Rejection::Malformed("roles")
        );
        let array = serde_json::to_string(&claims()).unwrap().replacen(
            &format!("\"aud\":\"{ISSUER}\""),
            &format!("\"aud\":[\"{ISSUER}\"]"),
            1,
        );
        assert_eq!(
            rejection(&signed(&good_header(), &array)),
            Rejection::Malformed("claims")
        );
    }

    #[test]
    fn no_bit_can_change_and_no_byte_be_added() {
        for key in [hs256(), eddsa()] {
            let token = mint(&claims(), &key).unwrap();
            for at in 0..token.len() {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1;
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                assert!(
                    verify(&changed, &keys(), &EXPECTED).is_err(),
                    "byte {at} of {}",
                    token.len()
                );
                assert!(verify(&token[..at], &keys(), &EXPECTED).is_err());
            }
            for spelling in [
                format!("{token}="),
                format!(" {token}"),
                format!("{token}\n"),
                format!("{token}."),
                format!(".{token}"),
            ] {
                assert!(verify(&spelling, &keys(), &EXPECTED).is_err());
            }
        }
    }

    #[test]
    fn an_oversized_token_is_refused_by_its_length() {
        let max = MAX_BYTES;
        assert_eq!(
            rejection(&"a".repeat(max + 1)),
            Rejection::Oversized { max }
        );
        assert_eq!(
            rejection(&"a".repeat(max)),
            Rejection::Malformed("not three parts")
        );
    }

    #[test]
    fn time_is_strict_at_the_end_and_tolerant_at_the_start() {
        let token = mint(&claims(), &eddsa()).unwrap();
        let token = verify(&token, &keys(), &EXPECTED).unwrap();
        let exp = token.claims().exp;
        assert_eq!(
            check_time(&token, exp.minus(Duration::from_secs(1))),
            Ok(())
        );
        assert_eq!(check_time(&token, exp), Err(Rejection::Expired));
        assert_eq!(check_time(&token, NOW.minus(SKEW)), Ok(()));
        assert_eq!(
            check_time(&token, NOW.minus(SKEW + Duration::from_secs(1))),
            Err(Rejection::NotYetValid)
        );
    }

    #[test]
    fn an_actor_is_one_user_and_nothing_else() {
        let acted = Claims {
            act: Some(crate::claims::Actor {
                sub: UserId::from_bytes([9; 16]),
            }),
            ..claims()
        };
        let payload = serde_json::to_value(&acted).unwrap();
        assert_eq!(
            payload["act"],
            serde_json::json!({"sub": "CQkJCQkJCQkJCQkJCQkJCQ"})
        );
        let plain = serde_json::to_value(claims()).unwrap();
        assert!(
            plain.get("act").is_none(),
            "who acts themselves has no actor"
        );
        let token = mint(&acted, &eddsa()).unwrap();
        assert_eq!(verify(&token, &keys(), &EXPECTED).unwrap().claims(), &acted);
        let id = r#""CQkJCQkJCQkJCQkJCQkJCQ""#;
        for act in [
            "null".to_owned(),
            id.to_owned(),
            "{}".to_owned(),
            "[]".to_owned(),
            r#"{"sub":null}"#.to_owned(),
            r#"{"sub":"somebody"}"#.to_owned(),
            format!("[{id}]"),
            format!(r#"{{"sub":{id},"sub":{id}}}"#),
            format!(r#"{{"sub":{id},"act":{{"sub":{id}}}}}"#),
            format!(r#"{{"sub":{id},"iss":"https://other.test"}}"#),
        ] {
            let payload = plain
                .to_string()
                .replacen('{', &format!(r#"{{"act":{act},"#), 1);
            let token = signed(&good_header(), &payload);
            assert_eq!(rejection(&token), Rejection::Malformed("claims"), "{act}");
        }
    }

    #[test]
    fn a_role_that_cannot_travel_is_not_minted() {
        let mut claims = claims();
        claims.roles = vec!["a,admin".into()];
        assert_eq!(mint(&claims, &eddsa()), Err(MintError::BadRole));
    }
}
