//! What browsers call: signing in and out, refreshing, and a user's own sessions.

mod cookies;
mod device;
mod invite;
mod login;
mod logout;
mod oidc;
mod password;
pub(super) mod refresh;
mod return_to;
mod session;
mod view;

use std::sync::Arc;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::services::Services;
pub(super) use cookies::set_cookies;
pub(super) use view::Current;

/// Does once what no request should wait for.
pub(super) fn prepare() {
    if !device::prepare() {
        tracing::error!("the patterns of browsers cannot be read: devices have no names");
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(login::page, login::sign_in))
        .routes(routes!(refresh::refresh))
        .routes(routes!(logout::logout))
        .routes(routes!(session::session))
        .routes(routes!(session::sessions))
        .routes(routes!(session::end))
        .routes(routes!(session::revoke_others))
        .routes(routes!(password::change))
        .routes(routes!(invite::page, invite::set_password))
        .routes(routes!(style))
        .merge(oidc::routes())
}

/// The style of the pages.
#[utoipa::path(
    get,
    path = "/auth/style.css",
    operation_id = "getStyle",
    tag = "pages",
    security(()),
    responses((status = 200, description = "CSS.", content_type = "text/css", body = String)),
)]
async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("../../../templates/style.css"),
    )
}
