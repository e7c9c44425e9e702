//! Acting as a user, for support.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use shared::id::UserId;

use super::caller::RecentAdministrator;
use crate::account::impersonation::ImpersonationError;
use crate::http::browser::{Current, set_cookies};
use crate::http::error::Failure;
use crate::http::extract::{Client, Path, Untrusted};
use crate::http::openapi::{Id, refusals};
use crate::services::Services;

/// Begins a session in which the administrator acts as the user.
///
/// It wants the role `impersonate` besides `admin`. The session lives 30 minutes, has no refresh token, and makes no sensitive
/// call. Its cookie takes the place of the administrator's, whose own session in this browser ends; they sign in again when they
/// are done.
#[utoipa::path(
    post,
    path = "/auth/admin/users/{id}/impersonate",
    operation_id = "impersonateUser",
    tag = "administration",
    params(("id" = Id, Path, description = "The user.")),
    responses(
        (
            status = 200,
            description = "As for a sign-in, with `session.actor`.",
            body = Current,
            headers(("Set-Cookie" = String, description = "Sets the access cookie, clears the refresh cookie.")),
        ),
        refusals::NotFound,
        (status = 409, description = "The user is disabled."),
    ),
)]
pub(super) async fn impersonate(
    State(services): State<Arc<Services>>,
    client: Client,
    untrusted: Untrusted,
    RecentAdministrator(me): RecentAdministrator,
    Path(user): Path<UserId>,
) -> Result<Response, Failure> {
    // A program keeps the token that it sent; a browser's cookies are replaced, and so is what they belong to.
    let mut held = Vec::new();
    if untrusted.has_cookie() {
        held = untrusted.sessions(&services).unwrap_or_default();
    }
    let from = client.by(me.actor());
    match services
        .impersonations()
        .start(me.user.id, user, &held, from)
        .await
    {
        Ok(started) => {
            let current = Current::new(
                &started.user,
                &started.session,
                started.minted.access_expires_at,
            );
            Ok((set_cookies(&started.minted), Json(current)).into_response())
        }
        Err(error @ (ImpersonationError::NotAllowed | ImpersonationError::Privileged)) => {
            let failure = Failure::Impersonation(error);
            Err(me.refused_about(user, &services, &client, failure).await)
        }
        Err(error) => Err(Failure::Impersonation(error)),
    }
}
