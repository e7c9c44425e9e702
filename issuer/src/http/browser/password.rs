//! A user's own password.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use shared::secret::SecretText;
use utoipa::ToSchema;

use crate::account::password::{self, Change};
use crate::account::users::AccountError;
use crate::http::error::Failure;
use crate::http::extract::{Client, Json, Themselves};
use crate::http::openapi::refusals;
use crate::services::Services;

/// The present password and the next.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordChange)]
pub(super) struct PasswordBody {
    #[schema(format = Password)]
    current: String,
    #[schema(min_length = 8, max_length = 1024, format = Password)]
    new: String,
}

/// Changes one's own password. All other sessions end; this one stays.
#[utoipa::path(
    post, path = "/auth/account/password", operation_id = "changePassword", tag = "account", request_body = PasswordBody,
    responses(
        (status = 204, description = "Changed."),
        refusals::Conflict,
        refusals::RateLimited,
    )
)]
pub(super) async fn change(
    State(services): State<Arc<Services>>,
    client: Client,
    Themselves(me): Themselves,
    Json(body): Json<PasswordBody>,
) -> Result<StatusCode, Failure> {
    let change = Change {
        user: me.user.id,
        session: me.session.id,
        current: SecretText::new(body.current),
        new: SecretText::new(body.new),
    };
    let (store, clock) = (&services.store, &services.clock);
    let by = client.by(me.actor());
    password::change(store, clock, &services.passwords, change, by)
        .await
        .map_err(|error| match error {
            AccountError::Password => Failure::field("new", "must have 8 to 1024 characters"),
            other => other.into(),
        })?;
    Ok(StatusCode::NO_CONTENT)
}
