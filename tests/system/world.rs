//! A map of the world: edges that are locations of their own, and what is kept while any of it breaks.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use harness::faults::{self, Plan};
use harness::system::{ADA, BOB, Client, Link, System};
use harness::wait::until;
use harness::watch::{CLASSES, Class};
use shared::wire::kv;

use crate::support::until_published;

#[tokio::test]
async fn every_location_learns_it_from_a_kv_that_lags() -> Result<()> {
    let lag = Duration::ZERO..=Duration::from_secs(20);
    let system = System::builder().edges(3).kv_lag(lag, 1).start().await?;
    let owner = system.login(&BOB).await?;
    let thief = owner.copy();
    for edge in &system.edges {
        thief.at(edge.addr()).get("/api/x").await?.expect(200)?;
    }
    let asked_at = system.clock().now();
    owner.logout().await?.expect(204)?;
    until_published(&system).await?;
    for location in 0..system.edges.len() {
        let shown = system
            .kv
            .shows_from(location, kv::REVOCATIONS_HEAD, asked_at);
        ensure!(shown.is_some(), "what was published arrives at {location}");
    }
    system.cut(Link::EdgeIssuer);
    system.advance(Duration::from_secs(31)).await?;
    for (location, edge) in system.edges.iter().enumerate() {
        let thief = thief.at(edge.addr());
        until("the edge to refuse", Duration::from_secs(20), async || {
            let answer = thief.get("/api/x").await;
            answer.is_ok_and(|answer| answer.code().as_deref() == Some("session_ended"))
        })
        .await?;
        ensure!(system.kv.reads_at(location, kv::REVOCATIONS_HEAD) > 0);
    }
    Ok(())
}

