//! What is sent on: where to, which credentials are gone from the request, and which headers of ours are on it.
//!
//! The result is one text, because one text crosses from Rust to JS faster than an object: see [`Onward::encode`].

use std::borrow::Cow;
use std::fmt;

use shared::assertion::{Asserter, Serial};
use shared::cookie::{Cookies, Others};
use shared::time::UnixTime;
use shared::token::Holder;
use shared::wire::header;

use crate::config::Config;
use crate::rule::Cache;
use crate::target::Target;

/// Who answers a request that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The site behind the guard.
    Origin,
    /// The issuer.
    Issuer,
}

/// What should be renewed in the background, after this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Revocations and keys, from KV.
    Kv,
    /// Revocations, from the issuer: KV is too slow for this route.
    Issuer,
}

/// Who may keep the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// As its headers say.
    AsSaid,
    /// Nobody but the client: see [`crate::caching`].
    Private,
    /// Nobody but the client, unless the origin says so itself.
    AsOriginSays,
    /// Nobody.
    Nobody,
}

impl From<Cache> for Keeping {
    fn from(rule: Cache) -> Self {
        match rule {
            Cache::Private => Self::Private,
            Cache::Origin => Self::AsOriginSays,
            Cache::NoStore => Self::Nobody,
        }
    }
}

/// Which answers are ended once their standing is no longer good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// None: nobody's standing was asked for.
    Free,
    /// WebSockets and event streams.
    Watched,
    /// The same, and another protocol was asked for.
    Upgrade,
    /// Every one: the rule says so.
    Stream,
}

/// A verified token, and what the origin is told of its holder: the same for every request with this token.
#[derive(Clone, Debug)]
pub struct Identity {
    token: Holder,
    /// Lines as in [`Onward::encode`].
    headers: String,
    asserter: Asserter,
}

impl Identity {
    /// The holder of `token`, for this site's origin.
    pub fn new(token: impl Into<Holder>, config: &Config) -> Self {
        let (token, key, site) = (
            token.into(),
            &config.assertion_key.0,
            config.public.as_str(),
        );
        let (headers, asserter) = match &token {
            Holder::User(token) => {
                let claims = token.claims();
                let (user, session, roles) = (claims.sub, claims.sid, claims.roles.join(","));
                let mut headers = format!(
                    "\n{}\n{user}\n{}\n{session}\n{}\n{roles}",
                    header::USER,
                    header::SESSION,
                    header::ROLES
                );
                if let Some(actor) = claims.act {
                    headers.push_str(&format!("\n{}\n{}", header::ACTOR, actor.sub));
                }
                (headers, Asserter::new(key, site, claims))
            }
            Holder::Service(token) => {
                let claims = token.claims();
                let (client, scopes) = (claims.client_id, &claims.scope);
                let headers = format!(
                    "\n{}\n{client}\n{}\n{scopes}",
                    header::CLIENT,
                    header::SCOPE
                );
                (headers, Asserter::of_service(key, site, claims))
            }
        };
        Self {
            token,
            headers,
            asserter,
        }
    }

    /// The token.
    pub const fn token(&self) -> &Holder {
        &self.token
    }
}

/// Whose request it is, and what the assertion of it needs besides.
#[derive(Clone, Copy, Debug)]
pub struct Vouched<'a> {
    /// Who makes it.
    pub identity: &'a Identity,
    /// The assertion's own, used for no other.
    pub serial: Serial,
    /// The time.
    pub now: UnixTime,
}

/// The credentials that a request came with.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// `Cookie`.
    pub cookies: &'a Cookies,
    /// Whether `Authorization` holds a credential of ours.
    pub own_authorization: bool,
}

/// A request on its way to an upstream.
#[derive(Clone, PartialEq, Eq)]
pub struct Onward<'a> {
    /// To whom.
    pub upstream: Upstream,
    /// What to renew meanwhile.
    pub due: Due,
    /// Who may keep the answer.
    pub keeping: Keeping,
    /// Whether the answer may last for longer than its standing is good.
    pub lasting: Lasting,
    url: String,
    dropped: Vec<&'static str>,
    set: Vec<(&'static str, Cow<'a, str>)>,
    /// Headers that name the user, or the service, in lines.
    user: String,
    /// Proves whose request it is; empty where nobody was asked.
    assertion: String,
    /// Where the edge says whose scripts may read the answer: see [`Cors::onward`](crate::rule::cors::Cors::onward).
    pub cors: Option<String>,
    /// `Set-Cookie` values for the answer.
    pub cookies: Vec<String>,
}

