//! What passes through the edge untouched: bodies of any size in both directions, events, sockets, every answer.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use harness::raw::{self, Connection, Recorded, Recorder};
use harness::socket::{self, Socket};
use harness::system::{ADA, BOB, Client, Method, Mode, System};
use harness::wait::until;
use serde_json::json;
use shared::cookie;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::wire::{Site, authority};

const GIGABYTE: usize = 1 << 30;
/// By how much the memory of workerd may grow while a gigabyte passes.
const FLAT: u64 = 64 << 20;
const PIECE: usize = 1 << 20;
const SOCKET: &str = "/api/test/socket";

fn head(system: &System, client: &Client, line: &str, more: &str) -> String {
    let cookies: Vec<String> = client
        .cookies()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!(
        "{line} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\n{more}\r\n",
        authority(system),
        cookies.join("; ")
    )
}

/// Asks for the edge's memory again and again while bytes pass: the most that was seen.
struct Memory<'a> {
    system: &'a System,
    before: u64,
    most: u64,
    passed: usize,
}

impl<'a> Memory<'a> {
    async fn watch(system: &'a System) -> Result<Self> {
        let before = system.edges[0].resident_bytes().await?;
        Ok(Self {
            system,
            before,
            most: before,
            passed: 0,
        })
    }

    async fn passed(&mut self, bytes: usize) -> Result<()> {
        let looks = |bytes: usize| bytes / (16 * PIECE);
        let look = looks(self.passed) != looks(self.passed + bytes);
        self.passed += bytes;
        if look {
            self.most = self.most.max(self.system.edges[0].resident_bytes().await?);
        }
        Ok(())
    }

    fn stayed_flat(&self) -> Result<()> {
        let grown = self.most - self.before;
        println!(
            "{} MB passed, memory grew by {} MB",
            self.passed >> 20,
            grown >> 20
        );
        ensure!(grown < FLAT, "memory grew by {grown} bytes");
        Ok(())
    }
}

#[tokio::test]
async fn a_gigabyte_goes_up_with_flat_memory() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    client.post("/api/test/sink").await?.expect(200)?;
    let mut memory = Memory::watch(&system).await?;
    let mut connection = Connection::open(system.edges[0].addr()).await?;
    let more = format!("Content-Length: {GIGABYTE}\r\n");
    let head = head(&system, &client, "POST /api/test/sink", &more);
    connection.send(head.as_bytes()).await?;
    let piece = vec![b'.'; PIECE];
    for _ in 0..GIGABYTE / PIECE {
        connection.send(&piece).await?;
        memory.passed(PIECE).await?;
    }
    connection
        .read_until(&json!({ "length": GIGABYTE }).to_string())
        .await?;
    memory.stayed_flat()
}

#[tokio::test]
async fn a_gigabyte_comes_down_with_flat_memory() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    client.get("/api/test/source?bytes=1").await?.expect(200)?;
    let mut memory = Memory::watch(&system).await?;
    let mut connection = Connection::open(system.edges[0].addr()).await?;
    let line = format!("GET /api/test/source?bytes={GIGABYTE}");
    let head = head(&system, &client, &line, "Connection: close\r\n");
    connection.send(head.as_bytes()).await?;
    while memory.passed < GIGABYTE {
        match connection.skip().await? {
            0 => break,
            read => memory.passed(read).await?,
        }
    }
    ensure!(memory.passed >= GIGABYTE, "{} bytes came", memory.passed);
    memory.stayed_flat()
}

/// Sends `count` cookies of `bytes` to the public page, each often enough for the worker to keep what goes on with it: with
/// an empty header, and then with one of `beside` bytes.
async fn send_cookies(
    memory: &mut Memory<'_>,
    count: usize,
    bytes: usize,
    beside: usize,
) -> Result<()> {
    let mut connection = Connection::open(memory.system.edges[0].addr()).await?;
    for index in 0..count {
        let cookie = format!("Cookie: n={}.{index:.<bytes$}\r\n", memory.passed);
        for more in [0, 0, beside].map(|bytes| ".".repeat(bytes)) {
            let head = format!(
                "GET / HTTP/1.1\r\nHost: {}\r\n{cookie}x-beside: {more}\r\n\r\n",
                authority(memory.system)
            );
            let answer = connection.ask(head.as_bytes()).await?;
            ensure!(answer.status() == Some(200), "{}", answer.text());
        }
        memory.passed(bytes + beside).await?;
    }
    Ok(())
}

