//! What edges fetch where Workers KV has nothing newer, and the public key set.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use serde::Deserialize;
use shared::revocation::Snapshot;

use super::error::Failure;
use super::extract::EdgeCaller;
use crate::services::Services;
use crate::store::revocations;

const OCTETS: [(header::HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "application/octet-stream")];

/// `GET /.well-known/jwks.json` (RFC 7517 §5). With `JWT_SECRET` there is no public key, and the set is empty.
pub(super) async fn jwks(State(services): State<Arc<Services>>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, services.keyring.verifying().to_jwks())
}

/// `GET /edge/keys`: the key set as it is published to KV.
pub(super) async fn keys(
    State(services): State<Arc<Services>>,
    _: EdgeCaller,
) -> Result<impl IntoResponse, Failure> {
    if !services.keyring.is_published() {
        return Err(Failure::NotFound);
    }
    let set = services.keyring.verifying();
    Ok((
        OCTETS,
        set.publish(services.clock.now(), services.config.edge_secret()),
    ))
}

#[derive(Deserialize)]
pub(super) struct Feed {
    /// The number up to which the edge knows. Any answer may hold more than was asked for; this one holds all.
    #[serde(default, rename = "after")]
    _after: u64,
}

/// `GET /edge/revocations?after=`: every live revocation, as it is published to KV.
pub(super) async fn revocations(
    State(services): State<Arc<Services>>,
    _: EdgeCaller,
    feed: Result<Query<Feed>, QueryRejection>,
) -> Result<impl IntoResponse, Failure> {
    feed.map_err(|_| Failure::BadRequest("after must be a number."))?;
    // Before the read: what the edge is told cannot be older than it says.
    let made_at = services.clock.now();
    let live = revocations::live(&mut *services.store.conn().await?, made_at).await?;
    let snapshot = Snapshot {
        number: live.number,
        made_at,
        entries: live.revocations,
    };
    Ok((OCTETS, snapshot.encode(services.config.edge_secret())))
}
