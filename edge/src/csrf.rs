//! Whether a request was made by this site's own pages (OWASP ASVS 5.0, 3.5.1 and 3.5.3).

/// What a browser says about where a request comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provenance<'a> {
    /// `Sec-Fetch-Site` (Fetch Metadata §2.3).
    pub fetch_site: Option<&'a str>,
    /// `Origin` (RFC 6454 §7).
    pub origin: Option<&'a str>,
    /// Whether it asks for another protocol: a WebSocket handshake.
    pub upgrade: bool,
}

/// Whether a request with credentials that browsers attach by themselves may be believed.
///
/// - A safe method (RFC 9110 §9.2.1) always.
/// - Any other needs `Sec-Fetch-Site: same-origin` or `none`, or where that is absent an `Origin` that is `site`.
/// - A WebSocket handshake is a GET that opens a channel for writing: what it says must not be of another site. It may
///   say nothing, since every browser does say where a handshake comes from.
pub fn is_own(method: &str, from: Provenance<'_>, site: &str) -> bool {
    let safe = matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE");
    if safe && !from.upgrade {
        return true;
    }
    shared::csrf::is_own(from.fetch_site, from.origin, site).unwrap_or(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "https://site.test";

    fn own(method: &str, fetch_site: Option<&str>, origin: Option<&str>) -> bool {
        is_own(
            method,
            Provenance {
                fetch_site,
                origin,
                upgrade: false,
            },
            SITE,
        )
    }

    #[test]
    fn safe_methods_are_always_believed() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(own(method, Some("cross-site"), Some("https://evil.test")));
        }
    }

    #[test]
    fn unsafe_methods_must_come_from_here() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get", ""] {
            assert!(own(method, Some("same-origin"), None), "{method}");
            assert!(own(method, None, Some(SITE)), "{method}");
            assert!(!own(method, Some("same-site"), Some(SITE)), "{method}");
            assert!(!own(method, None, Some("https://evil.test")), "{method}");
            assert!(!own(method, None, None), "{method}");
        }
    }

    #[test]
    fn a_websocket_of_another_site_is_refused() {
        let shake = |fetch_site, origin| {
            is_own(
                "GET",
                Provenance {
                    fetch_site,
                    origin,
                    upgrade: true,
                },
                SITE,
            )
        };
        assert!(
            shake(Some("same-origin"), Some(SITE)) && shake(None, Some(SITE)) && shake(None, None)
        );
        assert!(
            !shake(None, Some("https://evil.test"))
                && !shake(Some("same-site"), Some("https://x.site.test"))
        );
    }
}
