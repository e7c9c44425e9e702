//! Preflights (Fetch §3.2.2): questions that browsers ask without credentials, and get answered only where a rule says so.

use anyhow::{Context as _, Result, ensure};
use harness::system::{Answer, BOB, Client, Method, Mode, System};
use serde_json::{Value, json};
use shared::cookie;

async fn with_rules(rules: Value) -> Result<System> {
    System::builder().routes(rules).start().await
}

fn preflight(client: &Client, path: &str) -> harness::system::Request {
    client
        .request(Method::OPTIONS, path)
        .mode(Mode::Bare)
        .header("origin", "https://partner.example")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "content-type")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", "cross-site")
}

fn reached(answer: Answer) -> Result<harness::origin::Received> {
    answer.expect(200)?.received()
}

fn stopped(system: &System, before: u64) -> Result<()> {
    ensure!(system.origin.count() == before, "it reached the origin");
    Ok(())
}

#[tokio::test]
async fn a_guarded_route_answers_no_preflight() -> Result<()> {
    let system = System::start().await?;
    let stranger = system.client()?;
    let before = system.origin.count();
    for path in ["/api/x", "/app/x", "/admin/x", "/elsewhere"] {
        let refused = preflight(&stranger, path).header("accept", "text/html");
        let refused = refused.send().await?;
        refused.expect_problem(401, "unauthenticated")?;
    }
    stopped(&system, before)
}

#[tokio::test]
async fn a_rule_with_cors_lets_preflights_through_and_nothing_else() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/api/*", "access": "user", "api": true, "cors": true},
    ]))
    .await?;
    let stranger = system.client()?;
    let received = reached(preflight(&stranger, "/api/x?y=1").send().await?)?;
    assert_eq!(
        (received.method.as_str(), received.query.as_deref()),
        ("OPTIONS", Some("y=1"))
    );
    assert_eq!(
        received.header("access-control-request-method"),
        Some("PUT")
    );

    let before = system.origin.count();
    let bare = |method: Method| stranger.request(method, "/api/x").mode(Mode::Bare);
    for request in [
        bare(Method::OPTIONS),
        bare(Method::OPTIONS).header("origin", "https://partner.example"),
        bare(Method::OPTIONS).header("access-control-request-method", "PUT"),
        bare(Method::GET)
            .header("origin", "https://partner.example")
            .header("access-control-request-method", "PUT"),
        bare(Method::PUT)
            .header("origin", "https://partner.example")
            .header("access-control-request-method", "PUT"),
    ] {
        let refused = request.send().await?;
        refused.expect_problem(401, "unauthenticated")?;
    }
    stopped(&system, before)
}

#[tokio::test]
async fn a_preflight_carries_no_identity_even_from_a_signed_in_client() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/api/*", "access": "user", "api": true, "cors": true},
    ]))
    .await?;
    let bob = system.login(&BOB).await?;
    let token = bob.cookie(cookie::ACCESS).context("access cookie")?;
    bob.set_cookie("theme", "dark");
    let with_cookies = preflight(&bob, "/api/x");
    let with_bearer = preflight(&system.client()?, "/api/x").bearer(&token);
    let forged = preflight(&system.client()?, "/api/x").header("portcullis-user", "forged");
    for (request, cookies) in [
        (with_cookies, Some("theme=dark")),
        (with_bearer, None),
        (forged, None),
    ] {
        let received = reached(request.send().await?)?;
        ensure!(
            !received
                .headers
                .iter()
                .any(|(name, _)| name.starts_with("portcullis")),
            "{received:?}"
        );
        ensure!(received.header("authorization").is_none(), "{received:?}");
        ensure!(
            !format!("{received:?}").contains("__Host-Http"),
            "{received:?}"
        );
        assert_eq!(received.header("cookie"), cookies);
    }
    Ok(())
}

#[tokio::test]
async fn a_preflight_on_an_open_route_passes() -> Result<()> {
    let system = with_rules(json!([{"path": "/api/open/*", "access": "public"}])).await?;
    let received = reached(preflight(&system.client()?, "/api/open/x").send().await?)?;
    assert_eq!(received.method, "OPTIONS");
    Ok(())
}

#[tokio::test]
async fn the_request_after_the_preflight_needs_its_credential() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/api/*", "access": "user", "api": true, "cors": true},
    ]))
    .await?;
    let bob = system.login(&BOB).await?;
    let token = bob.cookie(cookie::ACCESS).context("access cookie")?;
    let from_partner = |client: &Client| {
        client
            .request(Method::PUT, "/api/x")
            .mode(Mode::Bare)
            .header("origin", "https://partner.example")
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "cors")
    };
    let stranger = system.client()?;
    let refused = from_partner(&stranger).send().await?;
    refused.expect_problem(401, "unauthenticated")?;
    from_partner(&stranger)
        .bearer(&token)
        .send()
        .await?
        .expect(200)?;
    // A cookie that another site's script makes the browser send is no consent, whatever a preflight said.
    let cookies = format!("{}={token}", cookie::ACCESS);
    let refused = from_partner(&stranger)
        .header("cookie", &cookies)
        .send()
        .await?;
    refused.expect_problem(403, "csrf")?;
    Ok(())
}

#[tokio::test]
async fn cors_where_it_means_nothing_is_refused() -> Result<()> {
    for rules in [
        json!([{"path": "/api/*", "access": "public", "cors": true}]),
        json!([{"path": "/api/*", "access": "user", "methods": ["GET"], "cors": true}]),
        json!([{"path": "/api/*", "access": "user", "cors": "yes"}]),
    ] {
        let system = with_rules(rules.clone()).await?;
        let answer = system.client()?.get("/api/x").await?;
        let problem = answer.expect_problem(500, "internal")?.text();
        ensure!(problem.contains("ROUTES"), "{rules}: {problem}");
    }
    Ok(())
}
