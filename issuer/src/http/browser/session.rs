//! What users see of their own sessions, and how they end them (OWASP ASVS 5.0, 7.5.2).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use shared::id::SessionId;

use super::cookies::clear_cookies;
use super::view::{Current, Listed};
use crate::http::error::Failure;
use crate::http::extract::{Client, Path, SignedIn, Themselves};
use crate::http::openapi::{Id, refusals};
use crate::revoke::ending::{end_all, end_sessions};
use crate::services::Services;
use crate::session::EndReason;
use crate::store::{sessions, users};

/// Who one is.
#[utoipa::path(
    get,
    path = "/auth/session",
    operation_id = "getSession",
    tag = "session",
    responses((status = 200, description = "The user and the session.", body = Current)),
)]
pub(super) async fn session(me: SignedIn) -> Response {
    Json(Current::new(&me.user, &me.session, me.access_expires_at)).into_response()
}

/// One's own sessions, the newest first.
#[utoipa::path(
    get,
    path = "/auth/sessions",
    operation_id = "listSessions",
    tag = "session",
    responses((
        status = 200,
        description = "Those that are live.",
        body = [Listed],
        links(("end" = (operation_id = "endSession", parameters(("id" = "$response.body#/0/id"))))),
    )),
)]
pub(super) async fn sessions(
    State(services): State<Arc<Services>>,
    me: SignedIn,
) -> Result<Json<Vec<Listed>>, Failure> {
    let idle = services.config.policy.idle;
    let live = sessions::live(&mut *services.store.conn().await?, me.user.id, idle, me.now).await?;
    Ok(Json(
        live.into_iter()
            .rev()
            .map(|session| Listed::new(session, me.session.id))
            .collect(),
    ))
}

/// Ends one of one's own sessions.
///
/// Somebody else's is as unknown as one that never was. Whoever acts as the user may end what they do, and no other session.
#[utoipa::path(
    delete,
    path = "/auth/sessions/{id}",
    operation_id = "endSession",
    tag = "session",
    params(("id" = Id, Path, description = "The session.")),
    responses(
        (
            status = 204,
            description = "Ended.",
            headers(("Set-Cookie" = String, description = "Clears both cookies, if it is the present session.")),
        ),
        refusals::NotFound,
    ),
)]
pub(super) async fn end(
    State(services): State<Arc<Services>>,
    client: Client,
    me: SignedIn,
    Path(id): Path<SessionId>,
) -> Result<Response, Failure> {
    let me = if id == me.session.id {
        me
    } else {
        me.themselves(&services, &client).await?
    };
    let mut tx = services.store.tx("end own session").await?;
    let mine = sessions::live(&mut tx, me.user.id, services.config.policy.idle, me.now).await?;
    if !mine.iter().any(|session| session.id == id) {
        return Err(Failure::NotFound);
    }
    let (by, reason) = (client.by(me.actor()), EndReason::EndedByUser);
    end_sessions(&mut tx, &[id], reason, by, services.clock.now()).await?;
    tx.commit().await?;
    Ok(if id == me.session.id {
        (StatusCode::NO_CONTENT, clear_cookies()).into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    })
}

/// Ends all of one's own sessions but the present one.
#[utoipa::path(
    post,
    path = "/auth/sessions/revoke-others",
    operation_id = "endOtherSessions",
    tag = "session",
    responses((status = 204, description = "Ended.")),
)]
pub(super) async fn revoke_others(
    State(services): State<Arc<Services>>,
    client: Client,
    Themselves(me): Themselves,
) -> Result<StatusCode, Failure> {
    let mut tx = services.store.tx("end other sessions").await?;
    // So that a sign-in at the same moment is either ended too or comes after.
    users::lock(&mut tx, me.user.id).await?;
    let now = services.clock.now();
    end_all(
        &mut tx,
        me.user.id,
        Some(me.session.id),
        EndReason::EndedByUser,
        client.by(me.actor()),
        now,
    )
    .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
