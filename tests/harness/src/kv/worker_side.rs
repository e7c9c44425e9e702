//! The protocol that workerd's `kvNamespace` binding speaks: `GET`, `PUT` and `DELETE /<key>`, `POST /bulk/get`, and
//! `GET /?prefix=` for a list. The key is one path segment, its slashes encoded.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::time::{UnixMillis, UnixTime};

use super::store::{Entry, Store};
use super::suffer;

const METADATA: &str = "cf-kv-metadata";
/// workerd asks for no more at once.
const BULK_LIMIT: usize = 100;
const LIST_LIMIT: usize = 1000;
/// How long a location keeps what it has read, in seconds.
const USUAL_CACHE_TTL: u64 = 60;
pub(super) const LEAST_CACHE_TTL: u64 = 30;

/// One location's way to the values.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) store: Arc<Store>,
    pub(super) number: usize,
}

pub(super) fn router(location: Location) -> Router {
    Router::new()
        .route("/bulk/get", post(bulk_get))
        .fallback(one)
        .layer(axum::extract::DefaultBodyLimit::max(32 << 20))
        .with_state(location)
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    cache_ttl: Option<u64>,
    expiration: Option<i64>,
    expiration_ttl: Option<u64>,
    key_count_limit: Option<usize>,
    prefix: Option<String>,
    cursor: Option<String>,
}

