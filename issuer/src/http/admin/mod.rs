//! What administrators call: everything under `/auth/admin/`.

mod caller;
mod everyone;
mod status;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::services::Services;

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(everyone::revoke_everyone))
        .routes(routes!(status::status))
}
