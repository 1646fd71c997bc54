//! A builder of plain-text reports: headings, labelled values and dated lines, wrapped, without trailing spaces.

use crate::clock::{Timestamp, Zone};
use crate::text;

/// The maximum number of columns of a line. Only a word that is longer than a line may exceed it.
const MAX_LINE_WIDTH: usize = 100;
/// The number of columns of a padded label, including the two spaces before it and at least two after it.
const LABEL_WIDTH: usize = 15;

/// The text of the report so far.
#[derive(Debug, Default)]
pub(super) struct ReportBuilder(String);

impl ReportBuilder {
    /// Returns the finished text.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Appends a paragraph.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.push_wrapped("", text);
    }

    /// Appends an empty line.
    pub(super) fn empty_line(&mut self) {
        self.0.push('\n');
    }

    /// Appends an empty line and a heading.
    pub(super) fn heading(&mut self, text: &str) {
        self.empty_line();
        self.paragraph(text);
    }

    /// Appends the line `  label        value`.
    pub(super) fn field(&mut self, label: &str, value: &str) {
        let gap = " ".repeat(LABEL_WIDTH.saturating_sub(text::width(label).saturating_add(2)));
        self.push_wrapped(&format!("  {label}{gap}"), value);
    }

    /// Appends a [`field`](Self::field) if there is a value.
    pub(super) fn optional_field(&mut self, label: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.field(label, value.as_ref());
        }
    }

    /// Appends the line `  labelvalue`: the label has no padding, so it ends with the gap that it needs.
    pub(super) fn indented(&mut self, label: &str, value: &str) {
        self.push_wrapped(&format!("  {label}"), value);
    }

    /// Appends a line `  when  content` for each pair, with the contents aligned.
    pub(super) fn dated_lines(&mut self, lines: &[(String, String)]) {
        let widest = lines.iter().map(|(when, _)| text::width(when)).max().unwrap_or(0);
        for (when, content) in lines {
            let gap = " ".repeat(widest.saturating_sub(text::width(when)).saturating_add(2));
            self.push_wrapped(&format!("  {when}{gap}"), content);
        }
    }

    /// Appends `start` and the wrapped `text`. The second and later lines are indented by the width of `start`.
    fn push_wrapped(&mut self, start: &str, text: &str) {
        let indent = text::width(start);
        let columns = MAX_LINE_WIDTH.saturating_sub(indent).max(20); // a long start must leave some room for the text
        let mut line_start = start.to_owned();
        for line in text::wrap(text, columns) {
            let line = format!("{line_start}{line}");
            self.0.push_str(line.trim_end());
            self.0.push('\n');
            line_start = " ".repeat(indent);
        }
    }
}

/// Formats a time as `2026-11-22 21:04:09.2`.
pub(super) fn format_time(at: Timestamp) -> String {
    format!("{} {}", Zone::Utc.date(at), Zone::Utc.time_tenths(at))
}

/// Formats an interval as `2026-11-22 21:04:09.2 … 21:04:12.1`. Omits the second date if it equals the first. If
/// both times give the same text, returns it once.
pub(super) fn format_interval(earliest: Timestamp, latest: Timestamp) -> String {
    let (start, end) = (format_time(earliest), format_time(latest));
    if start == end {
        start
    } else if Zone::Utc.date(earliest) == Zone::Utc.date(latest) {
        format!("{start} … {}", Zone::Utc.time_tenths(latest))
    } else {
        format!("{start} … {end}")
    }
}
