//! The token endpoint (RFC 6749 §3.2).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::Serialize;
use shared::scope::Scopes;
use shared::time::UnixMillis;
use utoipa::ToSchema;

use super::OAuthError;
use super::form::Form;
use super::proof::{Caller, caller};
use crate::http::browser::refresh::{Refreshed, run};
use crate::http::error::{Failure, OAuthFailure};
use crate::http::extract::Client;
use crate::http::openapi::refusals;
use crate::services::Services;
use crate::session::start::first_moment;
use crate::store::clients::{self, Client as Registered};
use crate::store::revocations;
use crate::token::service;

/// What a client asks with.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what `Form` reads")]
struct TokenRequest {
    /// `refresh_token` or `client_credentials`.
    #[schema(pattern = "^(refresh_token|client_credentials)$")]
    grant_type: String,
    /// With `grant_type=refresh_token`: the token. It can be used once.
    refresh_token: Option<String>,
    /// With `grant_type=client_credentials`: some of the client's scopes, with a space between; all, if left out.
    scope: Option<String>,
    /// The client, if it proves itself by `client_secret`.
    client_id: Option<String>,
    /// `client_secret_post`.
    client_secret: Option<String>,
    /// `private_key_jwt`.
    client_assertion: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: Option<String>,
}

/// New tokens (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    /// A JWT (RFC 9068).
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until `access_token` expires.
    expires_in: u64,
    /// The only one that is good from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// What a service's token may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// New tokens for a refresh token, by the rules of the cookies; or a token of its own for a service.
#[utoipa::path(
    post,
    path = "/oauth/token",
    operation_id = "getTokens",
    tag = "oauth",
    security((), ("client" = [])),
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "New tokens", body = TokenAnswer),
        (status = 400, description = "`invalid_request`, `invalid_grant` (with the code `token_invalid`, `session_ended` or `refresh_reused`), `unsupported_grant_type`, `invalid_scope`", body = OAuthError),
        (status = 401, description = "`invalid_client`", body = OAuthError),
        (status = 415, description = "`invalid_request`: not a form", body = OAuthError),
        refusals::RateLimited,
    )
)]
pub(super) async fn token(
    State(services): State<Arc<Services>>,
    client: Client,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<TokenAnswer>, OAuthFailure> {
    let form = Form::parse(&headers, body)?;
    let grant_type = form.required("grant_type", "Send grant_type.")?;
    let answer = match grant_type {
        "refresh_token" => {
            let caller = caller(&services, &headers, &form).await?;
            refreshed(&services, &client, &caller, &form).await?
        }
        "client_credentials" => match caller(&services, &headers, &form).await? {
            Caller::Registered(client) => own(&services, &client, &form).await?,
            Caller::Public => return Err(Failure::InvalidClient("no proof came").into()),
        },
        _ => return Err(Failure::UnsupportedGrantType.into()),
    };
    Ok(Json(answer))
}

/// `grant_type=refresh_token` (RFC 6749 §6): the session and the rules are those of the cookies.
async fn refreshed(
    services: &Services,
    client: &Client,
    caller: &Caller,
    form: &Form,
) -> Result<TokenAnswer, Failure> {
    let token = form.required("refresh_token", "Send refresh_token.")?;
    if matches!(caller, Caller::Registered(_)) {
        return Err(Failure::OthersToken);
    }
    // Users have roles and no scopes, and a refresh gives no more than was given.
    if form.get("scope").is_some() {
        return Err(Failure::InvalidScope);
    }
    // Before any SQL: whoever guesses costs us one decryption.
    let token = services.minter.open(token)?;
    match run(services, client, token).await? {
        Refreshed::Minted { minted, .. } => Ok(TokenAnswer {
            expires_in: seconds_until(minted.access_expires_at, services.clock.now()),
            access_token: minted.access_token,
            token_type: "Bearer",
            refresh_token: minted.refresh_token,
            scope: None,
        }),
        Refreshed::Over { failure, .. } => Err(failure),
    }
}

/// `grant_type=client_credentials` (RFC 6749 §4.4).
async fn own(
    services: &Services,
    client: &Registered,
    form: &Form,
) -> Result<TokenAnswer, Failure> {
    let scopes = match form.get("scope") {
        None => client.scopes.clone(),
        Some(text) => Scopes::parse(text)
            .ok()
            .filter(|asked| client.scopes.hold_all(asked))
            .ok_or(Failure::InvalidScope)?,
    };
    let mut conn = services.store.conn().await?;
    let (config, now) = (&services.config, services.clock.now());
    // As a session that begins now: after the last end of everyone, whose clock may be ahead of ours.
    let now = first_moment(now, revocations::everyone_before(&mut conn).await?);
    let token = service::mint(
        &services.keyring,
        &config.public_url,
        client,
        scopes.clone(),
        &config.policy,
        now,
    )?;
    if !clients::note_token(&mut conn, client, token.expires_at).await? {
        return Err(Failure::InvalidClient("it was revoked a moment ago"));
    }
    Ok(TokenAnswer {
        expires_in: seconds_until(token.expires_at, services.clock.now()),
        access_token: token.access_token,
        token_type: "Bearer",
        refresh_token: None,
        scope: Some(scopes.to_string()),
    })
}

fn seconds_until(end: UnixMillis, now: UnixMillis) -> u64 {
    end.since(now).as_secs()
}
