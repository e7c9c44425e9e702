//! Invitations: one-time links that lead to a password.

use shared::id::UserId;
use shared::secret::SecretHash;
use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::users::{User, UserRow};
use super::{StoreError, from_db, to_db};

/// Makes the user's invitation, in place of the one there was.
pub async fn put(
    conn: &mut PgConnection,
    user: UserId,
    token: SecretHash,
    now: UnixMillis,
    expires_at: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into invitations (user_id, token_hash, created_at, expires_at) values ($1, $2, $3, $4)
         on conflict (user_id) do update
         set token_hash = excluded.token_hash, created_at = excluded.created_at, expires_at = excluded.expires_at",
    )
    .bind(user.as_bytes().as_slice())
    .bind(token.as_bytes().as_slice())
    .bind(to_db(now))
    .bind(to_db(expires_at))
    .execute(conn)
    .await?;
    Ok(())
}

/// Whom the token invites, if it has not expired.
pub async fn user_of(
    conn: &mut PgConnection,
    token: SecretHash,
    now: UnixMillis,
) -> Result<Option<User>, StoreError> {
    let row: Option<UserRow> = sqlx::query_as(
        "select u.id as user_id, u.email, u.name, u.roles, u.ver, u.created_at as user_created_at, u.disabled_at
         from invitations i join users u on u.id = i.user_id
         where i.token_hash = $1 and i.expires_at > $2",
    )
    .bind(token.as_bytes().as_slice())
    .bind(to_db(now))
    .fetch_optional(conn)
    .await?;
    row.map(User::try_from).transpose()
}

/// Uses the user's invitation up. False where it is another one by now, was used, or has expired.
pub async fn take(
    conn: &mut PgConnection,
    user: UserId,
    token: SecretHash,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let taken = sqlx::query(
        "delete from invitations where user_id = $1 and token_hash = $2 and expires_at > $3",
    )
    .bind(user.as_bytes().as_slice())
    .bind(token.as_bytes().as_slice())
    .bind(to_db(now))
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Makes the user's invitation worthless, if there is one.
pub async fn withdraw(conn: &mut PgConnection, user: UserId) -> Result<(), StoreError> {
    sqlx::query("delete from invitations where user_id = $1")
        .bind(user.as_bytes().as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

/// When the user's invitation expires, if they have one that has not.
pub async fn expiry(
    conn: &mut PgConnection,
    user: UserId,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, StoreError> {
    let row: Option<(OffsetDateTime,)> =
        sqlx::query_as("select expires_at from invitations where user_id = $1 and expires_at > $2")
            .bind(user.as_bytes().as_slice())
            .bind(to_db(now))
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|(expires_at,)| from_db(expires_at)))
}

/// Deletes at most `limit` that have expired.
pub async fn delete_expired(
    conn: &mut PgConnection,
    now: UnixMillis,
    limit: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query(
        "delete from invitations where user_id in (
             select user_id from invitations where expires_at < $1 limit $2 for update skip locked)",
    )
    .bind(to_db(now))
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}
