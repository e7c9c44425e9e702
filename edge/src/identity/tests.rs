use shared::assertion::{self, AssertionKey, Request};
use shared::cookie;
use shared::secret::RootSecret;

use super::*;
use crate::fixtures::{self, NOW};

fn lines(cookie: Option<&str>, own_authorization: bool) -> Vec<String> {
    let (_, verified) =
        fixtures::token(|claims| claims.roles = vec!["admin".into(), "user".into()]);
    let target = Target::parse("https://site.test/app/x?y=1").unwrap();
    let inbound = Inbound {
        cookies: &cookie::read(cookie.unwrap_or_default()),
        own_authorization,
    };
    let config = fixtures::config();
    let onward = Onward::to_origin(
        &config,
        "GET",
        &target,
        inbound,
        Some(Vouched {
            identity: &Identity::new(verified, &config),
            serial: fixtures::SERIAL,
            now: NOW,
        }),
    );
    onward.encode().split('\n').map(str::to_owned).collect()
}

/// The value that is set for the header `name`.
fn set<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    let mut pairs = lines.get(4..).unwrap_or_default().chunks(2);
    pairs
        .find(|pair| pair[0] == name)
        .map(|pair| pair[1].as_str())
}

#[test]
fn the_origin_learns_who_it_is_and_can_check_it() {
    let lines = lines(Some("a=1"), false);
    assert_eq!(
        lines[..2],
        ["o   ", "http://origin.internal:3000/app/x?y=1"]
    );
    assert_eq!(lines[3..].len(), 1 + 3 * 2);
    assert_eq!(lines[3], "");
    let set = |name| set(&lines, name).unwrap();
    assert_eq!(set("portcullis-user"), "AQEBAQEBAQEBAQEBAQEBAQ");
    assert_eq!(set("portcullis-session"), "AgICAgICAgICAgICAgICAg");
    assert_eq!(set("portcullis-roles"), "admin,user");
    let token = &lines[2];
    let secret = RootSecret::parse(&fixtures::setting("ORIGIN_SECRET").unwrap()).unwrap();
    let request = Request {
        method: "GET",
        site: "https://site.test",
        path_and_query: "/app/x?y=1",
    };
    let identity = assertion::verify(token, &[AssertionKey::from(&secret)], request, NOW).unwrap();
    assert_eq!(identity.roles(), ["admin", "user"]);
    assert_eq!(identity.actor(), None);
}

#[test]
fn the_origin_learns_who_acts_as_the_user() {
    let actor = shared::id::UserId::from_bytes([9; 16]);
    let (_, verified) =
        fixtures::token(|claims| claims.act = Some(shared::claims::Actor { sub: actor }));
    let config = fixtures::config();
    let identity = Identity::new(verified, &config);
    let target = Target::parse("https://site.test/app/x").unwrap();
    let inbound = Inbound {
        cookies: &cookie::read(""),
        own_authorization: false,
    };
    let vouched = Vouched {
        identity: &identity,
        serial: fixtures::SERIAL,
        now: NOW,
    };
    let onward = Onward::to_origin(&config, "GET", &target, inbound, Some(vouched));
    let text = onward.encode();
    let lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    assert_eq!(lines[3..].len(), 1 + 4 * 2);
    assert_eq!(
        set(&lines, "portcullis-actor"),
        Some("CQkJCQkJCQkJCQkJCQkJCQ")
    );
    assert_eq!(
        set(&lines, "portcullis-user"),
        Some("AQEBAQEBAQEBAQEBAQEBAQ")
    );
    let secret = RootSecret::parse(&fixtures::setting("ORIGIN_SECRET").unwrap()).unwrap();
    let request = Request {
        method: "GET",
        site: "https://site.test",
        path_and_query: "/app/x",
    };
    let said = assertion::verify(&lines[2], &[AssertionKey::from(&secret)], request, NOW).unwrap();
    assert_eq!(said.actor(), Some(actor));
}

#[test]
fn a_credential_of_ours_is_taken_off() {
    assert_eq!(lines(None, true)[3], "authorization");
    assert_eq!(lines(Some("__Host-Http-access=t"), false)[3], "cookie");
}

#[test]
fn only_the_session_cookies_are_cut() {
    let cookie = |header: &str| {
        let lines = lines(Some(header), false);
        set(&lines, "cookie")
            .or_else(|| (lines[3] != "cookie").then_some(header))
            .map(str::to_owned)
    };
    let kept =
        |header: &str, kept: Option<&str>| assert_eq!(cookie(header).as_deref(), kept, "{header}");
    kept("a=1;  b=\"2\"", Some("a=1;  b=\"2\""));
    kept(
        "a=1; __Host-Http-access=t; b==2; __Host-Http-refresh=r; c",
        Some("a=1; b==2; c"),
    );
    kept("__Host-Http-access=t", None);
    kept(
        "__Host-Http-access=t; __Host-Http-access=u; __host-http-REFRESH=r",
        None,
    );
    kept("a=1, __Host-Http-access=t", Some("a=1"));
    kept("a=1, __Host-Http-access=t; b=2", Some("a=1; b=2"));
    kept("__Host-Http-access", None);
    kept(
        "__Host-other=1; _=2; __=3",
        Some("__Host-other=1; _=2; __=3"),
    );
}

#[test]
fn the_issuer_gets_the_cookies_and_the_edges_token() {
    let target = Target::parse("https://site.test/auth/login?x").unwrap();
    let config = fixtures::config();
    let text = Onward::to_issuer(&config, &target, Some("192.0.2.7")).encode();
    let token = config.edge_token.expose();
    assert_eq!(
        text,
        format!(
            "i   \nhttp://issuer.internal:8081/auth/login?x\n\n\nportcullis-edge-token\n{token}\nportcullis-client-ip\n192.0.2.7"
        )
    );
}
