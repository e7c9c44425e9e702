//! Where an edge's knowledge comes from, and what is told where none is young enough.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use harness::cache_api::CacheApi;
use harness::system::{ADA, BOB, Client, Link, System};
use harness::wait::until;
use serde_json::json;
use shared::cookie;
use shared::revocation::RevocationSet;
use shared::wire::kv;

use crate::support::{operator, published, until_published};

#[tokio::test]
async fn one_question_to_the_issuer_serves_all_requests_that_wait() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    ada.get("/admin/x").await?.expect(200)?;
    system.advance(Duration::from_secs(10)).await?;
    let before = system.feed_requests(0)?;
    let answers = try_join_all((0..40).map(|_| ada.get("/admin/x"))).await?;
    for answer in answers {
        answer.expect(200)?;
    }
    let asked = system.feed_requests(0)? - before;
    // All wait for the first; a second may be asked in the background when the answer has aged meanwhile.
    ensure!(
        (1..=2).contains(&asked),
        "the issuer was asked {asked} times"
    );
    Ok(())
}

#[tokio::test]
async fn the_isolates_of_a_location_share_an_answer_of_the_issuer() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    ada.get("/admin/x").await?.expect(200)?;
    system.cut(Link::EdgeKv);
    let cache = cache(&system)?;
    // Two cold isolates of one location, within the second in which an answer serves: the second finds it. A slow machine
    // may take longer than that between them, and then they try again.
    until(
        "an answer to be shared",
        Duration::from_secs(60),
        async || {
            let (hits, asked) = (cache.counts().hits, system.feed_requests(0));
            for _ in 0..2 {
                let restarted = system.edges[0].restart().await;
                let answer = ada.get("/admin/x").await;
                if restarted.is_err() || !answer.is_ok_and(|answer| answer.status() == 200) {
                    return false;
                }
            }
            let asked_since = match (asked, system.feed_requests(0)) {
                (Ok(before), Ok(after)) => after - before,
                _ => return false,
            };
            cache.counts().hits > hits && asked_since == 1
        },
    )
    .await
}

fn cache(system: &System) -> Result<&CacheApi> {
    system.caches.first().context("a location has a cache")
}

/// A cold isolate asks the issuer for `client`'s request, and keeps the answer for the others of its location.
async fn share_an_answer(system: &System, client: &Client) -> Result<()> {
    let cache = cache(system)?;
    system.edges[0].restart().await?;
    cache.clear();
    let puts = cache.counts().puts;
    client.get("/admin/x").await?.expect(200)?;
    until(
        "an answer to be shared",
        Duration::from_secs(20),
        async || cache.counts().puts > puts,
    )
    .await
}

/// Another cold isolate of the location finds that answer, and refuses the session of `thief` all the same.
async fn refuses_by_what_was_shared(system: &System, thief: &Client) -> Result<()> {
    let cache = cache(system)?;
    system.edges[0].restart().await?;
    let hits = cache.counts().hits;
    let refused = thief.get("/admin/x").await?;
    refused.expect_problem(401, "session_ended")?;
    ensure!(cache.counts().hits > hits, "what was shared was found");
    Ok(())
}

/// A cache that counts in whole seconds may keep an answer for longer than it was told, and the clock of the isolate that
/// asked may be ahead: neither makes the answer younger.
#[tokio::test]
async fn what_another_isolate_shared_is_no_younger_for_its_clock_or_its_cache() -> Result<()> {
    let system = System::start().await?;
    let owner = system.login(&ADA).await?;
    let thief = owner.copy();
    system.cut(Link::EdgeKv);
    cache(&system)?.set_overdue(true);
    let edge = &system.edges[0];
    edge.set_clock_ahead(Duration::from_secs(4)).await?;
    share_an_answer(&system, &thief).await?;
    owner
        .at(system.issuers[0].addr())
        .logout()
        .await?
        .expect(204)?;
    // From here on all clocks agree, and the session has ended two seconds ago.
    system.advance(Duration::from_secs(2)).await?;
    refuses_by_what_was_shared(&system, &thief).await
}

