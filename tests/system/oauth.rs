//! The endpoints for clients that are no browsers, through the edge: tokens, their revocation and introspection, metadata, keys.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, BOB, Client, Method, Mode, System};
use serde_json::{Value, json};
use shared::cookie;
use sqlx::Row as _;

use crate::clients::{Service, bearer, expect_error, member, node, post, tokens};
use crate::support::{operator, until_published};

/// RFC 8037 appendix A and RFC 7515 appendix A.3.
const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}"#;
const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"p256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
/// RFC 7517 appendix A.2.
const OTHER_P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"p256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;

fn public(jwk: &str) -> Result<String> {
    let mut jwk: Value = serde_json::from_str(jwk)?;
    let private = jwk.as_object_mut().context("an object")?.remove("d");
    ensure!(private.is_some());
    Ok(jwk.to_string())
}

async fn refresh(system: &System, token: &str) -> Result<harness::system::Answer> {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    post(system, "/oauth/token", &fields).await
}

#[tokio::test]
async fn a_standard_client_gets_along() -> Result<()> {
    let system = System::start().await?;
    let scopes = ["--scope", "orders:read", "--scope", "orders:write"];
    let arguments = [&scopes[..], &["--introspect"]].concat();
    let service = Service::register(&system, &arguments).await?;
    let mut with_keys = Vec::new();
    for jwk in [ED25519, P256] {
        let service = Service::with_key(&system, &public(jwk)?, &scopes).await?;
        let jwk: Value = serde_json::from_str(jwk)?;
        with_keys.push(json!({"id": service.id, "jwk": jwk}));
    }
    let (_, refresh) = tokens(&system.login(&BOB).await?)?;
    let with_keys = Value::from(with_keys).to_string();
    let site = system.public_url();
    let arguments = [site, &service.id, &service.secret, &with_keys, &refresh];
    node("standard-client.mjs", &arguments).await
}

#[tokio::test]
async fn no_bad_assertion_is_taken_and_none_twice() -> Result<()> {
    let system = System::start().await?;
    let one = Service::with_key(&system, &public(P256)?, &[]).await?;
    let other = Service::with_key(&system, &public(OTHER_P256)?, &[]).await?;
    let arguments = [system.public_url(), &one.id, &other.id, P256, OTHER_P256];
    node("assertions.mjs", &arguments).await
}

