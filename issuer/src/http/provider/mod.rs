//! What providers call themselves, without a browser: to end sessions that began with them. Each call proves itself by a
//! token that the provider's key has signed, so what a browser says of the page behind a request has no bearing on it.

mod logout;
pub(super) mod name;
mod revocation;

use std::sync::Arc;

use shared::time::UnixMillis;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::error::Failure;
use crate::services::Services;
use crate::sign_in::oidc::{OidcError, Provider};
use name::Name;

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(logout::backchannel_logout))
        .routes(routes!(revocation::global_token_revocation))
}

/// The provider of this name.
pub(super) fn named<'a>(services: &'a Services, name: &Name) -> Result<&'a Provider, Failure> {
    let provider = services.providers.named(name.as_str());
    provider.ok_or(Failure::NotFound)
}

/// Whether `iss` is that of `provider`.
async fn check_issuer(provider: &Provider, iss: &str, now: UnixMillis) -> Result<(), OidcError> {
    if provider.is_issuer(iss, now).await? {
        Ok(())
    } else {
        Err(OidcError::Unverified("iss is another".to_owned()))
    }
}
