//! What holds for every request: the security headers, the log line, the time limit, the refusal of other sites' pages.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::StreamExt as _;
use shared::wire::{LONGEST_BODY, STRICT_TRANSPORT_SECURITY};

use super::csrf::is_cross_site;
use super::error::{Failure, Told};
use super::limit;
use crate::services::Services;
use crate::time::Stopwatch;

/// How long a request may take; a client that still waits then would rather hear so.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The policy of every answer that has none of its own.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// OWASP ASVS 5.0, 3.4.1 to 3.4.6 and 14.3.2. `Referrer-Policy: no-referrer` would make browsers send `Origin: null`.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    ),
    (
        header::STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static(STRICT_TRANSPORT_SECURITY),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Once this issuer is about to stop, asks that the connection of each answer be closed (RFC 9112 §9.6).
pub(super) async fn leave(
    State(services): State<Arc<Services>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if services.leaving.load(Ordering::Relaxed) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Refuses unsafe requests that another site's page made. An edge that refreshes in the middle of a request does so in
/// the site's own name: it sends the site as `Origin`.
pub(super) async fn refuse_cross_site(
    State(services): State<Arc<Services>>,
    request: Request,
    next: Next,
) -> Response {
    let safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let path = request.uri().path();
    if !safe && is_cross_site(request.headers(), path, &services.config.public_url) {
        return Failure::Csrf.into_response();
    }
    next.run(request).await
}

/// Reads the body whole before anything is decided, and to its end if it is longer than [`LONGEST_BODY`]. A refusal
/// that comes while the client still sends would break the connection, and the client might not see it.
pub(super) async fn read_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match whole(body).await {
        Ok(body) => next.run(Request::from_parts(parts, body.into())).await,
        Err(failure) => failure.into_response(),
    }
}

async fn whole(body: Body) -> Result<Vec<u8>, Failure> {
    let mut pieces = body.into_data_stream();
    let (mut whole, mut is_longer) = (Vec::new(), false);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Failure::Body)?;
        is_longer |= whole.len() + piece.len() > LONGEST_BODY;
        if !is_longer {
            whole.extend_from_slice(&piece);
        }
    }
    if is_longer {
        return Err(Failure::Body);
    }
    Ok(whole)
}

/// Puts the security headers on every answer and a challenge on every 401, turns a refusal into a page where a person
/// waits for one, and writes the one log line of the request. The line holds the route, not the path, and no header.
pub(super) async fn frame(request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let for_person = is_navigation(request.headers());

    let mut response = match tokio::time::timeout(TIME_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::TimedOut.into_response(),
    };
    let told = response.extensions().get::<Told>().cloned();
    if let Some(told) = told.as_ref().filter(|told| for_person && !told.has_page) {
        response = page(told, response);
    }
    // Here, because a refusal becomes an answer in several forms: a problem, a page, the sign-in form once more.
    if let Some(challenge) = told.as_ref().and_then(|told| told.challenge.clone()) {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    let status = response.status();
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }

    let ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (method, route, status) = (
        method.as_str(),
        route.as_deref().unwrap_or("none"),
        status.as_u16(),
    );
    match told {
        None => tracing::info!(method, route, status, ms, "request"),
        Some(told) if told.status.is_server_error() => {
            tracing::error!(
                method,
                route,
                status,
                ms,
                code = told.code.as_str(),
                reason = told.reason,
                "request"
            );
        }
        Some(told) => {
            tracing::info!(
                method,
                route,
                status,
                ms,
                code = told.code.as_str(),
                reason = told.reason,
                "request"
            );
        }
    }
    response
}

/// Whether a person is waiting for a page, and not a script for an answer.
fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.trim_start().starts_with("text/html")),
    }
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    title: &'static str,
    detail: &'a str,
    sign_in: &'a str,
}

/// Rides along with a refusal: the sign-in page's address, where it is to keep where somebody wanted to go.
#[derive(Clone, Debug)]
pub(super) struct WayBack(pub(super) String);

/// The refusal as a page, with the cookies that the refusal set or cleared, and what it says about when to come back.
fn page(told: &Told, refusal: Response) -> Response {
    let way_back = refusal.extensions().get::<WayBack>();
    let Ok(html) = (RefusedPage {
        title: told.code.title(),
        detail: &told.detail,
        sign_in: way_back.map_or("/auth/login", |to| to.0.as_str()),
    })
    .render() else {
        return refusal;
    };
    let mut page = (told.status, Html(html)).into_response();
    let kept = [header::SET_COOKIE, header::RETRY_AFTER];
    for name in kept.iter().chain(&limit::HEADERS) {
        for value in refusal.headers().get_all(name) {
            page.headers_mut().append(name, value.clone());
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_gets_a_page_and_a_script_does_not() {
        let headers = |name, value| {
            HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )])
        };
        assert!(is_navigation(&headers("sec-fetch-mode", "navigate")));
        assert!(is_navigation(&headers(
            "accept",
            "text/html,application/xhtml+xml;q=0.9"
        )));
        assert!(!is_navigation(&headers("sec-fetch-mode", "cors")));
        assert!(!is_navigation(&headers("accept", "*/*")));
        assert!(!is_navigation(&HeaderMap::new()));
    }
}
