//! How often something may be tried, and what is remembered of that.
//!
//! - [`address`]: by the client's address, in this process;
//! - [`account`]: by account, in Postgres, so that all issuers share a count;
//! - [`device`]: the browsers that an account has signed in with, which have an allowance of their own;
//! - [`failures`]: how many failed sign-ins are written one by one.
//!
//! All of them are the generic cell rate algorithm: an allowance that is used up at once or bit by bit, and grows back evenly.

pub mod account;
pub mod address;
pub mod device;
pub mod failures;
mod ticks;

use std::time::Duration;

use crate::config::{Config, Rate};
use crate::time::Clock;
use account::Accounts;
use address::Addresses;
use failures::Failures;

/// What all limits of an issuer work with.
pub struct Limits {
    /// By address.
    pub addresses: Addresses,
    /// By account.
    pub accounts: Accounts,
    /// What is written of failed sign-ins.
    pub failures: Failures,
}

impl Limits {
    /// The limits of this configuration, with nothing counted yet in this process.
    pub fn new(config: &Config, clock: &Clock) -> Self {
        Self {
            addresses: Addresses::new(&config.limits, clock),
            accounts: Accounts::new(config),
            failures: Failures::new(clock),
        }
    }
}

/// Which limit counted a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Sign-ins from an address.
    SignIn,
    /// Refreshes from an address.
    Refresh,
    /// Administration from an address.
    Admin,
    /// Clients that are no browsers, from an address.
    OAuth,
    /// Everything else from an address.
    Other,
    /// Wrong passwords for an account.
    Account,
    /// Wrong passwords for an account from a browser that it has signed in with.
    Device,
}

impl Limit {
    /// Its name in the `RateLimit` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Refresh => "refresh",
            Self::Admin => "admin",
            Self::OAuth => "oauth",
            Self::Other => "other",
            Self::Account => "account",
            Self::Device => "device",
        }
    }
}

/// What is left of an allowance after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Of which limit.
    pub limit: Limit,
    /// The whole of it.
    pub rate: Rate,
    /// How many more are allowed now.
    pub remaining: u32,
    /// After a refusal: the time until one is allowed. Otherwise: the time until all are.
    pub wait: Duration,
}

impl Usage {
    /// [`Self::wait`] in whole seconds, at least one after a refusal: who comes back then is not refused again.
    pub const fn wait_secs(&self) -> u64 {
        let round_up = if self.wait.subsec_nanos() > 0 { 1 } else { 0 };
        self.wait.as_secs() + round_up
    }
}

/// A request over the limit, which must not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("over the limit `{}`", .0.limit.as_str())]
pub struct Exceeded(pub Usage);

#[cfg(test)]
pub(crate) mod tests {
    use std::num::NonZeroU32;

    use super::*;

    pub(crate) fn rate(count: u32, secs: u64) -> Rate {
        Rate {
            count: NonZeroU32::new(count).unwrap(),
            per: Duration::from_secs(secs),
        }
    }

    #[test]
    fn a_wait_is_rounded_up() {
        let wait = |millis| {
            let wait = Duration::from_millis(millis);
            let (limit, remaining) = (Limit::Other, 0);
            let rate = rate(1, 1);
            Usage {
                limit,
                rate,
                remaining,
                wait,
            }
            .wait_secs()
        };
        assert_eq!([0, 1, 1000, 1001].map(wait), [0, 1, 1, 2]);
    }
}
