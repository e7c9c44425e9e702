//! What a refused client gets, by `Accept`, `Referer`, `Sec-Fetch-Mode` and URL.

use std::time::Duration;

use arbitrary::Arbitrary;
use edge::credential::BadCredential;
use edge::refusal::Refusal;
use edge::reply::{Asker, Reply};
use edge::target::{BadTarget, Target};
use fuzz::site::SITE;
use fuzz::{Value, text};
use shared::rejection::Rejection;

const MODES: [&str; 4] = ["navigate", "cors", "no-cors", "websocket"];
const ACCEPT: [&str; 10] = [
    "text/html",
    "*/*",
    "image/*",
    ",",
    ";q=",
    ";",
    "0.5",
    "1",
    "0",
    "q",
];
const REFERER: [&str; 6] = [SITE, "/auth/login", "/", "?", "#", ".other.test"];
const PATH: [&str; 12] = [
    "/", "app", "?", "#", "%2f", "\\", "//evil", "&", "%0d", "..", "%", "é",
];

#[derive(Arbitrary, Debug)]
pub struct Refused<'a> {
    why: u8,
    detail: &'a str,
    fetch_mode: Option<Value<'a>>,
    accept: Option<Vec<Value<'a>>>,
    referer: Option<Vec<Value<'a>>>,
    api: bool,
    path: Vec<Value<'a>>,
}

impl Refused<'_> {
    pub fn check(&self) {
        let accept = self.accept.as_ref().map(|accept| text(accept, &ACCEPT));
        let referer = self.referer.as_ref().map(|referer| text(referer, &REFERER));
        // What `fetch` of a worker is given.
        let url = format!("{SITE}/{}", text(&self.path, &PATH));
        let asker = Asker {
            fetch_mode: self.fetch_mode.map(|mode| mode.among(&MODES)),
            accept: accept.as_deref(),
            referer: referer.as_deref(),
            site: SITE,
            api: self.api,
            url: &url,
            cors: None,
        };
        let refusal = refusal(self.why, self.detail);
        check_form(&refusal, asker);
        check_reply(&refusal, asker);
    }
}

fn refusal(why: u8, detail: &str) -> Refusal {
    let age = Duration::from_secs(detail.len() as u64);
    let all = [
        Refusal::Anonymous,
        Refusal::CookiesBlocked,
        Refusal::SignInTooOld(age),
        Refusal::ClocksDiffer,
        Refusal::Token(Rejection::Expired),
        Refusal::Token(Rejection::NotYetValid),
        Refusal::Token(Rejection::BadSignature),
        Refusal::Token(Rejection::Malformed("header")),
        Refusal::Token(Rejection::Oversized { max: 4096 }),
        Refusal::SessionEnded,
        Refusal::RefreshReused,
        Refusal::ClaimsStale,
        Refusal::Role("admin, staff".into()),
        Refusal::TokenRevoked,
        Refusal::NotAService,
        Refusal::NotAUser,
        Refusal::Scope("a b".into()),
        Refusal::Credential(BadCredential::Both),
        Refusal::Credential(BadCredential::Malformed),
        Refusal::Target(BadTarget::Parameters),
        Refusal::Target(BadTarget::BadEscape),
        Refusal::Target(BadTarget::HiddenSlash),
        Refusal::Method,
        Refusal::Hidden,
        Refusal::Respelled,
        Refusal::Csrf,
        Refusal::Preflight("this origin"),
        Refusal::RevocationsStale,
        Refusal::IssuerUnreachable,
        Refusal::IssuerTimeout,
        Refusal::OriginUnreachable,
        Refusal::Misconfigured(detail.into()),
    ];
    all[usize::from(why) % all.len()].clone()
}

fn refused(refusal: &Refusal, asker: Asker<'_>) -> (Reply, bool) {
    let reply = Reply::refuse(refusal, asker);
    let is_problem = header(&reply, "Content-Type") == Some("application/problem+json");
    (reply, is_problem)
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    let mut named = reply.headers.iter().filter(|(other, _)| *other == name);
    let value = named.next().map(|(_, value)| value.as_str());
    assert_eq!(named.next(), None, "{name} twice");
    value
}

