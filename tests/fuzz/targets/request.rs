//! A request: whatever its method, URL and headers are, it is refused or goes on with a path that reads the same the second
//! time. It is a user's only by a good token, and then says so once; no token and no session cookie goes on with it.
#![no_main]

use std::ops::Deref;
use std::time::Duration;

use arbitrary::Arbitrary;
use edge::gate::{self, Asked, Known, Pass, Reason, Stop};
use edge::identity::{Keeping, Upstream};
use edge::policy::Route;
use edge::preflight::is_preflight;
use edge::rule::cors::Cors;
use edge::rule::{Access, Rule, WhenStale};
use edge::target::Target;
use edge::token_cache::TokenCache;
use edge::verdict::Patience;
use fuzz::site::{CONFIG, KEYS, NOW, PLACES, SITE, TOKENS, Token, VIEW};
use fuzz::{Value, is_header_value, pick, respelled};
use libfuzzer_sys::fuzz_target;
use shared::assertion::{self, Identity, Serial};
use shared::cookie::{self, Found};
use shared::time::UnixMillis;
use shared::wire::header;

const CLIENT: &str = "192.0.2.7";

#[derive(Arbitrary, Debug)]
struct Raw<'a> {
    method: Value<'a>,
    place: u8,
    /// Each, and whether it stands behind a comma: so two headers arrive as one.
    cookies: Vec<(Cookie<'a>, bool)>,
    authorization: Option<Authorization<'a>>,
    fetch_site: Option<Value<'a>>,
    origin: Option<Value<'a>>,
    wanted_method: Option<Value<'a>>,
    upgrade: bool,
    renewed: Option<Token>,
    millis: u32,
    has_view: bool,
    can_ask: bool,
    path: &'a str,
}

#[derive(Arbitrary, Debug)]
enum Cookie<'a> {
    Access(Token),
    Refresh(Token),
    Respelled {
        refresh: bool,
        capitals: u32,
        token: Token,
    },
    Other(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Authorization<'a> {
    Bearer { scheme: u8, token: Token },
    Behind(&'a str, Token),
    Before(Token, &'a str),
    Other(&'a str),
}

/// What a request says, and the header that its cookies were read in.
#[derive(Clone, Copy)]
struct Came<'a> {
    asked: Asked<'a>,
    cookie: Option<&'a str>,
}

impl<'a> Deref for Came<'a> {
    type Target = Asked<'a>;

    fn deref(&self) -> &Asked<'a> {
        &self.asked
    }
}

fuzz_target!(|raw: Raw<'_>| {
    let cookie = raw.cookie();
    let cookies = cookie::read(cookie.as_deref().unwrap_or_default());
    let authorization = raw.authorization();
    let url = format!("{SITE}{}{}", pick(&PLACES, raw.place), raw.path);
    let asked = Asked {
        method: raw
            .method
            .among(&["GET", "HEAD", "POST", "OPTIONS", "TRACE"]),
        url: &url,
        cookies: &cookies,
        authorization: authorization.as_deref(),
        fetch_site: raw
            .fetch_site
            .map(|site| site.among(&["same-origin", "none", "same-site", "cross-site"])),
        origin: raw
            .origin
            .map(|origin| origin.among(&[SITE, "null", "https://other.test"])),
        upgrade: raw.upgrade,
        wanted_method: raw.wanted_method.map(|method| method.among(&["PUT"])),
        client_ip: Some(CLIENT),
        renewed: raw.renewed.map(Token::text),
        now: UnixMillis::from(NOW).plus(Duration::from_millis(u64::from(raw.millis % 1_000_000))),
    };
    let came = Came {
        asked,
        cookie: cookie.as_deref(),
    };
    let values = [
        came.cookie,
        asked.authorization,
        asked.fetch_site,
        asked.origin,
    ];
    if !values.into_iter().flatten().all(is_header_value) {
        return;
    }
    let known = Known {
        config: &CONFIG,
        keys: Some(&KEYS),
        view: raw.has_view.then_some(&*VIEW),
        kv_asked_at: None,
        patience: if raw.can_ask {
            Patience::CanAsk
        } else {
            Patience::MustDecide
        },
        serial: Serial {
            maker: [5; 16],
            number: 1,
        },
    };
    match gate::pass(asked, known, &mut TokenCache::default()) {
        Err(stop) => check_stop(came, known, &stop),
        Ok(pass) => check_pass(came, known, &pass),
    }
});

