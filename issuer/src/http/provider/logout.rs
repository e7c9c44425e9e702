//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use shared::id::SessionId;
use shared::time::UnixMillis;
use url::form_urlencoded;

use super::name::Name;
use super::{check_issuer, named};
use crate::events::Actor;
use crate::http::content_type;
use crate::http::error::Failure;
use crate::http::extract::{Client, Path};
use crate::http::openapi::refusals;
use crate::revoke::ending::end_sessions;
use crate::services::Services;
use crate::session::EndReason;
use crate::sign_in::oidc::logout::LogoutToken;
use crate::sign_in::oidc::pending::LIFETIME;
use crate::sign_in::oidc::{OidcError, Provider};
use crate::store::departed::Whom;
use crate::store::identities::Identity;
use crate::store::once::{self, Purpose};
use crate::store::{Tx, departed, identities};

/// What a provider posts (§2.5).
#[derive(utoipa::ToSchema)]
#[expect(
    dead_code,
    reason = "read by hand, so that a field sent twice is refused"
)]
struct LogoutForm {
    /// The logout token.
    logout_token: String,
}

/// Ends what began in a provider's session.
///
/// A logout token names the provider's session, or a person at the provider (OpenID Connect Back-Channel Logout 1.0 §2.4).
#[utoipa::path(
    post,
    path = "/auth/backchannel-logout/{provider}",
    operation_id = "backchannelLogout",
    tag = "providers",
    security(()),
    params(("provider" = inline(Name), Path, description = "The provider's name.")),
    request_body(content = LogoutForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The sessions have ended, or there were none."),
        (status = 400, description = "The logout token is missing, is not to be believed, or was sent before."),
        refusals::NotFound,
    ),
)]
pub(super) async fn backchannel_logout(
    State(services): State<Arc<Services>>,
    client: Client,
    Path(provider): Path<Name>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Failure> {
    let provider = named(&services, &provider)?;
    let body = body.map_err(|_| Failure::Body)?;
    if content_type::of(&headers).as_deref() != Some(content_type::FORM) {
        return Err(Failure::UnsupportedMediaType);
    }
    let token = logout_token(&body)?;
    let token = verified(&services, provider, &token)
        .await
        .map_err(|error| match error {
            OidcError::Unverified(reason) => Failure::BadLogoutToken(reason),
            error => error.into(),
        })?;

    let mut tx = services.store.tx("back-channel logout").await?;
    let stamp = &token.stamp;
    let seen = format!("{}\n{}", stamp.issuer, stamp.id);
    if !once::spend(&mut tx, Purpose::LogoutToken, &seen, stamp.until).await? {
        return Err(Failure::BadLogoutToken("jti was seen before".to_owned()));
    }
    let now = services.clock.now();
    let ids = born_from(&mut tx, &token, now).await?;
    let by = client.by(Actor::Provider);
    end_sessions(&mut tx, &ids, EndReason::ProviderLogout, by, now).await?;
    tx.commit().await?;
    Ok(StatusCode::OK)
}

/// The one field, sent once.
fn logout_token(body: &[u8]) -> Result<String, Failure> {
    let mut tokens = form_urlencoded::parse(body)
        .filter(|(name, _)| name == "logout_token")
        .map(|(_, value)| value.into_owned());
    match (tokens.next(), tokens.next()) {
        (Some(token), None) => Ok(token),
        (None, _) => Err(Failure::field("logout_token", "is missing")),
        (Some(_), Some(_)) => Err(Failure::field("logout_token", "came twice")),
    }
}

async fn verified(
    services: &Services,
    provider: &Provider,
    token: &str,
) -> Result<LogoutToken, OidcError> {
    let now = services.clock.now();
    let signed = provider.signed(token, now).await?;
    let token = LogoutToken::read(&signed, &provider.config().client_id, now)
        .map_err(|error| OidcError::Unverified(error.to_string()))?;
    check_issuer(provider, &token.stamp.issuer, now).await?;
    Ok(token)
}

/// Those of the provider's session if one is named, else all of the person (§2.7). A sign-in at the same moment is either
/// among them, or comes after and finds the departure that is noted here.
async fn born_from(
    tx: &mut Tx,
    token: &LogoutToken,
    now: UnixMillis,
) -> Result<Vec<SessionId>, Failure> {
    let issuer = &token.stamp.issuer;
    let whom = match (&token.sid, &token.subject) {
        (Some(sid), _) => Whom::Session(issuer, sid),
        (None, Some(subject)) => Whom::Person(issuer, subject),
        (None, None) => return Ok(vec![]),
    };
    departed::hold(tx, &[whom]).await?;
    departed::note(tx, whom, now, now.plus(LIFETIME)).await?;
    Ok(match whom {
        Whom::Session(issuer, sid) => {
            identities::sessions_of_sid(tx, issuer, sid, token.subject.as_deref()).await?
        }
        Whom::Person(issuer, subject) => {
            let identity = Identity {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            };
            identities::sessions_of(tx, &identity).await?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_one_logout_token() {
        assert_eq!(logout_token(b"x=1&logout_token=a.b.c").unwrap(), "a.b.c");
        for bad in [
            &b""[..],
            b"logout-token=a",
            b"logout_token=a&logout_token=a",
        ] {
            assert!(matches!(logout_token(bad), Err(Failure::BadField(_))));
        }
    }
}
