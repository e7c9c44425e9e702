//! What browsers call: signing in and out, refreshing, and a user's own sessions.

mod cookies;
mod device;
mod login;
mod logout;
mod refresh;
mod return_to;
mod session;
mod view;

use std::sync::Arc;

use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};

use utoipa_axum::router::OpenApiRouter;

use crate::services::Services;

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .route("/auth/login", get(login::page).post(login::sign_in))
        .route("/auth/refresh", post(refresh::refresh))
        .route("/auth/logout", post(logout::logout))
        .route("/auth/session", get(session::session))
        .route("/auth/sessions", get(session::sessions))
        .route("/auth/sessions/{id}", delete(session::end))
        .route("/auth/sessions/revoke-others", post(session::revoke_others))
        .route("/auth/style.css", get(style))
}

async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("../../../templates/style.css"),
    )
}
