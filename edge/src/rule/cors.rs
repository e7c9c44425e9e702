//! What a rule says of CORS (Fetch §3.2): which other sites' scripts may send what, and read the answers.
//!
//! Never with credentials: no answer of the edge has `Access-Control-Allow-Credentials`, so no script of another origin reads
//! what a cookie has opened. What such scripts bring is a bearer token.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::{BadRule, duration, methods};

/// How long a browser may keep the answer to a preflight where a rule does not say.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(600);

/// What scripts of other sites may send where a rule does not say: a bearer token, and JSON.
const DEFAULT_HEADERS: [&str; 2] = ["authorization", "content-type"];

/// What a rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// Nothing: other sites' scripts read no refusal, and for them a guarded route is closed.
    #[default]
    Unsaid,
    /// `cors = true`: preflights reach the origin without an identity, and the origin says who reads its answers.
    ByOrigin,
    /// A table: the edge answers preflights, and says who reads the origin's answers and its own.
    ByEdge(Table),
}

/// A table, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `*`, or origins separated by blanks.
    origins: String,
    /// `None`: all that the rule is for.
    methods: Option<Vec<String>>,
    /// In small letters.
    headers: Vec<String>,
    /// As in `Access-Control-Expose-Headers`; empty: what the origin says.
    exposed: String,
    max_age: Duration,
}

/// Who may read an answer of the edge's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    /// `Access-Control-Allow-Origin`; `None`: scripts of the request's origin may not.
    by: Option<String>,
    /// Whether it depends on the request's origin.
    varies: bool,
}

/// A preflight: what a browser asks on behalf of another site's script.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `Origin`.
    pub origin: &'a str,
    /// `Access-Control-Request-Method`.
    pub method: &'a str,
    /// `Access-Control-Request-Headers`; empty if there is none.
    pub headers: &'a str,
}

/// Headers of an answer.
pub type Headers = Vec<(&'static str, String)>;

/// The value of `Access-Control-Allow-Origin` for a request of `origin`, where `origins` are allowed: `*`, or a list
/// separated by blanks. Without a value, scripts of that origin may not read the answer.
pub fn reader(origins: &str, origin: Option<&str>) -> Option<String> {
    let origin = origin?;
    if origins == "*" {
        return Some("*".to_owned());
    }
    let mut allowed = origins.split(' ');
    allowed.find(|one| *one == origin).map(str::to_owned)
}

impl Cors {
    /// Who may read a refusal of a request of `origin`.
    ///
    /// Where the origin answers preflights itself, anybody: a refusal says no more than whoever sent the request can learn by
    /// sending it from elsewhere, for a browser lets scripts read it only if no cookie went with the request.
    pub fn readable(&self, origin: Option<&str>) -> Option<Readable> {
        match self {
            Self::Unsaid => None,
            Self::ByOrigin => origin.map(|_| Readable {
                by: Some("*".to_owned()),
                varies: false,
            }),
            Self::ByEdge(table) => Some(table.readable(origin)),
        }
    }

    /// For `Onward`, how the origin's answer is made readable: the origins, a tab, and the headers that are exposed. No value
    /// can hold a tab.
    pub fn onward(&self) -> Option<String> {
        match self {
            Self::Unsaid | Self::ByOrigin => None,
            Self::ByEdge(table) => Some([&table.origins, "\t", &table.exposed].concat()),
        }
    }
}

impl Table {
    fn readable(&self, origin: Option<&str>) -> Readable {
        Readable {
            by: reader(&self.origins, origin),
            varies: self.origins != "*",
        }
    }

    /// The answer to `question`, or what is not allowed.
    ///
    /// # Errors
    /// What is not allowed, and who may read that.
    pub fn answer(&self, question: &Question<'_>) -> Result<Headers, (&'static str, Readable)> {
        let readable = self.readable(Some(question.origin));
        let asked = question.headers.split(',').map(str::trim);
        let mut asked = asked.filter(|name| !name.is_empty());
        let is_allowed = |name: &str| {
            self.headers
                .iter()
                .any(|one| one.eq_ignore_ascii_case(name))
        };
        let Some(by) = readable.by.clone() else {
            return Err(("this origin", readable));
        };
        if !self.names_method(question.method) {
            return Err(("this method", readable));
        }
        if !asked.all(is_allowed) {
            return Err(("one of these headers", readable));
        }
        let methods = self.methods.as_ref();
        Ok(vec![
            ("Access-Control-Allow-Origin", by),
            (
                "Access-Control-Allow-Methods",
                // Good for all, because no credentials go with them.
                methods.map_or_else(|| "*".to_owned(), |names| names.join(", ")),
            ),
            ("Access-Control-Allow-Headers", self.headers.join(", ")),
            ("Access-Control-Max-Age", self.max_age.as_secs().to_string()),
            (
                "Vary",
                "Origin, Access-Control-Request-Method, Access-Control-Request-Headers".to_owned(),
            ),
        ])
    }

    fn names_method(&self, method: &str) -> bool {
        let methods = self.methods.as_ref();
        methods.is_none_or(|names| holds_method(names, method))
    }
}

impl Readable {
    /// The headers that say so. What tells a script how to go on is no header that scripts can read unasked (Fetch §3.2.3).
    pub fn headers(&self) -> Headers {
        let mut headers = Vec::new();
        if let Some(by) = &self.by {
            headers.push(("Access-Control-Allow-Origin", by.clone()));
            headers.push((
                "Access-Control-Expose-Headers",
                "WWW-Authenticate, Retry-After".to_owned(),
            ));
        }
        if self.varies {
            headers.push(("Vary", "Origin".to_owned()));
        }
        headers
    }
}

/// `cors` as it stands in the configuration.
#[derive(Clone, Debug)]
pub(super) enum RawCors {
    Switch(bool),
    Table(RawTable),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTable {
    origins: Vec<String>,
    methods: Option<Vec<String>>,
    headers: Option<Vec<String>>,
    expose: Option<Vec<String>>,
    max_age: Option<String>,
}

/// By hand, because an untagged enum would not say what is wrong with a table.
impl<'de> Deserialize<'de> for RawCors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SwitchOrTable;

        impl<'de> Visitor<'de> for SwitchOrTable {
            type Value = RawCors;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or a table with origins")
            }

            fn visit_bool<E>(self, on: bool) -> Result<RawCors, E> {
                Ok(RawCors::Switch(on))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawCors, A::Error> {
                RawTable::deserialize(MapAccessDeserializer::new(map)).map(RawCors::Table)
            }
        }

        deserializer.deserialize_any(SwitchOrTable)
    }
}

