//! Attempts that are counted, by a name that only issuers can make. The time is the issuer's.

use std::time::Duration;

use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{StoreError, from_db, to_db};

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was taken from the allowance.
    Granted,
    /// The allowance is used up; nothing was written.
    Refused {
        /// When one is allowed again.
        until: UnixMillis,
    },
}

/// Takes one from the allowance of `name`, which is `count` and grows back by one every `interval`: the generic cell rate
/// algorithm. One statement, which holds the row's lock no longer than it runs.
pub async fn take(
    conn: &mut PgConnection,
    name: &[u8; 32],
    interval: Duration,
    count: u32,
    now: UnixMillis,
) -> Result<Taken, StoreError> {
    let row: Option<(OffsetDateTime, bool)> = sqlx::query_as(
        "with given as (select $2::timestamptz as now, $3 * interval '1 microsecond' as one),
         taken as (
             insert into attempts as a (name, full_at) select $1, now + one from given
             on conflict (name) do update
                 set full_at = greatest(a.full_at, $2) + $3 * interval '1 microsecond'
                 where greatest(a.full_at, $2) + $3 * interval '1 microsecond' <= $2 + $4 * $3 * interval '1 microsecond'
             returning full_at
         )
         select full_at, true from taken
         union all
         select full_at + one - $4 * one, false from attempts, given
         where name = $1 and not exists (select from taken)",
    )
    .bind(name.as_slice())
    .bind(to_db(now))
    .bind(micros(interval))
    .bind(i64::from(count))
    .fetch_optional(conn)
    .await?;
    Ok(match row {
        Some((_, true)) => Taken::Granted,
        Some((until, false)) => Taken::Refused {
            until: from_db(until),
        },
        // Somebody else made the row after this statement began to look, and used it up.
        None => Taken::Refused {
            until: now.plus(interval),
        },
    })
}

/// Gives one back.
pub async fn give_back(
    conn: &mut PgConnection,
    name: &[u8; 32],
    interval: Duration,
) -> Result<(), StoreError> {
    sqlx::query(
        "update attempts set full_at = full_at - $2 * interval '1 microsecond' where name = $1",
    )
    .bind(name.as_slice())
    .bind(micros(interval))
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes at most `limit` allowances that are whole at `now`.
pub async fn delete_whole(
    conn: &mut PgConnection,
    now: UnixMillis,
    limit: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query(
        "delete from attempts where name in (
             select name from attempts where full_at <= $1 limit $2 for update skip locked)",
    )
    .bind(to_db(now))
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
