//! Renewals whose answer is late or lost: a browser that behaves keeps its session, and a copied token is found all the same.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::raw::Connection;
use harness::system::{Account, Answer, BOB, Client, Link, System};
use harness::wait::{eventually, until};
use shared::cookie;
use tokio::task::JoinHandle;

use crate::wire::authority;

const SOON: Duration = Duration::from_secs(20);
const PAST_ACCESS: Duration = Duration::from_secs(16 * 60);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Signed in long ago, in a browser that has dropped the access cookie.
async fn with_refresh_token_only(system: &System, account: &Account) -> Result<Client> {
    let client = system.login(account).await?;
    client.get("/api/x").await?.expect(200)?;
    system.advance(PAST_ACCESS).await?;
    ensure!(client.cookie(cookie::ACCESS).is_none());
    Ok(client)
}

/// The origin, without the edge between.
async fn at_origin(system: &System, path: &str) -> Result<serde_json::Value> {
    let url = format!("http://{}/api/test/held{path}", system.origin.addr());
    let answer = harness::system::http_client()?.get(url).send().await?;
    Ok(serde_json::from_slice(&answer.bytes().await?).unwrap_or_default())
}

/// A request of `client` whose answer the origin holds back. It has reached the origin.
async fn held(system: &System, client: &Client) -> Result<JoinHandle<Result<Answer>>> {
    let before = at_origin(system, "/count").await?;
    let client = client.clone();
    let request = tokio::spawn(async move { client.get("/api/test/held").await });
    until("the request to reach the origin", SOON, async || {
        at_origin(system, "/count")
            .await
            .is_ok_and(|now| now != before)
    })
    .await?;
    Ok(request)
}

async fn release(system: &System, request: JoinHandle<Result<Answer>>) -> Result<Answer> {
    at_origin(system, "/release").await?;
    request.await??.expect(200)
}

async fn generation(system: &System) -> Result<i64> {
    let mut db = system.db.connect().await?;
    let newest = "select generation from sessions order by ordinal desc limit 1";
    Ok(sqlx::query_scalar(newest).fetch_one(&mut db).await?)
}

fn new_cookies(answer: &Answer) -> usize {
    let ours = |set: &&str| set.starts_with(cookie::ACCESS) || set.starts_with(cookie::REFRESH);
    let set = answer.headers_named("set-cookie");
    set.into_iter().filter(ours).count()
}

