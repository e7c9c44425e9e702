//! Cloudflare answers for an upstream that it cannot reach, with statuses of its own, where `fetch` would have failed.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::raw::Recorder;
use harness::system::{BOB, Method, Mode, System};
use serde_json::json;
use shared::cookie;

const LOST: [u16; 7] = [520, 521, 523, 525, 526, 527, 530];
const TIMED_OUT: [u16; 2] = [522, 524];

#[tokio::test]
async fn a_dead_origin_is_told_by_the_edges_own_page() -> Result<()> {
    let system = System::builder()
        .routes(json!([
            {"path": "/api/*", "access": "user"},
            {"path": "/api/test/status/530", "access": "public"},
        ]))
        .start()
        .await?;
    let client = system.login(&BOB).await?;
    for status in LOST.into_iter().chain(TIMED_OUT) {
        let path = format!("/api/test/status/{status}");
        for method in [Method::GET, Method::POST] {
            let asked = client.request(method, &path).send().await?;
            // Nothing of the answer is left.
            ensure!(asked.header("www-authenticate").is_none(), "{asked}");
            assert_eq!(asked.header("retry-after"), Some("2"), "{asked}");
            asked.expect_problem(502, "internal")?;
        }
        let page = client.navigate(&path).await?.expect(502)?;
        ensure!(page.text().contains("could not be reached"), "{page}");
    }
    // Others are the origin's own, whatever it means by them.
    for status in [500, 502, 503, 504, 519, 528, 529, 531, 599] {
        let path = format!("/api/test/status/{status}");
        let answer = client.get(&path).await?.expect(status)?;
        assert_eq!(answer.text(), format!("the origin says {status}"));
    }
    Ok(())
}

/// What Cloudflare says in the place of an issuer.
async fn in_place_of_the_issuer(status: u16) -> Result<Recorder> {
    let page = "<h1>Error</h1>";
    let head =
        format!("HTTP/1.1 {status} Cloudflare\r\nContent-Type: text/html\r\nConnection: close\r\n");
    Recorder::answering(format!(
        "{head}Content-Length: {}\r\n\r\n{page}",
        page.len()
    ))
    .await
}

#[tokio::test]
async fn a_dead_issuer_is_told_as_unreachable_and_costs_no_session() -> Result<()> {
    for (status, expected) in [(521, 502), (530, 502), (522, 504), (524, 504)] {
        let issuer = in_place_of_the_issuer(status).await?;
        let system = System::builder()
            .edge_setting("ISSUER_URL", &issuer.url())
            .start()
            .await?;
        let client = system.issuer_client(0)?;
        client.sign_in(&BOB).await?.expect(200)?;
        let client = client.at(system.edges[0].addr());
        client.get("/api/x").await?.expect(200)?;

        // Passed on.
        let asked = client.get("/auth/session").await?;
        asked.expect_problem(expected, "issuer_unreachable")?;
        let asked = client.sign_in(&BOB).await?;
        asked.expect_problem(expected, "issuer_unreachable")?;
        let page = client.navigate("/auth/login").await?.expect(expected)?;
        ensure!(!page.text().contains("<h1>Error</h1>"), "{page}");
        let form = client
            .request(Method::POST, "/auth/logout")
            .mode(Mode::Navigate);
        form.form(&[]).send().await?.expect(expected)?;

        // Asked in the middle of a request.
        system.advance(Duration::from_secs(16 * 60)).await?;
        let renewing = client.get("/api/x").await?;
        renewing.expect_problem(expected, "issuer_unreachable")?;
        ensure!(client.cookie(cookie::REFRESH).is_some());
        let issuer = client.at(system.issuers[0].addr());
        issuer.refresh().await?.expect(200)?;
    }
    Ok(())
}
