//! The revocation endpoint (RFC 7009).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use shared::id::{SessionId, TokenId};
use shared::token::{self, Holder};
use utoipa::ToSchema;

use super::OAuthError;
use super::form::Form;
use super::proof::{Caller, caller};
use crate::events::{Actor, Kind};
use crate::http::error::{Failure, OAuthFailure};
use crate::http::extract::Client;
use crate::http::openapi::refusals;
use crate::revoke::ending::{end_one, revoke_token};
use crate::services::Services;
use crate::session::EndReason;
use crate::store::revocations;

/// What is to be revoked.
#[derive(ToSchema)]
#[schema(as = TokenRevocationRequest)]
#[expect(dead_code, reason = "says what `Form` reads")]
struct RevocationRequest {
    /// A refresh token or an access token.
    #[schema(min_length = 1)]
    token: String,
    /// Not needed: the two cannot be taken for each other.
    token_type_hint: Option<String>,
    /// A service proves itself as at `/oauth/token`; other clients have no proof but the token.
    client_id: Option<String>,
    /// `client_secret_post`.
    client_secret: Option<String>,
    /// `private_key_jwt`.
    client_assertion: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: Option<String>,
}

/// Revokes a token: with a refresh token its session ends, an access token is revoked alone. 200 also for what is no token or
/// none any more (RFC 7009 §2.2).
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    operation_id = "revokeToken",
    tag = "oauth",
    security((), ("client" = [])),
    request_body(content = RevocationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Nothing can be done with the token any more"),
        (status = 400, description = "`invalid_request`, or `invalid_grant`: the token was issued to another client", body = OAuthError),
        (status = 401, description = "`invalid_client`; also where a service's token comes without a proof", body = OAuthError),
        (status = 415, description = "`invalid_request`: not a form", body = OAuthError),
        refusals::RateLimited,
    )
)]
pub(super) async fn revoke(
    State(services): State<Arc<Services>>,
    client: Client,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, OAuthFailure> {
    let form = Form::parse(&headers, body)?;
    let text = form.required("token", "Send token.")?;
    let caller = caller(&services, &headers, &form).await?;
    if let Ok(token) = services.minter.open(text) {
        end_session(&services, &client, &caller, token.sid).await?;
    } else if let Ok(token) = token::verify_any(
        text,
        &services.keyring.verifying(),
        &services.minter.expected(),
    ) {
        revoke_access(&services, &client, &caller, &token).await?;
    }
    Ok(StatusCode::OK)
}

/// As a sign-out: whichever refresh token of the session comes, the session ends.
async fn end_session(
    services: &Services,
    client: &Client,
    caller: &Caller,
    id: SessionId,
) -> Result<(), Failure> {
    if matches!(caller, Caller::Registered(_)) {
        return Err(Failure::OthersToken);
    }
    // The refresh token proves its holder, but the row alone says whose it is.
    let (by, now) = (client.by(Actor::Unknown), services.clock.now());
    end_one(&services.store, id, EndReason::RefreshRevoked, by, now).await?;
    Ok(())
}

async fn revoke_access(
    services: &Services,
    client: &Client,
    caller: &Caller,
    token: &Holder,
) -> Result<(), Failure> {
    let (jti, event) = match (caller, token) {
        (Caller::Public, Holder::User(token)) => {
            let claims = token.claims();
            let actor = claims.act.map_or(claims.sub, |act| act.sub);
            let event = client.by(Actor::User(actor)).event(Kind::TokenRevoked);
            (claims.jti, event.of(claims.sub).in_session(claims.sid))
        }
        (Caller::Registered(service), Holder::Service(token))
            if token.claims().client_id == service.id =>
        {
            let by = client.by(Actor::Service(service.id));
            (token.claims().jti, by.event(Kind::TokenRevoked))
        }
        (Caller::Public, Holder::Service(_)) => {
            return Err(Failure::InvalidClient(
                "a service's token came without a proof",
            ));
        }
        (Caller::Registered(_), Holder::User(_) | Holder::Service(_)) => {
            return Err(Failure::OthersToken);
        }
    };
    let now = services.clock.now();
    // A token that is none any more needs no row, so one token makes one row, however often it comes.
    if token.check_time(now.to_secs()).is_err() || is_revoked(services, jti).await? {
        return Ok(());
    }
    Ok(revoke_token(&services.store, jti, &services.config.policy, event, now).await?)
}

async fn is_revoked(services: &Services, jti: TokenId) -> Result<bool, Failure> {
    Ok(revocations::names_token(&mut *services.store.conn().await?, jti).await?)
}
