//! Cloudflare's public REST calls for Workers KV, with the bearer token checked: bulk write, and single values.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::time::{UnixMillis, UnixTime};

use super::store::{Entry, Store};
use super::{API_TOKEN, NAMESPACE, suffer, worker_side};

/// The limits of the real service.
const MOST_PAIRS: usize = 10_000;
const MOST_BYTES: usize = 25 << 20;
const LEAST_TTL: u64 = 60;

pub(super) fn router(store: Arc<Store>) -> Router {
    let values = get(get_value).put(put_value).delete(delete_value);
    let namespace = Router::new()
        .route("/bulk", put(put_bulk))
        .route("/values/{key}", values)
        .route("/keys", get(list_keys))
        .layer(middleware::from_fn_with_state(store.clone(), admit))
        .layer(axum::extract::DefaultBodyLimit::max(100 << 20))
        .with_state(store);
    Router::new().nest(
        &format!("/client/v4/accounts/{{account}}/storage/kv/namespaces/{NAMESPACE}"),
        namespace,
    )
}

async fn admit(State(store): State<Arc<Store>>, request: Request, next: Next) -> Response {
    if let Err(answer) = suffer(store.write_fault()).await {
        store.note_refusal();
        return answer;
    }
    let offered = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if offered.and_then(|value| value.strip_prefix("Bearer ")) != Some(API_TOKEN) {
        return failure(StatusCode::FORBIDDEN, 10000, "Authentication error");
    }
    next.run(request).await
}

#[derive(Debug, Deserialize)]
struct Pair {
    key: String,
    value: String,
    #[serde(default)]
    base64: bool,
    expiration: Option<i64>,
    expiration_ttl: Option<u64>,
    metadata: Option<Value>,
}

async fn put_bulk(State(store): State<Arc<Store>>, body: Bytes) -> Response {
    let pairs: Vec<Pair> = match serde_json::from_slice(&body) {
        Ok(pairs) => pairs,
        Err(error) => {
            return failure(
                StatusCode::BAD_REQUEST,
                10012,
                &format!("could not parse the body: {error}"),
            );
        }
    };
    if pairs.len() > MOST_PAIRS {
        return failure(StatusCode::BAD_REQUEST, 10030, "more than 10,000 pairs");
    }
    let written = pairs.len();
    let now = store.now();
    let entries: Result<Vec<(String, Entry)>, &'static str> =
        pairs.into_iter().map(|pair| entry(pair, now)).collect();
    match entries {
        Err(reason) => failure(StatusCode::BAD_REQUEST, 10013, reason),
        Ok(entries) => match store.write(entries) {
            Err(_too_soon) => failure(
                StatusCode::TOO_MANY_REQUESTS,
                10043,
                "one write a second per key",
            ),
            Ok(()) => success(json!({ "successful_key_count": written, "unsuccessful_keys": [] })),
        },
    }
}

fn entry(pair: Pair, now: UnixMillis) -> Result<(String, Entry), &'static str> {
    if pair.key.is_empty() || pair.key.len() > 512 {
        return Err("a key has 1 to 512 bytes");
    }
    if pair.expiration_ttl.is_some_and(|ttl| ttl < LEAST_TTL) {
        return Err("expiration_ttl must be at least 60");
    }
    let value = if pair.base64 {
        BASE64_STANDARD
            .decode(&pair.value)
            .map_err(|_| "a value is not base64")?
    } else {
        pair.value.into_bytes()
    };
    if value.len() > MOST_BYTES {
        return Err("a value has more than 25 MiB");
    }
    let at = pair.expiration.map(|at| UnixTime::from_secs(at).into());
    let ttl = pair.expiration_ttl.map(Duration::from_secs);
    let expires = at.or_else(|| Some(now.plus(ttl?)));
    Ok((
        pair.key,
        Entry {
            value: value.into(),
            expires,
            metadata: pair.metadata.map(|json| json.to_string()),
        },
    ))
}

async fn put_value(
    State(store): State<Arc<Store>>,
    Path(Key { key }): Path<Key>,
    body: Bytes,
) -> Response {
    // The single write ignores an expiration given in the body, so there is none.
    match store.write(vec![(
        key,
        Entry {
            value: body,
            ..Entry::default()
        },
    )]) {
        Err(_too_soon) => failure(
            StatusCode::TOO_MANY_REQUESTS,
            10043,
            "one write a second per key",
        ),
        Ok(()) => success(json!({})),
    }
}

