//! What the tests of the edge need an origin to do: stream, wait, upgrade, set cookies, say how it may be cached.
//! All under each of [`AREAS`], which the demo rules guard.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
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
const AREAS: [&str; 2] = ["/api/test", "/admin/test"];
const PIECE: usize = 64 * 1024;
/// So many ends of sockets are remembered.
const MOST_ENDED: usize = 5_000;
/// How a socket closes that does so by itself.
const BYE: CloseFrame = CloseFrame {
    code: 3001,
    reason: Utf8Bytes::from_static("bye"),
};

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
    /// So many sources and streams of events were left before their end.
    left: AtomicU64,
    /// How sockets have ended, the newest last.
    ended: Mutex<VecDeque<String>>,
}

pub(super) fn router() -> Router {
    let routes = Router::new()
        .route("/sink", post(sink))
        .route("/source", get(source))
        .route("/source/again", get(source))
        .route("/source/left", get(left))
        .route("/echo", any(echo))
        .route("/events", get(events))
        .route("/events/finish", get(finish))
        .route("/held", any(held))
        .route("/held/count", get(count))
        .route("/held/release", get(release))
        .route("/socket", any(socket))
        .route("/socket/{does}", any(socket_that))
        .route("/sockets", get(sockets))
        .route("/set-cookies", any(set_cookies))
        .route("/status/{code}", any(status))
        .route("/caching", any(caching))
        .route("/caching/{*rest}", any(caching))
        .with_state(Arc::new(Trial::default()));
    AREAS.iter().fold(Router::new(), |router, area| {
        router.nest(area, routes.clone())
    })
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

    fn finish(mut self) {
        self.unsent = 0;
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
    let source = Source {
        trial: trial.clone(),
        unsent: 1,
    };
    let events = stream::once(async { Bytes::from_static(b"data: first\n\n") }).chain(
        stream::once(async move {
            trial.finish.notified().await;
            source.finish();
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
async fn socket(trial: State<Arc<Trial>>, upgrade: WebSocketUpgrade) -> Response {
    socket_that(trial, Path("echoes".to_owned()), upgrade).await
}

/// Does the same with the first message: `echoes` says it back, `closes` with a code and a reason, `leaves` without a word,
/// `floods` with messages of 64 KB, as many as the message says.
async fn socket_that(
    State(trial): State<Arc<Trial>>,
    Path(does): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let ended = loop {
            let message = match socket.recv().await {
                Some(Ok(Message::Close(frame))) => {
                    // The answer goes out with the next look.
                    let _ = socket.recv().await;
                    break how(frame);
                }
                Some(Ok(message)) => message,
                Some(Err(_)) | None => break "lost".to_owned(),
            };
            let sent = match does.as_str() {
                "leaves" => return,
                "closes" => socket.send(Message::Close(Some(BYE))).await,
                "floods" => flood(&mut socket, &message).await,
                _ => socket.send(message).await,
            };
            if sent.is_err() {
                break "lost".to_owned();
            }
        };
        let mut all = trial.ended.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(ended);
        if all.len() > MOST_ENDED {
            all.pop_front();
        }
    })
}

async fn flood(socket: &mut WebSocket, asked: &Message) -> Result<(), axum::Error> {
    let count = asked.to_text().ok().and_then(|text| text.parse().ok());
    for _ in 0..count.unwrap_or(0) {
        let piece = Bytes::from_static(&[b'.'; PIECE]);
        socket.send(Message::Binary(piece)).await?;
    }
    Ok(())
}

/// A code and a reason, or `closed` where none was given.
fn how(frame: Option<CloseFrame>) -> String {
    frame.map_or_else(
        || "closed".to_owned(),
        |frame| format!("{} {}", frame.code, frame.reason),
    )
}

/// How sockets have ended: a code and a reason, `closed`, or `lost`.
async fn sockets(State(trial): State<Arc<Trial>>) -> Response {
    let ended = trial.ended.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({ "ended": *ended })).into_response()
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
