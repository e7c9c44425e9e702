//! Sessions. Every statement that lets a token be minted is a compare-and-swap on the row.

use std::time::Duration;

use shared::id::{SessionId, UserId};
use shared::secret::SecretHash;
use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::users::{User, UserRow};
use super::{StoreError, bytes, from_db, ip_from_db, to_db};
use crate::session::{EndReason, Requester, Session, State};

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: Vec<u8>,
    owner: Vec<u8>,
    ordinal: i64,
    generation: i64,
    secret_hash: Vec<u8>,
    created_at: OffsetDateTime,
    auth_time: OffsetDateTime,
    rotated_at: OffsetDateTime,
    renewed_by_edge: bool,
    last_seen_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    access_expires_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    end_reason: Option<String>,
    ip: Option<String>,
    user_agent: String,
    provider: String,
    actor_id: Option<Vec<u8>>,
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let state = match (row.ended_at, row.end_reason) {
            (None, None) => State::Live,
            (Some(at), Some(reason)) => State::Ended {
                at: from_db(at),
                reason: EndReason::parse(&reason)
                    .ok_or(StoreError::Corrupt("sessions.end_reason"))?,
            },
            (Some(_), None) | (None, Some(_)) => return Err(StoreError::Corrupt("half an end")),
        };
        Ok(Self {
            id: SessionId::from_bytes(bytes(&row.id)?),
            user_id: UserId::from_bytes(bytes(&row.owner)?),
            ordinal: row.ordinal,
            generation: row
                .generation
                .try_into()
                .map_err(|_| StoreError::Corrupt("sessions.generation"))?,
            secret_hash: SecretHash::from_bytes(bytes(&row.secret_hash)?),
            created_at: from_db(row.created_at),
            auth_time: from_db(row.auth_time),
            rotated_at: from_db(row.rotated_at),
            renewed_by: if row.renewed_by_edge {
                Requester::Edge
            } else {
                Requester::Client
            },
            last_seen_at: from_db(row.last_seen_at),
            expires_at: from_db(row.expires_at),
            access_expires_at: from_db(row.access_expires_at),
            ip: ip_from_db(row.ip)?,
            user_agent: row.user_agent,
            provider: row.provider,
            actor: user_id(row.actor_id)?,
            state,
        })
    }
}

/// The session and its user.
pub async fn load(
    conn: &mut PgConnection,
    id: SessionId,
) -> Result<Option<(Session, User)>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        session: SessionRow,
        #[sqlx(flatten)]
        user: UserRow,
    }
    let row: Option<Row> = sqlx::query_as(
        "select s.id, s.user_id as owner, s.ordinal, s.generation, s.secret_hash, s.created_at, s.auth_time,
                s.rotated_at, s.renewed_by_edge, s.last_seen_at, s.expires_at, s.access_expires_at, s.ended_at, s.end_reason,
                host(s.ip) as ip, s.user_agent, s.provider, s.actor_id,
                u.id as user_id, u.email, u.name, u.roles, u.ver, u.created_at as user_created_at, u.disabled_at
         from sessions s join users u on u.id = s.user_id
         where s.id = $1",
    )
    .bind(id.as_bytes().as_slice())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.session.try_into()?, row.user.try_into()?)))
        .transpose()
}

/// The user's sessions that nobody ended and that have not run out, oldest first.
pub async fn live(
    conn: &mut PgConnection,
    user: UserId,
    idle: Duration,
    now: UnixMillis,
) -> Result<Vec<Session>, StoreError> {
    let rows: Vec<SessionRow> = sqlx::query_as(
        "select id, user_id as owner, ordinal, generation, secret_hash, created_at, auth_time, rotated_at,
                renewed_by_edge, last_seen_at, expires_at, access_expires_at, ended_at, end_reason, host(ip) as ip, user_agent, provider,
                actor_id
         from sessions
         where user_id = $1 and ended_at is null and expires_at > $2 and last_seen_at + $3 * interval '1 second' > $2
         order by ordinal",
    )
    .bind(user.as_bytes().as_slice())
    .bind(to_db(now))
    .bind(idle.as_secs_f64())
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Session::try_from).collect()
}

/// The ids of all of the user's sessions, and of those in which they act as somebody else, that nobody ended, run out or not,
/// oldest first.
pub async fn not_ended(
    conn: &mut PgConnection,
    user: UserId,
) -> Result<Vec<SessionId>, StoreError> {
    let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
        "select id from sessions where (user_id = $1 or actor_id = $1) and ended_at is null order by ordinal",
    )
    .bind(user.as_bytes().as_slice())
    .fetch_all(conn)
    .await?;
    ids(&rows)
}