#[tokio::test]
async fn cookies_that_never_come_again_pass_with_flat_memory() -> Result<()> {
    const BYTES: usize = 24 << 10;
    let system = System::start().await?;
    // The runtime's own buffers and its garbage reach their usual size.
    send_cookies(&mut Memory::watch(&system).await?, 500, BYTES, 0).await?;
    let mut memory = Memory::watch(&system).await?;
    send_cookies(&mut memory, 5_000, BYTES, 0).await?;
    memory.stayed_flat()
}

#[tokio::test]
async fn long_headers_beside_many_cookies_pass_with_flat_memory() -> Result<()> {
    const BYTES: usize = 56 << 10;
    let system = System::start().await?;
    send_cookies(&mut Memory::watch(&system).await?, 100, 8, BYTES).await?;
    let mut memory = Memory::watch(&system).await?;
    send_cookies(&mut memory, 1_500, 8, BYTES).await?;
    memory.stayed_flat()
}

async fn sources_left(client: &Client) -> Result<u64> {
    let answer = client.get("/api/test/source/left").await?.expect(200)?;
    answer.json()?["left"].as_u64().context("a number")
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_download_at_the_origin_too() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let mut connection = Connection::open(system.edges[0].addr()).await?;
    let line = format!("GET /api/test/source?bytes={GIGABYTE}");
    let head = head(&system, &client, &line, "");
    connection.send(head.as_bytes()).await?;
    connection.read_until("........").await?;
    assert_eq!(sources_left(&client).await?, 0, "it is read from");
    drop(connection);
    until("the origin's end", Duration::from_secs(10), async || {
        sources_left(&client).await.is_ok_and(|left| left == 1)
    })
    .await
}

#[tokio::test]
async fn a_body_is_answered_while_it_is_sent() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let mut connection = Connection::open(system.edges[0].addr()).await?;
    let more = "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n";
    let head = head(&system, &client, "POST /api/test/echo", more);
    connection.send(head.as_bytes()).await?;
    for word in ["one", "two", "three"] {
        let chunk = format!("{:x}\r\n{word}\r\n", word.len());
        connection.send(chunk.as_bytes()).await?;
        connection.read_until(word).await?;
    }
    connection.send(b"0\r\n\r\n").await?;
    connection.read_until("\r\n0\r\n\r\n").await?;
    Ok(())
}

#[tokio::test]
async fn the_first_event_arrives_before_the_stream_ends() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let mut events = Connection::open(system.edges[0].addr()).await?;
    let head = head(
        &system,
        &client,
        "GET /api/test/events",
        "Accept: text/event-stream\r\n",
    );
    events.send(head.as_bytes()).await?;
    events.read_until("data: first\n\n").await?;
    let seen = events.seen();
    ensure!(
        seen.to_lowercase()
            .contains("content-type: text/event-stream"),
        "{seen}"
    );
    ensure!(!seen.contains("data: last"));
    client.get("/api/test/events/finish").await?.expect(200)?;
    events.read_until("data: last\n\n").await?;
    events.read_until("\r\n0\r\n\r\n").await?;
    Ok(())
}

fn refusal(result: Result<(Socket, Response), Error>) -> Result<u16> {
    match result {
        Err(Error::Http(response)) => Ok(response.status().as_u16()),
        Err(error) => bail!("neither opened nor refused: {error}"),
        Ok(_) => bail!("the socket was opened"),
    }
}

