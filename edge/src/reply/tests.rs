use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::credential::BadCredential;
use crate::target::BadTarget;

const BROWSER: Asker<'_> = Asker {
    fetch_mode: Some("navigate"),
    accept: None,
    referer: None,
    site: "https://site.test",
    api: false,
    url: "https://site.test/app/x?a=1&b=/é\"",
    cors: None,
};
const PROGRAM: Asker<'_> = Asker {
    fetch_mode: None,
    accept: Some("*/*"),
    ..BROWSER
};

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply
        .headers
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.as_str())
}

fn every() -> Vec<(Refusal, u16, &'static str)> {
    vec![
        (
            Refusal::Target(BadTarget::DotSegment),
            400,
            "invalid_request",
        ),
        (
            Refusal::Credential(BadCredential::Both),
            400,
            "invalid_request",
        ),
        (Refusal::Method, 501, "invalid_request"),
        (Refusal::TooLarge, 413, "invalid_request"),
        (Refusal::Misdirected, 421, "invalid_request"),
        (Refusal::CookiesBlocked, 401, "unauthenticated"),
        (Refusal::WayBackTooLong, 401, "unauthenticated"),
        (Refusal::ClocksDiffer, 401, "token_expired"),
        (Refusal::Hidden, 404, "not_found"),
        (Refusal::Respelled, 404, "not_found"),
        (Refusal::Anonymous, 401, "unauthenticated"),
        (Refusal::Token(Rejection::Expired), 401, "token_expired"),
        (
            Refusal::Token(Rejection::BadSignature),
            401,
            "token_invalid",
        ),
        (Refusal::SessionEnded, 401, "session_ended"),
        (Refusal::RefreshReused, 401, "refresh_reused"),
        (Refusal::TokenRevoked, 401, "token_invalid"),
        (Refusal::NotAService, 403, "forbidden"),
        (Refusal::NotAUser, 403, "forbidden"),
        (Refusal::Scope("a b".into()), 403, "forbidden"),
        (Refusal::ClaimsStale, 401, "claims_stale"),
        (
            Refusal::SignInTooOld(Duration::from_secs(300)),
            401,
            "step_up_required",
        ),
        (Refusal::Role("admin".into()), 403, "forbidden"),
        (Refusal::Preflight("this origin"), 403, "forbidden"),
        (Refusal::Csrf, 403, "csrf"),
        (
            Refusal::RateLimited(Duration::from_secs(9)),
            429,
            "rate_limited",
        ),
        (Refusal::RevocationsStale, 503, "revocations_stale"),
        (Refusal::IssuerUnreachable, 502, "issuer_unreachable"),
        (Refusal::IssuerTimeout, 504, "issuer_unreachable"),
        (Refusal::OriginUnreachable, 502, "internal"),
        (Refusal::Misconfigured("<b>".into()), 500, "internal"),
    ]
}

/// Whether it is no 401, and a challenge all the same (RFC 6750 §3.1).
const fn is_bearers(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Role(_)
            | Refusal::NotAService
            | Refusal::NotAUser
            | Refusal::Scope(_)
            | Refusal::Credential(_)
    )
}

