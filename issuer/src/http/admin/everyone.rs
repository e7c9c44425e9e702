//! Ending every session there is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::RecentAdministrator;
use crate::http::error::Failure;
use crate::http::extract::Client;
use crate::revoke::ending::end_everyone;
use crate::services::Services;

/// How many sessions an administrator ended.
#[derive(Serialize, ToSchema)]
pub(super) struct Ended {
    pub(super) ended: u64,
}

/// Ends every session of every user.
///
/// The caller's own too: everybody has to sign in anew.
#[utoipa::path(
    post,
    path = "/auth/admin/revoke-everyone",
    operation_id = "revokeEveryone",
    tag = "administration",
    responses((status = 200, description = "How many sessions were ended.", body = Ended)),
)]
pub(super) async fn revoke_everyone(
    State(services): State<Arc<Services>>,
    client: Client,
    RecentAdministrator(me): RecentAdministrator,
) -> Result<Json<Ended>, Failure> {
    let (policy, by) = (&services.config.policy, client.by(me.actor()));
    let ended = end_everyone(&services.store, &services.clock, policy, by).await?;
    Ok(Json(Ended { ended }))
}
