//! Deleting what nobody needs any more, in small batches, so that nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use shared::time::UnixMillis;
use tokio::time::sleep;

use crate::entropy;
use crate::services::Services;
use crate::store::{Store, StoreError, attempts, events, invitations, once, revocations, sessions};

/// How often.
const INTERVAL: Duration = Duration::from_secs(60);

/// Rows in one statement.
const BATCH: i64 = 500;

/// How long a session is remembered after its end, for whoever looks into what happened.
pub const SESSIONS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the security log goes back.
pub const EVENTS_KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions that ended or ran out long ago.
    pub sessions: u64,
    /// Revocations of tokens that have all expired.
    pub revocations: u64,
    /// Invitations that have expired.
    pub invitations: u64,
    /// Old lines of the security log.
    pub events: u64,
    /// Allowances that are whole again.
    pub attempts: u64,
    /// What serves once and has expired.
    pub spent: u64,
}

/// Sweeps for ever. Every issuer does so; two at once only find less to do.
pub async fn run(services: Arc<Services>) {
    loop {
        sleep(INTERVAL.mul_f64(0.5 + entropy::jitter())).await;
        services.limits.addresses.forget_idle();
        match once(&services.store, services.clock.now()).await {
            Ok(swept) if swept == Swept::default() => {}
            Ok(Swept {
                sessions,
                revocations,
                invitations,
                events,
                attempts,
                spent,
            }) => tracing::info!(
                sessions,
                revocations,
                invitations,
                events,
                attempts,
                spent,
                "swept"
            ),
            Err(error) => tracing::warn!(%error, "sweeping"),
        }
    }
}

/// Deletes everything that is due at `now`.
///
/// # Errors
/// [`StoreError`]; what was deleted until then stays deleted.
pub async fn once(store: &Store, now: UnixMillis) -> Result<Swept, StoreError> {
    let before = |kept: Duration| {
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        UnixMillis::from_millis(now.millis().saturating_sub(kept))
    };
    let mut swept = Swept::default();
    loop {
        let mut conn = store.conn().await?;
        let batch = Swept {
            sessions: sessions::delete_dead(&mut conn, before(SESSIONS_KEPT), BATCH).await?,
            revocations: revocations::delete_expired(&mut conn, now, BATCH).await?,
            invitations: invitations::delete_expired(&mut conn, now, BATCH).await?,
            events: events::delete_old(&mut conn, before(EVENTS_KEPT), BATCH).await?,
            attempts: attempts::delete_whole(&mut conn, now, BATCH).await?,
            spent: once::delete_expired(&mut conn, now, BATCH).await?,
        };
        if batch == Swept::default() {
            return Ok(swept);
        }
        swept.sessions += batch.sessions;
        swept.revocations += batch.revocations;
        swept.invitations += batch.invitations;
        swept.events += batch.events;
        swept.attempts += batch.attempts;
        swept.spent += batch.spent;
    }
}
