//! Passwords: argon2id (RFC 9106), off the async threads, so many at a time as there are cores. Hashes of other kinds, which an
//! import brought along, are checked too and then replaced.

mod stored;

use std::sync::Arc;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use sha2::{Digest as _, Sha256};
use shared::secret::{Purpose, RootSecret, SecretText};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::entropy::{self, EntropyError};
use crate::store::users::PasswordHash;
pub use stored::{BadHash, StoredHash};

/// Memory in KiB, passes and lanes: the first choice of the OWASP Password Storage Cheat Sheet.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// How many sign-ins may wait for a core before further ones are turned away.
const MAX_WAITING: usize = 1024;

/// How long a password may be (OWASP ASVS 5.0, 6.2.1 and 6.2.9), in characters.
pub const LENGTH: std::ops::RangeInclusive<usize> = 8..=1024;

/// Why hashing failed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// More sign-ins at once than can be served.
    #[error("too many passwords are waiting to be checked")]
    Busy,
    /// No randomness for the salt.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The library refused.
    #[error("argon2: {0}")]
    Argon2(String),
    /// What is stored cannot be checked.
    #[error("stored hash: {0}")]
    Stored(#[from] BadHash),
    /// The hashing task died.
    #[error("the hashing task died: {0}")]
    Task(#[from] JoinError),
}

/// Checks and hashes passwords.
#[derive(Clone)]
pub struct Passwords {
    cores: Arc<Semaphore>,
    seats: Arc<Semaphore>,
    dummy: PasswordHash,
}

impl Passwords {
    /// A hasher that uses `cores` cores at most.
    ///
    /// # Errors
    /// [`PasswordError`] where the dummy hash cannot be made.
    pub async fn new(cores: usize) -> Result<Self, PasswordError> {
        let mut passwords = Self {
            cores: Arc::new(Semaphore::new(cores.max(1))),
            seats: Arc::new(Semaphore::new(MAX_WAITING)),
            dummy: PasswordHash(String::new()),
        };
        // Of a password that nobody knows, this process included.
        let nobodys = SecretText::new(format!("{:x?}", entropy::bytes::<32>()?));
        passwords.dummy = passwords.hash(nobodys).await?;
        Ok(passwords)
    }

    /// Whether `password` is the one of `hash`. Without a hash (no such account, a disabled one, one without a
    /// password) the work of `like` is done, or else of a hash of ours, and the answer is no, so that the time tells nothing
    /// (OWASP ASVS 5.0, 6.3.8).
    ///
    /// # Errors
    /// [`PasswordError`] where it could not be checked.
    pub async fn verify(
        &self,
        password: SecretText,
        hash: Option<PasswordHash>,
        like: Option<PasswordHash>,
    ) -> Result<bool, PasswordError> {
        let known = hash.is_some();
        let hash = hash.or(like).unwrap_or_else(|| self.dummy.clone());
        let good = self
            .on_a_core(move || Ok(StoredHash::parse(&hash.0)?.fits(password.expose().as_bytes())))
            .await?;
        Ok(good && known)
    }

    /// Whether the hash is as [`Self::hash`] makes it now. If not, it is replaced when the password is next known.
    pub fn is_current(hash: &PasswordHash) -> bool {
        let (memory, passes, lanes) = COST;
        let start = format!("$argon2id$v=19$m={memory},t={passes},p={lanes}$");
        hash.0.starts_with(&start)
    }

    /// The hash to be stored for `password`.
    ///
    /// # Errors
    /// [`PasswordError`] where it could not be made.
    pub async fn hash(&self, password: SecretText) -> Result<PasswordHash, PasswordError> {
        let salt = entropy::bytes::<16>()?;
        self.on_a_core(move || {
            argon2id()?
                .hash_password_with_salt(password.expose().as_bytes(), &salt)
                .map(|hash: phc::PasswordHash| PasswordHash(hash.to_string()))
                .map_err(|error| PasswordError::Argon2(error.to_string()))
        })
        .await
    }

    /// Runs `work` on a thread that may block, when a core is free.
    async fn on_a_core<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _seat = self.seats.try_acquire().map_err(|_| PasswordError::Busy)?;
        let core = self
            .cores
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Busy)?;
        tokio::task::spawn_blocking(move || {
            // Moved in here: a client that hangs up frees the core only when the work is done.
            let _core = core;
            work()
        })
        .await?
    }
}

