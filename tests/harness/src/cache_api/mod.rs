//! What stands behind `caches.default` at one location, in the protocol of workerd's `cacheApiOutbound`: GET answers
//! with what is kept or says that nothing is, PUT brings a whole answer in its body, PURGE deletes. The URL is the key;
//! a cache that was opened by name comes with a header that says so.

mod message;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use issuer::time::Clock;
use shared::time::UnixMillis;

use crate::system::background::{self, Served};
use message::Message;

const NAMESPACE: &str = "cf-cache-namespace";
const STATUS: &str = "cf-cache-status";

/// A running cache.
#[derive(Debug)]
pub struct CacheApi {
    server: Served,
    shelf: Arc<Shelf>,
}

/// What a cache was asked so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Asked for something that was there.
    pub hits: u64,
    /// Asked for something that was not there, or no more.
    pub misses: u64,
    /// Given something that it keeps.
    pub puts: u64,
}

#[derive(Debug)]
struct Shelf {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: BTreeMap<String, Kept>,
    counts: Counts,
    broken: bool,
    overdue: bool,
    lying: bool,
}

#[derive(Clone, Debug)]
struct Kept {
    message: Message,
    since: UnixMillis,
    until: UnixMillis,
}

impl CacheApi {
    /// Starts an empty one; `clock` says what has run out.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(clock: Clock) -> Result<Self> {
        let inner = Mutex::default();
        let shelf = Arc::new(Shelf { clock, inner });
        let router = Router::new().fallback(answer).with_state(shelf.clone());
        let server = background::serve(router).await?;
        Ok(Self { server, shelf })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// What it was asked so far.
    pub fn counts(&self) -> Counts {
        self.shelf.lock().counts
    }

    /// Whether it answers everything with 500 from now on.
    pub fn set_broken(&self, broken: bool) {
        self.shelf.lock().broken = broken;
    }

    /// Whether it serves from now on what has run out as well. It says how old that is.
    pub fn set_overdue(&self, overdue: bool) {
        self.shelf.lock().overdue = overdue;
    }

    /// Whether it says from now on of everything that it is new, as whoever can write to it could make it say.
    pub fn set_lying(&self, lying: bool) {
        self.shelf.lock().lying = lying;
    }

    /// Forgets all that it keeps.
    pub fn clear(&self) {
        self.shelf.lock().kept.clear();
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &str) -> Response {
        let now = self.clock.now();
        let mut inner = self.lock();
        let overdue = inner.overdue;
        let serves = |kept: &&Kept| overdue || now < kept.until;
        let found = inner.kept.get(key).filter(serves).cloned();
        let Some(kept) = found else {
            inner.counts.misses += 1;
            return (StatusCode::GATEWAY_TIMEOUT, [(STATUS, "MISS")]).into_response();
        };
        inner.counts.hits += 1;
        let age = now.since(kept.since).as_secs().to_string();
        let lies = inner.lying.then(|| {
            let asked_at = now.millis().to_string();
            [
                ("portcullis-asked-at", asked_at),
                ("portcullis-took", "0".to_owned()),
            ]
        });
        let age = if inner.lying { "0" } else { &age };
        let Message {
            status,
            headers,
            body,
        } = kept.message;
        let mut answer = (status, headers, [(STATUS, "HIT"), ("age", age)], body).into_response();
        for (name, value) in lies.into_iter().flatten() {
            if let Ok(value) = value.parse() {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }

    fn put(&self, key: String, body: &Bytes) -> Response {
        let kept = Message::parse(body).and_then(|mut message| {
            // Both speak of the connection over which the answer came.
            message.headers.remove(header::TRANSFER_ENCODING);
            message.headers.remove(header::CONTENT_LENGTH);
            let since = self.clock.now();
            let until = since.plus(message.lifetime()?);
            Some(Kept {
                message,
                since,
                until,
            })
        });
        let Some(kept) = kept else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        let mut inner = self.lock();
        inner.counts.puts += 1;
        inner.kept.insert(key, kept);
        StatusCode::NO_CONTENT.into_response()
    }

    fn purge(&self, key: &str) -> Response {
        match self.lock().kept.remove(key) {
            Some(_) => StatusCode::OK.into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

async fn answer(
    State(shelf): State<Arc<Shelf>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if shelf.lock().broken {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (namespace, host) = (named(NAMESPACE), named("host"));
    let (namespace, host) = (namespace.unwrap_or_default(), host.unwrap_or_default());
    let key = format!("{namespace} {host} {uri}");
    match method.as_str() {
        "GET" => shelf.get(&key),
        "PUT" => shelf.put(key, &body),
        "PURGE" => shelf.purge(&key),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

#[cfg(test)]
mod tests;
