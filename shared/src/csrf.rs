//! What a browser says of the page that made a request (OWASP ASVS 5.0, 3.5.1 to 3.5.3).

/// Whether `site`'s own pages or its user made a request, as far as its headers `Sec-Fetch-Site` (W3C Fetch Metadata §2.4)
/// and `Origin` (RFC 6454 §7) say; `None` if they say nothing.
///
/// Browsers of today say the first of themselves, those of yesterday the second.
pub fn is_own(fetch_site: Option<&str>, origin: Option<&str>, site: &str) -> Option<bool> {
    match (fetch_site, origin) {
        (Some(fetch_site), _) => Some(matches!(fetch_site, "same-origin" | "none")),
        (None, Some(origin)) => Some(origin == site),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "https://site.test";

    #[test]
    fn the_browser_says_where_a_request_comes_from() {
        for own in ["same-origin", "none"] {
            assert_eq!(is_own(Some(own), Some("null"), SITE), Some(true), "{own}");
        }
        for other in [
            "same-site",
            "cross-site",
            "Same-Origin",
            "",
            "same-origin, cross-site",
        ] {
            assert_eq!(
                is_own(Some(other), Some(SITE), SITE),
                Some(false),
                "{other}"
            );
        }
    }

    #[test]
    fn an_old_browser_says_its_origin() {
        assert_eq!(is_own(None, Some(SITE), SITE), Some(true));
        for origin in [
            "null",
            "",
            "https://evil.test",
            "http://site.test",
            "https://site.test:444",
            "https://site.test.evil.test",
            "https://SITE.test",
        ] {
            assert_eq!(is_own(None, Some(origin), SITE), Some(false), "{origin}");
        }
        assert_eq!(is_own(None, None, SITE), None);
    }
}
