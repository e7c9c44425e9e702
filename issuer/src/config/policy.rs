//! The limits of sessions, as configured. What follows from them is decided in [`session`](crate::session).

use std::time::Duration;

/// The longest lifetime of an access token that can be configured.
pub const LONGEST_ACCESS: Duration = Duration::from_secs(24 * 3600);

/// The configured limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Lifetime of an access token.
    pub access: Duration,
    /// Lifetime of a session, from the sign-in on.
    pub absolute: Duration,
    /// Time without a refresh after which a session has run out.
    pub idle: Duration,
    /// How long the token just before the current one still gets the same successor.
    pub grace: Duration,
    /// How many live sessions a user may have.
    pub max_sessions: usize,
    /// What happens at one more.
    pub at_limit: AtLimit,
}

/// What a sign-in does where the user has as many sessions as allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLimit {
    /// Ends the oldest.
    EvictOldest,
    /// Is refused.
    Refuse,
}
