//! Keeping up with what other issuers do: hears their wake-up calls and reloads the signing keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::entropy;
use crate::revoke::publish::Wake;
use crate::services::Services;
use crate::store::StoreError;
use crate::store::signals::{Listener, Signal};

/// How often the keys are looked at without being called: for activation, rotation by age, and missed calls.
const KEYS_INTERVAL: Duration = Duration::from_secs(60);

/// How long to wait for Postgres to come back.
const RETRY: Duration = Duration::from_secs(1);

/// Passes calls on, for ever. While the connection is away calls may be missed, so its return counts as every call.
pub(super) async fn listen(services: Arc<Services>, wake: Arc<Wake>, keys: Arc<Notify>) {
    loop {
        if let Err(error) = hear(&services, &wake, &keys).await {
            tracing::warn!(%error, "no wake-up calls for now");
        }
        sleep(RETRY.mul_f64(0.5 + entropy::jitter())).await;
    }
}

async fn hear(services: &Services, wake: &Wake, keys: &Notify) -> Result<(), StoreError> {
    let mut listener = Listener::connect(&services.store).await?;
    let all = || {
        keys.notify_one();
        wake.revocations.send_replace(());
        wake.everything.send_replace(());
    };
    all();
    loop {
        match listener.next().await? {
            Some(Signal::Revocations) => wake.revocations.send_replace(()),
            Some(Signal::Keys) => keys.notify_one(),
            Some(Signal::Republish) => wake.everything.send_replace(()),
            None => all(),
        }
    }
}

/// Reloads the signing keys when called and every now and then, for ever, and tells the publisher when they changed.
pub(super) async fn reload_keys(services: Arc<Services>, wake: Arc<Wake>, keys: Arc<Notify>) {
    let known = || services.keyring.verifying().to_jwks();
    loop {
        // Either way it is time to look.
        let _ = timeout(KEYS_INTERVAL, keys.notified()).await;
        let before = known();
        match services
            .keyring
            .reload(&services.store, services.clock.now())
            .await
        {
            Ok(()) if known() != before => {
                tracing::info!("the signing keys changed");
                wake.keys.send_replace(());
            }
            Ok(()) => {}
            Err(error) => {
                tracing::error!(%error, "the signing keys could not be reloaded; the known ones stay")
            }
        }
    }
}
