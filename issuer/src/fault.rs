//! What can go wrong on our side, as opposed to what a client does wrong.

use crate::entropy::EntropyError;
use crate::sign_in::password::PasswordError;
use crate::store::StoreError;
use crate::token::keyring::KeyringError;
use crate::token::mint::MintError;

/// A fault of ours.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Making tokens.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// Hashing passwords.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Signing keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// Lets `?` turn the given errors into `$target` by way of [`Fault`].
macro_rules! via_fault {
    ($target:ty: $($error:ty),+) => {
        $(impl From<$error> for $target {
            fn from(error: $error) -> Self {
                Self::Fault(error.into())
            }
        })+
    };
}
pub(crate) use via_fault;
