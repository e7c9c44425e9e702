//! What administrators call: everything under `/auth/admin/`.

mod caller;
mod changes;
mod cursor;
mod events;
mod everyone;
mod impersonate;
mod keys;
mod status;
mod users;
mod view;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::services::Services;

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::one, users::delete))
        .routes(routes!(changes::roles))
        .routes(routes!(changes::revoke))
        .routes(routes!(changes::disable))
        .routes(routes!(changes::enable))
        .routes(routes!(changes::invite))
        .routes(routes!(everyone::revoke_everyone))
        .routes(routes!(keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(events::list))
        .routes(routes!(impersonate::impersonate))
        .routes(routes!(status::status))
}
