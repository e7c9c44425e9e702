//! An access token that serves no more, and a refresh cookie beside it: renewed in the middle of the request.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::system::{Answer, BOB, Client, Link, Method, Mode, System};
use shared::claims::Claims;
use shared::cookie;
use shared::key::{KeySet, SigningKey};
use shared::secret::{RootSecret, Secret};
use shared::token::{self, Expected};
use tokio::task::JoinSet;

use crate::support::operator;

const PAST_ACCESS: Duration = Duration::from_secs(16 * 60);

/// Signed in long ago, in a browser that has not yet noticed that the access token is over.
async fn with_expired_token(system: &System) -> Result<Client> {
    let client = system.login(&BOB).await?;
    client.get("/api/x").await?.expect(200)?;
    let token = client.cookie(cookie::ACCESS).context("access cookie")?;
    system.advance(PAST_ACCESS).await?;
    client.set_cookie(cookie::ACCESS, &token);
    Ok(client)
}

/// What the access token of `client` claims.
async fn claims(system: &System, client: &Client) -> Result<Claims> {
    let jwks = client.get("/.well-known/jwks.json").await?.expect(200)?;
    let expected = Expected {
        issuer: system.public_url(),
        audience: system.public_url(),
    };
    let access = client.cookie(cookie::ACCESS).context("access cookie")?;
    let verified = token::verify(&access, &KeySet::from_jwks(&jwks.text())?, &expected)?;
    Ok(verified.claims().clone())
}

async fn generation(system: &System) -> Result<i64> {
    let mut db = system.db.connect().await?;
    Ok(sqlx::query_scalar("select generation from sessions")
        .fetch_one(&mut db)
        .await?)
}

