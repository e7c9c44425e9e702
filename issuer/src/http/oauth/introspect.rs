//! The introspection endpoint (RFC 7662).

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde::Serialize;
use shared::claims::{Claims, ServiceClaims};
use shared::id::{ClientId, SessionId, TokenId, UserId};
use shared::time::UnixTime;
use shared::token::{self, Holder, Verified};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::OAuthError;
use super::form::Form;
use super::proof::{Caller, caller};
use crate::http::error::{Failure, OAuthFailure};
use crate::http::extract::SignedIn;
use crate::http::openapi::refusals;
use crate::services::Services;
use crate::store::clients::State as ClientState;
use crate::store::{clients, revocations};

/// What is asked about.
#[derive(ToSchema)]
#[expect(dead_code, reason = "says what `Form` reads")]
struct IntrospectionRequest {
    /// An access token.
    #[schema(min_length = 1)]
    token: String,
    /// Not needed.
    token_type_hint: Option<String>,
    /// Who asks, if it proves itself by `client_secret`.
    client_id: Option<String>,
    /// `client_secret_post`.
    client_secret: Option<String>,
    /// `private_key_jwt`.
    client_assertion: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: Option<String>,
}

/// What a token is worth at this moment.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Introspection {
    /// Nothing, and nothing is said of why (RFC 7662 §2.2).
    Inactive(Inactive),
    /// A user's.
    User(ActiveUser),
    /// A service's.
    Service(ActiveService),
}

/// No access token, or none any more.
#[derive(Serialize, ToSchema)]
pub(super) struct Inactive {
    /// `false`.
    #[schema(schema_with = always::<false>)]
    active: bool,
}

/// A user's access token that opens what their roles allow.
#[derive(Serialize, ToSchema)]
pub(super) struct ActiveUser {
    /// `true`.
    #[schema(schema_with = always::<true>)]
    active: bool,
    /// `Bearer`.
    token_type: &'static str,
    iss: String,
    aud: String,
    /// The user.
    #[schema(value_type = String)]
    sub: UserId,
    client_id: String,
    /// The session.
    #[schema(value_type = String)]
    sid: SessionId,
    #[schema(value_type = String)]
    jti: TokenId,
    #[schema(value_type = i64)]
    iat: UnixTime,
    #[schema(value_type = i64)]
    exp: UnixTime,
    #[schema(value_type = i64)]
    auth_time: UnixTime,
    roles: Vec<String>,
}

/// A service's access token.
#[derive(Serialize, ToSchema)]
pub(super) struct ActiveService {
    /// `true`.
    #[schema(schema_with = always::<true>)]
    active: bool,
    /// `Bearer`.
    token_type: &'static str,
    iss: String,
    aud: String,
    /// The service, as `client_id`.
    #[schema(value_type = String)]
    sub: ClientId,
    #[schema(value_type = String)]
    client_id: ClientId,
    #[schema(value_type = String)]
    jti: TokenId,
    #[schema(value_type = i64)]
    iat: UnixTime,
    #[schema(value_type = i64)]
    exp: UnixTime,
    scope: String,
}

/// What tells the answers apart.
fn always<const VALUE: bool>() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Boolean))
        .enum_values(Some([VALUE]))
        .build()
}

/// Whether an access token is good at this moment: signature, time, session or client, revocations. For clients that are
/// registered for it. A refresh token is none, so that nobody takes one for an access token.
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    operation_id = "introspectToken",
    tag = "oauth",
    security(("client" = [])),
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What it says, or `active` = false", body = Introspection),
        (status = 400, description = "`invalid_request`", body = OAuthError),
        (status = 401, description = "`invalid_client`", body = OAuthError),
        (status = 403, description = "`unauthorized_client`: not registered for it", body = OAuthError),
        (status = 415, description = "`invalid_request`: not a form", body = OAuthError),
        refusals::RateLimited,
    )
)]
pub(super) async fn introspect(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Introspection>, OAuthFailure> {
    let form = Form::parse(&headers, body)?;
    match caller(&services, &headers, &form).await? {
        Caller::Registered(client) if client.may_introspect => {}
        Caller::Registered(_) => return Err(Failure::MayNotIntrospect.into()),
        Caller::Public => return Err(Failure::InvalidClient("no proof came").into()),
    }
    let text = form.required("token", "Send token.")?;
    let (keys, expected) = (services.keyring.verifying(), services.minter.expected());
    let found = match token::verify_any(text, &keys, &expected) {
        Ok(Holder::User(token)) => of_user(&services, &token).await?,
        Ok(Holder::Service(token)) => of_service(&services, &token).await?,
        Err(_) => None,
    };
    Ok(Json(found.unwrap_or(Introspection::Inactive(Inactive {
        active: false,
    }))))
}

/// What the issuer itself would take the token for; but with the claims of the token, which edges and others go by, and so only
/// as long as these are the user's.
async fn of_user(
    services: &Services,
    token: &Verified<Claims>,
) -> Result<Option<Introspection>, Failure> {
    let me = match SignedIn::by(token, services, services.clock.now()).await {
        Ok(me) => me,
        Err(Failure::Rejected(_) | Failure::SessionEnded | Failure::TokenRevoked) => {
            return Ok(None);
        }
        Err(other) => return Err(other),
    };
    let claims = token.claims();
    if claims.ver < me.user.ver {
        return Ok(None);
    }
    Ok(Some(Introspection::User(ActiveUser {
        active: true,
        token_type: "Bearer",
        iss: claims.iss.clone(),
        aud: claims.aud.clone(),
        sub: claims.sub,
        client_id: claims.client_id.clone(),
        sid: claims.sid,
        jti: claims.jti,
        iat: claims.iat,
        exp: claims.exp,
        auth_time: claims.auth_time,
        roles: claims.roles.clone(),
    })))
}

async fn of_service(
    services: &Services,
    token: &Verified<ServiceClaims>,
) -> Result<Option<Introspection>, Failure> {
    let (claims, now) = (token.claims(), services.clock.now());
    if token::check_time(token, now.to_secs()).is_err() {
        return Ok(None);
    }
    let mut conn = services.store.conn().await?;
    let client = clients::by_id(&mut conn, claims.client_id).await?;
    let stands = client
        .is_some_and(|client| client.state == ClientState::Active && claims.ver >= client.ver);
    // As edges do: a token of that very second may be from before.
    let everyone = revocations::everyone_before(&mut conn).await?;
    let is_revoked = everyone.is_some_and(|before| claims.iat <= before)
        || revocations::names_token(&mut conn, claims.jti).await?;
    if !stands || is_revoked {
        return Ok(None);
    }
    Ok(Some(Introspection::Service(ActiveService {
        active: true,
        token_type: "Bearer",
        iss: claims.iss.clone(),
        aud: claims.aud.clone(),
        sub: claims.sub,
        client_id: claims.client_id,
        jti: claims.jti,
        iat: claims.iat,
        exp: claims.exp,
        scope: claims.scope.to_string(),
    })))
}