#[tokio::test]
async fn a_slow_answer_is_no_theft() -> Result<()> {
    let system = System::start().await?;
    for slow in [12, 25, 119] {
        let client = with_refresh_token_only(&system, &BOB).await?;
        let report = held(&system, &client).await?;
        system.advance(seconds(slow)).await?;
        let beside = client.get("/api/x").await?.expect(200)?;
        assert_eq!(new_cookies(&beside), 2, "{slow} s: the same successor");
        assert_eq!(generation(&system).await?, 1);
        let report = release(&system, report).await?;
        assert_eq!(new_cookies(&report), 2, "{slow} s: still the present ones");
        client.get("/api/x").await?.expect(200)?;
        client.refresh().await?.expect(200)?;
        assert_eq!(generation(&system).await?, 2);
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_of_a_renewed_request_carries_the_cookies() -> Result<()> {
    let system = System::start().await?;
    for (state, status) in [("cut", 502), ("whole", 500), ("whole", 204), ("whole", 304)] {
        let client = with_refresh_token_only(&system, &BOB).await?;
        let path = if state == "cut" {
            system.cut(Link::EdgeOrigin);
            "/api/x".to_owned()
        } else {
            format!("/api/test/status/{status}")
        };
        let page = client.copy();
        let answer = client.get(&path).await?.expect(status)?;
        assert_eq!(new_cookies(&answer), 2, "{state} {status}");
        let answer = page.navigate(&path).await?.expect(status)?;
        assert_eq!(new_cookies(&answer), 2, "{state} {status}, a page");
        system.heal(Link::EdgeOrigin);
        // An outage of a minute, after which everybody comes back.
        system.advance(seconds(60)).await?;
        for browser in [client, page] {
            browser.get("/api/x").await?.expect(200)?;
            browser.refresh().await?.expect(200)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_within_two_minutes() -> Result<()> {
    let system = System::start().await?;
    for (away, status) in [(100, 200), (121, 401)] {
        let client = with_refresh_token_only(&system, &BOB).await?;
        let refresh = client.cookie(cookie::REFRESH).context("refresh cookie")?;
        let before = at_origin(&system, "/count").await?;
        let mut connection = Connection::open(system.edges[0].addr()).await?;
        let head = format!(
            "GET /api/test/held HTTP/1.1\r\nHost: {}\r\nCookie: {}={refresh}\r\n\r\n",
            authority(&system),
            cookie::REFRESH
        );
        connection.send(head.as_bytes()).await?;
        until("the request to reach the origin", SOON, async || {
            at_origin(&system, "/count")
                .await
                .is_ok_and(|now| now != before)
        })
        .await?;
        drop(connection);
        assert_eq!(generation(&system).await?, 1);
        system.advance(seconds(away)).await?;
        let again = client.get("/api/x").await?.expect(status)?;
        if status == 401 {
            assert_eq!(again.code().as_deref(), Some("refresh_reused"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_socket_that_is_renewed_opens_with_the_cookies() -> Result<()> {
    let system = System::start().await?;
    let client = with_refresh_token_only(&system, &BOB).await?;
    let refresh = client.cookie(cookie::REFRESH).context("refresh cookie")?;
    let mut connection = Connection::open(system.edges[0].addr()).await?;
    let head = format!(
        "GET /api/test/socket HTTP/1.1\r\nHost: {}\r\nCookie: {}={refresh}\r\nSec-Fetch-Site: same-origin\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        authority(&system),
        cookie::REFRESH
    );
    connection.send(head.as_bytes()).await?;
    connection.read_until("\r\n\r\n").await?;
    let answer = connection.seen();
    ensure!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    for name in [cookie::ACCESS, cookie::REFRESH] {
        ensure!(answer.contains(&format!("Set-Cookie: {name}=")), "{answer}");
    }
    // A text message of one letter, masked with zeros (RFC 6455 §5.2), comes back unmasked.
    connection.send(b"\x81\x81\0\0\0\0x").await?;
    connection.read_until("x").await?;
    Ok(())
}

#[tokio::test]
async fn a_late_answer_does_not_replace_the_cookies_of_a_newer_session() -> Result<()> {
    let system = System::start().await?;
    let client = with_refresh_token_only(&system, &BOB).await?;
    let report = held(&system, &client).await?;
    client.sign_in(&BOB).await?.expect(200)?;
    let newer = client.cookies();
    system.advance(seconds(25)).await?;
    let report = release(&system, report).await?;
    assert_eq!(new_cookies(&report), 0);
    assert_eq!(client.cookies(), newer);
    client.get("/api/x").await?.expect(200)?;
    client.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_late_answer_does_not_sign_in_again_after_a_sign_out() -> Result<()> {
    let system = System::start().await?;
    let client = with_refresh_token_only(&system, &BOB).await?;
    let report = held(&system, &client).await?;
    client.logout().await?.expect(204)?;
    system.advance(seconds(25)).await?;
    let report = release(&system, report).await?;
    assert_eq!(new_cookies(&report), 0);
    ensure!(client.cookies().is_empty(), "{:?}", client.cookies());
    Ok(())
}

#[tokio::test]
async fn a_late_answer_does_not_replace_the_cookies_of_a_newer_generation() -> Result<()> {
    let system = System::start().await?;
    let client = with_refresh_token_only(&system, &BOB).await?;
    let report = held(&system, &client).await?;
    system.advance(seconds(12)).await?;
    client.get("/api/x").await?.expect(200)?;
    client.refresh().await?.expect(200)?;
    assert_eq!(generation(&system).await?, 2);
    system.advance(seconds(60)).await?;
    let report = release(&system, report).await?;
    assert_eq!(new_cookies(&report), 0);
    client.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_says_nothing_keeps_no_cookies_back() -> Result<()> {
    let system = System::start().await?;
    let client = with_refresh_token_only(&system, &BOB).await?;
    let report = held(&system, &client).await?;
    system.advance(seconds(25)).await?;
    system.cut(Link::EdgeIssuer);
    let report = release(&system, report).await?;
    assert_eq!(new_cookies(&report), 2);
    system.heal(Link::EdgeIssuer);
    system.advance(seconds(600)).await?;
    client.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_copied_token_is_found_at_the_first_use_that_comes_late() -> Result<()> {
    let system = System::start().await?;
    let owner = with_refresh_token_only(&system, &BOB).await?;
    let thief = owner.copy();
    owner.get("/api/x").await?.expect(200)?;
    // Within the window of an edge's renewal, a copy is no more than a slow answer.
    system.advance(seconds(100)).await?;
    thief.get("/api/x").await?.expect(200)?;
    // Both have the next generation now. The one who comes second is late, and both are out.
    system.advance(PAST_ACCESS).await?;
    owner.get("/api/x").await?.expect(200)?;
    system.advance(seconds(121)).await?;
    thief
        .get("/api/x")
        .await?
        .expect_problem(401, "refresh_reused")?;
    let told = eventually("the owner to be told", SOON, async || {
        let answer = owner.get("/api/x").await.ok()?;
        (answer.status() == 401).then_some(answer)
    })
    .await?;
    assert_eq!(told.code().as_deref(), Some("session_ended"));
    Ok(())
}

#[tokio::test]
async fn a_token_before_the_last_is_reuse_at_once() -> Result<()> {
    let system = System::start().await?;
    let owner = with_refresh_token_only(&system, &BOB).await?;
    let thief = owner.copy();
    owner.get("/api/x").await?.expect(200)?;
    owner.refresh().await?.expect(200)?;
    thief
        .get("/api/x")
        .await?
        .expect_problem(401, "refresh_reused")?;
    Ok(())
}

#[tokio::test]
async fn a_refresh_of_the_browsers_own_keeps_its_ten_seconds() -> Result<()> {
    let system = System::start().await?;
    for (late, by_edge) in [(9, true), (11, true), (9, false), (11, false)] {
        let client = with_refresh_token_only(&system, &BOB).await?;
        let before = client.copy();
        client.refresh().await?.expect(200)?;
        system.advance(seconds(late)).await?;
        let answer = if by_edge {
            before.get("/api/x").await?
        } else {
            before.refresh().await?
        };
        if late < 10 {
            answer.expect(200)?;
        } else {
            answer.expect_problem(401, "refresh_reused")?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn nobody_but_an_edge_gets_an_edges_window() -> Result<()> {
    let system = System::start().await?;
    let client = with_refresh_token_only(&system, &BOB).await?;
    for browser in [client.clone(), client.at(system.issuers[0].addr())] {
        let before = browser.copy();
        let request = browser.request(harness::system::Method::POST, "/auth/refresh");
        let forged = request.header(shared::wire::header::RENEWAL, "1");
        forged.send().await?.expect(200)?;
        system.advance(seconds(11)).await?;
        let late = before.refresh().await?;
        late.expect_problem(401, "refresh_reused")?;
        client.sign_in(&BOB).await?.expect(200)?;
    }
    Ok(())
}
