//! The security log: who did what, from where (OWASP ASVS 5.0, V16). Holds no token, no password, no address of a
//! stranger who mistyped.

use std::net::IpAddr;

use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;
use sqlx::PgConnection;

use super::{StoreError, to_db};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A session began.
    SignIn,
    /// A password was wrong, or there is no such account, or it is disabled.
    SignInFailed,
    /// The limit of sessions refused a sign-in.
    SignInRefused,
    /// A session ended; the detail says why.
    SessionEnded,
    /// Every session there was ended; the detail says how many.
    EveryoneEnded,
    /// One access token was revoked; the detail is its jti.
    TokenRevoked,
    /// An account was made.
    UserCreated,
    /// An account can be entered through a provider from now on; the detail is the provider's name.
    IdentityLinked,
    /// An account was deleted.
    UserDeleted,
    /// A link to set a password was made.
    InvitationMade,
    /// Such a link was used.
    InvitationUsed,
    /// Roles were granted or revoked; the detail has the new ones.
    RolesChanged,
    /// A password was set.
    PasswordChanged,
    /// A user gave a wrong present password when setting a new one.
    PasswordChangeRefused,
    /// Signing in was forbidden.
    UserDisabled,
    /// Signing in was allowed again.
    UserEnabled,
    /// A signing key was made; the detail is its kid.
    KeyCreated,
    /// A signing key was withdrawn.
    KeyRevoked,
}

impl Kind {
    /// How it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignInFailed => "sign_in_failed",
            Self::SignInRefused => "sign_in_refused",
            Self::SessionEnded => "session_ended",
            Self::EveryoneEnded => "everyone_ended",
            Self::TokenRevoked => "token_revoked",
            Self::UserCreated => "user_created",
            Self::IdentityLinked => "identity_linked",
            Self::UserDeleted => "user_deleted",
            Self::InvitationMade => "invitation_made",
            Self::InvitationUsed => "invitation_used",
            Self::RolesChanged => "roles_changed",
            Self::PasswordChanged => "password_changed",
            Self::PasswordChangeRefused => "password_change_refused",
            Self::UserDisabled => "user_disabled",
            Self::UserEnabled => "user_enabled",
            Self::KeyCreated => "key_created",
            Self::KeyRevoked => "key_revoked",
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// What happened.
    pub kind: Kind,
    /// To whom.
    pub user: Option<UserId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// From where.
    pub ip: Option<IpAddr>,
    /// With what.
    pub user_agent: &'a str,
    /// What else there is to say.
    pub detail: &'a str,
}

impl Event<'_> {
    /// An event about which nothing but its kind is known.
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            user: None,
            session: None,
            ip: None,
            user_agent: "",
            detail: "",
        }
    }
}

/// Adds a line.
pub async fn record(
    conn: &mut PgConnection,
    event: &Event<'_>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into events (at, kind, user_id, session_id, ip, user_agent, detail)
         values ($1, $2, $3, $4, $5::text::inet, $6, $7)",
    )
    .bind(to_db(now))
    .bind(event.kind.as_str())
    .bind(event.user.as_ref().map(|id| id.as_bytes().as_slice()))
    .bind(event.session.as_ref().map(|id| id.as_bytes().as_slice()))
    .bind(event.ip.map(|ip| ip.to_string()))
    .bind(event.user_agent)
    .bind(event.detail)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets from where and with what: of all that was done to `user` or by them. What happened, when, and the ids stay.
pub async fn forget(conn: &mut PgConnection, user: UserId) -> Result<u64, StoreError> {
    let forgotten = sqlx::query(
        "update events set ip = null, user_agent = ''
         where user_id = $1 and (ip is not null or user_agent <> '')",
    )
    .bind(user.as_bytes().as_slice())
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}

/// Deletes at most `limit` lines from before `before`.
pub async fn delete_old(
    conn: &mut PgConnection,
    before: UnixMillis,
    limit: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query(
        "delete from events where number in (
             select number from events where at < $1 limit $2 for update skip locked)",
    )
    .bind(to_db(before))
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}
