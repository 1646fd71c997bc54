//! Finding text in any case without allocating: ten thousand rows are searched with each letter that is typed.

/// Whether `needle`, which is in lower case, stands somewhere in `hay`, in whatever case there.
#[must_use]
pub fn has(hay: &str, needle: &str) -> bool {
    match needle.bytes().next() {
        None => true,
        Some(first) if needle.is_ascii() => has_ascii(hay.as_bytes(), needle.as_bytes(), first),
        Some(_) if hay.is_ascii() => false, // what is not ASCII is not so in any case
        Some(first) => hay
            .char_indices()
            .filter(|(_, letter)| first.is_ascii() || !letter.is_ascii())
            .any(|(at, _)| hay.get(at..).is_some_and(|rest| begins(rest, needle))),
    }
}

fn has_ascii(mut hay: &[u8], needle: &[u8], first: u8) -> bool {
    let upper = first.to_ascii_uppercase();
    while let Some(at) = hay.iter().position(|byte| *byte == first || *byte == upper) {
        let rest = hay.get(at..).unwrap_or_default();
        if rest.get(..needle.len()).is_some_and(|here| here.eq_ignore_ascii_case(needle)) {
            return true;
        }
        hay = rest.get(1..).unwrap_or_default();
    }
    false
}

fn begins(hay: &str, needle: &str) -> bool {
    let mut lower = hay.chars().flat_map(char::to_lowercase);
    needle.chars().all(|letter| lower.next() == Some(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_any_case_and_in_every_script() {
        for (hay, needle, found) in [
            ("TIMED_OUT", "timed", true),
            ("us-west-2", "us-east", false),
            ("aab", "ab", true),
            ("", "", true),
            ("", "a", false),
            ("a", "ab", false),
            ("Цены-und-Größen", "цены", true),
            ("Цены-und-Größen", "größe", true),
            ("Цены-und-Größen", "und", true),
            ("日本語", "本", true),
            ("日本語", "本日", false),
        ] {
            assert_eq!(has(hay, needle), found, "{needle} in {hay}");
        }
    }
}
