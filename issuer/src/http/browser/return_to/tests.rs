use proptest::prelude::*;

use super::*;

/// Each in turn.
fn printable() -> impl Iterator<Item = char> {
    (0x21_u8..=0x7e).map(char::from)
}

#[test]
fn paths_of_this_site_pass_as_they_are() {
    for path in [
        "/",
        "/app/",
        "/app?x=1&y=%2F%2F#z",
        "/a//b",
        "/%2F%2Fevil.test",
        "/@evil.test",
        "/app/../x",
        "/app?return_to=//evil.test",
        "/app?\\\\evil.test\\",
        "/app#/auth/login\\",
        "/authors",
        "/app/auth/login",
        "/oauth2/x",
        "/app?/../../auth/login",
        "/x/%",
    ] {
        assert_eq!(checked(path).as_deref(), Ok(path));
    }
}

#[test]
fn every_printable_character_stays_in_a_query_and_a_fragment() {
    for odd in printable() {
        for text in [format!("/app/?q={odd}x"), format!("/app/#f{odd}x")] {
            assert_eq!(checked(&text).as_deref(), Ok(text.as_str()), "{odd:?}");
        }
        let path = format!("/app/p{odd}x");
        let expected = if odd == '\\' {
            Err(BadReturn::Elsewhere)
        } else {
            Ok(path.as_str())
        };
        assert_eq!(checked(&path).as_deref().map_err(|bad| *bad), expected);
    }
}

#[test]
fn what_no_header_can_hold_is_escaped_as_a_url_parser_does() {
    for (text, spelled) in [
        ("/a b", "/a%20b"),
        ("/app?x=a b", "/app?x=a%20b"),
        ("/\u{e4}?\u{e4}#\u{e4}", "/%C3%A4?%C3%A4#%C3%A4"),
        // Blanks at the end are none of a URL's.
        ("/app/ ", "/app/"),
    ] {
        assert_eq!(checked(text).as_deref(), Ok(spelled));
    }
}

#[test]
fn nothing_leads_to_another_site() {
    for text in [
        "",
        "app",
        "?x",
        "#x",
        "//evil.test",
        "/\\evil.test",
        "\\/evil.test",
        "\\\\evil.test",
        "https://evil.test",
        "javascript:alert(1)",
        "/\t/evil.test",
        "/\n/evil.test",
        "/\r\\evil.test",
        "/a\nb",
        "/a?x=\t",
        "/a#\n",
        "/.//evil.test",
        "/a/..//evil.test/\u{e4}",
        "/%2e//evil.test/ x",
        " /app",
        "/app\0",
        "/app\u{7f}",
        "/app\u{85}",
        "/app\\x?y",
    ] {
        assert_eq!(checked(text), Err(BadReturn::Elsewhere), "{text:?}");
    }
}

#[test]
fn nothing_leads_to_a_page_of_ours_in_any_spelling() {
    for text in [
        "/auth",
        "/auth/",
        "/auth/login",
        "/auth/logout",
        "/auth/login?return_to=/auth/login",
        "/auth#x",
        "/oauth/token",
        "/AUTH/login",
        "/oAuth/token",
        "/%61uth/login",
        "/%61%75%74%68/login",
        "/%41UTH/login",
        "/%2561uth/login",
        "/%252561uth/login",
        "/auth%2flogin",
        "/auth%5Clogin",
        "/app/../auth/login",
        "/app/%2e%2e/auth/login",
        "/app/.%2E/auth/login",
        "/app/..%2fauth/login",
        "/app/%2e%2e%2fauth/login",
        "/./auth/login",
        "/%2e/auth/login",
        "/../auth/login",
        "/%2fauth/login",
        "/.//auth/login",
        "/a/..//auth/login",
        "/auth;x/login",
        "/auth%3bx/login",
        "/;x/auth/login",
        "/auth%20/login",
        "/auth /login",
    ] {
        assert_eq!(checked(text), Err(BadReturn::Elsewhere), "{text:?}");
    }
}

#[test]
fn eight_thousand_octets_are_the_limit() {
    let of = |octets: usize| format!("/app?{}", "q".repeat(octets - 5));
    let longest = of(MAX_RETURN_TO);
    assert_eq!(checked(&longest).as_deref(), Ok(longest.as_str()));
    assert_eq!(checked(&of(MAX_RETURN_TO + 1)), Err(BadReturn::TooLong));
    // Octets are counted as they are sent.
    let wide = format!("/{}", "\u{e4}".repeat(3_000));
    assert_eq!(checked(&wide), Err(BadReturn::TooLong));
}

proptest! {
    #[test]
    fn a_browser_stays_on_this_site_and_off_our_pages(text in "[/\\\\.:@?#;%a-zA-Z\t\n 0-9\u{e9}]{0,24}|/(auth|%61uth|AUTH|[.][.]|%2e|;|/|\\\\|x|\t| |\u{e9}|[?]|#){0,6}") {
        if let Ok(path) = checked(&text) {
            let site = Url::parse("https://example.org/auth/login").unwrap();
            let reached = site.join(&path).unwrap();
            prop_assert_eq!(reached.origin(), site.origin());
            let first = reached.path().split('/').nth(1).unwrap_or_default();
            let first = unescaped(first).to_ascii_lowercase();
            prop_assert!(first != "auth" && first != "oauth", "{:?} leads to {}", text, reached);
            prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
