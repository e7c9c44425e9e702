//! Signing out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::cookies::clear_cookies;
use crate::events::Actor;
use crate::http::content_type;
use crate::http::error::Failure;
use crate::http::extract::{Client, Untrusted};
use crate::revoke::ending::sign_out;
use crate::services::Services;
use crate::store::identities;

/// The browser forgets the pages that it keeps of this site, so that "Back" shows none (W3C Clear Site Data §3.1).
const CLEAR_CACHE: (HeaderName, HeaderValue) = (
    HeaderName::from_static("clear-site-data"),
    HeaderValue::from_static("\"cache\""),
);

/// Signs out.
///
/// Ends what the credentials belong to, the expired ones too, and clears the cookies. Without a session the answer is the
/// same. If it cannot be known what is to end, or the end cannot be written, the cookies stay: a success must not be claimed.
///
/// A form is answered with a page to go to: the provider's, so that the person signs out there too, if the session began at
/// one of which that is configured (OpenID Connect RP-Initiated Logout 1.0 §2); else home.
#[utoipa::path(
    post,
    path = "/auth/logout",
    operation_id = "signOut",
    tag = "session",
    security((), ("accessCookie" = []), ("bearer" = []), ("refreshCookie" = [])),
    responses(
        (
            status = 204,
            description = "Signed out.",
            headers(("Set-Cookie" = String, description = "Clears both cookies.")),
        ),
        (
            status = 303,
            description = "Signed out, of a form: to the site, or to the provider that signs people out too.",
            headers(
                ("Set-Cookie" = String, description = "Clears both cookies."),
                ("Location" = String),
            ),
        ),
    ),
)]
pub(super) async fn logout(
    State(services): State<Arc<Services>>,
    client: Client,
    untrusted: Untrusted,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let held = untrusted.all_sessions(&services)?;
    let mut provider = None;
    if !held.is_empty() {
        let mut tx = services.store.tx("logout").await?;
        let from = client.by(Actor::Unknown);
        sign_out(&mut tx, &held, from, services.clock.now()).await?;
        provider = identities::provider_of(&mut tx, &held).await?;
        tx.commit().await?;
    }
    let signed_out = (clear_cookies(), [CLEAR_CACHE]);
    Ok(
        if content_type::of(&headers).as_deref() == Some(content_type::FORM) {
            let to = end_session_url(&services, provider.as_deref()).await;
            let to = to.unwrap_or(HeaderValue::from_static("/"));
            (StatusCode::SEE_OTHER, [(header::LOCATION, to)], signed_out).into_response()
        } else {
            (StatusCode::NO_CONTENT, signed_out).into_response()
        },
    )
}

/// Where the provider signs somebody out, who comes back to this site's first page then.
async fn end_session_url(services: &Services, provider: Option<&str>) -> Option<HeaderValue> {
    let provider = services.providers.named(provider?)?;
    let home = format!("{}/", services.config.public_url);
    let url = provider
        .end_session_url(&home, services.clock.now())
        .await?;
    HeaderValue::from_str(url.as_str()).ok()
}
