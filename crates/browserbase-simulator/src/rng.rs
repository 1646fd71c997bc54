//! A seeded random number generator: SplitMix64, integers only.
//!
//! Its output for a seed is the same on every machine and never depends on the version of a library. So a seed that
//! revealed a bug reveals it again.

use std::ops::Range;

/// A stream of random numbers.
#[derive(Debug)]
pub(super) struct SeededRng(u64);

impl SeededRng {
    /// Returns the stream `stream` of `seed`. Streams are independent: drawing from one does not change another.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        // The odd constant spreads the numbers of the streams over all bits.
        let mut seeded = Self(seed);
        Self(seeded.next_u64() ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// Returns the next number.
    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number in `0..limit`, or 0 if `limit` is 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Returns a number in `range`, or its start if the range is empty.
    pub(super) fn in_range(&mut self, range: Range<i64>) -> i64 {
        let length = u64::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        range.start.saturating_add(i64::try_from(self.below(length)).unwrap_or(0))
    }

    /// Returns true with a probability of `percent` in 100.
    pub(super) fn percent_chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Returns one of `items`, or the default if there are none.
    pub(super) fn choose<T: Copy + Default>(&mut self, items: &[T]) -> T {
        let index = self.below(u64::try_from(items.len()).unwrap_or(0));
        usize::try_from(index).ok().and_then(|index| items.get(index)).copied().unwrap_or_default()
    }

    /// Returns one of `items`, with probabilities in proportion to their weights.
    pub(super) fn choose_weighted<T: Copy + Default>(&mut self, items: &[(u64, T)]) -> T {
        let mut left = self.below(items.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in items {
            match left.checked_sub(*weight) {
                Some(remaining) => left = remaining,
                None => return *item,
            }
        }
        T::default()
    }

    /// Returns a version 4 UUID.
    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.next_u64(), self.next_u64());
        let (low, last) = (low >> 48 & 0x0fff, low & 0xffff_ffff_ffff);
        format!("{:08x}-{:04x}-4{:03x}-a{low:03x}-{last:012x}", high >> 32, high >> 16 & 0xffff, high & 0xfff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_match_splitmix64_reference() {
        // The authors' reference implementation prints these for the seed 1234567.
        let mut rng = SeededRng(1_234_567);
        let numbers = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn streams_of_one_seed_differ() {
        assert_ne!(SeededRng::new(1, 2).next_u64(), SeededRng::new(1, 3).next_u64());
    }

    #[test]
    fn drawn_values_and_uuids_are_valid() {
        let mut rng = SeededRng::new(7, 0);
        for _ in 0..1000 {
            assert!(rng.below(3) < 3 && (-5..5).contains(&rng.in_range(-5..5)));
            assert_eq!((rng.choose_weighted(&[(0, 'a'), (2, 'b')]), rng.percent_chance(0)), ('b', false));
            assert!(rng.percent_chance(100) && [1, 2].contains(&rng.choose(&[1, 2])));
        }
        assert_eq!((rng.below(0), rng.in_range(4..4), rng.choose::<u8>(&[])), (0, 4, 0));
        let id = rng.uuid();
        assert!(id.len() == 36 && id.get(14..15) == Some("4") && id.get(19..20) == Some("a"), "{id}");
    }
}
