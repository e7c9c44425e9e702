//! CORS by rule (Fetch §3.2): who answers preflights, which browsers ask without credentials, and whose scripts may read
//! the origin's answers and the edge's refusals.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::http::HeaderMap;
use harness::system::{Answer, BOB, Client, Link, Method, Mode, Request, System, background};
use serde_json::{Value, json};
use shared::cookie;

async fn with_rules(rules: Value) -> Result<System> {
    System::builder().routes(rules).start().await
}

fn preflight(client: &Client, path: &str) -> Request {
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

/// Where the origin says who reads its answers, anybody reads that a token has expired: no cookie went with the request.
#[tokio::test]
async fn a_rule_with_cors_lets_anybodys_scripts_read_its_refusals() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/api/*", "access": "user", "api": true, "cors": true},
        {"path": "/app/*", "access": "user"},
    ]))
    .await?;
    let bob = system.login(&BOB).await?;
    let token = bob.cookie(cookie::ACCESS).context("access cookie")?;
    let client = system.client()?;
    system.advance(Duration::from_secs(16 * 60)).await?;
    let refused = from_site(&client, STRANGER, "/api/x", Some(&token))
        .send()
        .await?;
    let refused = refused.expect_problem(401, "token_expired")?;
    readable_by(&refused, Some("*"))?;
    let refused = from_site(&client, STRANGER, "/app/x", Some(&token))
        .send()
        .await?;
    readable_by(&refused.expect_problem(401, "token_expired")?, None)
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
        json!([{"path": "/api/*", "access": "user", "cors": {"origins": []}}]),
        json!([{"path": "/api/*", "access": "user", "cors": {"origins": ["https://a.test/"]}}]),
        json!([{"path": "/api/*", "access": "user", "cors": {"origins": ["*"], "credentials": true}}]),
        json!([{"path": "/api/*", "access": "user", "methods": ["GET"], "cors": {"origins": ["*"], "methods": ["PUT"]}}]),
    ] {
        let system = with_rules(rules.clone()).await?;
        let answer = system.client()?.get("/api/x").await?;
        let problem = answer.expect_problem(500, "internal")?.text();
        ensure!(problem.contains("ROUTES"), "{rules}: {problem}");
    }
    Ok(())
}

const PARTNER: &str = "https://partner.example";
const STRANGER: &str = "https://stranger.example";

/// A route whose preflights the edge answers, for one site; one where the origin does; an open one for all; one for nobody.
async fn with_tables() -> Result<System> {
    with_rules(json!([
        {"path": "/api/*", "access": "user", "api": true, "freshness": "2s", "cors": {
            "origins": [PARTNER], "methods": ["GET", "PUT"], "headers": ["authorization", "content-type"],
            "expose": ["x-total"], "max_age": "1h",
        }},
        {"path": "/admin/*", "access": "user", "roles": ["admin"], "cors": {"origins": [PARTNER]}},
        {"path": "/self/*", "access": "user", "freshness": "2s", "cors": true},
        {"path": "/open/*", "access": "public", "cors": {"origins": ["*"]}},
        {"path": "/app/*", "access": "user"},
    ]))
    .await
}

/// A request of another site's script, which brings `token`.
fn from_site(client: &Client, site: &str, path: &str, token: Option<&str>) -> Request {
    let request = client.request(Method::GET, path).mode(Mode::Bare);
    let request = request
        .header("origin", site)
        .header("sec-fetch-site", "cross-site")
        .header("sec-fetch-mode", "cors");
    match token {
        Some(token) => request.bearer(token),
        None => request,
    }
}

/// Fails unless scripts of exactly this origin may read `answer`, and none with credentials.
fn readable_by(answer: &Answer, by: Option<&str>) -> Result<()> {
    let found = answer.headers_named("access-control-allow-origin");
    ensure!(found == Vec::from_iter(by), "{found:?}: {answer}");
    ensure!(
        answer.header("access-control-allow-credentials").is_none(),
        "{answer}"
    );
    Ok(())
}

fn varies_by_origin(answer: &Answer) -> bool {
    let said = answer.headers_named("vary").join(",");
    said.split(',')
        .any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

#[tokio::test]
async fn the_edge_answers_preflights_where_the_rule_has_a_table() -> Result<()> {
    let system = with_tables().await?;
    let stranger = system.client()?;
    let before = system.origin.count();
    let allowed = preflight(&stranger, "/api/x").send().await?.expect(204)?;
    readable_by(&allowed, Some(PARTNER))?;
    for (name, value) in [
        ("access-control-allow-methods", "GET, PUT"),
        (
            "access-control-allow-headers",
            "authorization, content-type",
        ),
        ("access-control-max-age", "3600"),
    ] {
        assert_eq!(allowed.header(name), Some(value), "{name}");
    }
    ensure!(varies_by_origin(&allowed) && allowed.bytes().is_empty());
    let open = preflight(&stranger, "/open/x").send().await?.expect(204)?;
    readable_by(&open, Some("*"))?;

    for (name, value, by) in [
        ("origin", STRANGER, None),
        ("origin", "null", None),
        ("access-control-request-method", "DELETE", Some(PARTNER)),
        ("access-control-request-headers", "x-other", Some(PARTNER)),
    ] {
        let refused = preflight(&stranger, "/api/x")
            .header(name, value)
            .send()
            .await?;
        let refused = refused.expect_problem(403, "forbidden")?;
        readable_by(&refused, by)?;
    }
    let refused = preflight(&stranger, "/app/x").send().await?;
    readable_by(&refused.expect_problem(401, "unauthenticated")?, None)?;
    stopped(&system, before)
}

#[tokio::test]
async fn the_origins_answer_is_readable_by_whom_the_rule_names() -> Result<()> {
    // An origin that would let in everybody, with credentials.
    let lax = Router::new().fallback(async |headers: HeaderMap| {
        let origin = headers.get("origin").cloned();
        let mut own = HeaderMap::new();
        own.insert("access-control-allow-credentials", "true".parse().unwrap());
        own.insert("vary", "Accept".parse().unwrap());
        if let Some(origin) = origin {
            own.insert("access-control-allow-origin", origin);
        }
        (own, "hello")
    });
    let lax = background::serve(lax).await?;
    let system = System::builder()
        .routes(json!([
            {"path": "/api/*", "access": "user", "cors": {"origins": [PARTNER], "expose": ["x-total"]}},
            {"path": "/kept/*", "access": "user", "cache": "origin", "cors": {"origins": [PARTNER]}},
            {"path": "/open/*", "access": "public", "cors": {"origins": ["*"]}},
            {"path": "/self/*", "access": "user", "cors": true},
        ]))
        .edge_setting("ORIGIN_URL", &format!("http://{}", lax.addr()))
        .start()
        .await?;
    let bob = system.login(&BOB).await?;
    let token = bob.cookie(cookie::ACCESS).context("access cookie")?;
    let program = system.client()?;
    // Twice: the first request warms the isolate.
    for _ in 0..2 {
        for path in ["/api/x", "/kept/x"] {
            let answer = from_site(&program, PARTNER, path, Some(&token))
                .send()
                .await?;
            let answer = answer.expect(200)?;
            readable_by(&answer, Some(PARTNER))?;
            ensure!(varies_by_origin(&answer), "{:?}", answer.headers());
            let answer = from_site(&program, STRANGER, path, Some(&token))
                .send()
                .await?;
            readable_by(&answer.expect(200)?, None)?;
        }
        let answer = from_site(&program, PARTNER, "/api/x", Some(&token))
            .send()
            .await?;
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("x-total")
        );
        let own = bob.get("/api/x").await?.expect(200)?;
        readable_by(&own, None)?;
        ensure!(
            varies_by_origin(&own),
            "a cache may keep it for another origin"
        );
        let open = from_site(&program, STRANGER, "/open/x", None)
            .send()
            .await?
            .expect(200)?;
        readable_by(&open, Some("*"))?;
    }
    // Where the rule leaves it to the origin, its answers are its own.
    let own = from_site(&program, STRANGER, "/self/x", Some(&token))
        .send()
        .await?;
    assert_eq!(own.header("access-control-allow-origin"), Some(STRANGER));
    assert_eq!(own.header("access-control-allow-credentials"), Some("true"));
    Ok(())
}

/// The refusal of a request of `site` to `path`, and whether its scripts may read it.
async fn refusal(
    client: &Client,
    site: &str,
    path: &str,
    token: Option<&str>,
    by: Option<&str>,
) -> Result<Answer> {
    let answer = from_site(client, site, path, token).send().await?;
    readable_by(&answer, by)?;
    let exposed = answer.header("access-control-expose-headers");
    ensure!(
        exposed == by.map(|_| "WWW-Authenticate, Retry-After"),
        "{exposed:?}"
    );
    Ok(answer)
}

#[tokio::test]
async fn refusals_are_readable_by_whom_the_rule_names() -> Result<()> {
    let system = with_tables().await?;
    let bob = system.login(&BOB).await?;
    let token = bob.cookie(cookie::ACCESS).context("access cookie")?;
    let (client, token) = (system.client()?, Some(token.as_str()));
    let both = [
        ("/api/x", PARTNER, Some(PARTNER)),
        ("/api/x", STRANGER, None),
        ("/self/x", STRANGER, Some("*")),
        ("/app/x", PARTNER, None),
    ];
    for (path, site, by) in both {
        let refused = refusal(&client, site, path, None, by).await?;
        refused.expect_problem(401, "unauthenticated")?;
    }
    let refused = refusal(&client, PARTNER, "/admin/x", token, Some(PARTNER)).await?;
    refused.expect_problem(403, "forbidden")?;
    let two = client
        .request(Method::GET, "/api/x")
        .mode(Mode::Bare)
        .header("origin", PARTNER);
    let two = two.header("authorization", "Bearer x y").send().await?;
    readable_by(&two.expect_problem(400, "invalid_request")?, Some(PARTNER))?;

    system.cut(Link::EdgeOrigin);
    for (path, site, by) in both {
        let refused = refusal(&client, site, path, token, by).await?;
        refused.expect_problem(502, "internal")?;
    }
    let open = refusal(&client, STRANGER, "/open/x", None, Some("*")).await?;
    open.expect_problem(502, "internal")?;
    system.heal(Link::EdgeOrigin);

    system.cut(Link::EdgeKv);
    system.cut(Link::EdgeIssuer);
    system.advance(Duration::from_secs(10)).await?;
    for (path, site, by) in [
        ("/api/x", PARTNER, Some(PARTNER)),
        ("/self/x", STRANGER, Some("*")),
    ] {
        let refused = refusal(&client, site, path, token, by).await?;
        let refused = refused.expect_problem(503, "revocations_stale")?;
        ensure!(refused.header("retry-after").is_some());
    }
    system.advance(Duration::from_secs(16 * 60)).await?;
    for (path, site, by) in both {
        let refused = refusal(&client, site, path, token, by).await?;
        let refused = refused.expect_problem(401, "token_expired")?;
        ensure!(refused.header("www-authenticate").is_some());
    }
    Ok(())
}
