//! What a request offers to prove who sent it: the session's cookies, or a bearer token. Never both.

use std::fmt;

use shared::cookie::{Cookies, Found};
use shared::{token, within};

/// The credential, unproven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// None.
    Absent,
    /// `Authorization: Bearer` (RFC 6750 §2.1).
    Bearer(&'a str),
    /// The session's cookies. A browser drops the access cookie when its time is over, and keeps the other.
    Cookies {
        /// The access token.
        access: Option<&'a str>,
        /// The refresh token.
        refresh: Option<&'a str>,
    },
}

/// Says what there is, never a token.
impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = |token: &Option<&str>| token.map(|_| format_args!("…"));
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Bearer(_) => f.write_str("Bearer(…)"),
            Self::Cookies { access, refresh } => f
                .debug_struct("Cookies")
                .field("access", &there(access))
                .field("refresh", &there(refresh))
                .finish(),
        }
    }
}

/// Why what is offered is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredential {
    /// Which of them is meant cannot be known.
    #[error("session cookies and a bearer token came together")]
    Both,
    /// Two cookies of one name, or two `Cookie` or `Authorization` headers.
    #[error("a credential came more than once, or in one of several headers of one name")]
    Several,
    /// `Bearer` with something behind it that cannot be a token.
    #[error("the bearer token has characters that no token has")]
    Malformed,
}

impl Credential<'_> {
    /// Whether browsers attach it by themselves, so that another site can make them send it.
    pub const fn is_ambient(self) -> bool {
        matches!(self, Self::Cookies { .. })
    }
}

/// The credential in the headers `Cookie`, taken apart, and `Authorization`.
///
/// Another scheme than Bearer is between client and origin, and no credential here.
///
/// # Errors
/// [`BadCredential`] where it is not clear what is meant.
pub fn take<'a>(
    cookies: &'a Cookies,
    authorization: Option<&'a str>,
) -> Result<Credential<'a>, BadCredential> {
    let bearer = authorization.and_then(bearer).transpose()?;
    let access = token(cookies.access())?;
    let refresh = token(cookies.refresh())?;
    match (bearer, access.or(refresh)) {
        (Some(_), Some(_)) => Err(BadCredential::Both),
        (Some(token), None) => Ok(Credential::Bearer(token)),
        (None, Some(_)) => Ok(Credential::Cookies { access, refresh }),
        (None, None) => Ok(Credential::Absent),
    }
}

/// The blanks of HTTP (RFC 9110 §5.6.3): no other belongs around a token.
const BLANKS: [char; 2] = [' ', '\t'];

/// The token of an `Authorization` header, if its scheme is Bearer (in any case: RFC 9110 §11.1).
pub fn bearer(authorization: &str) -> Option<Result<&str, BadCredential>> {
    let trimmed = authorization.trim_matches(BLANKS);
    let (scheme, token) = trimmed.split_once([' ', '\t']).unwrap_or((trimmed, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        // Two headers arrive as one, joined by a comma: a Bearer behind another scheme must not go unseen.
        return has_second_bearer(trimmed).then_some(Err(BadCredential::Several));
    }
    let token = token.trim_matches(BLANKS);
    if token.contains(',') {
        return Some(Err(BadCredential::Several));
    }
    // b64token of RFC 6750 §2.1.
    let is_token = !token.is_empty()
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
    Some(if is_token {
        Ok(token)
    } else {
        Err(BadCredential::Malformed)
    })
}

/// Whether an `Authorization` header holds an access token of `issuer`, under whatever scheme, alone or beside others.
///
/// It goes by what the token says, whoever signed it, and not by the keys that are held: an isolate that has loaded none must
/// not take other tokens for ours than one that has.
pub fn holds_own_token(authorization: &str, issuer: &str) -> bool {
    let mut found = false;
    within::each_token(authorization, |token| {
        found |= token::untrusted_is_from(token, issuer);
    });
    found
}

fn has_second_bearer(authorization: &str) -> bool {
    let is_bearer = |part: &str| {
        let part = part.trim_start().as_bytes();
        part.get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"bearer"))
            && part.get(6).is_none_or(|next| next.is_ascii_whitespace())
    };
    authorization.split(',').skip(1).any(is_bearer)
}

fn token(found: Found<&str>) -> Result<Option<&str>, BadCredential> {
    match found {
        Found::Absent | Found::One("") => Ok(None),
        Found::One(value) => Ok(Some(value)),
        Found::Several => Err(BadCredential::Several),
    }
}

#[cfg(test)]
mod tests {
    use shared::cookie;

    use super::*;

