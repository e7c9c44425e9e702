//! Publishing revocations and keys to Workers KV.
//!
//! One issuer at a time does it, the leader. It keeps no list of what is still to be written: every write holds what the
//! ledger says at that moment, so a failed write, a crash or a change of leader loses nothing. A leader that was frozen and
//! goes on may still finish a write; that harms nobody, because readers never go back to a lower number.

mod keys;
mod kv;
mod lead;
mod pace;
mod writer;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::fault::Fault;
use crate::services::Services;
use crate::store::signals::{self, Signal};
pub use kv::{KvClient, KvError, install_tls_provider};
pub use lead::run;
use pace::Due;
pub use writer::PublishError;
use writer::Writer;

/// How often [`republish`] tries where KV says that a key was written only just now.
const ATTEMPTS: u32 = 5;

/// Calls for the publisher. One that comes while it is busy is answered by its next write, one that comes before there is
/// a publisher by its first.
#[derive(Default)]
pub struct Wake {
    /// There are new revocations.
    pub revocations: watch::Sender<()>,
    /// The key set has changed.
    pub keys: watch::Sender<()>,
    /// What stands in KV may be gone.
    pub everything: watch::Sender<()>,
}

/// Writes everything once, whoever leads, and has the leader do so too: it must not go on with a base that is gone.
///
/// # Errors
/// [`PublishError`] where Postgres or KV does not play along.
pub async fn republish(services: &Services, kv: &KvClient) -> Result<(), PublishError> {
    let mut conn = services.store.conn().await.map_err(Fault::from)?;
    services
        .ledger
        .refresh(&mut conn)
        .await
        .map_err(Fault::from)?;
    let mut writer = Writer::new(services, kv);
    let (mut due, mut attempt) = (Due::EVERYTHING, 1);
    while let Err(error) = writer.write(&mut due).await {
        again(&mut attempt, error).await?;
    }
    while let Err(error) = keys::write(services, kv).await {
        again(&mut attempt, error).await?;
    }
    Ok(signals::call(&mut conn, Signal::Republish)
        .await
        .map_err(Fault::from)?)
}

/// Waits where the same may succeed a moment later.
async fn again(attempt: &mut u32, error: PublishError) -> Result<(), PublishError> {
    if *attempt == ATTEMPTS || !error.is_too_soon() {
        return Err(error);
    }
    *attempt += 1;
    sleep(pace::jittered(pace::WRITE_INTERVAL)).await;
    Ok(())
}
