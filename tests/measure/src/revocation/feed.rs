//! How often a busy location asks the issuer for revocations, at each bound: one route for each edge.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use harness::raw::Connection;
use harness::system::{BOB, System};
use serde_json::json;
use shared::cookie;

use super::report::Feed;

/// Seconds.
const BOUNDS: [u64; 5] = [2, 5, 10, 30, 60];
/// Nothing that a cold edge does counts.
const WARM_UP: Duration = Duration::from_secs(30);
const TIME: Duration = Duration::from_secs(120);
/// Every route is asked for ten times a second: a location that nobody visits asks for nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks with a KV that shows writes at once, and with one that lags.
///
/// # Errors
/// The stack does not come up.
pub(super) async fn run(seed: u64) -> Result<Vec<Feed>> {
    eprintln!("feed requests at each bound");
    let (at_once, lagging) = tokio::try_join!(
        per_minute(Duration::ZERO, seed),
        per_minute(Duration::from_secs(60), seed)
    )?;
    let rows = BOUNDS.iter().zip(at_once).zip(lagging);
    Ok(rows
        .map(|((bound, kv_in_time), kv_lagging)| Feed {
            bound: *bound,
            kv_in_time,
            kv_lagging,
        })
        .collect())
}

async fn per_minute(lag: Duration, seed: u64) -> Result<Vec<f64>> {
    let rule = |bound: &u64| json!({ "path": format!("/api/{bound}/*"), "access": "user", "api": true, "freshness": format!("{bound}s") });
    let system = System::builder()
        .edges(BOUNDS.len())
        .processes()
        .routes(BOUNDS.iter().map(rule).collect())
        .kv_lag(Duration::ZERO..=lag, seed)
        .start()
        .await?;
    let access = system.login(&BOB).await?.cookie(cookie::ACCESS);
    let access = access.context("a sign-in without an access token")?;
    let authority = system.public_url().trim_start_matches("http://");
    let mut connections = Vec::new();
    for (edge, bound) in system.edges.iter().zip(BOUNDS) {
        let request = format!(
            "GET /api/{bound}/x HTTP/1.1\r\nHost: {authority}\r\nSec-Fetch-Site: same-origin\r\nCookie: {}={access}\r\n\r\n",
            cookie::ACCESS
        );
        connections.push((Connection::open(edge.addr()).await?, request));
    }
    let counts = || -> Result<Vec<u64>> {
        (0..BOUNDS.len())
            .map(|edge| system.feed_requests(edge))
            .collect()
    };
    keep_asking(&mut connections, WARM_UP).await?;
    let before = counts()?;
    keep_asking(&mut connections, TIME).await?;
    #[expect(clippy::cast_precision_loss, reason = "some hundreds at most")]
    let per_minute =
        |(after, before): (u64, u64)| (after - before) as f64 * 60.0 / TIME.as_secs_f64();
    Ok(counts()?.into_iter().zip(before).map(per_minute).collect())
}

async fn keep_asking(connections: &mut [(Connection, String)], time: Duration) -> Result<()> {
    let (begun, mut turns) = (Instant::now(), tokio::time::interval(PAUSE));
    while begun.elapsed() < time {
        turns.tick().await;
        for (connection, request) in connections.iter_mut() {
            let answer = connection.ask(request.as_bytes()).await?;
            answer.status().context("a connection was closed")?;
        }
    }
    Ok(())
}
