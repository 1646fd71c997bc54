//! Formats labels and values as lines: aligned, and wrapped to one width. `drawing` truncates lines that are still too
//! long. Knows nothing about sessions.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::drawing::{self, OwnedLine, span};
use crate::tui::Theme;
use keepwatch_core::text;

/// The width of a label with the blanks around it, in columns.
pub(super) const LABEL_WIDTH: usize = 12;
/// The minimum number of columns for a value beside a long name. With fewer, the value goes below the name.
const MIN_VALUE_WIDTH: usize = 8;
/// The minimum width of a list in which two short fields share a line.
const MIN_PAIR_WIDTH: usize = 54;

/// Lines of labels and values.
pub(super) struct FieldList {
    pub(super) lines: Vec<OwnedLine>,
    /// The width in which the lines will be drawn, in columns.
    pub(super) width: usize,
    /// True if there is room for blank lines between groups.
    pub(super) is_spacious: bool,
    pub(super) theme: Theme,
}

impl FieldList {
    /// Adds a label and a value as one line. A value that is too long is truncated when it is drawn.
    pub(super) fn add_field(&mut self, label: &str, value: impl Into<OwnedLine>) {
        let mut spans = vec![self.label_span(label)];
        spans.extend(drawing::styled_spans(value.into()));
        self.lines.push(spans.into());
    }

    /// Adds a blank line if the list is spacious.
    pub(super) fn add_blank_line(&mut self) {
        if self.is_spacious {
            self.lines.push(Line::default());
        }
    }

    /// Adds two fields, each a label and a value. The fields share a line if the list is wide enough and the first
    /// value leaves room for the second field.
    pub(super) fn add_pair(&mut self, first: (&str, OwnedLine), second: (&str, OwnedLine)) {
        // The second field starts in the middle of the list, but at column 32 at the earliest and 40 at the latest.
        let second_start = (self.width / 2).max(LABEL_WIDTH.saturating_add(20)).min(40);
        let room = second_start.saturating_sub(LABEL_WIDTH);
        let used = usize::from(drawing::line_width(&first.1));
        if self.width < MIN_PAIR_WIDTH || used >= room {
            self.add_field(first.0, first.1);
            self.add_field(second.0, second.1);
            return;
        }
        let mut spans = vec![self.label_span(first.0)];
        spans.extend(drawing::styled_spans(first.1));
        spans.push(Span::raw(" ".repeat(room.saturating_sub(used))));
        spans.push(span(padded_label(second.0), self.theme.dim()));
        spans.extend(drawing::styled_spans(second.1));
        self.lines.push(spans.into());
    }

    /// Adds a label and a value that is wrapped onto as many lines as it needs.
    pub(super) fn add_wrapped(&mut self, label: &str, value: &str, style: Style) {
        for (index, line) in text::wrap(value, self.value_width()).into_iter().enumerate() {
            self.add_field(if index == 0 { label } else { "" }, Line::styled(line, style));
        }
    }

    /// Adds a name of any length and a wrapped value. The name starts `indent` columns to the right of the labels. The
    /// value is beside the name, or below it if the name leaves fewer than [`MIN_VALUE_WIDTH`] columns.
    pub(super) fn add_named(&mut self, indent: usize, name: &str, value: &str, style: Style) {
        let blanks = format!(" {}", " ".repeat(indent));
        let mut name = format!("{blanks}{name}  ");
        let mut used = text::width(&name);
        if used.saturating_add(MIN_VALUE_WIDTH) > self.width {
            self.lines.push(Line::styled(name, self.theme.dim()));
            // The value below is indented by two more columns than the name.
            used = text::width(&blanks).saturating_add(2).min(self.width.saturating_sub(1));
            name = " ".repeat(used);
        }
        for (index, line) in text::wrap(value, self.width.saturating_sub(used).max(1)).into_iter().enumerate()
        {
            let name = if index == 0 { name.clone() } else { " ".repeat(used) };
            self.lines.push(vec![span(name, self.theme.dim()), span(line, style)].into());
        }
    }

    /// Returns the number of columns for a value.
    pub(super) fn value_width(&self) -> usize {
        self.width.saturating_sub(LABEL_WIDTH).max(1)
    }

    fn label_span(&self, label: &str) -> Span<'static> {
        span(format!(" {}", padded_label(label)), self.theme.dim())
    }
}

/// Returns the label, truncated or padded, with at least one blank after it.
fn padded_label(label: &str) -> String {
    pad_right(&text::truncate(label, LABEL_WIDTH.saturating_sub(2)), LABEL_WIDTH.saturating_sub(1))
}

/// Pads `text` with blanks to `columns` columns.
pub(super) fn pad_right(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text::width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty_list(width: usize) -> FieldList {
        FieldList { lines: Vec::new(), width, is_spacious: false, theme: Theme::mono() }
    }

    /// Returns the lines as the screen shows them: truncated to the width of the list.
    fn rendered_lines(list: &FieldList) -> Vec<String> {
        let truncated = |line: &OwnedLine| {
            let text: String = line.spans.iter().map(|span| span.content.as_ref()).collect();
            text::truncate(&text, list.width).trim_end().to_owned()
        };
        list.lines.iter().map(truncated).collect()
    }

    #[test]
    fn pair_keeps_value_and_label_apart() {
        for width in 1..130 {
            for (first_length, second_length) in
                [(0, 0), (8, 8), (19, 3), (20, 3), (21, 3), (35, 3), (3, 19), (3, 40), (90, 90)]
            {
                let mut list = empty_list(width);
                let (first, second) = ("1".repeat(first_length), "2".repeat(second_length));
                list.add_pair(("ended", first.clone().into()), ("unused", second.into()));
                let lines = rendered_lines(&list);
                // "1u": the first value touches the label "unused". "d2": that label touches the second value.
                for line in &lines {
                    assert!(!line.contains("1u") && !line.contains("d2"), "{width}: {lines:?}");
                }
                let is_truncated = width < LABEL_WIDTH + first.len();
                assert!(is_truncated || lines.join(" ").contains(&first), "{width}: {lines:?}");
            }
        }
    }

    #[test]
    fn short_pair_shares_a_line() {
        let mut list = empty_list(MIN_PAIR_WIDTH);
        list.add_pair(("started", "20:54:44".into()), ("expires", "21:54:44".into()));
        assert_eq!(rendered_lines(&list), [" started    20:54:44            expires    21:54:44"]);
    }

    #[test]
    fn label_never_touches_its_value() {
        let mut list = empty_list(40);
        list.add_field("a-label-that-is-too-long", "value");
        list.add_pair(("short", "1".into()), ("another-long-label", "2".into()));
        assert_eq!(rendered_lines(&list), [" a-label-t… value", " short      1", " another-l… 2"]);
    }

    #[test]
    fn long_name_leaves_room_for_its_value() {
        for width in 12..100 {
            let mut list = empty_list(width);
            list.add_named(2, &"k".repeat(40), "value value", Style::new());
            let lines = rendered_lines(&list);
            // "kv": the name touches the value.
            assert!(lines.iter().all(|line| !line.contains("kv")), "{width}: {lines:?}");
            let text = lines.join(" ");
            assert_eq!(text.matches("value").count(), 2, "{width}: {lines:?}");
        }
    }
}
