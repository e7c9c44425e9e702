//! What every handler and task works with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::account::impersonation::Impersonations;
use crate::account::users::Accounts;
use crate::config::Config;
use crate::events::By;
use crate::fault::Fault;
use crate::limits::Limits;
use crate::revoke::ledger::Ledger;
use crate::sign_in::SignIns;
use crate::sign_in::oidc::Providers;
use crate::sign_in::password::Passwords;
use crate::store::Store;
use crate::time::Clock;
use crate::token::keyring::Keyring;
use crate::token::mint::Minter;

/// The parts of an issuer, put together once.
pub struct Services {
    /// What was configured.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// Postgres.
    pub store: Store,
    /// Signing keys.
    pub keyring: Arc<Keyring>,
    /// Tokens.
    pub minter: Minter,
    /// Passwords.
    pub passwords: Passwords,
    /// Set once this issuer is told to stop: it serves on for a moment, and asks not to be called again.
    pub leaving: AtomicBool,
    /// How often things may be tried.
    pub limits: Limits,
    /// Providers that people may sign in through.
    pub providers: Providers,
    /// Revocations; it has read none yet.
    pub ledger: Arc<Ledger>,
}

impl Services {
    /// Puts the parts together and loads the signing keys, making the first one where there is none.
    ///
    /// # Errors
    /// [`Fault`] where Postgres does not answer or the stored keys cannot be opened.
    pub async fn new(config: Config, clock: Clock, store: Store) -> Result<Self, Fault> {
        let keyring = Arc::new(Keyring::new(&config));
        keyring.reload(&store, clock.now()).await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            minter: Minter::new(&config, keyring.clone()),
            passwords: Passwords::new(cores).await?,
            leaving: AtomicBool::new(false),
            limits: Limits::new(&config, &clock),
            providers: Providers::new(&config.providers, &config.public_url),
            ledger: Arc::new(Ledger::new(store.clone(), clock.clone())),
            config,
            clock,
            store,
            keyring,
        })
    }

    /// Making and changing accounts, done by `by`.
    pub const fn accounts<'a>(&'a self, by: By<'a>) -> Accounts<'a> {
        Accounts {
            store: &self.store,
            clock: &self.clock,
            policy: &self.config.policy,
            by,
        }
    }

    /// Acting as others.
    pub const fn impersonations(&self) -> Impersonations<'_> {
        Impersonations {
            store: &self.store,
            clock: &self.clock,
            minter: &self.minter,
            policy: &self.config.policy,
        }
    }

    /// Beginning sessions.
    pub const fn sign_ins(&self) -> SignIns<'_> {
        SignIns {
            store: &self.store,
            clock: &self.clock,
            minter: &self.minter,
            policy: &self.config.policy,
        }
    }
}
