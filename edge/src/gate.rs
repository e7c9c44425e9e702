//! A request's story, top to bottom. It decides with what it is given; what it lacks, it names.
//!
//! The hot path runs it once with what the isolate holds and passes the request on if that is enough. Otherwise
//! `answer` runs it again, fetching what it lacks in between. So there is one story, and no second opinion.

use std::rc::Rc;
use std::time::Duration;

use shared::assertion::Serial;
use shared::cookie::Cookies;
use shared::key::KeySet;
use shared::rejection::Rejection;
use shared::time::UnixMillis;
use shared::token::{self, Expected, Holder};

use crate::config::Config;
use crate::credential::{self, Credential};
use crate::csrf::{self, Provenance};
use crate::freshness;
use crate::identity::{Identity, Inbound, Lasting, Onward, Vouched};
use crate::policy::{Policy, Route};
use crate::preflight::is_preflight;
use crate::refusal::Refusal;
use crate::rule::cors::{Cors, Readable};
use crate::rule::{Access, Rule};
use crate::target::Target;
use crate::token_cache::TokenCache;
use crate::verdict::{self, Hold, Passed, Patience};
use crate::view::View;

/// What a request says.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// The absolute URL.
    pub url: &'a str,
    /// `Cookie`, read; a request without one has read an empty one.
    pub cookies: &'a Cookies,
    /// `Authorization`.
    pub authorization: Option<&'a str>,
    /// `Sec-Fetch-Site`; needed for unsafe methods and upgrades only.
    pub fetch_site: Option<&'a str>,
    /// `Origin`; likewise, and for OPTIONS.
    pub origin: Option<&'a str>,
    /// Whether it asks for another protocol: `Upgrade` (RFC 9110 §7.8).
    pub upgrade: bool,
    /// `Access-Control-Request-Method`; needed for OPTIONS only.
    pub wanted_method: Option<&'a str>,
    /// The client's address; needed for the issuer only.
    pub client_ip: Option<&'a str>,
    /// An access token that the issuer gave in the middle of this request, in place of the cookies.
    pub renewed: Option<&'a str>,
    /// The time.
    pub now: UnixMillis,
}

/// What is known when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The issuer's keys.
    pub keys: Option<&'a KeySet>,
    /// The revocations.
    pub view: Option<&'a View>,
    /// When KV was last asked for them; `None` also while it is being asked.
    pub kv_asked_at: Option<UnixMillis>,
    /// Whether newer revocations can still be asked for.
    pub patience: Patience,
    /// For the assertion of this request, and of no other.
    pub serial: Serial,
}

/// A request that may go on.
#[derive(Debug)]
pub struct Pass<'a> {
    /// How it goes on.
    pub onward: Onward<'a>,
    /// Whether what was known of revocations was older than the rule wants, and the rule says to serve.
    pub stale: bool,
}

/// A request that may not go on, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub reason: Reason,
    /// Whether only a program can read the answer: the rule says so, or the method is OPTIONS.
    pub api: bool,
    /// Whose scripts may read the answer.
    pub cors: Option<Readable>,
}

