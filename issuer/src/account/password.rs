//! Setting passwords: by the operator, and by users themselves.

use shared::id::{SessionId, UserId};
use shared::secret::SecretText;

use super::checks;
use super::users::{AccountError, Accounts, Takes, Whose};
use crate::events::{self, By, Kind};
use crate::revoke::ending;
use crate::session::EndReason;
use crate::sign_in::password::Passwords;
use crate::store::{Store, credentials, invitations, users};
use crate::time::Clock;

impl Accounts<'_> {
    /// Sets the password, ends every session and withdraws the invitation: whoever knew the old password is out (OWASP ASVS
    /// 5.0, 7.4.3).
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn set_password(
        &self,
        whose: Whose<'_>,
        password: SecretText,
        passwords: &Passwords,
    ) -> Result<(), AccountError> {
        checks::password(&password)?;
        let hash = passwords.hash(password).await?;
        let (mut tx, user) = self.locked("set password", whose, Takes::Nobody).await?;
        let now = self.clock.now();
        users::set_password(&mut tx, user.id, &hash, now).await?;
        self.record(&mut tx, Kind::PasswordChanged, &user, now)
            .await?;
        let (reason, by) = (EndReason::PasswordChanged, self.by);
        ending::end_all(&mut tx, user.id, None, reason, by, now).await?;
        invitations::withdraw(&mut tx, user.id).await?;
        Ok(tx.commit().await?)
    }
}

/// Whose password, and the two of them.
pub struct Change {
    /// The user, who is signed in.
    pub user: UserId,
    /// Where: this session stays.
    pub session: SessionId,
    /// The present one.
    pub current: SecretText,
    /// The next one.
    pub new: SecretText,
}

/// Changes a user's own password. It wants the present one (OWASP ASVS 5.0, 6.2.3), ends all other sessions (7.4.3) and
/// withdraws the invitation. A wrong present one is logged.
///
/// # Errors
/// [`AccountError`]; nothing has changed then.
pub async fn change(
    store: &Store,
    clock: &Clock,
    passwords: &Passwords,
    change: Change,
    by: By<'_>,
) -> Result<(), AccountError> {
    checks::password(&change.new)?;
    let stored = credentials::of(&mut *store.conn().await?, change.user).await?;
    let stored = stored.ok_or(AccountError::NoPassword)?;
    let verified = passwords.verify(change.current, Some(stored.clone()), None);
    if !verified.await? {
        let event = by.event(Kind::PasswordChangeRefused).of(change.user);
        let event = event.in_session(change.session);
        events::record(&mut *store.conn().await?, &event, clock.now()).await?;
        return Err(AccountError::WrongPassword);
    }
    let hash = passwords.hash(change.new).await?;

    let mut tx = store.tx("change own password").await?;
    let user = users::lock(&mut tx, change.user)
        .await?
        .ok_or(AccountError::Unknown)?;
    // Of two changes at once the second was shown a password that is no longer the present one.
    let present = credentials::of(&mut tx, user.id).await?;
    if present.is_none_or(|present| present.0 != stored.0) {
        return Err(AccountError::WrongPassword);
    }
    let now = clock.now();
    users::set_password(&mut tx, user.id, &hash, now).await?;
    let event = by.event(Kind::PasswordChanged).of(user.id);
    events::record(&mut tx, &event.in_session(change.session), now).await?;
    let (keep, reason) = (Some(change.session), EndReason::PasswordChanged);
    ending::end_all(&mut tx, user.id, keep, reason, by, now).await?;
    invitations::withdraw(&mut tx, user.id).await?;
    Ok(tx.commit().await?)
}
