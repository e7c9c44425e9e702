//! Acting as somebody else, for support: a session of the user that says in everything it does who is behind it.

use std::time::Duration;

use shared::id::{SessionId, UserId};
use shared::secret::Secret;
use shared::time::UnixMillis;

use crate::entropy::{self, EntropyError};
use crate::events::{self, Actor, By, Kind};
use crate::fault::{Fault, via_fault};
use crate::revoke::ending;
use crate::session::policy::Policy;
use crate::session::start::first_moment;
use crate::session::{EndReason, Requester, Session, State};
use crate::sign_in::Started;
use crate::store::users::{Access, User};
use crate::store::{Store, StoreError, Tx, revocations, sessions, users};
use crate::time::Clock;
use crate::token::mint::{MintError, Minter};

/// How long such a session lives. It is not refreshed.
pub const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The role that an administrator must hold besides [`ADMIN`].
pub const ROLE: &str = "impersonate";

const ADMIN: &str = "admin";

/// The provider of such sessions.
const PROVIDER: &str = "impersonation";

/// Nobody proved who they are: so whatever asks for a sign-in that is not too old refuses, at the edge and here.
const NEVER: UnixMillis = UnixMillis::from_millis(0);

/// Why somebody may not act as a user.
#[derive(Debug, thiserror::Error)]
pub enum ImpersonationError {
    /// They do not hold both roles, or are disabled.
    #[error("who asks may not act as others")]
    NotAllowed,
    /// The user administers: whoever acted as them would get their rights.
    #[error("the user is an administrator")]
    Privileged,
    /// There is no such user.
    #[error("no such user")]
    Unknown,
    /// The user may not sign in, so nobody may as them.
    #[error("the user is disabled")]
    Disabled,
    /// Our fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

via_fault!(ImpersonationError: StoreError, EntropyError, MintError);

/// What it takes to let somebody act as a user.
pub struct Impersonations<'a> {
    /// Postgres.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a Clock,
    /// Tokens.
    pub minter: &'a Minter,
    /// Limits.
    pub policy: &'a Policy,
}

impl Impersonations<'_> {
    /// Begins a session of `user` in which `actor` acts, in one transaction with the end of those that it replaces: `held`, which
    /// the same browser holds, and whatever session the actor acts in already. `from` says from where.
    ///
    /// It takes no place from the user's own sessions, whose limit it does not count for. Both rows are locked: so it begins
    /// before a change of either's rights, which ends it, or after, and is then judged by the new ones.
    ///
    /// # Errors
    /// [`ImpersonationError`]; nothing has happened then.
    pub async fn start(
        &self,
        actor: UserId,
        user: UserId,
        held: &[SessionId],
        from: By<'_>,
    ) -> Result<Box<Started>, ImpersonationError> {
        let mut tx = self.store.tx("impersonate").await?;
        let (actor, user) = lock(&mut tx, actor, user).await?;
        check(actor.as_ref(), user.as_ref())?;
        let (Some(actor), Some(user)) = (actor, user) else {
            return Err(ImpersonationError::Unknown);
        };
        let ended_before = revocations::everyone_before(&mut tx).await?;
        let now = first_moment(self.clock.now(), ended_before);
        let by = from.done_by(Actor::User(actor.id));
        let mut replaced = sessions::impersonations(&mut tx, actor.id).await?;
        replaced.extend(
            held.iter()
                .filter(|id| !replaced.contains(id))
                .copied()
                .collect::<Vec<_>>(),
        );
        ending::end_sessions(&mut tx, &replaced, EndReason::Replaced, by, now).await?;

        let mut session = self.first_state(&actor, &user, from, now)?;
        let minted = self.minter.mint_once(&user, &session, now)?;
        session.access_expires_at = minted.access_expires_at;
        sessions::insert(&mut tx, &session).await?;
        let event = by.event(Kind::ImpersonationStarted).of(user.id);
        events::record(&mut tx, &event.in_session(session.id), now).await?;
        tx.commit().await?;
        Ok(Box::new(Started {
            user,
            session,
            minted,
        }))
    }

    fn first_state(
        &self,
        actor: &User,
        user: &User,
        from: By<'_>,
        now: UnixMillis,
    ) -> Result<Session, EntropyError> {
        // The row must have one; that of this secret is sealed in no token and known to nobody.
        let nobodys = Secret::<32>::from_bytes(entropy::bytes()?);
        Ok(Session {
            id: SessionId::from_bytes(entropy::bytes()?),
            user_id: user.id,
            ordinal: 0,
            generation: 0,
            secret_hash: nobodys.sha256(),
            created_at: now,
            auth_time: NEVER,
            rotated_at: now,
            renewed_by: Requester::Client,
            last_seen_at: now,
            expires_at: now.plus(LIFETIME.min(self.policy.absolute)),
            access_expires_at: now,
            ip: from.ip,
            user_agent: from.user_agent.to_owned(),
            provider: PROVIDER.to_owned(),
            actor: Some(actor.id),
            state: State::Live,
        })
    }
}