/// Why a request stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// For good.
    Refused(Refusal),
    /// No keys are held.
    LacksKeys,
    /// The token names a key that is not held.
    LacksNewerKeys,
    /// What is known of revocations is older than this, which the rule says.
    LacksRevocations(Duration),
    /// The access token no longer serves, and there is a refresh token; the refusal holds if that does not help.
    LacksRenewal(Refusal),
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The story.
///
/// # Errors
/// [`Stop`] with what is wrong, or missing.
pub fn pass<'a>(
    asked: Asked<'a>,
    known: Known<'_>,
    tokens: &mut TokenCache,
) -> Result<Pass<'a>, Stop> {
    let stop = |rule: Option<&Rule>, reason: Reason| {
        let Manner { api, cors } = Manner::of(rule, asked.method, asked.origin);
        Stop { reason, api, cors }
    };
    if matches!(asked.method, "CONNECT" | "TRACE" | "TRACK") {
        return Err(stop(None, Refusal::Method.into()));
    }
    let target = Target::parse(asked.url).map_err(|bad| stop(None, Refusal::Target(bad).into()))?;
    // Another name of this worker may lead past what guards the site's own: a firewall, a limit of rates.
    if !known.config.serves(target.authority()) {
        let stop = stop(None, Refusal::Misdirected.into());
        return Err(Stop { api: true, ..stop });
    }
    match known.config.policy.classify(asked.method, target.path()) {
        Route::Issuer => {
            let onward = Onward::to_issuer(known.config, &target, asked.client_ip);
            Ok(Pass {
                onward,
                stale: false,
            })
        }
        Route::Hidden => Err(stop(None, Refusal::Hidden.into())),
        Route::Respelled => Err(stop(None, Refusal::Respelled.into())),
        Route::Origin(rule) if rule.access == Access::Public => {
            let mut pass = open(asked, known, &target);
            pass.onward.cors = rule.cors.onward();
            Ok(pass)
        }
        Route::Origin(rule)
            if rule.cors == Cors::ByOrigin
                && is_preflight(asked.method, asked.wanted_method, asked.origin) =>
        {
            let mut pass = open(asked, known, &target);
            pass.onward.keeping = rule.cache.into();
            Ok(pass)
        }
        Route::Origin(rule) => {
            guarded(asked, known, tokens, &target, rule).map_err(|reason| stop(Some(rule), reason))
        }
    }
}

/// How a request is refused, as far as its rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// See [`Stop::api`].
    pub api: bool,
    /// See [`Stop::cors`].
    pub cors: Option<Readable>,
}

impl Manner {
    /// For a refusal outside of the story: the upstream did not answer.
    pub fn at(policy: &Policy, method: &str, url: &str, origin: Option<&str>) -> Self {
        let target = Target::parse(url);
        let route = target
            .as_ref()
            .map(|target| policy.classify(method, target.path()));
        match route {
            Ok(Route::Origin(rule)) => Self::of(Some(rule), method, origin),
            _ => Self::of(None, method, origin),
        }
    }

    fn of(rule: Option<&Rule>, method: &str, origin: Option<&str>) -> Self {
        Self {
            api: method == "OPTIONS" || rule.is_some_and(|rule| rule.api),
            cors: rule.and_then(|rule| rule.cors.readable(origin)),
        }
    }
}

/// A public route, or a preflight: nobody is asked who they are, and the origin gets no credential of ours all the same.
fn open<'a>(asked: Asked<'a>, known: Known<'_>, target: &Target<'_>) -> Pass<'a> {
    let inbound = Inbound {
        cookies: asked.cookies,
        own_authorization: is_own_authorization(asked, known),
    };
    let onward = Onward::to_origin(known.config, asked.method, target, inbound, None);
    Pass {
        onward,
        stale: false,
    }
}

/// Whether `Authorization` holds a token of ours.
fn is_own_authorization(asked: Asked<'_>, known: Known<'_>) -> bool {
    let site = known.config.public.as_str();
    asked
        .authorization
        .is_some_and(|header| credential::holds_own_token(header, site))
}