#[tokio::test]
async fn one_edge_is_cut_off_and_the_others_are_not() -> Result<()> {
    let system = System::builder().edges(2).start().await?;
    let client = system.login(&ADA).await?;
    let at = |edge: usize| client.at(system.edges[edge].addr());
    for edge in 0..2 {
        at(edge).get("/admin/x").await?.expect(200)?;
    }
    system.cut_at(1, Link::EdgeIssuer)?;
    system.advance(Duration::from_secs(10)).await?;
    at(0).get("/admin/x").await?.expect(200)?;
    at(1)
        .get("/admin/x")
        .await?
        .expect_problem(503, "revocations_stale")?;
    ensure!(system.feed_requests(0)? > 0);
    system.heal_at(1, Link::EdgeIssuer)?;
    until("the edge to recover", Duration::from_secs(10), async || {
        let answer = at(1).get("/admin/x").await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await
}

/// Asks until the session is refused as ended. No request is let in that is sent later than `bound` after `ended`.
async fn refused_within(bound: Duration, ended: Instant, thief: Client, path: &str) -> Result<()> {
    loop {
        let sent = ended.elapsed();
        let answer = thief.get(path).await?;
        if answer.status() != 200 {
            return answer.expect_problem(401, "session_ended").map(drop);
        }
        ensure!(sent <= bound, "{path}: let in {sent:?} after its end");
    }
}

#[tokio::test]
async fn the_bounds_hold_and_the_living_pass_where_clocks_are_apart() -> Result<()> {
    // Five seconds may be, but how long an answer is under way counts as well.
    const APART: Duration = Duration::from_secs(3);
    let minute = Duration::from_secs(60);
    let system = System::builder().edges(3).start().await?;
    // Issuers and KV are ahead of the first edge, at one with the second, and behind the third.
    let set_edges = async |by: Duration| {
        for (edge, ahead) in system.edges.iter().zip(0..) {
            edge.set_clock_ahead(by + APART * ahead).await?;
        }
        anyhow::Ok(())
    };
    system.clock().advance(APART);
    set_edges(Duration::ZERO).await?;
    let (living, owner) = (system.login(&ADA).await?, system.login(&ADA).await?);
    let thief = owner.copy();
    let at_all = async |client: &Client, path: &str| {
        for edge in &system.edges {
            client.at(edge.addr()).get(path).await?.expect(200)?;
        }
        anyhow::Ok(())
    };
    for path in ["/admin/x", "/api/x"] {
        at_all(&living, path).await?;
        at_all(&thief, path).await?;
    }
    owner.logout().await?.expect(204)?;
    let ended = Instant::now();
    let bound = Duration::from_secs(2);
    let edges = system.edges.iter();
    try_join_all(edges.map(|edge| refused_within(bound, ended, thief.at(edge.addr()), "/admin/x")))
        .await?;
    at_all(&living, "/admin/x").await?;
    system.clock().advance(minute);
    set_edges(minute).await?;
    for edge in &system.edges {
        let answer = thief.at(edge.addr()).get("/api/x").await?;
        answer.expect_problem(401, "session_ended")?;
    }
    at_all(&living, "/api/x").await?;
    at_all(&living, "/admin/x").await
}

#[tokio::test]
async fn an_edge_whose_clock_is_put_back_lets_no_dead_session_in() -> Result<()> {
    let system = System::start().await?;
    let (living, owner) = (system.login(&ADA).await?, system.login(&ADA).await?);
    let thief = owner.copy();
    let edge = &system.edges[0];
    edge.set_clock_ahead(Duration::from_secs(4)).await?;
    thief.get("/admin/x").await?.expect(200)?;
    owner.logout().await?.expect(204)?;
    let ended = Instant::now();
    edge.set_clock_ahead(Duration::ZERO).await?;
    refused_within(Duration::from_secs(2), ended, thief, "/admin/x").await?;
    living.get("/admin/x").await?.expect(200)?;
    // A step that is shorter than the age: nobody can say how old is what is known.
    edge.set_clock_ahead(Duration::from_secs(20)).await?;
    for link in [Link::EdgeKv, Link::EdgeIssuer] {
        system.cut(link);
    }
    living.get("/api/x").await?.expect(200)?;
    edge.set_clock_ahead(Duration::from_secs(10)).await?;
    living
        .get("/api/x")
        .await?
        .expect_problem(503, "revocations_stale")
        .map(drop)
}

#[tokio::test]
async fn whoever_publishes_is_known_and_can_be_frozen() -> Result<()> {
    let system = System::builder().issuers(2).processes().start().await?;
    until_published(&system).await?;
    let publisher = system.publisher();
    ensure!(publisher.is_some_and(|issuer| issuer < 2), "{publisher:?}");
    let frozen = publisher.unwrap_or_default();
    let credentials = serde_json::json!({"email": BOB.email, "password": BOB.password});
    system.issuers[frozen].freeze().await?;
    let client = system.issuer_client(frozen)?;
    let asked = client.post_json("/auth/login", &credentials);
    let silent = tokio::time::timeout(Duration::from_millis(300), asked).await;
    ensure!(silent.is_err(), "a frozen issuer says nothing");
    let other = system.issuer_client(1 - frozen)?;
    let answer = other.post_json("/auth/login", &credentials).await?;
    answer.expect(200)?;
    system.issuers[frozen].thaw().await?;
    let answer = client.post_json("/auth/login", &credentials).await?;
    answer.expect(200).map(drop)
}

/// The strict routes, and others with a bound that a short test can wait for.
static CLASSES_OF_A_SHORT_RUN: [Class; 2] = [
    CLASSES[0],
    Class {
        name: "soon",
        path: "/api/soon/x",
        bound: Duration::from_secs(6),
        serves_stale: false,
        until_refused: Duration::from_millis(500),
        alive: Duration::from_secs(2),
    },
];

/// `cargo measure revocation --faults 10m` is the same for longer, and with the bound of the default routes.
#[tokio::test]
async fn nothing_is_lost_while_things_break_at_random() -> Result<()> {
    let plan = Plan {
        seed: 7,
        time: Duration::from_secs(14),
        episode: Duration::from_secs(3)..=Duration::from_secs(6),
        kv_lag: Duration::ZERO..=Duration::from_secs(20),
        classes: &CLASSES_OF_A_SHORT_RUN,
    };
    let system = plan.stack().edges(8).issuers(3).start().await?;
    let counts = faults::run(&system, &plan, |line| println!("{line}")).await?;
    println!("{counts}");
    ensure!(counts.is_good(), "{counts}\n{:?}", counts.first_wrong);
    ensure!(counts.logouts > 2 && counts.answers > 500, "{counts}");
    Ok(())
}