impl Raw<'_> {
    fn cookie(&self) -> Option<String> {
        let mut header = String::new();
        for (cookie, behind_comma) in &self.cookies {
            if !header.is_empty() {
                header.push_str(if *behind_comma { "," } else { "; " });
            }
            header.push_str(&cookie.written());
        }
        (!self.cookies.is_empty()).then_some(header)
    }

    fn authorization(&self) -> Option<String> {
        let schemes = ["Bearer ", "bearer\t", " BEARER  ", "Basic eDp5, Bearer "];
        self.authorization.as_ref().map(|header| match header {
            Authorization::Bearer { scheme, token } => {
                format!("{}{}", pick(&schemes, *scheme), token.text())
            }
            Authorization::Behind(before, token) => format!("{before}, Bearer {}", token.text()),
            Authorization::Before(token, behind) => format!("Bearer {}, {behind}", token.text()),
            Authorization::Other(text) => (*text).to_owned(),
        })
    }
}

impl Cookie<'_> {
    fn written(&self) -> String {
        match self {
            Self::Access(token) => format!("{}={}", cookie::ACCESS, token.text()),
            Self::Refresh(token) => format!("{}={}", cookie::REFRESH, token.text()),
            Self::Respelled {
                refresh,
                capitals,
                token,
            } => {
                let name = if *refresh {
                    cookie::REFRESH
                } else {
                    cookie::ACCESS
                };
                format!("{} = {}", respelled(name, *capitals), token.text())
            }
            Self::Other(text) => (*text).to_owned(),
        }
    }
}

/// What is public is never refused, and an administrator's cookie alone opens everything.
fn check_stop(came: Came<'_>, known: Known<'_>, stop: &Stop) {
    assert_ne!(stop.reason, Reason::LacksKeys);
    let Ok(target) = Target::parse(came.url) else {
        return;
    };
    if matches!(came.method, "CONNECT" | "TRACE" | "TRACK") {
        return;
    }
    match CONFIG.policy.classify(came.method, target.path()) {
        Route::Issuer => panic!("the issuer guards itself: {stop:?}"),
        Route::Origin(rule) => {
            assert!(!is_open(came, rule), "{stop:?}");
            assert!(!is_plainly_good(came, known), "{stop:?}");
        }
        Route::Hidden | Route::Respelled => {}
    }
}

fn is_plainly_good(came: Came<'_>, known: Known<'_>) -> bool {
    let cookie = Cookie::Access(Token::Admin).written();
    let is_fresh = known
        .view
        .is_some_and(|view| view.age(came.now) <= Duration::from_secs(2));
    let is_alone = came.authorization.is_none() && came.renewed.is_none() && !came.upgrade;
    came.method == "GET" && came.cookie == Some(&cookie) && is_alone && is_fresh
}

/// Whether nobody is asked who they are.
fn is_open(came: Came<'_>, rule: &Rule) -> bool {
    rule.access == Access::Public
        || (rule.cors == Cors::ByOrigin
            && is_preflight(came.method, came.wanted_method, came.origin))
}

fn check_pass(came: Came<'_>, known: Known<'_>, pass: &Pass<'_>) {
    let target = Target::parse(came.url).unwrap();
    let text = pass.onward.encode();
    let lines: Vec<&str> = text.split('\n').collect();
    let (url, assertion, dropped) = (lines[1], lines[2], lines[3]);
    let again = Target::parse(url).unwrap();
    assert_eq!(target.path(), again.path(), "{:?} -> {url:?}", came.url);
    assert_eq!(target.path_and_query(), again.path_and_query());
    let (pairs, []) = lines[4..].as_chunks() else {
        panic!("a name without a value in {text:?}")
    };
    let mut set: Vec<(&str, &str)> = pairs.iter().map(|&[name, value]| (name, value)).collect();
    if !assertion.is_empty() {
        set.push((header::ASSERTION, assertion));
    }
    match CONFIG.policy.classify(came.method, target.path()) {
        Route::Issuer => {
            assert_eq!((pass.onward.upstream, dropped), (Upstream::Issuer, ""));
            assert_eq!(
                set,
                [
                    (header::EDGE_TOKEN, CONFIG.edge_token.expose()),
                    (header::CLIENT_IP, CLIENT)
                ]
            );
        }
        Route::Origin(rule) => {
            assert_eq!(pass.onward.upstream, Upstream::Origin);
            assert_eq!(
                url,
                format!("{}{}", CONFIG.origin.as_str(), target.path_and_query())
            );
            assert_nothing_of_ours(&sent(came, dropped, &set));
            check_user(came, known, rule, pass, &set);
        }
        refused @ (Route::Hidden | Route::Respelled) => panic!("{refused:?} passed"),
    }
}

/// The headers as `send` in edge/entry/onward.js sends them on.
fn sent<'a>(came: Came<'a>, dropped: &str, set: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let credentials = [
        ("cookie", came.cookie),
        ("authorization", came.authorization),
    ];
    let is_left = |name: &str| {
        !dropped.split(',').any(|other| other == name)
            && set.iter().all(|(other, _)| *other != name)
    };
    let left = credentials
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    left.filter(|(name, _)| is_left(name))
        .chain(set.iter().copied())
        .collect()
}