#[test]
fn a_program_gets_a_problem() {
    for (refusal, status, code) in every() {
        for asker in [
            PROGRAM,
            Asker {
                api: true,
                ..BROWSER
            },
        ] {
            let reply = Reply::refuse(&refusal, asker);
            assert_eq!(reply.status, status, "{refusal:?}");
            assert!(
                reply.body.contains(&format!(r#""code":"{code}""#)),
                "{}",
                reply.body
            );
            assert_eq!(
                header(&reply, "Content-Type"),
                Some("application/problem+json")
            );
            assert_eq!(header(&reply, "Cache-Control"), Some("no-store"));
            assert_eq!(
                header(&reply, "WWW-Authenticate").is_some(),
                status == 401 || is_bearers(&refusal)
            );
        }
    }
}

#[test]
fn a_browser_gets_the_sign_in_page_or_a_page() {
    for (refusal, status, code) in every() {
        let reply = Reply::refuse(&refusal, BROWSER);
        assert_eq!(header(&reply, "Cache-Control"), Some("no-store"));
        if status == 401 && refusal != Refusal::ClocksDiffer {
            assert_eq!(reply.status, 303);
            let mut expected =
                "/auth/login?return_to=/app/x%3Fa%3D1%26b%3D/%25C3%25A9%2522".to_owned();
            if matches!(refusal, Refusal::SignInTooOld(_)) {
                expected.push_str("&prompt=login");
            }
            assert_eq!(header(&reply, "Location"), Some(expected.as_str()));
        } else {
            assert_eq!(reply.status, status);
            assert!(
                reply.body.contains(code) && !reply.body.contains("<b>"),
                "{}",
                reply.body
            );
            assert_eq!(header(&reply, "Location"), None);
        }
    }
    let early = Reply::refuse(&Refusal::Token(Rejection::NotYetValid), BROWSER);
    assert!(early.status == 401 && early.body.contains("clocks"));
}

#[test]
fn a_query_comes_back_as_it_was_sent() {
    for odd in (0x21_u8..=0x7e).map(char::from) {
        // Browsers send these escaped in a query (URL Standard §1.3).
        if matches!(odd, '"' | '#' | '<' | '>' | '\'') {
            continue;
        }
        let url = format!("https://site.test/app/x?q={odd}&r=%2F%zz%{odd}");
        let reply = Reply::refuse(
            &Refusal::Anonymous,
            Asker {
                url: &url,
                ..BROWSER
            },
        );
        let location = header(&reply, "Location").unwrap();
        let (_, parameter) = location.split_once("?return_to=").unwrap();
        assert_eq!(
            unescaped(parameter),
            format!("/app/x?q={odd}&r=%2F%zz%{odd}"),
            "{location}"
        );
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        if let (b'%', [high, low, behind @ ..]) = (first, behind) {
            let digits = [*high, *low];
            let digits = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = behind;
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn an_address_too_long_to_come_back_to_ends_in_a_page_that_says_so() {
    // Plain, and where nearly every octet becomes three.
    for (octet, most) in [('x', 8_000), ('=', 5_320)] {
        let of = |octets: usize| {
            let query = String::from(octet).repeat(octets - "/app/?".len());
            format!("https://site.test/app/?{query}")
        };
        let ask = |url: &str| Reply::refuse(&Refusal::Anonymous, Asker { url, ..BROWSER });
        let longest = ask(&of(most));
        assert_eq!(longest.status, 303);
        assert!(header(&longest, "Location").unwrap().len() <= MAX_WAY);
        let longer = ask(&of(8_001));
        assert_eq!((longer.status, header(&longer, "Location")), (401, None));
        assert!(
            longer.body.contains("too long") && longer.body.contains("href=\"/auth/login\""),
            "{}",
            longer.body
        );
    }
}

fn from(referer: &str, refusal: &Refusal) -> Reply {
    let asker = Asker {
        referer: Some(referer),
        ..BROWSER
    };
    Reply::refuse(refusal, asker)
}

#[test]
fn nobody_is_sent_to_the_sign_in_page_from_there() {
    for page in ["", "?return_to=/app/", "/google?x"] {
        let page = format!("https://site.test/auth/login{page}");
        let reply = from(&page, &Refusal::Anonymous);
        assert_eq!(reply.status, 401);
        assert!(
            reply.body.contains("blocks cookies")
                && reply.body.contains("/auth/login?return_to=/app/x")
        );
        let reply = from(&page, &Refusal::SignInTooOld(Duration::from_secs(5)));
        assert!(
            reply.status == 401 && reply.body.contains("clock"),
            "{reply:?}"
        );
        assert_eq!(from(&page, &Refusal::SessionEnded).status, 401);
        let program = Asker {
            referer: Some(&page),
            ..PROGRAM
        };
        assert!(
            Reply::refuse(&Refusal::Anonymous, program)
                .body
                .contains("no credential")
        );
    }
    for elsewhere in [
        "",
        "https://site.test/",
        "https://site.test/auth/logins",
        "https://site.test/auth/account",
        "https://site.test/app?x=/auth/login",
        "https://other.test/auth/login",
        "https://site.test.other.test/auth/login",
        "/auth/login",
    ] {
        assert_eq!(
            from(elsewhere, &Refusal::Anonymous).status,
            303,
            "{elsewhere}"
        );
    }
}

#[test]
fn challenges_are_those_of_the_rfcs() {
    let of = |refusal: Refusal| {
        header(&Reply::refuse(&refusal, PROGRAM), "WWW-Authenticate")
            .map(str::to_owned)
            .unwrap()
    };
    assert_eq!(of(Refusal::Anonymous), r#"Bearer realm="portcullis""#);
    assert_eq!(
        of(Refusal::Token(Rejection::Expired)),
        r#"Bearer realm="portcullis", error="invalid_token", error_description="the token has expired""#
    );
    assert!(
        of(Refusal::SignInTooOld(Duration::from_secs(300)))
            .contains(r#"error="insufficient_user_authentication", max_age="300""#)
    );
    for refusal in [
        Refusal::Role("admin".into()),
        Refusal::NotAService,
        Refusal::NotAUser,
    ] {
        assert!(of(refusal).contains(r#"error="insufficient_scope", error_description="#));
    }
    assert!(
        of(Refusal::Scope("a b".into())).contains(r#"error="insufficient_scope", scope="a b","#)
    );
}

/// RFC 9110 §15.5.2, in every form of the answer.
#[test]
fn every_401_is_a_challenge_and_nothing_else_but_a_bearers_refusal_is() {
    let from_sign_in = Asker {
        referer: Some("https://site.test/auth/login"),
        ..BROWSER
    };
    let mut pages = 0;
    for (refusal, status, _) in every() {
        for asker in [PROGRAM, BROWSER, from_sign_in] {
            let reply = Reply::refuse(&refusal, asker);
            let has_challenge = header(&reply, "WWW-Authenticate").is_some();
            assert_eq!(
                has_challenge,
                reply.status == 401 || is_bearers(&refusal),
                "{refusal:?} to {asker:?}: {reply:?}"
            );
            let is_page = reply.body.starts_with("<!doctype html>");
            pages += usize::from(is_page && status == 401);
        }
    }
    assert!(pages > 5, "{pages} pages with a 401");
}

#[test]
fn a_navigation_is_what_the_browser_calls_one() {
    let navigation = |fetch_mode, accept| {
        is_navigation(Asker {
            fetch_mode,
            accept,
            ..BROWSER
        })
    };
    assert!(navigation(Some("navigate"), None));
    assert!(!navigation(Some("cors"), Some("text/html")));
    assert!(!navigation(Some("websocket"), None));
    assert!(!navigation(None, None));
    for html in [
        "text/html",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/json;q=0.5, text/html; q=0.9",
        "TEXT/HTML;level=1",
    ] {
        assert!(navigation(None, Some(html)), "{html}");
    }
    for other in [
        "*/*",
        "application/json",
        "application/json, text/html",
        "text/html;q=0.5, application/json;q=0.9",
        "text/html;q=0",
        "text/html;q=2",
        "",
        "text/htmlx",
    ] {
        assert!(!navigation(None, Some(other)), "{other}");
    }
}

proptest! {
    #[test]
    fn nothing_breaks_out_of_a_page_or_a_location(text in "[ -~\u{e9}<>\"'&\\n\\r]{0,40}") {
        let html = page(Code::Internal, 500, &text, &text);
        prop_assert_eq!(html.matches('<').count(), page(Code::Internal, 500, "", "").matches('<').count());
        let url = format!("https://site.test/app?{text}");
        let reply = Reply::refuse(&Refusal::Anonymous, Asker { url: &url, ..BROWSER });
        let location = header(&reply, "Location").unwrap();
        prop_assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'));
        prop_assert_eq!(location.matches(['?', '&', '#']).count(), 1);
    }
}
