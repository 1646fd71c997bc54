//! Widths in columns: measuring, truncating and wrapping text, and the shortest unique prefixes of ids.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// The minimum length of an id's prefix. The first eight characters of Browserbase's ids are the first group of a UUID.
const MIN_PREFIX_LENGTH: usize = 8;

/// Returns the width of `text` in columns: the sum of the widths of its clusters.
#[must_use]
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// Truncates `text`, which is already safe, to `columns`. A truncated text ends in '…'.
#[must_use]
pub fn truncate(text: &str, columns: usize) -> String {
    truncate_known_start(text, columns, false)
}

/// Like [`truncate`], for a text of which only the beginning, `start`, is given. `has_more` is true if the text
/// continues after `start`.
pub(super) fn truncate_known_start(start: &str, columns: usize, has_more: bool) -> String {
    if columns == 0 {
        return String::new();
    }
    let mut used = 0_usize;
    let mut kept_bytes = 0; // byte length of the clusters that fit with a '…' after them
    let mut is_complete = !has_more;
    for (at, cluster) in start.grapheme_indices(true) {
        used = used.saturating_add(cluster.width());
        if used < columns {
            kept_bytes = at + cluster.len();
        } else if used > columns {
            is_complete = false;
            break;
        }
    }
    match start.get(..kept_bytes) {
        Some(kept) if !is_complete => format!("{kept}…"),
        _ => start.to_owned(),
    }
}

/// Wraps `text`, which is already safe, into lines of at most `columns`. Breaks at spaces and line feeds, and inside a
/// word only if the word is wider than a line. No-break spaces keep words together. An empty text is one empty line.
/// Zero columns give no lines.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    if columns == 0 {
        return Vec::new();
    }
    text.split('\n').flat_map(|paragraph| wrap_paragraph(paragraph, columns)).collect()
}

fn wrap_paragraph(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word_width = width(word);
        if !line.is_empty() && used + 1 + word_width > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            used += 1;
        }
        if used + word_width <= columns {
            line.push_str(word);
            used += word_width;
            continue;
        }
        for cluster in word.graphemes(true) {
            let cluster = truncate(cluster, columns); // a wide cluster does not fit into one column
            let cluster_width = width(&cluster);
            if used + cluster_width > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(&cluster);
            used += cluster_width;
        }
    }
    lines.push(line);
    lines
}

/// Returns, for each id, the length of the prefix that distinguishes it from all others. See [`unique_prefix_length`].
#[must_use]
pub fn unique_prefix_lengths(ids: &[&str]) -> Vec<usize> {
    let mut sorted: Vec<(usize, &str)> = ids.iter().copied().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, id)| *id);
    let mut lengths = vec![0; ids.len()];
    let mut previous = None;
    for (position, (index, id)) in sorted.iter().enumerate() {
        let next = sorted.get(position + 1).map(|(_, next)| *next);
        if let Some(length) = lengths.get_mut(*index) {
            *length = unique_prefix_length(previous, id, next);
        }
        previous = Some(id);
    }
    lengths
}

/// Returns the length, in characters, of the prefix that distinguishes `id` from its neighbours in sorted order, and
/// so from all ids. The prefix consists of whole grapheme clusters. If another id equals `id` or begins with it, the
/// prefix is the whole id. The length is at least `MIN_PREFIX_LENGTH` (8), even if the whole id is shorter.
#[must_use]
pub fn unique_prefix_length(previous: Option<&str>, id: &str, next: Option<&str>) -> usize {
    let shared =
        previous.into_iter().chain(next).map(|other| common_prefix_length(id, other)).max().unwrap_or(0);
    extend_to_cluster(id, shared.saturating_add(1).max(MIN_PREFIX_LENGTH))
}

/// Returns the number of characters in the common prefix of two ids.
fn common_prefix_length(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count()
}

/// Returns the length of the shortest prefix of `id` that has at least `characters` characters and consists of whole
/// clusters. Returns at least [`MIN_PREFIX_LENGTH`].
fn extend_to_cluster(id: &str, characters: usize) -> usize {
    let ends = id.graphemes(true).scan(0_usize, |end, cluster| {
        *end += cluster.chars().count();
        Some(*end)
    });
    let mut length = 0;
    for end in ends {
        length = end;
        if end >= characters {
            break;
        }
    }
    length.max(MIN_PREFIX_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_that_is_too_wide_is_truncated() {
        for (text, columns, fitted) in [
            ("checkout-e2e", 12, "checkout-e2e"),
            ("checkout-e2e", 11, "checkout-e…"),
            ("checkout", 1, "…"),
            ("checkout", 0, ""),
            ("", 0, ""),
            ("", 5, ""),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("ab\u{301}", 2, "ab\u{301}"),
        ] {
            assert_eq!(truncate(text, columns), fitted, "{text:?} in {columns}");
        }
    }

    #[test]
    fn width_is_the_sum_of_clusters() {
        for (text, columns) in
            [("", 0), ("abc", 3), ("日本", 4), ("e\u{301}", 1), ("नमस्ते", 4), ("🇩🇪", 2), ("👍", 2)]
        {
            assert_eq!(width(text), columns, "{text:?}");
        }
    }

    #[test]
    fn lines_break_at_spaces_if_possible() {
        let cases: &[(&str, usize, &[&str])] = &[
            ("", 10, &[""]),
            ("one line", 0, &[]),
            ("one line", 8, &["one line"]),
            ("one line", 7, &["one", "line"]),
            ("  many   spaces ", 20, &["many spaces"]),
            ("first\n\nthird one", 6, &["first", "", "third", "one"]),
            ("a 6512bd43-d9ca b", 6, &["a", "6512bd", "43-d9c", "a b"]),
            ("took 10\u{a0}s now", 8, &["took", "10\u{a0}s now"]),
            ("日本語の文", 4, &["日本", "語の", "文"]),
            ("日本", 1, &["…", "…"]),
            ("abe\u{301}d", 3, &["abe\u{301}", "d"]),
        ];
        for (text, columns, lines) in cases {
            assert_eq!(wrap(text, *columns), *lines, "{text:?} in {columns}");
        }
    }

    #[test]
    fn prefix_lengths_distinguish_ids() {
        let cases: &[(&[&str], &[usize])] = &[
            (&[], &[]),
            (&["45c48cce-2e2d", "6512bd43-d9ca"], &[8, 8]),
            (&["45c48cce-2e2d", "6512bd43-d9ca", "45c48cce-2f00"], &[11, 8, 11]),
            // No prefix distinguishes equal ids.
            (&["45c48cce-2e2d", "45c48cce-2e2d"], &[13, 13]),
            (&["45c48cce-2e", "45c48cce-2e2d"], &[11, 12]),
            (&["abc", ""], &[8, 8]),
            // The ninth character differs, and its combining mark belongs to the prefix.
            (&["12345678e\u{301}x", "12345678fx"], &[10, 9]),
            (&["ééééééééa", "ééééééééb"], &[9, 9]),
        ];
        for (ids, lengths) in cases {
            assert_eq!(unique_prefix_lengths(ids), *lengths, "{ids:?}");
        }
    }
}
