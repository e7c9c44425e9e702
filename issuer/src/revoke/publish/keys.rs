//! What is written of the signing keys: the set of those that verify.

use shared::wire;

use super::PublishError;
use super::kv::{KvClient, Pair};
use crate::fault::Fault;
use crate::services::Services;

/// Writes the key set as Postgres has it now; nothing where the keys are none that edges must be given.
///
/// # Errors
/// [`PublishError`] where Postgres or KV does not answer, or a stored key cannot be opened: what stands in KV stays.
pub(super) async fn write(services: &Services, kv: &KvClient) -> Result<(), PublishError> {
    let keyring = &services.keyring;
    if !keyring.is_published() {
        return Ok(());
    }
    let now = services.clock.now();
    keyring
        .reload(&services.store, now)
        .await
        .map_err(Fault::from)?;
    let pair = Pair {
        key: wire::kv::KEY_SET.to_owned(),
        value: keyring
            .verifying()
            .publish(now, services.config.edge_secret()),
        ttl: None,
    };
    Ok(kv.write(vec![pair]).await?)
}
