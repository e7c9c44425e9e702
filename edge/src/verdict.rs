//! Whether a verified token opens a route, now.

use shared::rejection::Rejection;
use shared::revocation::Standing;
use shared::time::UnixMillis;
use shared::token::Holder;

use crate::refusal::Refusal;
use crate::rule::{Access, Rule, WhenStale};
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

/// Decides. In turn: the token's time, its standing, the age of what is known, whether its holder is of the kind that the rule
/// is for, the age of the sign-in, the roles; of a service, the scopes.
///
/// Standing comes before age, for old knowledge that a session has ended is good knowledge; roles come after it, for a
/// role that was granted a moment ago is missing from an old token, which its standing then tells.
///
/// # Errors
/// [`Hold`] where the token does not open the route, or not yet.
pub fn decide(
    rule: &Rule,
    token: &Holder,
    view: Option<&View>,
    now: UnixMillis,
    patience: Patience,
) -> Result<Passed, Hold> {
    token.check_time(now.to_secs()).map_err(Refusal::Token)?;
    holds(rule, token, view, now, patience)
}

/// Decides all but the token's time, which an open connection may outlive: see [`crate::open`].
///
/// # Errors
/// [`Hold`] as for [`decide`].
pub fn holds(
    rule: &Rule,
    token: &Holder,
    view: Option<&View>,
    now: UnixMillis,
    patience: Patience,
) -> Result<Passed, Hold> {
    match view.map_or(Standing::Good, |view| view.standing_of(token)) {
        Standing::Good => {}
        standing => return Err(refusal(standing, token).into()),
    }
    let passed = freshness(rule, view, now, patience)?;
    match (rule.access, token) {
        (Access::Service, Holder::Service(token)) => {
            if !token.claims().scope.hold_all(&rule.scopes) {
                return Err(Refusal::Scope(rule.scopes.to_string()).into());
            }
        }
        (Access::Service, Holder::User(_)) => return Err(Refusal::NotAService.into()),
        (Access::User | Access::Public, Holder::Service(_)) => {
            return Err(Refusal::NotAUser.into());
        }
        (Access::User | Access::Public, Holder::User(token)) => {
            let claims = token.claims();
            if let Some(most) = rule.max_auth_age
                && now.to_secs().since(claims.auth_time) > most
            {
                return Err(Refusal::SignInTooOld(most).into());
            }
            let has = |role| claims.roles.contains(role);
            if !rule.roles.is_empty() && !rule.roles.iter().any(has) {
                return Err(Refusal::Role(rule.roles.join(", ")).into());
            }
        }
    }
    Ok(passed)
}

/// What a standing that is not good means for the holder. A user's session may stand all the same; a service has none, and
/// asks for another token.
const fn refusal(standing: Standing, token: &Holder) -> Refusal {
    match (standing, token) {
        (Standing::KeyRevoked, _) => Refusal::Token(Rejection::UnknownKey),
        (_, Holder::Service(_)) => Refusal::TokenRevoked,
        (Standing::Stale, Holder::User(_)) => Refusal::ClaimsStale,
        (Standing::Good | Standing::Revoked, Holder::User(_)) => Refusal::SessionEnded,
    }
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
