//! What a session is and how it may change. Pure: reads no clock, draws no randomness, awaits nothing.
//!
//! The pattern everywhere: load the state, decide here, then compare-and-swap in [`store`](crate::store). Where the swap
//! finds another state than the one decided upon, load and decide again.

pub mod end;
pub mod policy;
pub mod refresh;
pub mod start;

use std::net::IpAddr;

use shared::id::{SessionId, UserId};
use shared::secret::SecretHash;
use shared::time::UnixMillis;

/// The provider of sessions that began with a password.
pub const PASSWORD: &str = "password";

/// One signed-in browser or client of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `sid`.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// Place in the order of the user's sign-ins.
    pub ordinal: i64,
    /// How often it was refreshed.
    pub generation: u32,
    /// Of the secret that its refresh tokens hold.
    pub secret_hash: SecretHash,
    /// When the user signed in.
    pub created_at: UnixMillis,
    /// When the user last proved who they are (`auth_time`, OpenID Connect Core 1.0 §2).
    pub auth_time: UnixMillis,
    /// When `generation` was last raised.
    pub rotated_at: UnixMillis,
    /// Who asked for `generation`: an edge, as soon as one has.
    pub renewed_by: Requester,
    /// When it was last refreshed.
    pub last_seen_at: UnixMillis,
    /// Its absolute end.
    pub expires_at: UnixMillis,
    /// When the longest-lived of its access tokens expires.
    pub access_expires_at: UnixMillis,
    /// Where the sign-in came from.
    pub ip: Option<IpAddr>,
    /// What the browser called itself.
    pub user_agent: String,
    /// How the user signed in.
    pub provider: String,
    /// Who acts as the user in it, where that is not the user: an administrator who impersonates (RFC 8693 §1.1).
    pub actor: Option<UserId>,
    /// Whether it still stands.
    pub state: State,
}

/// Who asks for a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// The client itself. It gets the answer at once.
    Client,
    /// An edge, in the middle of a client's request. The client gets the new tokens with the origin's answer, which may be
    /// late or lost. Until then it honestly presents the refresh token that it has.
    Edge,
}

/// Whether a session still stands. Running out of time is not a state: it follows from the times and the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody ended it.
    Live,
    /// Somebody ended it.
    Ended {
        /// When.
        at: UnixMillis,
        /// Why.
        reason: EndReason,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The user signed out there.
    Logout,
    /// The user ended it from another session.
    EndedByUser,
    /// The same browser signed in again.
    Replaced,
    /// The limit of sessions pushed it out.
    Evicted,
    /// A refresh token came back that was used before.
    RefreshReused,
    /// Not refreshed for too long.
    Idle,
    /// Its absolute end came.
    Expired,
    /// An administrator ended it.
    Administrator,
    /// The user was disabled.
    UserDisabled,
    /// The password was changed.
    PasswordChanged,
    /// The provider at which it began has ended its own session.
    ProviderLogout,
    /// A provider has revoked everything of the user.
    ProviderRevoked,
    /// Whoever acted as the user in it may do so no more, or the user's rights have changed.
    ImpersonationEnded,
    /// Its client revoked the refresh token (RFC 7009).
    RefreshRevoked,
}

impl EndReason {
    /// Every reason, for reading them back.
    pub const ALL: [Self; 14] = [
        Self::Logout,
        Self::EndedByUser,
        Self::Replaced,
        Self::Evicted,
        Self::RefreshReused,
        Self::Idle,
        Self::Expired,
        Self::Administrator,
        Self::UserDisabled,
        Self::PasswordChanged,
        Self::ProviderLogout,
        Self::ProviderRevoked,
        Self::ImpersonationEnded,
        Self::RefreshRevoked,
    ];

    /// How it is stored and logged.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::EndedByUser => "ended_by_user",
            Self::Replaced => "replaced",
            Self::Evicted => "evicted",
            Self::RefreshReused => "refresh_reused",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Administrator => "administrator",
            Self::UserDisabled => "user_disabled",
            Self::PasswordChanged => "password_changed",
            Self::ProviderLogout => "provider_logout",
            Self::ProviderRevoked => "provider_revoked",
            Self::ImpersonationEnded => "impersonation_ended",
            Self::RefreshRevoked => "refresh_revoked",
        }
    }

    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A session as it is right after a sign-in at `now`, living for a week.
    pub(crate) fn fresh(now: UnixMillis) -> Session {
        Session {
            id: SessionId::from_bytes([1; 16]),
            user_id: UserId::from_bytes([2; 16]),
            ordinal: 1,
            generation: 0,
            secret_hash: SecretHash::from_bytes([3; 32]),
            created_at: now,
            auth_time: now,
            rotated_at: now,
            renewed_by: Requester::Client,
            last_seen_at: now,
            expires_at: now.plus(std::time::Duration::from_secs(7 * 24 * 3600)),
            access_expires_at: now.plus(std::time::Duration::from_secs(900)),
            ip: None,
            user_agent: String::new(),
            provider: PASSWORD.to_owned(),
            actor: None,
            state: State::Live,
        }
    }

    #[test]
    fn reasons_survive_storage() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(EndReason::parse("boredom"), None);
    }
}
