//! A connection that was let in and is still open: whether it may stay so, and when to look again.
//!
//! It is the verdict of a request, asked again and again, with two differences. The token's time may be over: then the
//! issuer's word counts, see [`crate::sessions`]. And nothing can be held back until the issuer has answered: so what is
//! needed is renewed early, and where that was tried in vain the bound decides.

use std::time::Duration;

use shared::claims::ServiceClaims;
use shared::rejection::Rejection;
use shared::time::UnixMillis;
use shared::token::Holder;

use crate::freshness;
use crate::gate::{self, Known, Reason};
use crate::identity::Due;
use crate::policy::Route;
use crate::refusal::Refusal;
use crate::rule::{Rule, WhenStale};
use crate::sessions::{Sessions, Time};
use crate::target::Target;
use crate::token_cache::TokenCache;
use crate::verdict::{self, Hold, Passed, Patience};

/// How soon to look again where something is being fetched.
const GLANCE: Duration = Duration::from_millis(250);

/// How soon to look again where nothing could be had and the rule says to serve.
const AGAIN: Duration = Duration::from_secs(1);

/// How long an answer that was asked for in time is waited for, past the bound of what is known too.
const ANSWER: Duration = Duration::from_secs(1);

/// An open connection.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// The method it was asked for with.
    pub method: &'a str,
    /// The absolute URL.
    pub url: &'a str,
    /// The access token that it was let in with.
    pub token: &'a str,
}

/// What this isolate has tried, to know more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// A renewal is running.
    pub renewing: bool,
    /// When the issuer was last asked for revocations.
    pub feed_asked_at: Option<UnixMillis>,
    /// When keys were last asked for.
    pub keys_asked_at: Option<UnixMillis>,
    /// The issuer is being asked about sessions.
    pub asking: bool,
}

/// What to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    /// Nothing.
    Nothing,
    /// Keys and revocations, of which nothing is held: a panic took them.
    All,
    /// Revocations and keys, from KV.
    Kv,
    /// Revocations, from the issuer.
    Issuer,
}

/// What a look showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether it may stay open, and on what; or why not.
    pub stays: Result<Passed, Refusal>,
    /// What to renew meanwhile.
    pub renew: Renew,
    /// Whether to ask the issuer about sessions.
    pub ask: bool,
    /// When to look again.
    pub wait: Duration,
}

impl Look {
    const fn end(refusal: Refusal) -> Self {
        Self {
            stays: Err(refusal),
            renew: Renew::Nothing,
            ask: false,
            wait: Duration::ZERO,
        }
    }
}

/// Looks at an open connection.
pub fn look(
    open: Open<'_>,
    known: Known<'_>,
    tried: Tried,
    tokens: &mut TokenCache,
    sessions: &mut Sessions,
    now: UnixMillis,
) -> Look {
    let Some(rule) = rule(open, known) else {
        return Look::end(Refusal::Hidden);
    };
    let identity = match gate::identify(open.token, known, tokens) {
        Ok(identity) => identity,
        Err(Reason::Refused(refusal)) => return Look::end(refusal),
        // The set that is held is newer than the one that had its key.
        Err(Reason::LacksNewerKeys) => {
            return Look::end(Refusal::Token(Rejection::UnknownKey));
        }
        Err(_) => return without_keys(rule, tried, now),
    };
    let token = identity.token();
    let patience = patience(rule, known, tried, now);
    let (mut stays, mut wait) = match verdict::holds(rule, token, known.view, now, patience) {
        Err(Hold::Refused(refusal)) => return Look::end(refusal),
        Err(Hold::NeedsRevocations) => (Passed::Fresh, GLANCE),
        Ok(Passed::Stale) => (Passed::Stale, AGAIN),
        Ok(Passed::Fresh) => (Passed::Fresh, until_due(rule, known, now)),
    };
    let time = match token {
        Holder::User(token) => sessions.look(token.claims(), now),
        Holder::Service(token) => match time_of_service(token.claims(), now) {
            Some(time) => time,
            None => return Look::end(Refusal::Token(Rejection::Expired)),
        },
    };
    match time {
        Time::Ended => return Look::end(Refusal::SessionEnded),
        Time::ClaimsStale => return Look::end(Refusal::ClaimsStale),
        Time::Over { asked } if asked && !waits_for(sessions, tried, now) => {
            if rule.when_stale == WhenStale::Refuse {
                return Look::end(Refusal::Token(Rejection::Expired));
            }
            (stays, wait) = (Passed::Stale, wait.min(AGAIN));
        }
        Time::Over { .. } | Time::RunsOut => wait = wait.min(GLANCE),
        Time::Left(left) => wait = wait.min(left),
    }
    let due = freshness::due_while_open(known.view, known.kv_asked_at, rule.freshness, now);
    Look {
        stays: Ok(stays),
        renew: match due {
            Due::Nothing if known.view.is_none() && !tried.renewing => anew(rule, known, now),
            Due::Nothing => Renew::Nothing,
            Due::Kv => Renew::Kv,
            Due::Issuer => Renew::Issuer,
        },
        ask: !matches!(time, Time::Left(_)) && !tried.asking,
        wait: wait.max(GLANCE),
    }
}