/// The ids of the sessions in which the user acts as somebody else, or somebody else as the user, that nobody ended.
pub async fn impersonations(
    conn: &mut PgConnection,
    user: UserId,
) -> Result<Vec<SessionId>, StoreError> {
    let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
        "select id from sessions
         where (actor_id = $1 or (user_id = $1 and actor_id is not null)) and ended_at is null order by ordinal",
    )
    .bind(user.as_bytes().as_slice())
    .fetch_all(conn)
    .await?;
    ids(&rows)
}

fn ids(rows: &[(Vec<u8>,)]) -> Result<Vec<SessionId>, StoreError> {
    rows.iter()
        .map(|(id,)| Ok(SessionId::from_bytes(bytes(id)?)))
        .collect()
}

/// When the longest-lived access token of any of the user's sessions expires.
pub async fn longest_access(
    conn: &mut PgConnection,
    user: UserId,
) -> Result<Option<UnixMillis>, StoreError> {
    let (longest,): (Option<OffsetDateTime>,) =
        sqlx::query_as("select max(access_expires_at) from sessions where user_id = $1")
            .bind(user.as_bytes().as_slice())
            .fetch_one(conn)
            .await?;
    Ok(longest.map(from_db))
}

/// Adds a session. Its ordinal is drawn here, so the user's row must be locked.
pub async fn insert(conn: &mut PgConnection, session: &Session) -> Result<(), StoreError> {
    sqlx::query(
        "insert into sessions (id, user_id, generation, secret_hash, created_at, auth_time, rotated_at, last_seen_at,
                               expires_at, access_expires_at, ip, user_agent, provider, actor_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::inet, $12, $13, $14)",
    )
    .bind(session.id.as_bytes().as_slice())
    .bind(session.user_id.as_bytes().as_slice())
    .bind(i64::from(session.generation))
    .bind(session.secret_hash.as_bytes().as_slice())
    .bind(to_db(session.created_at))
    .bind(to_db(session.auth_time))
    .bind(to_db(session.rotated_at))
    .bind(to_db(session.last_seen_at))
    .bind(to_db(session.expires_at))
    .bind(to_db(session.access_expires_at))
    .bind(session.ip.map(|ip| ip.to_string()))
    .bind(&session.user_agent)
    .bind(&session.provider)
    .bind(session.actor.as_ref().map(|id| id.as_bytes().as_slice()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Records a refresh that gives out generation `to`, the next one or the present one once more, to `requester`. False where
/// the row has changed since `session` was read: it was ended or refreshed.
pub async fn refresh(
    conn: &mut PgConnection,
    session: &Session,
    to: u32,
    requester: Requester,
    access_expires_at: UnixMillis,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let updated = sqlx::query(
        "update sessions
         set generation = $3, rotated_at = case when $3 > generation then $4 else rotated_at end,
             renewed_by_edge = $6 or (renewed_by_edge and $3 = generation),
             last_seen_at = greatest(last_seen_at, $4), access_expires_at = greatest(access_expires_at, $5)
         where id = $1 and generation = $2 and ended_at is null",
    )
    .bind(session.id.as_bytes().as_slice())
    .bind(i64::from(session.generation))
    .bind(i64::from(to))
    .bind(to_db(now))
    .bind(to_db(access_expires_at))
    .bind(requester == Requester::Edge)
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// A session that [`confirm`] found standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub id: SessionId,
    /// The version of its user's claims.
    pub ver: u32,
    /// Until when that may be believed.
    pub until: UnixMillis,
}

/// Those of `ids` that stand at `now`, for edges that keep connections of theirs open until `until`, or until they run out.
/// As when a token is given out, the row notes until when: so an end within that time is announced. It is no sign of life of
/// the user. Rows are locked in the order of their ids, as [`end`] does.
pub async fn confirm(
    conn: &mut PgConnection,
    ids: &[SessionId],
    until: UnixMillis,
    idle: Duration,
    now: UnixMillis,
) -> Result<Vec<Standing>, StoreError> {
    let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let rows: Vec<(Vec<u8>, i32, OffsetDateTime)> = sqlx::query_as(
        "with standing as (
             select s.id, least($2, s.expires_at, s.last_seen_at + $3 * interval '1 second') as until, u.ver
             from sessions s join users u on u.id = s.user_id
             where s.id = any($1) and s.ended_at is null and s.expires_at > $4
               and s.last_seen_at + $3 * interval '1 second' > $4 and u.disabled_at is null
             order by s.id for update of s
         )
         update sessions s set access_expires_at = greatest(s.access_expires_at, standing.until)
         from standing where s.id = standing.id
         returning s.id, standing.ver, standing.until",
    )
    .bind(&ids)
    .bind(to_db(until))
    .bind(idle.as_secs_f64())
    .bind(to_db(now))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|(id, ver, until)| {
            Ok(Standing {
                id: SessionId::from_bytes(bytes(id)?),
                ver: (*ver)
                    .try_into()
                    .map_err(|_| StoreError::Corrupt("users.ver"))?,
                until: from_db(*until),
            })
        })
        .collect()
}

