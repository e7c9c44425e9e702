//! What a provider says of a person, in our own words. Pure.

use serde_json::{Map, Value};
use shared::time::UnixTime;

use crate::store::identities::Identity;

/// Characters of a name that are kept.
const LONGEST_NAME: usize = 200;

/// What a verified ID token says, together with the answer of the userinfo endpoint for the same person.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// `iss` and `sub`: who it is (OpenID Connect Core 1.0 §5.7).
    pub identity: Identity,
    /// `sid`: the session at the provider (OpenID Connect Back-Channel Logout 1.0 §2.1).
    pub sid: Option<String>,
    /// `email`, if it can be one.
    pub email: Option<String>,
    /// Whether the provider says that the address is the person's.
    pub email_verified: bool,
    /// `name`, or what else there is to call them.
    pub name: String,
    /// `tid`: the tenant, which means something at Microsoft only.
    pub tenant: Option<String>,
    /// `auth_time`: when the person last proved to the provider who they are.
    pub auth_time: Option<UnixTime>,
    /// All claims, for the one that roles are read from.
    claims: Map<String, Value>,
}

/// Whether `text` can be a `sub`, `sid` or `jti`. Postgres takes no NUL.
pub fn is_identifier(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.chars().any(char::is_control)
}

impl Person {
    /// Reads the claims of a token that was verified and whose issuer is `issuer`. `None` without a `sub`.
    pub fn read(issuer: &str, claims: Map<String, Value>, is_microsoft: bool) -> Option<Self> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let email = text("email").map(str::trim).filter(|email| is_email(email));
        let says_yes = |name: &str| {
            matches!(claims.get(name), Some(Value::Bool(true)))
                || matches!(text(name), Some("true" | "1"))
        };
        Some(Self {
            identity: Identity {
                issuer: issuer.to_owned(),
                // 1 to 255 characters (OpenID Connect Core 1.0 §2).
                subject: text("sub").filter(|sub| is_identifier(sub))?.to_owned(),
            },
            sid: text("sid")
                .filter(|sid| is_identifier(sid))
                .map(str::to_owned),
            email: email.map(str::to_owned),
            // Microsoft says by `xms_edov` that the domain's owner is verified.
            email_verified: says_yes("email_verified") || (is_microsoft && says_yes("xms_edov")),
            name: name(&[text("name"), text("preferred_username"), email]),
            tenant: text("tid").filter(|_| is_microsoft).map(str::to_owned),
            auth_time: claims
                .get("auth_time")
                .and_then(Value::as_i64)
                .map(UnixTime::from_secs),
            claims,
        })
    }

    /// The values of a claim that is a text or a list of texts.
    pub fn values<'a>(&'a self, claim: &str) -> Vec<&'a str> {
        match self.claims.get(claim) {
            Some(Value::String(value)) => vec![value],
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        }
    }

    /// The domain of the address, in lower case.
    pub fn domain(&self) -> Option<String> {
        let (_, domain) = self.email.as_deref()?.rsplit_once('@')?;
        Some(domain.to_ascii_lowercase())
    }
}

fn is_email(text: &str) -> bool {
    text.len() <= 320
        && !text
            .chars()
            .any(|char| char.is_whitespace() || char.is_control())
        && text
            .rsplit_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

fn name(candidates: &[Option<&str>]) -> String {
    let clean = |name: &str| {
        let visible = name.chars().filter(|char| !char.is_control());
        let text: String = visible.take(LONGEST_NAME).collect();
        text.trim().to_owned()
    };
    let mut names = candidates.iter().flatten().map(|name| clean(name));
    names.find(|name| !name.is_empty()).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in crate::sign_in) fn person(claims: Value) -> Person {
        let Value::Object(claims) = claims else {
            panic!("an object");
        };
        Person::read("https://op", claims, false).unwrap()
    }

    #[test]
    fn claims_are_read_as_far_as_they_are_what_they_should_be() {
        let ada = person(json!({
            "sub": "s", "sid": "x", "email": " ada@Example.org ", "email_verified": true, "name": "Ada\u{7} L",
            "auth_time": 1_764_000_000, "groups": ["a", 7, "b"], "tid": "t",
        }));
        assert_eq!(ada.email.as_deref(), Some("ada@Example.org"));
        assert_eq!(ada.domain().as_deref(), Some("example.org"));
        assert_eq!((ada.name.as_str(), ada.email_verified), ("Ada L", true));
        assert_eq!(ada.values("groups"), ["a", "b"]);
        assert_eq!(ada.values("sub"), ["s"]);
        assert_eq!(ada.tenant, None, "a tenant is Microsoft's");
        assert_eq!(ada.auth_time, Some(UnixTime::from_secs(1_764_000_000)));
        let odd =
            person(json!({"sub": "s", "email": 7, "email_verified": 1, "name": " ", "sid": ""}));
        assert_eq!((odd.email.as_deref(), odd.email_verified), (None, false));
        assert_eq!((odd.name.as_str(), odd.sid), ("", None));
    }

    #[test]
    fn an_address_counts_as_verified_only_where_that_is_said() {
        for (claim, value, verified) in [
            ("email_verified", json!(true), true),
            ("email_verified", json!("true"), true),
            ("email_verified", json!("false"), false),
            ("email_verified", json!(null), false),
            ("xms_edov", json!(true), false),
        ] {
            let person = person(json!({"sub": "s", "email": "a@b.test", claim: value}));
            assert_eq!(person.email_verified, verified, "{claim} {value}");
        }
        let claims = json!({"sub": "s", "email": "a@b.test", "xms_edov": "1"});
        let Value::Object(claims) = claims else {
            unreachable!()
        };
        assert!(
            Person::read("https://op", claims, true)
                .unwrap()
                .email_verified
        );
    }

    #[test]
    fn a_person_without_a_subject_is_nobody() {
        for sub in [
            json!(null),
            json!(7),
            json!(""),
            json!("a\u{0}b"),
            json!("x".repeat(256)),
        ] {
            let Value::Object(claims) = json!({"sub": sub}) else {
                unreachable!()
            };
            assert_eq!(Person::read("https://op", claims, false), None, "{sub}");
        }
    }
}
