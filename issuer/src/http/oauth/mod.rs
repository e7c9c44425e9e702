//! For clients that are no browsers: tokens, their revocation and introspection, and what the server says of itself (RFC 6749,
//! RFC 7009, RFC 7662, RFC 8414).

mod form;
mod introspect;
mod metadata;
mod proof;
mod revoke;
mod token;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::services::Services;

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(token::token))
        .routes(routes!(revoke::revoke))
        .routes(routes!(introspect::introspect))
        .routes(routes!(metadata::metadata))
        .routes(routes!(metadata::jwks))
}

/// A refusal as standard clients read it (RFC 6749 §5.2), with the members of a problem (RFC 9457) beside.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "says what `OAuthFailure` writes")]
struct OAuthError {
    /// `invalid_request`, `invalid_client`, `invalid_grant`, `invalid_scope`, `unauthorized_client`, or `unsupported_grant_type`,
    /// all of RFC 6749 §5.2.
    error: String,
    /// What is wrong, for people.
    error_description: String,
    /// `about:blank`.
    r#type: String,
    /// The sentence of the code.
    title: String,
    /// The status once more.
    status: u16,
    /// The code of the problem, such as `refresh_reused`.
    code: String,
    /// What to do about it.
    detail: Option<String>,
}
