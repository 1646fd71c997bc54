//! Text from the network, and the only functions that make it fit for a terminal.
//!
//! A terminal obeys some characters (ESC, C1 controls). Others reorder a row (bidi), hide in it (zero width, tags,
//! fillers) or pile up in one cell (combining marks). This module replaces, drops or limits all of them. The module
//! `char_action` decides for each character. Letters of every script stay, including right-to-left letters.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use super::char_action::{CharAction, classify};
use super::redact::{redact, redact_start};
use super::width::truncate_known_start;

/// The maximum width of a line from [`Untrusted::sanitise_line`], in columns.
pub const MAX_LINE_COLUMNS: usize = 1000;

/// The base for marks at the start of a text. Without it, the marks would combine with the text printed before.
const DOTTED_CIRCLE: char = '◌';

/// The maximum number of marks on one base. Vietnamese needs 2, pointed Hebrew needs 3.
// promise: marks-per-letter, mutant: = 4 -> = 255
const MAX_MARKS: u8 = 4;
/// The maximum number of characters in one cluster. Consonants joined by viramas form one cluster of any length, which
/// in Khmer is always one column wide. The longest cluster of the real word कार्त्स्न्य has 9.
const MAX_CLUSTER_CHARS: usize = 16;
/// The maximum number of characters to read per column. A text with more is truncated: no real text has so many
/// characters without a column of their own. The limit is greater than [`MAX_CLUSTER_CHARS`], so that text that was
/// sanitised once is always read completely.
const MAX_CHARS_PER_COLUMN: usize = 32;

/// Text from the network.
///
/// There is no `Display`, so that nothing prints it by mistake. `Debug` is sanitised and redacted.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(Arc<str>);

impl Untrusted {
    /// Wraps the received text unchanged.
    #[must_use]
    pub fn new(raw: impl Into<Arc<str>>) -> Self {
        Self(raw.into())
    }

    /// Returns the received text, for requests, comparisons and JSON only. Never print it.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// Returns true if the received text is empty. A text of invisible characters is not empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the text [sanitised](sanitise), in at most `columns`. Secrets are [redacted](redact), because people put
    /// connect URLs into metadata.
    #[must_use]
    pub fn sanitise(&self, columns: usize) -> String {
        // Bounds the text to redact. Redaction can shorten it to less than `columns`. So `has_more` makes sure that the
        // result still ends in '…' if a part of the text was not read.
        let max_chars = columns.saturating_add(2).saturating_mul(MAX_CHARS_PER_COLUMN);
        let end = self.0.char_indices().nth(max_chars).map_or(self.0.len(), |(end, _)| end);
        let has_more = end < self.0.len();
        // promise: cut-secret, mutant: , has_more) -> , false)
        let start = redact_start(self.0.get(..end).unwrap_or_default(), has_more);
        let text = sanitise_chars(&mut start.chars(), columns, has_more);
        // Sanitising can join the parts of a secret that an invisible character had split.
        match redact(&text) {
            // promise: masked-twice, mutant: safe != text -> safe == text
            Cow::Owned(safe) if safe != text => {
                // If the text ends in a secret, the '…' was redacted with it.
                let has_lost_ellipsis = text.ends_with('…') && !safe.ends_with('…');
                sanitise_chars(&mut safe.chars(), columns, has_lost_ellipsis)
            }
            _ => text,
        }
    }

    /// Returns the text on one line of at most [`MAX_LINE_COLUMNS`], for plain output and errors.
    #[must_use]
    pub fn sanitise_line(&self) -> String {
        self.sanitise(MAX_LINE_COLUMNS)
    }
}

/// Returns true if `raw` is safe as it is: [`sanitise`] would at most truncate it. Such a text is also safe to paste
/// into a terminal.
#[must_use]
pub fn is_printable(raw: &str) -> bool {
    sanitise(raw, usize::MAX) == raw
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Untrusted").field(&self.sanitise_line()).finish()
    }
}

