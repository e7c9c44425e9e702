//! An origin that lets in only what the edge vouches for: a middleware checks `Portcullis-Assertion` with jsonwebtoken.
//!
//! ```sh
//! ORIGIN_SECRET=… PUBLIC_URL=https://app.example.test PORT=8090 cargo run
//! ```
//!
//! The other `Portcullis-*` headers say the same without proof; an origin that only the edge can reach may read those.

mod assertion;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::{Extension, Json, Router};

use assertion::{Assertions, Claims};

#[tokio::main]
async fn main() -> Result<()> {
    let setting = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let assertions = Assertions::new(&setting("PUBLIC_URL")?, &setting("ORIGIN_SECRET")?);
    let router = Router::new()
        .fallback(any(hello))
        .layer(from_fn_with_state(Arc::new(assertions), only_vouched));
    let port = setting("PORT").map_or(Ok(8090), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

/// Whoever has no good assertion for this very request is turned away.
async fn only_vouched(
    State(assertions): State<Arc<Assertions>>,
    mut request: Request,
    next: Next,
) -> Response {
    match vouched(&assertions, &request) {
        Some(claims) => {
            request.extensions_mut().insert(claims);
            next.run(request).await
        }
        None => (StatusCode::FORBIDDEN, "come through the edge\n").into_response(),
    }
}

fn vouched(assertions: &Assertions, request: &Request) -> Option<Claims> {
    let mut offered = request.headers().get_all("portcullis-assertion").iter();
    let (Some(token), None) = (offered.next(), offered.next()) else {
        return None;
    };
    // As it was sent: a path that was decoded and encoded again may be spelled differently.
    let target = request.uri().path_and_query()?.as_str();
    assertions.check(token.to_str().ok()?, request.method().as_str(), target)
}

async fn hello(Extension(user): Extension<Claims>) -> Json<Claims> {
    Json(user)
}
