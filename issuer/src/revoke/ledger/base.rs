//! Base and head: the same revocations in two pieces, of which only the small one is written often.

use std::collections::BTreeSet;

use shared::revocation::{BaseName, Update};
use shared::time::UnixMillis;

use super::held::Held;
use crate::store::revocations::Place;

/// How many of the newest rows stand in the head although the base has them: a reader who looks often enough finds in the
/// head all that it lacks, and need not fetch a base because a new one was cut. 16 KB.
pub(super) const OVERLAP: usize = 2000;

/// What there is to know about a base that was cut.
#[derive(Clone, Debug)]
pub struct Base {
    name: BaseName,
    number: u64,
    /// The rows in it of transactions from `number` on: those that had committed when it was cut.
    beyond: BTreeSet<Place>,
    /// The first transaction of which it has no row, nor of any later one.
    end: u64,
    made_at: UnixMillis,
    history: u64,
}

impl Base {
    /// When its content was read from Postgres.
    pub const fn made_at(&self) -> UnixMillis {
        self.made_at
    }

    fn has(&self, place: Place) -> bool {
        place.xid < self.number || self.beyond.contains(&place)
    }
}

impl Held {
    /// See [`Ledger::cut`](super::Ledger::cut).
    pub(super) fn cut(&self, name: BaseName, sent_at: UnixMillis) -> Option<(Base, Update)> {
        let update = Update {
            base: Some(name),
            ..self.delta(0, sent_at)?
        };
        let base = Base {
            name,
            number: self.number,
            beyond: self.from(self.number).map(|(place, _)| *place).collect(),
            end: self.end(),
            made_at: update.made_at,
            history: self.history,
        };
        Some((base, update))
    }

    /// See [`Ledger::head`](super::Ledger::head); `overlap` is [`OVERLAP`].
    ///
    /// It holds every row that the base lacks and, whatever the base has, every row of the transactions from `since` on:
    /// so it misses nothing for whoever holds that base, nor for whoever knows all below `since`. From the end of the base
    /// on these are the same rows; the overlap puts `since` further back.
    pub(super) fn head(&self, base: &Base, overlap: usize, sent_at: UnixMillis) -> Option<Update> {
        if base.history != self.history {
            return None;
        }
        let since = self.overlap_start(overlap).min(base.end);
        let lacking = self
            .from(base.number)
            .take_while(|(place, _)| place.xid < since)
            .filter(|(place, _)| !base.has(**place));
        let entries = lacking
            .chain(self.from(since))
            .map(|(_, entry)| *entry)
            .collect();
        Some(Update {
            number: self.number,
            since,
            made_at: self.as_of()?,
            sent_at,
            base: Some(base.name),
            entries,
        })
    }

    /// The first transaction after all that have rows here.
    fn end(&self) -> u64 {
        self.rows
            .last_key_value()
            .map_or(0, |(place, _)| place.xid.saturating_add(1))
    }

    /// The transaction from which on there are at most `overlap` rows; 0 where there are no more in all. It follows the
    /// newest one that does not fit, and need not have rows: whoever knows all up to there fits, whatever came between.
    fn overlap_start(&self, overlap: usize) -> u64 {
        let left_out = self.rows.keys().rev().nth(overlap);
        left_out.map_or(0, |place| place.xid.saturating_add(1))
    }
}
