//! HTTP: the routes, and what holds for all of them.

mod admin;
mod browser;
mod content_type;
mod csrf;
mod edge;
mod error;
mod extract;
mod layers;
mod limit;
mod moment;
mod oauth;
mod openapi;
mod ops;
mod provider;

use std::sync::Arc;

use axum::{Extension, Router, middleware};
use utoipa_axum::router::OpenApiRouter;

use crate::services::Services;
use error::Failure;
use openapi::Document;

/// What is reached through the edge, and described.
fn site() -> OpenApiRouter<Arc<Services>> {
    from_browsers().merge(provider::routes())
}

/// The part of it that a page may call, of this site or of another.
fn from_browsers() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .merge(browser::routes())
        .merge(admin::routes())
        .merge(oauth::routes())
        .merge(openapi::routes())
}

/// What the public and the edges may call.
pub(crate) fn public(services: Arc<Services>) -> Router {
    browser::prepare();
    let document = Document::new(site().into_openapi(), &services.config.public_url);
    let no_such_method = async || Failure::MethodNotAllowed;
    let (guarded, _) = from_browsers().merge(edge::routes()).split_for_parts();
    let (from_providers, _) = provider::routes().split_for_parts();
    guarded
        .fallback(async || Failure::NotFound)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(
            services.clone(),
            layers::refuse_cross_site,
        ))
        // No browser makes these calls, so nothing is asked of where they come from. They prove themselves.
        .merge(from_providers.method_not_allowed_fallback(no_such_method))
        .layer(Extension(document))
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
pub(crate) fn operator(services: Arc<Services>) -> Router {
    ops::routes()
        .fallback(async || Failure::NotFound)
        .with_state(services)
}

#[cfg(test)]
mod tests;
