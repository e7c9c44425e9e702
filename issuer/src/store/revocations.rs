//! Revocations: what the edges must refuse.

use shared::id::{SessionId, TokenId, UserId};
use shared::revocation::{Entry, Revocation};
use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{StoreError, bytes, from_db, signals, to_db};
use crate::session::end::{Announcement, Subject};

/// Writes `announcements` and wakes the publisher at commit. Call it in the transaction of the change itself.
pub async fn append(
    conn: &mut PgConnection,
    announcements: &[Announcement],
    now: UnixMillis,
) -> Result<(), StoreError> {
    if announcements.is_empty() {
        return Ok(());
    }
    let (mut kinds, mut subjects, mut belows, mut expiries) = (vec![], vec![], vec![], vec![]);
    for Announcement { subject, expires } in announcements {
        let (kind, id, below) = match subject {
            Subject::Session(id) => ("session", id.as_bytes(), None),
            Subject::User { id, below } => ("user", id.as_bytes(), i32::try_from(*below).ok()),
        };
        kinds.push(kind);
        subjects.push(id.as_slice());
        belows.push(below);
        expiries.push(to_db(*expires));
    }
    sqlx::query(
        "insert into revocations (kind, subject, below, expires_at, created_at)
         select kind, subject, below, expires_at, $5
         from unnest($1::text[], $2::bytea[], $3::integer[], $4::timestamptz[]) as t (kind, subject, below, expires_at)",
    )
    .bind(&kinds)
    .bind(&subjects)
    .bind(&belows)
    .bind(&expiries)
    .bind(to_db(now))
    .execute(&mut *conn)
    .await?;
    signals::notify(conn, signals::Signal::Revocations).await
}

/// Every live revocation, and the number that orders this set among others.
pub struct LiveSet {
    /// The oldest transaction that was still running before the rows were read. It never goes back, and whoever later
    /// asks for the rows from this transaction on misses none, whatever was uncommitted now.
    pub number: u64,
    /// The rows.
    pub revocations: Vec<Revocation>,
}

/// Reads every live revocation.
///
/// The set holds all that is committed, also above `number`: a transaction that stays open, in whatever database of the
/// cluster, holds the number back but never a revocation.
pub async fn live(conn: &mut PgConnection, now: UnixMillis) -> Result<LiveSet, StoreError> {
    // First the number, then the rows, each with a snapshot of its own: the rows can only be newer.
    let (number,): (i64,) =
        sqlx::query_as("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            .fetch_one(&mut *conn)
            .await?;
    let rows: Vec<Row> = sqlx::query_as(
        "select kind, subject, below, before, expires_at from revocations where expires_at > $1",
    )
    .bind(to_db(now))
    .fetch_all(conn)
    .await?;
    Ok(LiveSet {
        number: number
            .try_into()
            .map_err(|_| StoreError::Corrupt("negative transaction id"))?,
        revocations: rows
            .into_iter()
            .map(Revocation::try_from)
            .collect::<Result<_, _>>()?,
    })
}

/// Deletes at most `limit` revocations that expired before `now`.
pub async fn delete_expired(
    conn: &mut PgConnection,
    now: UnixMillis,
    limit: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query(
        "delete from revocations where number in (select number from revocations where expires_at < $1 limit $2)",
    )
    .bind(to_db(now))
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    subject: Option<Vec<u8>>,
    below: Option<i32>,
    before: Option<OffsetDateTime>,
    expires_at: OffsetDateTime,
}

impl TryFrom<Row> for Revocation {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let entry = match (row.kind.as_str(), row.subject, row.below, row.before) {
            ("token", Some(id), None, None) => {
                Entry::Token(TokenId::from_bytes(bytes(&id)?).fingerprint())
            }
            ("session", Some(id), None, None) => {
                Entry::Session(SessionId::from_bytes(bytes(&id)?).fingerprint())
            }
            ("user", Some(id), Some(below), None) => Entry::User {
                user: UserId::from_bytes(bytes(&id)?).fingerprint(),
                below: below
                    .try_into()
                    .map_err(|_| StoreError::Corrupt("revocations.below"))?,
            },
            ("everyone", None, None, Some(before)) => Entry::Everyone {
                before: from_db(before).to_secs(),
            },
            _ => return Err(StoreError::Corrupt("shape of a revocation")),
        };
        Ok(Self {
            entry,
            expires: from_db(row.expires_at).to_secs(),
        })
    }
}
