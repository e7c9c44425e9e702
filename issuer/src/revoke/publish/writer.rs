//! What is written of the revocations: a base now and then, the head at every change.

use std::time::Duration;

use shared::revocation::{BaseName, Update};
use shared::time::UnixMillis;
use shared::wire;
use tokio::task::JoinError;

use super::kv::{KvClient, KvError, Pair};
use super::pace::{Due, WRITE_INTERVAL};
use crate::entropy::{self, EntropyError};
use crate::fault::{Fault, via_fault};
use crate::revoke::ledger::Base;
use crate::services::Services;
use crate::time::Stopwatch;

/// A head is written at least this often: its `made_at` is what tells edges that they have missed nothing.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// A head may not be larger than this, in bytes: it is read again and again. What does not fit goes into a new base.
const HEAD_LIMIT: usize = 64 * 1024;

/// The age at which a base is replaced, for the sake of what has expired in it.
const BASE_KEPT: Duration = Duration::from_secs(3600);

/// When KV forgets a base. Long after the last head that names it could be of use to anybody.
const BASE_TTL: Duration = Duration::from_secs(2 * 3600);

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Reading, randomness.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Writing.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// Postgres was not read yet, or went back to an earlier state.
    #[error("the revocations have to be read first")]
    Unread,
    /// A thread died.
    #[error("encoding: {0}")]
    Task(#[from] JoinError),
}

via_fault!(PublishError: EntropyError);

impl PublishError {
    /// Whether the same would succeed a moment later.
    pub(super) const fn is_too_soon(&self) -> bool {
        matches!(self, Self::Kv(KvError::Refused { status: 429, .. }))
    }
}

/// Writes, and remembers which base the heads are over.
pub(super) struct Writer<'a> {
    services: &'a Services,
    kv: &'a KvClient,
    base: Option<Base>,
    last_head: Option<(Stopwatch, UnixMillis)>,
}

/// A head with what the writer remembers of it.
struct Head {
    made_at: UnixMillis,
    bytes: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// One that knows of no base.
    pub(super) const fn new(services: &'a Services, kv: &'a KvClient) -> Self {
        Self {
            services,
            kv,
            base: None,
            last_head: None,
        }
    }

    /// Writes what is due, and takes it off `due` part by part: after a failure the rest is still due.
    pub(super) async fn write(&mut self, due: &mut Due) -> Result<(), PublishError> {
        let head = self.compose(due).await?;
        let composed = Stopwatch::start();
        let pair = Pair {
            key: wire::kv::REVOCATIONS_HEAD.to_owned(),
            value: head.bytes,
            ttl: None,
        };
        self.kv.write(vec![pair]).await?;
        self.last_head = Some((composed, head.made_at));
        *due = Due::default();
        Ok(())
    }

    /// Whether a head is due although nothing has changed. Asked once a second. The clock is asked beside the stopwatch
    /// because edges go by it: it may have been moved.
    pub(super) fn is_heartbeat_due(&self) -> bool {
        let now = self.services.clock.now();
        self.last_head.is_none_or(|(watch, made_at)| {
            watch.elapsed().max(now.since(made_at)) + WRITE_INTERVAL > HEARTBEAT
        })
    }

    /// The head, over a base that is in KV. Where one is needed it is written first: whoever reads a head finds its base.
    async fn compose(&mut self, due: &mut Due) -> Result<Head, PublishError> {
        let now = self.services.clock.now();
        let kept = self
            .base
            .as_ref()
            .filter(|base| !due.base && now.since(base.made_at()) < BASE_KEPT);
        if let Some(base) = kept
            && let Some(head) = self.head(base).await?
            && head.bytes.len() <= HEAD_LIMIT
        {
            return Ok(head);
        }
        let mut head = self.over_new_base(due).await?;
        if head.bytes.len() > HEAD_LIMIT {
            // More came while KV took the base than a head may hold.
            head = self.over_new_base(due).await?;
        }
        let bytes = head.bytes.len();
        if bytes > HEAD_LIMIT {
            // A KV as slow as that would never be done. A large head now is better than a small one that never comes.
            tracing::warn!(
                bytes,
                "a large head: revocations come faster than KV takes bases"
            );
        }
        Ok(head)
    }

    /// The head over a base that is cut and written for it.
    async fn over_new_base(&mut self, due: &mut Due) -> Result<Head, PublishError> {
        let base = self.cut().await?;
        (due.base, due.head) = (false, true);
        // However long that took, and however much came meanwhile: what is written is never older than it must be.
        let head = self.head(&base).await?;
        self.base = Some(base);
        head.ok_or(PublishError::Unread)
    }

    /// Writes a new base.
    async fn cut(&self) -> Result<Base, PublishError> {
        let name = BaseName::from_random(u64::from_be_bytes(entropy::bytes()?));
        let ledger = self.services.ledger.clone();
        let cut = tokio::task::spawn_blocking(move || ledger.cut(name)).await?;
        let (base, update) = cut.ok_or(PublishError::Unread)?;
        tracing::info!(%name, revocations = update.entries.len(), "a new base");
        let pair = Pair {
            key: name.key(),
            value: self.encode(update).await?,
            ttl: Some(BASE_TTL),
        };
        self.kv.write(vec![pair]).await?;
        Ok(base)
    }

    async fn head(&self, base: &Base) -> Result<Option<Head>, PublishError> {
        let Some(update) = self.services.ledger.head(base) else {
            return Ok(None);
        };
        let (number, revocations) = (update.number, update.entries.len());
        tracing::debug!(number, revocations, "a head");
        Ok(Some(Head {
            made_at: update.made_at,
            bytes: self.encode(update).await?,
        }))
    }

    /// On a thread that may be busy: a million revocations take a while.
    async fn encode(&self, update: Update) -> Result<Vec<u8>, PublishError> {
        let secret = self.services.config.edge_secret().clone();
        Ok(tokio::task::spawn_blocking(move || update.encode(&secret)).await?)
    }
}

#[cfg(test)]
mod tests;
