//! One provider: what it tells, where a sign-in begins, and how its answer is verified.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreErrorResponseType,
};
use openidconnect::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, IssuerUrl, JsonWebKeySet, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse as _, TokenUrl,
};
use serde_json::{Map, Value};
use shared::time::UnixMillis;
use tokio::time::timeout;
use url::Url;

use super::cache::{CacheError, Cached, Copy, Wanted};
use super::claims::Person;
use super::http::{HttpError, ProviderHttp};
use super::id_token::{self, Expected};
use super::keys::{BadJws, BadKeys, Keys, SignedClaims};
use super::metadata::{BadMetadata, Metadata};
use super::pending::Pending;
use crate::config::ProviderConfig;

/// How long an answer may take to be exchanged and verified, all calls together. An edge waits ten seconds for the issuer.
const TIME_LIMIT: Duration = Duration::from_secs(8);

/// Why a sign-in through a provider failed.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer, or with nothing that can be read.
    #[error("{provider}: {reason}")]
    Unavailable {
        /// Which.
        provider: String,
        /// For the log.
        reason: String,
    },
    /// What came through the browser is not the answer to the sign-in: another provider's, or none.
    #[error("the answer is not the provider's: {0}")]
    NotTheirs(&'static str),
    /// The provider does not know the code: used before, expired, or another's.
    #[error("the provider refuses the code")]
    CodeRefused,
    /// The provider's tokens were not believed.
    #[error("the provider's answer is not to be believed: {0}")]
    Unverified(String),
}

/// What a provider sent through the browser (RFC 6749 §4.1.2, RFC 9207 §2).
#[derive(Clone, Debug)]
pub struct Answer {
    /// `iss`.
    pub iss: Option<String>,
    /// `code`, or `error`.
    pub outcome: Outcome,
}

/// With what a provider sent somebody back.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// They proved who they are.
    Code(String),
    /// They did not; the error's code.
    Error(String),
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
>;

/// A provider of the configuration, and what it has told so far.
pub struct Provider {
    pub(super) config: ProviderConfig,
    redirect_uri: String,
    http: ProviderHttp,
    metadata: Cached<Metadata>,
    keys: Cached<Keys>,
}

impl Provider {
    pub(super) fn new(config: &ProviderConfig, public_url: &str) -> Self {
        Self {
            redirect_uri: format!("{public_url}/auth/callback/{}", config.name),
            config: config.clone(),
            http: ProviderHttp::default(),
            metadata: Cached::default(),
            keys: Cached::default(),
        }
    }

    /// What was configured.
    pub const fn config(&self) -> &ProviderConfig {
        &self.config
    }

    /// Where the browser is to be sent (OpenID Connect Core 1.0 §3.1.2.1, RFC 7636 §4.3). `again` asks the provider to make
    /// the person prove anew who they are.
    ///
    /// # Errors
    /// [`OidcError::Unavailable`] where the provider has not told its metadata.
    pub async fn authorization_url(
        &self,
        pending: &Pending,
        again: bool,
        now: UnixMillis,
    ) -> Result<Url, OidcError> {
        let metadata = self.metadata(now).await?;
        let client = self.client(&metadata)?;
        let verifier = PkceCodeVerifier::new(pending.verifier.clone());
        let (state, nonce) = (pending.state.clone(), pending.nonce.clone());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.config.scopes.iter().cloned().map(Scope::new));
        if again {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        Ok(request.url().0)
    }

    /// Whether an answer is this provider's own (RFC 9207 §2.4, RFC 9700 §4.4): a code of another one, or an error that
    /// another one invented, goes no further.
    ///
    /// # Errors
    /// [`OidcError::NotTheirs`]; [`OidcError::Unavailable`] where the provider has not told its metadata.
    pub async fn check_sender(&self, iss: Option<&str>, now: UnixMillis) -> Result<(), OidcError> {
        let metadata = self.metadata(now).await?;
        match iss {
            Some(iss) if !metadata.is_issuer(iss) => Err(OidcError::NotTheirs("another iss")),
            None if metadata.names_itself => Err(OidcError::NotTheirs("no iss")),
            Some(_) | None => Ok(()),
        }
    }

