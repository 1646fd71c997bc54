//! Everything about the selected session: what the API says, and what its creator attached to it, side by side where
//! there is room, else one below the other.
//!
//! How many lines there are does not depend on the time of day: what ticks stays on its line. So the keys can scroll
//! without knowing the time.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::ink::{self, Text, span};
use super::page::Page;
use super::{fields, layout};
use crate::app::{Model, Pane};
use crate::clock::{Moment, Timestamp};
use crate::watch::Record;

/// From this height on there are blank lines between groups of fields.
const AIRY: u16 = 24;

/// Draws the rule with the id, and the lines in view.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some(record) = model.record() else { return };
    let theme = model.settings.theme;
    let keyboard = model.focus.pane() != Pane::Table;
    let (rule, title) =
        if keyboard { (theme.strong(), theme.strong()) } else { (theme.faint(), Style::new()) };
    let parts = lines(model, record, area, now);
    let (count, height) = (longest(&parts), usize::from(area.height.saturating_sub(1)));
    let top = model.scroll.min(count.saturating_sub(height));
    let note = more(top, count.saturating_sub(top).saturating_sub(height));
    let last = parts.len().saturating_sub(1);
    for (at, (part, lines)) in parts.into_iter().enumerate() {
        let name = if at == 0 { record.id.line() } else { "Metadata".into() };
        let note = if at == last { note.as_str() } else { "" };
        ink::rule(buffer, ink::row(part, 0), rule, &span(name, title), note);
        for (down, line) in lines.iter().skip(top).take(height).enumerate() {
            ink::write(buffer, ink::row(ink::below(part, 1), down), line);
        }
    }
}

/// How many lines are out of view.
fn more(above: usize, under: usize) -> String {
    match (above, under) {
        (0, 0) => String::new(),
        (0, under) => format!("↓ {under} more"),
        (above, 0) => format!("↑ {above} more"),
        (above, under) => format!("↑ {above}  ↓ {under} more"),
    }
}

/// How many lines there are for a pane of that size, and how many of them are in view.
pub(super) fn extent(model: &Model, pane: Rect) -> (usize, usize) {
    let Some(record) = model.record() else { return (0, 0) };
    let any = Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::ZERO };
    (longest(&lines(model, record, pane, any)), usize::from(pane.height.saturating_sub(1)))
}

fn longest(parts: &[(Rect, Vec<Text>)]) -> usize {
    parts.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0)
}

/// The lines of each part of the pane.
fn lines(model: &Model, record: &Record, pane: Rect, now: Moment) -> Vec<(Rect, Vec<Text>)> {
    let theme = model.settings.theme;
    let page = |part: Rect| Page {
        lines: Vec::new(),
        width: usize::from(part.width),
        airy: pane.height >= AIRY,
        theme,
    };
    let (left, right) = layout::halves(pane);
    let mut about = page(left);
    fields::about(&mut about, model, record, now);
    let Some(right) = right else {
        about.pause();
        about.lines.push(Line::styled(" metadata", theme.faint()));
        fields::metadata(&mut about, model, record);
        return vec![(left, about.lines)];
    };
    let mut attached = page(right);
    fields::metadata(&mut attached, model, record);
    vec![(left, about.lines), (right, attached.lines)]
}
