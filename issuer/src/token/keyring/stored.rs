//! Signing keys in Postgres: made, replaced, sealed anew and deleted when it is time.

use std::sync::Arc;
use std::time::Duration;

use shared::id::KeyId;
use shared::key::SigningKey;
use shared::seal::{SealKeys, SealPurpose};
use shared::secret::Secret;
use shared::time::UnixMillis;

use super::plan::Plan;
use super::{KeyringError, RingKey};
use crate::config::Config;
use crate::entropy::{self, EntropyError};
use crate::session::end;
use crate::store::events::{Event, Kind};
use crate::store::keys::SealedKey;
use crate::store::{Store, Tx, events, keys, revocations};

/// What it takes to keep keys in Postgres.
pub(super) struct Stored {
    seal_keys: SealKeys,
    newest_seal_key: SealKeys,
    issuer: String,
    rotation: Duration,
    access: Duration,
}

impl Stored {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            seal_keys: config.seal_keys.clone(),
            newest_seal_key: config.newest_seal_key.clone(),
            issuer: config.public_url.clone(),
            rotation: config.key_rotation,
            access: config.policy.access,
        }
    }

    /// Every key, in the order of activation, after doing what is due at `now`.
    pub(super) async fn load(
        &self,
        store: &Store,
        now: UnixMillis,
    ) -> Result<Vec<RingKey>, KeyringError> {
        let mut stored = keys::all(&mut *store.conn().await?).await?;
        if self.is_work_due(&stored, now) {
            stored = self.maintain(store, now).await?;
        }
        stored.iter().map(|key| self.open(key)).collect()
    }

    /// Makes a key that signs from `activates_at` on. The caller holds [`keys::lock`].
    pub(super) async fn create(
        &self,
        tx: &mut Tx,
        activates_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<String, KeyringError> {
        let seed = Secret::from_bytes(entropy::bytes()?);
        let suffix = u32::from_be_bytes(entropy::bytes()?);
        let kid = format!("{}-{suffix:08x}", now.to_secs().secs());
        let key = SealedKey {
            kid: kid.clone(),
            sealed_seed: self.seal(seed.expose())?,
            created_at: now,
            activates_at,
        };
        keys::insert(tx, &key).await?;
        let event = Event {
            detail: &kid,
            ..Event::new(Kind::KeyCreated)
        };
        events::record(tx, &event, now).await?;
        Ok(kid)
    }

    /// Deletes the key `kid` and announces it. The caller holds [`keys::lock`].
    pub(super) async fn revoke(
        &self,
        tx: &mut Tx,
        kid: &str,
        now: UnixMillis,
    ) -> Result<Option<String>, KeyringError> {
        let mut left = keys::all(tx).await?;
        let all = left.len();
        left.retain(|key| key.kid != kid);
        if left.len() == all {
            return Err(KeyringError::Unknown(kid.to_owned()));
        }
        keys::delete(tx, &[kid.to_owned()]).await?;
        let announcement = end::of_key(KeyId::of(kid), self.access, now);
        revocations::append(tx, &[announcement], now).await?;
        let event = Event {
            detail: kid,
            ..Event::new(Kind::KeyRevoked)
        };
        events::record(tx, &event, now).await?;
        if left.iter().any(|key| key.activates_at <= now) {
            return Ok(None);
        }
        self.create(tx, now, now).await.map(Some)
    }

    fn is_work_due(&self, stored: &[SealedKey], now: UnixMillis) -> bool {
        self.plan(stored, now) != Plan::default() || stored.iter().any(|key| self.has_old_seal(key))
    }

    fn plan(&self, stored: &[SealedKey], now: UnixMillis) -> Plan {
        Plan::of(stored, self.rotation, self.access, now)
    }

    /// Whether the seal would break once the older keys are taken out of `ENCRYPTION_KEY`.
    fn has_old_seal(&self, key: &SealedKey) -> bool {
        let opened =
            self.newest_seal_key
                .open(SealPurpose::SigningKey, &self.issuer, &key.sealed_seed);
        opened.is_err()
    }

    async fn maintain(
        &self,
        store: &Store,
        now: UnixMillis,
    ) -> Result<Vec<SealedKey>, KeyringError> {
        let mut tx = store.tx("keys").await?;
        keys::lock(&mut tx).await?;
        // Another issuer may have done it while this one waited for the lock.
        let stored = keys::all(&mut tx).await?;
        let plan = self.plan(&stored, now);
        if let Some(activates_at) = plan.create {
            self.create(&mut tx, activates_at, now).await?;
        }
        if !plan.delete.is_empty() {
            keys::delete(&mut tx, &plan.delete).await?;
        }
        for key in stored.iter().filter(|key| self.has_old_seal(key)) {
            let seed = self.unseal(key)?;
            keys::reseal(&mut tx, &key.kid, &self.seal(seed.expose())?).await?;
        }
        let maintained = keys::all(&mut tx).await?;
        tx.commit().await?;
        Ok(maintained)
    }

    fn open(&self, key: &SealedKey) -> Result<RingKey, KeyringError> {
        let seed = self.unseal(key)?;
        Ok(RingKey {
            activates_at: key.activates_at,
            key: Arc::new(SigningKey::ed25519(key.kid.clone(), &seed)),
        })
    }

    fn seal(&self, seed: &[u8; 32]) -> Result<Vec<u8>, EntropyError> {
        let nonce = entropy::bytes()?;
        Ok(self
            .seal_keys
            .seal(SealPurpose::SigningKey, &self.issuer, seed, nonce))
    }

    fn unseal(&self, key: &SealedKey) -> Result<Secret<32>, KeyringError> {
        let unreadable = || KeyringError::Sealed(key.kid.clone());
        let seed = self
            .seal_keys
            .open(SealPurpose::SigningKey, &self.issuer, &key.sealed_seed)
            .map_err(|_| unreadable())?;
        let seed = seed.as_slice().try_into().map_err(|_| unreadable())?;
        Ok(Secret::from_bytes(seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::environment;

    const OLD: &str = "9f3c1e7ab45d2086ee17c94b60fa8d23715bc0e4a6d89f1237be05c4d1a2f86e";
    const NEW: &str = "1c85fe7ab45d2086ee17c94b60fa8d23715bc0e4a6d89f1237be05c4d1a20b93";

    fn stored(encryption_key: &str) -> Stored {
        let mut environment = environment();
        environment.retain(|(name, _)| name != "ENCRYPTION_KEY");
        environment.push(("ENCRYPTION_KEY".to_owned(), encryption_key.to_owned()));
        Stored::new(&Config::from_env(environment).unwrap())
    }

    #[test]
    fn a_key_is_sealed_anew_while_encryption_keys_are_rotated() {
        let now = UnixMillis::from_millis(0);
        let mut key = SealedKey {
            kid: "k".to_owned(),
            sealed_seed: stored(OLD).seal(&[7; 32]).unwrap(),
            created_at: now,
            activates_at: now,
        };
        assert!(!stored(OLD).has_old_seal(&key));
        let rotating = stored(&format!("{NEW},{OLD}"));
        assert!(rotating.has_old_seal(&key));
        assert!(rotating.is_work_due(std::slice::from_ref(&key), now));
        key.sealed_seed = rotating
            .seal(rotating.unseal(&key).unwrap().expose())
            .unwrap();
        assert!(stored(NEW).open(&key).is_ok());
        assert!(matches!(
            stored(OLD).open(&key),
            Err(KeyringError::Sealed(_))
        ));
    }
}
