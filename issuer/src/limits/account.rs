//! Wrong passwords by account, counted in Postgres, so that all issuers share a count.
//!
//! An attempt is taken before the password is checked, so that many at once are no more than one after the other, and given
//! back where it was right. A browser that the account has signed in with takes from an allowance of its own (OWASP, "Slow
//! Down Online Guessing Attacks with Device Cookies"): whoever tries passwords from elsewhere does not keep its user out.
//!
//! An address without an account is counted in the same way, by the same statement: what is refused tells nothing about which
//! accounts there are.

use std::time::Duration;

use shared::id::UserId;
use shared::secret::{Purpose, Secret};
use shared::time::UnixMillis;
use sqlx::PgConnection;

use super::device::DeviceId;
use super::{Exceeded, Limit, Usage};
use crate::config::{Config, Rate};
use crate::store::{Store, StoreError, attempts};

/// The limit by account.
pub struct Accounts {
    rate: Option<Rate>,
    /// Without it, names in the table tell nothing about whom somebody tried to be.
    secret: Secret<32>,
}

/// Whose attempts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A user, whichever way their address was written.
    User(UserId),
    /// An address that no account has.
    Nobody(&'a str),
    /// A client that is no browser, by its id.
    Client(&'a str),
}

/// An attempt that was taken from an allowance. Where it turns out to be none, it is given back.
#[must_use = "an attempt that succeeds is given back"]
pub struct Attempt {
    taken: Option<([u8; 32], Rate)>,
}

impl Accounts {
    /// The limit of this configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            rate: config.limits.account,
            secret: config.edge_secret().derive(Purpose::Attempts),
        }
    }

    /// Whether there is one.
    pub const fn is_on(&self) -> bool {
        self.rate.is_some()
    }

    /// Takes an attempt at `subject` from the allowance of `device`, which the subject has signed in with; without one, from
    /// that of all others. One statement, and none where the limit is off.
    ///
    /// # Errors
    /// [`StoreError`] where Postgres does not answer. In the other result, [`Exceeded`] where there is none left; refusals
    /// write nothing.
    pub async fn take(
        &self,
        conn: &mut PgConnection,
        subject: Subject<'_>,
        device: Option<DeviceId>,
        now: UnixMillis,
    ) -> Result<Result<Attempt, Exceeded>, StoreError> {
        let Some(rate) = self.rate else {
            return Ok(Ok(Attempt { taken: None }));
        };
        let name = self.name(subject, device);
        let taken = attempts::take(conn, &name, rate.interval(), rate.count.get(), now).await?;
        Ok(match taken {
            attempts::Taken::Granted => Ok(Attempt {
                taken: Some((name, rate)),
            }),
            attempts::Taken::Refused { until } => Err(Exceeded(Usage {
                limit: match device {
                    Some(_) => Limit::Device,
                    None => Limit::Account,
                },
                rate,
                remaining: 0,
                wait: until.since(now).max(Duration::from_millis(1)),
            })),
        })
    }

    fn name(&self, subject: Subject<'_>, device: Option<DeviceId>) -> [u8; 32] {
        let (kind, text) = match subject {
            Subject::User(id) => (b'u', id.as_bytes().to_vec()),
            Subject::Nobody(email) => (b'n', email.to_lowercase().into_bytes()),
            Subject::Client(id) => (b'c', id.as_bytes().to_vec()),
        };
        // The device stands in front, since it has one length.
        let device = device.map_or(vec![0], |device| [&[1][..], device.as_bytes()].concat());
        self.secret
            .pseudonym(&[&[kind], &device[..], &text].concat())
    }
}

impl Attempt {
    /// It was none: the password was right, or could not be checked.
    ///
    /// # Errors
    /// [`StoreError`]; it counts then.
    pub async fn give_back(self, store: &Store) -> Result<(), StoreError> {
        match self.taken {
            Some((name, rate)) => {
                attempts::give_back(&mut *store.conn().await?, &name, rate.interval()).await
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::environment;

    #[test]
    fn each_subject_and_device_has_a_name_of_its_own() {
        let accounts = Accounts::new(&Config::from_env(environment()).unwrap());
        let user = UserId::from_bytes([97; 16]);
        let text = "a".repeat(16);
        let device = |n| Some(DeviceId::from_bytes([n; 16]));
        let names = [
            accounts.name(Subject::User(user), None),
            accounts.name(Subject::User(user), device(1)),
            accounts.name(Subject::User(user), device(2)),
            accounts.name(Subject::Nobody(&text), None),
            accounts.name(Subject::Client(&text), None),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{at}");
        }
        let nobody = |email| accounts.name(Subject::Nobody(email), None);
        assert_eq!(nobody("Ada@Example.test"), nobody("ada@example.test"));
    }
}
