//! Global token revocation (draft-parecki-oauth-global-token-revocation), which Okta's Universal Logout calls.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use shared::id::UserId;

use super::name::Name;
use super::{check_issuer, named};
use crate::events::Actor;
use crate::http::content_type;
use crate::http::error::Failure;
use crate::http::extract::{Client, Path, Untrusted};
use crate::revoke::ending::end_all;
use crate::services::Services;
use crate::session::EndReason;
use crate::sign_in::oidc::logout::Stamp;
use crate::sign_in::oidc::revocation::{Subject, check_caller, subject};
use crate::sign_in::oidc::{OidcError, Provider};
use crate::store::identities::Identity;
use crate::store::once::{self, Purpose};
use crate::store::{Tx, identities, users};

/// A subject identifier (RFC 9493 §3.2) of one of three formats.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[serde(tag = "format", rename_all = "snake_case")]
#[expect(dead_code, reason = "describes what sign_in::oidc::revocation reads")]
enum SubjectIdentifier {
    IssSub {
        iss: String,
        sub: String,
    },
    /// `id` is the `sub` at the calling provider.
    Opaque {
        id: String,
    },
    Email {
        email: String,
    },
}

/// What a provider posts.
#[derive(utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what sign_in::oidc::revocation reads")]
enum RevocationRequest {
    /// As the draft has it.
    Now { sub_id: SubjectIdentifier },
    /// As it was before.
    Before { subject: SubjectIdentifier },
}

/// Ends everything of a person.
///
/// Every session, however it began (draft-parecki-oauth-global-token-revocation). The bearer token is a JWT that the
/// provider's key has signed, with `iss`, `aud`, `exp` and `jti`.
#[utoipa::path(
    post,
    path = "/auth/global-token-revocation/{provider}",
    operation_id = "revokeEverythingOfPerson",
    tag = "providers",
    security(("bearer" = [])),
    params(("provider" = inline(Name), Path, description = "The provider's name.")),
    request_body = RevocationRequest,
    responses(
        (status = 204, description = "Everything has ended."),
        (status = 400, description = "The body names nobody, or somebody of another issuer."),
        (status = 401, description = "No bearer token, or one that is not to be believed or was sent before."),
        (status = 404, description = "There is no such provider, or nobody of that name came from it."),
    ),
)]
pub(super) async fn global_token_revocation(
    State(services): State<Arc<Services>>,
    client: Client,
    untrusted: Untrusted,
    Path(provider): Path<Name>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Failure> {
    let provider = named(&services, &provider)?;
    let token = untrusted.bearer().ok_or(Failure::Unauthenticated)?;
    let stamp = caller(&services, provider, token)
        .await
        .map_err(|error| match error {
            OidcError::Unverified(reason) => Failure::BadCaller(reason),
            error => error.into(),
        })?;
    if content_type::of(&headers).as_deref() != Some(content_type::JSON) {
        return Err(Failure::UnsupportedMediaType);
    }
    let subject = subject(&body.map_err(|_| Failure::Body)?).ok_or_else(|| {
        Failure::field(
            "sub_id",
            "must be a subject identifier of the format iss_sub, opaque or email",
        )
    })?;

    let mut tx = services.store.tx("global token revocation").await?;
    let seen = format!("{}\n{}", stamp.issuer, stamp.id);
    if !once::spend(&mut tx, Purpose::RevocationToken, &seen, stamp.until).await? {
        return Err(Failure::BadCaller("jti was seen before".to_owned()));
    }
    let user = user_of(&mut tx, &stamp.issuer, subject).await?;
    let Some(user) = user else {
        // The token is spent all the same.
        tx.commit().await?;
        return Err(Failure::NotFound);
    };
    users::lock(&mut tx, user).await?;
    let by = client.by(Actor::Provider);
    let now = services.clock.now();
    end_all(&mut tx, user, None, EndReason::ProviderRevoked, by, now).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn caller(services: &Services, provider: &Provider, token: &str) -> Result<Stamp, OidcError> {
    let now = services.clock.now();
    let config = provider.config();
    let endpoint = format!(
        "{}/auth/global-token-revocation/{}",
        services.config.public_url, config.name
    );
    let signed = provider.signed(token, now).await?;
    let stamp = check_caller(&signed, &endpoint, &config.client_id, now)
        .map_err(|error| OidcError::Unverified(error.to_string()))?;
    check_issuer(provider, &stamp.issuer, now).await?;
    Ok(stamp)
}

/// Whose identity that is. A provider can end only who came from it.
async fn user_of(tx: &mut Tx, issuer: &str, subject: Subject) -> Result<Option<UserId>, Failure> {
    let identity = |subject| Identity {
        issuer: issuer.to_owned(),
        subject,
    };
    Ok(match subject {
        Subject::Issued { issuer: named, .. } if named != issuer => {
            return Err(Failure::field("iss", "must be the calling provider's"));
        }
        Subject::Issued { subject, .. } | Subject::Opaque(subject) => {
            identities::find(tx, &identity(subject)).await?
        }
        Subject::Email(email) => identities::by_email(tx, issuer, &email).await?,
    })
}
