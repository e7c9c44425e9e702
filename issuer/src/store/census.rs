//! How many there are of everything.

use std::time::Duration;

use shared::time::UnixMillis;
use sqlx::PgConnection;

use super::{StoreError, to_db};

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Accounts.
    pub users: u64,
    /// Of them, those that may not sign in.
    pub disabled: u64,
    /// Of them, those with the role `admin` that may sign in.
    pub administrators: u64,
    /// Sessions that nobody ended and that have not run out.
    pub live_sessions: u64,
    /// Revocations that edges must remember.
    pub live_revocations: u64,
}

/// Counts, as of one moment: it is a single statement.
pub async fn take(
    conn: &mut PgConnection,
    idle: Duration,
    now: UnixMillis,
) -> Result<Census, StoreError> {
    let counts: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from users),
                (select count(*) from users where disabled_at is not null),
                (select count(*) from users where 'admin' = any(roles) and disabled_at is null),
                (select count(*) from sessions
                 where ended_at is null and expires_at > $1 and last_seen_at + $2 * interval '1 second' > $1),
                (select count(*) from revocations where expires_at > $1)",
    )
    .bind(to_db(now))
    .bind(idle.as_secs_f64())
    .fetch_one(conn)
    .await?;
    Ok(Census {
        users: counts.0.unsigned_abs(),
        disabled: counts.1.unsigned_abs(),
        administrators: counts.2.unsigned_abs(),
        live_sessions: counts.3.unsigned_abs(),
        live_revocations: counts.4.unsigned_abs(),
    })
}
