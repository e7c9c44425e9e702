//! Postgres: the only folder with SQL in it, beside `migrations/`.
//!
//! Queries are functions over a connection. Row structs stay private; what comes out is a domain type, and a row that
//! cannot be one is [`StoreError::Corrupt`].

pub mod administrators;
pub mod attempts;
pub mod census;
pub mod clients;
pub mod credentials;
pub mod departed;
pub mod directory;
pub mod event_weeks;
pub mod events;
pub mod identities;
pub mod imports;
pub mod invitations;
pub mod keys;
pub mod once;
pub mod revocations;
pub mod sessions;
pub mod signals;
pub mod users;

use std::ops::{Deref, DerefMut};
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shared::secret::SecretText;
use shared::time::UnixMillis;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool, Postgres, Transaction};
use time::OffsetDateTime;

use crate::time::Stopwatch;

/// The schema, as numbered files that are only ever added to.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres is away or overloaded; the same call may succeed later.
    #[error("Postgres does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Postgres refused.
    #[error("Postgres refuses: {0}")]
    Database(#[source] sqlx::Error),
    /// A row says what this version of the issuer never writes.
    #[error("impossible row: {0}")]
    Corrupt(&'static str),
    /// The schema could not be brought up to date.
    #[error("migration: {0}")]
    Migrate(#[from] MigrateError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            // A connection that ends in the middle of the handshake comes as an error of the protocol.
            sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed => Self::Unavailable(error),
            // Connection exception, deadlock, insufficient resources, lock timeout, operator intervention.
            sqlx::Error::Database(database)
                if database.code().is_some_and(|code| {
                    ["08", "40", "53", "55", "57"]
                        .iter()
                        .any(|class| code.starts_with(class))
                }) =>
            {
                Self::Unavailable(error)
            }
            _ => Self::Database(error),
        }
    }
}

/// The way to Postgres.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    acquisitions: Arc<AtomicU64>,
}

impl Store {
    /// Connects.
    ///
    /// # Errors
    /// [`StoreError`] where `url` is no Postgres URL or nobody answers there.
    pub async fn connect(url: &SecretText, max_connections: u32) -> Result<Self, StoreError> {
        let options = options(url)?.options([
            ("statement_timeout", "15s"),
            ("lock_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "15s"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await?;
        Ok(Self::from_pool(pool))
    }

    /// Uses a pool that is there already.
    pub fn from_pool(pool: PgPool) -> Self {
        Self {
            pool,
            acquisitions: Arc::default(),
        }
    }

    /// A connection for one statement. Several that belong together go through [`Self::tx`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where none is to be had.
    pub async fn conn(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.acquisitions.fetch_add(1, Ordering::Relaxed);
        Ok(self.pool.acquire().await?)
    }

    /// Begins a transaction, named for logs.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where no connection is to be had.
    pub async fn tx(&self, name: &'static str) -> Result<Tx, StoreError> {
        self.acquisitions.fetch_add(1, Ordering::Relaxed);
        let inner = self.pool.begin().await?;
        Ok(Tx {
            name,
            inner,
            watch: Stopwatch::start(),
        })
    }

    /// A connection that the pool lends to nobody else: for what must not wait behind sign-ins.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where Postgres does not answer.
    pub async fn connection_apart(&self) -> Result<PgConnection, StoreError> {
        Ok(self.pool.connect_options().connect().await?)
    }

    /// How often anything asked for a connection: tests prove with it that a forged token costs no SQL.
    pub fn acquisitions(&self) -> u64 {
        self.acquisitions.load(Ordering::Relaxed)
    }

    /// Whether Postgres answers.
    ///
    /// # Errors
    /// [`StoreError`] where it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1")
            .execute(&mut *self.conn().await?)
            .await?;
        Ok(())
    }

    /// The versions of migrations that this build has and the database lacks.
    ///
    /// # Errors
    /// [`StoreError`] where Postgres does not answer.
    pub async fn missing_migrations(&self) -> Result<Vec<i64>, StoreError> {
        let mut conn = self.conn().await?;
        let (table_exists,): (bool,) =
            sqlx::query_as("select to_regclass('_sqlx_migrations') is not null")
                .fetch_one(&mut *conn)
                .await?;
        let applied: Vec<(i64,)> = if table_exists {
            sqlx::query_as("select version from _sqlx_migrations where success")
                .fetch_all(&mut *conn)
                .await?
        } else {
            vec![]
        };
        Ok(MIGRATOR
            .iter()
            .map(|migration| migration.version)
            .filter(|version| !applied.contains(&(*version,)))
            .collect())
    }

    /// Closes every connection, once those in use have come back.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Brings the schema of the database at `url` up to date. Takes the time it needs: no statement timeout.
///
/// # Errors
/// [`StoreError`] where Postgres does not answer or a migration fails; a failed one is rolled back.
pub async fn migrate(url: &SecretText) -> Result<(), StoreError> {
    let mut conn = options(url)?.connect().await?;
    MIGRATOR.run(&mut conn).await?;
    conn.close().await?;
    Ok(())
}

fn options(url: &SecretText) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url.expose())?;
    Ok(options
        .application_name("portcullis-issuer")
        .disable_statement_logging())
}

/// A transaction. Dropped it rolls back, committed it is gone.
#[must_use = "a transaction that is not committed rolls back"]
pub struct Tx {
    name: &'static str,
    inner: Transaction<'static, Postgres>,
    watch: Stopwatch,
}

impl Tx {
    /// Makes what was done lasting.
    ///
    /// # Errors
    /// [`StoreError`] where Postgres did not confirm it; then it must be assumed undone.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().await?;
        tracing::trace!(
            tx = self.name,
            ms = self.watch.elapsed().as_millis(),
            "committed"
        );
        Ok(())
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

/// A moment as Postgres stores it; milliseconds survive the way there and back.
fn to_db(moment: UnixMillis) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::milliseconds(moment.millis()))
}

fn from_db(moment: OffsetDateTime) -> UnixMillis {
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    UnixMillis::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// An id or hash as it comes from a `bytea`.
fn bytes<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt("bytea of another length"))
}

fn ip_from_db(text: Option<String>) -> Result<Option<std::net::IpAddr>, StoreError> {
    text.map(|text| text.parse().map_err(|_| StoreError::Corrupt("inet")))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_the_way_to_postgres() {
        for millis in [0, 1, 1_764_000_000_123, -1] {
            let moment = UnixMillis::from_millis(millis);
            assert_eq!(from_db(to_db(moment)), moment);
        }
    }

    #[test]
    fn an_absent_postgres_is_told_from_a_refusal() {
        assert!(matches!(
            StoreError::from(sqlx::Error::PoolTimedOut),
            StoreError::Unavailable(_)
        ));
        assert!(matches!(
            StoreError::from(sqlx::Error::RowNotFound),
            StoreError::Database(_)
        ));
    }
}