/// Where among all hashes that one is as whose work a sign-in to an unknown `email` is done: see
/// [`drawn`](crate::store::credentials::drawn). Nobody without `secret` can tell, so nobody can choose an address that is as slow
/// as an account of theirs.
pub fn lot(secret: &RootSecret, email: &str) -> [u8; 16] {
    let key = secret.derive(Purpose::UnknownAccount);
    let hash = Sha256::new()
        .chain_update(key.expose())
        .chain_update(email.to_lowercase());
    let [lot @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]: [u8; 32] =
        hash.finalize().into();
    lot
}

fn argon2id() -> Result<Argon2<'static>, PasswordError> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None)
        .map_err(|error| PasswordError::Argon2(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Stopwatch;

    fn text(text: &str) -> SecretText {
        SecretText::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = Passwords::new(2).await.unwrap();
        let hash = passwords.hash(text("correct horse")).await.unwrap();
        assert!(
            hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hash.0
        );
        assert!(
            passwords
                .verify(text("correct horse"), Some(hash.clone()), None)
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify(text("wrong horse"), Some(hash), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn an_unknown_account_costs_a_real_check_with_the_same_parameters() {
        let passwords = Passwords::new(1).await.unwrap();
        assert!(
            passwords
                .dummy
                .0
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
        let hash = passwords.hash(text("correct horse")).await.unwrap();
        let known = Stopwatch::start();
        passwords.verify(text("x"), Some(hash), None).await.unwrap();
        let known = known.elapsed();
        let unknown = Stopwatch::start();
        assert!(!passwords.verify(text("x"), None, None).await.unwrap());
        assert!(unknown.elapsed() > known / 4, "the dummy was not checked");
    }

    #[tokio::test]
    async fn nobodys_password_is_right_even_if_it_is_that_of_the_hash_whose_work_is_done() {
        let passwords = Passwords::new(1).await.unwrap();
        let like = passwords.hash(text("correct horse")).await.unwrap();
        let found = passwords
            .verify(text("correct horse"), None, Some(like))
            .await;
        assert!(!found.unwrap());
    }

    #[test]
    fn an_address_draws_the_same_lot_however_it_is_capitalised() {
        let secret = RootSecret::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap();
        let other = RootSecret::parse("pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J").unwrap();
        assert_eq!(lot(&secret, "Ada@x"), lot(&secret, "ada@x"));
        assert_ne!(lot(&secret, "ada@x"), lot(&secret, "bob@x"));
        assert_ne!(lot(&secret, "ada@x"), lot(&other, "ada@x"));
    }

    #[tokio::test]
    async fn only_a_hash_of_ours_is_current() {
        let passwords = Passwords::new(1).await.unwrap();
        let ours = passwords.hash(text("correct horse")).await.unwrap();
        assert!(Passwords::is_current(&ours));
        for other in [
            "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXP",
            "$2b$10$x",
        ] {
            assert!(!Passwords::is_current(&PasswordHash(other.to_owned())));
        }
    }

    #[tokio::test]
    async fn a_broken_hash_is_a_fault_not_a_wrong_password() {
        let passwords = Passwords::new(1).await.unwrap();
        let broken = PasswordHash("$argon2id$broken".to_owned());
        assert!(matches!(
            passwords.verify(text("x"), Some(broken), None).await,
            Err(PasswordError::Stored(BadHash::Malformed))
        ));
    }

    #[tokio::test]
    async fn a_full_waiting_room_is_told() {
        let passwords = Passwords::new(1).await.unwrap();
        let _all = passwords
            .seats
            .acquire_many(u32::try_from(MAX_WAITING).unwrap())
            .await
            .unwrap();
        assert!(matches!(
            passwords.verify(text("x"), None, None).await,
            Err(PasswordError::Busy)
        ));
    }
}
