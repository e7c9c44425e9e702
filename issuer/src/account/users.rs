//! Accounts: what administrators and the command line do with them.

use shared::id::UserId;
use shared::secret::SecretText;
use shared::time::UnixMillis;

use super::{ADMIN, checks, keep_one};
use crate::entropy::{self, EntropyError};
use crate::events::{self, Actor, By, Kind};
use crate::fault::{Fault, via_fault};
use crate::revoke::ending;
use crate::session::EndReason;
use crate::session::policy::Policy;
use crate::sign_in::password::{self, PasswordError, Passwords};
use crate::store::users::{Access, PasswordHash, User};
use crate::store::{Store, StoreError, Tx, administrators, invitations, users};
use crate::time::Clock;

/// Why an account was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is none with this address or id.
    #[error("there is no such user")]
    Unknown,
    /// Somebody has this address.
    #[error("a user with this address exists already")]
    Taken,
    /// Not an address.
    #[error("this is not an e-mail address")]
    Email,
    /// Not a name.
    #[error("a name has 1 to {} characters in one line", checks::MAX_NAME)]
    Name,
    /// Too short or too long.
    #[error("a password has {} to {} characters", password::LENGTH.start(), password::LENGTH.end())]
    Password,
    /// Cannot stand in a token.
    #[error("a role has 1 to 64 characters, of a-z 0-9 _ - . : ({0:?})")]
    Role(String),
    /// More than fit into a cookie.
    #[error("a user has at most {} roles", checks::MAX_ROLES)]
    Roles,
    /// Nobody would be left who can administer.
    #[error("this is the last enabled administrator: give somebody else the role admin first")]
    LastAdministrator,
    /// Whoever asked for it is no administrator any more.
    #[error("only an administrator may do this")]
    NotAdministrator,
    /// The account is disabled.
    #[error("this account is disabled: enable it first")]
    Disabled,
    /// The account has no password.
    #[error("this account has no password")]
    NoPassword,
    /// The present password is another one.
    #[error("the present password is not right")]
    WrongPassword,
    /// The link was used, replaced, or has expired.
    #[error("this link is not valid any more")]
    Invitation,
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

/// Whose account.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// The user with this id.
    Id(UserId),
    /// The user with this address, however it is capitalised.
    Email(&'a str),
}

/// Whether a change can take away somebody who administers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nobody,
    PerhapsAnAdministrator,
}

