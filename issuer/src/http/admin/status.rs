//! How the issuer and its accounts are, in one look.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Administrator;
use crate::fault::Fault;
use crate::http::error::Failure;
use crate::http::moment::Moment;
use crate::http::openapi::refusals;
use crate::services::Services;
use crate::store::census;

/// The answer to `GET /auth/admin/status`.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    /// Of this issuer's build.
    version: &'static str,
    /// By this issuer's clock.
    now: Moment,
    users: Users,
    sessions: Sessions,
    revocations: Revocations,
    signing_key: SigningKey,
    /// Whether this issuer publishes revocations and keys to KV.
    publishes_to_kv: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UserCount)]
struct Users {
    total: u64,
    disabled: u64,
    /// Enabled, and with the role `admin`.
    administrators: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SessionCount)]
struct Sessions {
    /// Not ended, and not run out.
    live: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RevocationCount)]
struct Revocations {
    /// What edges must remember at this moment.
    live: u64,
}

#[derive(Serialize, ToSchema)]
struct SigningKey {
    kid: String,
    algorithm: &'static str,
}

/// How the issuer and its accounts are.
#[utoipa::path(
    get,
    path = "/auth/admin/status",
    operation_id = "getStatus",
    tag = "administration",
    responses(
        (status = 200, description = "As of one moment.", body = Status),
        refusals::Forbidden,
    ),
)]
pub(super) async fn status(
    State(services): State<Arc<Services>>,
    Administrator(me): Administrator,
) -> Result<Json<Status>, Failure> {
    let idle = services.config.policy.idle;
    let census = census::take(&mut *services.store.conn().await?, idle, me.now).await?;
    let signing = services.keyring.signing(me.now).map_err(Fault::from)?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        now: Moment(me.now),
        users: Users {
            total: census.users,
            disabled: census.disabled,
            administrators: census.administrators,
        },
        sessions: Sessions {
            live: census.live_sessions,
        },
        revocations: Revocations {
            live: census.live_revocations,
        },
        signing_key: SigningKey {
            kid: signing.kid().to_owned(),
            algorithm: signing.algorithm().as_str(),
        },
        publishes_to_kv: services.config.kv.is_some(),
    }))
}
