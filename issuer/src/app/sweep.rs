//! Deleting what nobody needs any more, in small batches, so that nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use shared::time::UnixMillis;
use tokio::time::sleep;

use crate::entropy;
use crate::events;
use crate::revoke::ending::note_run_out;
use crate::services::Services;
use crate::session::policy::Policy;
use crate::store::{Store, StoreError, attempts, invitations, once, revocations, sessions};

/// How often.
const INTERVAL: Duration = Duration::from_secs(60);

/// Rows in one statement.
const BATCH: i64 = 500;

/// How long a session is remembered after its end, for whoever looks into what happened.
pub const SESSIONS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions whose time had run out, which is noted now.
    pub run_out: u64,
    /// Sessions that ended or ran out long ago.
    pub sessions: u64,
    /// Revocations of tokens that have all expired.
    pub revocations: u64,
    /// Invitations that have expired.
    pub invitations: u64,
    /// Weeks of the security log.
    pub weeks: u64,
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
        let (store, now) = (&services.store, services.clock.now());
        // First, and by itself: without them nothing else can be done.
        if let Err(error) = events::make_weeks(store, now).await {
            tracing::error!(%error, "making partitions for events");
        }
        match once(
            store,
            &services.config.policy,
            services.config.events_kept,
            now,
        )
        .await
        {
            Ok(swept) if swept == Swept::default() => {}
            Ok(Swept {
                run_out,
                sessions,
                revocations,
                invitations,
                weeks,
                attempts,
                spent,
            }) => tracing::info!(
                run_out,
                sessions,
                revocations,
                invitations,
                weeks,
                attempts,
                spent,
                "swept"
            ),
            Err(error) => tracing::warn!(%error, "sweeping"),
        }
    }
}

/// Deletes everything that is due at `now`. Events go by whole weeks, once the last of a week is older than `events_kept`.
///
/// # Errors
/// [`StoreError`]; what was deleted until then stays deleted.
pub async fn once(
    store: &Store,
    policy: &Policy,
    events_kept: Duration,
    now: UnixMillis,
) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    // First: what is deleted below has its end in the log.
    loop {
        let noted = note_run_out(store, policy, BATCH, now).await?;
        swept.run_out += noted;
        if noted == 0 {
            break;
        }
    }
    loop {
        let mut conn = store.conn().await?;
        let batch = Swept {
            sessions: sessions::delete_dead(&mut conn, now.minus(SESSIONS_KEPT), BATCH).await?,
            revocations: revocations::delete_expired(&mut conn, now, BATCH).await?,
            invitations: invitations::delete_expired(&mut conn, now, BATCH).await?,
            attempts: attempts::delete_whole(&mut conn, now, BATCH).await?,
            spent: once::delete_expired(&mut conn, now, BATCH).await?,
            ..Swept::default()
        };
        if batch == Swept::default() {
            break;
        }
        swept.sessions += batch.sessions;
        swept.revocations += batch.revocations;
        swept.invitations += batch.invitations;
        swept.attempts += batch.attempts;
        swept.spent += batch.spent;
    }
    swept.weeks = events::drop_before(store, now.minus(events_kept)).await?;
    Ok(swept)
}
