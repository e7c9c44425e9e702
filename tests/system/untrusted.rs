//! Headers that make a framework see another method, path, prefix, host or client than the edge did: none of them reaches the
//! origin, in no spelling that some framework folds into the known one.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use harness::raw::{Recorded, Recorder};
use harness::system::{BOB, Builder, Client, Method, System};
use harness::workerd::CF_HEADER;
use serde_json::json;

use crate::spoof::{KINDS, site, site_from};
use crate::wire::{Site, authority};

/// The table of the worker.
const TABLE: &str = include_str!("../../edge/entry/untrusted.js");

/// As their documentation spells them; those of one hop are tried below.
const OVERRIDES: [&str; 90] = [
    // The method.
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-Method",
    "X-Forwarded-Method",
    // The path.
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Original-URI",
    "X-Forwarded-Uri",
    "X-Forwarded-Path",
    "X-Forwarded-Url",
    "X-WAWS-Unencoded-URL",
    "X-MS-Original-URL",
    "X-CF-Forwarded-Url",
    "X-Envoy-Original-Path",
    "X-Matched-Path",
    "X-Now-Route-Matches",
    "X-Invoke-Path",
    "X-Invoke-Query",
    "X-Middleware-Subrequest",
    "X-Middleware-Rewrite",
    "X-Astro-Path",
    "X-Astro-Locals",
    "X-Traversal-Path",
    "PATH-INFO",
    "X-Sendfile-Type",
    "X-Accel-Mapping",
    // The prefix.
    "SCRIPT-NAME",
    "X-Script-Name",
    "X-Forwarded-Prefix",
    "X-Forwarded-PathBase",
    "X-Forwarded-Script-Name",
    "X-Forwarded-Context",
    "X-ProxyContextPath",
    "X-Ingress-Path",
    "X-Masked-Path",
    // Host, port and scheme.
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-Server",
    "X-Forwarded-Port",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "X-Forwarded-HTTPS",
    "X-Host",
    "X-HTTP-Host-Override",
    "X-Original-Host",
    "X-Original-Proto",
    "X-Original-Prefix",
    "X-Envoy-Original-Host",
    "Disguised-Host",
    "X-ProxyHost",
    "X-ProxyPort",
    "X-ProxyScheme",
    "X-Scheme",
    "X-Url-Scheme",
    "X-HTTPS",
    "HTTPS",
    "Front-End-Https",
    "X-ARR-SSL",
    "X-AppService-Proto",
    "CloudFront-Forwarded-Proto",
    "WL-Proxy-SSL",
    // The client.
    "X-Real-IP",
    "True-Client-IP",
    "Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "X-Original-For",
    "X-Original-Forwarded-For",
    "X-Originating-IP",
    "X-ProxyUser-Ip",
    "X-Remote-IP",
    "X-Remote-Addr",
    "Forwarded-For",
    "Forwarded-For-Ip",
    "Proxy-Client-IP",
    "WL-Proxy-Client-IP",
    "X-Envoy-External-Address",
    "Fastly-Client-IP",
    "Fly-Client-IP",
    "X-Azure-ClientIP",
    "X-Azure-SocketIP",
    "X-AppEngine-User-IP",
    "X-NF-Client-Connection-IP",
    "X-Vercel-Forwarded-For",
    "DO-Connecting-IP",
    "CF-Connecting-IP",
    "CF-Visitor",
    // Where an application's own requests go.
    "Proxy",
];

/// Names like those, which are an application's own.
const OWN: [&str; 4] = [
    "X-Original-Filename",
    "X-HTTP-Methods",
    "X_Host_Name",
    "X.Other",
];

/// The names of both tables, folded.
fn table() -> BTreeSet<&'static str> {
    let sets = TABLE.split("new Set([").skip(1);
    let rows = sets.flat_map(|set| set.split("]);").next().unwrap_or_default().lines());
    rows.map(str::trim)
        .filter_map(|row| row.strip_prefix('"')?.split('"').next())
        .collect()
}

/// Ways to write a name that CGI, WSGI, Rack or PHP do not tell apart.
fn spellings(name: &str) -> BTreeSet<String> {
    let with = |separator: &str| name.replace('-', separator);
    let once = name.replacen('-', "_", 1);
    [
        name.to_owned(),
        name.to_lowercase(),
        with("_"),
        with("_").to_uppercase(),
        with("."),
        with(".").to_lowercase(),
        once.replacen('-', ".", 1),
        once,
    ]
    .into()
}

