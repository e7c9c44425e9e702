//! The keys that sign access tokens: which of them signs, which verify, when a successor is due.
//!
//! Which key signs follows from the stored times alone, so every issuer chooses the same one without talking to the
//! others. A key is published before it signs, and verifies until the last token it signed has expired.

mod listed;
mod plan;
mod stored;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use shared::key::{KeySet, SigningKey};
use shared::secret::RootSecret;
use shared::time::UnixMillis;

use crate::config::Config;
use crate::entropy::EntropyError;
use crate::events::By;
use crate::store::{Store, StoreError, keys};
pub use listed::{KeyState, Listed};
use stored::{Stored, StoredKey};

/// How long a new key is published before it signs: longer than any edge takes to learn of it.
pub const ACTIVATION_DELAY: Duration = Duration::from_secs(10 * 60);

/// Why there is no key to sign with, or no other one.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The stored key was sealed with a key that is not (any more) in `ENCRYPTION_KEY`, or for another `PUBLIC_URL`.
    #[error("the signing key {0} cannot be opened: was ENCRYPTION_KEY or PUBLIC_URL changed?")]
    Sealed(String),
    /// Nothing is loaded.
    #[error("no signing key is active")]
    None,
    /// Nothing to withdraw.
    #[error("there is no signing key {0}")]
    Unknown(String),
    /// Rotating makes no sense with a configured secret.
    #[error("tokens are signed with JWT_SECRET: change that setting instead")]
    Configured,
}

/// The keys in memory.
pub struct Keyring {
    source: Source,
    ring: RwLock<Arc<Ring>>,
}

/// A key and when it begins to sign.
struct RingKey {
    activates_at: UnixMillis,
    key: Arc<SigningKey>,
}

#[derive(Default)]
struct Ring {
    /// In the order of activation.
    keys: Vec<RingKey>,
    /// The names of those that cannot be opened.
    unreadable: Vec<String>,
    verifying: Arc<KeySet>,
}

enum Source {
    /// `JWT_SECRET`.
    Configured,
    /// Postgres.
    Stored(Stored),
}

impl Keyring {
    /// The ring for this configuration; with stored keys it is empty until the first [`Self::reload`].
    pub fn new(config: &Config) -> Self {
        match &config.jwt_secrets {
            Some(secrets) => Self::configured(secrets),
            None => Self {
                source: Source::Stored(Stored::new(config)),
                ring: RwLock::default(),
            },
        }
    }

    /// The first secret signs, each verifies.
    fn configured(secrets: &[RootSecret]) -> Self {
        let oldest_first = secrets.iter().rev();
        let keys = oldest_first.map(|secret| RingKey {
            activates_at: UnixMillis::from_millis(i64::MIN),
            key: Arc::new(SigningKey::hs256(secret)),
        });
        Self {
            source: Source::Configured,
            ring: RwLock::new(Arc::new(Ring::new(keys.collect(), vec![]))),
        }
    }

    /// Brings memory and Postgres to where they should be at `now`: makes the first key or a due successor, deletes keys
    /// that nothing needs, renews seals, loads the rest. Any number of issuers may do so at once. A key that cannot be opened is
    /// passed over, and named in the log when that is new.
    ///
    /// # Errors
    /// [`KeyringError`] where Postgres does not answer, or no key that can be opened signs at `now`; the keys held stay.
    pub async fn reload(&self, store: &Store, now: UnixMillis) -> Result<(), KeyringError> {
        if let Source::Stored(stored) = &self.source {
            let stored = stored.load(store, now).await?;
            let unreadable = stored.iter().filter(|key| key.seed.is_none());
            let unreadable: Vec<_> = unreadable.map(|key| key.sealed.kid.clone()).collect();
            let known = self.ring();
            for kid in unreadable
                .iter()
                .filter(|kid| !known.unreadable.contains(kid))
            {
                tracing::error!(
                    kid,
                    "a stored signing key cannot be opened and is passed over"
                );
            }
            let keys = stored.iter().filter_map(StoredKey::ring_key).collect();
            let ring = Arc::new(Ring::new(keys, unreadable));
            *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        }
        Ok(())
    }

    /// Makes a successor now, whatever the age of the present key. Returns its kid and when it begins to sign. `from` says who
    /// asks, from where.
    ///
    /// # Errors
    /// [`KeyringError`] where Postgres does not answer or keys are configured.
    pub async fn rotate(
        &self,
        store: &Store,
        by: By<'_>,
        now: UnixMillis,
    ) -> Result<(String, UnixMillis), KeyringError> {
        let Source::Stored(stored) = &self.source else {
            return Err(KeyringError::Configured);
        };
        let activates_at = now.plus(ACTIVATION_DELAY);
        let mut tx = store.tx("rotate keys").await?;
        keys::lock(&mut tx).await?;
        let kid = stored.create(&mut tx, activates_at, by, now).await?;
        tx.commit().await?;
        Ok((kid, activates_at))
    }