async fn one(
    State(location): State<Location>,
    method: Method,
    uri: Uri,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let store = &location.store;
    if let Err(answer) = suffer(store.read_fault()).await {
        return answer;
    }
    let key = decode(uri.path().trim_start_matches('/'));
    match (method, key.as_str()) {
        (Method::GET, "") => list(store, &parameters),
        (Method::GET, key) => match cache_ttl(parameters.cache_ttl) {
            Ok(ttl) => get(store.read(location.number, key, ttl)),
            Err(reason) => (StatusCode::BAD_REQUEST, reason).into_response(),
        },
        (Method::PUT, key) => {
            let metadata = headers
                .get(METADATA)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned);
            store.put(
                key,
                Entry {
                    value: body,
                    expires: expiry(&parameters, store.now()),
                    metadata,
                },
            );
            StatusCode::OK.into_response()
        }
        (Method::DELETE, key) => {
            store.remove(key);
            StatusCode::OK.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// The time for which a location keeps a value, if it is one that the real service takes.
fn cache_ttl(asked: Option<u64>) -> Result<Duration, String> {
    let seconds = asked.unwrap_or(USUAL_CACHE_TTL);
    if seconds < LEAST_CACHE_TTL {
        return Err(format!("Invalid cache_ttl of {seconds}"));
    }
    Ok(Duration::from_secs(seconds))
}

fn get(entry: Option<Entry>) -> Response {
    let Some(entry) = entry else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match entry.metadata {
        Some(metadata) => ([(METADATA, metadata)], entry.value).into_response(),
        None => entry.value.into_response(),
    }
}

fn list(store: &Store, parameters: &Parameters) -> Response {
    let limit = parameters.key_count_limit.unwrap_or(LIST_LIMIT);
    let prefix = parameters.prefix.as_deref().unwrap_or_default();
    let (entries, complete) = store.list(prefix, parameters.cursor.as_deref(), limit);
    let mut answer = json!({ "keys": entries.iter().map(describe).collect::<Vec<_>>(), "list_complete": complete });
    if let (false, Some((last, _))) = (complete, entries.last()) {
        answer["cursor"] = json!(last);
    }
    axum::Json(answer).into_response()
}

/// A key as lists on both sides show it.
pub(super) fn describe((name, entry): &(String, Entry)) -> Value {
    let mut shown = json!({ "name": name });
    if let Some(expiration) = entry.expiration() {
        shown["expiration"] = json!(expiration);
    }
    if let Some(metadata) = entry
        .metadata
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
    {
        shown["metadata"] = metadata;
    }
    shown
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BulkGet {
    keys: Vec<String>,
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    with_metadata: bool,
    /// workerd writes it as a text.
    #[serde(default)]
    cache_ttl: Option<String>,
}

async fn bulk_get(State(location): State<Location>, body: Bytes) -> Response {
    let store = &location.store;
    if let Err(answer) = suffer(store.read_fault()).await {
        return answer;
    }
    let Ok(asked) = serde_json::from_slice::<BulkGet>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a bulk get").into_response();
    };
    if asked.keys.len() > BULK_LIMIT {
        return (StatusCode::BAD_REQUEST, "more than 100 keys").into_response();
    }
    let ttl = match cache_ttl(asked.cache_ttl.and_then(|text| text.parse().ok())) {
        Ok(ttl) => ttl,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
    };
    let as_json = asked.r#type.as_deref() == Some("json");
    let mut found = Map::new();
    for key in asked.keys {
        let value = store
            .read(location.number, &key, ttl)
            .map_or(Value::Null, |entry| {
                shown(&entry, as_json, asked.with_metadata)
            });
        found.insert(key, value);
    }
    axum::Json(found).into_response()
}

fn shown(entry: &Entry, as_json: bool, with_metadata: bool) -> Value {
    let parsed = as_json.then(|| serde_json::from_slice(&entry.value).unwrap_or_default());
    let value = parsed.unwrap_or_else(|| json!(String::from_utf8_lossy(&entry.value)));
    if !with_metadata {
        return value;
    }
    let metadata: Option<Value> = entry
        .metadata
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    json!({ "value": value, "metadata": metadata })
}

fn expiry(parameters: &Parameters, now: UnixMillis) -> Option<UnixMillis> {
    let at = parameters
        .expiration
        .map(|at| UnixTime::from_secs(at).into());
    at.or_else(|| Some(now.plus(Duration::from_secs(parameters.expiration_ttl?))))
}

/// Percent-decoding (RFC 3986 §2.1); what is not an escape stays.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        if let Some(byte) = escaped.and_then(|digits| hex::decode(digits).ok()) {
            bytes.extend(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Kv;

    #[test]
    fn keys_are_decoded() {
        assert_eq!(decode("revocations:head"), "revocations:head");
        assert_eq!(decode("a%2Fb%20c"), "a/b c");
        assert_eq!(decode("100%"), "100%");
    }

    #[test]
    fn a_location_keeps_values_for_half_a_minute_at_least() {
        assert_eq!(cache_ttl(None).unwrap(), Duration::from_secs(60));
        assert_eq!(cache_ttl(Some(30)).unwrap(), Duration::from_secs(30));
        assert!(cache_ttl(Some(29)).is_err());
    }

    #[tokio::test]
    async fn a_worker_puts_gets_lists_and_deletes() {
        let kv = Kv::start().await.unwrap();
        let http = crate::system::http_client().unwrap();
        let base = format!("http://{}", kv.worker_addrs()[0]);
        let missing = http
            .get(format!("{base}/a%2Fb?urlencoded=true"))
            .send()
            .await
            .unwrap();
        assert_eq!(missing.status(), 404);
        let put = http
            .put(format!("{base}/a%2Fb?urlencoded=true&expiration_ttl=60"))
            .header(METADATA, r#"{"n":1}"#);
        assert_eq!(put.body("value").send().await.unwrap().status(), 200);
        let found = http
            .get(format!("{base}/a%2Fb?urlencoded=true&cache_ttl=30"))
            .send()
            .await
            .unwrap();
        assert_eq!(found.headers()[METADATA], r#"{"n":1}"#);
        assert_eq!(found.text().await.unwrap(), "value");
        let list: Value = http
            .get(format!("{base}/?prefix=a&key_count_limit=5"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(
            (&list["keys"][0]["name"], &list["list_complete"]),
            (&json!("a/b"), &json!(true))
        );
        let bulk = http
            .post(format!("{base}/bulk/get"))
            .json(&json!({"keys": ["a/b", "c"], "withMetadata": true}));
        let bulk: Value = bulk.send().await.unwrap().json().await.unwrap();
        assert_eq!(
            bulk,
            json!({"a/b": {"value": "value", "metadata": {"n": 1}}, "c": null})
        );
        http.delete(format!("{base}/a%2Fb")).send().await.unwrap();
        assert_eq!(kv.value("a/b"), None);
    }
}
