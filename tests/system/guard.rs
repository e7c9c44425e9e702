//! What a guarded request can be, and how each is answered.

use anyhow::{Context, Result, ensure};
use harness::raw;
use harness::system::{ADA, BOB, Client, Link, Method, Mode, System};
use serde_json::json;
use shared::assertion::{self, AssertionKey, Request};
use shared::cookie;
use shared::secret::RootSecret;
use shared::time::UnixTime;

use crate::wire::{authority, of_session};

const ORIGIN_SECRET: &str = "tT9wXc4mQz7kLp2vNb6yRf3sHd8gJa5e";

fn access_token(client: &Client) -> Result<String> {
    client.cookie(cookie::ACCESS).context("an access cookie")
}

/// RFC 6797 §7.2; the origin's answers are its own.
#[tokio::test]
async fn the_edges_own_answers_ask_for_tls() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let stranger = system.client()?;
    system.cut(Link::EdgeOrigin);
    let own = [
        (401, stranger.get("/app/").await?),
        (303, stranger.navigate("/app/").await?),
        (403, client.navigate("/admin/").await?),
        (400, client.get("/app//x").await?),
        (404, client.get("/edge/keys").await?),
        (502, client.navigate("/app/").await?),
        (200, stranger.get("/auth/login").await?),
    ];
    for (status, answer) in own {
        let answer = answer.expect(status)?;
        assert_eq!(
            answer.headers_named("strict-transport-security"),
            ["max-age=31536000; includeSubDomains"],
            "{answer}"
        );
    }
    system.heal(Link::EdgeOrigin);
    let origins = client.get("/app/").await?.expect(200)?;
    assert_eq!(origins.header("strict-transport-security"), None);
    Ok(())
}

#[tokio::test]
async fn strangers_are_led_to_the_sign_in_or_told_why_not() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    client.navigate("/").await?.expect(200)?;
    let answer = client.navigate("/app/?a=b").await?.expect(303)?;
    assert_eq!(
        answer.location(),
        Some("/auth/login?return_to=/app/%3Fa%3Db")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    client
        .get("/app/")
        .await?
        .expect_problem(401, "unauthenticated")?;
    client
        .navigate("/api/x")
        .await?
        .expect_problem(401, "unauthenticated")?;
    client
        .get("/not-named-by-any-rule")
        .await?
        .expect_problem(401, "unauthenticated")?;
    assert_eq!(
        system.origin.count(),
        1,
        "only the public page reached the origin"
    );
    Ok(())
}

#[tokio::test]
async fn what_was_read_in_a_cookie_header_is_its_own() -> Result<()> {
    // Half as many texts, which is more than the worker remembers.
    const REQUESTS: usize = 1_200;
    let system = System::start().await?;
    let stranger = system.client()?;
    let mut users = Vec::new();
    for account in [&ADA, &BOB] {
        let client = system.login(account).await?;
        let id = of_session(&client, "/user/id").await?;
        users.push((client, id));
    }
    for index in 0..REQUESTS {
        // Each text comes twice, with texts of others in between.
        let page = (index / 4).to_string();
        let (client, id) = &users[index % 2];
        client.set_cookie("page", &page);
        let received = client.get("/api/x").await?.expect(200)?.received()?;
        assert_eq!(received.header("portcullis-user"), Some(id.as_str()));
        assert_eq!(
            received.header("cookie"),
            Some(format!("page={page}").as_str())
        );
        stranger.set_cookie("page", &page);
        stranger
            .get("/api/x")
            .await?
            .expect_problem(401, "unauthenticated")?;
    }
    Ok(())
}

#[tokio::test]
async fn the_origin_learns_who_it_is_and_can_check_it() -> Result<()> {
    let system = System::builder()
        .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
        .start()
        .await?;
    let client = system.login(&ADA).await?;
    let session = client.get("/auth/session").await?.expect(200)?.json()?;
    let received = client.get("/api/x?q=1").await?.expect(200)?.received()?;

    assert_eq!(
        received.header("portcullis-user"),
        session["user"]["id"].as_str()
    );
    assert_eq!(
        received.header("portcullis-session"),
        session["session"]["id"].as_str()
    );
    assert_eq!(received.header("portcullis-roles"), Some("admin,user"));
    let keys = [AssertionKey::from(&RootSecret::parse(ORIGIN_SECRET)?)];
    let request = Request {
        method: "GET",
        site: system.public_url(),
        path_and_query: "/api/x?q=1",
    };
    let now = UnixTime::from_secs(
        std::time::SystemTime::UNIX_EPOCH
            .elapsed()?
            .as_secs()
            .cast_signed(),
    );
    let offered = received
        .header("portcullis-assertion")
        .context("an assertion")?;
    let identity = assertion::verify(offered, &keys, request, now)?;
    assert_eq!(
        Some(identity.user().to_string().as_str()),
        session["user"]["id"].as_str()
    );
    assert_eq!(identity.roles(), ["admin", "user"]);
    let other = Request {
        path_and_query: "/api/y",
        ..request
    };
    ensure!(
        assertion::verify(offered, &keys, other, now).is_err(),
        "bound to its request"
    );
    Ok(())
}

