//! What is told of an account that was not made or changed.

use super::Failure;
use crate::account::ADMIN;
use crate::account::users::AccountError;

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        use AccountError as E;
        match error {
            E::Unknown => Self::NotFound,
            E::Taken => Self::Conflict("email is the address of somebody already."),
            E::Email => Self::field("email", "must be an e-mail address"),
            E::Name => Self::field("name", "must have 1 to 200 characters in one line"),
            E::Password => Self::field("password", "must have 8 to 1024 characters"),
            E::Role(_) => Self::field("roles", "must be names of 1 to 64 of a-z 0-9 _ - . :"),
            E::Roles => Self::field("roles", "must be at most 30"),
            E::LastAdministrator => Self::Conflict(
                "This is the last enabled administrator. Give somebody else the role admin first.",
            ),
            E::NotAdministrator => Self::Forbidden(ADMIN),
            E::Disabled => Self::Conflict("This account is disabled. Enable it first."),
            E::NoPassword => Self::Conflict(
                "This account has no password: it signs in through a provider. An administrator can make a link that leads to one.",
            ),
            E::WrongPassword => Self::WrongPassword,
            E::Invitation => Self::BadInvitation,
            E::Fault(fault) => Self::Fault(fault),
        }
    }
}
