//! The worker's settings, parsed once per isolate. A bad one makes every request answer 500; it never opens a route.

use shared::assertion::AssertionKey;
use shared::key::{KeySet, VerifyingKey};
use shared::secret::{RootSecret, SecretError, SecretText};
use shared::wire;

use crate::client_ip::{ClientIp, ForwardedFor};
use crate::policy::{BadPolicy, Policy};

/// Everything that the environment says.
#[derive(Debug)]
pub struct Config {
    /// The site as users see it: issuer and audience of tokens, and the origin of its own pages.
    pub public: BaseUrl,
    /// What the worker answers to besides that, with the scheme of `public`.
    pub also_serves: Vec<BaseUrl>,
    /// Where `/auth/*` goes.
    pub issuer: BaseUrl,
    /// What is guarded.
    pub origin: BaseUrl,
    /// The rules.
    pub policy: Policy,
    /// Where the client's address comes from.
    pub client_ip: ClientIp,
    /// What becomes of `X-Forwarded-For`.
    pub forwarded_for: ForwardedFor,
    /// Shared with the issuer, the newest first.
    pub edge_secrets: Vec<RootSecret>,
    /// What the issuer knows this edge by.
    pub edge_token: SecretText,
    /// Signs what the origin is told.
    pub assertion_key: HiddenKey,
    /// Set if tokens are signed with `JWT_SECRET`: then no key set is loaded.
    pub fixed_keys: Option<KeySet>,
}

/// An assertion key that prints nothing.
pub struct HiddenKey(pub AssertionKey);

impl std::fmt::Debug for HiddenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HiddenKey(…)")
    }
}

/// `scheme://authority`, without a path: what is sent on keeps the path that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Why a configuration is refused. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// Not set, or not a text.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// Not `http(s)://host[:port]`.
    #[error("{0} must be http:// or https:// with a host, and without a path")]
    Url(&'static str),
    /// Not a list of `host[:port]`.
    #[error("{0} must be a list of host or host:port, separated by commas")]
    Authorities(&'static str),
    /// Not a header's name.
    #[error("{0} must be the name of a header, or `none`")]
    HeaderName(&'static str),
    /// Neither of the two.
    #[error("{0} must be `replace` or `append`")]
    ReplaceOrAppend(&'static str),
    /// A secret that is no secret.
    #[error("{0} {1}")]
    Secret(&'static str, SecretError),
    /// A rule that is no rule.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
}

impl Config {
    /// Reads the settings that `setting` finds by name; `ROUTES` as JSON.
    ///
    /// # Errors
    /// [`BadConfig`] with the first thing that is wrong.
    pub fn parse(setting: impl Fn(&str) -> Option<String>) -> Result<Self, BadConfig> {
        let required = |name: &'static str| {
            setting(name)
                .filter(|value| !value.trim().is_empty())
                .ok_or(BadConfig::Missing(name))
        };
        let url = |name: &'static str| BaseUrl::parse(&required(name)?).ok_or(BadConfig::Url(name));
        let secrets = |name: &'static str| {
            RootSecret::parse_list(&required(name)?).map_err(|error| BadConfig::Secret(name, error))
        };
        let edge_secrets = secrets("EDGE_SECRET")?;
        let edge_token = edge_secrets
            .first()
            .map(|secret| SecretText::new(wire::edge_token(secret)))
            .ok_or(BadConfig::Missing("EDGE_SECRET"))?;
        let origin_secrets = secrets("ORIGIN_SECRET")?;
        let origin_secret = origin_secrets
            .first()
            .ok_or(BadConfig::Missing("ORIGIN_SECRET"))?;
        let fixed_keys = match setting("JWT_SECRET").filter(|value| !value.is_empty()) {
            None => None,
            Some(text) => {
                let secrets = RootSecret::parse_list(&text)
                    .map_err(|error| BadConfig::Secret("JWT_SECRET", error))?;
                Some(KeySet::new(
                    secrets.iter().map(VerifyingKey::hs256).collect(),
                ))
            }
        };
        let public = url("PUBLIC_URL")?;
        let also_serves = setting("ALSO_SERVES").unwrap_or_default();
        let also_serves = also_serves
            .split(',')
            .filter(|authority| !authority.trim().is_empty())
            .map(|authority| BaseUrl::at(public.scheme(), authority.trim()))
            .collect::<Option<_>>()
            .ok_or(BadConfig::Authorities("ALSO_SERVES"))?;
        Ok(Self {
            public,
            also_serves,
            issuer: url("ISSUER_URL")?,
            origin: url("ORIGIN_URL")?,
            policy: Policy::from_json(&required("ROUTES")?)?,
            client_ip: ClientIp::parse(setting("TRUSTED_CLIENT_IP_HEADER").as_deref())
                .ok_or(BadConfig::HeaderName("TRUSTED_CLIENT_IP_HEADER"))?,
            forwarded_for: ForwardedFor::parse(setting("X_FORWARDED_FOR").as_deref())
                .ok_or(BadConfig::ReplaceOrAppend("X_FORWARDED_FOR"))?,
            assertion_key: HiddenKey(AssertionKey::from(origin_secret)),
            edge_secrets,
            edge_token,
            fixed_keys,
        })
    }
}

impl Config {
    /// Whether a request for `authority`, host and port as its URL names them, is meant for this worker.
    pub fn serves(&self, authority: &str) -> bool {
        self.public.is_at(authority) || self.also_serves.iter().any(|own| own.is_at(authority))
    }
}

impl BaseUrl {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_suffix('/').unwrap_or(&text);
        let (scheme, authority) = text.split_once("://")?;
        // As browsers write an origin: without the scheme's own port.
        let authority = match scheme {
            "https" => authority.strip_suffix(":443").unwrap_or(authority),
            "http" => authority.strip_suffix(":80").unwrap_or(authority),
            _ => return None,
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        (!authority.is_empty() && authority.bytes().all(plain))
            .then(|| Self(format!("{scheme}://{authority}")))
    }

    fn at(scheme: &str, authority: &str) -> Option<Self> {
        let is_bare = !authority.ends_with('/');
        is_bare.then(|| Self::parse(&[scheme, "://", authority].concat()))?
    }

    /// Whether `authority` is this one's. Hosts have no capitals, and the scheme's own port need not be named (RFC 9110
    /// §4.2.3). It is this URL's scheme that counts: a request has lost its own where a proxy in front ends TLS.
    fn is_at(&self, authority: &str) -> bool {
        let before = self.0.strip_suffix(authority);
        before.is_some_and(|scheme| scheme.ends_with("://"))
            || Self::at(self.scheme(), authority).as_ref() == Some(self)
    }

    /// `scheme://authority`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.parts().0
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once("://").unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