/// Whether `actor` may act as `user`.
fn check(actor: Option<&User>, user: Option<&User>) -> Result<(), ImpersonationError> {
    let holds = |user: &User, role: &str| user.roles.iter().any(|held| held == role);
    let may =
        |actor: &User| actor.access == Access::Enabled && holds(actor, ADMIN) && holds(actor, ROLE);
    if !actor.is_some_and(may) {
        return Err(ImpersonationError::NotAllowed);
    }
    let user = user.ok_or(ImpersonationError::Unknown)?;
    if holds(user, ADMIN) || holds(user, ROLE) {
        return Err(ImpersonationError::Privileged);
    }
    if user.access != Access::Enabled {
        return Err(ImpersonationError::Disabled);
    }
    Ok(())
}

/// Locks both rows, in the order of their ids: so no two who do this wait for each other.
async fn lock(
    tx: &mut Tx,
    actor: UserId,
    user: UserId,
) -> Result<(Option<User>, Option<User>), StoreError> {
    let first = users::lock(tx, actor.min(user)).await?;
    let second = users::lock(tx, actor.max(user)).await?;
    Ok(if actor <= user {
        (first, second)
    } else {
        (second, first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u8, roles: &[&str], access: Access) -> User {
        User {
            id: UserId::from_bytes([id; 16]),
            email: "somebody@example.test".to_owned(),
            name: "Somebody".to_owned(),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            ver: 1,
            created_at: NEVER,
            access,
        }
    }

    #[test]
    fn both_roles_are_needed_and_no_administrator_is_acted_as() {
        use ImpersonationError as E;
        let enabled = |id, roles: &[&str]| user(id, roles, Access::Enabled);
        let support = enabled(1, &["admin", "impersonate"]);
        let bob = enabled(2, &["billing", "user"]);
        assert!(check(Some(&support), Some(&bob)).is_ok());
        for roles in [&[][..], &["admin"], &["impersonate"], &["user"]] {
            let actor = enabled(1, roles);
            let refused = check(Some(&actor), Some(&bob));
            assert!(matches!(refused, Err(E::NotAllowed)), "{roles:?}");
        }
        let gone = user(
            1,
            &["admin", "impersonate"],
            Access::Disabled { since: NEVER },
        );
        assert!(matches!(check(Some(&gone), Some(&bob)), Err(E::NotAllowed)));
        assert!(matches!(check(None, Some(&bob)), Err(E::NotAllowed)));
        for roles in [&["admin"][..], &["impersonate"], &["admin", "impersonate"]] {
            let user = enabled(2, roles);
            let refused = check(Some(&support), Some(&user));
            assert!(matches!(refused, Err(E::Privileged)), "{roles:?}");
        }
        assert!(matches!(
            check(Some(&support), Some(&support)),
            Err(E::Privileged)
        ));
        assert!(matches!(check(Some(&support), None), Err(E::Unknown)));
        let disabled = user(2, &[], Access::Disabled { since: NEVER });
        assert!(matches!(
            check(Some(&support), Some(&disabled)),
            Err(E::Disabled)
        ));
    }
}
