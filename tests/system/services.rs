//! Services: they pass the edge with tokens of their own where a rule says so, and nowhere else, until these are revoked.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, BOB, Method, Mode, System};
use serde_json::{Value, json};
use shared::assertion::{self, AssertionKey, Request};
use shared::rejection::Rejection;
use shared::secret::RootSecret;

use crate::clients::{Service, bearer, expect_error, tokens};
use crate::support::{operator, typed_by_operator, until_published};

const ORIGIN_SECRET: &str = "tT9wXc4mQz7kLp2vNb6yRf3sHd8gJa5e";

async fn start() -> Result<System> {
    System::builder()
        .routes(json!([
            {"path": "/api/open/*", "access": "public"},
            {"path": "/api/*", "access": "user", "api": true},
            {"path": "/api/jobs/*", "access": "service"},
            {"path": "/api/jobs/orders/*", "access": "service", "scopes": ["orders:write", "orders:read"]},
            {"path": "/app/*", "access": "user"},
        ]))
        .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
        .start()
        .await
}

#[tokio::test]
async fn a_service_passes_where_a_rule_says_so_and_the_origin_knows_it() -> Result<()> {
    let system = start().await?;
    let service = Service::register(&system, &["--scope", "b", "--scope", "a"]).await?;
    let token = service.token(&system).await?;
    let answer = bearer(&system, "/api/jobs/x?y=1", &token)
        .await?
        .expect(200)?;
    let received = answer.received()?;
    assert_eq!(
        received.header("portcullis-client"),
        Some(service.id.as_str())
    );
    assert_eq!(received.header("portcullis-scope"), Some("a b"));
    for name in ["user", "session", "roles", "actor"] {
        let name = format!("portcullis-{name}");
        assert_eq!(received.header(&name), None, "a service is no user");
    }
    assert_eq!(received.header("authorization"), None);
    let assertion = received
        .header("portcullis-assertion")
        .context("assertion")?;
    let key = [AssertionKey::from(&RootSecret::parse(ORIGIN_SECRET)?)];
    let request = Request {
        method: "GET",
        site: system.public_url(),
        path_and_query: "/api/jobs/x?y=1",
    };
    let now = system.clock().now().to_secs();
    let proven = assertion::verify_service(assertion, &key, request, now)?;
    assert_eq!(proven.client().to_string(), service.id);
    assert_eq!(proven.scopes().to_string(), "a b");
    let as_user = assertion::verify(assertion, &key, request, now);
    assert_eq!(as_user, Err(Rejection::WrongType));
    Ok(())
}

