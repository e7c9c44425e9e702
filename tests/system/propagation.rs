//! An ended session is refused at every edge: through KV, and sooner through the issuer where a route asks for it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::kv::Fault;
use harness::system::{ADA, BOB, Link, System};
use harness::wait::until;
use shared::cookie;
use shared::wire::kv;

use crate::support::{access_token, operator, published, until_published};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_strict_route_refuses_an_ended_session_within_two_seconds() -> Result<()> {
    let system = System::builder().edges(2).start().await?;
    let owner = system.login(&ADA).await?;
    let thief = owner.copy().at(system.edges[1].addr());
    thief.get("/admin/x").await?.expect(200)?;
    owner.logout().await?.expect(204)?;
    system.advance(Duration::from_secs(2)).await?;
    thief
        .get("/admin/x")
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn every_edge_learns_it_from_kv_within_a_minute_and_never_asks_the_issuer() -> Result<()> {
    let system = System::builder().edges(2).start().await?;
    let owner = system.login(&BOB).await?;
    let thief = owner.copy().at(system.edges[1].addr());
    thief.get("/api/x").await?.expect(200)?;
    owner.logout().await?.expect(204)?;
    until_published(&system).await?;
    system.cut(Link::EdgeIssuer);
    system.advance(Duration::from_secs(31)).await?;
    until(
        "the edge refuses the ended session",
        Duration::from_secs(20),
        async || {
            thief
                .get("/api/x")
                .await
                .is_ok_and(|answer| answer.code().as_deref() == Some("session_ended"))
        },
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn what_was_ended_while_kv_was_down_arrives_when_it_is_back() -> Result<()> {
    let system = System::start().await?;
    let owner = system.login(&BOB).await?;
    let thief = owner.copy();
    until("keys", SOON, async || {
        system.kv.value(kv::KEY_SET).is_some() && published(&system).is_ok()
    })
    .await?;
    system.kv.set_write_fault(Fault::Down);
    owner.logout().await?.expect(204)?;
    // The second is surely of a head that tells of it, and a retry.
    let refusals = system.kv.refusals();
    until("two writes to be refused", SOON, async || {
        system.kv.refusals() >= refusals + 2
    })
    .await?;
    ensure!(published(&system)?.entries().is_empty());
    system.kv.set_write_fault(None);
    until_published(&system).await?;
    system.edges[0].restart().await?;
    system.cut(Link::EdgeIssuer);
    thief
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn what_was_ended_right_before_a_crash_is_published_after_it() -> Result<()> {
    let system = System::builder().processes().start().await?;
    let owner = system.login(&BOB).await?;
    let thief = owner.copy();
    system.kv.set_write_fault(Fault::Down);
    owner.logout().await?.expect(204)?;
    system.issuers[0].kill().await?;
    system.kv.set_write_fault(None);
    system.issuers[0].restart().await?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    thief
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn another_issuer_publishes_when_the_publisher_is_killed() -> Result<()> {
    let system = System::builder().issuers(2).processes().start().await?;
    until("a head", SOON, async || published(&system).is_ok()).await?;
    for dying in [0, 1] {
        system.issuers[dying].kill().await?;
        let client = system.issuer_client(1 - dying)?;
        client.sign_in(&BOB).await?.expect(200)?;
        client.logout().await?.expect(204)?;
        until_published(&system).await?;
        system.issuers[dying].restart().await?;
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_skipped_while_a_transaction_is_held_open_across_others() -> Result<()> {
    let system = System::start().await?;
    let (first, second) = (system.login(&BOB).await?, system.login(&BOB).await?);
    let mut held = system.db.connect().await?;
    sqlx::raw_sql("begin; select pg_current_xact_id()")
        .execute(&mut held)
        .await?;
    let insert = "insert into revocations (kind, subject, created_at, expires_at)
                  select 'session', id, now(), now() + interval '1 hour' from sessions order by ordinal limit 1";
    sqlx::raw_sql(insert).execute(&mut held).await?;
    second.logout().await?.expect(204)?;
    until_published(&system).await?;
    first.get("/api/x").await?.expect(200)?;
    sqlx::raw_sql("select pg_notify('portcullis_revocations', ''); commit")
        .execute(&mut held)
        .await?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    system.cut(Link::EdgeIssuer);
    first
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn a_bad_or_old_snapshot_in_kv_does_not_bring_a_session_back() -> Result<()> {
    let system = System::start().await?;
    let owner = system.login(&BOB).await?;
    let thief = owner.copy();
    let other = system.login(&ADA).await?;
    until_published(&system).await?;
    let before = system
        .kv
        .value(kv::REVOCATIONS_HEAD)
        .context("a snapshot in KV")?;
    owner.logout().await?.expect(204)?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    thief
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;

    system.kv.set_write_fault(Fault::Down);
    let current = system
        .kv
        .value(kv::REVOCATIONS_HEAD)
        .context("a snapshot in KV")?;
    let mut flipped = current.clone();
    flipped[9] ^= 1;
    for bad in [
        before,
        flipped,
        current[..current.len() - 1].to_vec(),
        vec![],
        b"garbage".to_vec(),
    ] {
        system.kv.put(kv::REVOCATIONS_HEAD, bad);
        let reads = system.kv.reads(kv::REVOCATIONS_HEAD);
        system.advance(Duration::from_secs(31)).await?;
        thief
            .get("/api/x")
            .await?
            .expect_problem(401, "session_ended")?;
        other.get("/api/x").await?.expect(200)?;
        until(
            "the edge looks into KV",
            Duration::from_secs(20),
            async || system.kv.reads(kv::REVOCATIONS_HEAD) > reads,
        )
        .await?;
        thief
            .get("/api/x")
            .await?
            .expect_problem(401, "session_ended")?;
    }
    Ok(())
}

#[tokio::test]
async fn everyone_is_refused_at_every_edge_and_may_sign_in_anew() -> Result<()> {
    let system = System::builder().edges(2).start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let others = bob.copy().at(system.edges[1].addr());
    for client in [&ada, &bob, &others] {
        client.get("/api/x").await?.expect(200)?;
    }
    operator(&system, &["sessions", "end", "--everyone"]).await?;
    until_published(&system).await?;
    for edge in &system.edges {
        edge.restart().await?;
    }
    for client in [&ada, &bob, &others] {
        client
            .get("/api/x")
            .await?
            .expect_problem(401, "session_ended")?;
    }
    system.login(&ADA).await?.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn one_revoked_token_is_refused_and_its_session_goes_on() -> Result<()> {
    let system = System::builder()
        .setting("JWT_SECRET", "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p")
        .start()
        .await?;
    let owner = system.login(&BOB).await?;
    let thief = owner.copy();
    thief.remove_cookie(cookie::REFRESH);
    thief.get("/api/x").await?.expect(200)?;
    let jti = access_token(&system, &owner)?.claims().jti.to_string();
    operator(&system, &["tokens", "revoke", &jti]).await?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    thief
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;
    owner.refresh().await?.expect(200)?;
    owner.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn the_happy_path_asks_neither_issuer_nor_kv() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    client.get("/api/x").await?.expect(200)?;
    let reads = system.kv.reads(kv::REVOCATIONS_HEAD);
    system.cut(Link::EdgeIssuer);
    for _ in 0..50 {
        client.get("/api/x").await?.expect(200)?;
    }
    let reads = system.kv.reads(kv::REVOCATIONS_HEAD) - reads;
    ensure!(
        reads <= 2,
        "KV is read per half minute, not per request: {reads}"
    );
    Ok(())
}
