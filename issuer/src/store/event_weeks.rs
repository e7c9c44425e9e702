//! The partitions of the security log: one for each week, made ahead and dropped whole.

use std::time::Duration;

use shared::time::UnixMillis;
use sqlx::PgConnection;

use super::{Store, StoreError, signals, to_db};

/// How far ahead partitions are made. Without one an event cannot be written, and so nothing can be done that must be; as long
/// as this may every issuer stand still, or its clock be ahead.
const AHEAD: Duration = Duration::from_secs(8 * 7 * 24 * 3600);

/// How long dropping may wait for those who read or write the log. Meanwhile whoever comes later waits behind it.
const PATIENCE: &str = "set local lock_timeout = '500ms'";

/// Makes the partitions that are missing from the week of `now` on. Several issuers may do so at once.
///
/// # Errors
/// [`StoreError`]; what was there stays.
pub async fn make(store: &Store, now: UnixMillis) -> Result<u64, StoreError> {
    if missing(&mut *store.conn().await?, now).await? == 0 {
        return Ok(0);
    }
    let mut tx = store.tx("make partitions of events").await?;
    lock(&mut tx).await?;
    let (made,): (i64,) = sqlx::query_as(
        "select count(*) filter (where events_make_partition(week))
         from generate_series(date_trunc('week', $1, 'UTC'), $2, interval '168 hours') week",
    )
    .bind(to_db(now))
    .bind(to_db(now.plus(AHEAD)))
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(made.unsigned_abs())
}

async fn missing(conn: &mut PgConnection, now: UnixMillis) -> Result<i64, StoreError> {
    let (missing,): (i64,) = sqlx::query_as(
        "select count(*) filter (where to_regclass(events_partition(week)) is null)
         from generate_series(date_trunc('week', $1, 'UTC'), $2, interval '168 hours') week",
    )
    .bind(to_db(now))
    .bind(to_db(now.plus(AHEAD)))
    .fetch_one(conn)
    .await?;
    Ok(missing)
}

/// Drops the partitions whose weeks were over at `before`; how many.
///
/// # Errors
/// [`StoreError::Unavailable`] where somebody was at the log for too long; nothing has happened then.
pub async fn drop_before(store: &Store, before: UnixMillis) -> Result<u64, StoreError> {
    let mut tx = store.tx("drop partitions of events").await?;
    sqlx::query(PATIENCE).execute(&mut *tx).await?;
    lock(&mut tx).await?;
    let (dropped,): (i64,) = sqlx::query_as("select events_drop_partitions($1)")
        .bind(to_db(before))
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(dropped.unsigned_abs())
}

async fn lock(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(signals::EVENTS_LOCK)
        .execute(conn)
        .await?;
    Ok(())
}
