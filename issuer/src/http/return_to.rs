//! Where to go after signing in: only to a path of this site (OWASP ASVS 5.0, 3.7.2).

/// Longer ones are not worth a redirect.
const MAX_BYTES: usize = 2048;

/// `text` if it is a path of this site, with or without a query; browsers must not read it as anything else.
pub(super) fn checked(text: &str) -> Option<&str> {
    let mut bytes = text.bytes();
    let rooted = bytes.next() == Some(b'/') && bytes.next() != Some(b'/');
    // Browsers take a backslash for a slash, and drop tabs and line breaks before they look (WHATWG URL §4.4).
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (rooted && plain && text.len() <= MAX_BYTES).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn paths_of_this_site_pass() {
        for path in [
            "/",
            "/app/",
            "/app?x=1&y=%2F%2F#z",
            "/a//b",
            "/%2F%2Fevil.test",
            "/@evil.test",
        ] {
            assert_eq!(checked(path), Some(path));
        }
    }

    #[test]
    fn everything_else_does_not() {
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for text in [
            "",
            "app",
            "//evil.test",
            "/\\evil.test",
            "\\/evil.test",
            "https://evil.test",
            "javascript:alert(1)",
            "/\t/evil.test",
            "/a\nb",
            "/a b",
            "/\u{e4}",
            " /app",
            "/app\0",
            &long,
        ] {
            assert_eq!(checked(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_browser_stays_on_this_site(text in "[/\\\\.:@?#a-z\t\n %0-9]{0,24}") {
            if let Some(path) = checked(&text) {
                let site = Url::parse("https://example.org/auth/login").unwrap();
                prop_assert_eq!(site.join(path).unwrap().origin(), site.origin());
            }
        }
    }
}
