//! The demo origin: what stands behind the edge. It answers with what it received, as JSON or as a page.

mod page;
mod trial;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::system::background::{self, Served};

/// So many requests are remembered.
const REMEMBERED: usize = 1000;
const LARGEST_BODY: usize = 1 << 30;

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// GET, POST …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Without `?`.
    pub query: Option<String>,
    /// In order of arrival, names in lower case; what is no text is shown with replacement characters.
    pub headers: Vec<(String, String)>,
    /// Bytes.
    pub body_length: usize,
    /// Its address as the client wrote it, by what the edge says: how an application builds an absolute link.
    pub url: String,
}

impl Received {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A running origin.
#[derive(Debug)]
pub struct Origin {
    server: Served,
    journal: Arc<Mutex<Journal>>,
}

#[derive(Debug, Default)]
struct Journal {
    count: u64,
    last: VecDeque<Received>,
}

impl Origin {
    /// Starts one.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Self> {
        let journal = Arc::new(Mutex::new(Journal::default()));
        let server = background::serve(router(journal.clone())).await?;
        Ok(Self { server, journal })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// How many requests have reached it.
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// The last requests that reached it, the newest last.
    pub fn received(&self) -> Vec<Received> {
        self.lock().last.iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router(journal: Arc<Mutex<Journal>>) -> Router {
    let demo = Router::new().fallback(answer).with_state(journal);
    demo.merge(trial::router())
}

async fn answer(State(journal): State<Arc<Mutex<Journal>>>, request: Request) -> Response {
    let wants_page = wants_page(request.headers());
    let received = match receive(request).await {
        Ok(received) => received,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    {
        let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.count += 1;
        journal.last.push_back(received.clone());
        if journal.last.len() > REMEMBERED {
            journal.last.pop_front();
        }
    }
    let known = ["/app", "/api", "/admin"].iter().any(|area| {
        received
            .path
            .strip_prefix(area)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    match (received.path.as_str(), known, wants_page) {
        ("/", _, true) => Html(page::public()).into_response(),
        ("/", _, false) => {
            axum::Json(json!({ "public": true, "areas": ["/app/", "/api/", "/admin/"] }))
                .into_response()
        }
        (_, true, true) if !received.path.starts_with("/api") => {
            Html(page::area(&received)).into_response()
        }
        (_, true, _) => axum::Json(received).into_response(),
        (_, false, true) => {
            (StatusCode::NOT_FOUND, Html(page::missing(&received.path))).into_response()
        }
        (_, false, false) => (StatusCode::NOT_FOUND, axum::Json(received)).into_response(),
    }
}

async fn receive(request: Request<Body>) -> Result<Received> {
    let (parts, body) = request.into_parts();
    let body_length = to_bytes(body, LARGEST_BODY).await?.len();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
        .collect();
    let url = url(&parts);
    Ok(Received {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers,
        body_length,
        url,
    })
}

/// As most frameworks do: `X-Forwarded-Proto` and `-Host`, and without them `Host`.
fn url(parts: &Parts) -> String {
    let said = |name: &str| parts.headers.get(name)?.to_str().ok();
    let scheme = said("x-forwarded-proto").unwrap_or("http");
    let host = said("x-forwarded-host").or_else(|| said("host"));
    format!("{scheme}://{}{}", host.unwrap_or_default(), parts.uri)
}

/// Browsers name text/html first when they navigate.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accepted.trim_start().starts_with("text/html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_answers_with_what_it_received() {
        let origin = Origin::start().await.unwrap();
        let http = crate::system::http_client().unwrap();
        let url = format!("http://{}/app/x?y=1", origin.addr());
        let answer = http
            .post(url)
            .header("x-one", "1")
            .body("12345")
            .send()
            .await
            .unwrap();
        let received: Received = answer.json().await.unwrap();
        assert_eq!(
            (
                received.method.as_str(),
                received.path.as_str(),
                received.query.as_deref()
            ),
            ("POST", "/app/x", Some("y=1"))
        );
        assert_eq!(
            (received.header("X-One"), received.body_length),
            (Some("1"), 5)
        );
        assert_eq!((origin.received(), origin.count()), (vec![received], 1));
    }

    #[tokio::test]
    async fn browsers_get_pages_and_strangers_no_markup() {
        let origin = Origin::start().await.unwrap();
        let http = crate::system::http_client().unwrap();
        let page = async |path: &str, roles: &'static str| {
            let asked = http
                .get(format!("http://{}{path}", origin.addr()))
                .header("accept", "text/html,*/*");
            asked
                .header("portcullis-roles", roles)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        };
        assert!(page("/", "").await.contains("/auth/login"));
        let app = page("/app/", "<b>").await;
        assert!(
            app.contains("/auth/logout") && app.contains("&lt;b&gt;") && !app.contains("<b>"),
            "{app}"
        );
    }
}
