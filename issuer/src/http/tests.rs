//! What holds without a database: the store of these tests has nobody to talk to.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use shared::cookie;
use shared::id::{SessionId, UserId};
use shared::refresh_token::RefreshToken;
use shared::revocation::OpenUpdate;
use shared::secret::Secret;
use sqlx::postgres::PgPoolOptions;
use tower::ServiceExt as _;

use super::*;
use crate::config::Config;
use crate::config::tests::{JWT_SECRET, environment};
use crate::session::tests::fresh;
use crate::store::Store;
use crate::store::revocations::Tail;
use crate::store::users::{Access, User};
use crate::time::Clock;

async fn services() -> Arc<Services> {
    let mut environment = environment();
    environment.push(("JWT_SECRET".to_owned(), JWT_SECRET.to_owned()));
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(200))
        .connect_lazy("postgres://127.0.0.1:1/none")
        .unwrap();
    let config = Config::from_env(environment).unwrap();
    let services = Services::new(config, Clock::system(), Store::from_pool(pool)).await;
    Arc::new(services.unwrap())
}

/// Cookies as a browser holds them for a session that was begun properly.
fn cookies(services: &Services) -> (String, String) {
    let now = services.clock.now();
    let session = fresh(now);
    let user = User {
        id: UserId::from_bytes([2; 16]),
        email: "ada@example.test".to_owned(),
        name: "Ada".to_owned(),
        roles: vec![],
        ver: 1,
        created_at: now,
        access: Access::Enabled,
    };
    let refresh = RefreshToken {
        sid: SessionId::from_bytes([1; 16]),
        generation: 0,
        secret: Secret::from_bytes([9; 32]),
    };
    let minted = services
        .minter
        .mint(&user, &session, &refresh, now)
        .unwrap();
    let value = |cookie: &str| cookie.split_once(';').unwrap().0.to_owned();
    (value(&minted.access_cookie), value(&minted.refresh_cookie))
}