/// A service has no session that could stand for longer than its token: nothing, once that has expired.
fn time_of_service(claims: &ServiceClaims, now: UnixMillis) -> Option<Time> {
    let end = UnixMillis::from(claims.exp);
    (now < end).then(|| Time::Left(end.since(now)))
}

fn rule<'k>(open: Open<'_>, known: Known<'k>) -> Option<&'k Rule> {
    let target = Target::parse(open.url).ok()?;
    match known.config.policy.classify(open.method, target.path()) {
        Route::Origin(rule) => Some(rule),
        Route::Issuer | Route::Hidden | Route::Respelled => None,
    }
}

/// What to renew where there is no view, and nobody fetches one: a panic took it, or the clock was put back. Where KV does not
/// help there is still the issuer.
fn anew(rule: &Rule, known: Known<'_>, now: UnixMillis) -> Renew {
    match known.kv_asked_at {
        None => Renew::All,
        asked_at if freshness::kv_first(asked_at, rule.freshness, now) => Renew::Kv,
        Some(_) => Renew::Issuer,
    }
}

/// Whether more can still be known before the bound decides.
fn patience(rule: &Rule, known: Known<'_>, tried: Tried, now: UnixMillis) -> Patience {
    let asked_at = tried.feed_asked_at;
    if freshness::asked_in_time(known.view, asked_at, rule.freshness, now)
        && !(tried.renewing && is_young(asked_at, now))
    {
        Patience::MustDecide
    } else {
        Patience::CanAsk
    }
}

/// Whether the issuer may still say how a session stands.
fn waits_for(sessions: &Sessions, tried: Tried, now: UnixMillis) -> bool {
    tried.asking && is_young(sessions.asked_at(), now)
}

fn is_young(asked_at: Option<UnixMillis>, now: UnixMillis) -> bool {
    asked_at.is_some_and(|at| now.since(at) < ANSWER)
}

fn until_due(rule: &Rule, known: Known<'_>, now: UnixMillis) -> Duration {
    freshness::until_due_while_open(known.view, known.kv_asked_at, rule.freshness, now)
}

/// Nobody can say whose it is. That lasts no longer than it takes to fetch keys, or the rule says to serve.
fn without_keys(rule: &Rule, tried: Tried, now: UnixMillis) -> Look {
    let asked_in_vain =
        tried.keys_asked_at.is_some() && !(tried.renewing && is_young(tried.keys_asked_at, now));
    if asked_in_vain && rule.when_stale == WhenStale::Refuse {
        return Look::end(Refusal::RevocationsStale);
    }
    let (stays, wait) = if asked_in_vain {
        (Passed::Stale, AGAIN)
    } else {
        (Passed::Fresh, GLANCE)
    };
    Look {
        stays: Ok(stays),
        renew: Renew::All,
        ask: false,
        wait,
    }
}

#[cfg(test)]
mod tests;
