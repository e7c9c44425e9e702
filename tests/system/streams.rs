//! What was let in does not stay open: WebSockets, event streams and answers of rules with `stream = true` end within the
//! route's freshness once their standing is no longer good. No other request comes meanwhile: an open connection is
//! looked at by itself.

mod many;
mod relay;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use harness::raw::Connection;
use harness::socket::{self, Socket};
use harness::system::{ADA, BOB, Client, Link, Method, System};
use harness::wait::until;
use serde_json::{Value, json};
use shared::cookie;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::accounts::another_administrator;
use crate::support::{access_token, as_edge, operator};
use crate::wire::authority;

const SOCKET: &str = "/api/test/socket";
const STRICT_SOCKET: &str = "/admin/test/socket";
/// What a busy machine may add to a bound.
const SLACK: Duration = Duration::from_secs(4);

/// How a connection ends whose session was ended.
const SESSION_ENDED: (u16, &str) = (4401, "session_ended");

fn routes() -> Value {
    json!([
        {"path": "/", "access": "public"},
        {"path": "/open/*", "access": "public"},
        {"path": "/api/*", "access": "user", "api": true, "freshness": "5s"},
        {"path": "/api/test/source", "access": "user", "api": true, "freshness": "2s", "stream": true},
        {"path": "/admin/*", "access": "user", "roles": ["admin"], "freshness": "2s"},
    ])
}

async fn system() -> Result<System> {
    System::builder().routes(routes()).start().await
}

/// A socket that has carried a message both ways.
async fn open(system: &System, client: &Client, path: &str) -> Result<Socket> {
    let (mut socket, _) = socket::open(client, path, &own_page(system)).await?;
    echo(&mut socket).await?;
    Ok(socket)
}

/// The headers by which a socket is of the site's own page.
fn own_page(system: &System) -> [(&'static str, &str); 1] {
    [("origin", system.public_url())]
}

async fn echo(socket: &mut Socket) -> Result<()> {
    socket.send(Message::text("still there?")).await?;
    let back = next(socket).await?;
    ensure!(back == Message::text("still there?"), "{back}");
    Ok(())
}

async fn next(socket: &mut Socket) -> Result<Message> {
    let next = tokio::time::timeout(Duration::from_secs(60), socket.next());
    Ok(next.await?.context("the socket has ended")??)
}

/// Code and reason with which it is closed, within `limit`.
async fn closed(socket: &mut Socket, limit: Duration) -> Result<(u16, String)> {
    let closing = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Ok((frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(Message::Close(None))) => return Ok((1005, String::new())),
                Some(Ok(_)) => {}
                Some(Err(Error::Protocol(_) | Error::Io(_))) | None => {
                    return Ok((1006, String::new()));
                }
                Some(Err(error)) => bail!("{error}"),
            }
        }
    };
    tokio::time::timeout(limit, closing)
        .await
        .with_context(|| format!("it is still open after {limit:?}"))?
}

/// That it is closed so within `bound`, counted from now.
async fn ensure_closed(socket: &mut Socket, expected: (u16, &str), bound: Duration) -> Result<()> {
    let begun = Instant::now();
    let (code, reason) = closed(socket, bound + SLACK).await?;
    println!("{code} {reason} after {:?} of {bound:?}", begun.elapsed());
    ensure!((code, reason.as_str()) == expected, "{code} {reason}");
    Ok(())
}

/// How the origin's sockets have ended so far.
async fn ended_at_origin(system: &System) -> Result<Vec<String>> {
    let url = format!("http://{}/api/test/sockets", system.origin.addr());
    let answer = harness::system::http_client()?.get(url).send().await?;
    let answer: Value = answer.json().await?;
    Ok(serde_json::from_value(answer["ended"].clone())?)
}

/// Waits until a socket has ended so at the origin.
async fn until_ended_at_origin(system: &System, how: &str) -> Result<()> {
    until(how, Duration::from_secs(10), async || {
        let ended = ended_at_origin(system).await;
        ended.is_ok_and(|ended| ended.iter().any(|end| end == how))
    })
    .await
    .with_context(|| format!("looking for {how:?}"))
}

/// A request whose answer goes on, as a page sends it.
async fn ask(system: &System, client: &Client, path: &str) -> Result<Connection> {
    let access = client.cookie(cookie::ACCESS).context("signed in")?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}={access}\r\nSec-Fetch-Site: same-origin\r\n\r\n",
        authority(system),
        cookie::ACCESS
    );
    let mut connection = Connection::open(system.edges[0].addr()).await?;
    connection.send(head.as_bytes()).await?;
    Ok(connection)
}

