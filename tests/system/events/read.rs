//! How the log is read: by administrators page by page, and as lines of JSON.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use harness::raw;
use harness::system::{ADA, BOB, Client, System};
use issuer::events::{self, By, Kind, MAX_USER_AGENT};
use serde_json::Value;
use shared::time::UnixMillis;
use sqlx::PgConnection;

use super::{exported, id_of};
use crate::support::{operator, typed_by_operator};

/// Every event that following `next` brings, with what is done between two pages.
async fn walk(
    client: &Client,
    query: &str,
    mut between: impl AsyncFnMut() -> Result<()>,
) -> Result<Vec<Value>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/auth/admin/events?{query}{cursor}");
        let page = client.get(&path).await?.expect(200)?.json()?;
        let events = page["events"].as_array().context("events")?;
        all.extend(events.iter().cloned());
        let Some(next) = page["next"].as_str() else {
            return Ok(all);
        };
        ensure!(!events.is_empty(), "a page that leads on is not empty");
        cursor = format!("&cursor={next}");
        between().await?;
    }
}

fn numbers(events: &[Value]) -> Vec<i64> {
    events
        .iter()
        .filter_map(|event| event["number"].as_i64())
        .collect()
}

async fn record(db: &mut PgConnection, at: UnixMillis) -> Result<()> {
    Ok(events::record(db, &By::SYSTEM.event(Kind::KeyCreated), at).await?)
}

#[tokio::test]
async fn pages_are_bounded_and_stay_right_while_events_are_written() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let mut db = system.db.connect().await?;
    let now = system.clock().now();
    // Many in one millisecond, some in weeks of their own.
    for index in 0..60u64 {
        let days = if index % 10 == 0 { index / 10 } else { 0 };
        let at = now.minus(std::time::Duration::from_secs(days * 24 * 3600));
        record(&mut db, at).await?;
    }
    let there = exported(&system, &["--kind", "key_created"]).await?;
    let there: BTreeSet<i64> = numbers(&there).into_iter().collect();
    ensure!(there.len() >= 60, "{}", there.len());
    let walked = walk(&ada, "kind=key_created&limit=7", async || {
        // Now, and at the moment of those that are being read.
        record(&mut db, system.clock().now()).await?;
        record(&mut db, now).await
    })
    .await?;
    let walked = numbers(&walked);
    let distinct: BTreeSet<i64> = walked.iter().copied().collect();
    assert_eq!(distinct.len(), walked.len(), "none twice");
    ensure!(there.is_subset(&distinct), "none is missed");

    let usual = ada.get("/auth/admin/events").await?.expect(200)?.json()?;
    assert_eq!(usual["events"].as_array().map(Vec::len), Some(50));
    let places = |events: &Value| -> Vec<(String, i64)> {
        let events = events.as_array().into_iter().flatten();
        let place =
            |event: &Value| Some((event["at"].as_str()?.to_owned(), event["number"].as_i64()?));
        events.filter_map(place).collect()
    };
    ensure!(
        places(&usual["events"]).is_sorted_by(|a, b| a > b),
        "the newest first"
    );
    Ok(())
}

#[tokio::test]
async fn events_are_asked_for_by_user_actor_kind_and_time() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let (ada_id, bob_id) = (id_of(&ada).await?, id_of(&bob).await?);
    bob.logout().await?.expect(204)?;
    operator(
        &system,
        &["users", "grant", "--email", BOB.email, "--role", "auditor"],
    )
    .await?;
    let asked = async |query: &str| walk(&ada, query, async || Ok(())).await;
    let kinds = |events: &[Value]| -> Vec<String> {
        let kinds = events.iter().filter_map(|event| event["kind"].as_str());
        kinds.map(str::to_owned).collect()
    };
    let of_bob = asked(&format!("user={bob_id}")).await?;
    assert_eq!(
        kinds(&of_bob),
        ["roles_changed", "session_ended", "sign_in", "user_created"]
    );
    ensure!(
        of_bob.iter().all(|event| event["user"] == *bob_id),
        "{of_bob:?}"
    );
    assert_eq!(of_bob[1]["ip"], "127.0.0.1");
    let by_bob = asked(&format!("actor={bob_id}")).await?;
    assert_eq!(kinds(&by_bob), ["session_ended", "sign_in"]);
    let both = asked(&format!("user={ada_id}&kind=sign_in")).await?;
    assert_eq!(kinds(&both), ["sign_in"]);
    let at = of_bob[1]["at"].as_str().context("at")?;
    let since = asked(&format!("user={bob_id}&since={at}")).await?;
    assert_eq!(numbers(&since), numbers(&of_bob[..2]));
    let until = asked(&format!("user={bob_id}&until={at}")).await?;
    assert_eq!(numbers(&until), numbers(&of_bob[2..]));

    let listed = operator(
        &system,
        &["events", "list", "--user", &bob_id, "--limit", "3"],
    )
    .await?;
    let listed: Vec<Value> = listed
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert_eq!(listed, of_bob[..3]);
    let mut export = exported(&system, &["--user", &bob_id, "--since", at]).await?;
    export.reverse();
    assert_eq!(export, of_bob[..2]);
    let young = exported(
        &system,
        &["--user", &bob_id, "--since", "1h", "--kind", "sign_in"],
    )
    .await?;
    assert_eq!(young, of_bob[2..3]);
    // That a copy was taken is noted.
    let copies = exported(&system, &["--kind", "events_exported"]).await?;
    assert_eq!(copies[0]["detail"]["events"], 2);
    assert_eq!(copies[0]["actor"]["type"], "cli");
    Ok(())
}

