//! What can happen.

/// The kinds, each with how it is stored and what its detail holds.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $text:literal,)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// How it is stored and asked for.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// A session began. `provider`: how the user proved who they are.
    SignIn = "sign_in",
    /// Somebody did not prove who they are. `provider`.
    SignInFailed = "sign_in_failed",
    /// Somebody proved who they are and was refused. `reason`.
    SignInRefused = "sign_in_refused",
    /// A session ended. `reason`: see [`EndReason`](crate::session::EndReason).
    SessionEnded = "session_ended",
    /// Every session there was ended. `sessions`: how many.
    EveryoneEnded = "everyone_ended",
    /// One access token was revoked. `jti`.
    TokenRevoked = "token_revoked",
    /// A session began in which an administrator acts as the user.
    ImpersonationStarted = "impersonation_started",
    /// Somebody who was signed in asked for what they may not do. `reason`, `call`.
    AccessRefused = "access_refused",
    /// An account was made.
    UserCreated = "user_created",
    /// An account can be entered through a provider from now on. `provider`.
    IdentityLinked = "identity_linked",
    /// An account was deleted.
    UserDeleted = "user_deleted",
    /// A link to set a password was made.
    InvitationMade = "invitation_made",
    /// Such a link was used.
    InvitationUsed = "invitation_used",
    /// Roles were granted or revoked. `roles`: the new ones.
    RolesChanged = "roles_changed",
    /// A password was set.
    PasswordChanged = "password_changed",
    /// A user gave a wrong present password when setting a new one.
    PasswordChangeRefused = "password_change_refused",
    /// Signing in was forbidden.
    UserDisabled = "user_disabled",
    /// Signing in was allowed again.
    UserEnabled = "user_enabled",
    /// Somebody took a copy of the log. `events`: how many.
    EventsExported = "events_exported",
    /// A service was registered. `client`: its client_id, as in the next two.
    ClientCreated = "client_created",
    /// A service was revoked. `client`.
    ClientRevoked = "client_revoked",
    /// A service got another secret. `client`.
    ClientSecretChanged = "client_secret_changed",
    /// A signing key was made. `kid`.
    KeyCreated = "key_created",
    /// A signing key was withdrawn. `kid`.
    KeyRevoked = "key_revoked",
}

impl Kind {
    /// Reads [`Self::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn kinds_have_names_of_their_own_that_the_table_takes() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let name = kind.as_str();
            assert_eq!(Kind::parse(name), Some(*kind));
            let plain = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(plain && (1..=40).contains(&name.len()), "{name}");
        }
        assert_eq!(Kind::parse("tea_made"), None);
    }
}
