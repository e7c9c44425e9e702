//! Who signed out at a provider a moment ago: a sign-in that is still on its way from there must not outlive that.

use sha2::{Digest as _, Sha256};
use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::identities::Identity;
use super::{StoreError, from_db, to_db};

/// How these rows of `spent` are called.
const PURPOSE: &str = "departed";

/// Who departed: a session at a provider, or everybody of one subject there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom<'a> {
    /// `iss` and `sid`.
    Session(&'a str, &'a str),
    /// `iss` and `sub`.
    Person(&'a str, &'a str),
}

impl<'a> Whom<'a> {
    /// All that a session of ours can depart with.
    pub fn of(identity: &'a Identity, sid: Option<&'a str>) -> Vec<Self> {
        let session = sid.map(|sid| Self::Session(&identity.issuer, sid));
        let person = Self::Person(&identity.issuer, &identity.subject);
        session.into_iter().chain([person]).collect()
    }

    fn digest(self) -> [u8; 32] {
        let (kind, issuer, name) = match self {
            Self::Session(issuer, sid) => ("sid", issuer, sid),
            Self::Person(issuer, subject) => ("sub", issuer, subject),
        };
        Sha256::digest(format!("{kind}\n{issuer}\n{name}")).into()
    }
}

/// Lets nobody else note or read a departure of these until the transaction ends.
pub async fn hold(conn: &mut PgConnection, whom: &[Whom<'_>]) -> Result<(), StoreError> {
    let mut keys: Vec<i64> = whom
        .iter()
        .map(|whom| {
            let [a, b, c, d, e, f, g, h, ..] = whom.digest();
            i64::from_be_bytes([a, b, c, d, e, f, g, h])
        })
        .collect();
    // Always in the same order, so that two who hold the same do not wait for each other.
    keys.sort_unstable();
    for key in keys {
        sqlx::query("select pg_advisory_xact_lock($1)")
            .bind(key)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Notes a departure at `now`, which is to be remembered until `until`. It must be held.
pub async fn note(
    conn: &mut PgConnection,
    whom: Whom<'_>,
    now: UnixMillis,
    until: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into spent (purpose, digest, at, expires_at) values ($1, $2, $3, $4)
         on conflict (purpose, digest) do update
         set at = greatest(spent.at, excluded.at), expires_at = greatest(spent.expires_at, excluded.expires_at)",
    )
    .bind(PURPOSE)
    .bind(whom.digest().as_slice())
    .bind(to_db(now))
    .bind(to_db(until))
    .execute(conn)
    .await?;
    Ok(())
}

/// When one of these departed last, as far as that is remembered. They must be held.
pub async fn last(
    conn: &mut PgConnection,
    whom: &[Whom<'_>],
) -> Result<Option<UnixMillis>, StoreError> {
    let digests: Vec<[u8; 32]> = whom.iter().map(|whom| whom.digest()).collect();
    let digests: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
    let (last,): (Option<OffsetDateTime>,) =
        sqlx::query_as("select max(at) from spent where purpose = $1 and digest = any($2)")
            .bind(PURPOSE)
            .bind(&digests)
            .fetch_one(conn)
            .await?;
    Ok(last.map(from_db))
}
