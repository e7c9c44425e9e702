//! One rule of `[[vars.ROUTES]]`, as it is written and as it is checked.

pub mod cors;

use std::time::Duration;

use serde::Deserialize;
use shared::claims::is_role;
use shared::scope::Scopes;

use cors::{Cors, RawCors};

/// How old knowledge of revocations may be where a rule does not say.
pub const DEFAULT_FRESHNESS: Duration = Duration::from_secs(60);

/// The narrowest bound of a rule. What the issuer tells is a moment old already, and the isolates of a location share it
/// for a second: below this every request would have to ask.
pub const LEAST_FRESHNESS: Duration = Duration::from_secs(2);

/// Who may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Anybody; no credential is looked at.
    Public,
    /// A signed-in user.
    User,
    /// A service, with a token of its own: see [`ServiceClaims`](shared::claims::ServiceClaims).
    Service,
}

/// What happens past the freshness bound when the issuer cannot be asked either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenStale {
    /// The request passes on the old knowledge, and the log says so.
    Serve,
    /// 503.
    #[default]
    Refuse,
}

/// Who may keep the answers of a guarded route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// The user's own browser, whatever the origin says.
    #[default]
    Private,
    /// Shared caches too, where the origin says so itself.
    Origin,
    /// Nobody: the browser asks again even when its user goes back to the page.
    #[serde(rename = "no-store")]
    NoStore,
}

/// The paths that a rule names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This path only.
    Exact(String),
    /// `/app/*`: holds `/app`, for `/app` and everything below it.
    Below(String),
}

