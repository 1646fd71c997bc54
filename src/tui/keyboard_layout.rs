//! Keyboard layouts whose letters are not Latin, each with the characters that an American keyboard has on the same
//! keys. With these tables, the bindings work on such a keyboard. Text that is typed into an input line is not
//! translated.
//!
//! The tables translate only letters. A symbol such as `;`, which a Greek keyboard has on the Q key, means itself.

/// The letters of each layout, and the characters on the same keys of an American keyboard.
const LAYOUTS: [(&str, &str); 4] = [
    // Russian
    ("йцукенгшщзхъфывапролджэячсмитьбю", "qwertyuiop[]asdfghjkl;'zxcvbnm,."),
    // Ukrainian and Belarusian letters that the Russian layout lacks
    ("іїєў", "s]'o"),
    // Greek
    ("ςερτυθιοπασδφγηξκλζχψωβνμ", "wertyuiopasdfghjklzxcvbnm"),
    // Hebrew
    ("קראטוןםפשדגכעיחלךזסבהנמצ", "ertyuiopasdfghjklzxcvbnm"),
];

/// Returns the character that the key of `letter` types on an American keyboard, in the same case, or `None` if
/// `letter` is in no table.
pub(super) fn american_key(letter: char) -> Option<char> {
    if letter.is_ascii() {
        return None;
    }
    // A letter whose lower case has several characters is in no table.
    let mut lower_case = letter.to_lowercase();
    let (Some(lower), None) = (lower_case.next(), lower_case.next()) else { return None };
    let mut pairs = LAYOUTS.iter().flat_map(|(letters, latin)| letters.chars().zip(latin.chars()));
    let (_, latin) = pairs.find(|(table_letter, _)| *table_letter == lower)?;
    Some(if letter.is_uppercase() { latin.to_ascii_uppercase() } else { latin })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn only_letters_in_tables_are_translated() {
        // The first letter of each pair is Cyrillic, Greek or Hebrew, even if it looks Latin.
        for (letter, latin) in [
            ('с', 'c'),
            ('С', 'C'),
            ('й', 'q'),
            ('ч', 'x'),
            ('н', 'y'),
            ('П', 'G'),
            ('і', 's'),
            ('ψ', 'c'),
            ('χ', 'x'),
            ('Γ', 'G'),
            ('ב', 'c'),
            ('ס', 'x'),
        ] {
            assert_eq!(american_key(letter), Some(latin), "{letter}");
        }
        for letter in ['c', ';', '/', 'é', 'ß', '日', '\u{301}'] {
            assert_eq!(american_key(letter), None, "{letter}");
        }
    }

    #[test]
    fn each_letter_has_one_counterpart() {
        let mut seen = HashSet::new();
        for (letters, latin) in LAYOUTS {
            assert_eq!(letters.chars().count(), latin.chars().count(), "{letters}");
            assert!(letters.chars().all(|letter| seen.insert(letter)), "{letters}");
        }
    }
}
