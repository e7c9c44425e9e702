//! Many fingerprints in little memory: found in well under a microsecond, added and dropped without a rebuild.
//!
//! A fingerprint is 64 random bits. The first 14 choose one of 16,384 short sorted lists, so they need not be stored, and
//! the 14 bits this frees hold the minute in which the entry may be forgotten: 8 bytes an entry, and what is said of it. A
//! list of a set of a million has about 61 entries, so an insertion moves half a kilobyte at most. A search looks at where
//! the fingerprint should stand, if the list has any of its group at all.

use crate::time::UnixTime;

const LISTS_LOG2: u32 = 14;
const LISTS: usize = 1 << LISTS_LOG2;
const KEY_BITS: u32 = u64::BITS - LISTS_LOG2;
const MINUTE_BITS: u32 = 14;
const MINUTE_MASK: u64 = (1 << MINUTE_BITS) - 1;

/// How far from where it is expected an entry of a list of 61 stands at most, but for one in twenty: two standard deviations of a
/// binomial distribution.
const REACH: usize = 8;

/// Into how many parts a sweep is divided: see [`Index::drop_expired`].
pub(super) const PARTS: usize = 16;

/// Fingerprints, each with the minute from which on it may be forgotten, and with what is said of it.
///
/// Minutes are kept modulo 2¹⁴, 11 days: an entry must be dropped within five days of its expiry, and may expire at most
/// five days ahead. Access tokens live for a day at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index<T: Copy> {
    /// Empty until the first insertion: most sets hold no entry of most kinds.
    lists: Vec<List<T>>,
    len: usize,
}

/// A list, and which of 128 groups its keys are of. Most keys are of a group that is not there: then only this is looked at,
/// and not the items, which are somewhere else in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct List<T: Copy> {
    items: Vec<Item<T>>,
    groups: u128,
}

/// An entry. Packed: beside a number of four bytes, another four would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(4))]
struct Item<T: Copy> {
    /// What the list leaves to tell of the fingerprint, and the minute.
    place: u64,
    said: T,
}

impl<T: Copy> Default for Index<T> {
    fn default() -> Self {
        Self {
            lists: Vec::new(),
            len: 0,
        }
    }
}

impl<T: Copy> Default for List<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            groups: 0,
        }
    }
}

impl<T: Copy + Ord> Index<T> {
    /// What is said of `fingerprint`; nothing if it is not there.
    pub(super) fn find(&self, fingerprint: u64) -> Option<T> {
        let (list, key) = place(fingerprint);
        let List { items, groups } = self.lists.get(list)?;
        if groups & group(key) == 0 {
            return None;
        }
        let item = items.get(find(items, key).ok()?)?;
        Some(item.said)
    }

    /// Adds `fingerprint` with what is `said` of it, to be kept until `expires`. If it is there, the higher of both
    /// sayings holds, until the later of both times.
    pub(super) fn insert(&mut self, fingerprint: u64, said: T, expires: UnixTime) {
        if self.lists.is_empty() {
            self.lists.resize_with(LISTS, List::default);
        }
        let (list, key) = place(fingerprint);
        let minute = minute_up(expires);
        let Some(List { items, groups }) = self.lists.get_mut(list) else {
            return;
        };
        match find(items, key) {
            Ok(at) => {
                if let Some(item) = items.get_mut(at) {
                    let held = *item;
                    item.said = held.said.max(said);
                    if is_later(minute, held.minute()) {
                        item.place = pack(key, minute);
                    }
                }
            }
            Err(at) => {
                make_room(items);
                let place = pack(key, minute);
                items.insert(at, Item { place, said });
                *groups |= group(key);
                self.len += 1;
            }
        }
    }