/// When an answer was asked for is under its MAC: whoever can write to the cache cannot make it younger.
#[tokio::test]
async fn what_another_isolate_shared_is_no_younger_for_what_the_cache_claims() -> Result<()> {
    let system = System::start().await?;
    let owner = system.login(&ADA).await?;
    let thief = owner.copy();
    system.cut(Link::EdgeKv);
    let cache = cache(&system)?;
    cache.set_overdue(true);
    cache.set_lying(true);
    share_an_answer(&system, &thief).await?;
    let straight = owner.at(system.issuers[0].addr());
    straight.logout().await?.expect(204)?;
    // The issuer's own time, which the edge checks, is within what clocks may differ by.
    system.advance(Duration::from_secs(4)).await?;
    refuses_by_what_was_shared(&system, &thief).await
}

#[tokio::test]
async fn an_issuer_that_knows_nothing_young_is_not_asked_by_each_request_in_turn() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    ada.get("/admin/x").await?.expect(200)?;
    // From here on it answers after a second, with what it knew before.
    system.stall(Link::IssuerDb);
    system.advance(Duration::from_secs(10)).await?;
    let (before, begun) = (system.feed_requests(0)?, Instant::now());
    let answers = try_join_all((0..12).map(|_| ada.get("/admin/x"))).await?;
    for answer in answers {
        answer.expect_problem(503, "revocations_stale")?;
    }
    let (asked, waited) = (system.feed_requests(0)? - before, begun.elapsed());
    ensure!(
        (1..=3).contains(&asked),
        "the issuer was asked {asked} times"
    );
    // Five seconds are the most that one of them waits; the rest is the machine's.
    ensure!(waited < Duration::from_secs(9), "{waited:?}");
    Ok(())
}

#[tokio::test]
async fn a_young_head_in_kv_leaves_the_issuer_alone() -> Result<()> {
    let system = System::start().await?;
    let bob = system.login(&BOB).await?;
    bob.get("/api/x").await?.expect(200)?;
    let before = system.feed_requests(0)?;
    for _ in 0..20 {
        system.advance(Duration::from_secs(15)).await?;
        // The clock jumped; in truth the heartbeat would have come meanwhile.
        until("a heartbeat", Duration::from_secs(20), async || {
            let now = system.clock().now();
            published(&system).is_ok_and(|kv| now.since(kv.head.made_at) < Duration::from_secs(30))
        })
        .await?;
        // Each answer lets the edge look into KV afterwards, where that is due.
        bob.get("/api/x").await?.expect(200)?;
        bob.get("/api/x").await?.expect(200)?;
    }
    let asked = system.feed_requests(0)? - before;
    ensure!(
        asked == 0,
        "in five minutes the issuer was asked {asked} times"
    );
    ensure!(system.kv.reads(kv::REVOCATIONS_HEAD) > 5, "KV was read");
    Ok(())
}

#[tokio::test]
async fn the_issuer_closes_the_gap_where_kv_lags() -> Result<()> {
    let system = System::start().await?;
    let owner = system.login(&BOB).await?;
    let thief = owner.copy();
    thief.get("/api/x").await?.expect(200)?;
    system.kv.set_write_fault(harness::kv::Fault::Down);
    owner.logout().await?.expect(204)?;
    system.advance(Duration::from_secs(61)).await?;
    thief
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")
        .map(drop)
}

#[tokio::test]
async fn why_nothing_young_enough_was_there_is_logged_and_counted() -> Result<()> {
    let system = System::start().await?;
    let bob = system.login(&BOB).await?;
    bob.get("/api/x").await?.expect(200)?;
    system.cut(Link::EdgeIssuer);
    system.cut(Link::EdgeKv);
    system.advance(Duration::from_secs(61)).await?;
    let answer = bob.get("/api/x").await?;
    ensure!(
        answer.header("retry-after").is_some(),
        "it says when to come back"
    );
    answer.expect_problem(503, "revocations_stale")?;
    ensure_told(&system, "/api/x", "refused").await
}

