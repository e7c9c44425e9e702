//! Users and their passwords.

use shared::id::UserId;
use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{StoreError, bytes, from_db, to_db};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `sub`.
    pub id: UserId,
    /// The address they sign in with, as it was given.
    pub email: String,
    /// What to call them.
    pub name: String,
    /// What they may do.
    pub roles: Vec<String>,
    /// Version of their claims.
    pub ver: u32,
    /// When the account was made.
    pub created_at: UnixMillis,
    /// Whether they may sign in.
    pub access: Access,
}

/// Whether a user may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Enabled,
    /// Not since then.
    Disabled {
        /// When it was forbidden.
        since: UnixMillis,
    },
}

/// The PHC string of a user's password. Not secret enough to seal, but nothing for a log either.
#[derive(Clone)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The columns of a [`User`], wherever users are selected.
#[derive(sqlx::FromRow)]
pub(super) struct UserRow {
    user_id: Vec<u8>,
    email: String,
    name: String,
    roles: Vec<String>,
    ver: i32,
    user_created_at: OffsetDateTime,
    disabled_at: Option<OffsetDateTime>,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: UserId::from_bytes(bytes(&row.user_id)?),
            email: row.email,
            name: row.name,
            roles: row.roles,
            ver: row
                .ver
                .try_into()
                .map_err(|_| StoreError::Corrupt("users.ver"))?,
            created_at: from_db(row.user_created_at),
            access: row
                .disabled_at
                .map_or(Access::Enabled, |since| Access::Disabled {
                    since: from_db(since),
                }),
        })
    }
}

/// The user with this address, however it is capitalised, and their password if they have one.
pub async fn by_email(
    conn: &mut PgConnection,
    email: &str,
) -> Result<Option<(User, Option<PasswordHash>)>, StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: UserRow,
        phc: Option<String>,
    }
    let row: Option<Row> = sqlx::query_as(
        "select u.id as user_id, u.email, u.name, u.roles, u.ver, u.created_at as user_created_at, u.disabled_at, c.phc
         from users u left join credentials c on c.user_id = u.id
         where lower(u.email) = lower($1)",
    )
    .bind(email)
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.user.try_into()?, row.phc.map(PasswordHash))))
        .transpose()
}

/// The user.
pub async fn by_id(conn: &mut PgConnection, id: UserId) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = sqlx::query_as(
        "select id as user_id, email, name, roles, ver, created_at as user_created_at, disabled_at
         from users where id = $1",
    )
    .bind(id.as_bytes().as_slice())
    .fetch_optional(conn)
    .await?;
    row.map(User::try_from).transpose()
}

/// The user, whose row nobody else changes or locks until the transaction ends.
pub async fn lock(conn: &mut PgConnection, id: UserId) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = sqlx::query_as(
        "select id as user_id, email, name, roles, ver, created_at as user_created_at, disabled_at
         from users where id = $1 for update",
    )
    .bind(id.as_bytes().as_slice())
    .fetch_optional(conn)
    .await?;
    row.map(User::try_from).transpose()
}

/// Waits until nobody holds a user's lock, and lets nobody lock one until the transaction ends. Reading goes on.
pub async fn lock_all(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("lock table users in exclusive mode")
        .execute(conn)
        .await?;
    Ok(())
}

/// Every user, in the order of addresses.
pub async fn all(conn: &mut PgConnection) -> Result<Vec<User>, StoreError> {
    let rows: Vec<UserRow> = sqlx::query_as(
        "select id as user_id, email, name, roles, ver, created_at as user_created_at, disabled_at
         from users order by lower(email)",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(User::try_from).collect()
}

/// Adds a user. False where the address is taken.
pub async fn insert(conn: &mut PgConnection, user: &User) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "insert into users (id, email, name, roles, created_at) values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(user.id.as_bytes().as_slice())
    .bind(&user.email)
    .bind(&user.name)
    .bind(&user.roles)
    .bind(to_db(user.created_at))
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Deletes the user, and with them their password, identities, sessions and invitation. Events stay.
pub async fn delete(conn: &mut PgConnection, id: UserId) -> Result<(), StoreError> {
    sqlx::query("delete from users where id = $1")
        .bind(id.as_bytes().as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets or replaces the user's password.
pub async fn set_password(
    conn: &mut PgConnection,
    id: UserId,
    hash: &PasswordHash,
    now: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into credentials (user_id, phc, changed_at) values ($1, $2, $3)
         on conflict (user_id) do update set phc = excluded.phc, changed_at = excluded.changed_at",
    )
    .bind(id.as_bytes().as_slice())
    .bind(&hash.0)
    .bind(to_db(now))
    .execute(conn)
    .await?;
    Ok(())
}

/// Replaces the roles and raises the version of the claims, which is returned.
pub async fn set_roles(
    conn: &mut PgConnection,
    id: UserId,
    roles: &[String],
) -> Result<u32, StoreError> {
    let (ver,): (i32,) =
        sqlx::query_as("update users set roles = $2, ver = ver + 1 where id = $1 returning ver")
            .bind(id.as_bytes().as_slice())
            .bind(roles)
            .fetch_one(conn)
            .await?;
    ver.try_into().map_err(|_| StoreError::Corrupt("users.ver"))
}

/// Forbids or allows signing in and raises the version of the claims, which is returned.
pub async fn set_access(
    conn: &mut PgConnection,
    id: UserId,
    access: Access,
) -> Result<u32, StoreError> {
    let disabled_at = match access {
        Access::Enabled => None,
        Access::Disabled { since } => Some(to_db(since)),
    };
    let (ver,): (i32,) = sqlx::query_as(
        "update users set disabled_at = $2, ver = ver + 1 where id = $1 returning ver",
    )
    .bind(id.as_bytes().as_slice())
    .bind(disabled_at)
    .fetch_one(conn)
    .await?;
    ver.try_into().map_err(|_| StoreError::Corrupt("users.ver"))
}
