//! HTTP: the routes, and what holds for all of them.

mod browser;
mod content_type;
mod csrf;
mod edge;
mod error;
mod extract;
mod layers;
mod limit;
mod openapi;
mod ops;

use std::sync::Arc;

use axum::{Extension, Router, middleware};
use utoipa_axum::router::OpenApiRouter;

use crate::services::Services;
use error::Failure;
use openapi::Document;

/// What is reached through the edge, and described.
fn site() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .merge(browser::routes())
        .merge(edge::published())
        .merge(openapi::routes())
}

/// What the public and the edges may call.
pub(crate) fn public(services: Arc<Services>) -> Router {
    let site = site();
    let document = Document::new(site.get_openapi().clone(), &services.config.public_url);
    let (router, _) = site.merge(edge::routes()).split_for_parts();
    router
        .fallback(async || Failure::NotFound)
        .method_not_allowed_fallback(async || Failure::MethodNotAllowed)
        .layer(Extension(document))
        .layer(middleware::from_fn_with_state(
            services.clone(),
            layers::refuse_cross_site,
        ))
        .layer(middleware::from_fn_with_state(
            services.clone(),
            limit::by_address,
        ))
        .layer(middleware::from_fn(layers::read_body))
        .layer(middleware::from_fn(layers::frame))
        .layer(middleware::from_fn_with_state(
            services.clone(),
            layers::leave,
        ))
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
