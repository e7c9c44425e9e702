//! What serves once: remembered until it would have expired anyway.

use sha2::{Digest as _, Sha256};
use shared::time::UnixMillis;
use sqlx::PgConnection;

use super::{StoreError, to_db};

/// What serves once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The `state` of a sign-in that was finished.
    SignIn,
    /// The `iss` and `jti` of a logout token.
    LogoutToken,
    /// The `iss` and `jti` of a token that asks for revocation.
    RevocationToken,
    /// The client and the `jti` of an assertion by which it proved who it is.
    ClientAssertion,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::LogoutToken => "logout_token",
            Self::RevocationToken => "revocation_token",
            Self::ClientAssertion => "client_assertion",
        }
    }
}

/// Spends `what` in the caller's transaction. False where it was spent before; who spends it at the same moment is waited
/// for.
pub async fn spend(
    conn: &mut PgConnection,
    purpose: Purpose,
    what: &str,
    until: UnixMillis,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "insert into spent (purpose, digest, expires_at) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(purpose.as_str())
    .bind(Sha256::digest(what).as_slice())
    .bind(to_db(until))
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Deletes at most `limit` of those that expired before `now`.
pub async fn delete_expired(
    conn: &mut PgConnection,
    now: UnixMillis,
    limit: i64,
) -> Result<u64, StoreError> {
    let deleted = sqlx::query(
        "delete from spent where (purpose, digest) in (
             select purpose, digest from spent where expires_at < $1 limit $2 for update skip locked)",
    )
    .bind(to_db(now))
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(deleted.rows_affected())
}
