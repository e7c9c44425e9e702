//! KV as one location sees it: writes arrive late and out of order, and what was read is kept for a while, a miss too.
//!
//! A write that overtakes an older one is overtaken back when that one arrives, as caches between here and the store
//! do it, and then arrives once more. So an old value may follow a newer one, but never for good: at the latest when
//! the longest lag since the newest write is over, that one is what shows.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use shared::time::UnixMillis;

use super::store::Entry;
use crate::chance::Chance;

/// How late writes arrive.
#[derive(Clone, Debug)]
pub struct Lag {
    /// The range from which every location draws for every write.
    pub range: RangeInclusive<Duration>,
    /// What the draws follow from.
    pub seed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Replica(BTreeMap<String, Key>);

#[derive(Debug, Default)]
struct Key {
    shown: Option<Entry>,
    under_way: Vec<Arrival>,
    cached: Option<Cached>,
    /// For each time at which a write arrives when it was made, and that time.
    history: Vec<(UnixMillis, UnixMillis)>,
}

#[derive(Debug)]
struct Arrival {
    at: UnixMillis,
    /// Nothing: the key was deleted.
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Cached {
    until: UnixMillis,
    entry: Option<Entry>,
}

impl Replica {
    /// A write was made, and will arrive.
    pub(super) fn announce(
        &mut self,
        key: &str,
        entry: Option<&Entry>,
        now: UnixMillis,
        range: &RangeInclusive<Duration>,
        chance: &mut Chance,
    ) {
        let key = self.0.entry(key.to_owned()).or_default();
        let at = now.plus(chance.between(range));
        let last_before = key.under_way.iter().map(|arrival| arrival.at).max();
        let mut arrive = |at| {
            let entry = entry.cloned();
            key.under_way.push(Arrival { at, entry });
            key.history.push((now, at));
        };
        arrive(at);
        if let Some(last) = last_before.filter(|last| *last > at) {
            let left = now.plus(*range.end()).since(last);
            arrive(last.plus(chance.between(&(Duration::ZERO..=left))));
        }
        // Two that arrive in the same millisecond do so in the order in which they were written.
        key.under_way.sort_by_key(|arrival| arrival.at);
    }

    /// A write was made that shows at once.
    pub(super) fn note(&mut self, key: &str, now: UnixMillis) {
        let key = self.0.entry(key.to_owned()).or_default();
        key.history.push((now, now));
    }

    /// What a worker gets that lets the location keep it for `ttl`.
    pub(super) fn read(&mut self, key: &str, now: UnixMillis, ttl: Duration) -> Option<Entry> {
        let key = self.0.entry(key.to_owned()).or_default();
        if let Some(cached) = key.cached.as_ref().filter(|cached| now < cached.until) {
            return cached.entry.clone();
        }
        let arrived = key.under_way.partition_point(|arrival| arrival.at <= now);
        if let Some(last) = key.under_way.drain(..arrived).next_back() {
            key.shown = last.entry;
        }
        let entry = key.shown.clone();
        key.cached = Some(Cached {
            until: now.plus(ttl),
            entry: entry.clone(),
        });
        entry
    }

    /// When the first write that was made at `written` or later shows here for the first time.
    pub(super) fn shows_from(&self, key: &str, written: UnixMillis) -> Option<UnixMillis> {
        let history = &self.0.get(key)?.history;
        let later = history.iter().filter(|(made, _)| *made >= written);
        later.map(|(_, shown)| *shown).min()
    }

