//! Passwords, as hashes.

use shared::id::UserId;
use sqlx::PgConnection;

use super::StoreError;
use super::users::PasswordHash;

/// The user's password, if they have one.
pub async fn of(conn: &mut PgConnection, id: UserId) -> Result<Option<PasswordHash>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select phc from credentials where user_id = $1")
        .bind(id.as_bytes().as_slice())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(phc,)| PasswordHash(phc)))
}

/// The hash of whichever user comes next after `lot` in the order of ids, which are random: so of the hashes there are, each
/// kind comes up as often as it is there, and for one `lot` mostly the same.
pub async fn drawn(
    conn: &mut PgConnection,
    lot: [u8; 16],
) -> Result<Option<PasswordHash>, StoreError> {
    let row: Option<(String,)> =
        sqlx::query_as("select phc from credentials where user_id >= $1 order by user_id limit 1")
            .bind(lot.as_slice())
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|(phc,)| PasswordHash(phc)))
}

/// Replaces the hash `old` of a password by another hash of the same one. False where the password was changed meanwhile.
pub async fn replace(
    conn: &mut PgConnection,
    id: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, StoreError> {
    let replaced = sqlx::query("update credentials set phc = $3 where user_id = $1 and phc = $2")
        .bind(id.as_bytes().as_slice())
        .bind(&old.0)
        .bind(&new.0)
        .execute(conn)
        .await?;
    Ok(replaced.rows_affected() == 1)
}
