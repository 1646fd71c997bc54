//! Substring search that ignores case. It is fast enough to search ten thousand texts on each keystroke.

/// The frequent bytes of English and JSON, the most frequent first. The search looks for the needle's rarest byte, and
/// compares the whole needle only there.
const BYTES_BY_FREQUENCY: &[u8] = b"etaoinsrhl\"dcu:,mfpgwyb-vk";

/// A text to search for (the needle), prepared for many searches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubstringFinder {
    /// The needle, in lower case.
    needle: String,
    /// The index of the needle's rarest byte. `None` if the needle is empty or not ASCII.
    rarest_byte_index: Option<usize>,
}

impl SubstringFinder {
    /// Creates a finder for `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let needle = text.to_lowercase();
        // The order of `Option` puts `None`, for bytes that are not in the list, below every frequency.
        let frequency = |byte: u8| BYTES_BY_FREQUENCY.iter().rev().position(|frequent| *frequent == byte);
        let rarest_index =
            needle.bytes().enumerate().min_by_key(|(_, byte)| frequency(*byte)).map(|(index, _)| index);
        Self { rarest_byte_index: rarest_index.filter(|_| needle.is_ascii()), needle }
    }

    /// Returns true if `haystack` contains the needle, ignoring case.
    #[must_use]
    pub fn matches(&self, haystack: &str) -> bool {
        let Some(first_byte) = self.needle.bytes().next() else { return true };
        match self.rarest_byte_index {
            Some(index) => self.matches_ascii(haystack.as_bytes(), index),
            None if haystack.is_ascii() => false, // the needle is not ASCII
            // If the needle starts with a letter outside ASCII, no match starts at an ASCII letter.
            None => haystack
                .char_indices()
                .filter(|(_, letter)| first_byte.is_ascii() || !letter.is_ascii())
                .any(|(at, _)| {
                    haystack.get(at..).is_some_and(|tail| starts_with_ignoring_case(tail, &self.needle))
                }),
        }
    }

    /// Returns true if the text of a JSON number can contain the needle.
    #[must_use]
    pub fn is_part_of_number(&self) -> bool {
        self.needle.bytes().all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte))
    }

    fn matches_ascii(&self, haystack: &[u8], rarest_index: usize) -> bool {
        let needle = self.needle.as_bytes();
        let Some(rarest_byte) = needle.get(rarest_index).copied() else { return false };
        memchr::memchr2_iter(rarest_byte, rarest_byte.to_ascii_uppercase(), haystack).any(|at| {
            let start = at.checked_sub(rarest_index);
            let candidate = start.and_then(|start| haystack.get(start..)?.get(..needle.len()));
            candidate.is_some_and(|bytes| bytes.eq_ignore_ascii_case(needle))
        })
    }
}

fn starts_with_ignoring_case(haystack: &str, needle: &str) -> bool {
    let mut lower = haystack.chars().flat_map(char::to_lowercase);
    needle.chars().all(|letter| lower.next() == Some(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_ignores_case() {
        for (haystack, needle, found) in [
            ("TIMED_OUT", "timed", true),
            ("TIMED_OUT", "Out", true),
            ("us-west-2", "us-east", false),
            ("aab", "ab", true),
            ("eza", "ze", false),
            ("az", "zaz", false),
            ("", "", true),
            ("", "a", false),
            ("a", "ab", false),
            ("Цены-und-Größen", "цены", true),
            ("Цены-und-Größen", "größe", true),
            ("Цены-und-Größen", "und", true),
            ("日本語", "本", true),
            ("日本語", "本日", false),
        ] {
            assert_eq!(SubstringFinder::new(needle).matches(haystack), found, "{needle} in {haystack}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_ascii_substring_is_found(haystack in "[a-zA-Z0-9\":_-]{0,40}", from in 0_usize..40, length in 0_usize..8) {
            let from = from.min(haystack.len());
            let part = &haystack[from..(from + length).min(haystack.len())];
            proptest::prop_assert!(SubstringFinder::new(part).matches(&haystack));
            // The haystack has no exclamation mark.
            let other = format!("{part}!");
            proptest::prop_assert!(!SubstringFinder::new(&other).matches(&haystack));
        }
    }
}
