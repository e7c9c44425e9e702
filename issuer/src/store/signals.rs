//! What issuers tell each other through Postgres: wake-up calls, and who of them publishes.

use sqlx::postgres::PgListener;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::{Store, StoreError};

/// Advisory lock numbers, in one place so that no two uses share one ("portcull" in ASCII, plus a small number).
const LOCK_BASE: i64 = 0x706f_7274_6375_6c00;
pub(super) const KEYS_LOCK: i64 = LOCK_BASE + 1;
const PUBLISHER_LOCK: i64 = LOCK_BASE + 2;

/// A wake-up call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// There are new revocations.
    Revocations,
    /// The signing keys changed.
    Keys,
}

impl Signal {
    const fn channel(self) -> &'static str {
        match self {
            Self::Revocations => "portcullis_revocations",
            Self::Keys => "portcullis_keys",
        }
    }
}

/// Calls at commit; several of one kind within a transaction arrive as one.
pub(super) async fn notify(conn: &mut PgConnection, signal: Signal) -> Result<(), StoreError> {
    sqlx::query("select pg_notify($1, '')")
        .bind(signal.channel())
        .execute(conn)
        .await?;
    Ok(())
}

/// Hears the wake-up calls.
pub struct Listener(PgListener);

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`StoreError`] where Postgres does not answer.
    pub async fn connect(store: &Store) -> Result<Self, StoreError> {
        let mut listener = PgListener::connect_with(&store.pool).await?;
        listener
            .listen_all([Signal::Revocations.channel(), Signal::Keys.channel()])
            .await?;
        Ok(Self(listener))
    }

    /// The next call; `None` where the connection was lost meanwhile, so that calls of any kind may have been missed.
    ///
    /// # Errors
    /// [`StoreError`] where the connection cannot be had again.
    pub async fn next(&mut self) -> Result<Option<Signal>, StoreError> {
        let notification = self.0.try_recv().await?;
        Ok(notification.and_then(|call| {
            [Signal::Revocations, Signal::Keys]
                .into_iter()
                .find(|signal| signal.channel() == call.channel())
        }))
    }
}

/// The right to publish, held by one issuer at a time: a session-level advisory lock on a connection of its own. Postgres
/// gives it up when the connection dies.
pub struct Leadership {
    conn: PgConnection,
}

impl Leadership {
    /// Takes the lead if nobody has it.
    ///
    /// # Errors
    /// [`StoreError`] where Postgres does not answer.
    pub async fn try_take(store: &Store) -> Result<Option<Self>, StoreError> {
        let mut conn = store.pool.connect_options().connect().await?;
        let (taken,): (bool,) = sqlx::query_as("select pg_try_advisory_lock($1)")
            .bind(PUBLISHER_LOCK)
            .fetch_one(&mut conn)
            .await?;
        if taken {
            return Ok(Some(Self { conn }));
        }
        conn.close().await?;
        Ok(None)
    }

    /// The connection that holds the lock. What the leader reads it reads through this one: where it fails, the lead is
    /// lost as well, and the leader learns both at once.
    pub const fn connection(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    /// Gives the lead up.
    pub async fn release(self) {
        // The server frees the lock when the connection ends, however it ends.
        let _ = self.conn.close().await;
    }
}
