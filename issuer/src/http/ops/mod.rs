//! What only the operator may call.

mod health;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::services::Services;

pub(super) fn routes() -> Router<Arc<Services>> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
}
