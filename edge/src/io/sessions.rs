//! Asks the issuer which sessions stand, for the connections that outlive their tokens: one call for all of an isolate's.

use std::time::Duration;

use shared::id::SessionId;
use shared::wire::{SessionsAsked, SessionsStanding};

use super::{isolate, log, upstream};
use crate::config::Config;
use crate::sessions::Sessions;

/// How long a question may take: whoever asks may be cancelled.
const LIMIT: Duration = Duration::from_millis(2_500);

/// Asks about those whose time is near, unless somebody is asking.
pub(crate) async fn ask(config: &Config) {
    let now = upstream::now();
    let Some(turn) = isolate::begin_question(now, LIMIT) else {
        return;
    };
    let asked = isolate::of_sessions(|sessions| sessions.begin_asking(now));
    if !asked.is_empty() {
        match standing(config, &asked).await {
            Ok(standing) => isolate::of_sessions(|sessions: &mut Sessions| {
                sessions.answered(&asked, &standing.sessions, now);
            }),
            Err(reason) => {
                let message = "the issuer does not say which sessions stand";
                log::warn(message, &[("reason", &reason)]);
            }
        }
    }
    isolate::end_question(turn);
}

async fn standing(config: &Config, asked: &[SessionId]) -> Result<SessionsStanding, String> {
    let asked = SessionsAsked {
        sessions: asked.to_vec(),
    };
    let json = serde_json::to_string(&asked).map_err(|error| error.to_string())?;
    let answer = upstream::issuer_post(config, "/edge/sessions", &json)
        .await
        .map_err(|refusal| refusal.to_string())?;
    serde_json::from_slice(&answer).map_err(|error| error.to_string())
}
