//! `Portcullis-Assertion` as the example origin checks it: good for the request that it came with, and for nothing else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::background::{self, Served};
use harness::system::{ADA, BOB, Client, Method, Mode, System, http_client};
use shared::assertion::AssertionKey;
use shared::cookie;
use shared::secret::RootSecret;

use crate::wire::{authority, of_session};

#[expect(
    dead_code,
    reason = "an example of its own: its `main` is not called here"
)]
#[path = "examples/verify_assertion.rs"]
mod verify_assertion;

const ORIGIN_SECRET: &str = "tT9wXc4mQz7kLp2vNb6yRf3sHd8gJa5e";

/// A stack whose origin says what it was sent, and beside it the example origin of the same site.
struct Stage {
    system: System,
    example: Served,
}

impl Stage {
    async fn set(origin_secret: &str) -> Result<Self> {
        let system = System::builder()
            .edge_setting("ORIGIN_SECRET", origin_secret)
            .start()
            .await?;
        let example = background::serve(router(&system, authority(&system))?).await?;
        Ok(Self { system, example })
    }

    /// The assertion that the edge made for a request of `client`.
    async fn assertion(&self, client: &Client, method: Method, path: &str) -> Result<String> {
        let received = client
            .request(method, path)
            .send()
            .await?
            .expect(200)?
            .received()?;
        let assertion = received.header("portcullis-assertion");
        Ok(assertion.context("an assertion")?.to_owned())
    }

    /// How the example origin answers whoever reaches it without the edge.
    async fn offer(&self, method: Method, path: &str, assertion: &str) -> Result<u16> {
        let url = format!("http://{}{path}", self.example.addr());
        let request = http_client()?.request(method, url);
        let request = request.header("portcullis-assertion", assertion);
        Ok(request.send().await?.status().as_u16())
    }
}

fn router(system: &System, authority: &str) -> Result<axum::Router> {
    let clock = system.clock().clone();
    Ok(verify_assertion::router(verify_assertion::Guard {
        keys: vec![AssertionKey::from(&RootSecret::parse(ORIGIN_SECRET)?)],
        authority: authority.to_owned(),
        now: Box::new(move || clock.now().to_secs()),
    }))
}

#[tokio::test]
async fn an_origin_behind_the_edge_knows_its_user() -> Result<()> {
    // The example needs the site's address, which is known when the site runs: its origin is set on a second edge.
    let stage = Stage::set(ORIGIN_SECRET).await?;
    let bob = stage.system.login(&BOB).await?;
    let user = of_session(&bob, "/user/id").await?;
    for (method, path) in [
        (Method::GET, "/api/x?q=1&r=%2F"),
        (Method::POST, "/app/a%20b"),
        (Method::GET, "/app/%7e[x]?'"),
        (Method::DELETE, "/api/"),
    ] {
        let assertion = stage.assertion(&bob, method.clone(), path).await?;
        let sent = stage.system.origin.received().pop().context("a request")?;
        let sent = match sent.query {
            Some(query) => format!("{}?{query}", sent.path),
            None => sent.path,
        };
        let url = format!("http://{}{sent}", stage.example.addr());
        let request = http_client()?.request(method, url);
        let answer = request
            .header("portcullis-assertion", assertion)
            .send()
            .await?;
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        assert_eq!(answer.text().await?, format!("{user} user"));
    }
    Ok(())
}

