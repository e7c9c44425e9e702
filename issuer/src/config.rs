//! The configuration: read once, from the environment, with every problem told at once and no secret printed.

mod limits;
mod oidc;
mod policy;
mod read;

use std::net::SocketAddr;
use std::time::Duration;

use shared::seal::SealKeys;
use shared::secret::{RootSecret, SecretText};
use url::Url;

pub use limits::{LimitSettings, Rate};
pub use oidc::{IssuerRule, ProviderConfig, RoleTable, SignUp, is_local, is_secure, is_tenant_id};
pub use policy::{AtLimit, LONGEST_ACCESS, Policy};
use read::Reader;

/// The whole configuration. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    /// `DATABASE_URL`.
    pub database_url: SecretText,
    /// `DATABASE_MAX_CONNECTIONS`.
    pub database_max_connections: u32,
    /// `PUBLIC_URL`: an origin, without a slash at its end. It is issuer and audience of every token.
    pub public_url: String,
    /// `JWT_SECRET`: where it is set, tokens are signed with HS256 under the first and verified under each; else with EdDSA.
    pub jwt_secrets: Option<Vec<RootSecret>>,
    /// `JWT_KEY_ROTATION`: the age at which a signing key gets a successor.
    pub key_rotation: Duration,
    /// `ENCRYPTION_KEY`: the first seals, all open.
    pub seal_keys: SealKeys,
    /// The first of them alone: what it does not open is to be sealed anew.
    pub newest_seal_key: SealKeys,
    /// `EDGE_SECRET`, the present one first. Never empty.
    pub edge_secrets: Vec<RootSecret>,
    /// The limits of sessions, from `JWT_ACCESS_EXPIRES_IN`, `JWT_REFRESH_EXPIRES_IN`, `SESSION_TIMEOUT_HOURS`,
    /// `MAX_CONCURRENT_SESSIONS`, `SESSION_LIMIT_POLICY` and `REFRESH_GRACE`.
    pub policy: Policy,
    /// How often things may be tried, from the settings that begin with `LIMIT_`.
    pub limits: LimitSettings,
    /// `KV_API_URL`, `KV_API_TOKEN` and `KV_NAMESPACE_ID`; without them nothing is published.
    pub kv: Option<KvConfig>,
    /// `OIDC_<NAME>_…`, `MICROSOFT_…`, `GOOGLE_…`, in the order of names.
    pub providers: Vec<ProviderConfig>,
    /// `EVENTS_KEPT`: how long the security log goes back.
    pub events_kept: Duration,
    /// `LISTEN_ADDR`.
    pub listen_addr: SocketAddr,
    /// `ADMIN_LISTEN_ADDR`.
    pub admin_listen_addr: SocketAddr,
}

/// Where revocations and keys are published.
#[derive(Clone, Debug)]
pub struct KvConfig {
    /// `https://api.cloudflare.com/client/v4/accounts/<id>`, or what stands in for it.
    pub api_url: String,
    /// The API token.
    pub token: SecretText,
    /// The namespace that the worker's binding names.
    pub namespace: String,
}

/// Everything that is wrong with a configuration, one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

