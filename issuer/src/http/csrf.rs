//! Refusing unsafe requests that another site's page made (OWASP ASVS 5.0, 3.5.1 to 3.5.3). This covers the sign-in too:
//! a page elsewhere must not sign its visitor in under somebody else's name.

use axum::http::{HeaderMap, header};
use shared::csrf;

use super::content_type;
use super::extract::Untrusted;

/// Whether an unsafe request for `path` may come from another site, for all that its headers say. `site` is this one's origin.
///
/// A request that says nothing of where it comes from is no browser's of today. It is believed if it brings no session
/// cookie, which browsers attach by themselves, and is nothing that a form of an old browser could send. Under `/oauth/`
/// clients that are no browsers send forms (RFC 6749 §4). A form of another site's page gains nothing there: what opens
/// something must stand in the form itself, and no answer sets a cookie.
pub(super) fn is_cross_site(headers: &HeaderMap, path: &str, site: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match csrf::is_own(text("sec-fetch-site"), text(header::ORIGIN.as_str()), site) {
        Some(own) => !own,
        None => {
            Untrusted::of(headers).has_cookie()
                || (!path.starts_with("/oauth/")
                    && content_type::of(headers).is_some_and(|kind| is_of_a_form(&kind)))
        }
    }
}

/// Whether a form can send this type without asking first: the CORS-safelisted ones (WHATWG Fetch §2.2.2).
fn is_of_a_form(content_type: &str) -> bool {
    matches!(
        content_type,
        content_type::FORM | "multipart/form-data" | "text/plain" | ""
    )
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const SITE: &str = "https://example.org";

    fn cross(headers: &[(&'static str, &'static str)]) -> bool {
        cross_at("/auth/login", headers)
    }

    fn cross_at(path: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect();
        is_cross_site(&headers, path, SITE)
    }

    #[test]
    fn the_browser_says_where_a_request_comes_from() {
        let cookie = ("cookie", "__Host-Http-refresh=r");
        assert!(!cross(&[("sec-fetch-site", "same-origin"), cookie]));
        assert!(!cross(&[("origin", SITE), cookie]));
        assert!(cross(&[("sec-fetch-site", "same-site"), ("origin", SITE)]));
        assert!(cross(&[("origin", "http://example.org")]));
    }

    #[test]
    fn who_says_nothing_brings_no_cookie_and_sends_no_form() {
        assert!(!cross(&[]));
        assert!(!cross(&[
            ("content-type", "application/json"),
            ("cookie", "a=1")
        ]));
        for cookie in [
            "__Host-Http-access=t",
            "a=1; __Host-Http-refresh=r",
            "__Host-Http-access=t; __Host-Http-access=u",
            "a=\u{e9}; __Host-Http-refresh=r",
        ] {
            assert!(cross(&[("cookie", cookie)]), "{cookie}");
            assert!(
                cross(&[("content-type", "application/json"), ("cookie", cookie)]),
                "{cookie}"
            );
        }
        assert!(cross(&[(
            "content-type",
            "application/x-www-form-urlencoded"
        )]));
        assert!(cross(&[("content-type", "Text/Plain; charset=utf-8")]));
    }

    #[test]
    fn a_client_that_is_no_browser_sends_its_form_to_oauth_alone() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert!(!cross_at("/oauth/token", &[form]));
        assert!(!cross_at("/oauth/token", &[form, ("cookie", "a=1")]));
        for more in [
            ("cookie", "__Host-Http-access=t"),
            ("cookie", "a=1; __Host-Http-refresh=r"),
            ("origin", "https://evil.test"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(cross_at("/oauth/token", &[form, more]), "{more:?}");
        }
        for path in ["/auth/oauth/", "/oauth", "/OAuth/token", "//oauth/token"] {
            assert!(cross_at(path, &[form]), "{path}");
        }
    }
}
