//! What administrators change of a user. All of it is announced to the edges in the transaction of the change.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::id::UserId;
use utoipa::ToSchema;

use super::caller::RecentAdministrator;
use super::everyone::Ended;
use super::view::UserView;
use crate::account::users::Whose;
use crate::http::error::Failure;
use crate::http::extract::{Client, Json, Path};
use crate::http::moment::Moment;
use crate::http::openapi::{Id, refusals};
use crate::services::Services;

/// All roles of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Roles)]
pub(super) struct RolesBody {
    /// Names of 1 to 64 of `a-z 0-9 _ - . :`, in any order.
    #[schema(schema_with = super::view::roles)]
    roles: Vec<String>,
}

/// Replaces the roles. Tokens with the old ones are refused within each route's bound; sessions stay, and are renewed with the
/// new ones.
#[utoipa::path(
    put, path = "/auth/admin/users/{id}/roles", operation_id = "setRoles", tag = "administration", params(("id" = Id, Path, description = "The user.")), request_body = RolesBody,
    responses(
        (status = 200, description = "The user as they are now.", body = UserView),
        refusals::Forbidden,
        refusals::NotFound,
        refusals::Conflict,
    )
)]
pub(super) async fn roles(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
    Path(id): Path<UserId>,
    Json(body): Json<RolesBody>,
) -> Result<Answer<UserView>, Failure> {
    let accounts = services.accounts(client.by(me.actor()));
    let changed = accounts.change_roles(Whose::Id(id), |roles| *roles = body.roles);
    Ok(Answer(changed.await?.into()))
}

/// Ends every session of the user.
#[utoipa::path(
    post, path = "/auth/admin/users/{id}/revoke", operation_id = "revokeUser", tag = "administration", params(("id" = Id, Path, description = "The user.")),
    responses(
        (status = 200, description = "How many sessions were ended.", body = Ended),
        refusals::Forbidden,
        refusals::NotFound,
    )
)]
pub(super) async fn revoke(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
    Path(id): Path<UserId>,
) -> Result<Answer<Ended>, Failure> {
    let accounts = services.accounts(client.by(me.actor()));
    let ended = accounts.end_sessions(Whose::Id(id)).await?;
    let ended = u64::try_from(ended).unwrap_or(u64::MAX);
    Ok(Answer(Ended { ended }))
}

/// Forbids the user to sign in, ends every session and withdraws their invitation. Of a disabled user it changes nothing.
#[utoipa::path(
    post, path = "/auth/admin/users/{id}/disable", operation_id = "disableUser", tag = "administration", params(("id" = Id, Path, description = "The user.")),
    responses(
        (status = 200, description = "The user as they are now.", body = UserView),
        refusals::Forbidden,
        refusals::NotFound,
        refusals::Conflict,
    )
)]
pub(super) async fn disable(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
    Path(id): Path<UserId>,
) -> Result<Answer<UserView>, Failure> {
    let accounts = services.accounts(client.by(me.actor()));
    Ok(Answer(accounts.disable(Whose::Id(id)).await?.into()))
}

/// Allows the user to sign in again. Of an enabled user it changes nothing.
#[utoipa::path(
    post, path = "/auth/admin/users/{id}/enable", operation_id = "enableUser", tag = "administration", params(("id" = Id, Path, description = "The user.")),
    responses(
        (status = 200, description = "The user as they are now.", body = UserView),
        refusals::Forbidden,
        refusals::NotFound,
    )
)]
pub(super) async fn enable(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
    Path(id): Path<UserId>,
) -> Result<Answer<UserView>, Failure> {
    let accounts = services.accounts(client.by(me.actor()));
    Ok(Answer(accounts.enable(Whose::Id(id)).await?.into()))
}

/// A one-time link. It is shown here and never again.
#[derive(Serialize, ToSchema)]
pub(super) struct Invitation {
    url: String,
    expires_at: Moment,
}

/// Makes a one-time link that leads to a first or a new password, good for 7 days. A link that was made before is worthless from
/// then on. Nothing is sent: hand the link to the user yourself.
#[utoipa::path(
    post, path = "/auth/admin/users/{id}/invite", operation_id = "inviteUser", tag = "administration", params(("id" = Id, Path, description = "The user.")),
    responses(
        (status = 200, description = "The link.", body = Invitation),
        refusals::Forbidden,
        refusals::NotFound,
        refusals::Conflict,
    )
)]
pub(super) async fn invite(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
    Path(id): Path<UserId>,
) -> Result<Answer<Invitation>, Failure> {
    let accounts = services.accounts(client.by(me.actor()));
    let (token, expires_at) = accounts.invite(Whose::Id(id)).await?;
    Ok(Answer(Invitation {
        url: token.link(&services.config.public_url),
        expires_at: Moment(expires_at),
    }))
}
