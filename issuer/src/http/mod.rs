//! HTTP: the routes, and what holds for all of them.

mod browser;
mod content_type;
mod csrf;
mod edge;
mod error;
mod extract;
mod layers;
mod ops;

use std::sync::Arc;

use axum::{Router, middleware};
use utoipa_axum::router::OpenApiRouter;

use crate::services::Services;
use error::Failure;

/// What the public and the edges may call.
pub(crate) fn public(services: Arc<Services>) -> Router {
    let (router, _) = OpenApiRouter::<Arc<Services>>::new()
        .merge(browser::routes())
        .merge(edge::routes())
        .split_for_parts();
    router
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
    ops::routes()
        .fallback(async || Failure::NotFound)
        .with_state(services)
}

#[cfg(test)]
mod tests;