    fn offered<'a>(
        cookie: Option<&'a str>,
        authorization: Option<&'a str>,
    ) -> Result<Credential<'a>, BadCredential> {
        let cookies = Box::leak(Box::new(cookie::read(cookie.unwrap_or_default())));
        take(cookies, authorization)
    }

    #[test]
    fn a_token_of_ours_is_seen_under_any_scheme() {
        let (ours, _) = crate::fixtures::token(|_| {});
        let theirs = crate::fixtures::token_of("https://other.test", |_| {});
        let written = |token: &str| {
            [
                format!("Bearer {token}"),
                format!("Basic eDp5, Bearer {token}"),
                format!("Bearer {token}, Basic eDp5"),
                format!("Token token=\"{token}\""),
            ]
        };
        let is_own = |header: &String| holds_own_token(header, crate::fixtures::SITE);
        assert!(written(&ours).iter().all(is_own));
        assert!(!written(&theirs).iter().any(is_own));
        for header in ["", "Basic eDp5", "Negotiate abc=="] {
            assert!(!is_own(&header.to_owned()), "{header}");
        }
    }

    #[test]
    fn a_cookie_or_a_bearer() {
        let both = "a=1; __Host-Http-access=tok; __Host-Http-refresh=ref";
        assert_eq!(offered(None, None), Ok(Credential::Absent));
        assert_eq!(
            offered(Some("a=1"), Some("Basic eDp5")),
            Ok(Credential::Absent)
        );
        assert_eq!(
            offered(Some(both), Some("Basic eDp5")),
            Ok(Credential::Cookies {
                access: Some("tok"),
                refresh: Some("ref")
            })
        );
        assert_eq!(
            offered(Some("__Host-Http-refresh=ref"), None),
            Ok(Credential::Cookies {
                access: None,
                refresh: Some("ref")
            })
        );
        for spelling in [
            "Bearer a.b.c",
            "bearer a.b.c",
            "BEARER  a.b.c ",
            "Bearer\ta.b.c",
        ] {
            assert_eq!(
                offered(Some("a=1"), Some(spelling)),
                Ok(Credential::Bearer("a.b.c")),
                "{spelling}"
            );
        }
    }

    #[test]
    fn what_is_offered_does_not_print() {
        let cookies = "__Host-Http-access=tok-a; __Host-Http-refresh=tok-b";
        for (cookie, authorization, printed) in [
            (None, None, "Ok(Absent)"),
            (None, Some("Bearer tok-c"), "Ok(Bearer(…))"),
            (
                Some(cookies),
                None,
                "Ok(Cookies { access: Some(…), refresh: Some(…) })",
            ),
            (
                Some("__Host-Http-refresh=tok-b"),
                None,
                "Ok(Cookies { access: None, refresh: Some(…) })",
            ),
        ] {
            assert_eq!(format!("{:?}", offered(cookie, authorization)), printed);
        }
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        for (cookie, authorization, reason) in [
            (
                Some("__Host-Http-access=t"),
                Some("Bearer t"),
                BadCredential::Both,
            ),
            (
                Some("__Host-Http-refresh=t"),
                Some("bearer t"),
                BadCredential::Both,
            ),
            (
                Some("__Host-Http-access=t; __Host-Http-access=t"),
                None,
                BadCredential::Several,
            ),
            (
                Some("__Host-Http-access=t, __Host-Http-access=u"),
                None,
                BadCredential::Several,
            ),
            (
                Some("__Host-Http-access=t; __Host-Http-refresh=r; __Host-Http-refresh=s"),
                None,
                BadCredential::Several,
            ),
            (
                Some("a=1, __Host-Http-access=t"),
                None,
                BadCredential::Several,
            ),
            (
                Some("__Host-Http-access=t; a=1,__Host-Http-refresh=r"),
                None,
                BadCredential::Several,
            ),
            (
                Some("__Host-Http-refresh=r, a=1"),
                None,
                BadCredential::Several,
            ),
            (None, Some("Bearer a, Bearer b"), BadCredential::Several),
            (None, Some("Basic eDp5, Bearer b"), BadCredential::Several),
            (None, Some("Bearer"), BadCredential::Malformed),
            (None, Some("Bearer "), BadCredential::Malformed),
            (None, Some("Bearer a b"), BadCredential::Malformed),
            (None, Some("Bearer a\u{e9}"), BadCredential::Malformed),
            (None, Some("Bearer \"a\""), BadCredential::Malformed),
        ] {
            assert_eq!(
                offered(cookie, authorization),
                Err(reason),
                "{cookie:?} {authorization:?}"
            );
        }
    }

    #[test]
    fn look_alikes_are_no_credentials() {
        for cookie in [
            "__host-http-access=t",
            "__Host-Http-access2=t",
            "x__Host-Http-access=t",
            "__Host-Http-access",
            "__Host-Http-access=",
        ] {
            assert_eq!(
                offered(Some(cookie), None),
                Ok(Credential::Absent),
                "{cookie}"
            );
        }
        for authorization in ["Bearerx t", "Digest a=\"bearer\", b=c", "", "token bearer"] {
            assert_eq!(
                offered(None, Some(authorization)),
                Ok(Credential::Absent),
                "{authorization}"
            );
        }
    }
}
