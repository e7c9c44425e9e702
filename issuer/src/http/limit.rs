//! Limits by address: which of them a route falls under, and the headers that tell clients of it
//! (draft-ietf-httpapi-ratelimit-headers-11).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Failure;
use super::extract::client_ip;
use crate::limits::{Exceeded, Limit, Usage};
use crate::services::Services;

/// `RateLimit-Policy` and `RateLimit`.
pub(super) const HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("ratelimit"),
];

/// Refuses what is over its address's limit. An edge that asks for itself names no client and is not limited; nor is anybody
/// where the edge does not know its clients' addresses.
pub(super) async fn by_address(
    State(services): State<Arc<Services>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(ip) = client_ip(request.headers(), request.extensions(), &services) else {
        return next.run(request).await;
    };
    let limit = of_route(request.method(), request.uri().path());
    match services.limits.addresses.check(limit, ip) {
        Err(exceeded) => Failure::Limited(exceeded).into_response(),
        Ok(None) => next.run(request).await,
        Ok(Some(usage)) => {
            let mut response = next.run(request).await;
            tell(response.headers_mut(), &usage);
            response
        }
    }
}

/// Adds what is left of an allowance. Both headers are lists, so that several limits can be told.
pub(super) fn tell(headers: &mut HeaderMap, usage: &Usage) {
    let (name, remaining, reset) = (usage.limit.as_str(), usage.remaining, usage.wait_secs());
    let (count, window) = (usage.rate.count, usage.rate.per.as_secs());
    let values = [
        format!(r#""{name}";q={count};w={window}"#),
        format!(r#""{name}";r={remaining};t={reset}"#),
    ];
    for (header, value) in HEADERS.into_iter().zip(values) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(header, value);
        }
    }
}

/// The limit that a route falls under. What checks a password or a one-time link is a sign-in.
fn of_route(method: &Method, path: &str) -> Limit {
    let below = |prefix: &str| path.starts_with(prefix);
    match path {
        "/auth/login" | "/auth/account/password" if method == Method::POST => Limit::SignIn,
        "/auth/refresh" => Limit::Refresh,
        "/auth/admin" => Limit::Admin,
        _ if below("/auth/invite/") => Limit::SignIn,
        _ if below("/auth/admin/") => Limit::Admin,
        _ if below("/oauth/") => Limit::OAuth,
        _ => Limit::Other,
    }
}

impl From<Exceeded> for Failure {
    fn from(exceeded: Exceeded) -> Self {
        Self::Limited(exceeded)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::config::Rate;

    #[test]
    fn each_route_has_a_limit() {
        for (method, path, limit) in [
            (Method::POST, "/auth/login", Limit::SignIn),
            (Method::GET, "/auth/login", Limit::Other),
            (Method::GET, "/auth/login/google", Limit::Other),
            (Method::POST, "/auth/invite/abc", Limit::SignIn),
            (Method::POST, "/auth/account/password", Limit::SignIn),
            (Method::POST, "/auth/refresh", Limit::Refresh),
            (Method::GET, "/auth/admin/users", Limit::Admin),
            (Method::POST, "/oauth/token", Limit::OAuth),
            (Method::GET, "/.well-known/jwks.json", Limit::Other),
            (Method::GET, "/nothing", Limit::Other),
        ] {
            assert_eq!(of_route(&method, path), limit, "{method} {path}");
        }
    }

    #[test]
    fn both_headers_are_structured_fields() {
        let usage = Usage {
            limit: Limit::SignIn,
            rate: Rate {
                count: NonZeroU32::new(60).unwrap(),
                per: Duration::from_secs(60),
            },
            remaining: 12,
            wait: Duration::from_millis(47_100),
        };
        let mut headers = HeaderMap::new();
        tell(&mut headers, &usage);
        assert_eq!(headers["ratelimit-policy"], r#""sign-in";q=60;w=60"#);
        assert_eq!(headers["ratelimit"], r#""sign-in";r=12;t=48"#);
    }
}