#[tokio::test]
async fn an_assertion_serves_no_other_request() -> Result<()> {
    let stage = Stage::set(ORIGIN_SECRET).await?;
    let bob = stage.system.login(&BOB).await?;
    let assertion = stage.assertion(&bob, Method::POST, "/api/x?q=1").await?;
    assert_eq!(
        stage.offer(Method::POST, "/api/x?q=1", &assertion).await?,
        200
    );
    for (method, path) in [
        (Method::GET, "/api/x?q=1"),
        (Method::PUT, "/api/x?q=1"),
        (Method::POST, "/api/x?q=2"),
        (Method::POST, "/api/x"),
        (Method::POST, "/api/x?q=1&r=2"),
        (Method::POST, "/api/y?q=1"),
        (Method::POST, "/api/X?q=1"),
        (Method::POST, "/api/%78?q=1"),
        (Method::POST, "/admin/x?q=1"),
    ] {
        let status = stage.offer(method.clone(), path, &assertion).await?;
        assert_eq!(status, 401, "{method} {path}");
    }
    let elsewhere = background::serve(router(&stage.system, "other.example.test")?).await?;
    let other_host = Stage {
        example: elsewhere,
        ..stage
    };
    let status = other_host
        .offer(Method::POST, "/api/x?q=1", &assertion)
        .await?;
    assert_eq!(status, 401, "another site under the same secret");
    Ok(())
}

#[tokio::test]
async fn an_assertion_is_over_after_thirty_seconds() -> Result<()> {
    let stage = Stage::set(ORIGIN_SECRET).await?;
    let bob = stage.system.login(&BOB).await?;
    let assertion = stage.assertion(&bob, Method::GET, "/api/x").await?;
    stage.system.advance(Duration::from_secs(25)).await?;
    assert_eq!(stage.offer(Method::GET, "/api/x", &assertion).await?, 200);
    stage.system.advance(Duration::from_secs(6)).await?;
    assert_eq!(stage.offer(Method::GET, "/api/x", &assertion).await?, 401);
    Ok(())
}

#[tokio::test]
async fn nothing_else_passes_for_an_assertion() -> Result<()> {
    // Even where tokens are signed with a secret of the same text.
    let system = System::builder()
        .setting("JWT_SECRET", ORIGIN_SECRET)
        .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
        .start()
        .await?;
    let example = background::serve(router(&system, authority(&system))?).await?;
    let stage = Stage { system, example };
    let ada = stage.system.login(&ADA).await?;
    let good = stage.assertion(&ada, Method::GET, "/api/x").await?;
    assert_eq!(stage.offer(Method::GET, "/api/x", &good).await?, 200);

    let token = ada.cookie(cookie::ACCESS).context("access cookie")?;
    let refresh = ada.cookie(cookie::REFRESH).context("refresh cookie")?;
    let (head, rest) = good.split_once('.').context("a JWS")?;
    let (payload, tag) = rest.split_once('.').context("a JWS")?;
    let (token_head, token_rest) = token.split_once('.').context("a JWS")?;
    let none = "eyJ0eXAiOiJwb3J0Y3VsbGlzLWFzc2VydGlvbitqd3QiLCJhbGciOiJub25lIn0";
    for forged in [
        token.clone(),
        refresh,
        String::new(),
        "x".to_owned(),
        format!("{head}.{payload}."),
        format!("{head}.{payload}"),
        format!("{none}.{payload}."),
        format!("{token_head}.{payload}.{tag}"),
        format!("{head}.{token_rest}"),
        format!("{good}x"),
        format!("{good}, {good}"),
    ] {
        let status = stage.offer(Method::GET, "/api/x", &forged).await?;
        assert_eq!(status, 401, "{forged}");
    }

    // And the other way round: an assertion is no access token.
    let thief = stage.system.client()?;
    let request = thief.request(Method::GET, "/api/x").mode(Mode::Bare);
    let answer = request.bearer(&good).send().await?;
    answer.expect_problem(401, "token_invalid")?;
    Ok(())
}

#[tokio::test]
async fn another_origins_assertion_is_refused() -> Result<()> {
    let stage = Stage::set("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").await?;
    let bob = stage.system.login(&BOB).await?;
    let assertion = stage.assertion(&bob, Method::GET, "/api/x").await?;
    assert_eq!(stage.offer(Method::GET, "/api/x", &assertion).await?, 401);
    let url = format!("http://{}/api/x", stage.example.addr());
    let twice = http_client()?
        .get(url)
        .header("portcullis-assertion", &assertion)
        .header("portcullis-assertion", &assertion);
    let status = twice.send().await?.status().as_u16();
    ensure!(status == 401, "{status}");
    Ok(())
}
