//! Finding a text in another, in any case; quick enough for ten thousand of them at each letter that is typed.

/// The letters of English and of JSON, the most frequent first: what is looked for is found by its rarest.
const BYTES_BY_FREQUENCY: &[u8] = b"etaoinsrhl\"dcu:,mfpgwyb-vk";

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubstringFinder {
    /// In lower case.
    text: String,
    /// Where its rarest byte stands, if all of it is ASCII.
    rarest_byte_index: Option<usize>,
}

impl SubstringFinder {
    /// Looks for `text`, in any case.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.to_lowercase();
        let frequency = |byte: u8| BYTES_BY_FREQUENCY.iter().rev().position(|frequent| *frequent == byte);
        let rarest = text.bytes().enumerate().min_by_key(|(_, byte)| frequency(*byte)).map(|(at, _)| at);
        Self { rarest_byte_index: rarest.filter(|_| text.is_ascii()), text }
    }

    /// Whether `hay` has it.
    #[must_use]
    pub fn matches(&self, haystack: &str) -> bool {
        let Some(first) = self.text.bytes().next() else { return true };
        match self.rarest_byte_index {
            Some(at) => self.matches_ascii(haystack.as_bytes(), at),
            None if haystack.is_ascii() => false, // what is not ASCII is not so in any case
            None => haystack.char_indices().filter(|(_, letter)| first.is_ascii() || !letter.is_ascii()).any(
                |(at, _)| haystack.get(at..).is_some_and(|rest| starts_with_ignoring_case(rest, &self.text)),
            ),
        }
    }

    fn matches_ascii(&self, haystack: &[u8], rarest: usize) -> bool {
        let needle = self.text.as_bytes();
        let Some(lower) = needle.get(rarest).copied() else { return false };
        memchr::memchr2_iter(lower, lower.to_ascii_uppercase(), haystack).any(|at| {
            let start = at.checked_sub(rarest);
            let candidate = start.and_then(|start| haystack.get(start..)?.get(..needle.len()));
            candidate.is_some_and(|here| here.eq_ignore_ascii_case(needle))
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
    fn a_text_is_found_in_any_case_and_in_every_script() {
        for (hay, needle, found) in [
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
            assert_eq!(SubstringFinder::new(needle).matches(hay), found, "{needle} in {hay}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_ascii_is_found_where_it_is(hay in "[a-zA-Z0-9\":_-]{0,40}", from in 0_usize..40, length in 0_usize..8) {
            let from = from.min(hay.len());
            let part = &hay[from..(from + length).min(hay.len())];
            proptest::prop_assert!(SubstringFinder::new(part).matches(&hay));
            let other = format!("{part}!");
            proptest::prop_assert!(!SubstringFinder::new(&other).matches(&hay));
        }
    }
}
