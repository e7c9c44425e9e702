//! What passes through a WebSocket that is watched: everything, both ways, to the end.

use harness::chance::Chance;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;

fn frame(code: u16, reason: &'static str) -> CloseFrame {
    CloseFrame {
        code: code.into(),
        reason: reason.into(),
    }
}

#[tokio::test]
async fn messages_pass_both_ways_as_they_are() -> Result<()> {
    let system = system().await?;
    let bob = system.login(&BOB).await?;
    let mut socket = open(&system, &bob, SOCKET).await?;
    let mut chance = Chance::new(7);
    for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let text: String = "ä✓x".chars().cycle().take(length).collect();
        socket.send(Message::text(text.as_str())).await?;
        ensure!(next(&mut socket).await? == Message::text(text), "{length}");
        let bytes: Vec<u8> = (0..length).map(|_| chance.below(256) as u8).collect();
        socket.send(Message::binary(bytes.clone())).await?;
        ensure!(
            next(&mut socket).await? == Message::binary(bytes),
            "{length}"
        );
    }
    for number in 0..500 {
        socket.send(Message::text(number.to_string())).await?;
    }
    for number in 0..500 {
        let back = next(&mut socket).await?;
        ensure!(
            back == Message::text(number.to_string()),
            "in order: {back}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn codes_and_reasons_of_closings_pass_both_ways() -> Result<()> {
    let system = system().await?;
    let bob = system.login(&BOB).await?;
    for (close, told) in [
        (Some(frame(3001, "by the client")), "3001 by the client"),
        (Some(frame(1000, "")), "1000 "),
        (None, "closed"),
    ] {
        let mut socket = open(&system, &bob, SOCKET).await?;
        let code = close.as_ref().map_or(1005, |close| close.code.into());
        socket.close(close).await?;
        ensure!(closed(&mut socket, SLACK).await?.0 == code, "{told}");
        until_ended_at_origin(&system, told).await?;
    }
    let (mut socket, _) = socket::open(&bob, "/api/test/socket/closes", &own_page(&system)).await?;
    socket.send(Message::text("close")).await?;
    let by_origin = closed(&mut socket, SLACK).await?;
    ensure!(by_origin == (3001, "bye".to_owned()), "{by_origin:?}");
    Ok(())
}

#[tokio::test]
async fn that_one_side_was_lost_is_told_to_the_other() -> Result<()> {
    let system = system().await?;
    let bob = system.login(&BOB).await?;
    let socket = open(&system, &bob, SOCKET).await?;
    drop(socket);
    until_ended_at_origin(&system, "lost").await?;
    let (mut socket, _) = socket::open(&bob, "/api/test/socket/leaves", &own_page(&system)).await?;
    socket.send(Message::text("leave")).await?;
    // A client can be sent no other sign (RFC 6455 §7.4.1).
    ensure!(closed(&mut socket, SLACK).await?.0 == 1011);
    Ok(())
}

/// An origin that opens one WebSocket, and when the client has closed its side says one thing more.
async fn last_word(listener: TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let head = read_until(&mut stream, b"\r\n\r\n").await?;
    let head = String::from_utf8(head)?;
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value)
    });
    let accept = derive_accept_key(key.context("a key")?.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: last-word\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    // A masked frame of a closing with a code alone: two bytes, the mask, two bytes.
    let mut closing = [0; 8];
    stream.read_exact(&mut closing).await?;
    ensure!(closing[..2] == [0x88, 0x82], "{closing:?}");
    stream.write_all(b"\x81\x04last\x88\x02\x0b\xb9").await?;
    // Until the edge has gone.
    while stream.read(&mut closing).await? > 0 {}
    Ok(())
}

async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Result<Vec<u8>> {
    let mut read = Vec::new();
    while !read.ends_with(end) {
        read.push(stream.read_u8().await?);
    }
    Ok(read)
}

#[tokio::test]
async fn who_has_closed_still_hears_the_other_and_the_handshake_passes_whole() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let origin = tokio::spawn(last_word(listener));
    let builder = System::builder().routes(routes());
    let system = builder.edge_setting("ORIGIN_URL", &url).start().await?;
    let bob = system.login(&BOB).await?;
    let [own] = own_page(&system);
    let headers = [own, ("sec-websocket-protocol", "first-word, last-word")];
    let (mut socket, answer) = socket::open(&bob, SOCKET, &headers).await?;
    let headers = answer.headers();
    ensure!(
        headers
            .get("sec-websocket-protocol")
            .is_some_and(|name| name == "last-word")
    );
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    socket.close(Some(frame(3001, ""))).await?;
    assert_eq!(next(&mut socket).await?, Message::text("last"));
    assert_eq!(closed(&mut socket, SLACK).await?.0, 3001);
    origin.await?
}

#[tokio::test]
async fn who_does_not_read_is_closed_before_it_fills_the_memory() -> Result<()> {
    const MEGABYTES: usize = 256;
    let system = system().await?;
    let bob = system.login(&BOB).await?;
    let (mut socket, _) = socket::open(&bob, "/api/test/socket/floods", &own_page(&system)).await?;
    let before = system.edges[0].resident_bytes().await?;
    socket
        .send(Message::text((MEGABYTES * 16).to_string()))
        .await?;
    until_ended_at_origin(&system, "lost").await?;
    let grown = system.edges[0]
        .resident_bytes()
        .await?
        .saturating_sub(before);
    println!("memory grew by {} MB", grown >> 20);
    ensure!(grown < 64 << 20, "memory grew by {grown} bytes");
    // What was taken arrives, and then the closing.
    let (code, reason) = closed(&mut socket, Duration::from_secs(20)).await?;
    ensure!(
        (code, reason.as_str()) == (1013, "too_slow"),
        "{code} {reason}"
    );
    Ok(())
}

#[tokio::test]
async fn who_is_slow_gets_all_of_a_burst() -> Result<()> {
    const PIECES: usize = 12 * 16;
    let system = system().await?;
    let bob = system.login(&BOB).await?;
    let (mut socket, _) = socket::open(&bob, "/api/test/socket/floods", &own_page(&system)).await?;
    socket.send(Message::text(PIECES.to_string())).await?;
    for number in 0..PIECES {
        let piece = next(&mut socket).await?;
        ensure!(piece.len() == 64 << 10, "{number}: {piece:?}");
    }
    Ok(())
}