#[tokio::test]
async fn forged_identity_and_session_cookies_do_not_reach_the_origin() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let own = client.get("/auth/session").await?.expect(200)?.json()?["user"]["id"].clone();
    let request = client
        .request(Method::GET, "/api/x")
        .header(
            "cookie",
            &format!(
                "theme=dark; {}={}; lang=de",
                cookie::ACCESS,
                access_token(&client)?
            ),
        )
        .header("connection", "keep-alive, portcullis-roles")
        .header("portcullis-user", "forged")
        .header("Portcullis_User", "forged")
        .header("PORTCULLIS-ROLES", "admin")
        .header("portcullis.roles", "admin")
        .header("portcullis-edge-token", "forged")
        .header("x-other", "kept");
    let received = request.send().await?.expect(200)?.received()?;
    let ours: Vec<_> = received
        .headers
        .iter()
        .filter(|(name, _)| name.to_lowercase().starts_with("portcullis"))
        .collect();
    assert_eq!(ours.len(), 4, "{ours:?}");
    assert_eq!(received.header("portcullis-user"), own.as_str());
    assert_eq!(received.header("portcullis-roles"), Some("user"));
    assert_eq!(received.header("cookie"), Some("theme=dark; lang=de"));
    assert_eq!(received.header("x-other"), Some("kept"));
    ensure!(!format!("{:?}", received.headers).contains("forged"));

    let public = system
        .client()?
        .request(Method::GET, "/")
        .header("portcullis-user", "forged")
        .send()
        .await?
        .expect(200)?;
    let last = system.origin.received().pop().context("a request")?;
    ensure!(
        last.header("portcullis-user").is_none(),
        "not on public routes either: {}",
        public.status()
    );
    Ok(())
}

#[tokio::test]
async fn a_bearer_token_works_and_two_credentials_do_not() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let token = access_token(&client)?;
    let bearer = format!("Bearer {token}");
    let stranger = system.client()?;
    let request = || {
        stranger
            .request(Method::POST, "/api/x")
            .mode(Mode::Bare)
            .header("authorization", &bearer)
    };
    let received = request()
        .body("12345")
        .send()
        .await?
        .expect(200)?
        .received()?;
    assert_eq!(received.body_length, 5);
    ensure!(
        received.header("authorization").is_none(),
        "the credential stays at the edge"
    );

    let twice = format!("{}={token}", cookie::ACCESS);
    request()
        .header("cookie", &twice)
        .send()
        .await?
        .expect_problem(400, "invalid_request")?;
    let doubled = format!("{twice}; {twice}");
    stranger
        .request(Method::GET, "/api/x")
        .header("cookie", &doubled)
        .send()
        .await?
        .expect_problem(400, "invalid_request")
        .context("two access cookies")?;

    let broken = stranger
        .request(Method::GET, "/api/x")
        .mode(Mode::Bare)
        .header("authorization", "Bearer nonsense");
    let answer = broken.send().await?.expect_problem(401, "token_invalid")?;
    ensure!(
        answer
            .header("www-authenticate")
            .is_some_and(|value| value.contains("Bearer") && value.contains("invalid_token"))
    );
    Ok(())
}

