//! A corpus of request targets, written byte by byte: the path that is checked is the path that is sent.

use anyhow::{Context as _, Result, ensure};
use harness::raw::Recorder;
use harness::system::{ADA, BOB, Client, System};
use serde_json::json;
use shared::assertion::{self, AssertionKey, Request};
use shared::secret::RootSecret;

use crate::wire::Site;

const ORIGIN_SECRET: &str = "tT9wXc4mQz7kLp2vNb6yRf3sHd8gJa5e";

/// Refused for everybody, with 400 or 404.
const REFUSED: &[&str] = &[
    // Dot segments.
    "/app/../admin/x",
    "/app/..",
    "/app/.",
    "/./app/x",
    "/..",
    "/.",
    "/app/./x",
    "/open/../../admin/x",
    "/app/%2e%2e/admin/x",
    "/app/%2E%2e/admin/x",
    "/app/.%2e/admin/x",
    "/app/%2e./admin/x",
    "/%2e/admin/x",
    "/open/x/..",
    "/open/%2e%2e%2fadmin/x",
    "/app/..?q=1",
    // Encoded slashes and backslashes.
    "/app/..%2fadmin/x",
    "/app/..%2Fadmin/x",
    "/admin%2fx",
    "/admin%2Fx",
    "/%2fadmin/x",
    "%2fadmin/x",
    "/app%5c..%5cadmin/x",
    "/app/..%5Cadmin/x",
    "/app\\..\\admin\\x",
    "\\admin\\x",
    "/\\admin/x",
    "/open\\x",
    "/admin%5cx",
    // Empty segments.
    "//",
    "//admin/x",
    "///admin/x",
    "/app//x",
    "//app/x",
    "/app/x//",
    "//evil.example/admin/x",
    "/open//admin/x",
    "//evil.example/%2e%2e",
    // Path parameters.
    "/admin;x",
    "/admin;/x",
    "/admin/x;y=1",
    "/;/admin/x",
    "/app/..;/admin/x",
    "/app;jsessionid=1/x",
    "/admin%3bx",
    "/admin%3Bx=y/x",
    "/open/x;",
    // NUL and other control characters.
    "/admin%00",
    "/admin/%00",
    "/app/x%00.html",
    "/admin%0a",
    "/admin%0d%0aX:%20y",
    "/app/%09",
    "/app/%7f",
    "/app/%1b",
    "/open/%0d%0a%0d%0aGET%20/admin/x%20HTTP/1.1",
    // Overlong and broken UTF-8.
    "/%c0%ae%c0%ae/admin/x",
    "/app/%c0%af..%c0%afadmin/x",
    "/app/%e0%80%af/x",
    "/app/%f0%80%80%af/x",
    "/app/%c1%9c/x",
    "/app/%ff",
    "/app/%c3",
    "/app/%ed%a0%80",
    "/app/%f4%90%80%80",
    // Escapes that hide an escape, or are none.
    "/app/%252e%252e/admin/x",
    "/app/%252e%252e%252fadmin/x",
    "/admin%252fx",
    "/%2561dmin/x",
    "/app/%25%32%65",
    "/app/%2%35",
    "/%25252e/x",
    "/app/%",
    "/app/%2",
    "/app/%zz",
    "/app/%u002e%u002e/admin",
    "/app/%%32%65",
    "/app/% 2e",
    // Capitals: not this site's paths, whatever an origin makes of them.
    "/ADMIN",
    "/Admin/x",
    "/aDmIn/x",
    "/APP/x",
    "/%41dmin/x",
    "/OPEN/x",
    "/AUTH/login",
    "/Auth/Login",
    "/Edge/revocations",
    // Paths between edge and issuer.
    "/edge/revocations?after=0",
    "/%65dge/revocations",
    "/edge",
];