#[tokio::test]
async fn what_is_served_although_it_is_stale_is_logged_and_counted() -> Result<()> {
    let routes = json!([
        {"path": "/", "access": "public"},
        {"path": "/api/lenient/*", "access": "user", "api": true, "when_stale": "serve"},
    ]);
    let system = System::builder().routes(routes).start().await?;
    let bob = system.login(&BOB).await?;
    bob.get("/api/lenient/x").await?.expect(200)?;
    ensure!(
        system.edges[0].metrics().await?.is_empty(),
        "it is young: nothing is told"
    );
    system.cut(Link::EdgeIssuer);
    system.cut(Link::EdgeKv);
    system.advance(Duration::from_secs(61)).await?;
    bob.get("/api/lenient/x").await?.expect(200)?;
    let log = system.edges[0].log().await;
    ensure!(log.contains("\"message\":\"served although"), "{log}");
    ensure_told(&system, "/api/lenient/x", "served").await
}

/// That log and metric of edge 0 say of a request for `path` what became of it, and why neither KV nor the issuer helped.
async fn ensure_told(system: &System, path: &str, outcome: &str) -> Result<()> {
    let log = system.edges[0].log().await;
    let path = format!("\"path\":\"{path}\"");
    for told in [
        path.as_str(),
        "\"kv\":\"KV",
        "\"issuer\":\"the sign-in service",
    ] {
        ensure!(log.contains(told), "{told} in {log}");
    }
    let points = system.edges[0].metrics().await?;
    let point = points
        .iter()
        .find(|point| point["indexes"][0] == "revocations_stale")
        .context("a data point")?;
    assert_eq!(point["blobs"][0], outcome);
    let age = point["doubles"][0].as_f64().context("an age")?;
    ensure!((60.0..120.0).contains(&age), "{age} s");
    Ok(())
}

/// While an edge's clock is ahead, entries look expired, and a part of them is dropped at each update. Once the clock is right
/// again they are of use again. So many sessions have ended that every part holds some.
#[tokio::test]
async fn a_clock_that_steps_forward_and_back_revives_no_session() -> Result<()> {
    let system = System::start().await?;
    let edge = &system.edges[0];
    let mut thieves = Vec::new();
    for _ in 0..3 * RevocationSet::PARTS {
        thieves.push(system.login(&ADA).await?.copy());
    }
    let signed_in = Duration::from_secs(13 * 60);
    system.advance(signed_in).await?;
    let other = system.login(&BOB).await?;
    operator(&system, &["sessions", "end", "--email", ADA.email]).await?;
    until_published(&system).await?;
    for thief in &thieves {
        thief.remove_cookie(cookie::REFRESH);
        let refused = thief.get("/api/x").await?;
        refused.expect_problem(401, "session_ended")?;
    }

    edge.set_clock_ahead(signed_in + Duration::from_secs(6 * 60))
        .await?;
    // Straight at the issuer, so that the edge's clock has no part in it.
    let straight = system.issuer_client(0)?;
    straight.sign_in(&BOB).await?.expect(200)?;
    straight.logout().await?.expect(204)?;
    until_published(&system).await?;
    // Reads KV, drops a part of what looks expired, and finds what it has too old.
    let stale = other.get("/api/x").await?;
    stale.expect_problem(503, "revocations_stale")?;

    system.cut(Link::EdgeKv);
    edge.set_clock_ahead(signed_in).await?;
    other.get("/api/x").await?.expect(200)?;
    for thief in &thieves {
        let refused = thief.get("/api/x").await?;
        refused.expect_problem(401, "session_ended")?;
    }
    Ok(())
}
