//! The keys that sign tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Administrator, RecentAdministrator};
use crate::fault::Fault;
use crate::http::error::Failure;
use crate::http::extract::{Client, Path};
use crate::http::moment::Moment;
use crate::http::openapi::refusals;
use crate::services::Services;
use crate::token::keyring::{KeyringError, Listed};

/// The keys, oldest first.
///
/// Where each stands in its life, and when that changes.
#[utoipa::path(
    get,
    path = "/auth/admin/keys",
    operation_id = "listKeys",
    tag = "administration",
    responses((status = 200, description = "The keys, without their secrets.", body = Vec<Listed>)),
)]
pub(super) async fn list(
    State(services): State<Arc<Services>>,
    Administrator(me): Administrator,
) -> Result<Json<Vec<Listed>>, Failure> {
    let keys = services.keyring.list(&services.store, me.now).await;
    Ok(Json(keys.map_err(failure)?))
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Rotated {
    kid: String,
    /// When it begins to sign.
    activates_at: Moment,
}

/// Makes a successor now.
///
/// It signs once every edge knows it. With `JWT_SECRET` there is none to make.
#[utoipa::path(
    post,
    path = "/auth/admin/keys/rotate",
    operation_id = "rotateKeys",
    tag = "administration",
    responses((status = 200, description = "The next key.", body = Rotated), refusals::NotFound),
)]
pub(super) async fn rotate(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
) -> Result<Json<Rotated>, Failure> {
    let by = client.by(me.actor());
    let rotated = services.keyring.rotate(&services.store, by, me.now).await;
    let (kid, activates_at) = rotated.map_err(failure)?;
    Ok(Json(Rotated {
        kid,
        activates_at: Moment(activates_at),
    }))
}

/// A name that a key can have. Whether there is one of that name is another question.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Kid(String);

/// The text is no such name.
#[derive(Debug, thiserror::Error)]
#[error("must be up to 64 letters, digits and hyphens")]
pub(super) struct NotAKid;

impl TryFrom<String> for Kid {
    type Error = NotAKid;

    fn try_from(text: String) -> Result<Self, NotAKid> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_name = (1..=64).contains(&text.len()) && text.bytes().all(plain);
        is_name.then_some(Self(text)).ok_or(NotAKid)
    }
}

/// A key that was withdrawn.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    revoked: String,
    /// The key that was made because no other one signed.
    created: Option<String>,
}

/// Withdraws a key, where it may have been stolen.
///
/// Edges refuse what it has signed within the bound of revocations; sessions stand, and get a token under another key.
#[utoipa::path(
    post,
    path = "/auth/admin/keys/{kid}/revoke",
    operation_id = "revokeKey",
    tag = "administration",
    params(("kid" = String, Path, description = "Its name, as the list shows it.", pattern = "^[A-Za-z0-9-]{1,64}$", example = "1764000000-0123abcd")),
    responses((status = 200, description = "It is withdrawn.", body = Revoked), refusals::NotFound),
)]
pub(super) async fn revoke(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
    Path(Kid(revoked)): Path<Kid>,
) -> Result<Json<Revoked>, Failure> {
    let by = client.by(me.actor());
    let (keyring, store) = (&services.keyring, &services.store);
    let created = keyring.revoke(store, &revoked, by, me.now).await;
    let created = created.map_err(failure)?;
    Ok(Json(Revoked { revoked, created }))
}

/// A key that there is not, or keys that are configured, are no such thing.
fn failure(error: KeyringError) -> Failure {
    match error {
        KeyringError::Unknown(_) | KeyringError::Configured => Failure::NotFound,
        KeyringError::Store(_)
        | KeyringError::Entropy(_)
        | KeyringError::Sealed(_)
        | KeyringError::None => Fault::from(error).into(),
    }
}
