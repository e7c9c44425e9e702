//! What the server says of itself: its metadata (RFC 8414) and its public keys (RFC 7517).

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::proof::TOKEN_ENDPOINT;
use crate::services::Services;
use crate::token::client_keys::ALGORITHMS;

/// How long anybody may keep the metadata.
const METADATA_KEPT: &str = "public, max-age=3600";

/// How long anybody may keep the keys: less than a new key is published before it signs.
const KEYS_KEPT: &str = "public, max-age=300";

const PROOFS: [&str; 3] = [
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
];

/// RFC 8414 §2.
#[derive(Serialize, ToSchema)]
struct Metadata {
    /// `PUBLIC_URL`.
    issuer: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    jwks_uri: String,
    /// There is no authorization endpoint.
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 4],
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 4],
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 3],
}

impl Metadata {
    fn of(site: &str) -> Self {
        let at = |path: &str| [site, path].concat();
        let [basic, post, jwt] = PROOFS;
        let or_none = [basic, post, jwt, "none"];
        Self {
            issuer: site.to_owned(),
            token_endpoint: at(TOKEN_ENDPOINT),
            revocation_endpoint: at("/oauth/revoke"),
            introspection_endpoint: at("/oauth/introspect"),
            jwks_uri: at("/.well-known/jwks.json"),
            response_types_supported: [],
            grant_types_supported: ["refresh_token", "client_credentials"],
            token_endpoint_auth_methods_supported: or_none,
            token_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
            revocation_endpoint_auth_methods_supported: or_none,
            revocation_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
            introspection_endpoint_auth_methods_supported: PROOFS,
            introspection_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
        }
    }
}

/// Where the endpoints are and what they can (RFC 8414).
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "getMetadata",
    tag = "oauth",
    security(()),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer that is still there")),
    responses(
        (status = 200, description = "The metadata", body = Metadata),
        (status = 304, description = "Unchanged"),
    )
)]
pub(super) async fn metadata(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
) -> Response {
    let metadata = Metadata::of(&services.config.public_url);
    let body = serde_json::to_string(&metadata).unwrap_or_default();
    document("application/json", METADATA_KEPT, body, &headers)
}

/// The public keys that verify access tokens, those of the next rotation among them (RFC 7517 §5). With `JWT_SECRET` there is
/// none, and the set is empty.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "getKeys",
    tag = "oauth",
    security(()),
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of an answer that is still there")),
    responses(
        (status = 200, description = "A JWK set", content_type = "application/jwk-set+json", body = Object),
        (status = 304, description = "Unchanged"),
    )
)]
pub(super) async fn jwks(State(services): State<Arc<Services>>, headers: HeaderMap) -> Response {
    let keys = services.keyring.verifying().to_jwks();
    document("application/jwk-set+json", KEYS_KEPT, keys, &headers)
}

/// A document that may be kept, or that it has not changed (RFC 9110 §13.1.2).
fn document(kind: &'static str, kept: &'static str, body: String, asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&body)));
    let is_held = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| names(value, &tag));
    let headers = [
        (header::CACHE_CONTROL, kept.to_owned()),
        (header::ETAG, tag),
    ];
    if is_held {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Whether `If-None-Match` names `tag`. A weak tag counts: RFC 9110 §13.1.2 compares weakly.
fn names(value: &str, tag: &str) -> bool {
    value
        .split(',')
        .map(str::trim)
        .any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn answer(if_none_match: Option<&str>) -> Response {
        let value = if_none_match.map(|value| HeaderValue::from_str(value).unwrap());
        let asked = value.map(|value| (header::IF_NONE_MATCH, value));
        document(
            "text/plain",
            "public, max-age=1",
            "body".into(),
            &asked.into_iter().collect(),
        )
    }

    #[test]
    fn what_is_held_is_not_sent_again() {
        let first = answer(None);
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for held in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            "*".into(),
        ] {
            let again = answer(Some(&held));
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{held}");
            assert_eq!(again.headers()[header::ETAG], tag);
            assert!(again.headers().contains_key(header::CACHE_CONTROL));
            assert!(!again.headers().contains_key(header::CONTENT_TYPE));
        }
        for other in ["\"x\"", "", tag.trim_matches('"')] {
            assert_eq!(answer(Some(other)).status(), StatusCode::OK, "{other}");
        }
    }
}
