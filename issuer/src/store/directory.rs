//! Users page by page, all of them or those whose address or name begins with something.
//!
//! A page begins behind the last row of the one before, by its key and not by a count: rows that come or go in between move
//! nothing. Each half of a search walks an index in its order and stops at the limit, so a page costs the same wherever it is
//! and however many users there are. A prefix is a range of keys: no character of it is a pattern.

use shared::id::UserId;
use sqlx::PgConnection;

use super::StoreError;
use super::users::{User, UserRow};

/// The columns of a user.
macro_rules! columns {
    () => {
        "id as user_id, email, name, roles, ver, created_at as user_created_at, disabled_at"
    };
}

/// All users, in the order of addresses: from behind the key $1, at most $2.
pub const ALL: &str = concat!(
    "select ",
    columns!(),
    ", false as by_name, lower(email) as key
     from users where lower(email) collate \"C\" > $1 order by lower(email) collate \"C\" limit $2"
);

/// Users whose address begins with $1, in the order of addresses, and after them those whose name does and whose address does
/// not, in the order of names: from behind ($2, $3, $4), whether in the second half, key and id, at most $5.
///
/// No text has a character above U+10FFFF, so what begins with a prefix lies between it and it with that character behind.
pub const SEARCH: &str = concat!(
    "select * from (
       (select ",
    columns!(),
    ", false as by_name, lower(email) as key from users
        where not $2 and lower(email) collate \"C\" >= lower($1) and lower(email) collate \"C\" < lower($1) || chr(1114111)
          and lower(email) collate \"C\" > $3
        order by lower(email) collate \"C\" limit $5)
       union all
       (select ",
    columns!(),
    ", true as by_name, lower(name) as key from users
        where lower(name) collate \"C\" >= lower($1) and lower(name) collate \"C\" < lower($1) || chr(1114111)
          and not (lower(email) collate \"C\" >= lower($1) and lower(email) collate \"C\" < lower($1) || chr(1114111))
          and (not $2 or (lower(name) collate \"C\", id) > ($3, $4))
        order by lower(name) collate \"C\", id limit $5)
     ) found order by by_name, key collate \"C\", user_id limit $5"
);

/// Where a user stands in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether they were found by their name.
    pub by_name: bool,
    /// Their address or their name, in lower case.
    pub key: String,
    /// Who it is.
    pub id: UserId,
}

impl Place {
    /// Before everybody.
    pub const START: Self = Self {
        by_name: false,
        key: String::new(),
        id: UserId::from_bytes([0; 16]),
    };
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    user: UserRow,
    by_name: bool,
    key: String,
}

/// At most `limit` users behind `after`, each with their place. An empty `prefix` finds everybody.
pub async fn page(
    conn: &mut PgConnection,
    prefix: &str,
    after: &Place,
    limit: i64,
) -> Result<Vec<(Place, User)>, StoreError> {
    let rows: Vec<Row> = if prefix.is_empty() {
        sqlx::query_as(ALL)
            .bind(&after.key)
            .bind(limit)
            .fetch_all(conn)
            .await?
    } else {
        sqlx::query_as(SEARCH)
            .bind(prefix)
            .bind(after.by_name)
            .bind(&after.key)
            .bind(after.id.as_bytes().as_slice())
            .bind(limit)
            .fetch_all(conn)
            .await?
    };
    let placed = rows.into_iter().map(|row| {
        let user = User::try_from(row.user)?;
        let place = Place {
            by_name: row.by_name,
            key: row.key,
            id: user.id,
        };
        Ok((place, user))
    });
    placed.collect()
}

/// A user with all that an export tells of them, and an import.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The user.
    pub user: User,
    /// The hash of their password.
    pub phc: Option<String>,
    /// Whether a provider told the address that had not verified it.
    pub email_is_unproven: bool,
    /// Who they are elsewhere: issuer and subject.
    pub identities: Vec<(String, String)>,
}

/// At most `limit` users with ids above `after`, in their order.
pub async fn entries(
    conn: &mut PgConnection,
    after: UserId,
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: UserRow,
        phc: Option<String>,
        email_is_unproven: bool,
        issuers: Vec<String>,
        subjects: Vec<String>,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select u.id as user_id, u.email, u.name, u.roles, u.ver, u.created_at as user_created_at, u.disabled_at, c.phc,
                u.email_is_unproven,
                array(select issuer from identities i where i.user_id = u.id order by issuer, subject) as issuers,
                array(select subject from identities i where i.user_id = u.id order by issuer, subject) as subjects
         from users u left join credentials c on c.user_id = u.id
         where u.id > $1 order by u.id limit $2",
    )
    .bind(after.as_bytes().as_slice())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let entries = rows.into_iter().map(|row| {
        Ok(Entry {
            user: row.user.try_into()?,
            phc: row.phc,
            email_is_unproven: row.email_is_unproven,
            identities: row.issuers.into_iter().zip(row.subjects).collect(),
        })
    });
    entries.collect()
}

/// Who the user is elsewhere: issuer and subject.
pub async fn identities(
    conn: &mut PgConnection,
    user: UserId,
) -> Result<Vec<(String, String)>, StoreError> {
    Ok(sqlx::query_as(
        "select issuer, subject from identities where user_id = $1 order by issuer, subject",
    )
    .bind(user.as_bytes().as_slice())
    .fetch_all(conn)
    .await?)
}