#[tokio::test]
async fn a_refresh_token_rotates_and_its_reuse_ends_the_session() -> Result<()> {
    let system = System::start().await?;
    let (_, first) = tokens(&system.login(&BOB).await?)?;
    let answer = refresh(&system, &first).await?.expect(200)?;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    ensure!(
        answer.header("set-cookie").is_none(),
        "tokens, and no cookies"
    );
    assert_eq!(answer.json()?["token_type"], "Bearer");
    let access = member(&answer, "access_token")?;
    bearer(&system, "/api/x", &access).await?.expect(200)?;
    bearer(&system, "/auth/session", &access)
        .await?
        .expect(200)?;

    // A lost answer: within the grace window the token just before the present one brings the same successor.
    let second = member(&answer, "refresh_token")?;
    let again = refresh(&system, &first).await?.expect(200)?;
    let twin = member(&again, "refresh_token")?;
    // The successor is presented, so the one before it is worth nothing any more.
    let third = member(
        &refresh(&system, &twin).await?.expect(200)?,
        "refresh_token",
    )?;
    let reissued = refresh(&system, &second).await?.expect(200)?;
    refresh(&system, &member(&reissued, "refresh_token")?)
        .await?
        .expect(200)?;
    let reused = expect_error(refresh(&system, &first).await?, 400, "invalid_grant")?;
    assert_eq!(member(&reused, "code")?, "refresh_reused");
    let ended = expect_error(refresh(&system, &third).await?, 400, "invalid_grant")?;
    assert_eq!(member(&ended, "code")?, "session_ended");
    until_published(&system).await?;
    system.edges[0].restart().await?;
    let refused = bearer(&system, "/api/x", &access).await?;
    refused.expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn cookies_and_the_token_endpoint_are_two_ways_to_one_session() -> Result<()> {
    let system = System::start().await?;
    let browser = system.login(&BOB).await?;
    let (_, token) = tokens(&browser)?;
    let next = member(
        &refresh(&system, &token).await?.expect(200)?,
        "refresh_token",
    )?;
    browser.set_cookie(cookie::REFRESH, &next);
    browser.refresh().await?.expect(200)?;
    // Past the grace window both ways see the reuse.
    system.advance(Duration::from_secs(11)).await?;
    let reused = expect_error(refresh(&system, &next).await?, 400, "invalid_grant")?;
    assert_eq!(member(&reused, "code")?, "refresh_reused");
    browser
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

/// The fields of a form, and the status, the error and a word of the description that answer it.
type Refused<'a> = (&'a [(&'a str, &'a str)], u16, &'a str, &'a str);

#[tokio::test]
async fn what_is_wrong_is_told_in_the_words_of_rfc_6749() -> Result<()> {
    let system = System::start().await?;
    let service = Service::register(&system, &["--scope", "a", "--scope", "b"]).await?;
    let other = Service::register(&system, &[]).await?;
    let (_, refresh_token) = tokens(&system.login(&BOB).await?)?;
    let (id, secret) = (service.id.as_str(), service.secret.as_str());
    let grant = ("grant_type", "client_credentials");
    let refresh = ("grant_type", "refresh_token");
    let proof = [("client_id", id), ("client_secret", secret)];
    let [by_id, by_secret] = proof;
    let wrong = ("client_secret", other.secret.as_str());
    let table: [Refused<'_>; 20] = [
        (&[], 400, "invalid_request", "grant_type"),
        (&[("grant_type", "")], 400, "invalid_request", "grant_type"),
        (&[grant, grant], 400, "invalid_request", "grant_type"),
        (
            &[("grant_type", "password")],
            400,
            "unsupported_grant_type",
            "grant_type",
        ),
        (
            &[("grant_type", "authorization_code")],
            400,
            "unsupported_grant_type",
            "grant_type",
        ),
        (&[grant], 401, "invalid_client", ""),
        (&[grant, by_id], 401, "invalid_client", ""),
        (&[grant, by_id, wrong], 401, "invalid_client", ""),
        (
            &[grant, by_id, ("client_secret", "short")],
            401,
            "invalid_client",
            "",
        ),
        (
            &[grant, ("client_id", "nobody"), by_secret],
            401,
            "invalid_client",
            "",
        ),
        (
            &[grant, ("client_id", "AAAAAAAAAAAAAAAAAAAAAA"), by_secret],
            401,
            "invalid_client",
            "",
        ),
        (&[grant, by_secret], 400, "invalid_request", "client_id"),
        (
            &[grant, by_id, by_secret, ("client_assertion", "a.b.c")],
            400,
            "invalid_request",
            "client_assertion",
        ),
        (
            &[grant, ("client_assertion", "a.b.c")],
            400,
            "invalid_request",
            "client_assertion_type",
        ),
        (
            &[grant, by_id, by_secret, ("scope", "a c")],
            400,
            "invalid_scope",
            "scope",
        ),
        (
            &[grant, by_id, by_secret, ("scope", "a  b")],
            400,
            "invalid_scope",
            "scope",
        ),
        (&[refresh], 400, "invalid_request", "refresh_token"),
        (
            &[refresh, ("refresh_token", "nonsense")],
            400,
            "invalid_grant",
            "",
        ),
        (
            &[refresh, ("refresh_token", &refresh_token), by_id, by_secret],
            400,
            "invalid_grant",
            "another client",
        ),
        (
            &[
                refresh,
                ("refresh_token", &refresh_token),
                ("scope", "admin"),
            ],
            400,
            "invalid_scope",
            "scope",
        ),
    ];
    for (fields, status, error, named) in table {
        let answer = post(&system, "/oauth/token", fields).await?;
        let answer = expect_error(answer, status, error)?;
        let told = member(&answer, "error_description")?;
        ensure!(told.contains(named), "{fields:?}: {told}");
        ensure!(member(&answer, "code").is_ok() && answer.json()?["status"] == status);
    }
    let client = system.client()?;
    let request = client
        .request(Method::POST, "/oauth/token")
        .mode(Mode::Bare);
    let json = request.json(&json!({"grant_type": "client_credentials"}));
    expect_error(json.send().await?, 415, "invalid_request")?;
    // And what is right is answered all the same.
    service.ask(&system, "").await?.expect(200)?;
    Ok(())
}

/// Without a cookie a form of another site's page could do nothing here; with one, or from such a page, it is refused.
#[tokio::test]
async fn programs_post_forms_here_and_other_sites_pages_do_not() -> Result<()> {
    let system = System::start().await?;
    let service = Service::register(&system, &["--introspect"]).await?;
    let bob = system.login(&BOB).await?;
    let (access, _) = tokens(&bob)?;
    let proof = [
        ("client_id", service.id.as_str()),
        ("client_secret", service.secret.as_str()),
        ("grant_type", "client_credentials"),
        ("token", access.as_str()),
    ];
    for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
        let sent = |client: &Client, header: (&str, &str)| {
            let request = client.request(Method::POST, path).mode(Mode::Bare);
            request.header(header.0, header.1).form(&proof).send()
        };
        let stranger = system.client()?;
        for (client, header) in [
            (&stranger, ("sec-fetch-site", "cross-site")),
            (&stranger, ("origin", "https://evil.test")),
            (&bob, ("x-none", "")),
        ] {
            sent(client, header).await?.expect_problem(403, "csrf")?;
        }
        let answer = sent(&stranger, ("x-none", "")).await?;
        ensure!([200, 400].contains(&answer.status()), "{answer}");
    }
    // Elsewhere nothing has changed.
    let fields = [("email", BOB.email), ("password", BOB.password)];
    post(&system, "/auth/login", &fields)
        .await?
        .expect_problem(403, "csrf")?;
    Ok(())
}

