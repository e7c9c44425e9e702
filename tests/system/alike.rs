//! The worker keeps the headers that it sent on for a sender and uses them again for the next request. Nothing of one
//! request may reach the origin with another, whatever follows on what.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use harness::raw::Recorded;
use harness::system::{BOB, Client};
use shared::cookie;

use crate::spoof::{Truth, site};
use crate::wire::Site;

/// What requests bring beside the lines that all of them have.
fn shapes() -> Vec<Vec<u8>> {
    // Two of them are more than the worker keeps.
    let long = |name: &str, value: &str| format!("{name}: {}\r\n", value.repeat(5_000));
    let mut shapes: Vec<Vec<u8>> = [
        "",
        "x-a: 1\r\n",
        "x-a: 2\r\n",
        "x-a: 2, 3\r\n",
        "x-a: 2\r\nx-a: 3\r\n",
        "x-a: \r\n",
        "x-b: 1\r\n",
        "x-a: 1\r\nx-b: 1\r\n",
        "x-a: a\tb\r\n",
        "x-a: \u{e9}\r\n",
        "set-cookie: a=1\r\nset-cookie: b=2\r\n",
        "set-cookie: a=1\r\nset-cookie: b=3\r\n",
        "authorization: Basic YTox\r\n",
        "authorization: Basic YToy\r\n",
        "portcullis-user: forged\r\nx-a: 1\r\n",
        "connection: x-a\r\nx-a: 3\r\n",
    ]
    .map(|lines| lines.as_bytes().to_vec())
    .into();
    // Not UTF-8: the runtime reads both as the same text.
    shapes.extend([b"x-a: \xe9\r\n".to_vec(), b"x-a: \xe8\r\n".to_vec()]);
    shapes.extend([long("x-a", "1"), long("x-a", "2")].map(String::into_bytes));
    shapes.push((long("x-a", "1") + &long("x-b", "1")).into_bytes());
    shapes
}

/// Names in lower case with their values, those of one name joined (RFC 9110 §5.3).
fn headers(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::<String, Vec<u8>>::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        let value = line[colon + 1..].trim_ascii();
        found
            .entry(name)
            .and_modify(|all| all.extend([b", ", value].concat()))
            .or_insert_with(|| value.to_vec());
    }
    found
}

/// What the origin was sent, without what every request brings and what the edge sets.
fn brought(recorded: &Recorded) -> BTreeMap<String, Vec<u8>> {
    // Neither the first line has a colon, nor is there a body.
    let mut found = headers(recorded.bytes());
    found.retain(|name, _| {
        !matches!(name.as_str(), "host" | "accept")
            && !name.starts_with("portcullis")
            && !name.starts_with("x-forwarded")
    });
    found
}

/// Sends a request with `lines`, all of which pass, and nothing else.
async fn try_one(
    site: &Site,
    client: &Client,
    truth: &Truth,
    path: &str,
    lines: &[u8],
) -> Result<()> {
    let outcome = site.get(path, client, lines).await?;
    let recorded = outcome.reached.with_context(|| outcome.answer.text())?;
    let mut expected = headers(lines);
    expected.retain(|name, _| name != "connection" && !name.starts_with("portcullis"));
    ensure!(
        brought(&recorded) == expected,
        "it became {}",
        recorded.text()
    );
    if path.starts_with("/api/") {
        return truth.check(site, &recorded);
    }
    ensure!(
        !recorded.text().contains("portcullis"),
        "it became {}",
        recorded.text()
    );
    Ok(())
}

#[tokio::test]
async fn a_request_has_no_header_of_the_one_before() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let truth = Truth::of(&client).await?;
    let shapes = shapes();
    let mut sequence = Vec::new();
    for first in &shapes {
        for second in &shapes {
            sequence.extend([("/api/x", first), ("/api/y", second)]);
        }
        sequence.extend([("/open/x", first), ("/api/x", first), ("/open/x", first)]);
    }
    for (at, (path, lines)) in sequence.iter().enumerate() {
        let tried = try_one(&site, &client, &truth, path, lines).await;
        let text = String::from_utf8_lossy(lines);
        tried.with_context(|| format!("request {at}: {path} with {text:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn sessions_without_cookies_stay_apart() -> Result<()> {
    let site = site().await?;
    let stranger = site.system.client()?;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let client = site.system.login(&BOB).await?;
        let token = client.cookie(cookie::ACCESS).context("an access cookie")?;
        let bearer = format!("authorization: Bearer {token}\r\n");
        sessions.push((bearer, Truth::of(&client).await?));
    }
    for turn in 0..20 {
        // Twice each, so that the second may use what the first left.
        let (bearer, truth) = &sessions[turn / 2 % 2];
        let outcome = site.get("/api/x", &stranger, bearer.as_bytes()).await?;
        let recorded = outcome.reached.context("a bearer passes")?;
        truth.check(&site, &recorded)?;
        ensure!(brought(&recorded).is_empty(), "{}", recorded.text());
        let refused = site.get("/api/x", &stranger, b"").await?;
        ensure!(refused.reached.is_none() && refused.answer.status() == Some(401));
    }
    Ok(())
}
