//! Global token revocation (draft-parecki-oauth-global-token-revocation): who may ask for it, and for whom. Pure.

use serde::Deserialize;
use shared::time::UnixMillis;

use super::claims::is_identifier;
use super::keys::SignedClaims;
use super::logout::{BadClaims, Stamp, is_for};

/// `typ` of the token with which a provider authenticates.
const TYPE: &str = "global-token-revocation+jwt";

/// Checks the claims of the bearer token whose signature was verified. Whether `iss` is the provider's and `jti` new is
/// still to be checked.
///
/// It must say that it is for this: by its type, or by naming the endpoint as its audience. An ID token, which has the same
/// issuer and the client as audience, says neither.
///
/// # Errors
/// [`BadClaims`].
pub fn check_caller(
    signed: &SignedClaims,
    endpoint: &str,
    client_id: &str,
    now: UnixMillis,
) -> Result<Stamp, BadClaims> {
    let is_typed = signed.typ.as_deref() == Some(TYPE);
    if !is_typed && !matches!(signed.typ.as_deref(), None | Some("jwt")) {
        return Err(BadClaims::Type);
    }
    let claims = &signed.claims;
    let is_for_us = is_for(claims, endpoint) || (is_typed && is_for(claims, client_id));
    if !is_for_us {
        return Err(BadClaims::Audience);
    }
    Stamp::read(claims, now)
}

/// Whose sessions are to end (RFC 9493 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Somebody of this issuer.
    Issued {
        /// `iss`.
        issuer: String,
        /// `sub`.
        subject: String,
    },
    /// Somebody whom the calling provider knows by this `sub`.
    Opaque(String),
    /// Who has this address here, and an identity at the calling provider.
    Email(String),
}

#[derive(Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
enum Format {
    IssSub { iss: String, sub: String },
    Opaque { id: String },
    Email { email: String },
}

/// Reads the request's body. The subject identifier stands in `sub_id`, or in `subject`, as it was called before. `None`
/// where it is none that can be read.
pub fn subject(body: &[u8]) -> Option<Subject> {
    #[derive(Deserialize)]
    struct Body {
        sub_id: Option<Format>,
        subject: Option<Format>,
    }
    let Body { sub_id, subject } = serde_json::from_slice(body).ok()?;
    let format = match (sub_id, subject) {
        (Some(format), None) | (None, Some(format)) => format,
        (Some(_), Some(_)) | (None, None) => return None,
    };
    match format {
        Format::IssSub { iss, sub } if is_identifier(&sub) => Some(Subject::Issued {
            issuer: iss,
            subject: sub,
        }),
        Format::Opaque { id } if is_identifier(&id) => Some(Subject::Opaque(id)),
        Format::Email { email } if is_identifier(email.trim()) => {
            Some(Subject::Email(email.trim().to_owned()))
        }
        Format::IssSub { .. } | Format::Opaque { .. } | Format::Email { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::logout::tests::NOW;
    use super::*;

    const ENDPOINT: &str = "https://site.test/auth/global-token-revocation/demo";

    fn check(typ: Option<&str>, aud: Value) -> Result<Stamp, BadClaims> {
        let claims = json!({"iss": "https://op", "aud": aud, "exp": 1_764_000_120, "jti": "j"});
        check_caller(&SignedClaims::of(typ, &claims), ENDPOINT, "c", NOW)
    }

    #[test]
    fn a_token_must_say_that_it_is_for_this() {
        assert!(check(Some(TYPE), json!(ENDPOINT)).is_ok());
        assert!(check(None, json!([ENDPOINT])).is_ok());
        assert!(check(Some(TYPE), json!("c")).is_ok());
        assert_eq!(
            check(Some("jwt"), json!("c")),
            Err(BadClaims::Audience),
            "an ID token"
        );
        assert_eq!(
            check(Some("logout+jwt"), json!(ENDPOINT)),
            Err(BadClaims::Type)
        );
        assert_eq!(
            check(Some(TYPE), json!("https://other.test")),
            Err(BadClaims::Audience)
        );
    }

    #[test]
    fn a_subject_is_named_in_three_ways_and_under_two_names() {
        let issued = Subject::Issued {
            issuer: "https://op".to_owned(),
            subject: "s".to_owned(),
        };
        for (identifier, expected) in [
            (
                json!({"format": "iss_sub", "iss": "https://op", "sub": "s"}),
                issued,
            ),
            (
                json!({"format": "opaque", "id": "s"}),
                Subject::Opaque("s".to_owned()),
            ),
            (
                json!({"format": "email", "email": "a@b.test"}),
                Subject::Email("a@b.test".to_owned()),
            ),
        ] {
            for name in ["sub_id", "subject"] {
                let body = json!({name: identifier}).to_string();
                assert_eq!(subject(body.as_bytes()).as_ref(), Some(&expected));
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let id = json!({"format": "opaque", "id": "s"});
        for body in [
            json!({}),
            json!([]),
            json!({"subject": id, "sub_id": id}),
            json!({"subject": "s"}),
            json!({"subject": {"format": "opaque"}}),
            json!({"subject": {"format": "opaque", "id": ""}}),
            json!({"subject": {"format": "phone_number", "phone_number": "1"}}),
            json!({"subject": {"format": "iss_sub", "sub": "s"}}),
        ] {
            assert_eq!(subject(body.to_string().as_bytes()), None, "{body}");
        }
        assert_eq!(subject(b"{"), None);
    }
}