    /// Withdraws the key named `kid`: it verifies nothing any more, and edges refuse what it has signed within the bound of
    /// revocations. Where no other key signs at `now`, a new one does at once; returns its kid.
    ///
    /// # Errors
    /// [`KeyringError`] where Postgres does not answer, keys are configured, or there is no such key.
    pub async fn revoke(
        &self,
        store: &Store,
        kid: &str,
        by: By<'_>,
        now: UnixMillis,
    ) -> Result<Option<String>, KeyringError> {
        let Source::Stored(stored) = &self.source else {
            return Err(KeyringError::Configured);
        };
        let mut tx = store.tx("revoke key").await?;
        keys::lock(&mut tx).await?;
        let created = stored.revoke(&mut tx, kid, by, now).await?;
        tx.commit().await?;
        Ok(created)
    }

    /// Every key as Postgres has it now, or as it is configured, oldest first.
    ///
    /// # Errors
    /// [`KeyringError`] where Postgres does not answer.
    pub async fn list(&self, store: &Store, now: UnixMillis) -> Result<Vec<Listed>, KeyringError> {
        match &self.source {
            Source::Stored(stored) => {
                let keys = stored.all(&mut *store.conn().await?).await?;
                Ok(listed::stored(stored, &keys, now))
            }
            Source::Configured => {
                let signing = self.signing(now)?;
                let ring = self.ring();
                let keys = ring.keys.iter();
                Ok(keys
                    .map(|key| Listed::configured(&key.key, signing.kid()))
                    .collect())
            }
        }
    }

    /// The key that signs at `now`: the one that was activated last.
    ///
    /// # Errors
    /// [`KeyringError::None`] before the first load.
    pub fn signing(&self, now: UnixMillis) -> Result<Arc<SigningKey>, KeyringError> {
        let ring = self.ring();
        let active = ring.keys.iter().rev().find(|key| key.activates_at <= now);
        active.map(|key| key.key.clone()).ok_or(KeyringError::None)
    }

    /// The keys that verify.
    pub fn verifying(&self) -> Arc<KeySet> {
        self.ring().verifying.clone()
    }

    /// Whether the keys are public ones that edges must be given.
    pub const fn is_published(&self) -> bool {
        matches!(self.source, Source::Stored(_))
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Ring {
    fn new(keys: Vec<RingKey>, unreadable: Vec<String>) -> Self {
        let verifying = keys
            .iter()
            .map(|key| key.key.verifying_key().clone())
            .collect();
        Self {
            verifying: Arc::new(KeySet::new(verifying)),
            unreadable,
            keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::secret::Secret;

    use super::*;
    use crate::config::tests::{JWT_SECRET, environment};

    #[test]
    fn a_configured_secret_signs_at_once_and_is_not_published() {
        let mut environment = environment();
        environment.push(("JWT_SECRET".to_owned(), JWT_SECRET.to_owned()));
        let ring = Keyring::new(&Config::from_env(environment).unwrap());
        let key = ring.signing(UnixMillis::from_millis(0)).unwrap();
        assert!(ring.verifying().get(key.kid()).is_some());
        assert!(!ring.is_published());
    }

    #[test]
    fn of_two_configured_secrets_the_first_signs_and_both_verify() {
        const OLD: &str = "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J";
        let ring = |secrets: &str| {
            let mut environment = environment();
            environment.push(("JWT_SECRET".to_owned(), secrets.to_owned()));
            Keyring::new(&Config::from_env(environment).unwrap())
        };
        let now = UnixMillis::from_millis(0);
        let kid = |ring: &Keyring| ring.signing(now).unwrap().kid().to_owned();
        let (old, both) = (ring(OLD), ring(&format!("{JWT_SECRET},{OLD}")));
        assert_eq!(kid(&both), kid(&ring(JWT_SECRET)));
        assert!(both.verifying().get(&kid(&old)).is_some());
        assert!(old.verifying().get(&kid(&both)).is_none());
    }

    #[test]
    fn without_keys_nothing_signs() {
        let ring = Keyring::new(&Config::from_env(environment()).unwrap());
        assert!(matches!(
            ring.signing(UnixMillis::from_millis(0)),
            Err(KeyringError::None)
        ));
    }

    #[test]
    fn the_last_activated_key_signs() {
        let ring = Keyring::new(&Config::from_env(environment()).unwrap());
        let key = |kid: &str, at| RingKey {
            activates_at: UnixMillis::from_millis(at),
            key: Arc::new(SigningKey::ed25519(
                kid.to_owned(),
                &Secret::from_bytes([1; 32]),
            )),
        };
        *ring.ring.write().unwrap() = Arc::new(Ring::new(vec![key("a", 0), key("b", 100)], vec![]));
        assert_eq!(
            ring.signing(UnixMillis::from_millis(99)).unwrap().kid(),
            "a"
        );
        assert_eq!(
            ring.signing(UnixMillis::from_millis(100)).unwrap().kid(),
            "b"
        );
        assert_eq!(
            ring.verifying().keys().len(),
            2,
            "the new one is published before it signs"
        );
    }
}