/// A rule, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it holds.
    pub pattern: Pattern,
    /// For which methods; `None`: all.
    pub methods: Option<Vec<String>>,
    /// Who may pass.
    pub access: Access,
    /// Any one of these roles is needed, if there are any.
    pub roles: Vec<String>,
    /// A service needs all of these.
    pub scopes: Scopes,
    /// How long ago the user may have signed in.
    pub max_auth_age: Option<Duration>,
    /// Programs call it: refusals are never redirects or pages.
    pub api: bool,
    /// How old knowledge of revocations may be.
    pub freshness: Duration,
    /// What to do past that.
    pub when_stale: WhenStale,
    /// Which other sites' scripts may read answers, and who answers preflights.
    pub cors: Cors,
    /// Who may keep its answers.
    pub cache: Cache,
    /// Whether every answer is ended once its standing is no longer good, as WebSockets and event streams are everywhere.
    pub stream: bool,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// The path is none that a request could have.
    #[error(
        "path must begin with `/`, be free of escapes, dot segments and `//`, and have `*` only as a last segment"
    )]
    Path,
    /// The paths that never reach the origin.
    #[error("the path belongs to Portcullis itself")]
    OwnPath,
    /// An empty list, or not in capitals.
    #[error("methods must be a list of names in capitals")]
    Methods,
    /// An empty list, or not a role.
    #[error("roles must be a list of role names (a-z 0-9 _ - . :)")]
    Roles,
    /// An empty list, or not a scope.
    #[error(
        "scopes must be a list of scope names: printable ASCII without spaces, quotes and backslashes"
    )]
    Scopes,
    /// Only a service's token has scopes.
    #[error("scopes mean something with access = \"service\" only: users have roles")]
    ScopesOfUser,
    /// Something that only a user has.
    #[error("{0} means nothing with access = \"service\"")]
    OnService(&'static str),
    /// Something that a public route cannot keep.
    #[error("{0} means nothing on a public route")]
    OnPublic(&'static str),
    /// What a shared cache has kept is served without the guard.
    #[error("stream means nothing with cache = \"origin\": nobody ends what a cache has kept")]
    StreamKept,
    /// Rules are found by method, and a preflight's is OPTIONS.
    #[error("cors = true needs OPTIONS among the methods")]
    CorsWithoutOptions,
    /// A table that allows nothing, or something that no browser would send.
    #[error("cors: {0}")]
    Cors(&'static str),
    /// Not a duration above zero.
    #[error("{0} must be a duration above zero, like `30s`, `15m`, `12h`, `7d`")]
    Duration(&'static str),
    /// Below [`LEAST_FRESHNESS`].
    #[error("freshness must be at least `2s`")]
    Freshness,
}

/// A rule as it stands in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    /// For messages, too.
    pub path: String,
    methods: Option<Vec<String>>,
    access: Access,
    roles: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    max_auth_age: Option<String>,
    #[serde(default)]
    api: bool,
    freshness: Option<String>,
    when_stale: Option<WhenStale>,
    cors: Option<RawCors>,
    cache: Option<Cache>,
    stream: Option<bool>,
}

impl RawRule {
    /// Checks the rule by itself.
    ///
    /// # Errors
    /// [`BadRule`] with the first thing that is wrong.
    pub fn check(self) -> Result<Rule, BadRule> {
        match self.access {
            Access::Public => self.refuse_on_public()?,
            Access::User if self.scopes.is_some() => return Err(BadRule::ScopesOfUser),
            Access::User => {}
            Access::Service => self.refuse_on_service()?,
        }
        let methods = self.methods.map(methods).transpose()?;
        let cors = self.cors.unwrap_or(RawCors::Switch(false));
        let cors = cors.check(methods.as_ref())?;
        let (cache, stream) = (
            self.cache.unwrap_or_default(),
            self.stream.unwrap_or_default(),
        );
        if stream && cache == Cache::Origin {
            return Err(BadRule::StreamKept);
        }
        Ok(Rule {
            pattern: Pattern::parse(&self.path)?,
            methods,
            access: self.access,
            roles: self.roles.map_or(Ok(Vec::new()), roles)?,
            scopes: self.scopes.map_or(Ok(Scopes::default()), scopes)?,
            max_auth_age: duration("max_auth_age", self.max_auth_age.as_deref())?,
            // Nobody signs in to become a service.
            api: self.api || self.access == Access::Service,
            freshness: freshness(self.freshness.as_deref())?,
            when_stale: self.when_stale.unwrap_or_default(),
            cors,
            cache,
            stream,
        })
    }

    fn refuse_on_public(&self) -> Result<(), BadRule> {
        let given = [
            ("roles", self.roles.is_some()),
            ("scopes", self.scopes.is_some()),
            ("max_auth_age", self.max_auth_age.is_some()),
            ("freshness", self.freshness.is_some()),
            ("when_stale", self.when_stale.is_some()),
            (
                "cors without a table",
                self.cors.as_ref().is_some_and(|cors| !cors.suits_public()),
            ),
            ("cache", self.cache.is_some()),
            ("stream", self.stream.is_some()),
        ];
        given
            .iter()
            .find(|(_, given)| *given)
            .map_or(Ok(()), |(name, _)| Err(BadRule::OnPublic(name)))
    }

    const fn refuse_on_service(&self) -> Result<(), BadRule> {
        if self.roles.is_some() {
            return Err(BadRule::OnService("roles"));
        }
        if self.max_auth_age.is_some() {
            return Err(BadRule::OnService("max_auth_age"));
        }
        Ok(())
    }
}

impl Rule {
    /// What holds where no rule does: a signed-in user.
    pub const fn fallback() -> Self {
        Self {
            pattern: Pattern::Below(String::new()),
            methods: None,
            access: Access::User,
            roles: Vec::new(),
            scopes: Scopes::none(),
            max_auth_age: None,
            api: false,
            freshness: DEFAULT_FRESHNESS,
            when_stale: WhenStale::Refuse,
            cors: Cors::Unsaid,
            cache: Cache::Private,
            stream: false,
        }
    }

    /// Whether nobody passes by this rule whom `other` would not let pass.
    pub fn asks_all_of(&self, other: &Self) -> bool {
        // All that asks something of a user or a service; whoever adds to it must say here which asks more.
        let Self {
            pattern: _,
            methods: _,
            access,
            roles,
            scopes,
            max_auth_age,
            api: _,
            freshness,
            when_stale,
            cors: _,
            cache: _,
            stream,
        } = self;
        if other.access == Access::Public {
            return true;
        }
        let roles_suffice = other.roles.is_empty()
            || (!roles.is_empty() && roles.iter().all(|role| other.roles.contains(role)));
        let is_recent = other
            .max_auth_age
            .is_none_or(|most| max_auth_age.is_some_and(|age| age <= most));
        let is_fresh = *freshness <= other.freshness
            && (*when_stale == WhenStale::Refuse || other.when_stale == WhenStale::Serve);
        let ends = *stream || !other.stream;
        // Nobody is both a user and a service, so neither rule asks for all that the other does.
        *access == other.access
            && roles_suffice
            && scopes.hold_all(&other.scopes)
            && is_recent
            && is_fresh
            && ends
    }

    /// Whether the rule speaks of `method`. Who may GET may HEAD (RFC 9110 §9.3.2).
    pub fn names_method(&self, method: &str) -> bool {
        let Some(methods) = &self.methods else {
            return true;
        };
        methods
            .iter()
            .any(|named| named == method || (named == "GET" && method == "HEAD"))
    }
}

impl Pattern {
    fn parse(path: &str) -> Result<Self, BadRule> {
        let (literal, below) = match path.strip_suffix("/*") {
            Some(literal) => (literal, true),
            None => (path, false),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@/".contains(&byte);
        let rooted = literal.starts_with('/') || (below && literal.is_empty());
        let odd_segment = |segment: &str| segment == "." || segment == "..";
        if !rooted
            || !literal.bytes().all(plain)
            || literal.contains("//")
            || (below && literal.ends_with('/'))
            || literal.split('/').any(odd_segment)
        {
            return Err(BadRule::Path);
        }
        let pattern = if below {
            Self::Below(literal.to_owned())
        } else {
            Self::Exact(literal.to_owned())
        };
        Ok(pattern)
    }

    /// Whether `path` is one of the pattern's.
    pub fn holds(&self, path: &str) -> bool {
        self.holds_by(path, |a, b| a == b)
    }

    /// Whether `path` would be one of the pattern's for an origin that takes capitals and small letters for the same.
    pub fn holds_in_any_case(&self, path: &str) -> bool {
        self.holds_by(path, |a, b| a.eq_ignore_ascii_case(b))
    }

    /// Whether the pattern is a single path, from which `path` differs by a final slash, for an origin as above.
    pub fn is_one_slash_from(&self, path: &str) -> bool {
        let Self::Exact(literal) = self else {
            return false;
        };
        let (longer, shorter) = if path.len() > literal.len() {
            (path, literal.as_str())
        } else {
            (literal.as_str(), path)
        };
        longer
            .strip_suffix('/')
            .is_some_and(|longer| longer.eq_ignore_ascii_case(shorter))
    }

    /// Whether `path` is the pattern's own path with a format behind it, such as `/x.json` of `/x`, in whatever letters and
    /// with or without a final slash.
    pub fn holds_as_format(&self, path: &str) -> bool {
        let own = self.literal().trim_end_matches('/');
        let path = path.strip_suffix('/').unwrap_or(path);
        let split = path.as_bytes().split_at_checked(own.len());
        !own.is_empty()
            && split.is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(own.as_bytes())
                    && matches!(rest, [b'.', format @ ..] if !format.contains(&b'/'))
            })
    }

    fn holds_by(&self, path: &str, equal: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        let path = path.as_bytes();
        match self {
            Self::Exact(literal) => equal(path, literal.as_bytes()),
            Self::Below(literal) => {
                path.split_at_checked(literal.len())
                    .is_some_and(|(start, rest)| {
                        equal(start, literal.as_bytes()) && matches!(rest, [] | [b'/', ..])
                    })
            }
        }
    }

    /// The path without its `/*`.
    pub fn literal(&self) -> &str {
        match self {
            Self::Exact(literal) | Self::Below(literal) => literal,
        }
    }
}

fn methods(names: Vec<String>) -> Result<Vec<String>, BadRule> {
    let good = |name: &String| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    };
    if names.is_empty() || !names.iter().all(good) {
        return Err(BadRule::Methods);
    }
    Ok(names)
}

