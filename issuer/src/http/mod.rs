//! HTTP: the routes, and what holds for all of them.

mod account;
mod content_type;
mod csrf;
mod device;
mod edge;
mod error;
mod extract;
mod health;
mod layers;
mod login;
mod logout;
mod refresh;
mod return_to;
mod view;

use std::sync::Arc;

use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use axum::{Router, middleware};

use crate::services::Services;
use error::Failure;

/// What the public and the edges may call.
pub(crate) fn public(services: Arc<Services>) -> Router {
    Router::new()
        .route("/auth/login", get(login::page).post(login::sign_in))
        .route("/auth/refresh", post(refresh::refresh))
        .route("/auth/logout", post(logout::logout))
        .route("/auth/session", get(account::session))
        .route("/auth/sessions", get(account::sessions))
        .route("/auth/sessions/{id}", delete(account::end))
        .route("/auth/sessions/revoke-others", post(account::revoke_others))
        .route("/auth/style.css", get(style))
        .route("/.well-known/jwks.json", get(edge::jwks))
        .route("/edge/refresh-token", get(refresh::is_present))
        .route("/edge/keys", get(edge::keys))
        .route("/edge/revocations", get(edge::revocations))
        .route("/edge/sessions", post(edge::sessions))
        .fallback(async || Failure::NotFound)
        .method_not_allowed_fallback(async || Failure::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(
            services.clone(),
            layers::refuse_cross_site,
        ))
        .layer(middleware::from_fn(layers::read_body))
        .layer(middleware::from_fn(layers::frame))
        .with_state(services)
}

/// What only the operator may call.
pub(crate) fn admin(services: Arc<Services>) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(async || Failure::NotFound)
        .with_state(services)
}

async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("../../templates/style.css"),
    )
}

#[cfg(test)]
mod tests;
