//! What a logout token says (OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6). Pure.

use std::time::Duration;

use serde_json::{Map, Value};
use shared::time::{UnixMillis, UnixTime};

use super::claims::is_identifier;
use super::id_token::SKEW;
use super::keys::SignedClaims;

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How far ahead a token may expire. It is remembered until then.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Why claims were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClaims {
    /// A token for something else.
    #[error("typ is another")]
    Type,
    /// For somebody else.
    #[error("aud is somebody else")]
    Audience,
    /// Too old, from the future, or valid for too long.
    #[error("exp or iat is missing or out of bounds")]
    Time,
    /// Nothing to know it by when it comes again.
    #[error("jti is missing")]
    Id,
    /// No `iss`.
    #[error("iss is missing")]
    Issuer,
    /// No logout token.
    #[error("events has no back-channel logout")]
    Event,
    /// It could be an ID token.
    #[error("nonce is there")]
    Nonce,
    /// It does not say who.
    #[error("neither sub nor sid is there")]
    Nobody,
}

/// A logout token whose signature was verified. Whether `iss` is the provider's and `jti` new is still to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    /// Where it comes from, and until when it is remembered.
    pub stamp: Stamp,
    /// The session at the provider.
    pub sid: Option<String>,
    /// The person at the provider.
    pub subject: Option<String>,
}

/// What tells one token from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `iss`.
    pub issuer: String,
    /// `jti`.
    pub id: String,
    /// `exp`, with what clocks may differ.
    pub until: UnixMillis,
}

impl LogoutToken {
    /// Reads the claims of a token for the client `client_id`.
    ///
    /// # Errors
    /// [`BadClaims`].
    pub fn read(
        signed: &SignedClaims,
        client_id: &str,
        now: UnixMillis,
    ) -> Result<Self, BadClaims> {
        // `logout+jwt` is recommended, so that no token of another kind can be taken for one; without it, `events` says it.
        if !matches!(signed.typ.as_deref(), None | Some("jwt" | "logout+jwt")) {
            return Err(BadClaims::Type);
        }
        let claims = &signed.claims;
        if !is_for(claims, client_id) {
            return Err(BadClaims::Audience);
        }
        let issued_at = time(claims, "iat").ok_or(BadClaims::Time)?;
        if issued_at > now.plus(SKEW).to_secs() {
            return Err(BadClaims::Time);
        }
        let is_event = claims
            .get("events")
            .and_then(|events| events.get(EVENT))
            .is_some_and(Value::is_object);
        if !is_event {
            return Err(BadClaims::Event);
        }
        if claims.contains_key("nonce") {
            return Err(BadClaims::Nonce);
        }
        let (sid, subject) = (identifier(claims, "sid"), identifier(claims, "sub"));
        if sid.is_none() && subject.is_none() {
            return Err(BadClaims::Nobody);
        }
        Ok(Self {
            stamp: Stamp::read(claims, now)?,
            sid,
            subject,
        })
    }
}

impl Stamp {
    pub(super) fn read(claims: &Map<String, Value>, now: UnixMillis) -> Result<Self, BadClaims> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        let expires = time(claims, "exp").ok_or(BadClaims::Time)?;
        let until = UnixMillis::from(expires).plus(SKEW);
        if until <= now || until > now.plus(LONGEST) {
            return Err(BadClaims::Time);
        }
        Ok(Self {
            issuer: issuer.ok_or(BadClaims::Issuer)?.to_owned(),
            id: identifier(claims, "jti").ok_or(BadClaims::Id)?,
            until,
        })
    }
}

/// Whether `aud` is `audience`, or holds it (RFC 7519 §4.1.3).
pub(super) fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(only)) => only == audience,
        Some(Value::Array(all)) => all.iter().any(|one| one == audience),
        _ => false,
    }
}

pub(super) fn time(claims: &Map<String, Value>, name: &str) -> Option<UnixTime> {
    let value = claims.get(name)?;
    // NumericDate may have a fraction (RFC 7519 §2).
    #[expect(clippy::cast_possible_truncation, reason = "stays at the ends of time")]
    let secs = value
        .as_i64()
        .or_else(|| value.as_f64().map(|secs| secs as i64))?;
    Some(UnixTime::from_secs(secs))
}

fn identifier(claims: &Map<String, Value>, name: &str) -> Option<String> {
    let text = claims.get(name)?.as_str()?;
    is_identifier(text).then(|| text.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in super::super) const NOW: UnixMillis = UnixMillis::from_millis(1_764_000_000_000);

    fn good() -> Value {
        json!({
            "iss": "https://op", "aud": "c", "iat": 1_764_000_000, "exp": 1_764_000_120, "jti": "j",
            "events": {EVENT: {}}, "sub": "s", "sid": "x",
        })
    }

    fn read(typ: Option<&str>, claims: &Value) -> Result<LogoutToken, BadClaims> {
        LogoutToken::read(&SignedClaims::of(typ, claims), "c", NOW)
    }

    #[test]
    fn a_logout_token_names_a_session_or_a_person() {
        let token = read(Some("logout+jwt"), &good()).unwrap();
        assert_eq!(
            (token.sid.as_deref(), token.subject.as_deref()),
            (Some("x"), Some("s"))
        );
        assert_eq!(
            (token.stamp.issuer.as_str(), token.stamp.id.as_str()),
            ("https://op", "j")
        );
        assert_eq!(token.stamp.until, NOW.plus(Duration::from_secs(180)));
        for typ in [None, Some("jwt")] {
            assert!(read(typ, &good()).is_ok(), "{typ:?}");
        }
    }

    #[test]
    fn every_claim_is_checked() {
        assert_eq!(read(Some("at+jwt"), &good()), Err(BadClaims::Type));
        for (name, value, expected) in [
            ("aud", json!("d"), BadClaims::Audience),
            ("aud", json!(["d"]), BadClaims::Audience),
            ("aud", json!(null), BadClaims::Audience),
            ("iat", json!(null), BadClaims::Time),
            ("iat", json!(1_764_000_061), BadClaims::Time),
            ("exp", json!(null), BadClaims::Time),
            ("exp", json!("1764000120"), BadClaims::Time),
            ("exp", json!(1_763_999_940), BadClaims::Time),
            ("exp", json!(1_764_086_400), BadClaims::Time),
            ("jti", json!(null), BadClaims::Id),
            ("jti", json!(""), BadClaims::Id),
            ("iss", json!(null), BadClaims::Issuer),
            ("events", json!(null), BadClaims::Event),
            ("events", json!({}), BadClaims::Event),
            ("events", json!({EVENT: true}), BadClaims::Event),
            ("events", json!([EVENT]), BadClaims::Event),
            ("nonce", json!("n"), BadClaims::Nonce),
            ("nonce", json!(null), BadClaims::Nonce),
        ] {
            let mut claims = good();
            claims[name] = value.clone();
            assert_eq!(read(None, &claims), Err(expected), "{name}: {value}");
        }
        let mut nobody = good();
        nobody["sub"] = json!(null);
        assert!(read(None, &nobody).unwrap().subject.is_none());
        nobody["sid"] = json!(7);
        assert_eq!(read(None, &nobody), Err(BadClaims::Nobody));
    }

    #[test]
    fn several_audiences_and_fractions_of_seconds_are_read() {
        let mut claims = good();
        claims["aud"] = json!(["d", "c"]);
        claims["exp"] = json!(1_764_000_120.5);
        assert!(read(None, &claims).is_ok());
    }
}
