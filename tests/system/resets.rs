//! Clients that reset their connections while the edge waits for somebody. The runtime cancels such a request and tells nobody,
//! so nothing may be kept for it.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{BOB, Link, System};
use harness::wait::until;
use shared::cookie;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::wire::authority;

const SOON: Duration = Duration::from_secs(60);
const RESETS: usize = 2_000;
const AT_ONCE: usize = 50;
/// By how much the heap may grow: far less than a kilobyte for each request.
const FLAT: u64 = 1 << 19;

/// Sends `request` again and again, each time resetting the connection once the edge waits for the issuer, which is stalled.
async fn reset(system: &System, request: &str, times: usize) -> Result<()> {
    let addr = system.edges[0].addr();
    for _ in 0..times / AT_ONCE {
        let before = system.connections(0, Link::EdgeIssuer)?;
        let mut connections = Vec::new();
        for _ in 0..AT_ONCE {
            let mut connection = TcpStream::connect(addr).await?;
            connection.set_zero_linger()?;
            connection.write_all(request.as_bytes()).await?;
            connections.push(connection);
        }
        until("the edge to wait for the issuer", SOON, async || {
            let now = system.connections(0, Link::EdgeIssuer);
            // A connection that the edge had kept for reuse is not made anew.
            now.is_ok_and(|now| now + 1 >= before + AT_ONCE)
        })
        .await?;
        drop(connections);
        // Takes the connections to the issuer away: there is a limit of open ones.
        system.cut(Link::EdgeIssuer);
        system.stall(Link::EdgeIssuer);
    }
    Ok(())
}

async fn stays_flat(system: &System, request: &str) -> Result<()> {
    let edge = &system.edges[0];
    system.stall(Link::EdgeIssuer);
    // What the runtime itself keeps is there after the first round.
    reset(system, request, RESETS / 4).await?;
    let settled = edge.heap_bytes().await?;
    reset(system, request, RESETS).await?;
    let last = Cell::new(0);
    let flat = until("the heap to be as it was", SOON, async || {
        last.set(edge.heap_bytes().await.unwrap_or(u64::MAX));
        last.get() < settled + FLAT
    });
    let flat = flat.await;
    println!("{RESETS} resets: {settled} bytes became {}", last.get());
    flat.with_context(|| format!("{settled} bytes became {}", last.get()))?;
    system.heal(Link::EdgeIssuer);
    Ok(())
}

#[tokio::test]
async fn requests_that_are_reset_while_the_issuer_is_asked_leave_nothing() -> Result<()> {
    let system = System::builder().inspected().start().await?;
    let login = format!(
        "POST /auth/login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
        authority(&system)
    );
    stays_flat(&system, &login).await
}

#[tokio::test]
async fn requests_that_are_reset_while_they_are_renewed_leave_nothing() -> Result<()> {
    let system = System::builder().inspected().start().await?;
    let client = system.login(&BOB).await?;
    client.get("/api/x").await?.expect(200)?;
    let refresh = client.cookie(cookie::REFRESH).context("refresh cookie")?;
    let renewed = format!(
        "GET /api/x HTTP/1.1\r\nHost: {}\r\nCookie: {}={refresh}\r\n\r\n",
        authority(&system),
        cookie::REFRESH
    );
    stays_flat(&system, &renewed).await?;
    let later = client.get("/api/x").await?;
    ensure!(later.status() == 200, "it works as before");
    Ok(())
}