fn assert_nothing_of_ours(headers: &[(&str, &str)]) {
    for (name, value) in headers {
        // A token that names another issuer is somebody else's.
        let mut ours = TOKENS.iter().filter(|token| **token != Token::OtherSite);
        assert!(
            !ours.any(|token| value.contains(token.text())),
            "{name}: {value}"
        );
        if *name == "cookie" {
            assert!(!value.split([';', ',']).any(is_session), "{value:?}");
        }
    }
}

fn is_session(cookie: &str) -> bool {
    let name = cookie.split('=').next().unwrap_or_default().trim();
    [cookie::ACCESS, cookie::REFRESH]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
}

/// A guarded request says once whose it is, and any other never.
fn check_user(
    came: Came<'_>,
    known: Known<'_>,
    rule: &Rule,
    pass: &Pass<'_>,
    set: &[(&str, &str)],
) {
    let mut names: Vec<&str> = set
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != "cookie")
        .collect();
    names.sort_unstable();
    assert_eq!(
        pass.onward.keeping == Keeping::AsSaid,
        rule.access == Access::Public
    );
    if is_open(came, rule) {
        assert!(
            names.is_empty() && !pass.stale,
            "nobody is signed in: {names:?}"
        );
        return;
    }
    assert_eq!(
        names,
        [
            header::ASSERTION,
            header::ROLES,
            header::SESSION,
            header::USER
        ]
    );
    let value = |name: &str| set.iter().find(|(other, _)| *other == name).unwrap().1;
    let user = asserted(came, value(header::ASSERTION));
    assert_eq!(value(header::USER), user.user().to_string());
    assert_eq!(value(header::SESSION), user.session().to_string());
    assert_eq!(value(header::ROLES), user.roles().join(","));
    check_token(came, known, &user);
    check_provenance(came);
    check_rule(came, known, rule, pass, &user);
}

fn asserted(came: Came<'_>, assertion: &str) -> Identity {
    let target = Target::parse(came.url).unwrap();
    let request = assertion::Request {
        method: came.method,
        site: CONFIG.public.as_str(),
        path_and_query: &target.path_and_query(),
    };
    let keys = std::slice::from_ref(&CONFIG.assertion_key.0);
    assertion::verify(assertion, keys, request, came.now.to_secs()).unwrap()
}

/// The token is good as far as is known, its time is not over, and it came with the request.
fn check_token(came: Came<'_>, known: Known<'_>, user: &Identity) {
    let token = Token::of(user.session()).unwrap();
    let is_good = token.is_good() || (token == Token::Ended && known.view.is_none());
    assert!(
        is_good && came.now.to_secs() < NOW.plus(Duration::from_secs(840)),
        "{token:?}"
    );
    let in_cookie = came
        .cookie
        .map(|header| cookie::find(header, cookie::ACCESS));
    let in_bearer = came
        .authorization
        .is_some_and(|header| header.contains(token.text()));
    match came.renewed {
        Some(renewed) => assert_eq!(renewed, token.text()),
        None => assert!(
            in_bearer || in_cookie == Some(Found::One(token.text())),
            "{token:?}"
        ),
    }
}

/// Where cookies prove it, and it can change something, it was made here.
fn check_provenance(came: Came<'_>) {
    let is_safe = matches!(came.method, "GET" | "HEAD" | "OPTIONS") && !came.upgrade;
    let is_session = |name| {
        came.cookie.is_some_and(
            |header| matches!(cookie::find(header, name), Found::One(value) if !value.is_empty()),
        )
    };
    if is_safe || !(is_session(cookie::ACCESS) || is_session(cookie::REFRESH)) {
        return;
    }
    match (came.fetch_site, came.origin) {
        (Some(said), _) => assert!(["same-origin", "none"].contains(&said), "{said}"),
        (None, Some(origin)) => assert_eq!(origin, SITE),
        (None, None) => assert!(came.upgrade),
    }
}

/// What the rule asks for is there: roles, a sign-in of late, knowledge of late.
fn check_rule(came: Came<'_>, known: Known<'_>, rule: &Rule, pass: &Pass<'_>, user: &Identity) {
    assert!(rule.roles.is_empty() || rule.roles.iter().any(|role| user.roles().contains(role)));
    let signed_in = came.now.to_secs().since(user.auth_time());
    assert!(rule.max_auth_age.is_none_or(|most| signed_in <= most));
    let is_fresh = known
        .view
        .is_some_and(|view| view.age(came.now) <= rule.freshness);
    assert_eq!(pass.stale, !is_fresh);
    assert!(
        is_fresh || (rule.when_stale == WhenStale::Serve && known.patience == Patience::MustDecide)
    );
}
