//! How an endpoint answers, whatever it has to say.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Value, json};

/// An endpoint of the provider that the issuer calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// The JWK Set.
    Keys,
    /// Code against ID token.
    Token,
    /// Who the holder of an access token is.
    Userinfo,
}

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Delivery {
    /// As it should.
    #[default]
    Good,
    /// Takes the request and never says anything.
    Silent,
    /// Says the right thing, one byte a second.
    Dribble,
    /// 200, and bytes that are no JSON.
    Garbage,
    /// Says the right thing in 5 MB of JSON.
    Huge,
    /// 500.
    Failing,
    /// 302 to this address.
    Elsewhere(String),
}

const HUGE: usize = 5_000_000;

impl Delivery {
    /// What `status` and `right` become on the way.
    pub(super) async fn of(self, status: StatusCode, mut right: Value) -> Response {
        match self {
            Self::Good => (status, Json(right)).into_response(),
            Self::Silent => std::future::pending().await,
            Self::Dribble => dribble(status, right.to_string().into()),
            Self::Garbage => {
                let bytes: Vec<u8> = (0..=255).cycle().take(4096).collect();
                (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response()
            }
            Self::Huge => {
                right["padding"] = json!("x".repeat(HUGE));
                (status, Json(right)).into_response()
            }
            Self::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Self::Elsewhere(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        }
    }
}

fn dribble(status: StatusCode, bytes: Bytes) -> Response {
    let each = stream::unfold(bytes, |mut left| async move {
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let byte = left.split_to(1);
        Some((Ok::<_, Infallible>(byte), left))
    });
    let typed = [(header::CONTENT_TYPE, "application/json")];
    (status, typed, Body::from_stream(each)).into_response()
}
