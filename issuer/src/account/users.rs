//! Accounts: what the command line, and later the administration pages, do with them.

use shared::claims::is_role;
use shared::id::UserId;
use shared::secret::SecretText;

use crate::entropy::{self, EntropyError};
use crate::fault::{Fault, via_fault};
use crate::revoke::ending;
use crate::session::EndReason;
use crate::session::policy::Policy;
use crate::sign_in::password::{self, PasswordError, Passwords};
use crate::store::events::{Event, Kind};
use crate::store::users::{Access, User};
use crate::store::{Store, StoreError, Tx, events, users};
use crate::time::Clock;

/// Why an account was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Nobody has this address.
    #[error("no user has this address")]
    Unknown,
    /// Somebody has this address.
    #[error("a user with this address exists already")]
    Taken,
    /// Not an address.
    #[error("this is not an e-mail address")]
    Email,
    /// Too short or too long.
    #[error("a password has {} to {} characters", password::LENGTH.start(), password::LENGTH.end())]
    Password,
    /// Cannot stand in a token.
    #[error("a role has 1 to 64 characters, of a-z 0-9 _ - . : ({0:?})")]
    Role(String),
    /// Our fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

via_fault!(AccountError: StoreError, EntropyError, PasswordError);

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// The address to sign in with.
    pub email: &'a str,
    /// What to call them.
    pub name: &'a str,
    /// What they may do.
    pub roles: &'a [String],
}

/// Makes and changes accounts.
pub struct Accounts<'a> {
    /// Postgres.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a Clock,
    /// Limits: they say how long a change must be announced.
    pub policy: &'a Policy,
}