async fn call(services: &Arc<Services>, request: Request<Body>) -> Response<Body> {
    public(services.clone()).oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn post(path: &str, cookie: &str) -> Request<Body> {
    Request::post(path)
        .header(header::COOKIE, cookie)
        .header("sec-fetch-site", "same-origin")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_forged_or_damaged_refresh_token_costs_no_sql_and_clears_no_cookie() {
    let services = services().await;
    let (_, good) = cookies(&services);
    let (name, value) = good.split_once('=').unwrap();
    let damaged = (0..value.len()).step_by(7).map(|at| {
        let other = if &value[at..=at] == "A" { "B" } else { "A" };
        format!("{name}={}{other}{}", &value[..at], &value[at + 1..])
    });
    let forged = ["x", "AAAA", &"A".repeat(value.len()), &"A".repeat(5000)]
        .map(|value| format!("{name}={value}"));
    for cookie in damaged.chain(forged) {
        let response = call(&services, post("/auth/refresh", &cookie)).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(!response.headers().contains_key(header::SET_COOKIE));
        assert!(text(response).await.contains("token_invalid"), "{cookie}");
    }
    assert_eq!(services.store.acquisitions(), 0);
    call(&services, post("/auth/refresh", &good)).await;
    assert_eq!(
        services.store.acquisitions(),
        1,
        "a good one does, so the counter counts"
    );
}

#[tokio::test]
async fn while_postgres_is_away_nothing_succeeds_and_no_cookie_is_cleared() {
    let services = services().await;
    let (access, refresh) = cookies(&services);
    let both = format!("{access}; {refresh}");
    for path in [
        "/auth/logout",
        "/auth/refresh",
        "/auth/sessions/revoke-others",
    ] {
        let response = call(&services, post(path, &both)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert!(
            !response.headers().contains_key(header::SET_COOKIE),
            "{path}"
        );
    }
}

#[tokio::test]
async fn signing_out_without_a_session_succeeds_and_clears_the_cookies() {
    let services = services().await;
    let response = call(&services, post("/auth/logout", "a=1")).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let cleared: Vec<_> = response
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .collect();
    assert_eq!(
        cleared,
        [
            &cookie::clear(cookie::ACCESS),
            &cookie::clear(cookie::REFRESH)
        ]
    );
    assert_eq!(services.store.acquisitions(), 0);
}

#[tokio::test]
async fn another_sites_page_can_neither_sign_in_nor_out() {
    let services = services().await;
    for path in [
        "/auth/login",
        "/auth/logout",
        "/auth/refresh",
        "/auth/sessions/revoke-others",
    ] {
        let mut request = post(path, &cookies(&services).0);
        request
            .headers_mut()
            .insert("sec-fetch-site", "cross-site".parse().unwrap());
        let response = call(&services, request).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
        assert!(text(response).await.contains("\"csrf\""));
    }
    assert_eq!(services.store.acquisitions(), 0);
}

#[tokio::test]
async fn an_edge_refreshes_in_the_sites_name_and_carries_no_other_site_in() {
    let services = services().await;
    let token = shared::wire::edge_token(services.config.edge_secret());
    let from_edge = |name: &'static str, value: &str| {
        let mut request = post("/auth/refresh", "__Host-Http-refresh=x");
        let headers = request.headers_mut();
        headers.remove("sec-fetch-site");
        headers.insert(name, value.parse().unwrap());
        headers.insert(shared::wire::header::EDGE_TOKEN, token.parse().unwrap());
        request
    };
    let own = from_edge("origin", &services.config.public_url);
    assert_eq!(
        call(&services, own).await.status(),
        StatusCode::UNAUTHORIZED,
        "let through, and then the token is refused"
    );
    let other = from_edge("sec-fetch-site", "cross-site");
    assert_eq!(call(&services, other).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_answer_is_kept_from_caches_and_frames() {
    let services = services().await;
    for path in [
        "/auth/login",
        "/auth/session",
        "/auth/style.css",
        "/nowhere",
        "/edge/revocations",
    ] {
        let response = call(&services, Request::get(path).body(Body::empty()).unwrap()).await;
        let headers = response.headers();
        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }
}

#[tokio::test]
async fn the_form_is_sent_to_the_pages_own_url() {
    let services = services().await;
    let too_long = format!("?return_to=/{}", "x".repeat(8_000));
    for (query, status) in [
        ("", StatusCode::OK),
        ("?return_to=%2Fapp%2F%3Fa%3D1", StatusCode::OK),
        ("?return_to=%2F%2Fevil.test", StatusCode::OK),
        ("?return_to=%", StatusCode::OK),
        (&too_long, StatusCode::BAD_REQUEST),
    ] {
        let request = Request::get(format!("/auth/login{query}"))
            .body(Body::empty())
            .unwrap();
        let answer = call(&services, request).await;
        assert_eq!(answer.status(), status, "{query}");
        let page = text(answer).await;
        assert!(page.contains("<form method=\"post\">"), "{query}: {page}");
        assert!(!page.contains("<script") && !page.contains("evil"));
        assert_eq!(
            page.contains("longer than 8,000 characters"),
            status == StatusCode::BAD_REQUEST
        );
    }
}

#[tokio::test]
async fn only_an_edge_reads_the_feed_and_jwt_secret_is_never_published() {
    let services = services().await;
    let refused = call(
        &services,
        Request::get("/edge/revocations")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let jwks = call(
        &services,
        Request::get("/.well-known/jwks.json")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(text(jwks).await, r#"{"keys":[]}"#);
}

#[tokio::test]
async fn the_feed_answers_from_memory_while_postgres_is_away_and_says_how_old_that_is() {
    let services = services().await;
    let token = shared::wire::edge_token(services.config.edge_secret());
    let ask = |query| {
        let request = Request::get(format!("/edge/revocations?{query}"));
        let request = request.header(shared::wire::header::EDGE_TOKEN, &token);
        call(&services, request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("after=x").await.status(), StatusCode::BAD_REQUEST);
    let unread = ask("after=7").await;
    assert_eq!(unread.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(text(unread).await.contains("revocations_stale"));
    services.ledger.take(Tail {
        number: 9,
        rows: vec![],
    });
    let read_by = services.clock.now();
    services.clock.advance(Duration::from_secs(10));
    let answer = ask("after=7").await;
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let update = OpenUpdate::open(&bytes, &services.config.edge_secrets).unwrap();
    assert_eq!((update.number, update.since), (9, 7));
    assert!(update.made_at <= read_by);
    assert!(update.sent_at.since(update.made_at) >= Duration::from_secs(10));
}

#[tokio::test]
async fn a_refused_person_gets_a_page() {
    let services = services().await;
    let request = Request::get("/auth/session").header("sec-fetch-mode", "navigate");
    let response = call(&services, request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(
        text(response)
            .await
            .contains("<h1>Sign in to continue</h1>")
    );
}

mod challenges;
