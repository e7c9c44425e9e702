//! Letting somebody into an account who has proved to a provider who they are: found, linked or made, with the roles of
//! their claims, in one transaction.

use shared::id::UserId;
use shared::time::UnixMillis;

use super::claims::Person;
use super::decide::{Decision, Holder, Known, Refusal, decide, roles_after};
use super::pending::{LIFETIME, Pending};
use crate::config::ProviderConfig;
use crate::entropy;
use crate::events::{self, Actor, By, Kind};
use crate::fault::Fault;
use crate::revoke::ending;
use crate::session::policy::Policy;
use crate::store::administrators::{self, ADMIN};
use crate::store::once::{self, Purpose};
use crate::store::users::{Access, User};
use crate::store::{Store, Tx, identities, users};
use crate::time::Clock;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Into this account.
    Account(UserId),
    /// Into none.
    Refused(Refusal),
    /// The account is there, and disabled.
    Disabled,
    /// This sign-in was finished before.
    Replayed,
}

/// What it takes.
pub struct Accounts<'a> {
    /// Postgres.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a Clock,
    /// Limits: they say how long a change must be announced.
    pub policy: &'a Policy,
}

impl Accounts<'_> {
    /// Finds, links or makes the account of `person`, who answers `pending`. `from` says from where they come.
    ///
    /// # Errors
    /// [`Fault`]; nothing has happened then.
    pub async fn enter(
        &self,
        config: &ProviderConfig,
        person: &Person,
        pending: &Pending,
        from: By<'_>,
    ) -> Result<Entry, Fault> {
        // Two first sign-ins at once: who loses the race finds what the winner made.
        const TRIES: u32 = 3;
        for _ in 1..TRIES {
            if let Some(entry) = self.try_enter(config, person, pending, from).await? {
                return Ok(entry);
            }
        }
        let last = self.try_enter(config, person, pending, from).await?;
        Ok(last.unwrap_or(Entry::Refused(Refusal::Taken)))
    }

    /// `None` where somebody else was faster.
    async fn try_enter(
        &self,
        config: &ProviderConfig,
        person: &Person,
        pending: &Pending,
        from: By<'_>,
    ) -> Result<Option<Entry>, Fault> {
        let mut tx = self.store.tx("enter through a provider").await?;
        let now = self.clock.now();
        let until = now.plus(LIFETIME);
        if !once::spend(&mut tx, Purpose::SignIn, &pending.state, until).await? {
            return Ok(Some(Entry::Replayed));
        }
        if config.roles.as_ref().is_some_and(|it| it.knows(ADMIN)) {
            // Before anything of the user is locked, as all do who may make the administrators fewer.
            administrators::lock(&mut tx).await?;
        }
        // The address before the identity: who sees what a faster sign-in of the same person has committed sees both, and
        // does not take the account for a stranger's.
        let holder = match &person.email {
            Some(email) => identities::holder(&mut tx, email).await?,
            None => None,
        };
        let known = Known {
            identity: identities::find(&mut tx, &person.identity).await?,
            holder: holder.map(|(user, address_is_proven)| Holder {
                user,
                address_is_proven,
            }),
        };
        let id = match decide(config, person, known) {
            Decision::Enter(user) => user,
            Decision::Link(user) => {
                if !self.link(&mut tx, user, person, config, from, now).await? {
                    return Ok(None);
                }
                user
            }
            Decision::Create { address_is_proven } => {
                let made = self.create(&mut tx, person, address_is_proven, config, from, now);
                let Some(user) = made.await? else {
                    return Ok(None);
                };
                user
            }
            Decision::Refuse(refusal) => return Ok(Some(Entry::Refused(refusal))),
        };
        let Some(user) = users::lock(&mut tx, id).await? else {
            return Ok(None);
        };
        if user.access != Access::Enabled {
            return self.refuse_disabled(tx, &user, config, from, now).await;
        }
        self.take_roles(&mut tx, &user, person, config, from, now)
            .await?;
        tx.commit().await?;
        Ok(Some(Entry::Account(id)))
    }

    async fn refuse_disabled(
        &self,
        tx: Tx,
        user: &User,
        config: &ProviderConfig,
        from: By<'_>,
        now: UnixMillis,
    ) -> Result<Option<Entry>, Fault> {
        // Rolled back: a disabled account gets neither a link nor roles.
        drop(tx);
        let event = from.event(Kind::SignInRefused).of(user.id);
        let event = event
            .with("reason", "disabled")
            .with("provider", config.name.as_str());
        events::record(&mut *self.store.conn().await?, &event, now).await?;
        Ok(Some(Entry::Disabled))
    }

    async fn link(
        &self,
        tx: &mut Tx,
        user: UserId,
        person: &Person,
        config: &ProviderConfig,
        from: By<'_>,
        now: UnixMillis,
    ) -> Result<bool, Fault> {
        if !identities::insert(tx, user, &person.identity, now).await? {
            return Ok(false);
        }
        let by = from.done_by(Actor::User(user));
        let event = by.event(Kind::IdentityLinked).of(user);
        let event = event.with("provider", config.name.as_str());
        events::record(tx, &event, now).await?;
        Ok(true)
    }

    async fn create(
        &self,
        tx: &mut Tx,
        person: &Person,
        address_is_proven: bool,
        config: &ProviderConfig,
        from: By<'_>,
        now: UnixMillis,
    ) -> Result<Option<UserId>, Fault> {
        let user = User {
            id: UserId::from_bytes(entropy::bytes()?),
            email: person.email.clone().unwrap_or_default(),
            name: person.name.clone(),
            roles: vec![],
            ver: 1,
            created_at: now,
            access: Access::Enabled,
        };
        if !users::insert(tx, &user).await? {
            return Ok(None);
        }
        if !address_is_proven {
            identities::note_unproven_address(tx, user.id).await?;
        }
        let by = from.done_by(Actor::User(user.id));
        let event = by.event(Kind::UserCreated).of(user.id);
        let event = event.with("provider", config.name.as_str());
        events::record(tx, &event, now).await?;
        let is_linked = self.link(tx, user.id, person, config, from, now).await?;
        Ok(is_linked.then_some(user.id))
    }

    /// Gives and takes the roles of the table, as the claim says today. The last enabled administrator stays one, and the log
    /// says so. The user's row is locked, and [`administrators::lock`] is held where the table knows their role.
    async fn take_roles(
        &self,
        tx: &mut Tx,
        user: &User,
        person: &Person,
        config: &ProviderConfig,
        from: By<'_>,
        now: UnixMillis,
    ) -> Result<(), Fault> {
        let Some(table) = &config.roles else {
            return Ok(());
        };
        let mut roles = roles_after(table, person, &user.roles);
        if roles == user.roles {
            return Ok(());
        }
        let is_admin = |roles: &[String]| roles.iter().any(|role| role == ADMIN);
        let is_demoted = is_admin(&user.roles) && !is_admin(&roles);
        let is_kept = is_demoted && !administrators::others_exist(tx, user.id).await?;
        if is_kept {
            roles.push(ADMIN.to_owned());
            roles.sort_unstable();
        }
        // Its claim says so, not the user.
        let by = from.done_by(Actor::Provider);
        if roles != user.roles {
            let ver = users::set_roles(tx, user.id, &roles).await?;
            ending::announce_claims(tx, user, ver, self.policy, by, now).await?;
        }
        let mut event = by.event(Kind::RolesChanged).of(user.id);
        event = event.with("roles", roles.as_slice());
        event = event.with("provider", config.name.as_str());
        if is_kept {
            event = event.with("kept", ADMIN);
        }
        Ok(events::record(tx, &event, now).await?)
    }
}