fn guarded<'a>(
    asked: Asked<'a>,
    known: Known<'_>,
    tokens: &mut TokenCache,
    target: &Target<'_>,
    rule: &Rule,
) -> Result<Pass<'a>, Reason> {
    let credential =
        credential::take(asked.cookies, asked.authorization).map_err(Refusal::Credential)?;
    let from = Provenance {
        fetch_site: asked.fetch_site,
        origin: asked.origin,
        upgrade: asked.upgrade,
    };
    if credential.is_ambient() && !csrf::is_own(asked.method, from, known.config.public.as_str()) {
        return Err(Refusal::Csrf.into());
    }
    let (access, can_renew) = match credential {
        _ if asked.renewed.is_some() => (asked.renewed, false),
        Credential::Absent => (None, false),
        Credential::Bearer(token) => (Some(token), false),
        // A renewal brings another user's token, which no service's route takes.
        Credential::Cookies { access, refresh } => {
            (access, refresh.is_some() && rule.access != Access::Service)
        }
    };
    let judged = access
        .ok_or(Reason::Refused(Refusal::Anonymous))
        .and_then(|token| judge(token, asked, known, tokens, rule));
    let (identity, passed) = judged.map_err(|reason| {
        if can_renew {
            or_renewal(reason)
        } else {
            reason
        }
    })?;
    let inbound = Inbound {
        cookies: asked.cookies,
        own_authorization: matches!(credential, Credential::Bearer(_))
            || is_own_authorization(asked, known),
    };
    let vouched = Vouched {
        identity: &identity,
        serial: known.serial,
        now: asked.now.to_secs(),
    };
    let mut onward = Onward::to_origin(known.config, asked.method, target, inbound, Some(vouched));
    onward.keeping = rule.cache.into();
    onward.cors = rule.cors.onward();
    onward.lasting = match (rule.stream, asked.upgrade) {
        (true, _) => Lasting::Stream,
        (false, true) => Lasting::Upgrade,
        (false, false) => Lasting::Watched,
    };
    onward.due = freshness::due(known.view, known.kv_asked_at, rule.freshness, asked.now);
    Ok(Pass {
        onward,
        stale: passed == Passed::Stale,
    })
}

fn judge(
    token: &str,
    asked: Asked<'_>,
    known: Known<'_>,
    tokens: &mut TokenCache,
    rule: &Rule,
) -> Result<(Rc<Identity>, Passed), Reason> {
    let identity = identify(token, known, tokens)?;
    let verified = identity.token();
    match verdict::decide(rule, verified, known.view, asked.now, known.patience) {
        Ok(passed) => Ok((identity, passed)),
        // What the issuer made a moment ago is not old.
        Err(Hold::Refused(Refusal::Token(Rejection::Expired))) if asked.renewed.is_some() => {
            Err(Refusal::ClocksDiffer.into())
        }
        Err(Hold::Refused(refusal)) => Err(refusal.into()),
        Err(Hold::NeedsRevocations) => Err(Reason::LacksRevocations(rule.freshness)),
    }
}

/// Whose token it is.
///
/// # Errors
/// [`Reason`] where that cannot be told, or it is nobody's.
pub fn identify(
    token: &str,
    known: Known<'_>,
    tokens: &mut TokenCache,
) -> Result<Rc<Identity>, Reason> {
    if let Some(identity) = tokens.find(token) {
        return Ok(identity);
    }
    let identity = Rc::new(Identity::new(verify(token, known)?, known.config));
    tokens.remember(token, Rc::clone(&identity));
    Ok(identity)
}

fn verify(token: &str, known: Known<'_>) -> Result<Holder, Reason> {
    let keys = known.keys.ok_or(Reason::LacksKeys)?;
    let site = known.config.public.as_str();
    token::verify_any(
        token,
        keys,
        &Expected {
            issuer: site,
            audience: site,
        },
    )
    .map_err(|rejection| match rejection {
        Rejection::UnknownKey => Reason::LacksNewerKeys,
        other => Refusal::Token(other).into(),
    })
}

/// What a refresh token can mend: no access token, one that does not hold (it has expired, or its key is no longer there),
/// and one whose claims are out of date. No renewal mends a clock, so a token that is not valid yet is none of these.
fn or_renewal(reason: Reason) -> Reason {
    match reason {
        Reason::Refused(Refusal::Token(Rejection::NotYetValid)) => reason,
        Reason::Refused(
            refusal @ (Refusal::Anonymous | Refusal::Token(_) | Refusal::ClaimsStale),
        ) => Reason::LacksRenewal(refusal),
        other => other,
    }
}

#[cfg(test)]
mod tests;
