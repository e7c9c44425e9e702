//! What is sent on: where to, which headers are gone from the request, and which of ours are on it.
//!
//! The result is one text, because one text crosses from Rust to JS faster than an object: see [`Onward::encode`].

use std::borrow::Cow;

use shared::assertion::{self, Request};
use shared::claims::Claims;
use shared::cookie;
use shared::time::UnixTime;
use shared::token::Verified;
use shared::wire::header;

use crate::config::Config;
use crate::rule::Cache;
use crate::target::Target;

/// Hop-by-hop headers (RFC 9110 §7.6.1), and those that make some frameworks take another path or method than the one
/// that was checked. `Connection` is not obeyed, only removed: it could name our headers, and whoever obeyed it would
/// drop them.
const DROPPED: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

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
}

impl From<Cache> for Keeping {
    fn from(rule: Cache) -> Self {
        match rule {
            Cache::Private => Self::Private,
            Cache::Origin => Self::AsOriginSays,
        }
    }
}

/// A verified token, and what the origin is told of its user: the same for every request with this token.
#[derive(Clone, Debug)]
pub struct Identity {
    token: Verified<Claims>,
    /// Lines as in [`Onward::encode`].
    headers: String,
    asserted: assertion::User,
}

impl From<Verified<Claims>> for Identity {
    fn from(token: Verified<Claims>) -> Self {
        let claims = token.claims();
        let (user, session, roles) = (claims.sub, claims.sid, claims.roles.join(","));
        let headers = format!(
            "\n{}:{user}\n{}:{session}\n{}:{roles}",
            header::USER,
            header::SESSION,
            header::ROLES
        );
        Self {
            headers,
            asserted: claims.into(),
            token,
        }
    }
}

impl Identity {
    /// The token.
    pub const fn token(&self) -> &Verified<Claims> {
        &self.token
    }
}

/// The headers of a request that decide what happens to its others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inbound<'a> {
    /// The names of all headers, each on a line.
    pub names: &'a str,
    /// `Cookie`.
    pub cookie: Option<&'a str>,
    /// Whether `Authorization` holds a credential of ours.
    pub own_authorization: bool,
}

/// A request on its way to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onward<'a> {
    /// To whom.
    pub upstream: Upstream,
    /// What to renew meanwhile.
    pub due: Due,
    /// Who may keep the answer.
    pub keeping: Keeping,
    url: String,
    dropped: Vec<&'a str>,
    set: Vec<(&'static str, Cow<'a, str>)>,
    /// Headers that name the user, in lines.
    user: String,
    /// `Set-Cookie` values for the answer.
    pub cookies: Vec<String>,
}

impl<'a> Onward<'a> {
    /// A request to the origin: our cookies and every header that could pass for ours are gone; whose it is is on it.
    pub fn to_origin(
        config: &Config,
        method: &str,
        target: &Target<'_>,
        inbound: Inbound<'a>,
        identity: Option<&Identity>,
        now: UnixTime,
    ) -> Self {
        let path_and_query = target.path_and_query();
        let mut onward = Self::new(
            Upstream::Origin,
            config.origin.as_str(),
            &path_and_query,
            inbound.names,
        );
        if inbound.own_authorization {
            onward.dropped.push("authorization");
        }
        onward.cut_cookies(inbound.cookie);
        if let Some(identity) = identity {
            let request = Request {
                method,
                authority: config.public.authority(),
                path_and_query: &path_and_query,
            };
            let key = &config.assertion_key.0;
            let assertion = assertion::assert(key, request, &identity.asserted, now);
            onward.user = [&identity.headers, "\n", header::ASSERTION, ":", &assertion].concat();
        }
        onward
    }

    /// A request to the issuer, which reads the cookies itself and trusts the client's address by the edge's token.
    pub fn to_issuer(
        config: &Config,
        target: &Target<'_>,
        inbound: Inbound<'a>,
        client_ip: Option<&'a str>,
    ) -> Self {
        let mut onward = Self::new(
            Upstream::Issuer,
            config.issuer.as_str(),
            &target.path_and_query(),
            inbound.names,
        );
        onward
            .set
            .push((header::EDGE_TOKEN, config.edge_token.clone().into()));
        onward
            .set
            .push((header::CLIENT_IP, client_ip.unwrap_or_default().into()));
        onward
    }

    fn new(upstream: Upstream, base: &str, path_and_query: &str, names: &'a str) -> Self {
        Self {
            upstream,
            due: Due::Nothing,
            keeping: Keeping::AsSaid,
            url: [base, path_and_query].concat(),
            dropped: names.lines().filter(|name| is_dropped(name)).collect(),
            set: Vec::new(),
            user: String::new(),
            cookies: Vec::new(),
        }
    }

    fn cut_cookies(&mut self, cookie: Option<&'a str>) {
        let Some(inbound) = cookie else { return };
        match cookie::without_session(inbound) {
            Some(kept) if kept == inbound => {}
            Some(kept) => self.set.push(("cookie", kept)),
            None => self.dropped.push("cookie"),
        }
    }

    /// Lines: `o` or `i`, what is due (` `, `k`, `i`) and who may keep the answer (` `, `p`, `o`); the URL; the names to remove, between commas; then in any
    /// number `name:value` to set on the request and `+value`, a `Set-Cookie` for the answer. No part can hold a line
    /// break: URLs are escaped, names and values come out of parsed headers.
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
        });
        text.push('\n');
        text.push_str(&self.url);
        text.push('\n');
        for (index, name) in self.dropped.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(name);
        }
        for (name, value) in &self.set {
            text.extend(["\n", name, ":", value]);
        }
        text.push_str(&self.user);
        for cookie in &self.cookies {
            text.extend(["\n+", cookie]);
        }
        text
    }
}

/// Whether a header of this name is taken off. Every name that begins like ours goes, for `Portcullis_User` and
/// `portcullis.user` reach some frameworks as `Portcullis-User`.
fn is_dropped(name: &str) -> bool {
    let begins_like_ours = name
        .as_bytes()
        .get(..header::PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(header::PREFIX.as_bytes()));
    begins_like_ours
        || DROPPED
            .iter()
            .any(|dropped| name.eq_ignore_ascii_case(dropped))
}

#[cfg(test)]
mod tests;
