//! The rows that are held, and how reads add to them. No I/O and no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::revocation::{Revocation, Update};
use shared::time::UnixMillis;

use crate::store::revocations::{Place, Tail};

/// How often expired rows are looked for.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// The live rows as of the last read. It holds every row whose transaction is below `number`, and of the later ones those
/// that have committed.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) rows: BTreeMap<Place, Revocation>,
    pub(super) number: u64,
    /// When the read began that was begun last, of those that have come back.
    as_of: Option<UnixMillis>,
    /// How often Postgres went back. What was read before has nothing to do with what is read after.
    pub(super) history: u64,
    begun: u64,
    applied: u64,
    pruned_at: Option<UnixMillis>,
}

/// A read under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// Asks for the transactions from this one on.
    pub(super) after: u64,
    /// When it began.
    pub(super) as_of: UnixMillis,
    turn: u64,
    history: u64,
}

impl Held {
    /// Begins a read. Take the time before Postgres is asked: what was committed by then will be in it.
    pub(super) const fn begin(&mut self, now: UnixMillis) -> Read {
        self.begun += 1;
        Read {
            after: self.number,
            as_of: now,
            turn: self.begun,
            history: self.history,
        }
    }

    /// Adds what a read has brought, in whatever order reads come back. Whether anything changed.
    pub(super) fn apply(&mut self, read: Read, tail: Tail) -> bool {
        if read.history != self.history {
            return false;
        }
        if tail.number < read.after {
            // Transactions are counted anew: Postgres was restored from a backup. What is held is of another history.
            tracing::error!(held = read.after, found = tail.number, "Postgres went back");
            self.forget();
            return true;
        }
        let before = self.rows.len();
        self.rows.extend(tail.rows);
        let changed = self.rows.len() > before;
        self.number = self.number.max(tail.number);
        if read.turn > self.applied {
            self.applied = read.turn;
            self.as_of = Some(read.as_of);
        }
        self.prune(read.as_of);
        changed
    }

    /// Whether what is held was read after `max_age` before `asked_at`. A moment after `now` is no such moment: the clock
    /// was put back.
    pub(super) fn is_fresh(
        &self,
        asked_at: UnixMillis,
        now: UnixMillis,
        max_age: Duration,
    ) -> bool {
        self.as_of
            .is_some_and(|as_of| as_of <= now && asked_at.since(as_of) <= max_age)
    }

    /// See [`Ledger::delta`](super::Ledger::delta).
    pub(super) fn delta(&self, after: u64, sent_at: UnixMillis) -> Option<Update> {
        Some(Update {
            number: self.number,
            since: after,
            made_at: self.as_of?,
            sent_at,
            base: None,
            entries: self.from(after).map(|(_, entry)| *entry).collect(),
        })
    }

    /// The rows of the transactions from `xid` on.
    pub(super) fn from(&self, xid: u64) -> impl Iterator<Item = (&Place, &Revocation)> {
        self.rows.range(Place::first_of(xid)..)
    }

    /// When what is held was read.
    pub(super) const fn as_of(&self) -> Option<UnixMillis> {
        self.as_of
    }

    fn forget(&mut self) {
        *self = Self {
            history: self.history + 1,
            ..Self::default()
        };
    }

    fn prune(&mut self, now: UnixMillis) {
        let due = self
            .pruned_at
            .is_none_or(|at| now < at || now.since(at) >= PRUNE_INTERVAL);
        if due {
            self.pruned_at = Some(now);
            self.rows.retain(|_, row| row.expires > now.to_secs());
        }
    }
}