#[tokio::test]
async fn a_revoked_refresh_token_ends_its_session_and_an_access_token_is_revoked_alone()
-> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let (adas, _) = tokens(&ada)?;
    let (bobs, bobs_refresh) = tokens(&bob)?;
    for token in [bobs_refresh.as_str(), &adas] {
        for _ in 0..2 {
            let answer = post(&system, "/oauth/revoke", &[("token", token)]).await?;
            assert_eq!(answer.expect(200)?.bytes(), b"");
        }
    }
    until_published(&system).await?;
    system.edges[0].restart().await?;
    bearer(&system, "/api/x", &bobs)
        .await?
        .expect_problem(401, "session_ended")?;
    bob.refresh().await?.expect_problem(401, "session_ended")?;
    bearer(&system, "/api/x", &adas)
        .await?
        .expect_problem(401, "session_ended")?;
    bearer(&system, "/auth/session", &adas)
        .await?
        .expect_problem(401, "session_ended")?;
    ada.refresh().await?.expect(200)?;
    ada.get("/api/x").await?.expect(200)?;

    let mut db = system.db.connect().await?;
    let reasons: Vec<Option<String>> =
        sqlx::query_scalar("select end_reason from sessions order by ordinal")
            .fetch_all(&mut db)
            .await?;
    assert_eq!(reasons, [None, Some("refresh_revoked".to_owned())]);
    let rows = sqlx::query("select user_id, session_id from events where kind = 'token_revoked'")
        .fetch_all(&mut db)
        .await?;
    let [row] = &rows[..] else {
        anyhow::bail!(
            "one token, one line, however often it comes: {}",
            rows.len()
        );
    };
    ensure!(row.get::<Option<Vec<u8>>, _>("user_id").is_some());
    ensure!(row.get::<Option<Vec<u8>>, _>("session_id").is_some());
    Ok(())
}

#[tokio::test]
async fn whoever_revokes_must_hold_the_token_and_be_its_client() -> Result<()> {
    let system = System::start().await?;
    let service = Service::register(&system, &["--introspect"]).await?;
    let other = Service::register(&system, &[]).await?;
    let token = service.token(&system).await?;
    let (access, refresh_token) = tokens(&system.login(&BOB).await?)?;
    let by_token = [("token", token.as_str())];
    let answer = post(&system, "/oauth/revoke", &by_token).await?;
    expect_error(answer, 401, "invalid_client")?;
    let wrong = Service {
        id: service.id.clone(),
        secret: other.secret.clone(),
    };
    let answer = wrong.call(&system, "/oauth/revoke", &by_token).await?;
    expect_error(answer, 401, "invalid_client")?;
    for token in [&token, &access, &refresh_token] {
        let answer = other
            .call(&system, "/oauth/revoke", &[("token", token)])
            .await?;
        expect_error(answer, 400, "invalid_grant")?;
    }
    let answer = post(&system, "/oauth/revoke", &[]).await?;
    expect_error(answer, 400, "invalid_request")?;
    for token in [&token, &access] {
        ensure!(
            service.sees_active(&system, token).await?,
            "nothing has happened"
        );
    }
    for unknown in ["nonsense", "a.b.c", &access[1..]] {
        for hint in ["access_token", "refresh_token", "other"] {
            let fields = [("token", unknown), ("token_type_hint", hint)];
            post(&system, "/oauth/revoke", &fields).await?.expect(200)?;
        }
    }
    service
        .call(&system, "/oauth/revoke", &by_token)
        .await?
        .expect(200)?;
    ensure!(!service.sees_active(&system, &token).await?);
    Ok(())
}

