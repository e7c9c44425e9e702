//! Who may administer: asked of the user's row with every call, so that a role that was taken away is gone at once.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::account::ADMIN;
use crate::http::error::Failure;
use crate::http::extract::{Client, SignedIn, Themselves};
use crate::services::Services;

/// How old a sign-in may be for a call that changes something (OWASP ASVS 5.0, 7.5.3).
pub(in crate::http) const RECENT: Duration = Duration::from_secs(10 * 60);

/// A signed-in user with the role `admin`, by the row of this moment, whatever the token claims. Enough to read.
pub(in crate::http) struct Administrator(pub(in crate::http) SignedIn);

impl FromRequestParts<Arc<Services>> for Administrator {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, Failure> {
        let Themselves(me) = Themselves::from_request_parts(parts, services).await?;
        if !me.user.roles.iter().any(|role| role == ADMIN) {
            let client = Client::from_request_parts(parts, services).await?;
            return Err(me
                .refused(services, &client, Failure::Forbidden(ADMIN))
                .await);
        }
        Ok(Self(me))
    }
}

/// An administrator who proved who they are within the last [`RECENT`]. A refresh proves nothing. Needed to change anything.
pub(in crate::http) struct RecentAdministrator(pub(in crate::http) SignedIn);

impl FromRequestParts<Arc<Services>> for RecentAdministrator {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, Failure> {
        let Administrator(me) = Administrator::from_request_parts(parts, services).await?;
        if me.now > me.session.auth_time.plus(RECENT) {
            let client = Client::from_request_parts(parts, services).await?;
            return Err(me.refused(services, &client, Failure::StepUp(RECENT)).await);
        }
        Ok(Self(me))
    }
}