fn session_cookies(answer: &Answer) -> Vec<String> {
    let ours = |set: &&str| set.starts_with(cookie::ACCESS) || set.starts_with(cookie::REFRESH);
    answer
        .headers_named("set-cookie")
        .into_iter()
        .filter(ours)
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn an_expired_token_is_renewed_and_the_body_arrives_whole() -> Result<()> {
    let system = System::start().await?;
    let client = with_expired_token(&system).await?;
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let request = client.request(Method::POST, "/api/test/echo");
    let answer = request.body(body.clone()).send().await?.expect(200)?;
    ensure!(answer.bytes() == body, "{} bytes", answer.bytes().len());
    assert_eq!(session_cookies(&answer).len(), 2);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(generation(&system).await?, 1);

    let next = client.get("/api/x").await?.expect(200)?;
    ensure!(next.headers_named("set-cookie").is_empty(), "renewed once");
    assert_eq!(generation(&system).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_token_under_a_key_that_is_no_longer_there_is_renewed() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let claims = claims(&system, &client).await?;
    let gone = SigningKey::ed25519("gone".to_owned(), &Secret::from_bytes([7; 32]));
    let before = SigningKey::hs256(&RootSecret::parse("pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J")?);
    for key in [gone, before] {
        let token = token::mint(&claims, &key)?;
        let (script, page) = (client.copy(), client.copy());
        script.set_cookie(cookie::ACCESS, &token);
        page.set_cookie(cookie::ACCESS, &token);
        let answer = script.get("/api/x").await?.expect(200)?;
        assert_eq!(session_cookies(&answer).len(), 2);
        let answer = page.navigate("/app/").await?.expect(200)?;
        assert_eq!(session_cookies(&answer).len(), 2);
        // Without a refresh token it is no more than a token of somebody else's.
        script.set_cookie(cookie::ACCESS, &token);
        script.remove_cookie(cookie::REFRESH);
        let refused = script.get("/api/x").await?;
        refused.expect_problem(401, "token_invalid")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refresh_cookie_alone_is_enough() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    system.advance(PAST_ACCESS).await?;
    ensure!(
        client.cookie(cookie::ACCESS).is_none(),
        "the browser dropped it"
    );
    let page = client.navigate("/app/").await?.expect(200)?;
    assert_eq!(session_cookies(&page).len(), 2);
    client.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn the_origins_own_cookies_stay_beside_the_new_ones() -> Result<()> {
    let system = System::start().await?;
    let client = with_expired_token(&system).await?;
    let answer = client.post("/api/test/set-cookies").await?.expect(200)?;
    let all = answer.headers_named("set-cookie");
    assert_eq!(all.len(), 4, "{all:?}");
    for own in [
        "theme=dark; Path=/",
        "seen=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT",
    ] {
        ensure!(all.contains(&own), "{own} in {all:?}");
    }
    assert_eq!(session_cookies(&answer).len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_role_given_a_moment_ago_opens_the_route_at_the_next_request() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    client
        .get("/admin/x")
        .await?
        .expect_problem(403, "forbidden")?;
    let grant = ["users", "grant", "--email", BOB.email, "--role", "admin"];
    operator(&system, &grant).await?;
    system.advance(Duration::from_secs(2)).await?;
    let answer = client.get("/admin/x").await?.expect(200)?;
    assert_eq!(session_cookies(&answer).len(), 2, "claims-stale: renewed");
    let roles = answer.received()?;
    assert_eq!(roles.header("portcullis-roles"), Some("admin,user"));
    Ok(())
}

#[tokio::test]
async fn ten_requests_of_one_page_all_succeed_and_leave_one_generation() -> Result<()> {
    let system = System::start().await?;
    let client = with_expired_token(&system).await?;
    let mut running = JoinSet::new();
    for index in 0..10 {
        let tab = client.clone();
        running.spawn(async move { tab.get(&format!("/api/part/{index}")).await?.expect(200) });
    }
    for answer in running.join_all().await {
        answer?;
    }
    assert_eq!(generation(&system).await?, 1, "one successor for all");
    // Whichever answer came last left its cookies: they go on.
    client.get("/api/x").await?.expect(200)?;
    client.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_renewed_request_is_decided_anew() -> Result<()> {
    let system = System::start().await?;
    let client = with_expired_token(&system).await?;
    let refused = client.get("/admin/x").await?;
    let refused = refused.expect_problem(403, "forbidden")?;
    // The refresh token is used up: the browser needs its successor, though the route stays closed.
    assert_eq!(session_cookies(&refused).len(), 2);
    client.get("/api/x").await?.expect(200)?;
    assert_eq!(generation(&system).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_is_down_or_slow_costs_no_cookie() -> Result<()> {
    let system = System::start().await?;
    let client = with_expired_token(&system).await?;
    let cookies = client.cookies();
    system.cut(Link::EdgeIssuer);
    let answer = client.get("/api/x").await?;
    let answer = answer.expect_problem(502, "issuer_unreachable")?;
    ensure!(answer.headers_named("set-cookie").is_empty());
    let page = client.navigate("/app/").await?.expect(502)?;
    ensure!(page.text().contains("<h1") && page.headers_named("set-cookie").is_empty());

    system.heal(Link::EdgeIssuer);
    system.stall(Link::EdgeIssuer);
    let started = Instant::now();
    let answer = client.get("/api/x").await?;
    let answer = answer.expect_problem(504, "issuer_unreachable")?;
    let waited = started.elapsed();
    ensure!(
        (Duration::from_millis(1_900)..Duration::from_secs(5)).contains(&waited),
        "a limit of 2 s, but {waited:?}"
    );
    ensure!(answer.headers_named("set-cookie").is_empty());
    assert_eq!(client.cookies(), cookies);

    system.heal(Link::EdgeIssuer);
    client.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn only_a_definite_end_clears_the_cookies() -> Result<()> {
    let system = System::start().await?;
    let ended = with_expired_token(&system).await?;
    ended.copy().logout().await?.expect(204)?;
    let page = ended.copy();
    ended
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;
    ensure!(ended.cookies().is_empty(), "{:?}", ended.cookies());
    let refused = page.navigate("/app/").await?.expect(303)?;
    ensure!(page.cookies().is_empty());
    assert_eq!(refused.location(), Some("/auth/login?return_to=/app/"));

    let owner = system.login(&BOB).await?;
    let thief = owner.copy();
    thief.remove_cookie(cookie::ACCESS);
    owner.refresh().await?.expect(200)?;
    owner.refresh().await?.expect(200)?;
    thief
        .get("/api/x")
        .await?
        .expect_problem(401, "refresh_reused")?;
    ensure!(thief.cookies().is_empty(), "{:?}", thief.cookies());

    let stranger = system.client()?;
    stranger.set_cookie(cookie::REFRESH, "forged");
    let refused = stranger.get("/api/x").await?;
    let refused = refused.expect_problem(401, "unauthenticated")?;
    ensure!(refused.headers_named("set-cookie").is_empty());
    Ok(())
}

#[tokio::test]
async fn an_older_copy_does_not_clear_the_cookies_of_a_newer_session() -> Result<()> {
    let system = System::start().await?;
    let browser = with_expired_token(&system).await?;
    // A tab that still sends what it had when the same browser signed in again.
    let tab = browser.copy();
    browser.sign_in(&BOB).await?.expect(200)?;
    let refused = tab.get("/api/x").await?;
    let refused = refused.expect_problem(401, "session_ended")?;
    ensure!(refused.headers_named("set-cookie").is_empty());
    let led = tab.navigate("/app/").await?.expect(303)?;
    ensure!(led.headers_named("set-cookie").is_empty());
    let refused = tab.refresh().await?;
    let refused = refused.expect_problem(401, "session_ended")?;
    ensure!(refused.headers_named("set-cookie").is_empty());
    browser.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_copy_of_a_session_that_was_signed_out_loses_its_cookies() -> Result<()> {
    let system = System::start().await?;
    let browser = with_expired_token(&system).await?;
    let (by_script, by_link, by_refresh) = (browser.copy(), browser.copy(), browser.copy());
    browser.logout().await?.expect(204)?;
    let refused = by_script.get("/api/x").await?;
    refused.expect_problem(401, "session_ended")?;
    by_link.navigate("/app/").await?.expect(303)?;
    let refused = by_refresh.refresh().await?;
    refused.expect_problem(401, "session_ended")?;
    for copy in [by_script, by_link, by_refresh] {
        ensure!(copy.cookies().is_empty(), "{:?}", copy.cookies());
    }
    Ok(())
}

#[tokio::test]
async fn a_bearer_client_is_told_to_renew_by_itself() -> Result<()> {
    let system = System::start().await?;
    let client = with_expired_token(&system).await?;
    let token = client.cookie(cookie::ACCESS).context("access cookie")?;
    let request = client.request(Method::GET, "/api/x").mode(Mode::Bare);
    let answer = request.bearer(&token).without_cookies().send().await?;
    let answer = answer.expect_problem(401, "token_expired")?;
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    ensure!(challenge.contains("invalid_token"), "{challenge}");
    ensure!(answer.headers_named("set-cookie").is_empty());
    assert_eq!(generation(&system).await?, 0);
    Ok(())
}

#[tokio::test]
async fn another_sites_request_renews_nothing() -> Result<()> {
    let system = System::start().await?;
    let client = with_expired_token(&system).await?;
    let cookies: Vec<String> = client
        .cookies()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let request = client
        .request(Method::POST, "/api/x")
        .mode(Mode::CrossSite)
        .header("cookie", &cookies.join("; "));
    request.send().await?.expect_problem(403, "csrf")?;
    assert_eq!(generation(&system).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_route_that_is_open_to_all_renews_nothing() -> Result<()> {
    let system = System::start().await?;
    let client = with_expired_token(&system).await?;
    let page = client.navigate("/").await?.expect(200)?;
    ensure!(page.headers_named("set-cookie").is_empty());
    assert_eq!(generation(&system).await?, 0);
    Ok(())
}
