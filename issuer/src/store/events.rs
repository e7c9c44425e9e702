//! The rows of the security log. What they mean is in [`events`](crate::events).

use std::net::IpAddr;

use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::{StoreError, bytes, from_db, ip_from_db, to_db};

/// A row to be added.
#[derive(Clone, Debug)]
pub struct NewRow<'a> {
    /// What happened.
    pub kind: &'static str,
    /// Who did it.
    pub actor: &'static str,
    /// Which one, where there are several.
    pub actor_id: Option<&'a [u8; 16]>,
    /// To whom.
    pub user: Option<UserId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// From where.
    pub ip: Option<IpAddr>,
    /// With what; without control characters, of at most 512.
    pub user_agent: &'a str,
    /// What else there is to say: a JSON object.
    pub detail: String,
}

/// A row as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub place: Place,
    /// What happened.
    pub kind: String,
    /// Who did it.
    pub actor: String,
    /// Which one, where there are several.
    pub actor_id: Option<[u8; 16]>,
    /// To whom.
    pub user: Option<UserId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// From where, unless that was forgotten.
    pub ip: Option<IpAddr>,
    /// With what, unless that was forgotten.
    pub user_agent: String,
    /// What else there is to say: a JSON object.
    pub detail: String,
}

/// The place of a row in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it happened.
    pub at: UnixMillis,
    /// Tells rows of one moment apart.
    pub number: i64,
}

/// Which rows; what is `None` is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those about this user.
    pub user: Option<UserId>,
    /// Those of what this user did.
    pub actor: Option<UserId>,
    /// Those of this kind.
    pub kind: Option<String>,
    /// Those of this moment and later.
    pub since: Option<UnixMillis>,
    /// Those before this moment.
    pub until: Option<UnixMillis>,
}

/// In which order, and where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The newest first: those before this place.
    Newest(Option<Place>),
    /// The oldest first: those after this place.
    Oldest(Option<Place>),
}

/// Adds a row.
pub async fn insert(
    conn: &mut PgConnection,
    row: &NewRow<'_>,
    at: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into events (at, kind, actor, actor_id, user_id, session_id, ip, user_agent, detail)
         values ($1, $2, $3, $4, $5, $6, $7::text::inet, $8, $9::text::jsonb)",
    )
    .bind(to_db(at))
    .bind(row.kind)
    .bind(row.actor)
    .bind(row.actor_id.map(<[u8; 16]>::as_slice))
    .bind(row.user.as_ref().map(|id| id.as_bytes().as_slice()))
    .bind(row.session.as_ref().map(|id| id.as_bytes().as_slice()))
    .bind(row.ip.map(|ip| ip.to_string()))
    .bind(row.user_agent)
    .bind(&row.detail)
    .execute(conn)
    .await?;
    Ok(())
}

/// At most `limit` rows that `filter` lets pass. A row has one place for ever, so whoever goes on from the last one they got
/// misses none that was there when they began and gets none twice, whatever is added meanwhile.
pub async fn page(
    conn: &mut PgConnection,
    filter: &Filter,
    walk: Walk,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Selected {
        number: i64,
        at: OffsetDateTime,
        kind: String,
        actor: String,
        actor_id: Option<Vec<u8>>,
        user_id: Option<Vec<u8>>,
        session_id: Option<Vec<u8>>,
        ip: Option<String>,
        user_agent: String,
        detail: String,
    }
    let rows: Vec<Selected> = question(filter, walk, limit)
        .build_query_as()
        .fetch_all(conn)
        .await?;
    let id = |id: Option<Vec<u8>>| id.map(|id| bytes(&id)).transpose();
    rows.into_iter()
        .map(|row| {
            Ok(Row {
                place: Place {
                    at: from_db(row.at),
                    number: row.number,
                },
                kind: row.kind,
                actor: row.actor,
                actor_id: id(row.actor_id)?,
                user: id(row.user_id)?.map(UserId::from_bytes),
                session: id(row.session_id)?.map(SessionId::from_bytes),
                ip: ip_from_db(row.ip)?,
                user_agent: row.user_agent,
                detail: row.detail,
            })
        })
        .collect()
}

/// Only what is asked for stands in the statement, so that each question is planned for itself.
fn question(filter: &Filter, walk: Walk, limit: i64) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "select number, at, kind, actor, actor_id, user_id, session_id, host(ip) as ip, user_agent, detail::text as detail
         from events where true",
    );
    if let Some(user) = filter.user {
        sql.push(" and user_id = ")
            .push_bind(user.as_bytes().to_vec());
    }
    if let Some(actor) = filter.actor {
        sql.push(" and actor_id = ")
            .push_bind(actor.as_bytes().to_vec());
    }
    if let Some(kind) = &filter.kind {
        sql.push(" and kind = ").push_bind(kind.clone());
    }
    if let Some(since) = filter.since {
        sql.push(" and at >= ").push_bind(to_db(since));
    }
    if let Some(until) = filter.until {
        sql.push(" and at < ").push_bind(to_db(until));
    }
    // By `at` alone weeks are passed over; a comparison of rows does not do that.
    let (place, alone, rows, order) = match walk {
        Walk::Newest(place) => (place, " and at <= ", " and (at, number) < (", "desc"),
        Walk::Oldest(place) => (place, " and at >= ", " and (at, number) > (", "asc"),
    };
    if let Some(place) = place {
        sql.push(alone).push_bind(to_db(place.at));
        sql.push(rows).push_bind(to_db(place.at));
        sql.push(", ").push_bind(place.number).push(")");
    }
    sql.push(format_args!(" order by at {order}, number {order} limit "))
        .push_bind(limit);
    sql
}

/// Forgets from where and with what: of all that `user` did, and of all that others than users did to them. What happened, when
/// and the ids stay. Where another user acted, such as an administrator, the address is that one's and stays too.
pub async fn forget(conn: &mut PgConnection, user: UserId) -> Result<u64, StoreError> {
    let forgotten = sqlx::query(
        "update events set ip = null, user_agent = ''
         where (actor_id = $1 or (user_id = $1 and actor_id is null)) and (ip is not null or user_agent <> '')",
    )
    .bind(user.as_bytes().as_slice())
    .execute(conn)
    .await?;
    Ok(forgotten.rows_affected())
}
