//! Refreshing: a refresh token for two new tokens, once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use shared::refresh_token::RefreshToken;
use shared::time::UnixMillis;

use super::cookies::{clear_cookies, set_cookies};
use super::view::Current;
use crate::events::{Actor, By};
use crate::http::error::Failure;
use crate::http::extract::{Client, Untrusted};
use crate::http::openapi::refusals;
use crate::revoke::ending::end_one;
use crate::services::Services;
use crate::session::refresh::{Decision, Presented, decide, minted_at};
use crate::session::{EndReason, Requester, Session, State as SessionState};
use crate::store::sessions;
use crate::store::users::{Access, User};
use crate::token::mint::Minted;

/// How often a lost race is run again. The winner of one leaves a state that ends the next.
const ATTEMPTS: usize = 5;

/// Exchanges the refresh token for two new tokens.
///
/// Cookies are cleared only where the session is definitely over, so that whoever loses a race does not wipe out what the
/// winner got.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    operation_id = "refresh",
    tag = "session",
    security(("refreshCookie" = [])),
    responses(
        (
            status = 200,
            description = "Two new tokens.",
            body = Current,
            headers(("Set-Cookie" = String, description = "The access and the refresh token.")),
        ),
        refusals::Unauthenticated,
    ),
)]
pub(super) async fn refresh(
    State(services): State<Arc<Services>>,
    client: Client,
    untrusted: Untrusted,
) -> Result<Response, Failure> {
    let token = untrusted.refresh()?.ok_or(Failure::Unauthenticated)?;
    // Before any SQL: whoever guesses costs us one decryption.
    let token = services.minter.open(token)?;
    match run(&services, &client, token).await? {
        Refreshed::Minted {
            user,
            session,
            minted,
        } => {
            let current = Current::new(&user, &session, minted.access_expires_at);
            Ok((set_cookies(&minted), Json(current)).into_response())
        }
        Refreshed::Over {
            failure,
            clear: true,
        } => Ok((clear_cookies(), failure).into_response()),
        Refreshed::Over {
            failure,
            clear: false,
        } => Err(failure),
    }
}

/// What became of a refresh.
pub(in crate::http) enum Refreshed {
    /// Two new tokens.
    Minted {
        user: Box<User>,
        session: Box<Session>,
        minted: Minted,
    },
    /// None, and whether cookies are to be cleared.
    Over { failure: Failure, clear: bool },
}

impl Refreshed {
    const fn over(failure: Failure) -> Self {
        Self::Over {
            failure,
            clear: true,
        }
    }
}

/// Load, decide, compare-and-swap; where the row has changed in between, again. The rules are the same however the token came
/// here: in a cookie, or at the token endpoint.
pub(in crate::http) async fn run(
    services: &Services,
    client: &Client,
    token: RefreshToken,
) -> Result<Refreshed, Failure> {
    let presented = Presented {
        generation: token.generation,
        secret_hash: token.secret.sha256(),
    };
    for _ in 0..ATTEMPTS {
        let loaded = sessions::load(&mut *services.store.conn().await?, token.sid).await?;
        let now = services.clock.now();
        let Some((session, user)) = loaded.filter(|(_, user)| user.access == Access::Enabled)
        else {
            return Ok(Refreshed::over(Failure::SessionEnded));
        };
        let done = match decide(&session, presented, &services.config.policy, now) {
            Decision::Rotate { to } => {
                go_on(services, user, session, to, client.requester, &token, now).await?
            }
            Decision::Reissue => {
                let to = session.generation;
                go_on(services, user, session, to, client.requester, &token, now).await?
            }
            Decision::Reused => {
                let (reason, failure) = (EndReason::RefreshReused, Failure::RefreshReused);
                end(services, client, &session, reason, failure, now).await?
            }
            Decision::Lapsed(reason) => {
                end(
                    services,
                    client,
                    &session,
                    reason,
                    Failure::SessionEnded,
                    now,
                )
                .await?
            }
            Decision::Ended => Some(ended(&session)),
        };
        if let Some(refreshed) = done {
            return Ok(refreshed);
        }
    }
    Err(Failure::Contended)
}

/// Gives out generation `to`; `None` where the row has changed.
async fn go_on(
    services: &Services,
    user: User,
    session: Session,
    to: u32,
    requester: Requester,
    token: &RefreshToken,
    now: UnixMillis,
) -> Result<Option<Refreshed>, Failure> {
    // Minted before the swap: a token that cannot be made uses nothing up. Handed out only after it.
    let next = RefreshToken {
        sid: session.id,
        generation: to,
        secret: token.secret.clone(),
    };
    let minted = services
        .minter
        .mint(&user, &session, &next, minted_at(&session, now))?;
    let mut conn = services.store.conn().await?;
    let expires_at = minted.access_expires_at;
    let swapped = sessions::refresh(&mut conn, &session, to, requester, expires_at, now).await?;
    Ok(swapped.then(|| Refreshed::Minted {
        user: Box::new(user),
        session: Box::new(session),
        minted,
    }))
}

/// Ends the session, and answers with `failure`; `None` where somebody else has ended it.
async fn end(
    services: &Services,
    client: &Client,
    session: &Session,
    reason: EndReason,
    failure: Failure,
    now: UnixMillis,
) -> Result<Option<Refreshed>, Failure> {
    // Whoever asks has shown a token that was used before, or one too late: that is no proof of who they are.
    let by = match reason {
        EndReason::RefreshReused => client.by(Actor::Unknown),
        _ => By::SYSTEM,
    };
    let ended = end_one(&services.store, session.id, reason, by, now).await?;
    Ok(ended.then(|| Refreshed::over(failure)))
}

/// A session that was ended before. Where the same browser has signed in anew, its cookies are of the new session.
fn ended(session: &Session) -> Refreshed {
    let replaced = matches!(
        session.state,
        SessionState::Ended {
            reason: EndReason::Replaced,
            ..
        }
    );
    Refreshed::Over {
        failure: Failure::SessionEnded,
        clear: !replaced,
    }
}
