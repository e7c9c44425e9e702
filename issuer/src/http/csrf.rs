//! Refusing unsafe requests that another site's page made (OWASP ASVS 5.0, 3.5.1 to 3.5.3). This covers the sign-in too:
//! a page elsewhere must not sign its visitor in under somebody else's name.

use axum::http::{HeaderMap, header};

/// Whether an unsafe request may come from another site, for all that its headers say. `origin` is this site.
///
/// Browsers of today say so themselves (`Sec-Fetch-Site`, W3C Fetch Metadata §2.4), those of yesterday send `Origin`
/// (RFC 6454 §7). A request with neither is no browser's, unless it is what a form of an old one could send.
pub(super) fn is_cross_site(headers: &HeaderMap, origin: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    if let Some(claimed) = text(header::ORIGIN.as_str()) {
        return claimed != origin;
    }
    text(header::CONTENT_TYPE.as_str()).is_some_and(|kind| {
        let essence = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        // What a form can send without asking first: CORS-safelisted types (WHATWG Fetch §2.2.2).
        matches!(
            essence.as_str(),
            "application/x-www-form-urlencoded" | "multipart/form-data" | "text/plain" | ""
        )
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const SITE: &str = "https://example.org";

    fn cross(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        is_cross_site(&headers, SITE)
    }

    #[test]
    fn the_browser_says_where_a_request_comes_from() {
        assert!(!cross(&[("sec-fetch-site", "same-origin")]));
        assert!(!cross(&[("sec-fetch-site", "none")]));
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            assert!(
                cross(&[("sec-fetch-site", site), ("origin", SITE)]),
                "{site}"
            );
        }
    }

    #[test]
    fn an_old_browser_says_its_origin() {
        assert!(!cross(&[("origin", SITE)]));
        for origin in [
            "null",
            "https://example.org.evil.test",
            "http://example.org",
            "https://example.org:8443",
        ] {
            assert!(cross(&[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn what_is_no_browser_says_nothing() {
        assert!(!cross(&[]));
        assert!(!cross(&[("content-type", "application/json")]));
        assert!(cross(&[(
            "content-type",
            "application/x-www-form-urlencoded"
        )]));
        assert!(cross(&[("content-type", "Text/Plain; charset=utf-8")]));
    }
}
