//! Headers that make a framework see another method, path, prefix, host or client than the edge did: none of them reaches the
//! origin, in no spelling that some framework folds into the known one.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use harness::system::{BOB, Client, Method, System};
use serde_json::json;

use crate::spoof::{KINDS, site};
use crate::wire::Site;

/// The table of the worker.
const TABLE: &str = include_str!("../../edge/entry/untrusted.js");

/// As their documentation spells them; those of one hop are tried below.
const OVERRIDES: [&str; 64] = [
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

/// The names of the table, folded.
fn table() -> BTreeSet<&'static str> {
    let names = TABLE.split("new Set([").nth(1).unwrap_or_default();
    let names = names.split("]);").next().unwrap_or_default();
    let rows = names.lines().map(str::trim);
    rows.filter_map(|row| row.strip_prefix('"')?.split('"').next())
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
    let untried: Vec<_> = table()
        .into_iter()
        .filter(|name| !tried.iter().any(|tried| tried == name))
        .filter(|name| !one_hop.contains(name))
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