/// Waits until so many sources and event streams have been left before their end.
async fn until_left(system: &System, count: u64) -> Result<()> {
    let url = format!("http://{}/api/test/source/left", system.origin.addr());
    let http = harness::system::http_client()?;
    until(
        "the origin to hear of it",
        Duration::from_secs(20),
        async || {
            let Ok(answer) = http.get(&url).send().await else {
                return false;
            };
            let answer: Option<Value> = answer.json().await.ok();
            answer.is_some_and(|answer| answer["left"] == count)
        },
    )
    .await
}

#[tokio::test]
async fn a_signed_out_socket_is_closed_within_the_freshness_of_its_route() -> Result<()> {
    let system = system().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let mut strict = open(&system, &ada, STRICT_SOCKET).await?;
    let mut wide = open(&system, &bob, SOCKET).await?;
    let mut other = open(&system, &system.login(&BOB).await?, SOCKET).await?;
    ada.logout().await?.expect(204)?;
    ensure_closed(&mut strict, SESSION_ENDED, Duration::from_secs(2)).await?;
    bob.logout().await?.expect(204)?;
    ensure_closed(&mut wide, SESSION_ENDED, Duration::from_secs(5)).await?;
    until_ended_at_origin(&system, "4401 session_ended").await?;
    echo(&mut other).await
}

#[tokio::test]
async fn an_event_stream_is_cut_and_its_origin_hears_of_it() -> Result<()> {
    let system = system().await?;
    let ada = system.login(&ADA).await?;
    let mut events = ask(&system, &ada, "/admin/test/events").await?;
    events.read_until("data: first\n\n").await?;
    let begun = Instant::now();
    ada.logout().await?.expect(204)?;
    events.read_to_end(Duration::from_secs(2) + SLACK).await?;
    println!("cut after {:?}", begun.elapsed());
    let seen = events.seen();
    ensure!(seen.starts_with("HTTP/1.1 200"), "{seen}");
    ensure!(!seen.ends_with("\r\n0\r\n\r\n"), "a whole answer: {seen}");
    until_left(&system, 1).await
}

#[tokio::test]
async fn events_go_on_while_their_session_stands() -> Result<()> {
    let system = system().await?;
    let bob = system.login(&BOB).await?;
    let mut events = ask(&system, &bob, "/api/test/events").await?;
    events.read_until("data: first\n\n").await?;
    bob.get("/api/test/events/finish").await?.expect(200)?;
    events.read_until("data: last\n\n").await?;
    events.read_until("\r\n0\r\n\r\n").await?;
    Ok(())
}

