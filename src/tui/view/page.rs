//! Labels and values, line by line: what the details are written with.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::ink::{self, Text, span};
use crate::tui::Theme;
use keepwatch_core::text;

/// Columns of the labels, and the blank after them.
pub(super) const LABEL: usize = 12;
/// From this width on, two short fields share a line.
const PAIRS: usize = 54;

/// Lines being written, of one width.
pub(super) struct Page {
    pub(super) lines: Vec<Text>,
    pub(super) width: usize,
    /// Whether there is room for blank lines between groups.
    pub(super) airy: bool,
    pub(super) theme: Theme,
}

impl Page {
    /// A label and a value of one line; what does not fit is cut.
    pub(super) fn field(&mut self, label: &str, value: impl Into<Text>) {
        let mut spans = vec![self.label(label)];
        spans.extend(ink::spans(value.into()));
        self.lines.push(spans.into());
    }

    /// A blank line, where there is room for it.
    pub(super) fn pause(&mut self) {
        if self.airy {
            self.lines.push(Line::default());
        }
    }

    /// Two fields, on one line where there is room.
    pub(super) fn pair(&mut self, one: (&str, Text), other: (&str, Text)) {
        if self.width < PAIRS {
            self.field(one.0, one.1);
            self.field(other.0, other.1);
            return;
        }
        let half = (self.width / 2).max(LABEL.saturating_add(20)).min(40);
        let room = half.saturating_sub(LABEL);
        let taken = usize::from(ink::columns(&one.1));
        let mut spans = vec![self.label(one.0)];
        spans.extend(ink::spans(one.1));
        spans.push(Span::raw(" ".repeat(room.saturating_sub(taken))));
        spans.push(span(format!("{:<1$}", other.0, LABEL.saturating_sub(1)), self.theme.faint()));
        spans.extend(ink::spans(other.1));
        self.lines.push(spans.into());
    }

    /// A label and a text that takes as many lines as it needs.
    pub(super) fn wrapped(&mut self, label: &str, value: &str, style: Style) {
        for (at, line) in text::wrap(value, self.room()).into_iter().enumerate() {
            self.field(if at == 0 { label } else { "" }, Line::styled(line, style));
        }
    }

    /// A name that may be long, and a text under or beside it.
    pub(super) fn named(&mut self, indent: usize, name: &str, value: &str, style: Style) {
        let name = format!(" {}{name}  ", " ".repeat(indent));
        let used = text::width(&name).min(self.width.saturating_sub(1));
        for (at, line) in text::wrap(value, self.width.saturating_sub(used).max(1)).into_iter().enumerate() {
            let name = if at == 0 { name.clone() } else { " ".repeat(used) };
            self.lines.push(vec![span(name, self.theme.faint()), span(line, style)].into());
        }
    }

    /// The columns of a value.
    pub(super) fn room(&self) -> usize {
        self.width.saturating_sub(LABEL).max(1)
    }

    fn label(&self, label: &str) -> Span<'static> {
        span(format!(" {label:<0$}", LABEL.saturating_sub(1)), self.theme.faint())
    }
}

/// `text` with blanks up to `columns`.
pub(super) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text::width(text))))
}
