//! Services that are registered as clients.

use shared::id::ClientId;
use shared::scope::Scopes;
use shared::secret::SecretHash;
use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{StoreError, bytes, from_db, to_db};

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: ClientId,
    /// What the operator calls it.
    pub name: String,
    /// The most that a token of its may hold.
    pub scopes: Scopes,
    /// Whether it may ask about tokens of others (RFC 7662).
    pub may_introspect: bool,
    /// How it proves who it is.
    pub proof: Proof,
    /// Version that its tokens carry.
    pub ver: u32,
    /// When it was registered.
    pub created_at: UnixMillis,
    /// When the longest-lived of its tokens expires.
    pub access_expires_at: Option<UnixMillis>,
    /// Whether it may do anything.
    pub state: State,
}

/// How a client proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By the secret with this hash.
    Secret(SecretHash),
    /// By a signature under one of these keys: a JWK set.
    Keys(String),
}

/// Whether a client may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Active,
    /// Not since then, and never again.
    Revoked {
        /// When.
        at: UnixMillis,
    },
}

#[derive(sqlx::FromRow)]
struct ClientRow {
    id: Vec<u8>,
    name: String,
    scopes: Vec<String>,
    may_introspect: bool,
    secret_hash: Option<Vec<u8>>,
    jwks: Option<String>,
    ver: i32,
    created_at: OffsetDateTime,
    access_expires_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
}

impl TryFrom<ClientRow> for Client {
    type Error = StoreError;

    fn try_from(row: ClientRow) -> Result<Self, StoreError> {
        let proof = match (row.secret_hash, row.jwks) {
            (Some(hash), None) => Proof::Secret(SecretHash::from_bytes(bytes(&hash)?)),
            (None, Some(jwks)) => Proof::Keys(jwks),
            (Some(_), Some(_)) | (None, None) => {
                return Err(StoreError::Corrupt("proofs of a client"));
            }
        };
        Ok(Self {
            id: ClientId::from_bytes(bytes(&row.id)?),
            name: row.name,
            scopes: Scopes::of(row.scopes.iter().map(String::as_str))
                .map_err(|_| StoreError::Corrupt("clients.scopes"))?,
            may_introspect: row.may_introspect,
            proof,
            ver: version(row.ver)?,
            created_at: from_db(row.created_at),
            access_expires_at: row.access_expires_at.map(from_db),
            state: row
                .revoked_at
                .map_or(State::Active, |at| State::Revoked { at: from_db(at) }),
        })
    }
}

fn version(ver: i32) -> Result<u32, StoreError> {
    ver.try_into()
        .map_err(|_| StoreError::Corrupt("clients.ver"))
}

/// Adds a client.
pub async fn insert(conn: &mut PgConnection, client: &Client) -> Result<(), StoreError> {
    let (secret_hash, jwks) = match &client.proof {
        Proof::Secret(hash) => (Some(hash.as_bytes().as_slice()), None),
        Proof::Keys(jwks) => (None, Some(jwks)),
    };
    let scopes: Vec<&str> = client.scopes.names().collect();
    sqlx::query(
        "insert into clients (id, name, scopes, may_introspect, secret_hash, jwks, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(client.id.as_bytes().as_slice())
    .bind(&client.name)
    .bind(&scopes)
    .bind(client.may_introspect)
    .bind(secret_hash)
    .bind(jwks)
    .bind(to_db(client.created_at))
    .execute(conn)
    .await?;
    Ok(())
}

/// The client with this id, revoked or not.
pub async fn by_id(conn: &mut PgConnection, id: ClientId) -> Result<Option<Client>, StoreError> {
    let row: Option<ClientRow> = sqlx::query_as(
        "select id, name, scopes, may_introspect, secret_hash, jwks, ver, created_at, access_expires_at, revoked_at
         from clients where id = $1",
    )
    .bind(id.as_bytes().as_slice())
    .fetch_optional(conn)
    .await?;
    row.map(Client::try_from).transpose()
}

/// The same, whose row nobody else changes until the transaction ends.
pub async fn lock(conn: &mut PgConnection, id: ClientId) -> Result<Option<Client>, StoreError> {
    sqlx::query("select from clients where id = $1 for update")
        .bind(id.as_bytes().as_slice())
        .execute(&mut *conn)
        .await?;
    by_id(conn, id).await
}

/// Every client, oldest first.
pub async fn all(conn: &mut PgConnection) -> Result<Vec<Client>, StoreError> {
    let rows: Vec<ClientRow> = sqlx::query_as(
        "select id, name, scopes, may_introspect, secret_hash, jwks, ver, created_at, access_expires_at, revoked_at
         from clients order by created_at, id",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Client::try_from).collect()
}

/// Notes that a token of `client` is given out that expires at `expires`. False where the row has changed since `client` was
/// read: it, or all of its tokens, were revoked. So each token is either announced as revoked or given out after that.
pub async fn note_token(
    conn: &mut PgConnection,
    client: &Client,
    expires: UnixMillis,
) -> Result<bool, StoreError> {
    let updated = sqlx::query(
        "update clients set access_expires_at = greatest(access_expires_at, $3)
         where id = $1 and ver = $2 and revoked_at is null",
    )
    .bind(client.id.as_bytes().as_slice())
    .bind(i64::from(client.ver))
    .bind(to_db(expires))
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Replaces the secret.
pub async fn set_secret(
    conn: &mut PgConnection,
    id: ClientId,
    hash: &SecretHash,
) -> Result<(), StoreError> {
    sqlx::query("update clients set secret_hash = $2 where id = $1")
        .bind(id.as_bytes().as_slice())
        .bind(hash.as_bytes().as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

/// Raises the version, which is returned: tokens with a lower one are to be refused.
pub async fn raise_ver(conn: &mut PgConnection, id: ClientId) -> Result<u32, StoreError> {
    let (ver,): (i32,) =
        sqlx::query_as("update clients set ver = ver + 1 where id = $1 returning ver")
            .bind(id.as_bytes().as_slice())
            .fetch_one(conn)
            .await?;
    version(ver)
}

/// Marks the client as revoked.
pub async fn revoke(
    conn: &mut PgConnection,
    id: ClientId,
    now: UnixMillis,
) -> Result<(), StoreError> {
    sqlx::query("update clients set revoked_at = $2 where id = $1")
        .bind(id.as_bytes().as_slice())
        .bind(to_db(now))
        .execute(conn)
        .await?;
    Ok(())
}
