//! The values, who asked for them, and what is wrong with them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Fault;

/// Real KV takes one write a second for one key.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) value: Vec<u8>,
    pub(super) expires: Option<SystemTime>,
    /// JSON, as it came.
    pub(super) metadata: Option<String>,
}

impl Entry {
    /// Seconds since 1970.
    pub(super) fn expiration(&self) -> Option<u64> {
        self.expires?
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .map(|since| since.as_secs())
    }
}

#[derive(Debug, Default)]
pub(super) struct Store(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    values: BTreeMap<String, Entry>,
    /// What workers see while the fault `Frozen` lasts.
    frozen: Option<BTreeMap<String, Entry>>,
    read_fault: Option<Fault>,
    write_fault: Option<Fault>,
    unlimited: bool,
    written: BTreeMap<String, Instant>,
    reads: BTreeMap<String, u64>,
    writes: BTreeMap<String, u64>,
}

/// A key was written less than a second before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSoon;

impl Store {
    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        live(&self.lock().values, key)
    }

    /// What a worker gets, counted.
    pub(super) fn read(&self, key: &str) -> Option<Entry> {
        let mut inner = self.lock();
        *inner.reads.entry(key.to_owned()).or_default() += 1;
        live(inner.frozen.as_ref().unwrap_or(&inner.values), key)
    }

    pub(super) fn put(&self, key: &str, entry: Entry) {
        self.lock().values.insert(key.to_owned(), entry);
    }

    /// A write through the public side: all of it or nothing, counted and limited.
    pub(super) fn write(&self, entries: Vec<(String, Entry)>) -> Result<(), TooSoon> {
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
            inner.values.insert(key, entry);
        }
        Ok(())
    }

    pub(super) fn remove(&self, key: &str) {
        self.lock().values.remove(key);
    }

    /// At most `limit` keys that begin with `prefix` and come after `cursor`, and whether there are no more.
    pub(super) fn list(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> (Vec<(String, Entry)>, bool) {
        let inner = self.lock();
        let mut found: Vec<(String, Entry)> = inner
            .values
            .keys()
            .filter(|key| {
                key.starts_with(prefix) && cursor.is_none_or(|cursor| key.as_str() > cursor)
            })
            .filter_map(|key| Some((key.clone(), live(&inner.values, key)?)))
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
        self.lock().reads.get(key).copied().unwrap_or_default()
    }

    pub(super) fn writes(&self, key: &str) -> u64 {
        self.lock().writes.get(key).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn live(values: &BTreeMap<String, Entry>, key: &str) -> Option<Entry> {
    values
        .get(key)
        .filter(|entry| {
            entry
                .expires
                .is_none_or(|expires| expires > SystemTime::now())
        })
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry {
            value: text.into(),
            ..Entry::default()
        }
    }

    #[test]
    fn frozen_values_stay_until_they_thaw() {
        let store = Store::default();
        store.put("a", entry("old"));
        store.set_read_fault(Some(Fault::Frozen));
        store.put("a", entry("new"));
        assert_eq!(store.read("a").unwrap().value, b"old");
        store.set_read_fault(None);
        assert_eq!(store.read("a").unwrap().value, b"new");
        assert_eq!(store.reads("a"), 2);
    }

    #[test]
    fn one_write_a_second_for_one_key() {
        let store = Store::default();
        let write = |key: &str| store.write(vec![(key.to_owned(), entry("v"))]);
        assert_eq!(
            (write("a"), write("a"), write("b")),
            (Ok(()), Err(TooSoon), Ok(()))
        );
        assert_eq!(store.writes("a"), 1);
        store.limit_writes(false);
        assert_eq!(write("a"), Ok(()));
    }

    #[test]
    fn what_has_expired_is_gone() {
        let store = Store::default();
        store.put(
            "a",
            Entry {
                expires: Some(SystemTime::UNIX_EPOCH),
                ..entry("v")
            },
        );
        assert!(store.get("a").is_none());
        assert!(store.list("", None, 10).0.is_empty());
    }

    #[test]
    fn a_list_goes_on_where_it_stopped() {
        let store = Store::default();
        for key in ["a1", "a2", "a3", "b"] {
            store.put(key, entry("v"));
        }
        let names = |(entries, complete): (Vec<(String, Entry)>, bool)| {
            (
                entries
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>(),
                complete,
            )
        };
        assert_eq!(
            names(store.list("a", None, 2)),
            (vec!["a1".into(), "a2".into()], false)
        );
        assert_eq!(
            names(store.list("a", Some("a2"), 2)),
            (vec!["a3".into()], true)
        );
    }
}
