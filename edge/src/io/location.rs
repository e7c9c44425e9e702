//! What the isolates of one location share for a second: the issuer's last answer, in Cloudflare's Cache API.
//!
//! Isolates that follow the issuer end up with the same number after their first answer, and then ask the same. Where
//! there is no Cache API (plain workerd without a `cache` service), each isolate asks for itself.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use js_sys::{Promise, Reflect, Uint8Array};
use shared::revocation::Relay;
use shared::secret::RootSecret;
use shared::time::UnixMillis;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Response, ResponseInit};
use worker::Delay;

use super::upstream;
use crate::config::Config;
use crate::view::{Source, ago};

/// For how long the cache serves an answer: the least that it can be told.
const LIFE: Duration = Duration::from_secs(1);

/// How long the cache may take to take an answer in. It counts against the answer; one that took longer is deleted, for
/// its time in the cache began too late.
const PUT_LIMIT: Duration = Duration::from_millis(100);

/// How long a renewal waits for the cache: it is there to save a call to the issuer, which takes no longer.
const FIND_LIMIT: Duration = Duration::from_millis(200);

/// An answer of the issuer that another isolate got.
pub(crate) struct Found {
    pub(crate) bytes: Vec<u8>,
    pub(crate) source: Source,
}

/// An answer of the issuer that others can use.
pub(crate) struct Spare {
    url: String,
    bytes: Vec<u8>,
    asked_at: UnixMillis,
    secret: RootSecret,
}

#[wasm_bindgen]
extern "C" {
    type Cache;

    #[wasm_bindgen(method, catch, js_name = match)]
    fn find(this: &Cache, url: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &Cache, url: &str, response: &Response) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn delete(this: &Cache, url: &str) -> Result<Promise, JsValue>;
}

/// The answer to `after` that an isolate of this location got a moment ago.
pub(crate) async fn find(config: &Config, after: u64) -> Option<Found> {
    match select(pin!(try_find(config, after)), Delay::from(FIND_LIMIT)).await {
        Either::Left((found, _)) => found,
        Either::Right(_) => None,
    }
}

async fn try_find(config: &Config, after: u64) -> Option<Found> {
    let sought_at = upstream::now();
    let finding = cache()?.find(&url(config, after)).ok()?;
    let response: Response = JsFuture::from(finding).await.ok()?.dyn_into().ok()?;
    // Whole seconds that it was there (RFC 9111 §5.1). A cache that counts in seconds may keep it for almost two, and
    // says so. Whoever writes to the cache can take this away; then `asked_at` still counts, by the other isolate's clock.
    let age = response.headers().get("age").ok()?;
    let overdue = Duration::from_secs(age.and_then(|age| age.parse().ok()).unwrap_or(0));
    let shared = upstream::body(&response).await.ok()?;
    let relay = Relay::open(&shared, &config.edge_secrets).ok()?;
    Some(Found {
        source: Source::Shared {
            asked_at: relay.asked_at,
            sought_at,
            at_most_ago: relay
                .took
                .saturating_add(PUT_LIMIT + LIFE)
                .saturating_add(overdue),
        },
        bytes: relay.answer.to_vec(),
    })
}

impl Spare {
    /// The answer `bytes` to what follows `after`, asked for at `asked_at`.
    pub(crate) fn new(
        config: &Config,
        after: u64,
        bytes: Vec<u8>,
        asked_at: UnixMillis,
    ) -> Option<Self> {
        let secret = config.edge_secrets.first()?.clone();
        Some(Self {
            url: url(config, after),
            bytes,
            asked_at,
            secret,
        })
    }

    /// Keeps it for the others. Nobody should wait for that.
    pub(crate) async fn keep(self) {
        // Whoever cannot share asks for itself: that is no failure.
        let _ = self.try_keep().await;
    }

    async fn try_keep(self) -> Result<(), JsValue> {
        let now = upstream::now();
        let (Some(cache), true) = (cache(), self.asked_at <= now) else {
            return Ok(());
        };
        let headers = Headers::new()?;
        headers.set("cache-control", &format!("max-age={}", LIFE.as_secs()))?;
        let init = ResponseInit::new();
        init.set_headers_headers(&headers);
        let relay = Relay {
            asked_at: self.asked_at,
            took: now.since(self.asked_at),
            answer: &self.bytes,
        };
        let body = Uint8Array::from(relay.encode(&self.secret).as_slice());
        let response = Response::new_with_opt_js_u8_array_and_init(Some(&body), &init)?;
        JsFuture::from(cache.put(&self.url, &response)?).await?;
        if ago(now, upstream::now()) > PUT_LIMIT {
            JsFuture::from(cache.delete(&self.url)?).await?;
        }
        Ok(())
    }
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
