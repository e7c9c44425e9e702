//! Many fingerprints in little memory: found in well under a microsecond, added and dropped without a rebuild.
//!
//! A fingerprint is 64 random bits. The first 14 choose one of 16,384 short sorted lists, so they need not be stored, and
//! the 14 bits this frees hold the minute in which the entry may be forgotten: 8 bytes an entry. A list of a set of a
//! million has about 61 entries, so a search looks at six of them and an insertion moves half a kilobyte at most.

use crate::time::UnixTime;

const LISTS_LOG2: u32 = 14;
const LISTS: usize = 1 << LISTS_LOG2;
const MINUTE_BITS: u32 = 14;
const MINUTE_MASK: u64 = (1 << MINUTE_BITS) - 1;

/// Into how many parts a sweep is divided: see [`Index::drop_expired`].
pub(super) const PARTS: usize = 16;

/// Fingerprints, each with the minute from which on it may be forgotten.
///
/// Minutes are kept modulo 2¹⁴, 11 days: an entry must be dropped within five days of its expiry, and may expire at most
/// five days ahead. Access tokens live for a day at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Empty until the first insertion: most sets hold no entry of most kinds.
    lists: Vec<Vec<u64>>,
    len: usize,
}

impl Index {
    /// Whether `fingerprint` is in it.
    pub(super) fn contains(&self, fingerprint: u64) -> bool {
        let (list, key) = place(fingerprint);
        self.lists
            .get(list)
            .is_some_and(|entries| find(entries, key).is_ok())
    }

    /// Adds `fingerprint`, to be kept until `expires`; if it is there, the later of both times holds.
    pub(super) fn insert(&mut self, fingerprint: u64, expires: UnixTime) {
        if self.lists.is_empty() {
            self.lists.resize_with(LISTS, Vec::new);
        }
        let (list, key) = place(fingerprint);
        let minute = minute_up(expires);
        let Some(entries) = self.lists.get_mut(list) else {
            return;
        };
        match find(entries, key) {
            Ok(at) => {
                if let Some(entry) = entries.get_mut(at)
                    && is_later(minute, *entry & MINUTE_MASK)
                {
                    *entry = pack(key, minute);
                }
            }
            Err(at) => {
                entries.insert(at, pack(key, minute));
                self.len += 1;
            }
        }
    }

    /// Forgets what expired by `now` in one of [`PARTS`] parts of the set. A sweep of the whole in one go would hold up
    /// the requests of an isolate for milliseconds.
    pub(super) fn drop_expired(&mut self, now: UnixTime, part: usize) {
        let now = minute_down(now);
        let share = LISTS / PARTS;
        for entries in self.lists.iter_mut().skip(part % PARTS * share).take(share) {
            let before = entries.len();
            entries.retain(|entry| is_later(*entry & MINUTE_MASK, now));
            self.len -= before - entries.len();
            if entries.capacity() > 4 * entries.len().max(1) {
                entries.shrink_to_fit();
            }
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The bytes of memory that it takes, without what the allocator adds.
    pub(super) fn bytes(&self) -> usize {
        let entries: usize = self.lists.iter().map(Vec::capacity).sum();
        entries * size_of::<u64>() + self.lists.capacity() * size_of::<Vec<u64>>()
    }
}

/// The list, and the bits that tell its entries apart.
const fn place(fingerprint: u64) -> (usize, u64) {
    let list = (fingerprint >> (u64::BITS - LISTS_LOG2)) as usize;
    (list, fingerprint << LISTS_LOG2 >> LISTS_LOG2)
}

fn find(entries: &[u64], key: u64) -> Result<usize, usize> {
    entries.binary_search_by_key(&key, |entry| *entry >> MINUTE_BITS)
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

    fn sweep(index: &mut Index, now: UnixTime) {
        (0..PARTS).for_each(|part| index.drop_expired(now, part));
    }

    fn spread(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|index| index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[test]
    fn neighbours_are_told_apart() {
        let mut index = Index::default();
        for fingerprint in [0, 2, u64::MAX, 1 << 50, 1 << 63] {
            assert!(!index.contains(fingerprint));
            index.insert(fingerprint, in_minutes(1));
            assert!(index.contains(fingerprint), "{fingerprint:x}");
        }
        for other in [1, 3, u64::MAX - 1, (1 << 50) + 1, (1 << 63) - 1] {
            assert!(!index.contains(other), "{other:x}");
        }
        assert_eq!(index.len(), 5);
    }

    #[test]
    fn an_entry_goes_when_its_minute_has_passed_and_not_before() {
        let mut index = Index::default();
        let expires = UnixTime::from_secs(NOW.secs() + 61);
        index.insert(7, expires);
        sweep(&mut index, expires);
        assert!(index.contains(7));
        sweep(&mut index, in_minutes(3));
        assert!(!index.contains(7));
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn the_later_of_two_expiries_holds_in_either_order() {
        for expiries in [[2, 9], [9, 2]] {
            let mut index = Index::default();
            for minutes in expiries {
                index.insert(7, in_minutes(minutes));
            }
            assert_eq!(index.len(), 1);
            sweep(&mut index, in_minutes(5));
            assert!(index.contains(7), "{expiries:?}");
            sweep(&mut index, in_minutes(11));
            assert!(!index.contains(7), "{expiries:?}");
        }
    }

    #[test]
    fn minutes_may_wrap() {
        let wrap = UnixTime::from_secs(60 * (1 << MINUTE_BITS) * 3);
        let mut index = Index::default();
        index.insert(7, UnixTime::from_secs(wrap.secs() + 60));
        sweep(&mut index, UnixTime::from_secs(wrap.secs() - 60));
        assert!(index.contains(7));
        sweep(&mut index, UnixTime::from_secs(wrap.secs() + 60));
        assert!(!index.contains(7));
    }

    #[test]
    fn an_entry_of_a_large_set_costs_at_most_24_bytes() {
        const COUNT: u64 = 1_000_000;
        let mut index = Index::default();
        spread(COUNT).for_each(|fingerprint| index.insert(fingerprint, in_minutes(15)));
        assert_eq!(index.len() as u64, COUNT);
        let bytes = index.bytes() as u64;
        assert!(bytes <= 24 * COUNT, "{bytes} bytes");
        assert!(spread(COUNT).all(|fingerprint| index.contains(fingerprint)));
    }
}