impl Accounts<'_> {
    /// Makes an account with a password.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn create(
        &self,
        new: &NewUser<'_>,
        password: SecretText,
        passwords: &Passwords,
    ) -> Result<UserId, AccountError> {
        let email = new.email.trim();
        if !is_email(email) {
            return Err(AccountError::Email);
        }
        check_roles(new.roles)?;
        check_password(&password)?;
        let hash = passwords.hash(password).await?;
        let mut tx = self.store.tx("create user").await?;
        let now = self.clock.now();
        let user = User {
            id: UserId::from_bytes(entropy::bytes()?),
            email: email.to_owned(),
            name: new.name.trim().to_owned(),
            roles: sorted(new.roles.to_vec()),
            ver: 1,
            created_at: now,
            access: Access::Enabled,
        };
        if !users::insert(&mut tx, &user).await? {
            return Err(AccountError::Taken);
        }
        users::set_password(&mut tx, user.id, &hash, now).await?;
        events::record(
            &mut tx,
            &Event {
                user: Some(user.id),
                ..Event::new(Kind::UserCreated)
            },
            now,
        )
        .await?;
        tx.commit().await?;
        Ok(user.id)
    }

    /// Sets the password and ends every session: whoever knew the old one is out (OWASP ASVS 5.0, 7.4.3).
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn set_password(
        &self,
        email: &str,
        password: SecretText,
        passwords: &Passwords,
    ) -> Result<(), AccountError> {
        check_password(&password)?;
        let hash = passwords.hash(password).await?;
        let (mut tx, user) = self.locked("set password", email).await?;
        let now = self.clock.now();
        users::set_password(&mut tx, user.id, &hash, now).await?;
        let event = Event {
            user: Some(user.id),
            ..Event::new(Kind::PasswordChanged)
        };
        events::record(&mut tx, &event, now).await?;
        ending::end_all(
            &mut tx,
            user.id,
            None,
            EndReason::PasswordChanged,
            &event,
            now,
        )
        .await?;
        Ok(tx.commit().await?)
    }

    /// Replaces the roles by what `change` makes of them. Tokens with the old ones are refused from then on; the
    /// sessions stay, and their next refresh brings the new roles. Returns these.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn change_roles(
        &self,
        email: &str,
        change: impl FnOnce(&mut Vec<String>),
    ) -> Result<Vec<String>, AccountError> {
        let (mut tx, user) = self.locked("change roles", email).await?;
        let mut roles = user.roles.clone();
        change(&mut roles);
        check_roles(&roles)?;
        let roles = sorted(roles);
        if roles == user.roles {
            return Ok(roles);
        }
        let now = self.clock.now();
        let ver = users::set_roles(&mut tx, user.id, &roles).await?;
        ending::announce_claims(&mut tx, &user, ver, self.policy, now).await?;
        let detail = roles.join(",");
        let event = Event {
            user: Some(user.id),
            detail: &detail,
            ..Event::new(Kind::RolesChanged)
        };
        events::record(&mut tx, &event, now).await?;
        tx.commit().await?;
        Ok(roles)
    }

    /// Forbids the user to sign in and ends every session.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn disable(&self, email: &str) -> Result<(), AccountError> {
        let (mut tx, user) = self.locked("disable user", email).await?;
        let now = self.clock.now();
        let ver = users::set_access(&mut tx, user.id, Access::Disabled { since: now }).await?;
        let event = Event {
            user: Some(user.id),
            ..Event::new(Kind::UserDisabled)
        };
        events::record(&mut tx, &event, now).await?;
        ending::end_all(&mut tx, user.id, None, EndReason::UserDisabled, &event, now).await?;
        ending::announce_claims(&mut tx, &user, ver, self.policy, now).await?;
        Ok(tx.commit().await?)
    }

    /// Allows the user to sign in again.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn enable(&self, email: &str) -> Result<(), AccountError> {
        let (mut tx, user) = self.locked("enable user", email).await?;
        let now = self.clock.now();
        users::set_access(&mut tx, user.id, Access::Enabled).await?;
        let event = Event {
            user: Some(user.id),
            ..Event::new(Kind::UserEnabled)
        };
        events::record(&mut tx, &event, now).await?;
        Ok(tx.commit().await?)
    }

    /// Ends every session of the user; how many there were.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn end_sessions(&self, email: &str) -> Result<usize, AccountError> {
        let (mut tx, user) = self.locked("end sessions", email).await?;
        let now = self.clock.now();
        let from = Event::new(Kind::SessionEnded);
        let ended =
            ending::end_all(&mut tx, user.id, None, EndReason::Administrator, &from, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Begins a transaction that holds the lock of the user with this address.
    async fn locked(&self, name: &'static str, email: &str) -> Result<(Tx, User), AccountError> {
        let mut tx = self.store.tx(name).await?;
        let (found, _) = users::by_email(&mut tx, email.trim())
            .await?
            .ok_or(AccountError::Unknown)?;
        let user = users::lock(&mut tx, found.id)
            .await?
            .ok_or(AccountError::Unknown)?;
        Ok((tx, user))
    }
}

/// Something before an `@`, something behind it, nothing that would disturb a page or a log.
fn is_email(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let parts = text
        .rsplit_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    plain && parts && text.len() <= 320
}

fn check_password(password: &SecretText) -> Result<(), AccountError> {
    let length = password.expose().chars().count();
    password::LENGTH
        .contains(&length)
        .then_some(())
        .ok_or(AccountError::Password)
}

fn check_roles(roles: &[String]) -> Result<(), AccountError> {
    match roles.iter().find(|role| !is_role(role)) {
        Some(role) => Err(AccountError::Role(role.clone())),
        None => Ok(()),
    }
}

fn sorted(mut roles: Vec<String>) -> Vec<String> {
    roles.sort_unstable();
    roles.dedup();
    roles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plausible() {
        for good in ["ada@example.test", "a+b@x", "\u{e4}@\u{f6}.test"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "ada", "@x", "a@", "a b@x", "a@x\n", "a@x\u{7}"] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn passwords_have_a_length() {
        for (text, good) in [("seven77", false), ("eight888", true), ("ääääääää", true)] {
            assert_eq!(
                check_password(&SecretText::new(text.to_owned())).is_ok(),
                good,
                "{text}"
            );
        }
    }
}
