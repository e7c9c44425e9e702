//! The only place that makes tokens and the cookies that carry them.

use std::sync::Arc;

use shared::claims::{Actor, Claims};
use shared::cookie::{self, CookieTooLarge};
use shared::id::TokenId;
use shared::refresh_token::RefreshToken;
use shared::seal::SealKeys;
use shared::secret::Secret;
use shared::time::UnixMillis;
use shared::{token, wire};

use crate::config::Config;
use crate::entropy::{self, EntropyError};
use crate::session::Session;
use crate::session::policy::Policy;
use crate::store::users::User;
use crate::token::keyring::{Keyring, KeyringError};

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// Too many roles for a cookie.
    #[error(transparent)]
    TooLarge(#[from] CookieTooLarge),
    /// No key.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The signature failed.
    #[error("signing: {0}")]
    Sign(#[from] token::MintError),
}

/// Makes tokens.
pub struct Minter {
    issuer: String,
    policy: Policy,
    seal_keys: SealKeys,
    keyring: Arc<Keyring>,
}

/// Two tokens, and the `Set-Cookie` values that carry them.
pub struct Minted {
    /// The access token, for a client that keeps no cookies.
    pub access_token: String,
    /// The refresh token, likewise; there is none where [`Minter::mint_once`] made this.
    pub refresh_token: Option<String>,
    /// Sets the access token.
    pub access_cookie: String,
    /// Sets the refresh token, or clears it: see [`Minter::mint_once`].
    pub refresh_cookie: String,
    /// When the access token expires; the session's row must know it before the cookies are given out.
    pub access_expires_at: UnixMillis,
}

impl Minter {
    /// A minter for this configuration.
    pub fn new(config: &Config, keyring: Arc<Keyring>) -> Self {
        Self {
            issuer: config.public_url.clone(),
            policy: config.policy,
            seal_keys: config.seal_keys.clone(),
            keyring,
        }
    }

    /// Makes an access token for `user` as they are now, and the refresh token `refresh`, which continues `session`.
    ///
    /// # Errors
    /// [`MintError`]; nothing has happened then.
    pub fn mint(
        &self,
        user: &User,
        session: &Session,
        refresh: &RefreshToken,
        now: UnixMillis,
    ) -> Result<Minted, MintError> {
        let access_expires_at = self.policy.access_expiry(session.expires_at, now);
        let (access_token, access_cookie) = self.access(user, session, access_expires_at, now)?;
        let sealed = refresh.seal(&self.seal_keys, &self.issuer, entropy::bytes()?);
        Ok(Minted {
            access_token,
            access_cookie,
            refresh_cookie: cookie::set(cookie::REFRESH, &sealed, session.expires_at.since(now))?,
            refresh_token: Some(sealed),
            access_expires_at,
        })
    }

    /// Makes the only access token of a session in which somebody else acts as `user`. It lives as long as the session, for no
    /// refresh token continues that; the one that the browser holds is of another session, and goes.
    ///
    /// # Errors
    /// [`MintError`]; nothing has happened then.
    pub fn mint_once(
        &self,
        user: &User,
        session: &Session,
        now: UnixMillis,
    ) -> Result<Minted, MintError> {
        let access_expires_at = session.expires_at.to_secs().into();
        let (access_token, access_cookie) = self.access(user, session, access_expires_at, now)?;
        Ok(Minted {
            access_token,
            refresh_token: None,
            access_cookie,
            refresh_cookie: cookie::clear(cookie::REFRESH),
            access_expires_at,
        })
    }

    /// The access token, and the cookie that holds it.
    fn access(
        &self,
        user: &User,
        session: &Session,
        access_expires_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<(String, String), MintError> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: user.id,
            client_id: wire::BROWSER_CLIENT.to_owned(),
            sid: session.id,
            jti: TokenId::from_bytes(entropy::bytes()?),
            iat: now.to_secs(),
            exp: access_expires_at.to_secs(),
            auth_time: session.auth_time.to_secs(),
            ver: user.ver,
            roles: user.roles.clone(),
            act: session.actor.map(|sub| Actor { sub }),
        };
        let access = token::mint(&claims, &*self.keyring.signing(now)?)?;
        let lifetime = access_expires_at.since(now.to_secs().into());
        let set = cookie::set(cookie::ACCESS, &access, lifetime)?;
        Ok((access, set))
    }

    /// A fresh secret for a session.
    ///
    /// # Errors
    /// [`EntropyError`] where there is no randomness.
    pub fn session_secret() -> Result<Secret<32>, EntropyError> {
        entropy::bytes().map(Secret::from_bytes)
    }

    /// Opens a refresh token. No look at the database.
    ///
    /// # Errors
    /// [`Rejection`](shared::rejection::Rejection) where it is not one of ours.
    pub fn open(&self, untrusted: &str) -> Result<RefreshToken, shared::rejection::Rejection> {
        RefreshToken::open(untrusted, &self.seal_keys, &self.issuer)
    }

    /// Who signs, and for whom.
    pub fn expected(&self) -> token::Expected<'_> {
        token::Expected {
            issuer: &self.issuer,
            audience: &self.issuer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{JWT_SECRET, environment};
    use crate::session::tests::fresh;
    use crate::store::users::Access;
    use shared::id::UserId;

    const NOW: UnixMillis = UnixMillis::from_millis(1_700_000_000_500);

    fn minter() -> Minter {
        let mut environment = environment();
        environment.push(("JWT_SECRET".to_owned(), JWT_SECRET.to_owned()));
        let config = Config::from_env(environment).unwrap();
        Minter::new(&config, Arc::new(Keyring::new(&config)))
    }

    fn user(roles: Vec<String>) -> User {
        User {
            id: fresh(NOW).user_id,
            email: "ada@example.test".to_owned(),
            name: "Ada".to_owned(),
            roles,
            ver: 3,
            created_at: NOW,
            access: Access::Enabled,
        }
    }

    fn refresh() -> RefreshToken {
        RefreshToken {
            sid: fresh(NOW).id,
            generation: 7,
            secret: Secret::from_bytes([5; 32]),
        }
    }

    fn value(cookie: &str) -> &str {
        cookie.split_once('=').unwrap().1.split_once(';').unwrap().0
    }

    #[test]
    fn what_is_minted_verifies_and_opens() {
        let minter = minter();
        let minted = minter
            .mint(
                &user(vec!["admin".to_owned()]),
                &fresh(NOW),
                &refresh(),
                NOW,
            )
            .unwrap();
        let keys = minter.keyring.verifying();
        let verified =
            token::verify(value(&minted.access_cookie), &keys, &minter.expected()).unwrap();
        assert_eq!(verified.claims().roles, ["admin"]);
        assert_eq!(verified.claims().ver, 3);
        assert_eq!(verified.claims().exp, minted.access_expires_at.to_secs());
        assert_eq!(
            minter.open(value(&minted.refresh_cookie)).unwrap(),
            refresh()
        );
        assert!(
            minted.access_cookie.contains("Max-Age=900;"),
            "{}",
            minted.access_cookie
        );
    }

    #[test]
    fn one_token_lives_as_long_as_the_session_of_an_actor() {
        let minter = minter();
        let half_an_hour = std::time::Duration::from_secs(1800);
        let session = Session {
            actor: Some(UserId::from_bytes([9; 16])),
            expires_at: NOW.plus(half_an_hour),
            auth_time: UnixMillis::from_millis(0),
            ..fresh(NOW)
        };
        let minted = minter.mint_once(&user(vec![]), &session, NOW).unwrap();
        let keys = minter.keyring.verifying();
        let verified =
            token::verify(value(&minted.access_cookie), &keys, &minter.expected()).unwrap();
        let claims = verified.claims();
        assert_eq!(claims.act.map(|act| act.sub), session.actor);
        assert_eq!(claims.exp.since(claims.iat), half_an_hour);
        assert_eq!(claims.auth_time.secs(), 0);
        assert!(minted.access_cookie.contains("Max-Age=1800;"));
        assert_eq!(value(&minted.refresh_cookie), "");
    }

    #[test]
    fn roles_that_do_not_fit_a_cookie_are_an_error_with_a_name() {
        let roles = (0..200)
            .map(|n| format!("a-rather-long-role-name-{n}"))
            .collect();
        let minted = minter().mint(&user(roles), &fresh(NOW), &refresh(), NOW);
        assert!(matches!(minted, Err(MintError::TooLarge(_))));
    }
}