fn roles(names: Vec<String>) -> Result<Vec<String>, BadRule> {
    if names.is_empty() || !names.iter().all(|name| is_role(name)) {
        return Err(BadRule::Roles);
    }
    Ok(names)
}

fn scopes(names: Vec<String>) -> Result<Scopes, BadRule> {
    let scopes = Scopes::of(names.iter().map(String::as_str)).map_err(|_| BadRule::Scopes)?;
    if scopes.is_empty() {
        return Err(BadRule::Scopes);
    }
    Ok(scopes)
}

fn freshness(text: Option<&str>) -> Result<Duration, BadRule> {
    let bound = duration("freshness", text)?.unwrap_or(DEFAULT_FRESHNESS);
    if bound < LEAST_FRESHNESS {
        return Err(BadRule::Freshness);
    }
    Ok(bound)
}

fn duration(name: &'static str, text: Option<&str>) -> Result<Option<Duration>, BadRule> {
    text.map(|text| parse_duration(text).ok_or(BadRule::Duration(name)))
        .transpose()
}

/// `30s`, `15m`, `12h`, `7d`; nothing below a second.
fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, seconds_each) = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)]
        .iter()
        .find_map(|(unit, seconds)| text.strip_suffix(unit).map(|digits| (digits, *seconds)))?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse::<u64>().ok()?.checked_mul(seconds_each)?;
    // A bound of centuries is a slip of the pen, and would overflow a clock somewhere.
    (1..=315_360_000)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