/// Without what it carries: an assertion, cookies, the edge's token.
impl fmt::Debug for Onward<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onward")
            .field("upstream", &self.upstream)
            .field("due", &self.due)
            .field("keeping", &self.keeping)
            .field("lasting", &self.lasting)
            .finish_non_exhaustive()
    }
}

impl<'a> Onward<'a> {
    /// A request to the origin: what it proved itself with is gone, and whose it is is on it.
    pub fn to_origin(
        config: &Config,
        method: &str,
        target: &Target<'_>,
        inbound: Inbound<'a>,
        vouched: Option<Vouched<'_>>,
    ) -> Self {
        let path_and_query = target.path_and_query();
        let mut onward = Self::new(Upstream::Origin, config.origin.as_str(), &path_and_query);
        if inbound.own_authorization {
            onward.dropped.push("authorization");
        }
        onward.cut_cookies(inbound.cookies);
        if let Some(Vouched {
            identity,
            serial,
            now,
        }) = vouched
        {
            onward.user.clone_from(&identity.headers);
            onward.assertion = identity
                .asserter
                .assert(method, &path_and_query, serial, now);
        }
        onward
    }

    /// A request to the issuer, which reads the cookies itself and trusts the client's address by the edge's token.
    pub fn to_issuer(config: &Config, target: &Target<'_>, client_ip: Option<&'a str>) -> Self {
        let base = config.issuer.as_str();
        let mut onward = Self::new(Upstream::Issuer, base, &target.path_and_query());
        onward.set.push((
            header::EDGE_TOKEN,
            config.edge_token.expose().to_owned().into(),
        ));
        onward
            .set
            .push((header::CLIENT_IP, client_ip.unwrap_or_default().into()));
        onward
    }

    fn new(upstream: Upstream, base: &str, path_and_query: &str) -> Self {
        Self {
            upstream,
            due: Due::Nothing,
            keeping: Keeping::AsSaid,
            lasting: Lasting::Free,
            url: [base, path_and_query].concat(),
            dropped: Vec::new(),
            set: Vec::new(),
            user: String::new(),
            assertion: String::new(),
            cors: None,
            cookies: Vec::new(),
        }
    }

    fn cut_cookies(&mut self, cookies: &'a Cookies) {
        match cookies.others() {
            Others::Whole => {}
            Others::Some(kept) => self.set.push(("cookie", kept.into())),
            Others::None => self.dropped.push("cookie"),
        }
    }

    /// Lines: `o` or `i`, what is due (` `, `k`, `i`), who may keep the answer (` `, `p`, `o`, `n`) and which answers are ended
    /// once their standing is no longer good (` `, `w`, `u`, `s`); the URL; the assertion, or nothing; in any number, `+` with a
    /// `Set-Cookie` for the answer; at most one `@` with whose scripts may read it; the names of the headers to take off,
    /// between commas, beside those that never go on; then pairs of lines in any number: a name and the value to set on the
    /// request. What is the same for all requests with one `Cookie` header comes last. No part can hold a line break: URLs
    /// are escaped, values come out of parsed headers and checked rules.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(1536);
        text.push(match self.upstream {
            Upstream::Origin => 'o',
            Upstream::Issuer => 'i',
        });
        text.push(match self.due {
            Due::Nothing => ' ',
            Due::Kv => 'k',
            Due::Issuer => 'i',
        });
        text.push(match self.keeping {
            Keeping::AsSaid => ' ',
            Keeping::Private => 'p',
            Keeping::AsOriginSays => 'o',
            Keeping::Nobody => 'n',
        });
        text.push(match self.lasting {
            Lasting::Free => ' ',
            Lasting::Watched => 'w',
            Lasting::Upgrade => 'u',
            Lasting::Stream => 's',
        });
        text.push('\n');
        text.extend([&self.url, "\n", &self.assertion, "\n"]);
        for cookie in &self.cookies {
            text.extend(["+", cookie, "\n"]);
        }
        if let Some(cors) = &self.cors {
            text.extend(["@", cors, "\n"]);
        }
        for (index, name) in self.dropped.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(name);
        }
        for (name, value) in &self.set {
            text.extend(["\n", name, "\n", value]);
        }
        text.push_str(&self.user);
        text
    }
}

#[cfg(test)]
mod tests;
