//! The values, who asked for them, and what is wrong with them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use issuer::time::Clock;
use shared::time::UnixMillis;

use super::Fault;
use super::replica::{Lag, Replica};
use crate::chance::Chance;

/// Real KV takes one write a second for one key.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) value: Bytes,
    pub(super) expires: Option<UnixMillis>,
    /// JSON, as it came.
    pub(super) metadata: Option<String>,
}

impl Entry {
    /// Seconds since 1970.
    pub(super) fn expiration(&self) -> Option<i64> {
        Some(self.expires?.to_secs().secs())
    }
}

#[derive(Debug)]
pub(super) struct Store {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    lag: Option<Lag>,
    /// One for each location. Without a lag all of them show what is stored.
    replicas: Vec<Replica>,
    /// How many changes there have been.
    changes: u64,
    values: BTreeMap<String, Entry>,
    /// What workers see while the fault `Frozen` lasts.
    frozen: Option<BTreeMap<String, Entry>>,
    read_fault: Option<Fault>,
    write_fault: Option<Fault>,
    unlimited: bool,
    written: BTreeMap<String, Instant>,
    reads: BTreeMap<(usize, String), u64>,
    writes: BTreeMap<String, u64>,
    refusals: u64,
}

/// A key was written less than a second before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSoon;

impl Store {
    pub(super) fn new(locations: usize, lag: Option<Lag>, clock: Clock) -> Self {
        let replicas = (0..locations).map(|_| Replica::default()).collect();
        let inner = Inner {
            lag,
            replicas,
            ..Inner::default()
        };
        Self {
            clock,
            inner: Mutex::new(inner),
        }
    }

    /// The time here.
    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        live(self.lock().values.get(key), self.now())
    }

    /// What a worker gets at a location that keeps it for `ttl`, counted.
    pub(super) fn read(&self, location: usize, key: &str, ttl: Duration) -> Option<Entry> {
        let now = self.now();
        let mut inner = self.lock();
        *inner.reads.entry((location, key.to_owned())).or_default() += 1;
        if let Some(frozen) = &inner.frozen {
            return live(frozen.get(key), now);
        }
        if inner.lag.is_none() {
            return live(inner.values.get(key), now);
        }
        let replica = inner.replicas.get_mut(location)?;
        live(replica.read(key, now, ttl).as_ref(), now)
    }

    pub(super) fn put(&self, key: &str, entry: Entry) {
        let now = self.now();
        self.lock().change(key, Some(entry), now);
    }

    /// A write through the public side: all of it or nothing, counted and limited.
    pub(super) fn write(&self, entries: Vec<(String, Entry)>) -> Result<(), TooSoon> {
        let now = self.now();
        let mut inner = self.lock();
        let too_soon = |key: &String| {
            inner
                .written
                .get(key)
                .is_some_and(|at| at.elapsed() < WRITE_INTERVAL)
        };
        if !inner.unlimited && entries.iter().any(|(key, _)| too_soon(key)) {
            return Err(TooSoon);
        }
        for (key, entry) in entries {
            *inner.writes.entry(key.clone()).or_default() += 1;
            inner.written.insert(key.clone(), Instant::now());
            inner.change(&key, Some(entry), now);
        }
        Ok(())
    }

    pub(super) fn remove(&self, key: &str) {
        let now = self.now();
        self.lock().change(key, None, now);
    }

    /// When the first change of `key` that was made at `written` or later shows at a location.
    pub(super) fn shows_from(
        &self,
        location: usize,
        key: &str,
        written: UnixMillis,
    ) -> Option<UnixMillis> {
        let inner = self.lock();
        inner.replicas.get(location)?.shows_from(key, written)
    }

    /// When somebody at a location who looks now and then is first told of a change made at `written` or later.
    pub(super) fn tells(
        &self,
        location: usize,
        key: &str,
        written: UnixMillis,
        looks: (UnixMillis, Duration),
    ) -> Option<UnixMillis> {
        let inner = self.lock();
        let replica = inner.replicas.get(location)?;
        replica.tells(key, written, looks.0, looks.1)
    }

    /// At most `limit` keys that begin with `prefix` and come after `cursor`, and whether there are no more.
    pub(super) fn list(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> (Vec<(String, Entry)>, bool) {
        let now = self.now();
        let inner = self.lock();
        let mut found: Vec<(String, Entry)> = inner
            .values
            .keys()
            .filter(|key| {
                key.starts_with(prefix) && cursor.is_none_or(|cursor| key.as_str() > cursor)
            })
            .filter_map(|key| Some((key.clone(), live(inner.values.get(key), now)?)))
            .take(limit.saturating_add(1))
            .collect();
        let complete = found.len() <= limit;
        found.truncate(limit);
        (found, complete)
    }

    pub(super) fn set_read_fault(&self, fault: Option<Fault>) {
        let mut inner = self.lock();
        inner.frozen = (fault == Some(Fault::Frozen)).then(|| inner.values.clone());
        inner.read_fault = fault;
    }

    pub(super) fn set_write_fault(&self, fault: Option<Fault>) {
        self.lock().write_fault = fault;
    }

    pub(super) fn limit_writes(&self, limited: bool) {
        self.lock().unlimited = !limited;
    }

    pub(super) fn read_fault(&self) -> Option<Fault> {
        self.lock().read_fault.clone()
    }

    pub(super) fn write_fault(&self) -> Option<Fault> {
        self.lock().write_fault.clone()
    }

    pub(super) fn reads(&self, key: &str) -> u64 {
        let inner = self.lock();
        let of_key = inner.reads.iter().filter(|((_, read), _)| read == key);
        of_key.map(|(_, count)| count).sum()
    }

    pub(super) fn reads_at(&self, location: usize, key: &str) -> u64 {
        let counted = (location, key.to_owned());
        self.lock().reads.get(&counted).copied().unwrap_or_default()
    }

    pub(super) fn writes(&self, key: &str) -> u64 {
        self.lock().writes.get(key).copied().unwrap_or_default()
    }

    /// A call of the public side was not served because of a fault.
    pub(super) fn note_refusal(&self) {
        self.lock().refusals += 1;
    }

    pub(super) fn refusals(&self) -> u64 {
        self.lock().refusals
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Writes or deletes, here at once and at every location when it gets there.
    fn change(&mut self, key: &str, entry: Option<Entry>, now: UnixMillis) {
        self.changes += 1;
        for (location, replica) in (0..).zip(&mut self.replicas) {
            match &self.lag {
                None => replica.note(key, now),
                Some(lag) => {
                    let mut chance = Chance::new(lag.seed).of(self.changes).of(location);
                    replica.announce(key, entry.as_ref(), now, &lag.range, &mut chance);
                }
            }
        }
        match entry {
            Some(entry) => self.values.insert(key.to_owned(), entry),
            None => self.values.remove(key),
        };
    }
}

fn live(entry: Option<&Entry>, now: UnixMillis) -> Option<Entry> {
    entry
        .filter(|entry| entry.expires.is_none_or(|expires| expires > now))
        .cloned()
}

#[cfg(test)]
mod tests;
