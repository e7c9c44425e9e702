//! An origin that lets in only what the edge vouches for: `Portcullis-Assertion`, checked by a middleware.
//!
//! ```sh
//! ORIGIN_SECRET=… PUBLIC_URL=https://app.example.test cargo run -p system --example verify_assertion
//! ```
//!
//! The other `Portcullis-*` headers say the same without proof; an origin that only the edge can reach may read those.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::{Extension, Router};
use shared::assertion::{self, AssertionKey, Identity};
use shared::secret::RootSecret;
use shared::time::UnixTime;

/// What an assertion is checked against.
pub(crate) struct Guard {
    /// Of `ORIGIN_SECRET`; two of them while it is being changed.
    pub(crate) keys: Vec<AssertionKey>,
    /// Host and port of the site as its users see it: not the `Host` of the request, which says how the edge got here.
    pub(crate) authority: String,
    /// The clock.
    pub(crate) now: Box<dyn Fn() -> UnixTime + Send + Sync>,
}

/// The origin's routes, behind the check.
pub(crate) fn router(guard: Guard) -> Router {
    Router::new()
        .fallback(any(hello))
        .layer(from_fn_with_state(Arc::new(guard), check))
}

/// Whoever has no good assertion for this very request is turned away.
async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    match verified(&guard, &request) {
        Some(identity) => {
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        None => (StatusCode::UNAUTHORIZED, "come through the edge\n").into_response(),
    }
}

fn verified(guard: &Guard, request: &Request) -> Option<Identity> {
    let mut offered = request.headers().get_all("portcullis-assertion").iter();
    let (Some(token), None) = (offered.next(), offered.next()) else {
        return None;
    };
    let asked = assertion::Request {
        method: request.method().as_str(),
        authority: &guard.authority,
        path_and_query: request.uri().path_and_query()?.as_str(),
    };
    assertion::verify(token.to_str().ok()?, &guard.keys, asked, (guard.now)()).ok()
}

async fn hello(Extension(user): Extension<Identity>) -> String {
    format!("{} {}", user.user(), user.roles().join(","))
}

#[tokio::main]
async fn main() -> Result<()> {
    let setting = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let site = setting("PUBLIC_URL")?;
    let secrets = RootSecret::parse_list(&setting("ORIGIN_SECRET")?)?;
    let guard = Guard {
        keys: secrets.iter().map(AssertionKey::from).collect(),
        authority: site.split_once("://").context("PUBLIC_URL")?.1.to_owned(),
        now: Box::new(now),
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 8090)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router(guard)).await?)
}

fn now() -> UnixTime {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    UnixTime::from_secs(since_epoch.as_secs().cast_signed())
}