impl RawCors {
    /// Whether this may stand on a public route: there every preflight reaches the origin, unless the edge answers it.
    pub(super) const fn suits_public(&self) -> bool {
        matches!(self, Self::Table(_))
    }

    /// Checks it for a rule that is for `of_rule`; `None`: for all methods.
    pub(super) fn check(self, of_rule: Option<&Vec<String>>) -> Result<Cors, BadRule> {
        match self {
            Self::Switch(false) => Ok(Cors::Unsaid),
            Self::Switch(true) => {
                let has_options = |names: &Vec<String>| names.iter().any(|name| name == "OPTIONS");
                if !of_rule.is_none_or(has_options) {
                    return Err(BadRule::CorsWithoutOptions);
                }
                Ok(Cors::ByOrigin)
            }
            Self::Table(raw) => raw.check(of_rule).map(Cors::ByEdge),
        }
    }
}

impl RawTable {
    fn check(self, of_rule: Option<&Vec<String>>) -> Result<Table, BadRule> {
        let allowed = self.methods.map(methods).transpose()?;
        let is_of_rule = |name: &String| of_rule.is_none_or(|names| holds_method(names, name));
        if !allowed.iter().flatten().all(is_of_rule) {
            return Err(BadRule::Cors("methods must be among those of the rule"));
        }
        let defaults = || DEFAULT_HEADERS.map(str::to_owned).to_vec();
        let headers = self.headers.unwrap_or_else(defaults);
        let exposed = self.expose.unwrap_or_default();
        if !headers.iter().chain(&exposed).all(|name| is_header(name)) {
            return Err(BadRule::Cors(
                "headers and expose must be lists of header names, without `*`, which never means Authorization",
            ));
        }
        Ok(Table {
            origins: origins(&self.origins)?,
            methods: allowed.or_else(|| of_rule.cloned()),
            headers: headers
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
            exposed: exposed.join(", "),
            max_age: duration("cors: max_age", self.max_age.as_deref())?.unwrap_or(DEFAULT_MAX_AGE),
        })
    }
}

/// Who may GET may HEAD (RFC 9110 §9.3.2).
fn holds_method(names: &[String], method: &str) -> bool {
    let same = |name: &String| name == method || (name == "GET" && method == "HEAD");
    names.iter().any(same)
}

fn origins(names: &[String]) -> Result<String, BadRule> {
    if names == ["*"] {
        return Ok("*".to_owned());
    }
    if names.is_empty() || !names.iter().all(|name| is_origin(name)) {
        return Err(BadRule::Cors(
            "origins must be `*` alone, or origins as browsers send them: scheme://host[:port], in small letters, without a path and without the scheme's own port",
        ));
    }
    Ok(names.join(" "))
}

/// Whether `name` is an origin as browsers write it (RFC 6454 §6.2). `null` is none: any page can make itself that.
fn is_origin(name: &str) -> bool {
    let Some((scheme, authority)) = name.split_once("://") else {
        return false;
    };
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => "://",
    };
    let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|byte| small(byte) || b"+-.".contains(&byte))
        && !authority.is_empty()
        && authority
            .bytes()
            .all(|byte| small(byte) || b"-._:[]".contains(&byte))
        && !authority.ends_with(own_port)
}

/// Whether `name` can be a header's name (RFC 9110 §5.1), and is not the wildcard of Fetch.
fn is_header(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name != "*" && name.bytes().all(token)
}

#[cfg(test)]
mod tests;
