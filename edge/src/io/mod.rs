//! What only a worker can do: the calls of `entry.js`, and behind them everything that waits or is held.

pub(crate) mod answer;
pub(crate) mod doubt;
pub(crate) mod entropy;
pub(crate) mod errands;
pub mod forwarded;
pub(crate) mod isolate;
pub(crate) mod keys;
pub(crate) mod knowledge;
pub(crate) mod location;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod renewal;
pub(crate) mod revocations;
pub(crate) mod sessions;
pub(crate) mod settings;
pub mod streams;
pub(crate) mod upstream;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::{Request, Response};
use worker::Env;

use shared::cookie::{self, Cookies};
use shared::time::UnixMillis;

use knowledge::{Context, Wanted};

use crate::caching;
use crate::dead_upstream::{self, Lost};
use crate::gate::Asked;
use crate::refusal::Refusal;
use crate::rule::cors;

/// What a `Cookie` header holds. `entry.js` keeps it under the header's text, which is the longest of a request's texts
/// and the same in all requests of a page: so it need not cross and be read each time.
#[wasm_bindgen]
#[derive(Debug)]
pub struct CookieHeader(Cookies);

/// Reads a `Cookie` header; no header is an empty one.
#[wasm_bindgen]
pub fn read_cookies(header: &str) -> CookieHeader {
    CookieHeader(cookie::read(header))
}

/// The hot path: one synchronous call per request. How the request goes on (see `Onward::encode`), if what this isolate
/// holds is enough to say so; nothing otherwise. Never waits, never logs.
#[wasm_bindgen]
#[allow(
    clippy::needless_pass_by_value,
    clippy::too_many_arguments,
    reason = "wasm-bindgen hands optional texts over as owned"
)]
pub fn guard(
    method: &str,
    url: &str,
    cookies: &CookieHeader,
    authorization: Option<String>,
    upgrade: bool,
    fetch_site: Option<String>,
    origin: Option<String>,
    now: f64,
) -> Option<String> {
    #[cfg(feature = "panic-on-demand")]
    answer::panic_if_asked(url, "/panic-on-demand/now");
    isolate::pass_at_once(Asked {
        method,
        url,
        cookies: &cookies.0,
        authorization: authorization.as_deref(),
        fetch_site: fetch_site.as_deref(),
        origin: origin.as_deref(),
        upgrade,
        wanted_method: None,
        client_ip: None,
        renewed: None,
        now: UnixMillis::from_millis(now as i64),
    })
}

/// Everything else: how the request goes on, as a text, or the answer, as a `Response`.
#[wasm_bindgen]
pub async fn answer(request: Request, env: Env, context: Context) -> Result<JsValue, JsValue> {
    answer::answer(&request, &env, &context).await
}

/// Renews in the background what the isolate knows; from the issuer rather than from KV if `from_issuer`.
#[wasm_bindgen]
pub async fn renew_knowledge(env: Env, from_issuer: bool) {
    let wanted = if from_issuer {
        Wanted::Feed
    } else {
        Wanted::Kv
    };
    knowledge::renew_in_background(&env, &settings::held_or_read(&env), wanted).await;
}

/// What `Cache-Control` of a guarded route's answer must say instead; nothing: it may stay as it is. See
/// [`crate::caching`].
#[wasm_bindgen]
#[allow(
    clippy::needless_pass_by_value,
    reason = "wasm-bindgen hands optional texts over as owned"
)]
pub fn cache_control(said: Option<String>, targeted: bool, origin_decides: bool) -> Option<String> {
    caching::cache_control(said.as_deref(), targeted, origin_decides)
}

/// Those of a renewal's `cookies` (`Set-Cookie` values) that the browser may be given now. See [`renewal::still_present`].
#[wasm_bindgen]
pub async fn present_cookies(env: Env, cookies: Vec<String>, renewed_at: f64) -> Vec<String> {
    let settings = settings::held_or_read(&env);
    let Ok(config) = settings.as_ref() else {
        return cookies;
    };
    let renewed_at = UnixMillis::from_millis(renewed_at as i64);
    if renewal::still_present(config, &cookies, renewed_at).await {
        cookies
    } else {
        Vec::new()
    }
}

/// The answer to a request for the issuer whose body is longer than the issuer takes.
#[wasm_bindgen]
pub fn too_large(request: &Request) -> Result<Response, JsValue> {
    answer::refuse(request, &Refusal::TooLarge)
}

/// `Access-Control-Allow-Origin` of an answer that scripts of `origins` may read, where the request came from `origin`;
/// nothing: they may not. See [`cors::reader`].
#[wasm_bindgen]
#[allow(
    clippy::needless_pass_by_value,
    reason = "wasm-bindgen hands optional texts over as owned"
)]
pub fn reader(origins: &str, origin: Option<String>) -> Option<String> {
    cors::reader(origins, origin.as_deref())
}

/// Whether an answer with this `status` is Cloudflare's, for an upstream that it lost: nothing if not, otherwise whether it
/// waited too long. See [`crate::dead_upstream`].
#[wasm_bindgen]
pub fn lost_upstream(status: u16) -> Option<bool> {
    dead_upstream::told_by(status).map(|lost| lost == Lost::TimedOut)
}

/// The answer where the origin (or the issuer, if `is_issuer`) did not answer.
#[wasm_bindgen]
pub fn unreachable(
    request: &Request,
    is_issuer: bool,
    timed_out: bool,
) -> Result<Response, JsValue> {
    let refusal = match (is_issuer, timed_out) {
        (true, true) => Refusal::IssuerTimeout,
        (true, false) => Refusal::IssuerUnreachable,
        (false, _) => Refusal::OriginUnreachable,
    };
    answer::refuse(request, &refusal)
}