    /// Forgets what expired by `now` in one of [`PARTS`] parts of the set. A sweep of the whole in one go would hold up
    /// the requests of an isolate for milliseconds.
    pub(super) fn drop_expired(&mut self, now: UnixTime, part: usize) {
        let now = minute_down(now);
        let share = LISTS / PARTS;
        for List { items, groups } in self.lists.iter_mut().skip(part % PARTS * share).take(share) {
            let before = items.len();
            items.retain(|item| is_later(item.minute(), now));
            self.len -= before - items.len();
            if items.len() < before {
                *groups = items.iter().fold(0, |all, item| all | group(item.key()));
            }
            if items.capacity() > 4 * items.len().max(1) {
                items.shrink_to_fit();
            }
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The bytes of memory that it takes, without what the allocator adds.
    pub(super) fn bytes(&self) -> usize {
        let items: usize = self.lists.iter().map(|list| list.items.capacity()).sum();
        items * size_of::<Item<T>>() + self.lists.capacity() * size_of::<List<T>>()
    }
}

impl<T: Copy> Item<T> {
    const fn key(self) -> u64 {
        self.place >> MINUTE_BITS
    }

    const fn minute(self) -> u64 {
        self.place & MINUTE_MASK
    }
}

/// Sees to it that one more fits. A list that is full grows by half: to double it would waste as much again.
fn make_room<T: Copy>(items: &mut Vec<Item<T>>) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 2).max(4));
    }
}

/// The list, and the bits that tell its entries apart.
const fn place(fingerprint: u64) -> (usize, u64) {
    let list = (fingerprint >> (u64::BITS - LISTS_LOG2)) as usize;
    (list, fingerprint << LISTS_LOG2 >> LISTS_LOG2)
}

/// Where `key` is, or belongs. Keys are as good as random, so that its place among the others tells about where: mostly two
/// lines of memory are looked at, which are far away in a large set. Where the guess is wrong all are searched.
fn find<T: Copy>(items: &[Item<T>], key: u64) -> Result<usize, usize> {
    let share = |count: u64| ((key >> (KEY_BITS - 32)) * count) >> 32;
    let guess = usize::try_from(share(items.len() as u64)).unwrap_or_default();
    let (start, end) = (guess.saturating_sub(REACH), items.len().min(guess + REACH));
    let near = items.get(start..end).unwrap_or_default();
    let holds = near.first().is_some_and(|first| first.key() <= key)
        && near.last().is_some_and(|last| key <= last.key());
    let search = |items: &[Item<T>]| items.binary_search_by_key(&key, |item| item.key());
    if holds {
        return search(near).map(|at| start + at).map_err(|at| start + at);
    }
    search(items)
}

/// The group of a key, as a bit: by its lowest bits, which are as good as random and do not tell its place.
const fn group(key: u64) -> u128 {
    1 << (key & 127)
}

const fn pack(key: u64, minute: u64) -> u64 {
    key << MINUTE_BITS | minute
}

/// Rounded up, so that nothing is forgotten early.
fn minute_up(time: UnixTime) -> u64 {
    time.secs().max(0).cast_unsigned().div_ceil(60) & MINUTE_MASK
}

fn minute_down(time: UnixTime) -> u64 {
    (time.secs().max(0).cast_unsigned() / 60) & MINUTE_MASK
}