/// Makes `raw` safe for a terminal: returns one line of at most `columns`, which ends in '…' if it was truncated.
///
/// Never fails and is idempotent. Reads only as many characters as the columns can need, so a megabyte costs no more
/// than a line.
#[must_use]
pub fn sanitise(raw: &str, columns: usize) -> String {
    sanitise_chars(&mut raw.chars(), columns, false)
}

/// Sanitises characters of an iterator, as [`sanitise`] does. The iterator keeps the characters that were not read.
/// `has_more` is true if the text continues after the iterator.
fn sanitise_chars(raw: &mut impl Iterator<Item = char>, columns: usize, has_more: bool) -> String {
    if columns == 0 {
        return String::new();
    }
    let mut kept = String::new();
    let mut marks = MarkCounter::default();
    // promise: bounded-reading, mutant: columns.saturating_add(1).saturating_mul(MAX_CHARS_PER_COLUMN) -> usize::MAX
    for c in raw.take(columns.saturating_add(1).saturating_mul(MAX_CHARS_PER_COLUMN)) {
        match classify(c) {
            CharAction::Keep => kept.push(c),
            CharAction::Replace(other) => kept.push(other),
            CharAction::Combine(mark) => {
                if kept.is_empty() {
                    kept.push(DOTTED_CIRCLE);
                }
                if marks.try_add() {
                    kept.push(mark);
                }
                continue;
            }
            CharAction::Remove => continue,
        }
        marks = MarkCounter::default();
    }
    let bounded: String = kept.graphemes(true).flat_map(limit_cluster).collect();
    truncate_known_start(&bounded, columns, has_more || raw.next().is_some())
}

/// Returns a cluster, truncated to [`MAX_CLUSTER_CHARS`] and followed by U+FFFD if it is longer. Without that
/// character, the next cluster could join the truncated one.
fn limit_cluster(cluster: &str) -> [&str; 2] {
    let end = cluster.char_indices().nth(MAX_CLUSTER_CHARS).map(|(end, _)| end);
    match end.and_then(|end| cluster.get(..end)) {
        Some(start) => [start, "\u{FFFD}"],
        None => [cluster, ""],
    }
}