/// What goes on for whom it may concern, and as what it must arrive.
const PASSED: &[(Who, &str, &str)] = &[
    (Who::All, "/", "/"),
    (Who::All, "/?", "/?"),
    (Who::All, "/open/x", "/open/x"),
    (Who::All, "/open", "/open"),
    (Who::All, "/%6fpen/x", "/open/x"),
    (Who::All, "/open/x?../admin", "/open/x?../admin"),
    (
        Who::All,
        "/open/?url=//evil/..%2f",
        "/open/?url=//evil/..%2f",
    ),
    (Who::All, "/open/%E2%80%A6", "/open/%E2%80%A6"),
    (Who::Users, "/app/x", "/app/x"),
    (Who::Users, "/app", "/app"),
    (Who::Users, "/appendix", "/appendix"),
    (Who::Users, "/opening", "/opening"),
    (Who::Users, "/administrator", "/administrator"),
    (Who::Admins, "/admin.html", "/admin.html"),
    (Who::Users, "/admin%20/x", "/admin%20/x"),
    (Who::Users, "/admin%2e/x", "/admin./x"),
    (Who::Admins, "/admin%2ejson", "/admin.json"),
    (Who::Users, "/app/...", "/app/..."),
    (Who::Users, "/app/..x/y", "/app/..x/y"),
    (Who::Users, "/app/.hidden", "/app/.hidden"),
    (Who::Users, "/app/a%20b", "/app/a%20b"),
    (Who::Users, "/app/a+b", "/app/a+b"),
    (Who::Users, "/app/%7euser", "/app/~user"),
    (Who::Users, "/app/%e2%82%ac", "/app/%E2%82%AC"),
    (Who::Users, "/app/100%25", "/app/100%25"),
    (Who::Users, "/app/a%3fb", "/app/a%3Fb"),
    (Who::Users, "/app/a%23b", "/app/a%23b"),
    (Who::Users, "/app/a:b@c,d=e&f", "/app/a:b@c,d=e&f"),
    (Who::Users, "/app/[x]", "/app/%5Bx%5D"),
    (Who::Users, "/app/x|y", "/app/x%7Cy"),
    (Who::Users, "/app/\"x\"", "/app/%22x%22"),
    (Who::Users, "/app/x?a=%00%zz%2e", "/app/x?a=%00%zz%2e"),
    (Who::Users, "/app/x?a;b\\c//d", "/app/x?a;b\\c//d"),
    (Who::Users, "/app/x??/../admin", "/app/x??/../admin"),
    (Who::Users, "/app/x?a='|{}", "/app/x?a=%27|{}"),
    (Who::Users, "/app/x#/../../admin/x", "/app/x"),
    (Who::Users, "/app?/admin/x", "/app?/admin/x"),
    (Who::Users, "/*", "/*"),
    (Who::Admins, "/admin", "/admin"),
    (Who::Admins, "/admin/", "/admin/"),
    (Who::Admins, "/admin/x", "/admin/x"),
    (Who::Admins, "/%61dmin/x", "/admin/x"),
    (Who::Admins, "/%61%64%6d%69%6e", "/admin"),
    (Who::Admins, "/admin?x=/app/", "/admin?x=/app/"),
    (Who::Admins, "/admin#/app", "/admin"),
    (Who::Admins, "/admin/%2e%2e%2e", "/admin/..."),
    (Who::Admins, "/admin/a%20b", "/admin/a%20b"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    All,
    Users,
    Admins,
}

struct Visitors {
    stranger: Client,
    bob: Client,
    ada: Client,
}

async fn site() -> Result<(Site, Visitors)> {
    let origin = Recorder::start().await?;
    let routes = json!([
        {"path": "/", "access": "public"},
        {"path": "/open/*", "access": "public"},
        {"path": "/app/*", "access": "user"},
        {"path": "/admin/*", "access": "user", "roles": ["admin"]},
    ]);
    let system = System::builder()
        .edge_setting("ORIGIN_URL", &origin.url())
        .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
        .routes(routes)
        .start()
        .await?;
    let visitors = Visitors {
        stranger: system.client()?,
        bob: system.login(&BOB).await?,
        ada: system.login(&ADA).await?,
    };
    Ok((Site { system, origin }, visitors))
}

/// As what `target` reaches the origin, if it does; a refusal has a status of 4xx.
async fn reach(site: &Site, client: &Client, target: &str) -> Result<Option<String>> {
    let outcome = site.get(target, client, b"").await?;
    let Some(recorded) = outcome.reached else {
        ensure!(
            outcome.answer.is_refusal(),
            "{target:?} was answered {}",
            outcome.answer.text()
        );
        return Ok(None);
    };
    if let [assertion] = &recorded.values("portcullis-assertion")[..] {
        let keys = [AssertionKey::from(&RootSecret::parse(ORIGIN_SECRET)?)];
        let request = Request {
            method: "GET",
            site: site.system.public_url(),
            path_and_query: &recorded.target(),
        };
        let verified = assertion::verify(
            assertion,
            &keys,
            request,
            site.system.clock().now().to_secs(),
        );
        verified.with_context(|| format!("{target:?} arrived as {:?}", recorded.target()))?;
    }
    Ok(Some(recorded.target()))
}

/// Who reaches the origin with `target`, and as what.
async fn route_class(
    site: &Site,
    visitors: &Visitors,
    target: &str,
) -> Result<Option<(Who, String)>> {
    let by = [
        (Who::All, reach(site, &visitors.stranger, target).await?),
        (Who::Users, reach(site, &visitors.bob, target).await?),
        (Who::Admins, reach(site, &visitors.ada, target).await?),
    ];
    let seen: Vec<&String> = by.iter().filter_map(|(_, sent)| sent.as_ref()).collect();
    ensure!(
        seen.windows(2).all(|pair| pair[0] == pair[1]),
        "{target:?} arrives in several ways: {seen:?}"
    );
    let first = by.iter().position(|(_, sent)| sent.is_some());
    if let Some(first) = first {
        ensure!(
            by[first..].iter().all(|(_, sent)| sent.is_some()),
            "{target:?}: {by:?}"
        );
    }
    Ok(by.into_iter().find_map(|(who, sent)| Some((who, sent?))))
}

/// Whether the most obliging of origins could read `sent` as a path below `/admin` or as one of Portcullis's own:
/// it decodes as often as it can, takes `\` for `/`, cuts parameters, merges slashes, resolves dots, ignores case, and
/// stops at NUL.
fn could_be_closed(sent: &str) -> bool {
    let mut path = sent.split(['?', '#']).next().unwrap_or_default().to_owned();
    for _ in 0..4 {
        path = decoded(&path);
    }
    let path = path.replace('\\', "/").to_lowercase();
    let path = path.split('\0').next().unwrap_or_default();
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            plain => segments.push(plain),
        }
    }
    matches!(
        segments.first(),
        Some(&("admin" | "edge" | "auth" | "oauth"))
    )
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[tokio::test]
async fn every_way_to_write_a_path_has_its_stated_answer() -> Result<()> {
    ensure!(REFUSED.len() + PASSED.len() >= 100);
    let (site, visitors) = site().await?;
    let mut wrong = Vec::new();
    for target in REFUSED {
        let class = route_class(&site, &visitors, target).await?;
        if class.is_some() {
            wrong.push(format!("{target:?} must be refused, but: {class:?}"));
        }
    }
    for (who, target, sent) in PASSED {
        let class = route_class(&site, &visitors, target).await?;
        if class != Some((*who, (*sent).to_owned())) {
            wrong.push(format!(
                "{target:?} must arrive as {sent:?} from {who:?}, but: {class:?}"
            ));
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[tokio::test]
async fn what_the_origin_sees_is_what_was_checked() -> Result<()> {
    let (site, visitors) = site().await?;
    let (mut passed, mut refused) = (0, 0);
    let all = REFUSED
        .iter()
        .chain(PASSED.iter().map(|(_, target, _)| target));
    for target in all.copied().chain(ODDITIES.iter().copied()) {
        let Some((who, sent)) = route_class(&site, &visitors, target).await? else {
            refused += 1;
            continue;
        };
        passed += 1;
        let again = route_class(&site, &visitors, &sent).await?;
        assert_eq!(
            again,
            Some((who, sent.clone())),
            "{target:?} arrived as {sent:?}"
        );
        ensure!(
            who == Who::Admins || !could_be_closed(&sent),
            "{target:?} arrives as {sent:?} from {who:?}"
        );
    }
    println!("{passed} passed, {refused} refused, 0 disagreements");
    Ok(())
}

/// Targets whose answer the HTTP server under the worker has a say in: only that nobody is deceived counts.
const ODDITIES: &[&str] = &[
    "*",
    "admin/x",
    "app/../admin/x",
    "?/../admin/x",
    "#/admin/x",
    "http://evil.example/admin/x",
    "http://evil.example/app/../admin/x",
    "http://localhost/admin/x",
    "HTTP://LOCALHOST/app/x",
    "http:///admin/x",
    "http:/admin/x",
    "http://user:pass@localhost/admin/x",
    "http://localhost\\@evil.example/admin/x",
    "http://evil.example",
    "http://evil.example?/app/../admin",
    "https://localhost/app/x",
    "file:///admin/x",
    "javascript:/admin/x",
    "localhost:80/admin/x",
    "/app/\u{0}/x",
    "/app/\u{1}x",
    "/app/x\u{7f}",
    "/app/é",
    "/app/\u{ff0e}\u{ff0e}\u{ff0f}admin/x",
    "/\u{ff41}dmin/x",
    "/app/\u{202e}x",
    "/app/x y",
    "/admin/x HTTP/1.1\u{b}",
    "/app/x\t/../admin/x",
    "\t/admin/x",
    " /admin/x",
    "/app/x?\u{0}",
    "/app/x?q=é",
    "/app/x?<\">",
    "/app/x?q= HTTP/1.0",
];

#[tokio::test]
async fn bytes_that_are_no_text_deceive_nobody() -> Result<()> {
    let (site, visitors) = site().await?;
    for byte in [
        0x80_u8, 0x85, 0xa0, 0xad, 0xc0, 0xc1, 0xe0, 0xf8, 0xfe, 0xff,
    ] {
        for path in [&b"/app/"[..], b"/admin", b"/", b"/open/x?"] {
            let line = [b"GET ", path, &[byte], b"/x HTTP/1.1\r\n"].concat();
            let outcome = site.exchange(&line, &visitors.bob, b"", b"").await?;
            match outcome.reached {
                Some(recorded) => ensure!(
                    !could_be_closed(&recorded.target()),
                    "{line:?} arrives as {}",
                    recorded.target()
                ),
                None => ensure!(
                    outcome.answer.is_refusal(),
                    "{line:?}: {}",
                    outcome.answer.text()
                ),
            }
        }
    }
    Ok(())
}