#[tokio::test]
async fn a_token_is_active_only_while_everything_holds() -> Result<()> {
    let system = System::start().await?;
    let asks = Service::register(&system, &["--introspect", "--scope", "a"]).await?;
    let other = Service::register(&system, &[]).await?;
    let bob = system.login(&BOB).await?;
    let (access, refresh_token) = tokens(&bob)?;
    let about = |token| [("token", token)];

    let answer = post(&system, "/oauth/introspect", &about(access.as_str())).await?;
    expect_error(answer, 401, "invalid_client")?;
    let answer = other
        .call(&system, "/oauth/introspect", &about(&access))
        .await?;
    expect_error(answer, 403, "unauthorized_client")?;
    let answer = asks.call(&system, "/oauth/introspect", &[]).await?;
    expect_error(answer, 400, "invalid_request")?;

    let answer = asks
        .call(&system, "/oauth/introspect", &about(&access))
        .await?;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.expect(200)?.json()?;
    let me = bob.get("/auth/session").await?.expect(200)?.json()?;
    assert_eq!(told["sub"], me["user"]["id"]);
    assert_eq!(told["sid"], me["session"]["id"]);
    assert_eq!(told["roles"], json!(["user"]));
    assert_eq!(told["token_type"], "Bearer");
    assert_eq!(told["iss"], system.public_url());
    let own = asks.token(&system).await?;
    let told = asks
        .call(&system, "/oauth/introspect", &about(&own))
        .await?
        .json()?;
    assert_eq!(
        (&told["client_id"], &told["scope"]),
        (&json!(asks.id), &json!("a"))
    );
    assert_eq!(told["sub"], told["client_id"]);

    for none in [
        &refresh_token,
        "nonsense",
        &access[1..],
        &format!("{access}x"),
    ] {
        ensure!(!asks.sees_active(&system, none).await?, "{none}");
    }
    // Roles changed: the token says what is not so any more. The next one is good.
    operator(
        &system,
        &["users", "grant", "--email", BOB.email, "--role", "b"],
    )
    .await?;
    ensure!(!asks.sees_active(&system, &access).await?, "stale claims");
    bob.refresh().await?.expect(200)?;
    let (access, _) = tokens(&bob)?;
    ensure!(asks.sees_active(&system, &access).await?);
    bob.logout().await?.expect(204)?;
    ensure!(!asks.sees_active(&system, &access).await?, "signed out");
    let ada = system.login(&ADA).await?;
    let (access, _) = tokens(&ada)?;
    operator(&system, &["sessions", "end", "--everyone"]).await?;
    for token in [&access, &own] {
        ensure!(!asks.sees_active(&system, token).await?, "everyone's");
    }
    let own = asks.token(&system).await?;
    ensure!(asks.sees_active(&system, &own).await?, "a new one");
    system.advance(Duration::from_secs(16 * 60)).await?;
    ensure!(!asks.sees_active(&system, &own).await?, "expired");
    Ok(())
}

#[tokio::test]
async fn metadata_and_keys_may_be_kept_and_are_not_sent_twice() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    for (path, kind, kept) in [
        (
            "/.well-known/oauth-authorization-server",
            "application/json",
            "public, max-age=3600",
        ),
        (
            "/.well-known/jwks.json",
            "application/jwk-set+json",
            "public, max-age=300",
        ),
    ] {
        let get = |tag: Option<String>| {
            let mut request = client.request(Method::GET, path).mode(Mode::Bare);
            if let Some(tag) = tag {
                request = request.header("if-none-match", &tag);
            }
            request.send()
        };
        let answer = get(None).await?.expect(200)?;
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("cache-control"), Some(kept), "{path}");
        let tag = answer.header("etag").context("etag")?.to_owned();
        let again = get(Some(tag.clone())).await?.expect(304)?;
        assert_eq!(
            (again.bytes(), again.header("etag")),
            (&b""[..], Some(tag.as_str()))
        );
        get(Some("\"other\"".to_owned())).await?.expect(200)?;
    }
    let keys = client.get("/.well-known/jwks.json").await?;
    let tag = keys.header("etag").context("etag")?.to_owned();
    operator(&system, &["keys", "rotate"]).await?;
    let published = async || {
        let keys = client.get("/.well-known/jwks.json").await;
        keys.is_ok_and(|keys| keys.header("etag") != Some(&tag))
    };
    harness::wait::until(
        "the next key to be published",
        Duration::from_secs(20),
        published,
    )
    .await?;
    let keys = client.get("/.well-known/jwks.json").await?.json()?;
    assert_eq!(keys["keys"].as_array().context("keys")?.len(), 2);
    ensure!(!keys.to_string().contains("\"d\""));
    Ok(())
}
