//! The names by which the worker can be called: those of the site, and no other.

use anyhow::{Result, ensure};
use harness::raw;
use harness::system::System;

use crate::wire::authority;

/// The status of a GET of `path` for `host`, with more header lines, each with its line break.
async fn status(system: &System, host: &str, path: &str, more: &str) -> Result<Option<u16>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n{more}\r\n");
    let answer = raw::exchange(system.edges[0].addr(), request.as_bytes()).await?;
    let text = answer.text();
    if answer.status() == Some(421) {
        ensure!(
            text.contains("invalid_request") && text.contains("Cache-Control: no-store"),
            "{text}"
        );
    }
    Ok(answer.status())
}

#[tokio::test]
async fn a_worker_answers_to_its_sites_name_only() -> Result<()> {
    let system = System::start().await?;
    let own = authority(&system).to_owned();
    let port = system.edges[0].addr().port();
    for path in [
        "/",
        "/app/",
        "/auth/login",
        "/.well-known/jwks.json",
        "/edge/keys",
    ] {
        for foreign in [
            "portcullis-edge.someone.workers.dev",
            "localhost",
            "localhost:1",
            &format!("127.0.0.1:{port}"),
            &format!("localhost.:{port}"),
            &format!("{own}@evil.example"),
            &format!("evil@{own}"),
            &format!("{own}, evil.example"),
            &format!("evil.example, {own}"),
        ] {
            let answered = status(&system, foreign, path, "").await?;
            assert_eq!(answered, Some(421), "{foreign}{path}");
            // What a proxy may have written is not believed: no proxy is known to have written it.
            let forwarded = format!("X-Forwarded-Host: {own}\r\nForwarded: host={own}\r\n");
            let answered = status(&system, foreign, path, &forwarded).await?;
            assert_eq!(answered, Some(421), "{foreign}{path}");
        }
    }
    assert_eq!(system.origin.count(), 0);
    let forwarded = "X-Forwarded-Host: evil.example\r\n";
    for host in [own.clone(), own.to_uppercase()] {
        assert_eq!(status(&system, &host, "/", forwarded).await?, Some(200));
        assert_eq!(status(&system, &host, "/auth/login", "").await?, Some(200));
    }
    Ok(())
}

/// As behind a proxy that ends TLS: the request has the site's name, and no longer its scheme.
#[tokio::test]
async fn a_setting_names_more() -> Result<()> {
    let system = System::builder()
        .edge_setting("PUBLIC_URL", "https://app.example.test")
        .edge_setting("ALSO_SERVES", "health.internal:8787, old.example.test")
        .start()
        .await?;
    for (host, expected) in [
        ("app.example.test", 200),
        ("App.Example.Test:443", 200),
        ("health.internal:8787", 200),
        ("OLD.example.test", 200),
        ("app.example.test:80", 421),
        ("health.internal", 421),
        ("example.test", 421),
        (authority(&system), 421),
    ] {
        assert_eq!(
            status(&system, host, "/", "").await?,
            Some(expected),
            "{host}"
        );
    }
    Ok(())
}
