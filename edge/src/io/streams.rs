//! Open connections, as `entry/streams.js` looks at them.

use shared::cookie;
use shared::time::UnixMillis;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;
use worker::Env;

use super::answer::path;
use super::doubt::{self, Outcome};
use super::isolate::{self, Settings};
use super::knowledge::{self, Context, Wanted};
use super::{log, sessions, settings};
use crate::credential::{self, Credential};
use crate::open::{Look, Open, Renew};
use crate::refusal::Refusal;
use crate::reply;
use crate::verdict::Passed;

/// The access token that a request was let in with: the one that a `Set-Cookie` of a renewal brought, or else its own.
#[wasm_bindgen]
#[allow(
    clippy::needless_pass_by_value,
    reason = "wasm-bindgen hands optional texts and lists over as owned"
)]
pub fn token_of(
    cookies: &str,
    authorization: Option<String>,
    renewed: Vec<String>,
) -> Option<String> {
    let new = renewed.iter().find_map(|set_cookie| {
        let pair = set_cookie.split(';').next()?;
        pair.strip_prefix(cookie::ACCESS)?.strip_prefix('=')
    });
    if let Some(token) = new {
        return Some(token.to_owned());
    }
    let cookies = cookie::read(cookies);
    match credential::take(&cookies, authorization.as_deref()).ok()? {
        Credential::Bearer(token) => Some(token.to_owned()),
        Credential::Cookies { access, .. } => access.map(str::to_owned),
        Credential::Absent => None,
    }
}

/// Looks at an open connection: one synchronous call; what it finds due is begun, and goes on behind `context`.
///
/// It may stay open: a blank, or `!` where what is known is too old and the rule says to serve, and in how many milliseconds
/// to look again. It may not: `x`, the code to close it with, a blank and the reason.
#[wasm_bindgen]
#[allow(
    clippy::needless_pass_by_value,
    reason = "they outlive the call with what is begun"
)]
pub fn look(
    method: &str,
    url: &str,
    token: &str,
    was_stale: bool,
    env: Env,
    context: Context,
    now: f64,
) -> String {
    let settings = settings::held_or_read(&env);
    let found = match settings.as_ref() {
        Ok(config) => {
            let open = Open { method, url, token };
            isolate::look(config, open, UnixMillis::from_millis(now as i64))
        }
        Err(reason) => return ended(&env, url, &Refusal::Misconfigured(reason.clone())),
    };
    begin(&found, &env, &settings, &context);
    match found.stays {
        Err(refusal) => ended(&env, url, &refusal),
        Ok(passed) => {
            let is_stale = passed == Passed::Stale;
            if is_stale && !was_stale {
                doubt::tell(&env, Outcome::Served, &path(url));
            }
            let mark = if is_stale { '!' } else { ' ' };
            format!("{mark}{}", found.wait.as_millis())
        }
    }
}

fn ended(env: &Env, url: &str, refusal: &Refusal) -> String {
    if *refusal == Refusal::RevocationsStale {
        doubt::tell(env, Outcome::Refused, &path(url));
    }
    let (code, reason) = reply::close(refusal);
    let fields = [("reason", reason.as_str()), ("path", &path(url))];
    log::info("an open connection is ended", &fields);
    format!("x{code} {}", reason.as_str())
}

/// Begins what is due. At most one renewal and one question run in an isolate; who comes second finds them begun.
fn begin(found: &Look, env: &Env, settings: &Settings, context: &Context) {
    let wanted = match found.renew {
        Renew::Nothing => None,
        Renew::All => Some(Wanted::All),
        Renew::Kv => Some(Wanted::Kv),
        Renew::Issuer => Some(Wanted::Feed),
    };
    if let Some(wanted) = wanted {
        let (env, settings) = (env.clone(), settings.clone());
        context.wait_until(&future_to_promise(async move {
            knowledge::renew_in_background(&env, &settings, wanted).await;
            Ok(JsValue::UNDEFINED)
        }));
    }
    if found.ask {
        let settings = settings.clone();
        context.wait_until(&future_to_promise(async move {
            if let Ok(config) = settings.as_ref() {
                sessions::ask(config).await;
            }
            Ok(JsValue::UNDEFINED)
        }));
    }
}
