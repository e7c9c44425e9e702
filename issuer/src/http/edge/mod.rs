//! What edges ask: for keys and revocations where Workers KV has nothing newer, and which sessions stand.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use shared::wire::{MOST_SESSIONS, SessionStanding, SessionsAsked, SessionsStanding};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::error::Failure;
use crate::http::extract::{self, EdgeCaller, Query, Untrusted};
use crate::http::openapi::refusals;
use crate::services::Services;
use crate::session::State as SessionState;
use crate::store::sessions::{self, confirm};
use crate::store::users::Access;

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(is_present))
        .routes(routes!(keys))
        .routes(routes!(revocations))
        .routes(routes!(standing))
}

const OCTETS: [(header::HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "application/octet-stream")];

/// The key set as it is published to KV.
#[utoipa::path(
    get,
    path = "/edge/keys",
    responses((status = 200, description = "The key set."), refusals::NotFound),
)]
async fn keys(
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Feed {
    /// The number up to which the edge knows; 0 for nothing.
    #[serde(default)]
    after: u64,
}

/// What the edge does not know yet.
///
/// From memory and at most a moment old. While Postgres is away the answer is older, and says so: whether it is good enough is
/// for the edge to decide.
#[utoipa::path(
    get,
    path = "/edge/revocations",
    params(Feed),
    responses((status = 200, description = "An update.")),
)]
async fn revocations(
    State(services): State<Arc<Services>>,
    _: EdgeCaller,
    Query(Feed { after }): Query<Feed>,
) -> Result<impl IntoResponse, Failure> {
    services.ledger.freshen().await;
    // On a thread that may be busy: an edge that knows nothing may be told a million.
    let answer = tokio::task::spawn_blocking(move || {
        let update = services.ledger.delta(after)?;
        Some(update.encode(services.config.edge_secret()))
    });
    let bytes = answer.await.ok().flatten().ok_or(Failure::Unread)?;
    Ok((OCTETS, bytes))
}

/// Which of these sessions stand, for how long that may be believed, and the version of their users' claims.
///
/// An edge asks for those whose connections outlive their tokens.
#[utoipa::path(
    post,
    path = "/edge/sessions",
    responses((status = 200, description = "Those that stand.")),
)]
async fn standing(
    State(services): State<Arc<Services>>,
    _: EdgeCaller,
    extract::Json(SessionsAsked { sessions }): extract::Json<SessionsAsked>,
) -> Result<impl IntoResponse, Failure> {
    if sessions.len() > MOST_SESSIONS {
        return Err(Failure::field(
            "sessions",
            format!("must be {MOST_SESSIONS} at most"),
        ));
    }
    let (now, policy) = (services.clock.now(), &services.config.policy);
    let mut conn = services.store.conn().await?;
    let until = now.plus(policy.access);
    let standing = confirm(&mut conn, &sessions, until, policy.idle, now).await?;
    let sessions = standing.into_iter().map(|standing| SessionStanding {
        sid: standing.id,
        ver: standing.ver,
        for_ms: millis(standing.until.since(now)),
    });
    let sessions = sessions.collect();
    Ok(Json(SessionsStanding { sessions }))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the refresh token in the cookie is the present one of a session that stands.
///
/// For an edge whose new cookies reach the browser late: they must not replace newer ones. 204, or why not. Changes nothing.
#[utoipa::path(
    get,
    path = "/edge/refresh-token",
    responses((status = 204, description = "It is."), refusals::Conflict),
)]
async fn is_present(
    State(services): State<Arc<Services>>,
    _: EdgeCaller,
    untrusted: Untrusted,
) -> Result<StatusCode, Failure> {
    let token = untrusted.refresh()?.ok_or(Failure::Unauthenticated)?;
    let token = services.minter.open(token)?;
    let loaded = sessions::load(&mut *services.store.conn().await?, token.sid).await?;
    let (session, _) = loaded
        .filter(|(session, user)| {
            session.state == SessionState::Live && user.access == Access::Enabled
        })
        .ok_or(Failure::SessionEnded)?;
    if session.generation != token.generation {
        return Err(Failure::Superseded);
    }
    Ok(StatusCode::NO_CONTENT)
}
