//! Who users are at other providers, and which sessions began there.

use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;
use sqlx::PgConnection;

use super::{StoreError, bytes, to_db};

/// Who somebody is at a provider: an identity is this pair, never an e-mail address (OWASP ASVS 5.0, 6.8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
}

/// Whose the identity is.
pub async fn find(
    conn: &mut PgConnection,
    identity: &Identity,
) -> Result<Option<UserId>, StoreError> {
    let row: Option<(Vec<u8>,)> =
        sqlx::query_as("select user_id from identities where issuer = $1 and subject = $2")
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .fetch_optional(conn)
            .await?;
    user(row)
}

/// Who has this address, however it is capitalised, and whether it is known to be theirs.
pub async fn holder(
    conn: &mut PgConnection,
    email: &str,
) -> Result<Option<(UserId, bool)>, StoreError> {
    let row: Option<(Vec<u8>, bool)> = sqlx::query_as(
        "select id, not email_is_unproven from users where lower(email) = lower($1)",
    )
    .bind(email)
    .fetch_optional(conn)
    .await?;
    row.map(|(id, is_proven)| Ok((UserId::from_bytes(bytes(&id)?), is_proven)))
        .transpose()
}

/// The user with this address who has an identity of this issuer.
pub async fn by_email(
    conn: &mut PgConnection,
    issuer: &str,
    email: &str,
) -> Result<Option<UserId>, StoreError> {
    let row: Option<(Vec<u8>,)> = sqlx::query_as(
        "select u.id from users u
         where lower(u.email) = lower($2)
           and exists (select from identities i where i.user_id = u.id and i.issuer = $1)",
    )
    .bind(issuer)
    .bind(email)
    .fetch_optional(conn)
    .await?;
    user(row)
}

/// Gives the identity to the user. False where somebody has it.
pub async fn insert(
    conn: &mut PgConnection,
    user: UserId,
    identity: &Identity,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "insert into identities (issuer, subject, user_id, created_at) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(&identity.issuer)
    .bind(&identity.subject)
    .bind(user.as_bytes().as_slice())
    .bind(to_db(now))
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Notes that nobody has verified the user's address.
pub async fn note_unproven_address(conn: &mut PgConnection, id: UserId) -> Result<(), StoreError> {
    sqlx::query("update users set email_is_unproven = true where id = $1")
        .bind(id.as_bytes().as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes where a session comes from, right after it began.
pub async fn note_session(
    conn: &mut PgConnection,
    id: SessionId,
    identity: &Identity,
    sid: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update sessions set provider_issuer = $2, provider_subject = $3, provider_sid = $4 where id = $1",
    )
    .bind(id.as_bytes().as_slice())
    .bind(&identity.issuer)
    .bind(&identity.subject)
    .bind(sid)
    .execute(conn)
    .await?;
    Ok(())
}

/// The name of the provider at which one of these sessions began, the latest of them.
pub async fn provider_of(
    conn: &mut PgConnection,
    ids: &[SessionId],
) -> Result<Option<String>, StoreError> {
    let ids: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let row: Option<(String,)> = sqlx::query_as(
        "select provider from sessions where id = any($1) and provider_issuer is not null
         order by created_at desc limit 1",
    )
    .bind(&ids)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(provider,)| provider))
}

/// The sessions that nobody ended and that began in the provider's session `sid`; of `subject`, if that is said.
pub async fn sessions_of_sid(
    conn: &mut PgConnection,
    issuer: &str,
    sid: &str,
    subject: Option<&str>,
) -> Result<Vec<SessionId>, StoreError> {
    let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
        "select id from sessions
         where provider_issuer = $1 and provider_sid = $2 and provider_subject = coalesce($3, provider_subject)
           and ended_at is null",
    )
    .bind(issuer)
    .bind(sid)
    .bind(subject)
    .fetch_all(conn)
    .await?;
    sessions(&rows)
}

/// The sessions that nobody ended and that began with this identity.
pub async fn sessions_of(
    conn: &mut PgConnection,
    identity: &Identity,
) -> Result<Vec<SessionId>, StoreError> {
    let rows: Vec<(Vec<u8>,)> = sqlx::query_as(
        "select id from sessions where provider_issuer = $1 and provider_subject = $2 and ended_at is null",
    )
    .bind(&identity.issuer)
    .bind(&identity.subject)
    .fetch_all(conn)
    .await?;
    sessions(&rows)
}

fn sessions(rows: &[(Vec<u8>,)]) -> Result<Vec<SessionId>, StoreError> {
    rows.iter()
        .map(|(id,)| Ok(SessionId::from_bytes(bytes(id)?)))
        .collect()
}

fn user(row: Option<(Vec<u8>,)>) -> Result<Option<UserId>, StoreError> {
    row.map(|(id,)| Ok(UserId::from_bytes(bytes(&id)?)))
        .transpose()
}
