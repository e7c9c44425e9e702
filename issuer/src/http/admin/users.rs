//! Finding, making and deleting users.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use shared::id::UserId;
use utoipa::{IntoParams, ToSchema};

use super::caller::{Administrator, RecentAdministrator};
use super::cursor;
use super::view::{Belongings, UserDetail, UserPage, UserView};
use crate::account::users::{NewUser, Whose};
use crate::http::error::Failure;
use crate::http::extract::{Client, Json, Path, Query};
use crate::http::openapi::{Id, refusals};
use crate::services::Services;
use crate::store::directory::{self, Place};
use crate::store::{credentials, invitations, sessions, users};

/// Users on a page that asks for no other number.
const PAGE: u16 = 50;

const fn page() -> u16 {
    PAGE
}

/// Users on a page at most.
const MAX_PAGE: u16 = 200;

/// Characters of what is searched for: as many as an address has.
const MAX_QUERY: usize = 320;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// What the address or the name begins with, in any case; every character stands for itself.
    #[param(max_length = 320)]
    q: Option<String>,
    /// `next` of the page before, asked with the same `q`.
    #[param(pattern = "^AQ[A-H][A-Za-z0-9_-]{21}([A-Za-z0-9_-]{4})*$")]
    cursor: Option<String>,
    /// Users on a page.
    #[param(minimum = 1, maximum = 200)]
    #[serde(default = "page")]
    limit: u16,
}

/// Users in the order of their addresses, page by page.
///
/// With `q` those whose address begins with it, and after them those whose name does. A page begins behind the last user of the
/// one before: whoever is added or deleted meanwhile moves nobody onto two pages or onto none.
#[utoipa::path(
    get, path = "/auth/admin/users", operation_id = "listUsers", tag = "administration", params(ListQuery),
    responses(
        (status = 200, description = "The page.", body = UserPage),
        refusals::Forbidden,
    )
)]
pub(super) async fn list(
    State(services): State<Arc<Services>>,
    _: Administrator,
    Query(query): Query<ListQuery>,
) -> Result<Answer<UserPage>, Failure> {
    let prefix = query.q.as_deref().unwrap_or_default();
    if prefix.chars().count() > MAX_QUERY {
        return Err(Failure::field("q", "must have at most 320 characters"));
    }
    let after = query.cursor.as_deref().map(cursor::read).transpose()?;
    if !(1..=MAX_PAGE).contains(&query.limit) {
        return Err(Failure::field("limit", "must be a number from 1 to 200"));
    }
    let limit = query.limit;
    // No address and no name has one, and Postgres takes no NUL in text.
    if prefix.contains(char::is_control) {
        return Ok(Answer(UserPage::default()));
    }
    let mut conn = services.store.conn().await?;
    let after = after.unwrap_or(Place::START);
    // One more tells whether there is a next page.
    let mut found = directory::page(&mut conn, prefix.trim(), &after, i64::from(limit) + 1).await?;
    let is_more = found.len() > usize::from(limit);
    found.truncate(limit.into());
    let next = found.last().filter(|_| is_more);
    let next = next.map(|(place, _)| cursor::write(place));
    let users = found.into_iter().map(|(_, user)| user.into()).collect();
    Ok(Answer(UserPage { users, next }))
}

/// A user, with identities, live sessions and invitation.
#[utoipa::path(
    get, path = "/auth/admin/users/{id}", operation_id = "getUser", tag = "administration", params(("id" = Id, Path, description = "The user.")),
    responses(
        (status = 200, description = "The user.", body = UserDetail),
        refusals::Forbidden,
        refusals::NotFound,
    )
)]
pub(super) async fn one(
    State(services): State<Arc<Services>>,
    Administrator(me): Administrator,
    Path(id): Path<UserId>,
) -> Result<Answer<UserDetail>, Failure> {
    let mut conn = services.store.conn().await?;
    let user = users::by_id(&mut conn, id)
        .await?
        .ok_or(Failure::NotFound)?;
    let idle = services.config.policy.idle;
    let belongings = Belongings {
        has_password: credentials::of(&mut conn, id).await?.is_some(),
        identities: directory::identities(&mut conn, id).await?,
        sessions: sessions::live(&mut conn, id, idle, me.now).await?,
        invitation_expires_at: invitations::expiry(&mut conn, id, me.now).await?,
    };
    Ok(Answer(UserDetail::new(user, belongings)))
}

/// An account to be made. It has no password: an invitation leads to one, or a provider to a sign-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser)]
pub(super) struct NewUserBody {
    /// The address to sign in with.
    #[schema(schema_with = super::view::email)]
    email: String,
    /// What to call them.
    #[schema(schema_with = super::view::name)]
    name: String,
    /// What they may do: names of 1 to 64 of `a-z 0-9 _ - . :`.
    #[serde(default)]
    #[schema(schema_with = super::view::roles)]
    roles: Vec<String>,
}

/// Makes an account.
#[utoipa::path(
    post, path = "/auth/admin/users", operation_id = "createUser", tag = "administration", request_body = NewUserBody,
    responses(
        (
            status = 201,
            description = "Made.",
            body = UserView,
            headers(("Location" = String, description = "The new user.")),
            links(
                ("get" = (operation_id = "getUser", parameters(("id" = "$response.body#/id")))),
                ("roles" = (operation_id = "setRoles", parameters(("id" = "$response.body#/id")))),
                ("revoke" = (operation_id = "revokeUser", parameters(("id" = "$response.body#/id")))),
                ("disable" = (operation_id = "disableUser", parameters(("id" = "$response.body#/id")))),
                ("enable" = (operation_id = "enableUser", parameters(("id" = "$response.body#/id")))),
                ("invite" = (operation_id = "inviteUser", parameters(("id" = "$response.body#/id")))),
                ("delete" = (operation_id = "deleteUser", parameters(("id" = "$response.body#/id")))),
            ),
        ),
        refusals::Forbidden,
        refusals::Conflict,
    )
)]
pub(super) async fn create(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
    Json(body): Json<NewUserBody>,
) -> Result<impl IntoResponse, Failure> {
    let new = NewUser {
        email: &body.email,
        name: &body.name,
        roles: &body.roles,
    };
    let accounts = services.accounts(client.by(me.actor()));
    let user = accounts.create_without_password(&new).await?;
    let location = format!("/auth/admin/users/{}", user.id);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Answer(UserView::from(user)),
    ))
}

/// Deletes an account: its sessions end, password, identities and invitation go; of the security log its id stays.
#[utoipa::path(
    delete, path = "/auth/admin/users/{id}", operation_id = "deleteUser", tag = "administration", params(("id" = Id, Path, description = "The user.")),
    responses(
        (status = 204, description = "Deleted."),
        refusals::Forbidden,
        refusals::NotFound,
        refusals::Conflict,
    )
)]
pub(super) async fn delete(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Failure> {
    let accounts = services.accounts(client.by(me.actor()));
    accounts.delete(Whose::Id(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
