//! Calls to others: the issuer over HTTP, KV. Each has a time limit, because a request waits for it.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AbortSignal, Headers, Request, RequestInit, RequestRedirect, Response, WorkerGlobalScope,
};
use worker::{Delay, Env};

use shared::time::UnixMillis;
use shared::wire::header;

use crate::client_ip::{self, Source};
use crate::config::Config;
use crate::dead_upstream::{self, Lost};
use crate::refusal::Refusal;

/// How long the issuer may take.
pub(crate) const ISSUER_LIMIT: Duration = Duration::from_secs(2);

const KV_BINDING: &str = "REVOCATIONS";
const KV_LIMIT: Duration = Duration::from_secs(2);
const KV_CACHE_TTL: u64 = 30;

/// The time. Outside the hot path, which is handed its `now`, this is the only clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the worker reads a clock"
)]
#[expect(clippy::cast_possible_truncation, reason = "whole milliseconds")]
pub(crate) fn now() -> UnixMillis {
    UnixMillis::from_millis(js_sys::Date::now() as i64)
}

/// The client's address, if the way here vouches for one.
pub(crate) fn client_ip(request: &Request, config: &Config) -> Option<String> {
    // Written by the runtime, never by a client: Cloudflare's names its data centre, workerd's the connection.
    let cf = Reflect::get(request, &"cf".into()).unwrap_or_default();
    let of_cf = |name: &str| Reflect::get(&cf, &name.into()).ok()?.as_string();
    let address = match config.client_ip.source(of_cf("colo").is_some()) {
        Source::Header(name) => client_ip::from_header(&request.headers().get(name).ok()??),
        Source::Peer => client_ip::from_peer(&of_cf("clientIp")?),
        Source::Nowhere => None,
    };
    address.map(|address| address.to_string())
}

/// The value of `key` in KV: nothing if it is not there, or why KV did not say.
pub(crate) async fn kv(env: &Env, key: &str) -> Result<Option<Vec<u8>>, String> {
    let store = env
        .kv(KV_BINDING)
        .map_err(|error| format!("the binding {KV_BINDING}: {error}"))?;
    let reading = store.get(key).cache_ttl(KV_CACHE_TTL).bytes();
    match select(pin!(reading), Delay::from(KV_LIMIT)).await {
        Either::Left((read, _)) => read.map_err(|error| format!("KV: {error}")),
        Either::Right(_) => Err("KV did not answer in time".to_owned()),
    }
}

/// The body of a 200 of the issuer to `GET path`.
pub(crate) async fn issuer_get(config: &Config, path: &str) -> Result<Vec<u8>, Refusal> {
    let response = issuer(config, "GET", path, &[]).await?;
    body_of_ok(&response).await
}

/// The body of a 200 of the issuer to `POST path` with JSON.
pub(crate) async fn issuer_post(
    config: &Config,
    path: &str,
    json: &str,
) -> Result<Vec<u8>, Refusal> {
    let headers = [("content-type", "application/json")];
    let response = send(config, "POST", path, &headers, Some(json)).await?;
    body_of_ok(&response).await
}

async fn body_of_ok(response: &Response) -> Result<Vec<u8>, Refusal> {
    if response.status() != 200 {
        return Err(Refusal::IssuerUnreachable);
    }
    body(response).await
}

/// Calls the issuer as an edge.
pub(crate) async fn issuer(
    config: &Config,
    method: &str,
    path: &str,
    extra: &[(&str, &str)],
) -> Result<Response, Refusal> {
    send(config, method, path, extra, None).await
}

async fn send(
    config: &Config,
    method: &str,
    path: &str,
    extra: &[(&str, &str)],
    content: Option<&str>,
) -> Result<Response, Refusal> {
    let send = || -> Result<js_sys::Promise, JsValue> {
        let headers = Headers::new()?;
        headers.set(header::EDGE_TOKEN, config.edge_token.expose())?;
        for (name, value) in extra {
            headers.set(name, value)?;
        }
        let init = RequestInit::new();
        init.set_method(method);
        init.set_headers_headers(&headers);
        init.set_redirect(RequestRedirect::Manual);
        if let Some(content) = content {
            init.set_body(&content.into());
        }
        init.set_signal(Some(&AbortSignal::timeout_with_u32(
            ISSUER_LIMIT.as_secs() as u32 * 1000,
        )));
        let url = format!("{}{path}", config.issuer.as_str());
        let global: WorkerGlobalScope = js_sys::global().unchecked_into();
        Ok(global.fetch_with_str_and_init(&url, &init))
    };
    let sent = send().map_err(|error| failure(&error))?;
    let response = JsFuture::from(sent)
        .await
        .map_err(|error| failure(&error))?;
    let response: Response = response
        .dyn_into()
        .map_err(|_| Refusal::IssuerUnreachable)?;
    match dead_upstream::told_by(response.status()) {
        None => Ok(response),
        Some(Lost::Unreachable) => Err(Refusal::IssuerUnreachable),
        Some(Lost::TimedOut) => Err(Refusal::IssuerTimeout),
    }
}

/// The body of an answer of the issuer.
pub(crate) async fn body(response: &Response) -> Result<Vec<u8>, Refusal> {
    let reading = response.array_buffer().map_err(|error| failure(&error))?;
    let buffer = JsFuture::from(reading)
        .await
        .map_err(|error| failure(&error))?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

fn failure(error: &JsValue) -> Refusal {
    let name = Reflect::get(error, &"name".into())
        .ok()
        .and_then(|name| name.as_string());
    if name.as_deref() == Some("TimeoutError") {
        Refusal::IssuerTimeout
    } else {
        Refusal::IssuerUnreachable
    }
}
