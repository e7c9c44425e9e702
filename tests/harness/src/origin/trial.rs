//! What the tests of the edge need an origin to do: stream, wait, upgrade, set cookies, say how it may be cached.
//! All under [`AREA`], which the demo rules guard.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use shared::wire;
use tokio::sync::Notify;

/// Where all of it is.
const AREA: &str = "/api/test";
const PIECE: usize = 64 * 1024;

#[derive(Debug, Default)]
struct Trial {
    /// The stream of events may end.
    finish: Notify,
    /// So many requests have been held so far.
    held: AtomicU64,
    /// Lets go of those that are.
    release: Notify,
    /// So many answers that say how often they were made.
    made: AtomicU64,
    /// So many sources were left before their end.
    left: AtomicU64,
}

pub(super) fn router() -> Router {
    let routes = Router::new()
        .route("/sink", post(sink))
        .route("/source", get(source))
        .route("/source/left", get(left))
        .route("/echo", any(echo))
        .route("/events", get(events))
        .route("/events/finish", get(finish))
        .route("/held", any(held))
        .route("/held/count", get(count))
        .route("/held/release", get(release))
        .route("/socket", any(socket))
        .route("/set-cookies", any(set_cookies))
        .route("/status/{code}", any(status))
        .route("/caching", any(caching))
        .route("/caching/{*rest}", any(caching))
        .with_state(Arc::new(Trial::default()));
    Router::new().nest(AREA, routes)
}

/// Takes any body and says how long it was.
async fn sink(body: Body) -> Response {
    let mut pieces = body.into_data_stream();
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => length += piece.len(),
            Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        }
    }
    Json(json!({ "length": length })).into_response()
}

/// So many `bytes`.
async fn source(
    State(trial): State<Arc<Trial>>,
    Query(query): Query<HashMap<String, usize>>,
) -> Body {
    let wanted = query.get("bytes").copied().unwrap_or_default();
    let mut source = Source {
        trial,
        unsent: wanted,
    };
    let pieces =
        (0..wanted.div_ceil(PIECE)).map(move |_| Ok::<_, std::convert::Infallible>(source.next()));
    Body::from_stream(stream::iter(pieces))
}

/// A [`source`] that is being sent: goes with its stream.
struct Source {
    trial: Arc<Trial>,
    unsent: usize,
}

impl Source {
    fn next(&mut self) -> Bytes {
        let next = Bytes::from_static(&[b'.'; PIECE]).slice(..PIECE.min(self.unsent));
        self.unsent -= next.len();
        next
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if self.unsent > 0 {
            self.trial.left.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// How many sources were left before their end.
async fn left(State(trial): State<Arc<Trial>>) -> Response {
    Json(json!({ "left": trial.left.load(Ordering::Relaxed) })).into_response()
}

/// The body, and what it says it is.
async fn echo(request: Request) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let mut answer = request.into_body().into_response();
    if let Some(kind) = kind {
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    answer
}

/// Server-sent events: one at once, and one when [`finish`] is asked for.
async fn events(State(trial): State<Arc<Trial>>) -> Response {
    let events = stream::once(async { Bytes::from_static(b"data: first\n\n") }).chain(
        stream::once(async move {
            trial.finish.notified().await;
            Bytes::from_static(b"data: last\n\n")
        }),
    );
    let body = Body::from_stream(events.map(Ok::<_, std::convert::Infallible>));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn finish(State(trial): State<Arc<Trial>>) {
    trial.finish.notify_one();
}

/// An answer that comes when [`release`] is asked for.
async fn held(State(trial): State<Arc<Trial>>) -> Response {
    let released = trial.release.notified();
    trial.held.fetch_add(1, Ordering::Relaxed);
    released.await;
    Json(json!({ "held": true })).into_response()
}

async fn count(State(trial): State<Arc<Trial>>) -> Response {
    Json(json!({ "count": trial.held.load(Ordering::Relaxed) })).into_response()
}

async fn release(State(trial): State<Arc<Trial>>) {
    trial.release.notify_waiters();
}

/// Says everything back.
async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn set_cookies(body: Bytes) -> impl IntoResponse {
    let cookies = AppendHeaders([
        (header::SET_COOKIE, "theme=dark; Path=/"),
        (
            header::SET_COOKIE,
            "seen=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT",
        ),
    ]);
    (cookies, body)
}

/// Any status, with a header and a body of its own.
async fn status(Path(code): Path<u16>) -> Response {
    let Ok(status) = StatusCode::from_u16(code) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let headers = [
        (header::LOCATION, "/elsewhere?a=b#c"),
        (header::WWW_AUTHENTICATE, "Basic realm=\"origin\""),
        (header::RETRY_AFTER, "7"),
    ];
    // They have no body (RFC 9110 §15).
    if matches!(code, 204 | 205 | 304) {
        return (status, headers).into_response();
    }
    (status, headers, format!("the origin says {code}")).into_response()
}

/// An answer for one user, with the `Cache-Control` that the query asks for, a cookie if it asks for `cookie`, and an age
/// in each of the headers that `targeted` names.
async fn caching(
    State(trial): State<Arc<Trial>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let user = headers
        .get(wire::header::USER)
        .and_then(|value| value.to_str().ok());
    let count = trial.made.fetch_add(1, Ordering::Relaxed);
    let mut answer = Json(json!({ "user": user, "count": count })).into_response();
    let asked = [
        (header::CACHE_CONTROL, "control"),
        (header::SET_COOKIE, "cookie"),
    ];
    for (name, key) in asked {
        if let Some(Ok(value)) = query.get(key).map(|value| value.parse()) {
            answer.headers_mut().insert(name, value);
        }
    }
    let targeted = query.get("targeted").map_or("", String::as_str);
    for name in targeted
        .split(',')
        .filter_map(|name| name.parse::<HeaderName>().ok())
    {
        let age = if name == "x-accel-expires" {
            "600"
        } else {
            "max-age=600"
        };
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(age));
    }
    answer
}