#[tokio::test]
async fn a_websocket_is_opened_and_carries_messages_both_ways() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let own = [("origin", system.public_url())];
    for origin in [&own[..], &[]] {
        let (mut socket, answer) = socket::open(&client, SOCKET, origin).await?;
        assert_eq!(answer.status().as_u16(), 101);
        let long = "x".repeat(200_000);
        for text in ["one", "zwei – ✓", long.as_str()] {
            socket.send(Message::text(text)).await?;
            let back = socket.next().await.context("the socket was closed")??;
            ensure!(back == Message::text(text), "{} bytes back", back.len());
        }
        socket.send(Message::binary(vec![0, 255, 1])).await?;
        let back = socket.next().await.context("the socket was closed")??;
        assert_eq!(back, Message::binary(vec![0, 255, 1]));
        socket.close(None).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_websocket_of_a_stranger_or_of_another_site_is_refused() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let stranger = system.client()?;
    let own = [("origin", system.public_url())];
    assert_eq!(refusal(socket::open(&stranger, SOCKET, &own).await)?, 401);
    for other in ["https://evil.example", "null", "http://localhost"] {
        let opened = socket::open(&client, SOCKET, &[("origin", other)]).await;
        assert_eq!(refusal(opened)?, 403, "{other}");
    }
    Ok(())
}

#[tokio::test]
async fn a_websocket_opens_after_a_renewal() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    system.advance(Duration::from_secs(16 * 60)).await?;
    ensure!(client.cookie(cookie::ACCESS).is_none());
    let own = [("origin", system.public_url())];
    let (mut socket, answer) = socket::open(&client, SOCKET, &own).await?;
    socket.send(Message::text("x")).await?;
    assert_eq!(socket.next().await.context("closed")??, Message::text("x"));
    let cookies = answer.headers().get_all("set-cookie").iter().count();
    assert_eq!(
        cookies, 2,
        "the refresh token was used up: its successor must arrive"
    );
    Ok(())
}

#[tokio::test]
async fn the_origins_answers_pass_as_they_are() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    for code in [
        200, 201, 204, 205, 206, 226, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405,
        409, 410, 418, 422, 429, 451, 500, 501, 502, 503, 504, 599,
    ] {
        let path = format!("/api/test/status/{code}");
        for mode in [Mode::Fetch, Mode::Navigate] {
            let request = client.request(Method::GET, &path).mode(mode);
            let answer = request.send().await?.expect(code)?;
            for (name, value) in [
                ("location", "/elsewhere?a=b#c"),
                ("www-authenticate", "Basic realm=\"origin\""),
                ("retry-after", "7"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{code}: {name}");
            }
            let body = match code {
                204 | 205 | 304 => String::new(),
                _ => format!("the origin says {code}"),
            };
            assert_eq!(answer.text(), body);
            ensure!(answer.headers_named("set-cookie").is_empty());
        }
    }
    Ok(())
}

#[tokio::test]
async fn cookies_of_the_origin_stay_apart() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let answer = client.get("/api/test/set-cookies").await?.expect(200)?;
    assert_eq!(
        answer.headers_named("set-cookie"),
        [
            "theme=dark; Path=/",
            "seen=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT"
        ]
    );
    let received = client.get("/api/x").await?.expect(200)?.received()?;
    assert_eq!(received.header("cookie"), Some("theme=dark; seen=1"));
    Ok(())
}

#[tokio::test]
async fn a_head_request_has_a_heads_answer() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let answer = client
        .request(Method::HEAD, "/api/x")
        .send()
        .await?
        .expect(200)?;
    ensure!(answer.bytes().is_empty());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let last = system.origin.received().pop().context("a request")?;
    assert_eq!(last.method, "HEAD");
    let refused = system
        .client()?
        .request(Method::HEAD, "/api/x")
        .send()
        .await?;
    ensure!(refused.status() == 401 && refused.bytes().is_empty());
    Ok(())
}

