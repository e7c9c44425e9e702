//! Whether a verified token opens a route, now.

use shared::claims::Claims;
use shared::rejection::Rejection;
use shared::revocation::Standing;
use shared::time::UnixMillis;
use shared::token::{self, Verified};

use crate::refusal::Refusal;
use crate::rule::{Rule, WhenStale};
use crate::view::View;

/// What a decision may still wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Newer revocations can be asked for.
    CanAsk,
    /// They were asked for: decide with what is there.
    MustDecide,
}

/// Why there is no "yes".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It is a "no".
    Refused(Refusal),
    /// Newer revocations are needed first.
    NeedsRevocations,
}

impl From<Refusal> for Hold {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Whether what is known was young enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Yes.
    Fresh,
    /// No, and the rule says to serve.
    Stale,
}

/// Decides. In turn: the token's time, its standing, the age of what is known, the age of the sign-in, the roles.
///
/// Standing comes before age, for old knowledge that a session has ended is good knowledge; roles come after it, for a
/// role that was granted a moment ago is missing from an old token, which its standing then tells.
///
/// # Errors
/// [`Hold`] where the token does not open the route, or not yet.
pub fn decide(
    rule: &Rule,
    token: &Verified<Claims>,
    view: Option<&View>,
    now: UnixMillis,
    patience: Patience,
) -> Result<Passed, Hold> {
    token::check_time(token, now.to_secs()).map_err(Refusal::Token)?;
    holds(rule, token, view, now, patience)
}

/// Decides all but the token's time, which an open connection may outlive: see [`crate::open`].
///
/// # Errors
/// [`Hold`] as for [`decide`].
pub fn holds(
    rule: &Rule,
    token: &Verified<Claims>,
    view: Option<&View>,
    now: UnixMillis,
    patience: Patience,
) -> Result<Passed, Hold> {
    match view.map_or(Standing::Good, |view| view.standing(token)) {
        Standing::Good => {}
        Standing::Stale => return Err(Refusal::ClaimsStale.into()),
        Standing::KeyRevoked => return Err(Refusal::Token(Rejection::UnknownKey).into()),
        Standing::Revoked => return Err(Refusal::SessionEnded.into()),
    }
    let passed = freshness(rule, view, now, patience)?;
    let claims = token.claims();
    if let Some(most) = rule.max_auth_age
        && now.to_secs().since(claims.auth_time) > most
    {
        return Err(Refusal::SignInTooOld(most).into());
    }
    if !rule.roles.is_empty() && !rule.roles.iter().any(|role| claims.roles.contains(role)) {
        return Err(Refusal::Role(rule.roles.join(", ")).into());
    }
    Ok(passed)
}

fn freshness(
    rule: &Rule,
    view: Option<&View>,
    now: UnixMillis,
    patience: Patience,
) -> Result<Passed, Hold> {
    if view.is_some_and(|view| view.age(now) <= rule.freshness) {
        return Ok(Passed::Fresh);
    }
    match (patience, rule.when_stale) {
        (Patience::CanAsk, _) => Err(Hold::NeedsRevocations),
        (Patience::MustDecide, WhenStale::Refuse) => Err(Refusal::RevocationsStale.into()),
        (Patience::MustDecide, WhenStale::Serve) => Ok(Passed::Stale),
    }
}

#[cfg(test)]
mod tests;