impl Config {
    /// Reads the environment, or what stands in for it.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every problem there is.
    pub fn from_env(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let mut read = Reader::new(environment);
        let config = Self::read(&mut read);
        let problems = read.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigErrors(problems)),
        }
    }

    /// `DATABASE_URL` alone, which is all that migrating takes.
    ///
    /// # Errors
    /// [`ConfigErrors`] where it is missing.
    pub fn database_url(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<SecretText, ConfigErrors> {
        let mut read = Reader::new(environment);
        read_database_url(&mut read).ok_or_else(|| ConfigErrors(read.problems()))
    }

    /// Reads every setting before it gives up on any: `None` only once each problem is noted.
    fn read(read: &mut Reader) -> Option<Self> {
        let database_url = read_database_url(read);
        let database_max_connections = read.parsed(
            "DATABASE_MAX_CONNECTIONS",
            Some("16"),
            read::whole(4..=1000),
        );
        let public_url = read.parsed("PUBLIC_URL", None, origin);
        let jwt_secrets = read.optional("JWT_SECRET", read::secrets);
        let key_rotation = read.parsed("JWT_KEY_ROTATION", Some("30d"), read::duration(HOUR, YEAR));
        let seal_keys = read.parsed("ENCRYPTION_KEY", None, seal_keys);
        let edge_secrets = read.parsed("EDGE_SECRET", None, read::secrets);
        let policy = read_policy(read);
        let limits = LimitSettings::read(read);
        let kv = read_kv(read);
        let providers = oidc::read(read);
        let events_kept = read.parsed("EVENTS_KEPT", Some("90d"), read::duration(DAY, 10 * YEAR));
        let listen_addr = read.parsed("LISTEN_ADDR", Some("127.0.0.1:8081"), read::address);
        let admin_listen_addr =
            read.parsed("ADMIN_LISTEN_ADDR", Some("127.0.0.1:9081"), read::address);
        let (seal_keys, newest_seal_key) = seal_keys?;
        Some(Self {
            database_url: database_url?,
            database_max_connections: database_max_connections?,
            public_url: public_url?,
            jwt_secrets: jwt_secrets?,
            key_rotation: key_rotation?,
            seal_keys,
            newest_seal_key,
            edge_secrets: edge_secrets?,
            policy: policy?,
            limits: limits?,
            kv: kv?,
            providers: providers?,
            events_kept: events_kept?,
            listen_addr: listen_addr?,
            admin_listen_addr: admin_listen_addr?,
        })
    }

    /// The secret that signs for edges: the newest.
    pub fn edge_secret(&self) -> &RootSecret {
        &self.edge_secrets[0]
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn read_database_url(read: &mut Reader) -> Option<SecretText> {
    read.parsed("DATABASE_URL", None, |text| {
        let known = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        known
            .then(|| SecretText::new(text.to_owned()))
            .ok_or_else(|| "must begin with postgres:// or postgresql://".to_owned())
    })
}

fn read_policy(read: &mut Reader) -> Option<Policy> {
    let access = read.parsed(
        "JWT_ACCESS_EXPIRES_IN",
        Some("15m"),
        read::whole_seconds(Duration::from_secs(1), LONGEST_ACCESS),
    );
    // Browsers keep a cookie for 400 days at most (RFC 6265bis §5.5).
    let absolute = read.parsed(
        "JWT_REFRESH_EXPIRES_IN",
        Some("7d"),
        read::whole_seconds(Duration::from_secs(1), 400 * DAY),
    );
    let idle_hours = read.parsed(
        "SESSION_TIMEOUT_HOURS",
        Some("24"),
        read::whole(1..=24 * 400),
    );
    let max_sessions = read.parsed("MAX_CONCURRENT_SESSIONS", Some("5"), read::whole(1..=1000));
    let at_limit = read.parsed(
        "SESSION_LIMIT_POLICY",
        Some("evict-oldest"),
        |text| match text {
            "evict-oldest" => Ok(AtLimit::EvictOldest),
            "refuse" => Ok(AtLimit::Refuse),
            _ => Err("must be evict-oldest or refuse".to_owned()),
        },
    );
    let grace = read.parsed(
        "REFRESH_GRACE",
        Some("10s"),
        read::duration(Duration::ZERO, Duration::from_secs(300)),
    );
    if let (Some(access), Some(absolute)) = (access, absolute)
        && access > absolute
    {
        read.problem(
            "JWT_ACCESS_EXPIRES_IN",
            "must not be longer than JWT_REFRESH_EXPIRES_IN",
        );
    }
    let idle = idle_hours.map(|hours| HOUR * hours);
    if let (Some(access), Some(idle)) = (access, idle)
        && access > idle
    {
        // Edges let a session that rests pass for as long as its access token lives.
        read.problem(
            "JWT_ACCESS_EXPIRES_IN",
            "must not be longer than SESSION_TIMEOUT_HOURS",
        );
    }
    Some(Policy {
        access: access?,
        absolute: absolute?,
        idle: idle?,
        grace: grace?,
        max_sessions: usize::try_from(max_sessions?).ok()?,
        at_limit: at_limit?,
    })
}

/// All three settings or none; `None` only where there is a problem.
fn read_kv(read: &mut Reader) -> Option<Option<KvConfig>> {
    const NAMES: [&str; 3] = ["KV_API_URL", "KV_API_TOKEN", "KV_NAMESPACE_ID"];
    let api_url = read.optional("KV_API_URL", secure_url);
    let token = read.optional("KV_API_TOKEN", |text| Ok(SecretText::new(text.to_owned())));
    let namespace = read.optional("KV_NAMESPACE_ID", |text| {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        plain
            .then(|| text.to_owned())
            .ok_or_else(|| "must consist of letters and digits".to_owned())
    });
    match (api_url?, token?, namespace?) {
        (Some(api_url), Some(token), Some(namespace)) => Some(Some(KvConfig {
            api_url,
            token,
            namespace,
        })),
        (None, None, None) => Some(None),
        (api_url, token, namespace) => {
            let set = [api_url.is_some(), token.is_some(), namespace.is_some()];
            for (name, _) in NAMES.iter().zip(set).filter(|(_, set)| !set) {
                read.problem(name, "is missing: the three KV_ settings belong together");
            }
            None
        }
    }
}

/// All keys, and the newest alone.
fn seal_keys(text: &str) -> Result<(SealKeys, SealKeys), String> {
    let parse = |text| SealKeys::parse(text).map_err(|error| error.to_string());
    let newest = text.split(',').next().unwrap_or_default();
    Ok((parse(text)?, parse(newest)?))
}

/// An origin (RFC 6454 §4) in its usual spelling: https, or http on this machine.
fn origin(text: &str) -> Result<String, String> {
    let url = secure_url(text)?;
    let parsed = Url::parse(&url).map_err(|_| "is not a URL".to_owned())?;
    let bare = parsed.path() == "/"
        && parsed.query().is_none()
        && parsed.fragment().is_none()
        && parsed.username().is_empty();
    bare.then(|| parsed.origin().ascii_serialization())
        .ok_or_else(|| "must be an origin such as https://example.org, without a path".to_owned())
}

fn secure_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|_| "is not a URL".to_owned())?;
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(text.trim_end_matches('/').to_owned()),
        "http" if local => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err("must begin with https:// (or http://localhost)".to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