/// Escapes, in a serialised JSON document, every character that [`sanitise`] would change. The result is the same
/// document, safe for a terminal. Line feeds stay, because pretty printing puts them between values.
#[must_use]
pub fn escape_json_for_terminal(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    let mut marks = MarkCounter::default();
    for c in json.chars() {
        let is_kept = match classify(c) {
            CharAction::Keep => {
                marks = MarkCounter::default();
                true
            }
            CharAction::Combine(mark) => mark == c && marks.try_add(),
            CharAction::Replace(_) | CharAction::Remove => c == '\n',
        };
        if is_kept {
            safe.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    safe
}

/// The number of marks on the last base.
#[derive(Default)]
struct MarkCounter(u8);

impl MarkCounter {
    /// Counts one more mark. Returns true if the base may have it.
    fn try_add(&mut self) -> bool {
        let is_allowed = self.0 < MAX_MARKS;
        self.0 = self.0.saturating_add(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_characters_are_replaced_or_removed() {
        for (raw, safe) in [
            ("\u{1b}[31mRED", "·[31mRED"),
            ("\u{1b}]52;c;AAAA\u{7}", "·]52;c;AAAA·"),
            ("a\tb\rc\nd\r\n\0\u{7f}", "a·b·c·d····"),
            ("\u{9b}31m\u{85}", "·31m·"),                                     // C1
            ("a\u{202e}b\u{2066}c\u{200f}d\u{61c}", "a�b�c�d�"),              // bidi
            ("a\u{200b}b\u{feff}c\u{ad}d\u{2060}", "a�b�c�d�"),               // zero width
            ("a\u{2028}b\u{2029}c", "a�b�c"),                                 // separators
            ("\u{115f}\u{1160}\u{3164}\u{ffa0}", "����"),                     // Hangul fillers
            ("x\u{e0001}\u{e0041}\u{e007f}", "x���"),                         // tags
            ("x\u{e0100}\u{e01ef}", "x��"),                                   // variation selector supplement
            ("\u{378}\u{2065}\u{e000}\u{10fffd}\u{fffe}\u{1ffff}", "������"), // unassigned, private, noncharacters
            ("\u{fff9}a\u{fffa}b\u{fffb}", "�a�b�"),                          // interlinear annotation
            ("a\u{200d}b\u{200c}c\u{fe0e}d\u{fe0f}e\u{34f}f\u{180b}", "abcdef"), // joiners, invisible marks
            ("a\u{a0}b\u{3000}c\u{2003}d\u{2800}", "a b c d "),               // spaces
        ] {
            assert_eq!(sanitise(raw, 80), safe, "{raw:?}");
        }
    }

    #[test]
    fn words_of_every_script_are_unchanged() {
        for text in [
            "plain ASCII, ~all of it!",
            "Zürich, naïve, Việt Nam, ti\u{302}\u{301}ng",
            "日本語 中文 한국어",
            "\u{1112}\u{1161}\u{11ab}", // 한, written in parts
            "שָׁלוֹם עולם",
            "السَّلَامُ عَلَيْكُمْ",
            "ภาษาไทย น้ำ ที่",
            "नमस्ते क्षत्रिय र्त्स्न्य",
            "ស្ត្រី ភាសាខ្មែរ",
            "বাংলা தமிழ் മലയാളം",
            "😀 👍 🇩🇪 🚀 ❤",
            "“quoted” — … · •",
        ] {
            assert_eq!(sanitise(text, 80), text);
        }
    }

    #[test]
    fn emoji_lose_modifiers_of_uncertain_width() {
        for (raw, safe) in [
            ("👍🏽", "👍"),
            ("👨\u{200d}👩\u{200d}👧", "👨👩👧"),
            ("❤\u{fe0f}", "❤"),
            ("1\u{fe0f}\u{20e3}", "1\u{20e3}"),
        ] {
            assert_eq!(sanitise(raw, 80), safe);
        }
        // Halfwidth sound marks become combining marks.
        assert_eq!(sanitise("ｶ\u{ff9e}ﾊ\u{ff9f}", 2), "ｶ\u{3099}ﾊ\u{309a}");
    }

    #[test]
    fn marks_are_limited_to_four_per_base() {
        let pile = "\u{301}".repeat(2000);
        assert_eq!(
            sanitise(&format!("a{}b", "\u{301}".repeat(50)), 80),
            format!("a{}b", "\u{301}".repeat(4))
        );
        assert_eq!(sanitise(&format!("a{pile}b"), 80), format!("a{}b", "\u{301}".repeat(4)));
        assert_eq!(sanitise(&pile, 80), format!("◌{}", "\u{301}".repeat(4)));
        assert_eq!(sanitise("\u{200d}\u{301}a", 80), "◌\u{301}a");
        assert_eq!(sanitise(&"\u{1161}".repeat(9), 80), format!("◌{}", "\u{1161}".repeat(4)));
    }

    #[test]
    fn endless_cluster_is_truncated() {
        // A consonant and a virama, so that 8 pairs have `MAX_CLUSTER_CHARS` characters.
        let chain = "ក\u{17d2}".repeat(20);
        assert_eq!(sanitise(&format!("{chain} b"), 80), format!("{}� b", "ក\u{17d2}".repeat(8)));
    }

    #[test]
    fn truncated_text_ends_in_an_ellipsis() {
        assert_eq!(sanitise("checkout-e2e", 8), "checkou…");
        assert_eq!(sanitise("日本語", 4), "日…");
        assert_eq!(sanitise("a\u{1b}", 1), "…");
        assert_eq!(sanitise("a", 0), "");
        assert_eq!(sanitise("", 5), "");
        assert_eq!(sanitise("a", usize::MAX), "a");
        assert_eq!(Untrusted::new("x".repeat(2000)).sanitise_line().chars().count(), MAX_LINE_COLUMNS);
    }

    #[test]
    fn reading_stops_after_the_needed_characters() {
        for unit in ["a", "\u{301}", "\u{200d}", "ក\u{17d2}", "\u{1161}", "\u{d4e}", "日"] {
            let raw = format!("a{}", unit.repeat((1 << 20) / unit.len()));
            let mut unread = raw.chars();
            let safe = sanitise_chars(&mut unread, 40, false);
            assert!(safe.ends_with('…'), "{safe:?}");
            // It reads the characters of 41 columns, then one more to see if the text continues. A character has at
            // most 4 bytes.
            assert!(raw.len() - unread.as_str().len() <= 41 * MAX_CHARS_PER_COLUMN * 4 + 4, "{unit:?}");
        }
    }

    #[test]
    fn secrets_split_by_invisible_characters_are_redacted() {
        for raw in ["bb_live\u{200d}_cAnArY7", "bb_\u{fe0f}live_cAnArY7", "x?signingKe\u{200d}y=cAnArY7"] {
            let safe = Untrusted::new(raw).sanitise(80);
            assert!(!safe.contains("cAnArY7") && safe.contains("••••"), "{safe}");
        }
        // Text without a secret is only sanitised.
        assert_eq!(Untrusted::new("a=\u{200d}b").sanitise(80), sanitise("a=\u{200d}b", 80));
    }

    #[test]
    fn long_secret_leaves_ellipsis() {
        let long = "x".repeat(5000);
        for (raw, safe) in [
            (format!("token={long} and more"), "token=••••…"),
            (format!("to\u{200d}ken={long} and more"), "token=••••…"),
            (format!("https://user:{long}@host/path"), "https://user:••••…"),
            (format!("Authorization: bearer {long}1"), "Authorization: bearer ••••…"),
            (format!("bb_live_{long}"), "••••…"),
            // A short text is read completely, so its end is shown and there is no '…'.
            ("token=abc and more".to_owned(), "token=•••• and more"),
        ] {
            let shown = Untrusted::new(raw).sanitise(40);
            assert_eq!(shown, safe);
        }
    }

    #[test]
    fn debug_is_sanitised_and_redacted() {
        let raw = Untrusted::new("\u{1b}]0;x\u{202e} wss://c/?signingKey=abc");
        assert_eq!(format!("{raw:?}"), "Untrusted(\"·]0;x� wss://c/?signingKey=••••\")");
    }

    #[test]
    fn json_keeps_the_raw_text() {
        let raw: Untrusted = serde_json::from_str(r#""\u001b[1m\u202e""#).unwrap();
        assert_eq!(raw.raw(), "\u{1b}[1m\u{202e}");
        assert_eq!(serde_json::to_string(&raw).unwrap(), "\"\\u001b[1m\u{202e}\"");
        assert!(!raw.is_empty() && Untrusted::new("").is_empty());
    }

    #[test]
    fn escaped_json_is_the_same_document() {
        let raw = format!(
            "é日\u{7f}\u{9b}\u{202e}\u{e0041}\u{e000}\u{378}\u{200d}\u{a0}👍🏽\n\"a{}",
            "\u{301}".repeat(6)
        );
        let json = serde_json::to_string_pretty(&serde_json::json!({ "k": raw })).unwrap();
        let safe = escape_json_for_terminal(&json);
        assert_eq!(
            safe,
            format!(
                "{{\n  \"k\": \"é日{}👍{}{}{}\"\n}}",
                r"\u007f\u009b\u202e\udb40\udc41\ue000\u0378\u200d\u00a0",
                r#"\ud83c\udffd\n\"a"#,
                "\u{301}".repeat(4),
                r"\u0301\u0301"
            )
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap()["k"], raw);
    }
}