#[tokio::test]
async fn unsafe_requests_must_come_from_this_site() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    client.post("/api/x").await?.expect(200)?;
    let before = system.origin.count();
    // SameSite=Lax keeps the cookies back, so it is anybody's request; a browser that does not know it is stopped by
    // Sec-Fetch-Site.
    client
        .request(Method::POST, "/api/x")
        .mode(Mode::CrossSite)
        .send()
        .await?
        .expect_problem(401, "unauthenticated")?;
    let cookies = format!("{}={}", cookie::ACCESS, access_token(&client)?);
    let request = |site: &str| {
        let request = client
            .request(Method::POST, "/api/x")
            .header("cookie", &cookies);
        request.header("sec-fetch-site", site)
    };
    request("cross-site")
        .send()
        .await?
        .expect_problem(403, "csrf")?;
    request("same-site")
        .send()
        .await?
        .expect_problem(403, "csrf")?;
    let bare = |origin: &str| {
        let request = client
            .request(Method::POST, "/api/x")
            .mode(Mode::Bare)
            .header("cookie", &cookies);
        request.header("origin", origin)
    };
    bare("https://evil.example")
        .send()
        .await?
        .expect_problem(403, "csrf")?;
    bare("null").send().await?.expect_problem(403, "csrf")?;
    assert_eq!(
        system.origin.count(),
        before,
        "none of them reached the origin"
    );
    bare(system.public_url()).send().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_path_that_can_be_read_in_two_ways_is_refused_to_everybody() -> Result<()> {
    let system = System::start().await?;
    // She may go wherever any of them could lead. Byte by byte: an HTTP client would resolve some of them itself.
    let client = system.login(&ADA).await?;
    let token = access_token(&client)?;
    for (path, status, code) in [
        ("/app/../admin/x", 400, "invalid_request"),
        ("/app/%2e%2e/admin/x", 400, "invalid_request"),
        ("/app/..%2fadmin/x", 400, "invalid_request"),
        ("//admin/x", 400, "invalid_request"),
        ("/admin%2fx", 400, "invalid_request"),
        ("/admin/%00", 400, "invalid_request"),
        ("/Admin/x", 404, "not_found"),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}={token}\r\n\r\n",
            authority(&system),
            cookie::ACCESS
        );
        let answer = raw::exchange(system.edges[0].addr(), request.as_bytes()).await?;
        ensure!(
            answer.status() == Some(status)
                && answer.text().contains(&format!("\"code\":\"{code}\"")),
            "{path}: {}",
            answer.text()
        );
    }
    assert_eq!(system.origin.count(), 0, "none of them reached the origin");
    let received = client
        .get("/api/a%20b?x=%2e%2e")
        .await?
        .expect(200)?
        .received()?;
    assert_eq!(
        (received.path.as_str(), received.query.as_deref()),
        ("/api/a%20b", Some("x=%2e%2e"))
    );
    Ok(())
}

#[tokio::test]
async fn tokens_of_others_are_refused() -> Result<()> {
    let system = System::start().await?;
    let elsewhere = System::start().await?;
    let client = system.login(&BOB).await?;
    let foreign = access_token(&elsewhere.login(&BOB).await?)?;
    for token in [foreign.as_str(), "", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        let intruder = system.client()?;
        intruder.set_cookie(cookie::ACCESS, token);
        let answer = intruder.get("/api/x").await?;
        assert_eq!(answer.status(), 401, "{token}");
    }
    let refresh_as_access = system.client()?;
    refresh_as_access.set_cookie(
        cookie::ACCESS,
        &client.cookie(cookie::REFRESH).context("refresh cookie")?,
    );
    refresh_as_access
        .get("/api/x")
        .await?
        .expect_problem(401, "token_invalid")?;
    Ok(())
}

#[tokio::test]
async fn an_access_token_ends_with_its_time() -> Result<()> {
    let system = System::builder()
        .setting("JWT_ACCESS_EXPIRES_IN", "1m")
        .start()
        .await?;
    let client = system.login(&BOB).await?;
    let token = access_token(&client)?;
    let bearer = system.client()?;
    let get = || {
        bearer
            .request(Method::GET, "/api/x")
            .mode(Mode::Bare)
            .header("authorization", &format!("Bearer {token}"))
    };
    get().send().await?.expect(200)?;
    system.advance(std::time::Duration::from_secs(60)).await?;
    get().send().await?.expect_problem(401, "token_expired")?;
    Ok(())
}

#[tokio::test]
async fn with_hs256_both_sides_share_one_secret() -> Result<()> {
    let system = System::builder()
        .setting("JWT_SECRET", "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p")
        .start()
        .await?;
    let client = system.login(&BOB).await?;
    client.get("/api/x").await?.expect(200)?;
    let jwks = client
        .get("/.well-known/jwks.json")
        .await?
        .expect(200)?
        .json()?;
    assert_eq!(
        jwks,
        json!({"keys": []}),
        "a shared secret is not published"
    );
    client.logout().await?.expect(204)?;
    client
        .get("/api/x")
        .await?
        .expect_problem(401, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn a_bad_rule_opens_nothing_and_says_what_is_wrong() -> Result<()> {
    let bad = [
        json!([{"path": "/app/*", "access": "everyone"}]),
        json!([{"path": "/app/*"}]),
        json!([{"path": "/app/*", "access": "public", "roles": ["admin"]}]),
        json!([{"path": "app", "access": "user"}]),
        json!([{"path": "/app/*", "access": "user", "freshnes": "2s"}]),
        json!([{"path": "/app/*", "access": "user", "freshness": "soon"}]),
        json!([{"path": "/app/*", "access": "user"}, {"path": "/app/*", "access": "public"}]),
        json!("nonsense"),
    ];
    for routes in bad {
        let system = System::builder().routes(routes.clone()).start().await?;
        for path in ["/", "/app/", "/api/x"] {
            let answer = system.client()?.get(path).await?;
            let problem = answer.expect_problem(500, "internal")?.json()?;
            let detail = problem["detail"].as_str().unwrap_or_default();
            ensure!(detail.contains("ROUTES"), "{routes}: {problem}");
        }
        assert_eq!(system.origin.count(), 0);
    }
    Ok(())
}
