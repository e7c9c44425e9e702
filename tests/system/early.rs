//! Calls of the issuer that are refused before their body is read: each is told as what it is, whatever the body's size.

use anyhow::{Context as _, Result, ensure};
use harness::raw::Connection;
use harness::system::{BOB, Method, Mode, System};
use serde_json::json;

use crate::wire::authority;

const TRIES: usize = 20;

#[tokio::test]
async fn an_early_refusal_is_told_for_every_call_and_size() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    let json = "application/json";
    for (method, path, kind, length, status, code) in [
        (
            Method::POST,
            "/auth/login",
            json,
            40_000,
            413,
            "invalid_request",
        ),
        (
            Method::POST,
            "/auth/login",
            json,
            2_000_000,
            413,
            "invalid_request",
        ),
        (
            Method::POST,
            "/auth/login",
            json,
            20_000_000,
            413,
            "invalid_request",
        ),
        (
            Method::POST,
            "/auth/refresh",
            json,
            2_000_000,
            413,
            "invalid_request",
        ),
        (
            Method::PUT,
            "/auth/nothing",
            json,
            2_000_000,
            413,
            "invalid_request",
        ),
        (
            Method::POST,
            "/auth/login",
            "image/png",
            30_000,
            415,
            "invalid_request",
        ),
        (
            Method::POST,
            "/auth/login",
            json,
            30_000,
            400,
            "invalid_request",
        ),
        (
            Method::POST,
            "/auth/refresh",
            json,
            30_000,
            401,
            "unauthenticated",
        ),
        (
            Method::POST,
            "/auth/nothing",
            json,
            30_000,
            404,
            "not_found",
        ),
        (
            Method::PUT,
            "/auth/login",
            json,
            30_000,
            405,
            "invalid_request",
        ),
    ] {
        let body = vec![b'x'; length];
        for turn in 0..TRIES {
            let request = client.request(method.clone(), path);
            let request = request.header("content-type", kind).body(body.clone());
            let answer = request.send().await;
            let answer =
                answer.with_context(|| format!("{method} {path}, {length} bytes, {turn}"))?;
            answer.expect_problem(status, code)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_issuer_itself_tells_early_refusals_too() -> Result<()> {
    let system = System::start().await?;
    let client = system.issuer_client(0)?;
    for (length, mode, status) in [
        (2_000_000, Mode::Fetch, 413),
        (2_000_000, Mode::CrossSite, 413),
        (30_000, Mode::CrossSite, 403),
        (30_000, Mode::Fetch, 400),
    ] {
        for turn in 0..TRIES {
            let request = client.request(Method::POST, "/auth/login").mode(mode);
            let request = request.header("content-type", "application/json");
            let answer = request.body(vec![b'x'; length]).send().await;
            let answer = answer.with_context(|| format!("{mode:?}, {length} bytes, {turn}"))?;
            answer.expect(status)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_body_in_chunks_is_measured_as_it_comes() -> Result<()> {
    let system = System::start().await?;
    let body = json!({ "email": BOB.email, "password": BOB.password }).to_string();
    for (padding, status) in [(0, "200"), (30_000, "200"), (40_000, "413")] {
        let mut connection = Connection::open(system.edges[0].addr()).await?;
        let head = format!(
            "POST /auth/login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nSec-Fetch-Site: same-origin\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            authority(&system)
        );
        connection.send(head.as_bytes()).await?;
        let text = format!("{body}{}", " ".repeat(padding));
        for piece in text.as_bytes().chunks(1_000) {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            connection.send(&chunk).await?;
        }
        connection.send(b"0\r\n\r\n").await?;
        connection.read_until("\r\n\r\n").await?;
        let answer = connection.seen();
        ensure!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_body_of_a_get_means_nothing_and_breaks_nothing() -> Result<()> {
    let system = System::start().await?;
    let bob = system.login(&BOB).await?;
    for (method, path, status) in [
        (Method::GET, "/auth/session", 200),
        (Method::HEAD, "/auth/session", 200),
        (Method::GET, "/auth/sessions/revoke-others", 405),
        (Method::GET, "/api/x", 200),
    ] {
        let request = bob.request(method.clone(), path);
        let answer = request.json(&json!({"a": 1})).send().await?;
        ensure!(answer.status() == status, "{method} {path}: {answer}");
    }
    Ok(())
}
