//! Properties that hold for every text and every number.

use std::time::Duration;

use proptest::prelude::*;
use unicode_properties::{GeneralCategory as Category, UnicodeGeneralCategory};
use unicode_width::UnicodeWidthStr;

use super::*;

fn is_hostile(c: char) -> bool {
    matches!(
        c.general_category(),
        Category::Control
            | Category::Format
            | Category::LineSeparator
            | Category::ParagraphSeparator
            | Category::PrivateUse
            | Category::Unassigned
    ) || matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
}

/// Generates text with many characters that affect their neighbours: marks, joiners, conjuncts, ligatures, flags, jamo,
/// prefixes.
fn difficult_text() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        4 => any::<char>(),
        2 => proptest::char::range(' ', '~'),
        1 => proptest::char::range('\0', '\u{9f}'),
        2 => proptest::char::range('\u{300}', '\u{36f}'), // combining marks
        1 => proptest::char::range('\u{5d0}', '\u{6ff}'), // Hebrew and Arabic
        2 => proptest::char::range('\u{915}', '\u{94d}'), // Devanagari
        2 => proptest::char::range('\u{1780}', '\u{17d8}'), // Khmer
        2 => proptest::char::range('\u{1100}', '\u{11ff}'), // Hangul jamo
        1 => proptest::char::range('\u{a4f8}', '\u{a4fd}'), // tone letters of Lisu
        1 => proptest::char::range('\u{2d31}', '\u{2d7f}'), // Tifinagh
        1 => proptest::char::range('\u{2000}', '\u{206f}'), // punctuation, spaces and bidi controls
        1 => proptest::char::range('\u{1f1e6}', '\u{1f1ff}'), // halves of flags
        1 => proptest::char::range('\u{1f3f0}', '\u{1f450}'), // emoji and skin tones
        1 => proptest::char::range('\u{16d63}', '\u{16d6a}'), // vowels of Kirat Rai
        4 => proptest::sample::select(vec![
            '\u{200d}', '\u{fe0f}', '\u{94d}', '\u{17d2}', '\u{d4e}', '\u{ff9e}', 'ل', 'ا', '\u{1161}', '\u{11a8}',
            '\u{1b}', '\u{202e}', '日', '👍', '\u{1f3fd}', '\u{e0041}', '…', 'क', 'ក', '\u{20e3}', '\u{110bd}',
        ]),
    ];
    proptest::collection::vec(c, 0..80).prop_map(String::from_iter)
}

/// Asserts that sanitised `raw` has no hostile characters, is at most `columns` wide (as a whole, and as the sum of its
/// clusters), and does not change if it is sanitised or truncated again.
fn assert_safe(raw: &str, columns: usize) {
    let safe = sanitise(raw, columns);
    assert!(!safe.contains(is_hostile), "{raw:?} gave {safe:?}");
    assert!(width(&safe) <= columns, "{raw:?} gave {safe:?}");
    assert!(
        safe.width() <= width(&safe),
        "a text is at most as wide as the sum of its clusters: {raw:?} gave {safe:?}"
    );
    assert_eq!(sanitise(&safe, columns), safe, "{raw:?}");
    assert_eq!(truncate(&safe, columns), safe, "{raw:?}");
}

#[test]
fn every_character_is_safe() {
    // All planes with assigned characters, and the plane of tags. A few characters stand for the other planes.
    for c in ('\0'..='\u{3ffff}').chain('\u{dfff0}'..='\u{e0fff}').chain(['\u{f0000}', char::MAX]) {
        assert_safe(c.encode_utf8(&mut [0; 4]), 8);
        assert_safe(&String::from_iter(['a', c, c, 'b']), 3);
    }
}

proptest! {
    #[test]
    fn any_text_is_safe_at_any_width(raw in difficult_text(), columns in 0_usize..100) {
        assert_safe(&raw, columns);
    }

    #[test]
    fn sanitised_text_never_starts_with_nonspacing_mark(raw in difficult_text()) {
        let safe = sanitise(&raw, usize::MAX);
        prop_assert!(!safe.starts_with(|c: char| c.general_category() == Category::NonspacingMark), "{:?}", safe);
    }

    #[test]
    fn ascii_keeps_the_width(raw in difficult_text()) {
        let safe = sanitise(&raw, 60);
        let ascii = to_ascii(&safe);
        prop_assert!(ascii.is_ascii());
        prop_assert_eq!(ascii.len(), width(&safe));
    }

    #[test]
    fn wrapping_loses_no_word(raw in difficult_text(), columns in 2_usize..40) {
        let safe = sanitise(&raw, usize::MAX);
        let lines = wrap(&safe, columns);
        prop_assert!(lines.iter().all(|line| width(line) <= columns), "{:?}", lines);
        // An ellipsis replaces a cluster that is wider than a line.
        if !lines.concat().contains('…') {
            prop_assert_eq!(lines.concat().replace(' ', ""), safe.replace(' ', ""));
        }
    }

    #[test]
    fn escaped_json_is_safe(raw in difficult_text()) {
        let json = serde_json::to_string_pretty(&[&raw]).unwrap();
        let safe = escape_json_for_terminal(&json);
        prop_assert!(!safe.contains(|c| c != '\n' && is_hostile(c)), "{:?}", safe);
        prop_assert_eq!(serde_json::from_str::<Vec<String>>(&safe).unwrap(), [raw]);
    }

    #[test]
    fn redaction_leaves_no_secret(
        before in ".{0,40}",
        name in proptest::sample::select(vec!["signingKey=", "apiKey=", "api_key=", "token=", "key=", "key%3D", "bb_live_", "bb_test_"]),
        capitals: u16,
        quote in "[\"']?",
        secret in "[A-Za-z0-9._~%-]{16,60}",
        after in "|[&#\"' ].{0,40}",
    ) {
        let quote = if name.ends_with('_') { "" } else { &quote };
        // Each bit of `capitals` makes one letter of the name a capital.
        let is_capital = |at: usize| capitals >> at & 1 == 1;
        let name: String =
            name.chars().enumerate().map(|(at, c)| if is_capital(at) { c.to_ascii_uppercase() } else { c }).collect();
        let text = format!("{before}{name}{quote}{secret}{after}");
        let safe = redact(&text);
        prop_assert!(!safe.contains(&secret), "{:?} gave {:?}", text, safe);
        prop_assert_eq!(redact(&safe), safe.clone());
    }

    #[test]
    fn unique_prefixes_distinguish_ids(ids in proptest::collection::hash_set("[a-c]{0,14}", 0..12)) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let lengths = unique_prefix_lengths(&ids);
        for (id, length) in ids.iter().zip(&lengths) {
            let prefix: String = id.chars().take(*length).collect();
            let matches = ids.iter().filter(|other| other.starts_with(&prefix)).count();
            prop_assert!(matches == 1 || prefix == *id, "{:?} of {:?}", prefix, ids);
            prop_assert!(*length >= 8);
        }
    }

    #[test]
    fn every_number_can_be_formatted(n: i64, secs: u64, nanos in 0_u32..1_000_000_000) {
        prop_assert!(width(&format_bytes(n)) <= 8, "{}", format_bytes(n));
        for d in [Duration::new(secs, nanos), Duration::from_nanos(secs), Duration::MAX] {
            for format in [format_countdown, format_age, format_duration, format_elapsed, format_latency] {
                prop_assert!(!format(d).is_empty());
            }
        }
    }
}
