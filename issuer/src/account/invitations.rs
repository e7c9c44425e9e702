//! Invitations: one-time links that lead to a password, the first or a new one. Nothing here sends them: whoever asks for one is
//! shown it, once.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use shared::secret::{Secret, SecretHash, SecretText};
use shared::time::UnixMillis;

use super::checks;
use super::users::{AccountError, Accounts, Takes, Whose};
use crate::entropy;
use crate::events::{self, Actor, By, Kind};
use crate::revoke::ending;
use crate::session::EndReason;
use crate::sign_in::password::Passwords;
use crate::store::users::{Access, User};
use crate::store::{Store, invitations, users};
use crate::time::Clock;

/// How long an invitation is good.
pub const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// What stands in a link: 256 random bits. Stored is only its hash.
pub struct Token(Secret<32>);

impl Token {
    /// Reads what stands in a link; `None` where it can be none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(Secret::from_bytes(bytes.try_into().ok()?)))
    }

    /// The link, at the site `public_url`.
    pub fn link(&self, public_url: &str) -> String {
        let token = BASE64_URL_SAFE_NO_PAD.encode(self.0.expose());
        format!("{}/auth/invite/{token}", public_url.trim_end_matches('/'))
    }

    fn hash(&self) -> SecretHash {
        self.0.sha256()
    }
}

impl Accounts<'_> {
    /// Makes an invitation, in place of the one there was, and says until when it is good.
    ///
    /// # Errors
    /// [`AccountError`]; nothing has happened then.
    pub async fn invite(&self, whose: Whose<'_>) -> Result<(Token, UnixMillis), AccountError> {
        let token = Token(Secret::from_bytes(entropy::bytes()?));
        let (mut tx, user) = self.locked("invite", whose, Takes::Nobody).await?;
        if user.access != Access::Enabled {
            return Err(AccountError::Disabled);
        }
        let now = self.clock.now();
        let expires_at = now.plus(LIFETIME);
        invitations::put(&mut tx, user.id, token.hash(), now, expires_at).await?;
        self.record(&mut tx, Kind::InvitationMade, &user, now)
            .await?;
        tx.commit().await?;
        Ok((token, expires_at))
    }
}

/// Whom the token invites. Uses nothing up: a mail scanner that follows a link must not.
///
/// # Errors
/// [`AccountError::Invitation`] where it invites nobody, or nobody who may sign in.
pub async fn invited(store: &Store, clock: &Clock, token: &Token) -> Result<User, AccountError> {
    let mut conn = store.conn().await?;
    let user = invitations::user_of(&mut conn, token.hash(), clock.now()).await?;
    user.filter(|user| user.access == Access::Enabled)
        .ok_or(AccountError::Invitation)
}

/// Uses the invitation up: sets the password and ends every session, so that whoever knew the old one is out. `by` says from
/// where the user does it.
///
/// # Errors
/// [`AccountError`]; the invitation is as good as before then.
pub async fn accept<'a>(
    store: &Store,
    clock: &Clock,
    passwords: &Passwords,
    token: &Token,
    password: SecretText,
    by: impl FnOnce(Actor) -> By<'a>,
) -> Result<(), AccountError> {
    // Before the costly hash: a stranger who guesses costs us one look.
    let user = invited(store, clock, token).await?;
    checks::password(&password)?;
    let hash = passwords.hash(password).await?;

    let mut tx = store.tx("accept invitation").await?;
    let user = users::lock(&mut tx, user.id)
        .await?
        .filter(|user| user.access == Access::Enabled)
        .ok_or(AccountError::Invitation)?;
    let now = clock.now();
    if !invitations::take(&mut tx, user.id, token.hash(), now).await? {
        return Err(AccountError::Invitation);
    }
    users::set_password(&mut tx, user.id, &hash, now).await?;
    let by = by(Actor::User(user.id));
    for kind in [Kind::InvitationUsed, Kind::PasswordChanged] {
        events::record(&mut tx, &by.event(kind).of(user.id), now).await?;
    }
    let reason = EndReason::PasswordChanged;
    ending::end_all(&mut tx, user.id, None, reason, by, now).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_the_token_and_nothing_else_is_one() {
        let token = Token(Secret::from_bytes([0xfb; 32]));
        let link = token.link("https://app.example.test");
        let text = link
            .strip_prefix("https://app.example.test/auth/invite/")
            .unwrap();
        assert_eq!(text.len(), 43);
        assert_eq!(Token::parse(text).unwrap().hash(), token.hash());
        for bad in [
            "",
            "x",
            &text[1..],
            &format!("{text}="),
            &format!("{text}A"),
        ] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
    }
}
