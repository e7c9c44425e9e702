//! A thousand open connections: what they cost, and that nothing of them stays.

use futures_util::future::try_join_all;
use futures_util::stream;

use super::*;

const MANY: usize = 1_000;
/// How many are being opened at a time.
const AT_ONCE: usize = 50;
/// How often. At first the memory grows to what V8 lets lie of the garbage of some thousands.
const ROUNDS: usize = 8;
/// By how much the memory of a worker may grow in the second half, with 4,000 connections that come and go. workerd itself
/// keeps 5 KB of each connection that it passes on; what an open one takes is 145 KB.
const FLAT: u64 = 128 << 20;

async fn open_many(system: &System, client: &Client) -> Result<Vec<Socket>> {
    let opening = (0..MANY).map(|_| open(system, client, STRICT_SOCKET));
    let mut opened: Vec<Result<Socket>> = stream::iter(opening)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    opened.drain(..).collect()
}

#[tokio::test]
async fn a_thousand_sockets_end_in_time_and_leave_nothing_behind() -> Result<()> {
    harness::files::allow_many()?;
    let system = system().await?;
    let mut after = Vec::new();
    for round in 0..ROUNDS {
        let ada = system.login(&ADA).await?;
        let before = system.edges[0].resident_bytes().await?;
        let mut sockets = open_many(&system, &ada).await?;
        let open = system.edges[0].resident_bytes().await?;
        ada.logout().await?.expect(204)?;
        let begun = Instant::now();
        // A busy machine has a thousand of them to serve at both ends.
        let limit = Duration::from_secs(2) + 4 * SLACK;
        let ends = sockets.iter_mut().map(|socket| closed(socket, limit));
        for (code, reason) in try_join_all(ends).await? {
            ensure!((code, reason.as_str()) == SESSION_ENDED, "{code} {reason}");
        }
        let took = begun.elapsed();
        drop(sockets);
        let closed = system.edges[0].resident_bytes().await?;
        println!(
            "round {round}: {} KB before, {} KB for each of {MANY}, {} KB after, all closed after {took:?}",
            before >> 10,
            (open.saturating_sub(before) / MANY as u64) >> 10,
            closed >> 10
        );
        after.push(closed);
    }
    let grown = after[ROUNDS - 1].saturating_sub(after[ROUNDS / 2]);
    ensure!(grown < FLAT, "the second half left {grown} bytes behind");
    Ok(())
}

#[tokio::test]
async fn streams_of_one_isolate_ask_the_issuer_together() -> Result<()> {
    let builder = System::builder().routes(routes());
    let builder = builder.setting("MAX_CONCURRENT_SESSIONS", "50");
    let system = builder
        .setting("JWT_ACCESS_EXPIRES_IN", "12s")
        .start()
        .await?;
    let mut sockets = Vec::new();
    for _ in 0..12 {
        let bob = system.login(&BOB).await?;
        sockets.push(open(&system, &bob, SOCKET).await?);
    }
    let opened = Instant::now();
    let over = async || opened.elapsed() > Duration::from_secs(14);
    until("all their tokens to be over", Duration::from_secs(20), over).await?;
    for socket in &mut sockets {
        echo(socket).await?;
    }
    let asked = system.session_questions(0)?;
    // Each question takes in all whose last quarter has begun: two a lifetime at most.
    ensure!((1..=5).contains(&asked), "12 sockets asked {asked} times");
    Ok(())
}
