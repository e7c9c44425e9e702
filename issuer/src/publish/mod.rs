//! Publishing revocations and keys to Workers KV.
//!
//! One issuer at a time does it, the leader. It keeps no list of what is still to be written: every write holds the
//! whole of what Postgres says at that moment, so a failed write, a crash or a change of leader loses nothing.

mod kv;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use shared::revocation::Snapshot;
use shared::wire;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::fault::Fault;
use crate::services::Services;
use crate::store::revocations;
use crate::store::signals::Leadership;
use kv::Pair;
pub use kv::{KvClient, KvError, install_tls_provider};
use pace::{Backoff, Due};

/// A snapshot is written at least this often: its `made_at` is what tells edges that they have missed nothing.
pub const HEARTBEAT: Duration = Duration::from_secs(30);

/// KV takes one write a second for each key.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// How often those who do not lead try to.
const STANDBY: Duration = Duration::from_secs(2);

/// Longest time to read what is to be published. The lock's connection may hang instead of failing.
const READ_LIMIT: Duration = Duration::from_secs(15);

/// Wakes the publisher. Calls that come while it is busy are answered by its next write.
#[derive(Default)]
pub struct Wake {
    /// There are new revocations.
    pub revocations: Notify,
    /// The key set has changed.
    pub keys: Notify,
}

/// Why the lead was lost.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("reading took longer than {READ_LIMIT:?}")]
    Slow(#[from] tokio::time::error::Elapsed),
}

/// Takes the lead whenever it is free, and publishes. Never returns; dropping it gives the lead up.
pub async fn run(services: Arc<Services>, kv: KvClient, wake: Arc<Wake>) {
    loop {
        match Leadership::try_take(&services.store).await {
            Ok(Some(leadership)) => {
                tracing::info!("publishing to KV");
                let Err(lost) = lead(&services, &kv, &wake, leadership).await;
                tracing::warn!(reason = %lost, "stopped publishing to KV");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot try to publish"),
        }
        sleep(pace::jittered(STANDBY)).await;
    }
}

/// Writes everything once, whoever leads.
///
/// # Errors
/// [`PublishError`] where Postgres or KV does not play along.
pub async fn once(services: &Services, kv: &KvClient) -> Result<(), PublishError> {
    let due = Due {
        revocations: true,
        keys: services.keyring.is_published(),
    };
    let mut conn = services.store.conn().await.map_err(Fault::from)?;
    let pairs = collect(services, &mut conn, due).await?;
    Ok(kv.write(&pairs).await?)
}

/// Why [`once`] failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Reading.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Writing.
    #[error(transparent)]
    Kv(#[from] KvError),
}

async fn lead(
    services: &Services,
    kv: &KvClient,
    wake: &Wake,
    mut leadership: Leadership,
) -> Result<std::convert::Infallible, Lost> {
    let mut due = Due {
        revocations: true,
        keys: services.keyring.is_published(),
    };
    let mut backoff = Backoff::default();
    loop {
        // Through the lock's own connection: if it is gone, so is the lead, and nothing is written.
        let pairs = timeout(READ_LIMIT, collect(services, leadership.connection(), due)).await??;
        match kv.write(&pairs).await {
            Ok(()) => {
                backoff = Backoff::default();
                due = Due::default();
            }
            Err(error) => {
                let wait = backoff.next();
                tracing::warn!(%error, retry_in_ms = wait.as_millis(), "KV did not take the write");
                sleep(wait).await;
                due.revocations = true;
                continue;
            }
        }
        sleep(WRITE_INTERVAL).await;
        tokio::select! {
            () = wake.revocations.notified() => due.revocations = true,
            () = wake.keys.notified() => due.keys = services.keyring.is_published(),
            () = sleep(HEARTBEAT - WRITE_INTERVAL) => due.revocations = true,
        }
    }
}

/// What is to be written, as Postgres has it now.
async fn collect(
    services: &Services,
    conn: &mut sqlx::PgConnection,
    due: Due,
) -> Result<Vec<Pair>, Fault> {
    let secret = services.config.edge_secret();
    // Taken before the read: everything committed until then is in it.
    let made_at = services.clock.now();
    let mut pairs = vec![];
    if due.revocations {
        let live = revocations::live(conn, made_at).await?;
        tracing::debug!(
            number = live.number,
            revocations = live.revocations.len(),
            "snapshot"
        );
        let snapshot = Snapshot {
            number: live.number,
            made_at,
            entries: live.revocations,
        };
        pairs.push(Pair {
            key: wire::kv::REVOCATIONS_HEAD,
            value: snapshot.encode(secret),
        });
    }
    if due.keys {
        services.keyring.reload(&services.store, made_at).await?;
        pairs.push(Pair {
            key: wire::kv::KEY_SET,
            value: services.keyring.verifying().publish(made_at, secret),
        });
    }
    Ok(pairs)
}