#[tokio::test]
async fn headers_bodies_and_methods_pass() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&ADA).await?;
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT",
    ] {
        let request = client.request(method.parse()?, "/api/x?a=1&a=2");
        let request = request
            .header("x-one", "1")
            .header("x-one", "2")
            .header("content-type", "text/plain; charset=utf-8")
            .header("accept-encoding", "br;q=0.3")
            .header("if-none-match", "\"etag\"")
            .header("range", "bytes=0-1")
            .body("body");
        let received = request.send().await?.expect(200)?.received()?;
        assert_eq!(
            (received.method.as_str(), received.body_length),
            (method, 4)
        );
        assert_eq!(received.query.as_deref(), Some("a=1&a=2"));
        for (name, value) in [
            ("content-type", "text/plain; charset=utf-8"),
            ("accept-encoding", "br;q=0.3"),
            ("if-none-match", "\"etag\""),
            ("range", "bytes=0-1"),
        ] {
            assert_eq!(received.header(name), Some(value), "{method}: {name}");
        }
        let ones = received.headers.iter().filter(|(name, _)| name == "x-one");
        let ones: Vec<&str> = ones.map(|(_, value)| value.as_str()).collect();
        assert_eq!(ones.join(", "), "1, 2");
    }
    Ok(())
}

#[tokio::test]
async fn methods_that_echo_or_tunnel_go_no_further() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let stranger = system.client()?;
    let before = system.origin.count();
    for path in ["/", "/api/x"] {
        for who in [&client, &stranger] {
            let answer = who.request(Method::TRACE, path).send().await?;
            ensure!(answer.status() == 501, "{answer}");
            ensure!(!answer.text().contains("__Host-Http"));
        }
    }
    let connect = format!(
        "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n",
        authority(&system)
    );
    let answer = raw::exchange(system.edges[0].addr(), connect.as_bytes()).await?;
    ensure!(
        answer.status().is_none_or(|status| status >= 400),
        "{}",
        answer.text()
    );
    assert_eq!(system.origin.count(), before);
    Ok(())
}

#[tokio::test]
async fn compressed_bodies_stay_compressed() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let origin_bytes =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let request = client.request(Method::POST, "/api/test/echo");
    let request = request
        .header("content-encoding", "gzip")
        .header("accept-encoding", "gzip")
        .body(&origin_bytes[..]);
    let answer = request.send().await?.expect(200)?;
    ensure!(answer.bytes() == origin_bytes, "{:?}", answer.bytes());
    Ok(())
}

const ZERO: &str = "Content-Length: 0";
const FOUR: &str = "Content-Length: 4";
const CHUNKED: &str = "Transfer-Encoding: chunked";

/// Method, header line and body as they are sent; header line and content as they must arrive.
const FRAMED: [(&str, &str, &str, &str, &str); 12] = [
    ("POST", ZERO, "", ZERO, ""),
    // The runtime says what the client left out: that nothing comes (RFC 9110 §8.6).
    ("POST", "", "", ZERO, ""),
    ("DELETE", "", "", ZERO, ""),
    ("GET", "", "", "", ""),
    ("HEAD", "", "", "", ""),
    // Where nobody expects a body, it says nothing.
    ("GET", ZERO, "", "", ""),
    ("GET", FOUR, "body", FOUR, "body"),
    ("PUT", FOUR, "body", FOUR, "body"),
    ("DELETE", FOUR, "body", FOUR, "body"),
    (
        "POST",
        CHUNKED,
        "3\r\nbod\r\n1\r\ny\r\n0\r\n\r\n",
        CHUNKED,
        "body",
    ),
    ("POST", CHUNKED, "0\r\n\r\n", CHUNKED, ""),
    // With GET it sends no body whose length was not told.
    ("GET", CHUNKED, "4\r\nbody\r\n0\r\n\r\n", "", ""),
];

/// The header lines that say where the body ends (RFC 9112 §6.3).
fn framing(recorded: &Recorded) -> String {
    let lines = ["Content-Length", "Transfer-Encoding"].map(|name| {
        let values = recorded.values(name).into_iter();
        values
            .map(|value| format!("{name}: {value}"))
            .collect::<Vec<_>>()
    });
    lines.concat().join(", ")
}

