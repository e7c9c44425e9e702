//! What issuers tell each other through Postgres: wake-up calls, and who of them publishes.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgListener;

use super::{Store, StoreError};

/// Advisory lock numbers, in one place so that no two uses share one ("portcull" in ASCII, plus a small number).
const LOCK_BASE: i64 = 0x706f_7274_6375_6c00;
pub(super) const KEYS_LOCK: i64 = LOCK_BASE + 1;
const PUBLISHER_LOCK: i64 = LOCK_BASE + 2;
pub(super) const EVENTS_LOCK: i64 = LOCK_BASE + 3;
pub(super) const ADMINISTRATORS_LOCK: i64 = LOCK_BASE + 16;

/// A wake-up call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// There are new revocations.
    Revocations,
    /// The signing keys changed.
    Keys,
    /// What stands in KV may be gone: all of it is to be written anew.
    Republish,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Revocations, Self::Keys, Self::Republish];

    const fn channel(self) -> &'static str {
        match self {
            Self::Revocations => "portcullis_revocations",
            Self::Keys => "portcullis_keys",
            Self::Republish => "portcullis_republish",
        }
    }
}

/// Calls every issuer, at commit; several calls of one kind within a transaction arrive as one.
pub async fn call(conn: &mut PgConnection, signal: Signal) -> Result<(), StoreError> {
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
            .listen_all(Signal::ALL.map(Signal::channel))
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
            Signal::ALL
                .into_iter()
                .find(|signal| signal.channel() == call.channel())
        }))
    }
}

/// The right to publish, held by one issuer at a time: a session-level advisory lock on a connection of its own. Postgres
/// gives it up when the connection ends, however it ends. Who holds it uses the connection at least once a second, or
/// loses it to a [`Standby`].
pub struct Leadership {
    conn: PgConnection,
}

impl Leadership {
    /// The connection that holds the lock. Using it is the proof of life; where it fails, the lead is lost as well, and
    /// the leader learns both at once.
    pub const fn connection(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}

/// Waiting for the lead, on a connection that will hold the lock.
pub struct Standby {
    conn: PgConnection,
}

impl Standby {
    /// Connects.
    ///
    /// # Errors
    /// [`StoreError`] where Postgres does not answer.
    pub async fn connect(store: &Store) -> Result<Self, StoreError> {
        let conn = store.connection_apart().await?;
        Ok(Self { conn })
    }

    /// Takes the lead if nobody has it, or if whoever has it has not used their connection for longer than `patience`, by
    /// the clock of Postgres; that connection is ended then. Else gives itself back.
    ///
    /// A process that is frozen, or cut off from Postgres without a goodbye, keeps its connection and with it the lock.
    ///
    /// # Errors
    /// [`StoreError`] where Postgres does not answer.
    pub async fn try_take(
        mut self,
        patience: Duration,
    ) -> Result<Result<Leadership, Self>, StoreError> {
        if self.lock().await? || (self.end_idle_leader(patience).await? && self.lock().await?) {
            return Ok(Ok(Leadership { conn: self.conn }));
        }
        Ok(Err(self))
    }

    /// For reading while there is nothing else to do.
    pub const fn connection(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    async fn lock(&mut self) -> Result<bool, StoreError> {
        let (taken,): (bool,) = sqlx::query_as("select pg_try_advisory_lock($1)")
            .bind(PUBLISHER_LOCK)
            .fetch_one(&mut self.conn)
            .await?;
        Ok(taken)
    }

    /// Ends the connection of a leader that does not stir; whether there was one. Any role may end connections of its own.
    async fn end_idle_leader(&mut self, patience: Duration) -> Result<bool, StoreError> {
        // An advisory lock's number stands in two halves in pg_locks, which shows those of all databases. The state of a
        // connection changes twice with each query. Waits at most a second for the end.
        let ended: Option<(i32, bool)> = sqlx::query_as(
            "select a.pid, pg_terminate_backend(a.pid, 1000)
             from pg_locks l join pg_stat_activity a on a.pid = l.pid
             where l.locktype = 'advisory' and l.granted and l.objsubid = 1
                   and l.database = (select oid from pg_database where datname = current_database())
                   and l.classid = ($1 >> 32)::oid and l.objid = ($1 & 4294967295)::oid
                   and clock_timestamp() - a.state_change > $2 * interval '1 second'",
        )
        .bind(PUBLISHER_LOCK)
        .bind(patience.as_secs_f64())
        .fetch_optional(&mut self.conn)
        .await?;
        if let Some((backend, gone)) = ended {
            tracing::warn!(
                backend,
                gone,
                "the publisher did not stir: its connection was ended"
            );
        }
        Ok(ended.is_some())
    }
}