/// Whether minute `one` comes after `other`, where neither is more than half of the range away.
const fn is_later(one: u64, other: u64) -> bool {
    let ahead = one.wrapping_sub(other) & MINUTE_MASK;
    ahead != 0 && ahead <= MINUTE_MASK / 2
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    fn in_minutes(minutes: i64) -> UnixTime {
        UnixTime::from_secs(NOW.secs() + 60 * minutes)
    }

    /// An index that says nothing of what is in it.
    type Plain = Index<()>;

    fn has<T: Copy + Ord>(index: &Index<T>, fingerprint: u64) -> bool {
        index.find(fingerprint).is_some()
    }

    fn sweep<T: Copy + Ord>(index: &mut Index<T>, now: UnixTime) {
        (0..PARTS).for_each(|part| index.drop_expired(now, part));
    }

    fn spread(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[test]
    fn neighbours_are_told_apart() {
        let mut index = Plain::default();
        for fingerprint in [0, 2, u64::MAX, 1 << 50, 1 << 63] {
            assert!(!has(&index, fingerprint));
            index.insert(fingerprint, (), in_minutes(1));
            assert!(has(&index, fingerprint), "{fingerprint:x}");
        }
        for other in [1, 3, u64::MAX - 1, (1 << 50) + 1, (1 << 63) - 1] {
            assert!(!has(&index, other), "{other:x}");
        }
        assert_eq!(index.len(), 5);
    }

    #[test]
    fn what_is_not_spread_evenly_is_found_all_the_same() {
        // All in one list, the lower half of its range, so that every guess is wrong.
        let uneven = || (0..200u64).map(|index| index * index * 7);
        let mut index = Plain::default();
        for fingerprint in uneven().rev() {
            index.insert(fingerprint, (), in_minutes(1));
        }
        assert_eq!(index.len(), 200);
        assert!(uneven().all(|fingerprint| has(&index, fingerprint)));
        assert!(!uneven().any(|fingerprint| has(&index, fingerprint + 1)));
    }

    #[test]
    fn an_entry_goes_when_its_minute_has_passed_and_not_before() {
        let mut index = Plain::default();
        let expires = UnixTime::from_secs(NOW.secs() + 61);
        index.insert(7, (), expires);
        sweep(&mut index, expires);
        assert!(has(&index, 7));
        sweep(&mut index, in_minutes(3));
        assert!(!has(&index, 7));
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn the_later_of_two_expiries_holds_in_either_order() {
        for expiries in [[2, 9], [9, 2]] {
            let mut index = Plain::default();
            for minutes in expiries {
                index.insert(7, (), in_minutes(minutes));
            }
            assert_eq!(index.len(), 1);
            sweep(&mut index, in_minutes(5));
            assert!(has(&index, 7), "{expiries:?}");
            sweep(&mut index, in_minutes(11));
            assert!(!has(&index, 7), "{expiries:?}");
        }
    }

    #[test]
    fn minutes_may_wrap() {
        let wrap = UnixTime::from_secs(60 * (1 << MINUTE_BITS) * 3);
        let mut index = Plain::default();
        index.insert(7, (), UnixTime::from_secs(wrap.secs() + 60));
        sweep(&mut index, UnixTime::from_secs(wrap.secs() - 60));
        assert!(has(&index, 7));
        sweep(&mut index, UnixTime::from_secs(wrap.secs() + 60));
        assert!(!has(&index, 7));
    }

    #[test]
    fn the_higher_of_two_sayings_holds_in_either_order() {
        for (sayings, expiries) in [([3, 7], [9, 2]), ([7, 3], [2, 9])] {
            let mut index = Index::default();
            for (said, minutes) in sayings.into_iter().zip(expiries) {
                index.insert(7, said, in_minutes(minutes));
            }
            assert_eq!((index.find(7), index.find(8)), (Some(7), None));
            sweep(&mut index, in_minutes(5));
            assert_eq!(index.find(7), Some(7), "until the later of both times");
            sweep(&mut index, in_minutes(11));
            assert_eq!((index.find(7), index.len()), (None, 0));
        }
    }

    /// At any size: also where most lists have grown just now.
    #[test]
    fn an_entry_of_a_large_set_costs_at_most_24_bytes() {
        const COUNT: u64 = 1_000_000;
        let (mut plain, mut saying) = (Plain::default(), Index::default());
        for (at, fingerprint) in (1..).zip(spread(COUNT)) {
            plain.insert(fingerprint, (), in_minutes(15));
            saying.insert(fingerprint, 1u32, in_minutes(15));
            if at >= COUNT / 4 && at % (COUNT / 16) == 0 {
                let bytes = (plain.bytes() as u64, saying.bytes() as u64);
                assert!(bytes.0 <= 16 * at && bytes.1 <= 24 * at, "{at}: {bytes:?}");
            }
        }
        assert_eq!((plain.len() as u64, saying.len() as u64), (COUNT, COUNT));
        assert!(spread(COUNT).all(|one| has(&plain, one) && saying.find(one) == Some(1)));
    }
}
