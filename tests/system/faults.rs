//! When a part is down: the answers that the README promises, never an open door and never a panic page.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::kv::Fault;
use harness::system::{ADA, BOB, Client, Link, System};
use harness::wait::until;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{health, until_published};

/// How many requests wait for their renewal when the worker panics beside them.
const WAITING: i64 = 3;

#[tokio::test]
async fn without_the_issuer_guarded_routes_go_on_and_sign_in_says_so() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    client.get("/api/x").await?.expect(200)?;
    system.cut(Link::EdgeIssuer);
    client.get("/api/x").await?.expect(200)?;
    let cookies = client.cookies();
    let answer = client.refresh().await?;
    ensure!([502, 504].contains(&answer.status()), "{}", answer.status());
    assert_eq!(answer.code().as_deref(), Some("issuer_unreachable"));
    assert_eq!(client.cookies(), cookies, "no cookie is cleared");
    system.heal(Link::EdgeIssuer);
    client.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_cold_edge_without_kv_asks_the_issuer() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let thief = system.login(&BOB).await?;
    let copy = thief.copy();
    thief.logout().await?.expect(204)?;
    // While Postgres is slow the feed is from a moment before the logout, which is within the route's bound.
    until_published(&system).await?;
    for fault in [Fault::Down, Fault::Garbage] {
        system.kv.set_read_fault(fault);
        system.edges[0].restart().await?;
        client.get("/api/x").await?.expect(200)?;
        copy.get("/api/x")
            .await?
            .expect_problem(401, "session_ended")?;
    }
    Ok(())
}

#[tokio::test]
async fn an_edge_that_can_learn_nothing_lets_nobody_in() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    system.kv.set_read_fault(Fault::Down);
    system.cut(Link::EdgeIssuer);
    system.edges[0].restart().await?;
    let answer = client.get("/api/x").await?;
    ensure!(
        [502, 503, 504].contains(&answer.status()),
        "{}: {}",
        answer.status(),
        answer.text()
    );
    ensure!(answer.code().is_some(), "problem+json: {}", answer.text());
    system.client()?.navigate("/").await?.expect(200)?;
    let page = client.navigate("/app/").await?;
    ensure!(
        [502, 503, 504].contains(&page.status()) && page.text().contains("<h1"),
        "a page for people: {}",
        page.text()
    );
    assert_eq!(system.origin.count(), 1, "only the public page");

    system.kv.set_read_fault(None);
    system.heal(Link::EdgeIssuer);
    until("the edge recovers", Duration::from_secs(20), async || {
        client
            .get("/api/x")
            .await
            .is_ok_and(|answer| answer.status() == 200)
    })
    .await
}

#[tokio::test]
async fn past_its_freshness_a_route_refuses_or_serves_as_its_rule_says() -> Result<()> {
    let routes = json!([
        {"path": "/", "access": "public"},
        {"path": "/api/strict/*", "access": "user", "api": true, "freshness": "60s", "when_stale": "refuse"},
        {"path": "/api/lenient/*", "access": "user", "api": true, "freshness": "60s", "when_stale": "serve"},
    ]);
    let system = System::builder().routes(routes).start().await?;
    let client = system.login(&BOB).await?;
    client.get("/api/strict/x").await?.expect(200)?;
    system.kv.set_read_fault(Fault::Down);
    system.cut(Link::EdgeIssuer);
    system.advance(Duration::from_secs(120)).await?;
    let answer = client
        .get("/api/strict/x")
        .await?
        .expect_problem(503, "revocations_stale")?;
    ensure!(answer.header("retry-after").is_some());
    client.get("/api/lenient/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn without_the_origin_the_edge_says_so() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    system.cut(Link::EdgeOrigin);
    let answer = client.get("/api/x").await?;
    assert_eq!(answer.status(), 502, "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn without_postgres_nothing_is_promised() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&ADA).await?;
    system.cut(Link::IssuerDb);
    let cookies = client.cookies();
    let answer = client.refresh().await?;
    ensure!(
        answer.status() >= 500 && answer.code().is_some(),
        "{}: {}",
        answer.status(),
        answer.text()
    );
    assert_eq!(client.cookies(), cookies, "no cookie is cleared");
    client.get("/api/x").await?.expect(200)?;
    assert_eq!(health(&system, "/readyz").await?, 503);
    assert_eq!(health(&system, "/healthz").await?, 200);
    system.heal(Link::IssuerDb);
    until("the issuer recovers", Duration::from_secs(30), async || {
        client
            .refresh()
            .await
            .is_ok_and(|answer| answer.status() == 200)
    })
    .await
}

#[tokio::test]
async fn a_panic_fails_one_request_and_no_more() -> Result<()> {
    let system = System::builder().panic_on_demand().start().await?;
    let client = system.login(&BOB).await?;
    client.get("/api/x").await?.expect(200)?;
    // On the hot path, and behind an await: a stranger's refusal is written there.
    for (asker, path) in [
        (client.clone(), "/panic-on-demand/now"),
        (system.client()?, "/panic-on-demand/later"),
    ] {
        for _ in 0..3 {
            let answer = asker.get(path).await?;
            answer.expect_problem(500, "internal")?;
            client.get("/api/x").await?.expect(200)?;
        }
    }
    Ok(())
}

/// How many of the issuer's statements wait for what another transaction holds.
async fn held_back(system: &System) -> Result<i64> {
    let count = "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'";
    let mut db = system.db.connect().await?;
    Ok(sqlx::query_scalar(count).fetch_one(&mut db).await?)
}

/// While the issuer holds back the renewals of `client`'s requests, and one request that was passed on to it, a stranger
/// makes the worker panic.
async fn panic_beside_waiting(system: &System, client: &Client, path: &str) -> Result<()> {
    let mut waiting = JoinSet::new();
    for _ in 0..WAITING {
        let client = client.clone();
        waiting.spawn(async move { client.get("/api/x").await });
    }
    until("them to wait", Duration::from_secs(10), async || {
        let held = held_back(system).await;
        held.is_ok_and(|held| held == WAITING + 1)
    })
    .await?;
    let panicked = system.client()?.get(path).await?;
    panicked.expect_problem(500, "internal")?;
    let answers = timeout(Duration::from_secs(10), waiting.join_all());
    for answer in answers
        .await
        .context("a request that waited beside a panic hangs")?
    {
        answer?.expect_problem(500, "internal")?;
    }
    Ok(())
}

#[tokio::test]
async fn requests_that_wait_beside_a_panic_are_told_so() -> Result<()> {
    let system = System::builder().panic_on_demand().start().await?;
    for path in ["/panic-on-demand/now", "/panic-on-demand/later"] {
        let client = system.login(&BOB).await?;
        system.advance(Duration::from_secs(16 * 60)).await?;
        let other = system.login(&ADA).await?;
        let mut held = system.db.connect().await?;
        sqlx::raw_sql("begin; select from sessions for update")
            .execute(&mut held)
            .await?;
        let passed_on = other.clone();
        let passed_on = tokio::spawn(async move { passed_on.refresh().await });
        panic_beside_waiting(&system, &client, path).await?;
        other.get("/api/x").await?.expect(200)?;
        sqlx::raw_sql("rollback").execute(&mut held).await?;
        // It had been passed on: nothing of it was lost.
        passed_on.await??.expect(200)?;
        // What the issuer still answers to those who waited is lost, not their session.
        client.get("/api/x").await?.expect(200)?;
        other.get("/api/x").await?.expect(200)?;
    }
    Ok(())
}
