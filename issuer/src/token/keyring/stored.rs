//! Signing keys in Postgres: made, replaced, sealed anew and deleted when it is time.

use std::sync::Arc;
use std::time::Duration;

use shared::id::KeyId;
use shared::key::SigningKey;
use shared::seal::{SealKeys, SealPurpose};
use shared::secret::Secret;
use shared::time::UnixMillis;
use sqlx::PgConnection;

use super::plan::{Plan, forgotten_at};
use super::{ACTIVATION_DELAY, KeyringError, RingKey};
use crate::config::Config;
use crate::entropy::{self, EntropyError};
use crate::events::{self, By, Kind};
use crate::session::end;
use crate::store::keys::SealedKey;
use crate::store::{Store, Tx, keys, revocations};

/// A key as it stands in Postgres.
pub(super) struct StoredKey {
    pub(super) sealed: SealedKey,
    /// Nothing where it cannot be opened: sealed with a key that is not in `ENCRYPTION_KEY`, or for another `PUBLIC_URL`.
    pub(super) seed: Option<Secret<32>>,
}

impl StoredKey {
    pub(super) fn ring_key(&self) -> Option<RingKey> {
        Some(RingKey {
            activates_at: self.sealed.activates_at,
            key: Arc::new(SigningKey::ed25519(
                self.sealed.kid.clone(),
                self.seed.as_ref()?,
            )),
        })
    }
}

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
    ///
    /// # Errors
    /// [`KeyringError`] where Postgres does not answer, or no key that can be opened signs at `now`.
    pub(super) async fn load(
        &self,
        store: &Store,
        now: UnixMillis,
    ) -> Result<Vec<StoredKey>, KeyringError> {
        let mut stored = self.all(&mut *store.conn().await?).await?;
        if self.is_work_due(&stored, now) {
            stored = self.maintain(store, now).await?;
        }
        let signs = |key: &StoredKey| key.seed.is_some() && key.sealed.activates_at <= now;
        let unreadable = stored.iter().find(|key| key.seed.is_none());
        match unreadable {
            Some(key) if !stored.iter().any(signs) => {
                Err(KeyringError::Sealed(key.sealed.kid.clone()))
            }
            _ => Ok(stored),
        }
    }

    /// Every key as it is, in the order of activation.
    pub(super) async fn all(
        &self,
        conn: &mut PgConnection,
    ) -> Result<Vec<StoredKey>, KeyringError> {
        let open = |sealed: SealedKey| StoredKey {
            seed: self.unseal(&sealed),
            sealed,
        };
        Ok(keys::all(conn).await?.into_iter().map(open).collect())
    }

    /// When the keys of `stored` retire and are gone, whether that has come or not.
    pub(super) fn schedule(&self, stored: &[StoredKey], at: usize) -> (UnixMillis, UnixMillis) {
        let mut later = stored[at + 1..].iter().filter(|key| key.seed.is_some());
        let retires_at = match later.next() {
            Some(successor) => successor.sealed.activates_at,
            None => {
                let signs_from = stored[at].sealed.activates_at;
                signs_from.plus(self.rotation).plus(ACTIVATION_DELAY)
            }
        };
        (retires_at, forgotten_at(retires_at, self.access))
    }

    /// Makes a key that signs from `activates_at` on. The caller holds [`keys::lock`].
    pub(super) async fn create(
        &self,
        tx: &mut Tx,
        activates_at: UnixMillis,
        by: By<'_>,
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
        let event = by.event(Kind::KeyCreated).with("kid", kid.as_str());
        events::record(tx, &event, now).await?;
        Ok(kid)
    }

    /// Deletes the key `kid` and announces it. The caller holds [`keys::lock`].
    pub(super) async fn revoke(
        &self,
        tx: &mut Tx,
        kid: &str,
        by: By<'_>,
        now: UnixMillis,
    ) -> Result<Option<String>, KeyringError> {
        let mut left = self.all(tx).await?;
        let all = left.len();
        left.retain(|key| key.sealed.kid != kid);
        if left.len() == all {
            return Err(KeyringError::Unknown(kid.to_owned()));
        }
        keys::delete(tx, &[kid.to_owned()]).await?;
        let announcement = end::of_key(KeyId::of(kid), self.access, now);
        revocations::append(tx, &[announcement], now).await?;
        let event = by.event(Kind::KeyRevoked).with("kid", kid);
        events::record(tx, &event, now).await?;
        let signs = |key: &StoredKey| key.seed.is_some() && key.sealed.activates_at <= now;
        if left.iter().any(signs) {
            return Ok(None);
        }
        self.create(tx, now, by, now).await.map(Some)
    }

    fn is_work_due(&self, stored: &[StoredKey], now: UnixMillis) -> bool {
        self.plan(stored, now) != Plan::default() || stored.iter().any(|key| self.has_old_seal(key))
    }

    fn plan(&self, stored: &[StoredKey], now: UnixMillis) -> Plan {
        Plan::of(stored, self.rotation, self.access, now)
    }

    /// Whether the seal opens now, and would not once the older keys are taken out of `ENCRYPTION_KEY`.
    fn has_old_seal(&self, key: &StoredKey) -> bool {
        let opened = self.newest_seal_key.open(
            SealPurpose::SigningKey,
            &self.issuer,
            &key.sealed.sealed_seed,
        );
        key.seed.is_some() && opened.is_err()
    }

    async fn maintain(
        &self,
        store: &Store,
        now: UnixMillis,
    ) -> Result<Vec<StoredKey>, KeyringError> {
        let mut tx = store.tx("keys").await?;
        keys::lock(&mut tx).await?;
        // Another issuer may have done it while this one waited for the lock.
        let stored = self.all(&mut tx).await?;
        let plan = self.plan(&stored, now);
        if let Some(activates_at) = plan.create {
            self.create(&mut tx, activates_at, By::SYSTEM, now).await?;
        }
        if !plan.delete.is_empty() {
            keys::delete(&mut tx, &plan.delete).await?;
        }
        for key in stored.iter().filter(|key| self.has_old_seal(key)) {
            if let Some(seed) = &key.seed {
                let sealed = self.seal(seed.expose())?;
                keys::reseal(&mut tx, &key.sealed.kid, &sealed).await?;
            }
        }
        let maintained = self.all(&mut tx).await?;
        tx.commit().await?;
        Ok(maintained)
    }

    fn seal(&self, seed: &[u8; 32]) -> Result<Vec<u8>, EntropyError> {
        let nonce = entropy::bytes()?;
        Ok(self
            .seal_keys
            .seal(SealPurpose::SigningKey, &self.issuer, seed, nonce))
    }

    fn unseal(&self, key: &SealedKey) -> Option<Secret<32>> {
        let seed = self
            .seal_keys
            .open(SealPurpose::SigningKey, &self.issuer, &key.sealed_seed)
            .ok()?;
        Some(Secret::from_bytes(seed.as_slice().try_into().ok()?))
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
        let sealed = |sealed_seed| SealedKey {
            kid: "k".to_owned(),
            sealed_seed,
            created_at: now,
            activates_at: now,
        };
        let opened = |stored: &Stored, sealed_seed: &[u8]| {
            let sealed = sealed(sealed_seed.to_vec());
            let seed = stored.unseal(&sealed);
            StoredKey { sealed, seed }
        };
        let seal = stored(OLD).seal(&[7; 32]).unwrap();
        assert!(!stored(OLD).has_old_seal(&opened(&stored(OLD), &seal)));
        let rotating = stored(&format!("{NEW},{OLD}"));
        let key = opened(&rotating, &seal);
        assert!(rotating.has_old_seal(&key));
        assert!(rotating.is_work_due(std::slice::from_ref(&key), now));
        let anew = rotating.seal(key.seed.unwrap().expose()).unwrap();
        assert!(opened(&stored(NEW), &anew).ring_key().is_some());
        let unreadable = opened(&stored(OLD), &anew);
        assert!(unreadable.ring_key().is_none());
        assert!(
            !stored(OLD).is_work_due(&[unreadable], now),
            "there is nothing that could be done"
        );
    }
}
