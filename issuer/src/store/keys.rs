//! Signing keys, sealed.

use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{StoreError, from_db, signals, to_db};

/// A signing key as it is stored.
#[derive(Clone, Debug)]
pub struct SealedKey {
    /// Its name in tokens.
    pub kid: String,
    /// Its seed, sealed with `ENCRYPTION_KEY`.
    pub sealed_seed: Vec<u8>,
    /// When it was made, and published.
    pub created_at: UnixMillis,
    /// From when on it may sign.
    pub activates_at: UnixMillis,
}

/// Lets one transaction at a time make or delete keys: of two issuers that start at once, one makes the first key.
pub async fn lock(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(signals::KEYS_LOCK)
        .execute(conn)
        .await?;
    Ok(())
}

/// Every key, oldest first.
pub async fn all(conn: &mut PgConnection) -> Result<Vec<SealedKey>, StoreError> {
    let rows: Vec<(String, Vec<u8>, OffsetDateTime, OffsetDateTime)> =
        sqlx::query_as("select kid, sealed_seed, created_at, activates_at from signing_keys order by activates_at, kid")
            .fetch_all(conn)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(kid, sealed_seed, created_at, activates_at)| SealedKey {
            kid,
            sealed_seed,
            created_at: from_db(created_at),
            activates_at: from_db(activates_at),
        })
        .collect())
}

/// Adds a key and tells every issuer at commit.
pub async fn insert(conn: &mut PgConnection, key: &SealedKey) -> Result<(), StoreError> {
    sqlx::query("insert into signing_keys (kid, sealed_seed, created_at, activates_at) values ($1, $2, $3, $4)")
        .bind(&key.kid)
        .bind(&key.sealed_seed)
        .bind(to_db(key.created_at))
        .bind(to_db(key.activates_at))
        .execute(&mut *conn)
        .await?;
    signals::call(conn, signals::Signal::Keys).await
}

/// Replaces the seal around a key. Nobody needs to be told: the key is the same.
pub async fn reseal(
    conn: &mut PgConnection,
    kid: &str,
    sealed_seed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query("update signing_keys set sealed_seed = $2 where kid = $1")
        .bind(kid)
        .bind(sealed_seed)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes keys and tells every issuer at commit.
pub async fn delete(conn: &mut PgConnection, kids: &[String]) -> Result<(), StoreError> {
    sqlx::query("delete from signing_keys where kid = any($1)")
        .bind(kids)
        .execute(&mut *conn)
        .await?;
    signals::call(conn, signals::Signal::Keys).await
}