    /// Exchanges a code and says who it is, once the ID token is verified.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn person(
        &self,
        pending: &Pending,
        code: &str,
        iss: Option<&str>,
        now: UnixMillis,
    ) -> Result<Person, OidcError> {
        match timeout(TIME_LIMIT, self.exchange(pending, code, iss, now)).await {
            Ok(person) => person,
            Err(_) => Err(self.unavailable("took too long")),
        }
    }

    async fn exchange(
        &self,
        pending: &Pending,
        code: &str,
        iss: Option<&str>,
        now: UnixMillis,
    ) -> Result<Person, OidcError> {
        let metadata = self.metadata(now).await?;
        let client = self.client(&metadata)?;
        let tokens = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
            .request_async(&self.http)
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(told)
                    if *told.error() == CoreErrorResponseType::InvalidGrant =>
                {
                    OidcError::CodeRefused
                }
                RequestTokenError::ServerResponse(told) => {
                    self.unavailable(format!("the token endpoint says {}", told.error()))
                }
                // The library reads the ID token together with the rest.
                RequestTokenError::Parse(error, body) if has_bad_id_token(&body) => {
                    OidcError::Unverified(error.to_string())
                }
                RequestTokenError::Request(error) => self.unavailable(error),
                error => self.unavailable(error),
            })?;
        let id_token = tokens
            .id_token()
            .ok_or_else(|| OidcError::Unverified("no ID token".to_owned()))?;
        let verified = self
            .verified(&metadata, pending, &id_token.to_string(), now)
            .await?;
        if iss.is_some_and(|iss| iss != verified.issuer) {
            return Err(OidcError::Unverified(
                "iss of the answer and of the token differ".to_owned(),
            ));
        }
        let access_token = tokens.access_token().secret();
        let claims = self
            .completed(verified.claims, &metadata, access_token)
            .await?;
        Person::read(&verified.issuer, claims, self.config.issuer.is_microsoft())
            .ok_or_else(|| OidcError::Unverified("no sub".to_owned()))
    }

    /// The claims of an ID token, with what the userinfo endpoint says beside them where something is missing.
    async fn completed(
        &self,
        mut claims: Map<String, Value>,
        metadata: &Metadata,
        access_token: &str,
    ) -> Result<Map<String, Value>, OidcError> {
        let Some(url) = metadata
            .userinfo_endpoint
            .as_ref()
            .filter(|_| self.lacks(&claims))
        else {
            return Ok(claims);
        };
        let told = self.userinfo(url, access_token).await?;
        // Of somebody else it must not be used (OpenID Connect Core 1.0 §5.3.2).
        if told.get("sub") != claims.get("sub") {
            return Err(OidcError::Unverified(
                "userinfo is about somebody else".to_owned(),
            ));
        }
        for (name, value) in told {
            claims.entry(name).or_insert(value);
        }
        Ok(claims)
    }

    /// Whether something is missing that the userinfo endpoint may tell: an ID token need not hold what scopes ask for
    /// (OpenID Connect Core 1.0 §5.4).
    fn lacks(&self, claims: &Map<String, Value>) -> bool {
        let roles = self.config.roles.as_ref();
        !claims.contains_key("email")
            || roles.is_some_and(|roles| !claims.contains_key(&roles.claim))
    }

    async fn userinfo(
        &self,
        url: &Url,
        access_token: &str,
    ) -> Result<Map<String, Value>, OidcError> {
        let body = self.http.get(url, Some(access_token)).await;
        let body = body.map_err(|error| self.unavailable(error))?;
        serde_json::from_slice(&body).map_err(|error| self.unavailable(error))
    }

    async fn verified(
        &self,
        metadata: &Metadata,
        pending: &Pending,
        id_token: &str,
        now: UnixMillis,
    ) -> Result<id_token::Verified, OidcError> {
        let expected = Expected {
            metadata,
            client_id: &self.config.client_id,
            nonce: &pending.nonce,
            began: pending.began,
            now,
        };
        let keys = self.keys(Wanted::Any, now).await?;
        match id_token::verify(id_token, &keys.value, &expected) {
            Err(id_token::BadIdToken::UnknownKey) => {
                let keys = self.newer_keys(&keys, now).await?;
                id_token::verify(id_token, &keys.value, &expected)
            }
            verified => verified,
        }
        .map_err(|error| OidcError::Unverified(error.to_string()))
    }

    /// Claims that a key of this provider has signed, of which nothing else was checked.
    ///
    /// # Errors
    /// [`OidcError::Unverified`], [`OidcError::Unavailable`].
    pub async fn signed(&self, token: &str, now: UnixMillis) -> Result<SignedClaims, OidcError> {
        let keys = self.keys(Wanted::Any, now).await?;
        match keys.value.verify(token) {
            Err(BadJws::UnknownKey) => self.newer_keys(&keys, now).await?.value.verify(token),
            signed => signed,
        }
        .map_err(|error| OidcError::Unverified(error.to_string()))
    }

    /// Whether `iss` is this provider's, for claims that its key has signed: of many tenants the one that `tid` names, where
    /// the key may sign for it.
    ///
    /// # Errors
    /// [`OidcError::Unavailable`].
    pub async fn is_issuer(&self, iss: &str, now: UnixMillis) -> Result<bool, OidcError> {
        Ok(self.metadata(now).await?.is_issuer(iss))
    }

    /// Where somebody signs out there too (OpenID Connect RP-Initiated Logout 1.0 §2): where that is configured and the
    /// provider says where. A provider that does not answer does not keep anybody from signing out here.
    pub async fn end_session_url(&self, back_to: &str, now: UnixMillis) -> Option<Url> {
        if !self.config.ends_session {
            return None;
        }
        let metadata = self.metadata(now).await.ok()?;
        let mut url = metadata.end_session_endpoint.clone()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", back_to);
        Some(url)
    }

    async fn metadata(&self, now: UnixMillis) -> Result<Arc<Metadata>, OidcError> {
        let fetch = async {
            let url = Url::parse(&Metadata::url(&self.config.issuer))
                .map_err(|_| TellError::Metadata(BadMetadata::Endpoint("issuer")))?;
            let json = self.http.get(&url, None).await?;
            Ok(Metadata::parse(&json, &self.config.issuer)?)
        };
        let told = self.metadata.get(Wanted::Any, now, fetch).await;
        Ok(told.map_err(|error| self.untold("metadata", &error))?.value)
    }

    async fn newer_keys(
        &self,
        than: &Copy<Keys>,
        now: UnixMillis,
    ) -> Result<Copy<Keys>, OidcError> {
        match self.keys(Wanted::NewerThan(than.fetched_at), now).await {
            // Too early to ask: then what is held says what is unknown.
            Err(_) => Ok(than.clone()),
            newer => newer,
        }
    }

    async fn keys(&self, wanted: Wanted, now: UnixMillis) -> Result<Copy<Keys>, OidcError> {
        let metadata = self.metadata(now).await?;
        let fetch = async {
            let json = self.http.get(&metadata.jwks_uri, None).await?;
            Ok(Keys::parse(&json)?)
        };
        let told = self.keys.get(wanted, now, fetch).await;
        told.map_err(|error| self.untold("keys", &error))
    }

    fn untold(&self, what: &str, error: &CacheError<TellError>) -> OidcError {
        let error = self.unavailable(format!("{what}: {error}"));
        tracing::warn!(%error, "a provider does not answer");
        error
    }

    fn unavailable(&self, reason: impl std::fmt::Display) -> OidcError {
        OidcError::Unavailable {
            provider: self.config.name.clone(),
            reason: reason.to_string(),
        }
    }

    fn client(&self, metadata: &Metadata) -> Result<Client, OidcError> {
        let bad = |error: url::ParseError| self.unavailable(error);
        let issuer = IssuerUrl::new(self.config.issuer.base().to_owned()).map_err(bad)?;
        let id = ClientId::new(self.config.client_id.clone());
        let mut client = CoreClient::new(id, issuer, JsonWebKeySet::default())
            .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
            .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()))
            .set_redirect_uri(RedirectUrl::new(self.redirect_uri.clone()).map_err(bad)?);
        if let Some(secret) = &self.config.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        if metadata.secret_in_body {
            client = client.set_auth_type(AuthType::RequestBody);
        }
        Ok(client)
    }
}

/// Whether the answer of a token endpoint has an ID token without the claims of one.
fn has_bad_id_token(body: &[u8]) -> bool {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    answer
        .as_ref()
        .and_then(|answer| answer.get("id_token")?.as_str())
        .is_some_and(id_token::lacks_claims)
}

/// Why a provider told nothing.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Metadata(#[from] BadMetadata),
    #[error(transparent)]
    Keys(#[from] BadKeys),
}
