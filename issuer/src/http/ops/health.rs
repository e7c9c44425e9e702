//! Whether the process runs, and whether it can serve.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::IntoResponse;

use crate::fault::Fault;
use crate::http::error::Failure;
use crate::services::Services;

/// `GET /healthz`: the process answers. No look at anything else, so that an absent Postgres restarts nobody.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: Postgres answers, there is a key to sign with, and nobody has told this issuer to stop. The schema was checked
/// at the start.
pub(super) async fn readyz(
    State(services): State<Arc<Services>>,
) -> Result<impl IntoResponse, Failure> {
    if services.leaving.load(Ordering::Relaxed) {
        return Err(Failure::Leaving);
    }
    services.store.ping().await?;
    services
        .keyring
        .signing(services.clock.now())
        .map_err(Fault::from)?;
    Ok("ready\n")
}