/// Makes and changes accounts.
pub struct Accounts<'a> {
    /// Postgres.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a Clock,
    /// Limits: they say how long a change must be announced.
    pub policy: &'a Policy,
    /// Who makes and changes them, for the security log. A user must be an administrator, also at the very moment.
    pub by: By<'a>,
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
        checks::password(&password)?;
        let user = self.new_user(new)?;
        let hash = passwords.hash(password).await?;
        Ok(self.insert(user, Some(&hash)).await?.id)
    }

    /// Makes an account without a password. An invitation leads to one.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn create_without_password(&self, new: &NewUser<'_>) -> Result<User, AccountError> {
        self.insert(self.new_user(new)?, None).await
    }

    fn new_user(&self, new: &NewUser<'_>) -> Result<User, AccountError> {
        Ok(User {
            id: UserId::from_bytes(entropy::bytes()?),
            email: checks::email(new.email)?,
            name: checks::name(new.name)?,
            roles: checks::roles(new.roles.to_vec())?,
            ver: 1,
            created_at: self.clock.now(),
            access: Access::Enabled,
        })
    }

    async fn insert(&self, user: User, hash: Option<&PasswordHash>) -> Result<User, AccountError> {
        let mut tx = self.begin("create user", Takes::Nobody).await?;
        if !users::insert(&mut tx, &user).await? {
            return Err(AccountError::Taken);
        }
        if let Some(hash) = hash {
            users::set_password(&mut tx, user.id, hash, user.created_at).await?;
        }
        self.record(&mut tx, Kind::UserCreated, &user, user.created_at)
            .await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Replaces the roles by what `change` makes of them. Tokens with the old ones are refused from then on; the
    /// sessions stay, and their next refresh brings the new roles. Returns the user as they are then.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn change_roles(
        &self,
        whose: Whose<'_>,
        change: impl FnOnce(&mut Vec<String>),
    ) -> Result<User, AccountError> {
        let takes = Takes::PerhapsAnAdministrator;
        let (mut tx, user) = self.locked("change roles", whose, takes).await?;
        let mut roles = user.roles.clone();
        change(&mut roles);
        let roles = checks::roles(roles)?;
        if roles == user.roles {
            return Ok(user);
        }
        keep_one(&mut tx, &user, roles.iter().any(|role| role == ADMIN)).await?;
        let now = self.clock.now();
        let ver = users::set_roles(&mut tx, user.id, &roles).await?;
        ending::announce_claims(&mut tx, &user, ver, self.policy, self.by, now).await?;
        let event = self.by.event(Kind::RolesChanged).of(user.id);
        events::record(&mut tx, &event.with("roles", roles.as_slice()), now).await?;
        tx.commit().await?;
        Ok(User { roles, ver, ..user })
    }

    /// Forbids the user to sign in, ends every session and withdraws their invitation. Returns the user as they are then.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn disable(&self, whose: Whose<'_>) -> Result<User, AccountError> {
        let takes = Takes::PerhapsAnAdministrator;
        let (mut tx, user) = self.locked("disable user", whose, takes).await?;
        if let Access::Disabled { .. } = user.access {
            return Ok(user);
        }
        keep_one(&mut tx, &user, false).await?;
        let now = self.clock.now();
        let access = Access::Disabled { since: now };
        let ver = users::set_access(&mut tx, user.id, access).await?;
        self.record(&mut tx, Kind::UserDisabled, &user, now).await?;
        let (reason, by) = (EndReason::UserDisabled, self.by);
        ending::end_all(&mut tx, user.id, None, reason, by, now).await?;
        ending::announce_claims(&mut tx, &user, ver, self.policy, self.by, now).await?;
        invitations::withdraw(&mut tx, user.id).await?;
        tx.commit().await?;
        Ok(User {
            access,
            ver,
            ..user
        })
    }

    /// Allows the user to sign in again. Returns the user as they are then.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn enable(&self, whose: Whose<'_>) -> Result<User, AccountError> {
        let (mut tx, user) = self.locked("enable user", whose, Takes::Nobody).await?;
        if user.access == Access::Enabled {
            return Ok(user);
        }
        let now = self.clock.now();
        let ver = users::set_access(&mut tx, user.id, Access::Enabled).await?;
        self.record(&mut tx, Kind::UserEnabled, &user, now).await?;
        tx.commit().await?;
        Ok(User {
            access: Access::Enabled,
            ver,
            ..user
        })
    }

    /// Ends every session of the user; how many there were.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn end_sessions(&self, whose: Whose<'_>) -> Result<usize, AccountError> {
        let (mut tx, user) = self.locked("end sessions", whose, Takes::Nobody).await?;
        let now = self.clock.now();
        let (reason, by) = (EndReason::Administrator, self.by);
        let ended = ending::end_all(&mut tx, user.id, None, reason, by, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Deletes the account: sessions end, and password, identities and invitation go. Of the user the log keeps the id, and
    /// forgets from where and with what.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn delete(&self, whose: Whose<'_>) -> Result<(), AccountError> {
        let takes = Takes::PerhapsAnAdministrator;
        let (mut tx, user) = self.locked("delete user", whose, takes).await?;
        keep_one(&mut tx, &user, false).await?;
        let now = self.clock.now();
        let (reason, by) = (EndReason::Administrator, self.by);
        ending::end_all(&mut tx, user.id, None, reason, by, now).await?;
        // Also what a session had given out that ended before: no token of theirs passes any more.
        let ver = user.ver.saturating_add(1);
        ending::announce_claims(&mut tx, &user, ver, self.policy, self.by, now).await?;
        users::delete(&mut tx, user.id).await?;
        self.record(&mut tx, Kind::UserDeleted, &user, now).await?;
        events::forget(&mut tx, user.id).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        kind: Kind,
        user: &User,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        events::record(tx, &self.by.event(kind).of(user.id), now).await
    }

    /// Begins a transaction, in which whoever does this may do it.
    ///
    /// A request asks before, and that would be enough but for administrators who demote each other at the same moment. Under
    /// the administrators' lock the second of them is found to be none any more.
    pub(super) async fn begin(&self, name: &'static str, takes: Takes) -> Result<Tx, AccountError> {
        let mut tx = self.store.tx(name).await?;
        if takes == Takes::PerhapsAnAdministrator {
            administrators::lock(&mut tx).await?;
        }
        match self.by.actor {
            Actor::User(id) if !administrators::is_one(&mut tx, id).await? => {
                Err(AccountError::NotAdministrator)
            }
            _ => Ok(tx),
        }
    }

    /// Begins a transaction that holds the lock of this user.
    pub(super) async fn locked(
        &self,
        name: &'static str,
        whose: Whose<'_>,
        takes: Takes,
    ) -> Result<(Tx, User), AccountError> {
        let mut tx = self.begin(name, takes).await?;
        let id = match whose {
            Whose::Id(id) => Some(id),
            Whose::Email(email) => {
                let found = users::by_email(&mut tx, email.trim()).await?;
                found.map(|(user, _)| user.id)
            }
        };
        let id = id.ok_or(AccountError::Unknown)?;
        let user = users::lock(&mut tx, id)
            .await?
            .ok_or(AccountError::Unknown)?;
        Ok((tx, user))
    }
}