async fn get_value(State(store): State<Arc<Store>>, Path(Key { key }): Path<Key>) -> Response {
    match store.get(&key) {
        Some(entry) => entry.value.into_response(),
        None => failure(StatusCode::NOT_FOUND, 10009, "get: 'key not found'"),
    }
}

async fn delete_value(State(store): State<Arc<Store>>, Path(Key { key }): Path<Key>) -> Response {
    store.remove(&key);
    success(json!({}))
}

#[derive(Debug, Deserialize)]
struct Key {
    key: String,
}

#[derive(Debug, Deserialize)]
struct ListParameters {
    prefix: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

async fn list_keys(
    State(store): State<Arc<Store>>,
    Query(asked): Query<ListParameters>,
) -> Response {
    let prefix = asked.prefix.unwrap_or_default();
    let (entries, complete) = store.list(
        &prefix,
        asked.cursor.as_deref(),
        asked.limit.unwrap_or(1000),
    );
    let cursor = (!complete)
        .then(|| entries.last().map(|(name, _)| name.clone()))
        .flatten()
        .unwrap_or_default();
    let keys: Vec<Value> = entries.iter().map(worker_side::describe).collect();
    let info = json!({ "count": keys.len(), "cursor": cursor });
    Json(json!({ "success": true, "errors": [], "messages": [], "result": keys, "result_info": info })).into_response()
}

fn success(result: Value) -> Response {
    Json(json!({ "success": true, "errors": [], "messages": [], "result": result })).into_response()
}

fn failure(status: StatusCode, code: u32, message: &str) -> Response {
    let errors = [json!({ "code": code, "message": message })];
    (
        status,
        Json(json!({ "success": false, "errors": errors, "messages": [], "result": null })),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::{Fault, Kv, api_url};

    async fn bulk(kv: &Kv, token: &str, body: Value) -> (u16, Value) {
        let url = format!(
            "{}/storage/kv/namespaces/{NAMESPACE}/bulk",
            api_url(kv.public_addr())
        );
        let call = crate::system::http_client()
            .unwrap()
            .put(url)
            .bearer_auth(token)
            .json(&body);
        let answer = call.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or_default(),
        )
    }

    #[tokio::test]
    async fn a_bulk_write_is_what_a_worker_reads() {
        let kv = Kv::start().await.unwrap();
        let pairs =
            json!([{ "key": "keys", "value": "AAH/", "base64": true, "expiration_ttl": 60 }]);
        let (status, answer) = bulk(&kv, API_TOKEN, pairs).await;
        assert_eq!(
            (status, &answer["result"]["successful_key_count"]),
            (200, &json!(1))
        );
        assert_eq!(kv.value("keys"), Some(vec![0, 1, 255]));
        let url = format!("http://{}/keys?urlencoded=true", kv.worker_addrs()[0]);
        let read = crate::system::http_client()
            .unwrap()
            .get(url)
            .send()
            .await
            .unwrap();
        assert_eq!(read.bytes().await.unwrap().as_ref(), [0, 1, 255]);
        assert_eq!((kv.reads("keys"), kv.writes("keys")), (1, 1));
    }

    #[tokio::test]
    async fn what_the_real_service_refuses_is_refused() {
        let kv = Kv::start().await.unwrap();
        let one = |extra: Value| {
            let mut pair = json!({ "key": "a", "value": "v" });
            pair.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            json!([pair])
        };
        assert_eq!(bulk(&kv, "another token", one(json!({}))).await.0, 403);
        assert_eq!(bulk(&kv, API_TOKEN, json!("nonsense")).await.0, 400);
        assert_eq!(
            bulk(&kv, API_TOKEN, one(json!({ "expiration_ttl": 59 })))
                .await
                .0,
            400
        );
        assert_eq!(
            bulk(&kv, API_TOKEN, one(json!({ "base64": true, "value": "!" })))
                .await
                .0,
            400
        );
        assert_eq!(bulk(&kv, API_TOKEN, one(json!({}))).await.0, 200);
        assert_eq!(bulk(&kv, API_TOKEN, one(json!({}))).await.0, 429);
        assert_eq!(kv.refusals(), 0);
        kv.set_write_fault(Fault::Down);
        assert_eq!(bulk(&kv, API_TOKEN, one(json!({}))).await.0, 500);
        assert_eq!(kv.refusals(), 1);
    }
}