#[tokio::test]
async fn no_header_that_overrides_reaches_the_origin_in_any_spelling() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let own: String = OWN.map(|name| format!("{name}: kept\r\n")).concat();
    for name in OVERRIDES {
        let spelled: String = spellings(name)
            .iter()
            .map(|name| format!("{name}: forged\r\n"))
            .collect();
        for kind in KINDS {
            for path in ["/api/x", "/open/x"] {
                let lines = format!("{spelled}{own}");
                let outcome = kind.send(&site, path, &client, &lines).await?;
                let recorded = outcome.reached.context("it passes without them")?;
                let text = recorded.text();
                ensure!(!text.contains("forged"), "{name} of {kind:?}: {text}");
                for name in OWN {
                    ensure!(recorded.values(name) == ["kept"], "{name}: {text}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_name_of_the_table_is_tried_and_says_who_reads_it() {
    let tried = OVERRIDES.map(str::to_lowercase);
    let one_hop = ["connection", "keep-alive", "proxy-connection"];
    let like_another = ["cf-connecting-ipv6", "cf-pseudo-ipv4"];
    let untried: Vec<_> = table()
        .into_iter()
        .filter(|name| !tried.iter().any(|tried| tried == name))
        .filter(|name| !one_hop.contains(name) && !like_another.contains(name))
        .collect();
    assert!(untried.is_empty(), "{untried:?}");
    assert!(table().len() > 40 && table().contains("x-original-url"));
    let rows = TABLE.lines().filter(|line| line.starts_with("\t\""));
    for row in rows {
        let said = row.split_once("\", // ").map_or("", |(_, said)| said);
        assert!(!said.is_empty(), "who reads it? {row}");
    }
}

/// Sends requests of every kind with the header `name`, which must not go on with them; another one must.
async fn must_end_here(site: &Site, client: &Client, name: &str, value: &str) -> Result<()> {
    let lines = format!("{name}: {value}\r\nX-Other: kept\r\n");
    for kind in KINDS {
        for path in ["/api/x", "/open/x"] {
            let outcome = kind.send(site, path, client, &lines).await?;
            let recorded = outcome.reached.context("it passes without the header")?;
            ensure!(
                recorded.values(name).is_empty() && recorded.values("x-other") == ["kept"],
                "{name} of {kind:?}: {}",
                recorded.text()
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn headers_for_one_hop_end_here_and_take_no_other_with_them() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    // Some of them the runtime takes away by itself, on both sides; `Proxy-Connection` it does not.
    for (name, value) in [
        ("Connection", "keep-alive"),
        // Obeyed, it would take the other one away.
        ("Connection", "x-other"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("proxy-connection", "x-other"),
        ("TE", "trailers"),
    ] {
        must_end_here(&site, &client, name, value).await?;
    }
    Ok(())
}

async fn site_with(settings: &[(&str, &str)]) -> Result<Site> {
    let with = |builder: Builder, (name, value): &(&str, &str)| builder.edge_setting(name, value);
    site_from(settings.iter().fold(System::builder(), with)).await
}

/// What an origin is told of a request's way here.
fn told(recorded: &Recorded) -> [Vec<String>; 3] {
    let names = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    names.map(|name| recorded.values(name))
}

#[tokio::test]
async fn the_edge_alone_says_where_a_request_comes_from() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let truth = ["127.0.0.1", authority(&site.system), "http"].map(|value| [value]);
    let forged = "X-Forwarded-For: 192.0.2.66\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Proto: gopher\r\n";
    for kind in KINDS {
        for path in ["/api/x", "/open/x"] {
            // More than once, so that the headers of one may serve again for the next.
            for lines in ["", forged, forged, forged, "", ""] {
                let outcome = kind.send(&site, path, &client, lines).await?;
                let recorded = outcome.reached.context("it passes")?;
                assert_eq!(told(&recorded), truth, "{kind:?} {path}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_issuer_is_told_the_same() -> Result<()> {
    let issuer = Recorder::start().await?;
    let system = System::builder()
        .edge_setting("ISSUER_URL", &issuer.url())
        .start()
        .await?;
    let site = Site {
        system,
        origin: issuer,
    };
    let forged = b"X-Forwarded-Host: evil.test\r\nX_Original_URL: /auth/logout\r\n";
    let stranger = site.system.client()?;
    let outcome = site.get("/auth/login", &stranger, forged).await?;
    let recorded = outcome.reached.context("it goes to the issuer")?;
    let truth = ["127.0.0.1", authority(&site.system), "http"].map(|value| [value]);
    assert_eq!(told(&recorded), truth);
    ensure!(!recorded.text().contains("X_Original_URL"));
    Ok(())
}

#[tokio::test]
async fn a_proxy_says_who_the_client_is_and_each_request_says_it_anew() -> Result<()> {
    let proxied = site_with(&[("TRUSTED_CLIENT_IP_HEADER", "X-Real-IP")]).await?;
    let client = proxied.system.login(&BOB).await?;
    let list = "X-Forwarded-For: 192.0.2.66\r\n";
    for (said, told_for) in [
        ("192.0.2.1", Some("192.0.2.1")),
        ("192.0.2.1", Some("192.0.2.1")),
        ("192.0.2.2", Some("192.0.2.2")),
        ("::ffff:192.0.2.3", Some("192.0.2.3")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("192.0.2.66, 192.0.2.1", None),
        ("nobody", None),
        ("192.0.2.1", Some("192.0.2.1")),
    ] {
        for path in ["/api/x", "/open/x"] {
            let lines = format!("X-Real-IP: {said}\r\n{list}");
            let outcome = proxied.get(path, &client, lines.as_bytes()).await?;
            let recorded = outcome.reached.context("it passes")?;
            let [forwarded_for, ..] = told(&recorded);
            assert_eq!(forwarded_for, Vec::from_iter(told_for), "{said}");
            ensure!(recorded.values("x-real-ip").is_empty());
        }
    }
    let silent = site_with(&[("TRUSTED_CLIENT_IP_HEADER", "none")]).await?;
    let stranger = silent.system.client()?;
    let outcome = silent.get("/open/x", &stranger, list.as_bytes()).await?;
    let recorded = outcome.reached.context("it passes")?;
    ensure!(recorded.values("x-forwarded-for").is_empty());
    Ok(())
}

#[tokio::test]
async fn a_trusted_proxys_list_stands_before_the_client() -> Result<()> {
    let direct = site_with(&[("X_FORWARDED_FOR", "append")]).await?;
    let client = direct.system.login(&BOB).await?;
    for (lines, told_for) in [
        ("", "127.0.0.1"),
        (
            "X-Forwarded-For: 198.51.100.1, 192.0.2.1\r\n",
            "198.51.100.1, 192.0.2.1, 127.0.0.1",
        ),
        (
            "X-Forwarded-For: 198.51.100.1, 192.0.2.1\r\n",
            "198.51.100.1, 192.0.2.1, 127.0.0.1",
        ),
        (
            "X-Forwarded-For: 198.51.100.2\r\n",
            "198.51.100.2, 127.0.0.1",
        ),
        (
            "X-Forwarded-For: 198.51.100.2\r\nX-Forwarded-For: 192.0.2.1\r\nX_Forwarded_For: 192.0.2.66\r\n",
            "198.51.100.2, 192.0.2.1, 127.0.0.1",
        ),
    ] {
        let outcome = direct.get("/api/x", &client, lines.as_bytes()).await?;
        let recorded = outcome.reached.context("it passes")?;
        assert_eq!(told(&recorded)[0], [told_for], "{lines}");
    }
    let proxied = [
        ("X_FORWARDED_FOR", "append"),
        ("TRUSTED_CLIENT_IP_HEADER", "X-Real-IP"),
    ];
    let proxied = site_with(&proxied).await?;
    let stranger = proxied.system.client()?;
    let lines = b"X-Real-IP: 192.0.2.1\r\nX-Forwarded-For: 198.51.100.1, 192.0.2.1\r\n";
    let outcome = proxied.get("/open/x", &stranger, lines).await?;
    let recorded = outcome.reached.context("it passes")?;
    assert_eq!(told(&recorded)[0], ["198.51.100.1, 192.0.2.1"]);
    Ok(())
}

/// At Cloudflare a request names its data centre, and `CF-Connecting-IP` is the platform's own. Elsewhere it is anybody's.
#[tokio::test]
async fn what_cloudflare_writes_is_true_there_alone() -> Result<()> {
    for (cf, is_true) in [
        (r#"{"colo": "AMS"}"#, true),
        (r#"{"clientIp": "192.0.2.9:4711"}"#, false),
    ] {
        let site = site_from(System::builder().with_cf()).await?;
        let client = site.system.client()?;
        for address in ["192.0.2.7", "192.0.2.7", "2001:db8::1"] {
            let lines = format!(
                "{CF_HEADER}: {cf}\r\nCF-Connecting-IP: {address}\r\nCF_Connecting_IP: 192.0.2.66\r\nX-Real-IP: 192.0.2.66\r\n"
            );
            for kind in KINDS {
                let outcome = kind.send(&site, "/open/x", &client, &lines).await?;
                let recorded = outcome.reached.with_context(|| outcome.answer.text())?;
                let text = recorded.text();
                let [forwarded_for, ..] = told(&recorded);
                let seen = if is_true { address } else { "192.0.2.9" };
                assert_eq!(forwarded_for, [seen], "{kind:?} {text}");
                let kept = Vec::from_iter(is_true.then_some(address));
                assert_eq!(recorded.values("cf-connecting-ip"), kept, "{text}");
                ensure!(!text.contains("192.0.2.66"), "{text}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_application_that_builds_absolute_links_gets_the_right_host() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    for forged in [None, Some("evil.test")] {
        let mut request = client.request(Method::GET, "/api/link?a=1");
        if let Some(host) = forged {
            request = request
                .header("x-forwarded-host", host)
                .header("x_forwarded_host", host)
                .header("forwarded", &format!("host={host};proto=gopher"))
                .header("x-forwarded-proto", "gopher");
        }
        let received = request.send().await?.expect(200)?.received()?;
        let link = format!("{}/api/link?a=1", system.public_url());
        assert_eq!(received.url, link, "{forged:?}");
    }
    Ok(())
}

/// Where the issuer believes that a sign-in with these headers came from.
async fn address_of_a_sign_in(
    system: &System,
    headers: &[(&str, &str)],
) -> Result<serde_json::Value> {
    let client = system.client()?;
    let credentials = json!({"email": BOB.email, "password": BOB.password});
    let mut request = client
        .request(Method::POST, "/auth/login")
        .json(&credentials);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send().await?.expect(200)?;
    let sessions = client.get("/auth/sessions").await?.expect(200)?.json()?;
    let own = sessions
        .as_array()
        .context("a list")?
        .iter()
        .find(|session| session["current"] == true);
    Ok(own.context("the current session")?["ip"].clone())
}

#[tokio::test]
async fn a_clients_address_is_not_what_the_client_says() -> Result<()> {
    let forged = [
        ("cf-connecting-ip", "192.0.2.66"),
        ("true-client-ip", "192.0.2.66"),
        ("x-forwarded-for", "192.0.2.66"),
        ("x-real-ip", "192.0.2.66"),
        ("forwarded", "for=192.0.2.66"),
        ("portcullis-client-ip", "192.0.2.66"),
    ];
    let system = System::start().await?;
    let believed = address_of_a_sign_in(&system, &forged).await?;
    ensure!(believed != "192.0.2.66", "{believed}");
    Ok(())
}

#[tokio::test]
async fn a_proxys_header_counts_where_the_setting_names_it() -> Result<()> {
    let system = System::builder()
        .edge_setting("TRUSTED_CLIENT_IP_HEADER", "X-Real-IP")
        .start()
        .await?;
    let from = [
        ("x-real-ip", "192.0.2.7"),
        ("cf-connecting-ip", "192.0.2.66"),
        ("x-forwarded-for", "192.0.2.66"),
    ];
    assert_eq!(address_of_a_sign_in(&system, &from).await?, "192.0.2.7");
    let list = [("x-real-ip", "192.0.2.66, 192.0.2.7")];
    ensure!(address_of_a_sign_in(&system, &list).await? != "192.0.2.66");
    Ok(())
}
