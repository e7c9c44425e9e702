//! Adding many users at once.

use std::collections::BTreeSet;

use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::directory::Entry;
use super::users::Access;
use super::{StoreError, to_db};

/// Adds users with their passwords and identities, and returns the places in `entries` of those that could not be added,
/// because their address, their id or an identity of theirs is taken; the transaction is to be dropped then.
pub async fn insert(
    conn: &mut PgConnection,
    entries: &[Entry],
    now: UnixMillis,
) -> Result<Vec<usize>, StoreError> {
    let mut refused = insert_users(conn, entries).await?;
    if refused.is_empty() {
        insert_credentials(conn, entries, now).await?;
        refused = insert_identities(conn, entries, now).await?;
    }
    Ok(refused)
}

async fn insert_users(
    conn: &mut PgConnection,
    entries: &[Entry],
) -> Result<Vec<usize>, StoreError> {
    let users = || entries.iter().map(|entry| &entry.user);
    let ids: Vec<&[u8]> = users().map(|user| user.id.as_bytes().as_slice()).collect();
    let emails: Vec<&str> = users().map(|user| user.email.as_str()).collect();
    let names: Vec<&str> = users().map(|user| user.name.as_str()).collect();
    // No role has a comma: shared::claims::is_role.
    let roles: Vec<String> = users().map(|user| user.roles.join(",")).collect();
    let created: Vec<OffsetDateTime> = users().map(|user| to_db(user.created_at)).collect();
    let disabled: Vec<Option<OffsetDateTime>> = users()
        .map(|user| match user.access {
            Access::Enabled => None,
            Access::Disabled { since } => Some(to_db(since)),
        })
        .collect();
    let unproven: Vec<bool> = entries
        .iter()
        .map(|entry| entry.email_is_unproven)
        .collect();
    let inserted: Vec<(Vec<u8>,)> = sqlx::query_as(
        "insert into users (id, email, name, roles, created_at, disabled_at, email_is_unproven)
         select id, email, name, string_to_array(roles, ','), created_at, disabled_at, unproven
         from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::boolean[])
              as new (id, email, name, roles, created_at, disabled_at, unproven)
         on conflict do nothing returning id",
    )
    .bind(&ids)
    .bind(&emails)
    .bind(&names)
    .bind(&roles)
    .bind(&created)
    .bind(&disabled)
    .bind(&unproven)
    .fetch_all(conn)
    .await?;
    // An id that stands twice is refused the second time.
    let mut left: BTreeSet<Vec<u8>> = inserted.into_iter().map(|(id,)| id).collect();
    let refused = ids.iter().enumerate().filter(|(_, id)| !left.remove(**id));
    Ok(refused.map(|(place, _)| place).collect())
}

async fn insert_credentials(
    conn: &mut PgConnection,
    entries: &[Entry],
    now: UnixMillis,
) -> Result<(), StoreError> {
    let (ids, hashes): (Vec<&[u8]>, Vec<&str>) = entries
        .iter()
        .filter_map(|entry| {
            let phc = entry.phc.as_deref()?;
            Some((entry.user.id.as_bytes().as_slice(), phc))
        })
        .unzip();
    sqlx::query(
        "insert into credentials (user_id, phc, changed_at)
         select user_id, phc, $3 from unnest($1::bytea[], $2::text[]) as new (user_id, phc)",
    )
    .bind(&ids)
    .bind(&hashes)
    .bind(to_db(now))
    .execute(conn)
    .await?;
    Ok(())
}

async fn insert_identities(
    conn: &mut PgConnection,
    entries: &[Entry],
    now: UnixMillis,
) -> Result<Vec<usize>, StoreError> {
    let (mut issuers, mut subjects, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let mut places = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        for (issuer, subject) in &entry.identities {
            issuers.push(issuer.as_str());
            subjects.push(subject.as_str());
            ids.push(entry.user.id.as_bytes().as_slice());
            places.push(place);
        }
    }
    let inserted: Vec<(String, String)> = sqlx::query_as(
        "insert into identities (issuer, subject, user_id, created_at)
         select issuer, subject, user_id, $4
         from unnest($1::text[], $2::text[], $3::bytea[]) as new (issuer, subject, user_id)
         on conflict do nothing returning issuer, subject",
    )
    .bind(&issuers)
    .bind(&subjects)
    .bind(&ids)
    .bind(to_db(now))
    .fetch_all(conn)
    .await?;
    let mut left: BTreeSet<(String, String)> = inserted.into_iter().collect();
    let named = issuers.iter().zip(&subjects).zip(places);
    let refused = named
        .filter(|((issuer, subject), _)| !left.remove(&(issuer.to_string(), subject.to_string())));
    let mut refused: Vec<usize> = refused.map(|(_, place)| place).collect();
    refused.dedup();
    Ok(refused)
}
