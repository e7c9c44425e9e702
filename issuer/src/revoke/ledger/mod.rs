//! Every live revocation, in the memory of this process: what the feed answers from and what is published.
//!
//! Postgres is asked only for the tail: see [`tail`](revocations::tail). Who asks, and when, is decided elsewhere: the
//! publisher each second, the feed when an edge wants to know and what is held is too old for it.

mod base;
mod held;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use shared::revocation::{BaseName, Update};
use shared::time::UnixMillis;
use sqlx::PgConnection;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::timeout;

use crate::store::{Store, StoreError, revocations};
use crate::time::Clock;
pub use base::Base;
use held::{Held, Read};

/// How old an answer to an edge may be when it is asked for. All who ask within this time share one read.
pub const MAX_AGE: Duration = Duration::from_millis(200);

/// How long whoever asks waits for a read; then what is held has to do.
const WAIT: Duration = Duration::from_secs(1);

/// How long a read for the feed may take that nobody waits for any more: a long tail is read once and to its end.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// The revocations.
pub struct Ledger {
    store: Store,
    clock: Clock,
    held: RwLock<Held>,
    /// Counts the changes.
    changes: watch::Sender<u64>,
    /// Held by whoever reads for the feed: one at a time, over a connection that never waits behind sign-ins.
    line: Arc<Mutex<Option<PgConnection>>>,
}

impl Ledger {
    /// One that has read nothing yet.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self {
            store,
            clock,
            held: RwLock::default(),
            changes: watch::Sender::default(),
            line: Arc::default(),
        }
    }

    /// Reads what is new in Postgres, through `conn`; the first time everything. Several may read at once.
    ///
    /// # Errors
    /// [`StoreError`]; what was held stays.
    pub async fn refresh(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let read = self.write().begin(self.clock.now());
        let tail = revocations::tail(conn, read.after, read.as_of).await?;
        self.apply(read, tail);
        Ok(())
    }

    /// Sees to it that what is held is at most [`MAX_AGE`] old, with one read for all who ask meanwhile. Comes back after
    /// a second at most: where Postgres does not answer in time, what is held is older, and says so.
    pub async fn freshen(self: &Arc<Self>) {
        let asked_at = self.clock.now();
        if self.is_fresh(asked_at) {
            return;
        }
        let read = async {
            let line = self.line.clone().lock_owned().await;
            if !self.is_fresh(asked_at) {
                let ledger = self.clone();
                // A task of its own: it goes on when whoever asked has gone.
                let reading = tokio::spawn(async move { ledger.read(line).await });
                // A panic was reported already; there is nothing new, that is all.
                let _ = reading.await;
            }
        };
        if timeout(WAIT, read).await.is_err() {
            tracing::warn!("Postgres is slow: revocations are answered from memory");
        }
    }

    /// What a reader lacks who knows everything below `after`; `None` before the first read.
    ///
    /// 0 gives all. An `after` above our number is that of a reader who was told by an issuer that had read later; they get
    /// a number below theirs, which tells them that there is nothing here for them.
    pub fn delta(&self, after: u64) -> Option<Update> {
        self.read_held().delta(after, self.clock.now())
    }

    /// A base of this name that holds everything, and its message; `None` before the first read.
    pub fn cut(&self, name: BaseName) -> Option<(Base, Update)> {
        self.read_held().cut(name, self.clock.now())
    }

    /// The head over `base`; `None` where it is not a base of what is held.
    pub fn head(&self, base: &Base) -> Option<Update> {
        self.read_held().head(base, base::OVERLAP, self.clock.now())
    }

    /// Hears of every change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// As if `tail` had been read now.
    #[cfg(test)]
    pub(crate) fn take(&self, tail: revocations::Tail) {
        let read = self.write().begin(self.clock.now());
        self.apply(read, tail);
    }

    fn apply(&self, read: Read, tail: revocations::Tail) {
        if self.write().apply(read, tail) {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Reads over the feed's own connection, which is kept only while it works.
    async fn read(&self, mut line: OwnedMutexGuard<Option<PgConnection>>) {
        let read = async {
            if let Some(mut conn) = line.take()
                && self.refresh(&mut conn).await.is_ok()
            {
                *line = Some(conn);
                return Ok(());
            }
            // There was none, or it broke, perhaps long ago.
            let mut conn = self.store.connection_apart().await?;
            self.refresh(&mut conn).await?;
            *line = Some(conn);
            Ok::<(), StoreError>(())
        };
        match timeout(READ_LIMIT, read).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot read revocations"),
            Err(_) => tracing::warn!("reading revocations took longer than {READ_LIMIT:?}"),
        }
    }

    fn is_fresh(&self, asked_at: UnixMillis) -> bool {
        let now = self.clock.now();
        self.read_held().is_fresh(asked_at, now, MAX_AGE)
    }

    fn read_held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}
