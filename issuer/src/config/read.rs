//! Reading settings one by one while collecting what is wrong with them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use shared::secret::RootSecret;

/// Beginnings of names that belong to this program: one that is not known is a mistake, not somebody else's.
///
/// (Not all of `GOOGLE_`: clouds set names such as GOOGLE_CLOUD_PROJECT themselves.)
const PREFIXES: [&str; 17] = [
    "ADMIN_LISTEN_",
    "EDGE_",
    "ENCRYPTION_",
    "EVENTS_",
    "JWT_",
    "KV_",
    "LIMIT_",
    "LISTEN_",
    "MAX_CONCURRENT_",
    "PUBLIC_",
    "REFRESH_",
    "SESSION_",
    "DATABASE_MAX_",
    "OIDC_",
    "MICROSOFT_CLIENT_",
    "MICROSOFT_TENANT_",
    "GOOGLE_CLIENT_",
];

/// Takes settings out of an environment. What is left and looks like ours is refused at the end.
pub(super) struct Reader {
    left: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader {
    pub(super) fn new(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            left: environment.into_iter().collect(),
            problems: vec![],
        }
    }

    /// Notes what is wrong with a setting. `what` must not hold its value.
    pub(super) fn problem(&mut self, name: &str, what: &str) {
        self.problems.push(format!("{name} {what}"));
    }

    /// The setting, or `default`, or, without one, a problem. Set but empty counts as not set.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        default: Option<&str>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self
            .left
            .remove(name)
            .filter(|value| !value.trim().is_empty());
        let Some(text) = value.as_deref().map(str::trim).or(default) else {
            self.problem(name, "is missing");
            return None;
        };
        parse(text).map_err(|what| self.problem(name, &what)).ok()
    }

    /// The setting if there is one; the outer `None` is a problem.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        self.parsed(name, Some(""), |text| {
            if text.is_empty() {
                Ok(None)
            } else {
                parse(text).map(Some)
            }
        })
    }

    /// The names of settings that begin with `prefix` and were not taken yet.
    pub(super) fn names(&self, prefix: &str) -> impl Iterator<Item = String> {
        self.left
            .keys()
            .filter(move |name| name.starts_with(prefix))
            .cloned()
    }

    /// Whether the setting is there and was not taken yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// The problems so far.
    pub(super) fn problems(self) -> Vec<String> {
        self.problems
    }

    /// The problems, with the names that nobody asked for.
    pub(super) fn finish(mut self) -> Vec<String> {
        for name in std::mem::take(&mut self.left).into_keys() {
            if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                self.problem(&name, "is not a setting of the issuer; is it misspelt?");
            }
        }
        self.problems
    }
}

pub(super) fn whole(range: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, String> {
    move |text| {
        text.parse()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
    }
}

pub(super) fn duration(min: Duration, max: Duration) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        humantime::parse_duration(text)
            .ok()
            .filter(|duration| (min..=max).contains(duration))
            .ok_or_else(|| {
                let (min, max) = (
                    humantime::format_duration(min),
                    humantime::format_duration(max),
                );
                format!("must be a duration such as 30s, 15m or 7d, from {min} to {max}")
            })
    }
}

/// Tokens tell time in whole seconds.
pub(super) fn whole_seconds(
    min: Duration,
    max: Duration,
) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let duration = duration(min, max)(text)?;
        (duration.subsec_nanos() == 0)
            .then_some(duration)
            .ok_or_else(|| "must be whole seconds".to_owned())
    }
}

/// `new,old`.
pub(super) fn secrets(text: &str) -> Result<Vec<RootSecret>, String> {
    RootSecret::parse_list(text).map_err(|error| error.to_string())
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be an address with a port, such as 127.0.0.1:8081".to_owned())
}