    /// When somebody who looks at `first` and `every` so often from then on is first shown a write that was made at
    /// `written` or later.
    pub(super) fn tells(
        &self,
        key: &str,
        written: UnixMillis,
        first: UnixMillis,
        every: Duration,
    ) -> Option<UnixMillis> {
        let mut arrivals = self.0.get(key)?.history.clone();
        arrivals.sort_by_key(|(_, at)| *at);
        let (_, last) = arrivals.last()?;
        let looks = std::iter::successors(Some(first), |look| Some(look.plus(every)));
        // One look after the last arrival has seen all that there is to see.
        let before_last = looks.clone().take_while(|look| look < last).count();
        looks.take(before_last + 1).find(|look| {
            let arrived = arrivals.partition_point(|(_, at)| at <= look);
            let shown = arrived.checked_sub(1).and_then(|index| arrivals.get(index));
            shown.is_some_and(|(made, _)| *made >= written)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(millis: i64) -> UnixMillis {
        UnixMillis::from_millis(millis)
    }

    fn entry(text: &str) -> Entry {
        Entry {
            value: text.to_owned().into(),
            ..Entry::default()
        }
    }

    /// What shows, without a cache.
    fn shown(replica: &mut Replica, millis: i64) -> Option<String> {
        let entry = replica.read("k", at(millis), Duration::ZERO)?;
        Some(String::from_utf8(entry.value.to_vec()).unwrap())
    }

    #[test]
    fn every_location_ends_with_the_newest_and_some_see_an_older_one_again() {
        let range = Duration::ZERO..=MINUTE;
        let mut relapses = 0;
        for location in 0..50 {
            let mut replica = Replica::default();
            for write in 0..10_i64 {
                let mut chance = Chance::new(location).of(write.unsigned_abs());
                let value = entry(&write.to_string());
                replica.announce("k", Some(&value), at(write * 1000), &range, &mut chance);
            }
            let seen: Vec<i64> = (0..70_000)
                .step_by(100)
                .filter_map(|millis| shown(&mut replica, millis)?.parse().ok())
                .collect();
            relapses += seen.windows(2).filter(|pair| pair[1] < pair[0]).count();
            assert_eq!(shown(&mut replica, 9000 + 60_000).as_deref(), Some("9"));
        }
        assert!(relapses > 50, "{relapses}");
    }

    #[test]
    fn misses_and_values_are_kept_as_long_as_was_asked() {
        let (mut replica, at_once) = (Replica::default(), Duration::ZERO..=Duration::ZERO);
        let ttl = Duration::from_secs(30);
        assert!(replica.read("k", at(0), ttl).is_none());
        let mut chance = Chance::new(0);
        replica.announce("k", Some(&entry("1")), at(1), &at_once, &mut chance);
        assert!(replica.read("k", at(29_999), ttl).is_none());
        assert!(replica.read("k", at(30_000), ttl).is_some());
        replica.announce("k", None, at(30_001), &at_once, &mut chance);
        assert!(replica.read("k", at(59_999), ttl).is_some());
        assert!(replica.read("k", at(60_000), ttl).is_none());
    }

    #[test]
    fn the_first_of_the_later_writes_to_show_counts() {
        let mut replica = Replica::default();
        let after = |millis| Duration::from_millis(millis)..=Duration::from_millis(millis);
        let mut chance = Chance::new(0);
        for (written, lag) in [(0, 10), (100, 5000), (1000, 20)] {
            let value = entry("v");
            replica.announce("k", Some(&value), at(written), &after(lag), &mut chance);
        }
        assert_eq!(replica.shows_from("k", at(50)), Some(at(1020)));
        assert_eq!(replica.shows_from("k", at(2000)), None);
        assert_eq!(replica.shows_from("other", at(0)), None);
    }

    #[test]
    fn who_looks_seldom_learns_late_and_may_miss_what_showed_in_between() {
        let mut replica = Replica::default();
        let after = |millis| Duration::from_millis(millis)..=Duration::from_millis(millis);
        let mut chance = Chance::new(0);
        // The second shows at 110. When the first arrives, at 1000, it arrives once more, and stays.
        replica.announce("k", Some(&entry("1")), at(0), &after(1000), &mut chance);
        replica.announce("k", Some(&entry("2")), at(100), &after(10), &mut chance);
        let tells = |written, first, every| {
            let every = Duration::from_millis(every);
            replica.tells("k", at(written), at(first), every)
        };
        assert_eq!(tells(50, 0, 60), Some(at(120)));
        assert_eq!(tells(50, 0, 1050), Some(at(1050)));
        assert_eq!(tells(200, 0, 30), None);
        assert_eq!(replica.tells("other", at(0), at(0), MINUTE), None);
    }
}