#[tokio::test]
async fn bad_questions_name_the_parameter() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let cases = [
        ("user=bob", "user"),
        ("user=", "user"),
        ("actor=%00", "actor"),
        ("kind=tea_made", "kind"),
        ("kind=sign_in%27--", "kind"),
        ("since=yesterday", "since"),
        ("until=2025-13-24T16:00:00Z", "until"),
        ("cursor=abc", "cursor"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("users=x", "users"),
        ("kind=sign_in&kind=sign_in", "kind"),
        ("kind=%ff", "kind"),
    ];
    for (query, named) in cases {
        let answer = ada.get(&format!("/auth/admin/events?{query}")).await?;
        let problem = answer.expect_problem(400, "invalid_request")?.json()?;
        let detail = problem["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains(named), "{query}: {detail}");
    }
    for (argument, value) in [
        ("--kind", "tea_made"),
        ("--since", "yesterday"),
        ("--user", "bob"),
    ] {
        let ran = typed_by_operator(&system, &["events", "list", argument, value], "").await?;
        ensure!(
            !ran.success && ran.printed.contains(value),
            "{}",
            ran.printed
        );
    }
    Ok(())
}

/// What a stranger sends as a user agent and otherwise. Some of it no server takes; the rest must do no harm.
const HOSTILE: [&[u8]; 12] = [
    b"\"}\\n{\"number\":1,\"kind\":\"user_deleted\"}",
    b"tab\there\tand\tthere",
    b"\\u000a\\u000d\\n\\r",
    "line\u{2028}paragraph\u{2029}next\u{85}line".as_bytes(),
    "\u{202e}gnp.exe\u{202c}\u{2066}\u{200f}\u{feff}".as_bytes(),
    b"\xff\xfe\x80 not utf-8 \xc3",
    b"'; drop table events; --",
    b"<script>alert(1)</script>",
    b"${jndi:ldap://x} %s%n %0a%0d",
    b"\x1b[2J\x1b]0;owned\x07",
    b"a\x00b",
    "\u{1f600}".as_bytes(),
];

#[tokio::test]
async fn nobody_can_write_a_line_into_it() -> Result<()> {
    let system = System::start().await?;
    let before = exported(&system, &[]).await?.len();
    let body = br#"{"email":"a\u2028{\"number\":1}@x.test","password":"wrong horse"}"#;
    let host = system.public_url().trim_start_matches("http://").to_owned();
    let mut taken = 0;
    let long = [b"x".repeat(7000), "\u{e4}".repeat(100).into_bytes()].concat();
    for agent in HOSTILE.iter().copied().chain([long.as_slice()]) {
        // Through the edge, and to the issuer as it is.
        for addr in [system.edges[0].addr(), system.issuers[0].addr()] {
            let head = format!(
                "POST /auth/login HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nX-Forwarded-For: 1.2.3.4, {{\"a\":1}}\r\nUser-Agent: ",
                body.len()
            );
            let request = [head.as_bytes(), agent, b"\r\n\r\n", body].concat();
            let answer = raw::exchange(addr, &request).await?;
            // 401 where it was taken for a sign-in; a server that does not take such a header says 400 or ends.
            taken += usize::from(answer.status() == Some(401));
        }
    }
    ensure!(taken >= 16, "{taken} of them came through");
    let printed = operator(&system, &["events", "export"]).await?;
    let lines: Vec<&str> = printed
        .split('\n')
        .filter(|line| !line.is_empty())
        .collect();
    // One for each, and that of the first export.
    assert_eq!(lines.len(), before + taken + 1, "{printed}");
    let keys = [
        "actor",
        "at",
        "detail",
        "ip",
        "kind",
        "number",
        "session",
        "user",
        "user_agent",
    ];
    for line in &lines {
        let event: Value = serde_json::from_str(line).with_context(|| format!("{line:?}"))?;
        let found: Vec<&str> = event
            .as_object()
            .context("an object")?
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            found.iter().copied().collect::<BTreeSet<_>>(),
            BTreeSet::from(keys),
            "{line}"
        );
        let agent = event["user_agent"].as_str().context("a text")?;
        ensure!(agent.chars().count() <= MAX_USER_AGENT, "{}", agent.len());
        let plain = events::plain(agent, MAX_USER_AGENT);
        assert_eq!(agent, plain, "{line}");
        let known = event["kind"].as_str().and_then(Kind::parse);
        ensure!(
            known.is_some_and(|kind| kind.as_str() != "user_deleted"),
            "{line}"
        );
        ensure!(
            !line.chars().any(char::is_control) && !line.contains('\u{2028}'),
            "{line:?}"
        );
        ensure!(
            !line.contains("x.test") && !line.contains("1.2.3.4"),
            "{line}"
        );
    }
    // Over HTTP the same.
    let ada = system.login(&ADA).await?;
    let read = walk(&ada, "kind=sign_in_failed&limit=9", async || Ok(())).await?;
    assert_eq!(read.len(), taken);
    Ok(())
}
