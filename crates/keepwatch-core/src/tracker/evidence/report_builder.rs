//! A page of plain text: headings, labelled values, dated lines; wrapped, and nothing at the end of a line.

use crate::clock::{Timestamp, Zone};
use crate::text;

/// No line is wider, but for a word that is.
const COLUMNS: usize = 100;
/// The columns of a label, with the two before it and the two after.
const LABEL: usize = 15;

/// The page so far.
#[derive(Debug, Default)]
pub(super) struct ReportBuilder(String);

impl ReportBuilder {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// A paragraph.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.hanging_indent("", text);
    }

    /// An empty line, and what the lines below it are about.
    pub(super) fn heading(&mut self, text: &str) {
        self.0.push('\n');
        if !text.is_empty() {
            self.paragraph(text);
        }
    }

    /// `  label        value`
    pub(super) fn field(&mut self, label: &str, value: &str) {
        let gap = " ".repeat(LABEL.saturating_sub(text::width(label).saturating_add(2)));
        self.hanging_indent(&format!("  {label}{gap}"), value);
    }

    /// The same, of what may not be known.
    pub(super) fn optional_field(&mut self, label: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.field(label, value.as_ref());
        }
    }

    /// A label of its own width, and the value behind it.
    pub(super) fn indented(&mut self, label: &str, value: &str) {
        self.hanging_indent(&format!("  {label}"), value);
    }

    /// `  when         what`, the whats below each other.
    pub(super) fn dated_lines(&mut self, lines: &[(String, String)]) {
        let widest = lines.iter().map(|(when, _)| text::width(when)).max().unwrap_or(0);
        for (when, content) in lines {
            let gap = " ".repeat(widest.saturating_sub(text::width(when)).saturating_add(2));
            self.hanging_indent(&format!("  {when}{gap}"), content);
        }
    }

    /// `start` and `text`; where that takes several lines, the others stand below the text's first.
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

/// `2026-11-22 21:04:09.2`
pub(super) fn format_time(at: Timestamp) -> String {
    format!("{} {}", Zone::Utc.date(at), Zone::Utc.time_tenths(at))
}

/// `2026-11-22 21:04:09.2 … 21:04:12.1`, and as little of that as tells both ends.
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
