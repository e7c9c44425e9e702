//! Headers, each by itself: two credentials are none, no shared cache keeps what is a user's, a refusal leads nowhere but to
//! our own sign-in page, and what a browser or a proxy says is believed as it says it.
#![no_main]

mod caching;
mod credentials;
mod refusals;

use std::net::SocketAddr;

use arbitrary::Arbitrary;
use edge::client_ip::{from_header, from_peer};
use edge::csrf::{self, Provenance};
use fuzz::site::SITE;
use fuzz::{Value, text};
use libfuzzer_sys::fuzz_target;

const METHODS: [&str; 5] = ["GET", "HEAD", "OPTIONS", "POST", "get"];
const SITES: [&str; 5] = ["same-origin", "none", "same-site", "cross-site", "None"];
const ORIGINS: [&str; 4] = [
    SITE,
    "null",
    "http://site.test",
    "https://site.test.evil.test",
];
const ADDRESS: [&str; 10] = [
    "192.0.2.7",
    "2001:db8::1",
    "::",
    ":",
    ".",
    "1",
    ",",
    " ",
    "[",
    "%",
];

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Credentials(credentials::Headers<'a>),
    Caching(caching::Answer<'a>),
    Refused(refusals::Refused<'a>),
    Provenance(Said<'a>),
    Address(Vec<Value<'a>>),
}

/// What a browser says of where a request comes from.
#[derive(Arbitrary, Debug)]
struct Said<'a> {
    method: Value<'a>,
    fetch_site: Option<Value<'a>>,
    origin: Option<Value<'a>>,
    upgrade: bool,
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Credentials(headers) => headers.check(),
        Input::Caching(answer) => answer.check(),
        Input::Refused(refused) => refused.check(),
        Input::Provenance(said) => said.check(),
        Input::Address(value) => check_address(&text(&value, &ADDRESS)),
    }
});

impl Said<'_> {
    fn check(&self) {
        let method = self.method.among(&METHODS);
        let from = Provenance {
            fetch_site: self.fetch_site.map(|site| site.among(&SITES)),
            origin: self.origin.map(|origin| origin.among(&ORIGINS)),
            upgrade: self.upgrade,
        };
        check_provenance(method, from);
    }
}

/// What can change something was made here, as far as the browser says; and a handshake is believed no sooner than a plain
/// request.
fn check_provenance(method: &str, from: Provenance<'_>) {
    let is_own = |upgrade| csrf::is_own(method, Provenance { upgrade, ..from }, SITE);
    assert!(is_own(false) || !is_own(true));
    let is_safe = ["GET", "HEAD", "OPTIONS", "TRACE"].contains(&method);
    if is_safe {
        assert!(is_own(false));
    }
    if is_own(from.upgrade) && (from.upgrade || !is_safe) {
        match (from.fetch_site, from.origin) {
            (Some(site), _) => assert!(site == "same-origin" || site == "none", "{site}"),
            (None, Some(origin)) => assert_eq!(origin, SITE),
            (None, None) => assert!(is_safe),
        }
    }
}

/// An address stands alone, and reads the same when it is written again.
fn check_address(value: &str) {
    for list in [
        format!("{value}, 192.0.2.7"),
        format!("192.0.2.7,{value}"),
        format!("{value}:80 "),
    ] {
        assert!(
            from_header(&list).is_none_or(|ip| ip.is_ipv6() && !list.contains(',')),
            "{list:?}"
        );
    }
    let Some(ip) = from_header(value) else { return };
    let plain = value.trim();
    assert!(
        plain
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || b".:".contains(&byte)),
        "{value:?}"
    );
    assert_eq!(from_header(&ip.to_string()), Some(ip));
    assert_eq!(from_peer(plain), Some(ip));
    assert_eq!(from_peer(&SocketAddr::new(ip, 80).to_string()), Some(ip));
}