#[tokio::test]
async fn a_body_and_where_it_ends_arrive_as_they_were_sent() -> Result<()> {
    let origin = Recorder::start().await?;
    let routes = json!([
        {"path": "/open/*", "access": "public"},
        {"path": "/api/*", "access": "user", "api": true},
    ]);
    let system = System::builder()
        .edge_setting("ORIGIN_URL", &origin.url())
        .routes(routes)
        .start()
        .await?;
    let client = system.login(&BOB).await?;
    let site = Site { system, origin };
    for (method, line, body, arrives, content) in FRAMED {
        for path in ["/api/x", "/open/x"] {
            let what = format!("{method} {path} {line:?} {body:?}");
            let mut more = "Sec-Fetch-Site: same-origin\r\nConnection: close\r\n".to_owned();
            if !line.is_empty() {
                more += &format!("{line}\r\n");
            }
            let first = format!("{method} {path} HTTP/1.1\r\n");
            let sent = site.exchange(first.as_bytes(), &client, more.as_bytes(), body.as_bytes());
            let outcome = sent.await?;
            let recorded = outcome.reached.context(what.clone())?;
            assert_eq!(
                (recorded.method().as_str(), framing(&recorded).as_str()),
                (method, arrives),
                "{what}"
            );
            assert_eq!(recorded.body(), content.as_bytes(), "{what}");
            // The origin says "ok" to everything. Of the answer to HEAD only the head comes, which tells its length.
            let answer = outcome.answer.text();
            let end = if method == "HEAD" { "" } else { "ok" };
            ensure!(
                answer.contains("\r\nContent-Length: 2\r\n")
                    && answer.ends_with(&format!("\r\n\r\n{end}")),
                "{what}: {answer}"
            );
        }
    }
    Ok(())
}

/// What the edge makes of these bytes of an origin, on an open route.
async fn through_the_edge(answer: &'static str) -> Result<String> {
    let origin = Recorder::answering(answer).await?;
    let system = System::builder()
        .edge_setting("ORIGIN_URL", &origin.url())
        .start()
        .await?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nTE: trailers\r\n\r\n",
        authority(&system)
    );
    Ok(raw::exchange(system.edges[0].addr(), request.as_bytes())
        .await?
        .text())
}

#[tokio::test]
async fn early_hints_of_the_origin_do_not_become_the_answer() -> Result<()> {
    let text = through_the_edge(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfinal",
    )
    .await?;
    ensure!(
        text.starts_with("HTTP/1.1 200") && text.ends_with("final"),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn trailers_of_the_origin_harm_nothing() -> Result<()> {
    let text = through_the_edge(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nConnection: close\r\n\r\n\
         3\r\nabc\r\n0\r\nx-sum: 1\r\nset-cookie: a=b\r\n\r\n",
    )
    .await?;
    ensure!(
        text.starts_with("HTTP/1.1 200") && text.contains("abc"),
        "{text}"
    );
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    ensure!(!head.to_lowercase().contains("set-cookie"), "{text}");
    Ok(())
}

#[tokio::test]
async fn an_origin_that_breaks_off_is_no_whole_answer() -> Result<()> {
    let text = through_the_edge("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await?;
    ensure!(
        !text.starts_with("HTTP/1.1 200") || !text.ends_with("\r\n0\r\n\r\n"),
        "{text}"
    );
    for nonsense in ["", "nonsense\r\n\r\n", "HTTP/1.1 999999 x\r\n\r\n"] {
        let text = through_the_edge(nonsense).await?;
        ensure!(text.starts_with("HTTP/1.1 502"), "{nonsense:?}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn an_expectation_of_100_continue_does_not_hold_up_the_body() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let mut connection = Connection::open(system.edges[0].addr()).await?;
    let more = "Content-Length: 4\r\nExpect: 100-continue\r\n";
    let head = head(&system, &client, "POST /api/test/sink", more);
    connection.send(head.as_bytes()).await?;
    connection.send(b"body").await?;
    connection.read_until("{\"length\":4}").await?;
    Ok(())
}
