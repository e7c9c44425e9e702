//! What the isolates of one location share for a second: the issuer's last answer, in Cloudflare's Cache API.
//!
//! Isolates that follow the issuer end up with the same number after their first answer, and then ask the same. Where
//! there is no Cache API (plain workerd without a `cache` service), each isolate asks for itself.

use js_sys::{Promise, Reflect, Uint8Array};
use shared::time::UnixMillis;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Response, ResponseInit};

use super::upstream;
use crate::config::Config;

/// When the issuer was asked, by the clock of the isolate that asked.
const ASKED_AT: &str = "portcullis-asked-at";

/// An answer of the issuer.
pub(crate) struct Kept {
    pub(crate) bytes: Vec<u8>,
    pub(crate) asked_at: UnixMillis,
}

#[wasm_bindgen]
extern "C" {
    type Cache;

    #[wasm_bindgen(method, catch, js_name = match)]
    fn find(this: &Cache, url: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &Cache, url: &str, response: &Response) -> Result<Promise, JsValue>;
}

/// The answer to `after` that an isolate of this location got a moment ago.
pub(crate) async fn find(config: &Config, after: u64) -> Option<Kept> {
    let finding = cache()?.find(&url(config, after)).ok()?;
    let response: Response = JsFuture::from(finding).await.ok()?.dyn_into().ok()?;
    let asked_at = response.headers().get(ASKED_AT).ok()??.parse().ok()?;
    Some(Kept {
        bytes: upstream::body(&response).await.ok()?,
        asked_at: UnixMillis::from_millis(asked_at),
    })
}

/// Keeps an answer for the others.
pub(crate) async fn keep(config: &Config, after: u64, bytes: &[u8], asked_at: UnixMillis) {
    // Whoever cannot share asks for itself: that is no failure.
    let _ = try_keep(config, after, bytes, asked_at).await;
}

async fn try_keep(
    config: &Config,
    after: u64,
    bytes: &[u8],
    asked_at: UnixMillis,
) -> Result<(), JsValue> {
    let Some(cache) = cache() else {
        return Ok(());
    };
    let headers = Headers::new()?;
    headers.set("cache-control", "max-age=1")?;
    headers.set(ASKED_AT, &asked_at.millis().to_string())?;
    let init = ResponseInit::new();
    init.set_headers_headers(&headers);
    let body = Uint8Array::from(bytes);
    let response = Response::new_with_opt_js_u8_array_and_init(Some(&body), &init)?;
    JsFuture::from(cache.put(&url(config, after), &response)?).await?;
    Ok(())
}

fn cache() -> Option<Cache> {
    let caches = Reflect::get(&js_sys::global(), &"caches".into()).ok()?;
    let cache = Reflect::get(&caches, &"default".into()).ok()?;
    (!cache.is_undefined()).then(|| cache.unchecked_into())
}

/// A host that nobody can have (RFC 6761 §6.4), so no request from outside finds what is kept here.
fn url(config: &Config, after: u64) -> String {
    let site = config.public.authority();
    format!("https://portcullis.invalid/{site}/revocations/{after}")
}
