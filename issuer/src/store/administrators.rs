//! Users with the role `admin` who are enabled.

use shared::id::UserId;
use sqlx::PgConnection;

use super::StoreError;
use super::signals::ADMINISTRATORS_LOCK;

/// The role of those who may administer. The statements below name it too.
pub const ADMIN: &str = "admin";

/// Waits until nobody else holds this lock, and holds it until the transaction ends. Whoever may make the administrators fewer
/// takes it before the row of the user: then of two who do so at once, the second sees what the first did.
pub async fn lock(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(ADMINISTRATORS_LOCK)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether the user is one, by what is committed now.
pub async fn is_one(conn: &mut PgConnection, id: UserId) -> Result<bool, StoreError> {
    let (is_one,): (bool,) = sqlx::query_as(
        "select exists (select from users where 'admin' = any (roles) and disabled_at is null and id = $1)",
    )
    .bind(id.as_bytes().as_slice())
    .fetch_one(conn)
    .await?;
    Ok(is_one)
}

/// Whether there is one beside the user.
pub async fn others_exist(conn: &mut PgConnection, id: UserId) -> Result<bool, StoreError> {
    let (exist,): (bool,) = sqlx::query_as(
        "select exists (select from users where 'admin' = any (roles) and disabled_at is null and id <> $1)",
    )
    .bind(id.as_bytes().as_slice())
    .fetch_one(conn)
    .await?;
    Ok(exist)
}
