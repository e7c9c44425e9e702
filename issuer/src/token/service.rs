//! Making the access tokens of services (RFC 6749 §4.4, RFC 9068).

use shared::claims::ServiceClaims;
use shared::id::TokenId;
use shared::scope::Scopes;
use shared::time::UnixMillis;
use shared::token;

use super::keyring::Keyring;
use super::mint::MintError;
use crate::entropy;
use crate::session::policy::Policy;
use crate::store::clients::Client;

/// An access token, and until when it is good; the client's row must know that before the token is given out.
pub struct ServiceToken {
    /// The token.
    pub access_token: String,
    /// Its `exp`.
    pub expires_at: UnixMillis,
}

/// Makes an access token for `client`, as it is now, with these of its scopes. `issuer` is `PUBLIC_URL`.
///
/// # Errors
/// [`MintError`]; nothing has happened then.
pub fn mint(
    keyring: &Keyring,
    issuer: &str,
    client: &Client,
    scope: Scopes,
    policy: &Policy,
    now: UnixMillis,
) -> Result<ServiceToken, MintError> {
    let iat = now.to_secs();
    let exp = iat.plus(policy.access);
    let claims = ServiceClaims {
        iss: issuer.to_owned(),
        aud: issuer.to_owned(),
        sub: client.id,
        client_id: client.id,
        jti: TokenId::from_bytes(entropy::bytes()?),
        iat,
        exp,
        ver: client.ver,
        scope,
    };
    Ok(ServiceToken {
        access_token: token::mint_service(&claims, &*keyring.signing(now)?)?,
        expires_at: exp.into(),
    })
}
