//! Refreshing: a refresh token for two new tokens, once.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse, Response};
use shared::cookie;
use shared::refresh_token::RefreshToken;

use super::error::Failure;
use super::extract::{Client, Untrusted};
use super::login::set_cookies;
use super::view::Current;
use crate::ending::end_one;
use crate::mint::Minted;
use crate::services::Services;
use crate::session::refresh::{Decision, Presented, decide};
use crate::session::{EndReason, Session, State as SessionState};
use crate::store::events::Kind;
use crate::store::sessions;
use crate::store::users::{Access, User};

/// How often a lost race is run again. The winner of one leaves a state that ends the next.
const ATTEMPTS: usize = 5;

/// `POST /auth/refresh`. Cookies are cleared only where the session is definitely over, so that whoever loses a race
/// does not wipe out what the winner got.
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

/// Removes both cookies.
pub(super) fn clear_cookies() -> AppendHeaders<[(header::HeaderName, String); 2]> {
    AppendHeaders([
        (header::SET_COOKIE, cookie::clear(cookie::ACCESS)),
        (header::SET_COOKIE, cookie::clear(cookie::REFRESH)),
    ])
}

enum Refreshed {
    Minted {
        user: Box<User>,
        session: Box<Session>,
        minted: Minted,
    },
    Over {
        failure: Failure,
        clear: bool,
    },
}

impl Refreshed {
    const fn over(failure: Failure) -> Self {
        Self::Over {
            failure,
            clear: true,
        }
    }
}

/// Load, decide, compare-and-swap; where the row has changed in between, again.
async fn run(
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
        let decision = decide(&session, presented, &services.config.policy, now);
        let (generation, reason) = match decision {
            Decision::Rotate { to } => (to, None),
            Decision::Reissue => (session.generation, None),
            Decision::Reused => (session.generation, Some(EndReason::RefreshReused)),
            Decision::Lapsed(reason) => (session.generation, Some(reason)),
            Decision::Ended => return Ok(ended(&session)),
        };
        if let Some(reason) = reason {
            if end_one(
                &services.store,
                session.id,
                reason,
                &client.event(Kind::SessionEnded),
                now,
            )
            .await?
            {
                let reused = decision == Decision::Reused;
                return Ok(Refreshed::over(if reused {
                    Failure::RefreshReused
                } else {
                    Failure::SessionEnded
                }));
            }
            continue;
        }
        // Minted before the swap: a token that cannot be made uses nothing up. Handed out only after it.
        let next = RefreshToken {
            sid: session.id,
            generation,
            secret: token.secret.clone(),
        };
        let minted = services.minter.mint(&user, &session, &next, now)?;
        let mut conn = services.store.conn().await?;
        let expires_at = minted.access_expires_at;
        if sessions::refresh(&mut conn, &session, generation, expires_at, now).await? {
            return Ok(Refreshed::Minted {
                user: Box::new(user),
                session: Box::new(session),
                minted,
            });
        }
    }
    Err(Failure::Contended)
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
