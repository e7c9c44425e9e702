//! Signing out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::cookies::clear_cookies;
use crate::http::content_type;
use crate::http::error::Failure;
use crate::http::extract::{Client, Untrusted};
use crate::revoke::ending::end_sessions;
use crate::services::Services;
use crate::session::EndReason;
use crate::store::events::Kind;

/// The browser forgets the pages that it keeps of this site, so that "Back" shows none (W3C Clear Site Data §3.1).
const CLEAR_CACHE: (HeaderName, HeaderValue) = (
    HeaderName::from_static("clear-site-data"),
    HeaderValue::from_static("\"cache\""),
);

/// Signs out.
///
/// Ends what the credentials belong to, the expired ones too, and clears the cookies. Without a session the answer is the
/// same. If it cannot be known what is to end, or the end cannot be written, the cookies stay: a success must not be claimed.
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
            description = "Signed out, of a form: to the site.",
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
    if !held.is_empty() {
        let mut tx = services.store.tx("logout").await?;
        let from = client.event(Kind::SessionEnded);
        end_sessions(
            &mut tx,
            &held,
            EndReason::Logout,
            &from,
            services.clock.now(),
        )
        .await?;
        tx.commit().await?;
    }
    let signed_out = (clear_cookies(), [CLEAR_CACHE]);
    Ok(
        if content_type::of(&headers).as_deref() == Some(content_type::FORM) {
            let home = [(header::LOCATION, HeaderValue::from_static("/"))];
            (StatusCode::SEE_OTHER, home, signed_out).into_response()
        } else {
            (StatusCode::NO_CONTENT, signed_out).into_response()
        },
    )
}