/// Programs get a problem, and people a page or the way to sign in; who says nothing of pages is a program.
fn check_form(refusal: &Refusal, asker: Asker<'_>) {
    let (_, is_problem) = refused(refusal, asker);
    let accept = asker.accept.unwrap_or_default();
    match asker.fetch_mode {
        _ if asker.api => assert!(is_problem),
        Some(mode) => assert_eq!(is_problem, mode != "navigate"),
        None => assert!(
            is_problem || accept.to_ascii_lowercase().contains("html"),
            "{accept:?}"
        ),
    }
    let accept = format!("text/html,{accept}");
    let person = Asker {
        api: false,
        fetch_mode: None,
        accept: Some(&accept),
        ..asker
    };
    assert!(!refused(refusal, person).1, "{accept:?}");
    let back = Asker {
        referer: Some("https://site.test/auth/login?return_to=/"),
        ..person
    };
    assert_ne!(
        refused(refusal, back).0.status,
        303,
        "from the sign-in page to the sign-in page"
    );
}

/// Every answer is kept by nobody, stays within the site, and says the same in each form.
fn check_reply(refusal: &Refusal, asker: Asker<'_>) {
    let (reply, is_problem) = refused(refusal, asker);
    let (problem, _) = refused(refusal, Asker { api: true, ..asker });
    assert_eq!(header(&reply, "Cache-Control"), Some("no-store"));
    for (name, value) in &reply.headers {
        assert!(
            value
                .bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_graphic()),
            "{name}: {value:?}"
        );
    }
    let challenge = header(&reply, "WWW-Authenticate").unwrap_or_default();
    assert!(
        challenge.matches('"').count().is_multiple_of(2) && !challenge.contains('\\'),
        "{challenge}"
    );
    if let Some(location) = header(&reply, "Location") {
        assert_eq!((reply.status, problem.status), (303, 401));
        assert!(reply.body.is_empty());
        return check_sign_in(location, asker.url);
    }
    assert!(reply.status >= 400 && reply.status == problem.status);
    assert_eq!(header(&reply, "X-Content-Type-Options"), Some("nosniff"));
    if is_problem {
        let said: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(said["status"], reply.status);
        assert!(said["code"].is_string());
    } else {
        check_page(&reply, asker.url);
    }
}

fn check_page(reply: &Reply, url: &str) {
    assert_eq!(
        header(reply, "Content-Type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        header(reply, "Content-Security-Policy")
            .is_some_and(|policy| policy.contains("default-src 'none'"))
    );
    let plain = Asker {
        fetch_mode: Some("navigate"),
        site: SITE,
        url: SITE,
        ..Asker::default()
    };
    let (plain, _) = refused(&Refusal::Hidden, plain);
    for mark in ['<', '>', '"'] {
        assert_eq!(
            reply.body.matches(mark).count(),
            plain.body.matches(mark).count(),
            "{}",
            reply.body
        );
    }
    let link = reply
        .body
        .split('"')
        .find(|part| part.starts_with("/auth/login"));
    check_sign_in(link.unwrap(), url);
}

/// The sign-in page, from which it goes back to the very path that was asked for, or to the front page.
fn check_sign_in(location: &str, url: &str) {
    let query = location.strip_prefix("/auth/login?return_to=").unwrap();
    let (back, rest) = query.split_once('&').unwrap_or((query, "prompt=login"));
    assert_eq!(rest, "prompt=login");
    assert!(
        back.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte)),
        "{back}"
    );
    let back = unescaped(back);
    let target = Target::parse(url);
    assert_eq!(
        back,
        target.as_ref().map_or("/".into(), Target::path_and_query)
    );
    assert!(
        back.starts_with('/') && !back.starts_with("//") && !back.starts_with("/\\"),
        "{back}"
    );
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}
