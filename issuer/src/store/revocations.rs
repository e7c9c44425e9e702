//! Revocations: what the edges must refuse.

use shared::id::{KeyId, SessionId, TokenId, UserId};
use shared::revocation::{Entry, Revocation};
use shared::time::{UnixMillis, UnixTime};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
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
    let rows: Vec<NewRow> = announcements.iter().map(NewRow::from).collect();
    let kinds: Vec<&str> = rows.iter().map(|row| row.kind).collect();
    let subjects: Vec<Option<&[u8]>> = rows.iter().map(|row| row.subject).collect();
    let belows: Vec<Option<i32>> = rows.iter().map(|row| row.below).collect();
    let befores: Vec<Option<OffsetDateTime>> = rows.iter().map(|row| row.before).collect();
    let expiries: Vec<OffsetDateTime> = rows.iter().map(|row| row.expires).collect();
    sqlx::query(
        "insert into revocations (kind, subject, below, before, expires_at, created_at)
         select kind, subject, below, before, expires_at, $6
         from unnest($1::text[], $2::bytea[], $3::integer[], $4::timestamptz[], $5::timestamptz[])
              as t (kind, subject, below, before, expires_at)",
    )
    .bind(&kinds)
    .bind(&subjects)
    .bind(&belows)
    .bind(&befores)
    .bind(&expiries)
    .bind(to_db(now))
    .execute(&mut *conn)
    .await?;
    signals::call(conn, signals::Signal::Revocations).await
}

/// Where a row stands. The order is that of transactions, and within one that of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The transaction that wrote it.
    pub xid: u64,
    /// `revocations.number`.
    pub row: i64,
}

impl Place {
    /// The first that a row of this transaction can have.
    pub const fn first_of(xid: u64) -> Self {
        Self { xid, row: i64::MIN }
    }
}

/// What a reader does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The oldest transaction that was still running before the rows were read. It never goes back, and whoever later
    /// asks for the rows from this transaction on misses none, whatever was uncommitted now.
    pub number: u64,
    /// The rows, in no order.
    pub rows: Vec<(Place, Revocation)>,
}

/// Reads the live revocations of every transaction from `after` on that has committed; 0 gives all.
///
/// The tail holds all that is committed, also above its number: a transaction that stays open, in whatever database of
/// the cluster, holds the number back but never a revocation.
pub async fn tail(
    conn: &mut PgConnection,
    after: u64,
    now: UnixMillis,
) -> Result<Tail, StoreError> {
    // First the number, then the rows, each with a snapshot of its own: the rows can only be newer.
    let (number,): (i64,) =
        sqlx::query_as("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            .fetch_one(&mut *conn)
            .await?;
    let rows = sqlx::query(
        "select xid::text::bigint as xid, number, kind, subject, below, before, expires_at
         from revocations where xid >= $1::text::xid8 and expires_at > $2",
    )
    .bind(after.to_string())
    .bind(to_db(now))
    .map(|row: PgRow| read(&row))
    .fetch_all(conn)
    .await?;
    Ok(Tail {
        number: transaction_id(number)?,
        rows: rows.into_iter().collect::<Result<_, _>>()?,
    })
}

/// Whether this one access token was revoked.
pub async fn names_token(conn: &mut PgConnection, id: TokenId) -> Result<bool, StoreError> {
    let (named,): (bool,) = sqlx::query_as(
        "select exists (select from revocations where kind = 'token' and subject = $1)",
    )
    .bind(id.as_bytes().as_slice())
    .fetch_one(conn)
    .await?;
    Ok(named)
}

/// The latest second before which everyone's access tokens were revoked.
pub async fn everyone_before(conn: &mut PgConnection) -> Result<Option<UnixTime>, StoreError> {
    let (before,): (Option<OffsetDateTime>,) =
        sqlx::query_as("select max(before) from revocations where kind = 'everyone'")
            .fetch_one(conn)
            .await?;
    Ok(before.map(|before| from_db(before).to_secs()))
}

/// Deletes at most `limit` revocations that expired before `now`.
pub async fn delete_expired(
    conn: &mut PgConnection,
    now: UnixMillis,
    limit: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query(
        "delete from revocations where number in (
             select number from revocations where expires_at < $1 limit $2 for update skip locked)",
    )
    .bind(to_db(now))
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}

/// A row to be written.
struct NewRow<'a> {
    kind: &'static str,
    subject: Option<&'a [u8]>,
    below: Option<i32>,
    before: Option<OffsetDateTime>,
    expires: OffsetDateTime,
}

impl<'a> From<&'a Announcement> for NewRow<'a> {
    fn from(announcement: &'a Announcement) -> Self {
        let (kind, subject, below, before) = match &announcement.subject {
            Subject::Token(id) => ("token", Some(id.as_bytes()), None, None),
            Subject::Session(id) => ("session", Some(id.as_bytes()), None, None),
            Subject::Key(id) => ("key", Some(id.as_bytes()), None, None),
            Subject::User { id, below } => (
                "user",
                Some(id.as_bytes()),
                i32::try_from(*below).ok(),
                None,
            ),
            Subject::Client { id, below } => (
                "user",
                Some(id.as_bytes()),
                i32::try_from(*below).ok(),
                None,
            ),
            Subject::Everyone { before } => ("everyone", None, None, Some(to_db((*before).into()))),
        };
        Self {
            kind,
            subject: subject.map(<[u8; 16]>::as_slice),
            below,
            before,
            expires: to_db(announcement.expires),
        }
    }
}

/// Without a struct in between: a process that starts may read a million.
fn read(row: &PgRow) -> Result<(Place, Revocation), StoreError> {
    let kind: &str = row.try_get("kind")?;
    let subject: Option<&[u8]> = row.try_get("subject")?;
    let below: Option<i32> = row.try_get("below")?;
    let before: Option<OffsetDateTime> = row.try_get("before")?;
    let entry = match (kind, subject, below, before) {
        ("token", Some(id), None, None) => {
            Entry::Token(TokenId::from_bytes(bytes(id)?).fingerprint())
        }
        ("session", Some(id), None, None) => {
            Entry::Session(SessionId::from_bytes(bytes(id)?).fingerprint())
        }
        ("key", Some(id), None, None) => Entry::Key(KeyId::from_bytes(bytes(id)?).fingerprint()),
        ("user", Some(id), Some(below), None) => Entry::User {
            user: UserId::from_bytes(bytes(id)?).fingerprint(),
            below: below
                .try_into()
                .map_err(|_| StoreError::Corrupt("revocations.below"))?,
        },
        ("everyone", None, None, Some(before)) => Entry::Everyone {
            before: from_db(before).to_secs(),
        },
        _ => return Err(StoreError::Corrupt("shape of a revocation")),
    };
    let place = Place {
        xid: transaction_id(row.try_get("xid")?)?,
        row: row.try_get("number")?,
    };
    let expires = from_db(row.try_get("expires_at")?).to_secs();
    Ok((place, Revocation { entry, expires }))
}

fn transaction_id(id: i64) -> Result<u64, StoreError> {
    id.try_into()
        .map_err(|_| StoreError::Corrupt("negative transaction id"))
}
