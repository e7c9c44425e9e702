//! What the provider answers: discovery (OpenID Connect Discovery 1.0 §4), keys, authorization with PKCE and `iss`
//! (RFC 7636, RFC 9207), tokens.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::delivery::Endpoint;
use super::sign_in::{SignIn, patched};
use super::{CLIENT_ID, Inner, PLAN};
use crate::private::random_hex;
use crate::process::serial;

type Fields = HashMap<String, String>;
type Shared = State<Arc<Inner>>;

/// What a code stands for.
pub(super) struct Grant {
    sign_in: SignIn,
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

pub(super) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo))
        .with_state(inner)
}

async fn discovery(State(inner): Shared) -> Response {
    let at = |path: &str| format!("{}{path}", inner.issuer);
    let right = json!({
        "issuer": inner.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"),
        "userinfo_endpoint": at("/userinfo"),
        "end_session_endpoint": at("/end"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    });
    let right = patched(right, &inner.state().metadata);
    inner
        .deliver(Endpoint::Discovery, StatusCode::OK, right)
        .await
}

async fn keys(State(inner): Shared) -> Response {
    let right = json!({"keys": [inner.state().key.jwk()]});
    inner.deliver(Endpoint::Keys, StatusCode::OK, right).await
}

/// Nobody is asked anything: whoever comes is who the plan of this sign-in says.
async fn authorize(State(inner): Shared, Query(asked): Query<Fields>) -> Response {
    let of = |name: &str| asked.get(name).map_or("", String::as_str);
    let wrong = [
        ("response_type", of("response_type") != "code"),
        ("client_id", of("client_id") != CLIENT_ID),
        (
            "scope",
            !of("scope").split(' ').any(|scope| scope == "openid"),
        ),
        ("redirect_uri", of("redirect_uri").is_empty()),
        ("state", of("state").len() < 22),
        ("nonce", of("nonce").len() < 22),
        // SHA-256 in base64url.
        ("code_challenge", of("code_challenge").len() != 43),
        (
            "code_challenge_method",
            of("code_challenge_method") != "S256",
        ),
    ];
    if let Some((name, _)) = wrong.iter().find(|(_, is_wrong)| *is_wrong) {
        return (StatusCode::BAD_REQUEST, format!("{name}: {:?}", of(name))).into_response();
    }
    let sign_in = inner.state().plans.remove(of(PLAN)).unwrap_or_default();
    let Ok(code) = random_hex() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let right = json!({"code": code, "state": of("state"), "iss": inner.issuer});
    let parameters = patched(right, &sign_in.callback);
    let location = with_query(of("redirect_uri"), &parameters);
    let grant = Grant {
        sign_in,
        nonce: of("nonce").to_owned(),
        challenge: of("code_challenge").to_owned(),
        redirect_uri: of("redirect_uri").to_owned(),
    };
    inner.state().grants.insert(code, grant);
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

async fn token(State(inner): Shared, headers: HeaderMap, Form(asked): Form<Fields>) -> Response {
    let of = |name: &str| asked.get(name).map_or("", String::as_str);
    let refused = |error: &str| json!({"error": error});
    // Used once, whatever comes of it (RFC 6749 §4.1.2).
    let grant = inner.state().grants.remove(of("code"));
    let (status, right) = if !is_client(&headers, &inner.client_secret) {
        (401, refused("invalid_client"))
    } else if of("grant_type") != "authorization_code" {
        (400, refused("unsupported_grant_type"))
    } else {
        match grant.filter(|grant| redeems(grant, of("redirect_uri"), of("code_verifier"))) {
            Some(grant) => (grant.sign_in.status, answer(&inner, &grant)),
            None => (400, refused("invalid_grant")),
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    inner.deliver(Endpoint::Token, status, right).await
}

/// OpenID Connect Core 1.0 §5.3.
async fn userinfo(State(inner): Shared, headers: HeaderMap) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let known = token.and_then(|token| inner.state().people.get(token).cloned());
    let (status, right) = match known {
        Some(person) => (StatusCode::OK, person),
        None => (StatusCode::UNAUTHORIZED, json!({"error": "invalid_token"})),
    };
    inner.deliver(Endpoint::Userinfo, status, right).await
}

fn answer(inner: &Inner, grant: &Grant) -> Value {
    let sign_in = &grant.sign_in;
    let now = inner.clock.now().to_secs().secs();
    let protocol = json!({
        "iss": inner.issuer,
        "aud": CLIENT_ID,
        "iat": now,
        "auth_time": now,
        "exp": now + 300,
        "nonce": grant.nonce,
        "sid": format!("sid-of-{}", sign_in.person["sub"].as_str().unwrap_or_default()),
    });
    let claims = patched(patched(sign_in.person.clone(), &protocol), &sign_in.claims);
    let id_token = inner.token("JWT", &claims, sign_in.signature);
    let access_token = format!("access-{}", serial());
    let person = patched(sign_in.person.clone(), &sign_in.userinfo);
    inner.state().people.insert(access_token.clone(), person);
    let right = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": 300,
        "id_token": id_token.unwrap_or_default(),
    });
    patched(right, &sign_in.answer)
}

fn redeems(grant: &Grant, redirect_uri: &str, verifier: &str) -> bool {
    let challenge = BASE64URL.encode(Sha256::digest(verifier));
    grant.redirect_uri == redirect_uri
        && (challenge == grant.challenge || !grant.sign_in.checks_verifier)
}

/// RFC 6749 §2.3.1. Neither the id nor the secret holds anything that would be escaped.
fn is_client(headers: &HeaderMap, secret: &str) -> bool {
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{secret}")));
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|found| *found == *expected)
}

fn with_query(uri: &str, parameters: &Value) -> String {
    let Ok(mut url) = reqwest::Url::parse(uri) else {
        return uri.to_owned();
    };
    for (name, value) in parameters.as_object().into_iter().flatten() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        url.query_pairs_mut().append_pair(name, &text);
    }
    url.into()
}