/// In whatever spelling, with and without a token.
#[tokio::test]
async fn nobody_can_claim_to_be_a_service() -> Result<()> {
    let system = start().await?;
    let service = Service::register(&system, &["--scope", "a"]).await?;
    let token = service.token(&system).await?;
    let bob = system.login(&BOB).await?;
    for name in [
        "Portcullis-Client",
        "portcullis_client",
        "PORTCULLIS-SCOPE",
        "portcullis.scope",
    ] {
        let forged = |method, path| bob.request(method, path).header(name, "forged");
        let as_service = forged(Method::GET, "/api/jobs/x")
            .without_cookies()
            .mode(Mode::Bare);
        for (request, client) in [
            (as_service.bearer(&token), Some(service.id.as_str())),
            (forged(Method::GET, "/api/x"), None),
            (forged(Method::GET, "/api/open/x"), None),
        ] {
            let received = request.send().await?.expect(200)?.received()?;
            ensure!(
                !received.headers.iter().any(|(_, value)| value == "forged"),
                "{name}"
            );
            assert_eq!(received.header("portcullis-client"), client, "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn users_and_services_do_not_pass_for_each_other() -> Result<()> {
    let system = start().await?;
    let service = Service::register(&system, &["--scope", "admin", "--scope", "user"]).await?;
    let token = service.token(&system).await?;
    for path in ["/api/x", "/app/", "/unruled"] {
        let refused = bearer(&system, path, &token).await?;
        let refused = refused.expect_problem(403, "forbidden")?;
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        ensure!(
            challenge.contains(r#"error="insufficient_scope""#),
            "{challenge}"
        );
    }
    // The issuer takes it for nobody's, wherever it asks for a user.
    for (method, path) in [
        (Method::GET, "/auth/session"),
        (Method::GET, "/auth/sessions"),
        (Method::POST, "/auth/sessions/revoke-others"),
    ] {
        let request = system.client()?.request(method, path).mode(Mode::Bare);
        let refused = request.bearer(&token).send().await?;
        refused.expect_problem(401, "token_invalid")?;
    }
    // In the cookie of a user it is none either.
    let pretender = system.client()?;
    pretender.set_cookie(shared::cookie::ACCESS, &token);
    pretender
        .get("/api/x")
        .await?
        .expect_problem(403, "forbidden")?;
    pretender
        .get("/auth/session")
        .await?
        .expect_problem(401, "token_invalid")?;

    let ada = system.login(&ADA).await?;
    let (access, _) = tokens(&ada)?;
    bearer(&system, "/api/jobs/x", &access)
        .await?
        .expect_problem(403, "forbidden")?;
    ada.get("/api/jobs/x")
        .await?
        .expect_problem(403, "forbidden")?;
    let refused = ada.navigate("/api/jobs/x").await?;
    refused.expect_problem(403, "forbidden")?;
    // Nobody signs in to become a service: no redirect, for people neither.
    let stranger = system.client()?;
    let refused = stranger.navigate("/api/jobs/x").await?;
    refused.expect_problem(401, "unauthenticated")?;
    // And no renewal: it would use up a refresh token for nothing.
    let (_, refresh) = tokens(&ada)?;
    system.advance(Duration::from_secs(16 * 60)).await?;
    ada.get("/api/jobs/x")
        .await?
        .expect_problem(401, "unauthenticated")?;
    assert_eq!(ada.cookie(shared::cookie::REFRESH), Some(refresh));
    ada.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn every_scope_of_the_rule_is_needed() -> Result<()> {
    let system = start().await?;
    let scopes = ["orders:read", "orders:write", "other"];
    let scopes = scopes.map(|scope| ["--scope", scope]).concat();
    let service = Service::register(&system, &scopes).await?;
    for (asked, passes) in [
        ("orders:read orders:write", true),
        ("other orders:write orders:read", true),
        ("", true),
        ("orders:read", false),
        ("orders:write other", false),
    ] {
        let answer = service.ask(&system, asked).await?.expect(200)?;
        let token = crate::clients::member(&answer, "access_token")?;
        bearer(&system, "/api/jobs/x", &token).await?.expect(200)?;
        let answer = bearer(&system, "/api/jobs/orders/x", &token).await?;
        if passes {
            answer.expect(200)?;
            continue;
        }
        let refused = answer.expect_problem(403, "forbidden")?;
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        ensure!(
            challenge.contains(r#"error="insufficient_scope", scope="orders:read orders:write""#),
            "{asked}: {challenge}"
        );
    }
    Ok(())
}

/// What an edge lets in that has read what is published.
async fn at_the_edge(system: &System, token: &str) -> Result<Option<String>> {
    let answer = bearer(system, "/api/jobs/x", token).await?;
    if answer.status() == 200 {
        return Ok(None);
    }
    let code = answer.expect(401)?.code().context("a problem")?;
    Ok(Some(code))
}

#[tokio::test]
async fn a_services_tokens_end_one_by_one_or_all_together() -> Result<()> {
    let system = start().await?;
    let service = Service::register(&system, &["--introspect"]).await?;
    let other = Service::register(&system, &[]).await?;
    let (one, two) = (service.token(&system).await?, service.token(&system).await?);
    let others = other.token(&system).await?;
    service
        .call(&system, "/oauth/revoke", &[("token", &one)])
        .await?
        .expect(200)?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    let invalid = Some("token_invalid".to_owned());
    assert_eq!(at_the_edge(&system, &one).await?, invalid);
    assert_eq!(at_the_edge(&system, &two).await?, None);

    // A new secret alone leaves tokens as they are.
    let id = service.id.clone();
    let rotate = ["clients", "rotate-secret", "--json", &id];
    let rotated: Value = serde_json::from_str(&operator(&system, &rotate).await?)?;
    expect_error(service.ask(&system, "").await?, 401, "invalid_client")?;
    let service = Service {
        secret: rotated["client_secret"]
            .as_str()
            .context("secret")?
            .to_owned(),
        ..service
    };
    let three = service.token(&system).await?;
    ensure!(service.sees_active(&system, &two).await?);
    let rotate = [&rotate[..], &["--revoke-tokens"]].concat();
    let rotated: Value = serde_json::from_str(&operator(&system, &rotate).await?)?;
    let service = Service {
        secret: rotated["client_secret"]
            .as_str()
            .context("secret")?
            .to_owned(),
        ..service
    };
    let four = service.token(&system).await?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    for (token, expected) in [
        (&two, &invalid),
        (&three, &invalid),
        (&four, &None),
        (&others, &None),
    ] {
        assert_eq!(&at_the_edge(&system, token).await?, expected);
        let is_active = service.sees_active(&system, token).await?;
        assert_eq!(is_active, expected.is_none());
    }

    operator(&system, &["clients", "revoke", &service.id]).await?;
    expect_error(service.ask(&system, "").await?, 401, "invalid_client")?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    assert_eq!(at_the_edge(&system, &four).await?, invalid);
    assert_eq!(at_the_edge(&system, &others).await?, None);
    let again = typed_by_operator(&system, &["clients", "revoke", &service.id], "").await?;
    ensure!(
        !again.success && again.printed.contains("revoked"),
        "{}",
        again.printed
    );
    Ok(())
}

/// Without a restart and without waiting for KV: within the bound of the route.
#[tokio::test]
async fn a_revoked_service_is_out_within_the_routes_bound() -> Result<()> {
    let system = System::builder()
        .routes(json!([{"path": "/api/jobs/*", "access": "service", "freshness": "2s"}]))
        .start()
        .await?;
    let service = Service::register(&system, &[]).await?;
    let token = service.token(&system).await?;
    assert_eq!(at_the_edge(&system, &token).await?, None);
    operator(&system, &["clients", "revoke", &service.id]).await?;
    let is_out = async || {
        at_the_edge(&system, &token)
            .await
            .is_ok_and(|code| code.is_some())
    };
    // Two seconds and the time that a busy machine takes.
    harness::wait::until("the service to be out", Duration::from_secs(4), is_out).await?;
    Ok(())
}

#[tokio::test]
async fn a_secret_is_shown_once_and_only_its_hash_is_stored() -> Result<()> {
    let system = System::builder().processes().start().await?;
    let service = Service::register(&system, &["--scope", "a"]).await?;
    ensure!(service.secret.len() == 43, "256 bits");
    let token = service.token(&system).await?;
    let wrong = Service {
        id: service.id.clone(),
        secret: service.secret.chars().rev().collect(),
    };
    expect_error(wrong.ask(&system, "").await?, 401, "invalid_client")?;
    let listed = operator(&system, &["clients", "list", "--json"]).await?;
    let clients: Value = serde_json::from_str(&listed)?;
    assert_eq!(clients[0]["client_id"], service.id);
    assert_eq!(clients[0]["proof"], "client_secret");
    assert_eq!(clients[0]["scope"], "a");
    let mut db = system.db.connect().await?;
    let stored: String = sqlx::query_scalar("select string_agg(clients::text, '') from clients")
        .fetch_one(&mut db)
        .await?;
    let log = system.issuers[0].log().await;
    for place in [&listed, &stored, &log] {
        for secret in [&service.secret, &wrong.secret, &token] {
            ensure!(!place.contains(secret.as_str()), "{place}");
        }
    }
    ensure!(
        log.contains("wrong secret") || log.contains("no such secret"),
        "the log says why"
    );
    let private = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#;
    for (arguments, typed, told) in [
        (
            &["--name", "n", "--public-key", "-"][..],
            private,
            "private key",
        ),
        (&["--name", "n", "--public-key", "-"], "nonsense", "no JWK"),
        (&["--name", "n", "--scope", "a b"], "", "scope"),
        (&["--name", " "], "", "name"),
    ] {
        let command = [&["clients", "create"], arguments].concat();
        let ran = typed_by_operator(&system, &command, typed).await?;
        ensure!(
            !ran.success && ran.printed.contains(told),
            "{}",
            ran.printed
        );
    }
    Ok(())
}