#[tokio::test]
async fn whoever_loses_a_role_is_disabled_or_is_ended_with_everyone_is_out() -> Result<()> {
    let system = system().await?;
    another_administrator(&system).await?;
    let bound = Duration::from_secs(2);
    for (command, expected) in [
        (
            ["users", "revoke", "--email", ADA.email, "--role", "admin"].as_slice(),
            (4401, "claims_stale"),
        ),
        (&["users", "disable", "--email", ADA.email], SESSION_ENDED),
        (&["sessions", "end", "--everyone"], SESSION_ENDED),
    ] {
        let ada = system.login(&ADA).await?;
        let mut socket = open(&system, &ada, STRICT_SOCKET).await?;
        // Who has signed in in the very second in which everyone is ended is told apart by the issuer alone.
        let signed_in = system.clock().now().to_secs();
        until("the next second", SLACK, async || {
            system.clock().now().to_secs() > signed_in
        })
        .await?;
        operator(&system, command).await?;
        ensure_closed(&mut socket, expected, bound).await?;
        for mend in [
            ["users", "enable", "--email", ADA.email].as_slice(),
            &["users", "grant", "--email", ADA.email, "--role", "admin"],
        ] {
            operator(&system, mend).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_revoked_token_keeps_no_socket_open() -> Result<()> {
    let builder = System::builder().routes(routes());
    let system = builder
        .setting("JWT_SECRET", "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p")
        .start()
        .await?;
    let ada = system.login(&ADA).await?;
    let mut socket = open(&system, &ada, STRICT_SOCKET).await?;
    let token = access_token(&system, &ada)?;
    let jti = token.claims().jti.to_string();
    operator(&system, &["tokens", "revoke", &jti]).await?;
    ensure_closed(&mut socket, SESSION_ENDED, Duration::from_secs(2)).await
}

#[tokio::test]
async fn any_answer_of_a_rule_with_stream_is_cut_and_no_other_plain_one() -> Result<()> {
    let system = system().await?;
    let bob = system.login(&BOB).await?;
    // Long enough to fill every buffer on the way.
    let long = "bytes=1073741824";
    let mut watched = ask(&system, &bob, &format!("/api/test/source?{long}")).await?;
    let mut plain = ask(&system, &bob, &format!("/api/test/source/again?{long}")).await?;
    watched.read_until("....").await?;
    plain.read_until("....").await?;
    bob.logout().await?.expect(204)?;
    let begun = Instant::now();
    // Until then it goes on as fast as it is read.
    while watched.skip().await.unwrap_or(0) > 0 {
        let so_long = begun.elapsed();
        ensure!(
            so_long < Duration::from_secs(2) + SLACK,
            "open: {so_long:?}"
        );
        plain.skip().await?;
    }
    println!("cut after {:?}", begun.elapsed());
    for _ in 0..100 {
        ensure!(plain.skip().await? > 0, "a plain answer goes on");
    }
    until_left(&system, 1).await
}

#[tokio::test]
async fn nothing_of_a_public_route_is_ended() -> Result<()> {
    let routes = json!([{"path": "/api/*", "access": "public"}]);
    let system = System::builder().routes(routes).start().await?;
    let bob = system.login(&BOB).await?;
    let mut socket = open(&system, &bob, SOCKET).await?;
    bob.logout().await?.expect(204)?;
    let early = closed(&mut socket, Duration::from_secs(5)).await;
    ensure!(early.is_err(), "{early:?}");
    echo(&mut socket).await
}

#[tokio::test]
async fn a_socket_outlives_its_token_and_is_still_closed_within_the_bound() -> Result<()> {
    let system = system().await?;
    let ada = system.login(&ADA).await?;
    let mut socket = open(&system, &ada, STRICT_SOCKET).await?;
    let before = longest_access(&system).await?;
    // Nobody renews: the token is over, and so is what a revocation would be remembered for.
    system.advance(Duration::from_secs(20 * 60)).await?;
    until(
        "the issuer to be asked",
        Duration::from_secs(10),
        async || longest_access(&system).await.is_ok_and(|now| now > before),
    )
    .await?;
    echo(&mut socket).await?;
    ada.at(system.issuers[0].addr())
        .logout()
        .await?
        .expect(204)?;
    ensure_closed(&mut socket, SESSION_ENDED, Duration::from_secs(2)).await
}

/// Until when revocations of the sessions would be remembered, in seconds.
async fn longest_access(system: &System) -> Result<f64> {
    let mut db = system.db.connect().await?;
    let longest = "select max(extract(epoch from access_expires_at))::float8 from sessions";
    Ok(sqlx::query_scalar(longest).fetch_one(&mut db).await?)
}

#[tokio::test]
async fn a_session_that_ended_unheard_is_found_when_the_token_is_over() -> Result<()> {
    let system = system().await?;
    let (ada, other) = (system.login(&ADA).await?, system.login(&ADA).await?);
    let mut socket = open(&system, &ada, STRICT_SOCKET).await?;
    let mut stands = open(&system, &other, STRICT_SOCKET).await?;
    // As if it had ended with no token of it out: nothing is announced.
    let mut db = system.db.connect().await?;
    sqlx::query(
        "update sessions set ended_at = now(), end_reason = 'logout'
         where ordinal = (select min(ordinal) from sessions)",
    )
    .execute(&mut db)
    .await?;
    system.advance(Duration::from_secs(16 * 60)).await?;
    ensure_closed(&mut socket, SESSION_ENDED, Duration::from_secs(5)).await?;
    echo(&mut stands).await
}

#[tokio::test]
async fn the_issuer_tells_edges_alone_which_sessions_stand() -> Result<()> {
    let system = System::builder().edges(0).start().await?;
    let mut sids = Vec::new();
    for _ in 0..2 {
        let client = system.issuer_client(0)?;
        client.sign_in(&BOB).await?.expect(200)?;
        let session = client.get("/auth/session").await?.expect(200)?.json()?;
        sids.push((session["session"]["id"].clone(), client));
    }
    sids[1].1.logout().await?.expect(204)?;
    let unknown = json!("AAAAAAAAAAAAAAAAAAAAAA");
    let asked = json!({ "sessions": [sids[0].0, sids[1].0, unknown] });
    let ask = async |asked: &Value| {
        as_edge(&system, Method::POST, "/edge/sessions", asked.to_string()).await
    };
    let (status, answer) = ask(&asked).await?;
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_slice(&answer)?;
    let standing = answer["sessions"].as_array().context("a list")?;
    ensure!(standing.len() == 1, "{answer}");
    assert_eq!(
        (&standing[0]["sid"], &standing[0]["ver"]),
        (&sids[0].0, &json!(1))
    );
    let for_ms = standing[0]["for_ms"].as_u64().context("a time")?;
    ensure!((899_000..=900_000).contains(&for_ms), "{for_ms}");
    for wrong in [
        json!({ "sessions": vec![unknown; 501] }),
        json!({}),
        json!({ "sessions": ["x"] }),
    ] {
        ensure!(ask(&wrong).await?.0 == 400, "{wrong}");
    }
    let stranger = system.issuer_client(0)?;
    let refused = stranger.post_json("/edge/sessions", &asked).await?;
    ensure!(refused.status() >= 400, "{refused}");
    Ok(())
}

#[tokio::test]
async fn past_its_token_no_answer_of_the_issuer_follows_when_stale() -> Result<()> {
    let routes = json!([
        {"path": "/api/*", "access": "user", "api": true},
        {"path": "/admin/*", "access": "user", "when_stale": "serve"},
    ]);
    let builder = System::builder().routes(routes);
    let system = builder
        .setting("JWT_ACCESS_EXPIRES_IN", "8s")
        .start()
        .await?;
    let bob = system.login(&BOB).await?;
    let mut refuse = open(&system, &bob, SOCKET).await?;
    let mut serve = open(&system, &bob, STRICT_SOCKET).await?;
    system.cut(Link::EdgeIssuer);
    ensure_closed(&mut refuse, (4401, "token_expired"), Duration::from_secs(8)).await?;
    echo(&mut serve).await?;
    system.heal(Link::EdgeIssuer);
    bob.at(system.issuers[0].addr())
        .logout()
        .await?
        .expect(204)?;
    ensure_closed(&mut serve, SESSION_ENDED, Duration::from_secs(8)).await
}

#[tokio::test]
async fn past_the_bound_of_what_is_known_the_rule_decides() -> Result<()> {
    let routes = json!([
        {"path": "/api/*", "access": "user", "api": true, "freshness": "2s"},
        {"path": "/admin/*", "access": "user", "freshness": "2s", "when_stale": "serve"},
    ]);
    let system = System::builder().routes(routes).start().await?;
    let bob = system.login(&BOB).await?;
    let mut refuse = open(&system, &bob, SOCKET).await?;
    let mut serve = open(&system, &bob, STRICT_SOCKET).await?;
    // It answers to nothing, and does not say so.
    system.stall(Link::EdgeIssuer);
    let stale = (4503, "revocations_stale");
    ensure_closed(&mut refuse, stale, Duration::from_secs(2)).await?;
    echo(&mut serve).await?;
    let served = async || {
        let points = system.edges[0].metrics().await.unwrap_or_default();
        points.iter().any(|point| point["blobs"][0] == "served")
    };
    until("the metric to say so", Duration::from_secs(10), served).await?;
    system.heal(Link::EdgeIssuer);
    bob.at(system.issuers[0].addr())
        .logout()
        .await?
        .expect(204)?;
    // A call that hangs is given up first.
    ensure_closed(&mut serve, SESSION_ENDED, Duration::from_secs(6)).await
}

#[tokio::test]
async fn a_clock_that_jumps_ends_nothing_while_the_issuer_answers() -> Result<()> {
    let system = system().await?;
    let ada = system.login(&ADA).await?;
    let mut socket = open(&system, &ada, STRICT_SOCKET).await?;
    let asked = system.feed_requests(0)?;
    system.advance(Duration::from_secs(300)).await?;
    until(
        "the feed to be asked",
        Duration::from_secs(10),
        async || system.feed_requests(0).is_ok_and(|now| now > asked + 2),
    )
    .await?;
    echo(&mut socket).await
}

#[tokio::test]
async fn a_panic_of_the_worker_ends_no_socket_and_hides_no_end() -> Result<()> {
    let builder = System::builder().routes(routes()).panic_on_demand();
    let system = builder.start().await?;
    let ada = system.login(&ADA).await?;
    let mut socket = open(&system, &ada, STRICT_SOCKET).await?;
    ada.get("/panic-on-demand/now").await?.expect(500)?;
    let asked = system.feed_requests(0)?;
    until(
        "the feed to be asked again",
        Duration::from_secs(10),
        async || system.feed_requests(0).is_ok_and(|now| now > asked + 1),
    )
    .await?;
    echo(&mut socket).await?;
    ada.at(system.issuers[0].addr())
        .logout()
        .await?
        .expect(204)?;
    ensure_closed(&mut socket, SESSION_ENDED, Duration::from_secs(2)).await
}
