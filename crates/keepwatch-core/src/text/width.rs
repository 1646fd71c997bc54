//! Widths in columns: measuring, cutting, wrapping, and how much of an id is enough.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// The columns that `text` takes, cluster by cluster as they are placed.
#[must_use]
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// A text of ours, whole where it fits `columns`, and cut with '…' where not.
#[must_use]
pub fn truncate(text: &str, columns: usize) -> String {
    truncate_prefix(text, columns, false)
}

/// [`truncate`] for the start of a text: `more` says that it goes on.
pub(super) fn truncate_prefix(start: &str, columns: usize, has_more: bool) -> String {
    if columns == 0 {
        return String::new();
    }
    let mut used = 0_usize;
    let mut kept_bytes = 0;
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

/// `text`, which is safe already, in lines of at most `columns`: broken at spaces and line feeds, and inside a word
/// only where it is longer than a line. No-break spaces keep words together. An empty text is one empty line.
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
            let cluster = truncate(cluster, columns); // a wide one has no place in a single column
            let wide = width(&cluster);
            if used + wide > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(&cluster);
            used += wide;
        }
    }
    lines.push(line);
    lines
}

/// For each id, how many of its first characters tell it from all others: see [`unique_prefix_length`].
#[must_use]
pub fn unique_prefix_lengths(ids: &[&str]) -> Vec<usize> {
    let mut sorted: Vec<(usize, &str)> = ids.iter().copied().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, id)| *id);
    let mut lengths = vec![0; ids.len()];
    let mut before = None;
    for (at, (index, id)) in sorted.iter().enumerate() {
        let after = sorted.get(at + 1).map(|(_, next)| *next);
        if let Some(length) = lengths.get_mut(*index) {
            *length = unique_prefix_length(before, id, after);
        }
        before = Some(id);
    }
    lengths
}

/// How many of an id's first characters tell it from those before and after it in the order of ids, and so from all: at
/// least 8, whole clusters, and all of an id that another begins with or equals. An id that is shorter is simply whole.
#[must_use]
pub fn unique_prefix_length(before: Option<&str>, id: &str, after: Option<&str>) -> usize {
    let in_common =
        before.into_iter().chain(after).map(|other| common_prefix_length(id, other)).max().unwrap_or(0);
    extend_to_cluster(id, in_common.saturating_add(1).max(8))
}

/// How many characters two ids begin with in common.
fn common_prefix_length(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count()
}

/// `characters` of `id`, and those that complete the last cluster.
fn extend_to_cluster(id: &str, characters: usize) -> usize {
    let ends = id.graphemes(true).scan(0_usize, |end, cluster| {
        *end += cluster.chars().count();
        Some(*end)
    });
    let mut last = 0;
    for end in ends {
        last = end;
        if end >= characters {
            break;
        }
    }
    last.max(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_whole_and_one_that_does_not_ends_in_the_mark() {
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
    fn widths_are_those_of_clusters() {
        for (text, columns) in
            [("", 0), ("abc", 3), ("日本", 4), ("e\u{301}", 1), ("नमस्ते", 4), ("🇩🇪", 2), ("👍", 2)]
        {
            assert_eq!(width(text), columns, "{text:?}");
        }
    }

    #[test]
    fn lines_are_broken_at_spaces_and_longer_words_inside() {
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
    fn an_id_is_as_long_as_it_needs_to_be_told_apart() {
        let cases: &[(&[&str], &[usize])] = &[
            (&[], &[]),
            (&["45c48cce-2e2d", "6512bd43-d9ca"], &[8, 8]),
            (&["45c48cce-2e2d", "6512bd43-d9ca", "45c48cce-2f00"], &[11, 8, 11]),
            (&["45c48cce-2e2d", "45c48cce-2e2d"], &[13, 13]),
            (&["45c48cce-2e", "45c48cce-2e2d"], &[11, 12]),
            (&["abc", ""], &[8, 8]),
            // The ninth character differs, and has a mark that must come along.
            (&["12345678e\u{301}x", "12345678fx"], &[10, 9]),
            (&["ééééééééa", "ééééééééb"], &[9, 9]),
        ];
        for (ids, lengths) in cases {
            assert_eq!(unique_prefix_lengths(ids), *lengths, "{ids:?}");
        }
    }
}
