//! Numbers that look like chance and follow from a seed: SplitMix64, whole numbers only. What it gives for a seed never
//! changes, on no machine and with no version of a library; a seed that once found something finds it again.

use std::ops::Range;

/// A row of such numbers.
#[derive(Debug)]
pub(super) struct SeededRng(u64);

impl SeededRng {
    /// Row number `row` of `seed`. What one row is used for changes nothing in the others.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut first = Self(seed);
        Self(first.next_u64() ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// The next one.
    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..most`; 0 if that is empty.
    pub(super) fn below(&mut self, most: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(most);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// One of `range`; its start if that is empty.
    pub(super) fn in_range(&mut self, range: Range<i64>) -> i64 {
        let length = u64::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        range.start.saturating_add(i64::try_from(self.below(length)).unwrap_or(0))
    }

    /// True so often in a hundred.
    pub(super) fn percent_chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `all`.
    pub(super) fn choose<T: Copy + Default>(&mut self, all: &[T]) -> T {
        let place = self.below(u64::try_from(all.len()).unwrap_or(0));
        usize::try_from(place).ok().and_then(|place| all.get(place)).copied().unwrap_or_default()
    }

    /// One of `all`, each as often as its weight says.
    pub(super) fn choose_weighted<T: Copy + Default>(&mut self, all: &[(u64, T)]) -> T {
        let mut left = self.below(all.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in all {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *one,
            }
        }
        T::default()
    }

    /// A version 4 UUID.
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
    fn the_numbers_of_a_seed_are_those_of_splitmix64() {
        // As its authors' reference implementation prints them for the seed 1234567.
        let mut chance = SeededRng(1_234_567);
        let first = [chance.next_u64(), chance.next_u64(), chance.next_u64()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        assert_ne!(SeededRng::new(1, 2).next_u64(), SeededRng::new(1, 3).next_u64());
    }

    #[test]
    fn whatever_is_drawn_is_one_of_those_that_can_be() {
        let mut chance = SeededRng::new(7, 0);
        for _ in 0..1000 {
            assert!(chance.below(3) < 3 && (-5..5).contains(&chance.in_range(-5..5)));
            assert_eq!(
                (chance.choose_weighted(&[(0, 'a'), (2, 'b')]), chance.percent_chance(0)),
                ('b', false)
            );
            assert!(chance.percent_chance(100) && [1, 2].contains(&chance.choose(&[1, 2])));
        }
        assert_eq!((chance.below(0), chance.in_range(4..4), chance.choose::<u8>(&[])), (0, 4, 0));
        let id = chance.uuid();
        assert!(id.len() == 36 && id.get(14..15) == Some("4") && id.get(19..20) == Some("a"), "{id}");
    }
}
