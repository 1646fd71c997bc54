//! A builder of plain-text reports: headings, labelled values and dated lines, wrapped, without trailing spaces.

use crate::clock::{Timestamp, Zone};
use crate::text;

/// The maximum width of a line. Only a single longer word may exceed it.
const COLUMNS: usize = 100;
/// The width of the label column, including two spaces on each side.
const LABEL: usize = 15;

/// The report so far.
#[derive(Debug, Default)]
pub(super) struct ReportBuilder(String);

impl ReportBuilder {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Appends a paragraph.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.hanging_indent("", text);
    }

    /// Appends an empty line and a heading.
    pub(super) fn heading(&mut self, text: &str) {
        self.0.push('\n');
        if !text.is_empty() {
            self.paragraph(text);
        }
    }

    /// Appends `  label        value`.
    pub(super) fn field(&mut self, label: &str, value: &str) {
        let gap = " ".repeat(LABEL.saturating_sub(text::width(label).saturating_add(2)));
        self.hanging_indent(&format!("  {label}{gap}"), value);
    }

    /// Appends a [`field`](Self::field) if there is a value.
    pub(super) fn optional_field(&mut self, label: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.field(label, value.as_ref());
        }
    }

    /// Appends a label without padding, followed by the value.
    pub(super) fn indented(&mut self, label: &str, value: &str) {
        self.hanging_indent(&format!("  {label}"), value);
    }

    /// Appends lines of `  when         content`, with the contents aligned.
    pub(super) fn dated_lines(&mut self, lines: &[(String, String)]) {
        let widest = lines.iter().map(|(when, _)| text::width(when)).max().unwrap_or(0);
        for (when, content) in lines {
            let gap = " ".repeat(widest.saturating_sub(text::width(when)).saturating_add(2));
            self.hanging_indent(&format!("  {when}{gap}"), content);
        }
    }

    /// Appends `start` and `text`, wrapped. Further lines align with the start of `text`.
    fn hanging_indent(&mut self, start: &str, text: &str) {
        let indent = text::width(start);
        let columns = COLUMNS.saturating_sub(indent).max(20);
        let mut before = start.to_owned();
        for line in text::wrap(text, columns) {
            let line = format!("{before}{line}");
            self.0.push_str(line.trim_end());
            self.0.push('\n');
            before = " ".repeat(indent);
        }
    }
}

/// Formats a time as `2026-11-22 21:04:09.2`.
pub(super) fn format_time(at: Timestamp) -> String {
    format!("{} {}", Zone::Utc.date(at), Zone::Utc.time_tenths(at))
}

/// Formats an interval as `2026-11-22 21:04:09.2 … 21:04:12.1`. The second date is omitted if it equals the first, and
/// the second time if both are equal.
pub(super) fn format_interval(earliest: Timestamp, latest: Timestamp) -> String {
    let (from, to) = (format_time(earliest), format_time(latest));
    if from == to {
        from
    } else if Zone::Utc.date(earliest) == Zone::Utc.date(latest) {
        format!("{from} … {}", Zone::Utc.time_tenths(latest))
    } else {
        format!("{from} … {to}")
    }
}