/// A session that [`end`] ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// Who acted as the user in it.
    pub actor: Option<UserId>,
    /// When its last access token expires.
    pub access_expires_at: UnixMillis,
}

/// Ends those of `ids` that are not ended yet, and returns them. Rows are locked in the order of their ids, so that two who
/// end the same sessions do not wait for each other.
pub async fn end(
    conn: &mut PgConnection,
    ids: &[SessionId],
    reason: EndReason,
    now: UnixMillis,
) -> Result<Vec<Ended>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: Vec<u8>,
        owner: Vec<u8>,
        actor_id: Option<Vec<u8>>,
        access_expires_at: OffsetDateTime,
    }
    let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "with due as (
             select id from sessions where id = any($1) and ended_at is null order by id for update
         )
         update sessions s set ended_at = $2, end_reason = $3
         from due where s.id = due.id
         returning s.id, s.user_id as owner, s.actor_id, s.access_expires_at",
    )
    .bind(&ids)
    .bind(to_db(now))
    .bind(reason.as_str())
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Ended {
                id: SessionId::from_bytes(bytes(&row.id)?),
                user_id: UserId::from_bytes(bytes(&row.owner)?),
                actor: user_id(row.actor_id)?,
                access_expires_at: from_db(row.access_expires_at),
            })
        })
        .collect()
}

/// What [`end_everyone`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EveryoneEnded {
    /// How many sessions.
    pub count: u64,
    /// When the last of their access tokens was minted.
    pub last_minted: Option<UnixMillis>,
    /// When the longest-lived of their access tokens expires.
    pub longest_access: Option<UnixMillis>,
}

/// Ends every session that is not ended yet, in one statement, however long that takes. No sign-in may be under way: see
/// [`users::lock_all`](super::users::lock_all).
pub async fn end_everyone(
    conn: &mut PgConnection,
    reason: EndReason,
    now: UnixMillis,
) -> Result<EveryoneEnded, StoreError> {
    sqlx::query("set local statement_timeout = 0")
        .execute(&mut *conn)
        .await?;
    // Whoever refreshes sets last_seen_at to the moment of the token. A refresh that comes first is waited for, and its
    // moment is returned; one that comes later finds the row ended.
    let (count, last_minted, longest_access): (
        i64,
        Option<OffsetDateTime>,
        Option<OffsetDateTime>,
    ) = sqlx::query_as(
        "with ended as (
             update sessions set ended_at = $1, end_reason = $2 where ended_at is null
             returning last_seen_at, access_expires_at
         )
         select count(*), max(last_seen_at), max(access_expires_at) from ended",
    )
    .bind(to_db(now))
    .bind(reason.as_str())
    .fetch_one(conn)
    .await?;
    Ok(EveryoneEnded {
        count: count.unsigned_abs(),
        last_minted: last_minted.map(from_db),
        longest_access: longest_access.map(from_db),
    })
}

/// At most `limit` sessions that nobody ended and whose absolute end was before `before`.
pub async fn run_out(
    conn: &mut PgConnection,
    before: UnixMillis,
    limit: i64,
) -> Result<Vec<Session>, StoreError> {
    let rows: Vec<SessionRow> = sqlx::query_as(
        "select id, user_id as owner, ordinal, generation, secret_hash, created_at, auth_time, rotated_at,
                renewed_by_edge, last_seen_at, expires_at, access_expires_at, ended_at, end_reason, host(ip) as ip, user_agent, provider,
                actor_id
         from sessions where ended_at is null and expires_at < $1 order by expires_at limit $2 for update skip locked",
    )
    .bind(to_db(before))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Session::try_from).collect()
}

/// Deletes at most `limit` sessions that ended or expired before `before`.
pub async fn delete_dead(
    conn: &mut PgConnection,
    before: UnixMillis,
    limit: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query(
        "with expired as (
             select id from sessions where expires_at < $1 limit $2 for update skip locked
         ), ended as (
             select id from sessions where ended_at < $1 limit $2 for update skip locked
         )
         delete from sessions where id in (select id from expired union select id from ended limit $2)",
    )
    .bind(to_db(before))
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}

fn user_id(id: Option<Vec<u8>>) -> Result<Option<UserId>, StoreError> {
    id.map(|id| Ok(UserId::from_bytes(bytes(&id)?))).transpose()
}
