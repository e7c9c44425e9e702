//! Chance that can be repeated: what is drawn follows from the seed alone (SplitMix64, Steele et al. 2014).

use std::ops::RangeInclusive;
use std::time::Duration;

/// A source of numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The source of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A source of its own for `label`: what it gives does not depend on what was drawn here before or after.
    #[must_use]
    pub const fn of(&self, label: u64) -> Self {
        Self(mixed(self.0 ^ mixed(label.wrapping_add(STEP))))
    }

    /// The next number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % bound).unwrap_or(0)
    }

    /// A time of the range, in whole milliseconds.
    pub fn between(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let width = range.end().saturating_sub(*range.start()).as_millis();
        let width = u64::try_from(width).unwrap_or(u64::MAX - 1);
        *range.start() + Duration::from_millis(self.number() % (width + 1))
    }

    /// One of `all`.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same() {
        // The first numbers of the reference implementation for the seed 1234567.
        let mut chance = Chance::new(1_234_567);
        assert_eq!(chance.number(), 6_457_827_717_110_365_317);
        assert_eq!(chance.number(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn what_is_drawn_elsewhere_changes_nothing() {
        let mut drawn = Chance::new(7);
        let untouched = drawn.clone();
        let one = untouched.of(3).number();
        assert_eq!(untouched.of(3).number(), one);
        assert_ne!(untouched.of(4).number(), one);
        drawn.number();
        assert_ne!(drawn.of(3).number(), one, "another place in the sequence");
    }

    #[test]
    fn draws_stay_in_range_and_reach_both_ends() {
        let mut chance = Chance::new(1);
        let range = Duration::from_millis(2)..=Duration::from_millis(4);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            seen.insert(chance.between(&range).as_millis());
            assert!(chance.below(3) < 3);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [2, 3, 4]);
        let none = Duration::ZERO..=Duration::ZERO;
        assert_eq!(chance.between(&none), Duration::ZERO);
        assert_eq!(chance.pick::<u8>(&[]), None);
    }
}
