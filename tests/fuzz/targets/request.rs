//! A guarded request: whatever its method, URL and headers are, it is refused or goes on with a path that reads the same
//! the second time, and with no session cookie and no header line that it made up.
#![no_main]

use std::sync::LazyLock;

use edge::config::Config;
use edge::gate::{self, Asked, Known};
use edge::target::Target;
use edge::token_cache::TokenCache;
use edge::verdict::Patience;
use libfuzzer_sys::{arbitrary, fuzz_target};
use shared::time::UnixMillis;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let setting = |name: &str| {
        let value = match name {
            "PUBLIC_URL" => "https://site.test",
            "ISSUER_URL" => "http://issuer.internal:8081",
            "ORIGIN_URL" => "http://origin.internal:3000",
            "EDGE_SECRET" => "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p",
            "ORIGIN_SECRET" => "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J",
            "ROUTES" => r#"[{"path":"/open/*","access":"public"},{"path":"/admin/*","access":"user","roles":["admin"]}]"#,
            _ => return None,
        };
        Some(value.to_owned())
    };
    Config::parse(setting).unwrap()
});

#[derive(arbitrary::Arbitrary, Debug)]
struct Raw<'a> {
    method: &'a str,
    path: &'a str,
    upgrade: bool,
    wanted_method: Option<&'a str>,
    cookie: Option<&'a str>,
    authorization: Option<&'a str>,
    origin: Option<&'a str>,
    is_open: bool,
}

fuzz_target!(|raw: Raw<'_>| {
    // What a parsed HTTP request can hold: no line breaks in values.
    let values = [raw.cookie, raw.authorization, raw.origin];
    if values.into_iter().flatten().any(|value| value.contains(['\n', '\r', '\0'])) {
        return;
    }
    let url = format!("https://site.test{}{}", if raw.is_open { "/open/" } else { "/" }, raw.path);
    let asked = Asked {
        method: raw.method,
        url: &url,
        cookie: raw.cookie,
        authorization: raw.authorization,
        fetch_site: None,
        origin: raw.origin,
        upgrade: raw.upgrade,
        wanted_method: raw.wanted_method,
        client_ip: None,
        renewed: None,
        now: UnixMillis::from_millis(0),
    };
    let known = Known {
        config: &CONFIG,
        keys: None,
        view: None,
        kv_asked_at: None,
        patience: Patience::MustDecide,
    };
    let Ok(pass) = gate::pass(asked, known, &mut TokenCache::default()) else { return };
    let text = pass.onward.encode();
    let sent = text.lines().nth(1).unwrap();
    let (first, again) = (Target::parse(&url).unwrap(), Target::parse(sent).unwrap());
    assert_eq!(first.path(), again.path(), "{url:?} -> {sent:?}");
    assert_eq!(first.path_and_query(), again.path_and_query());
    for line in text.lines().skip(3) {
        if let Some(cookies) = line.strip_prefix("cookie:") {
            assert!(!cookies.split([';', ',']).any(is_ours), "{line:?}");
        }
        assert!(!line.starts_with("portcullis-user:"), "nobody is signed in");
    }
});

fn is_ours(cookie: &str) -> bool {
    let name = cookie.split('=').next().unwrap_or_default().trim();
    ["__Host-Http-access", "__Host-Http-refresh"].iter().any(|ours| name.eq_ignore_ascii_case(ours))
}
