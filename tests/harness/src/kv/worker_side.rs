//! The protocol that workerd's `kvNamespace` binding speaks: `GET`, `PUT` and `DELETE /<key>`, `POST /bulk/get`, and
//! `GET /?prefix=` for a list. The key is one path segment, its slashes encoded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::store::{Entry, Store};
use super::suffer;

const METADATA: &str = "cf-kv-metadata";
/// workerd asks for no more at once.
const BULK_LIMIT: usize = 100;
const LIST_LIMIT: usize = 1000;

pub(super) fn router(store: Arc<Store>) -> Router {
    Router::new()
        .route("/bulk/get", post(bulk_get))
        .fallback(one)
        .layer(axum::extract::DefaultBodyLimit::max(32 << 20))
        .with_state(store)
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    expiration: Option<u64>,
    expiration_ttl: Option<u64>,
    key_count_limit: Option<usize>,
    prefix: Option<String>,
    cursor: Option<String>,
}

async fn one(
    State(store): State<Arc<Store>>,
    method: Method,
    uri: Uri,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(answer) = suffer(store.read_fault()).await {
        return answer;
    }
    let key = decode(uri.path().trim_start_matches('/'));
    match (method, key.as_str()) {
        (Method::GET, "") => list(&store, &parameters),
        (Method::GET, key) => get(store.read(key)),
        (Method::PUT, key) => {
            let metadata = headers
                .get(METADATA)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned);
            store.put(
                key,
                Entry {
                    value: body.to_vec(),
                    expires: expiry(&parameters),
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
}

async fn bulk_get(State(store): State<Arc<Store>>, body: Bytes) -> Response {
    if let Err(answer) = suffer(store.read_fault()).await {
        return answer;
    }
    let Ok(asked) = serde_json::from_slice::<BulkGet>(&body) else {
        return (StatusCode::BAD_REQUEST, "not a bulk get").into_response();
    };
    if asked.keys.len() > BULK_LIMIT {
        return (StatusCode::BAD_REQUEST, "more than 100 keys").into_response();
    }
    let as_json = asked.r#type.as_deref() == Some("json");
    let mut found = Map::new();
    for key in asked.keys {
        let value = store.read(&key).map_or(Value::Null, |entry| {
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

fn expiry(parameters: &Parameters) -> Option<SystemTime> {
    let at = parameters
        .expiration
        .map(|at| SystemTime::UNIX_EPOCH + Duration::from_secs(at));
    at.or_else(|| {
        parameters
            .expiration_ttl
            .map(|ttl| SystemTime::now() + Duration::from_secs(ttl))
    })
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

    #[tokio::test]
    async fn a_worker_puts_gets_lists_and_deletes() {
        let kv = Kv::start().await.unwrap();
        let http = crate::system::http_client().unwrap();
        let base = format!("http://{}", kv.worker_addr());
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
