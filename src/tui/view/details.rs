//! Everything about the selected session: where it stands and why, what the API says, and what its creator attached to it;
//! beside it what happened, where there is room, else among it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::ink::{self, Text, span};
use super::page::Page;
use super::{fields, layout, timeline};
use crate::tui::{DetailsSection, Model, Pane, ProfileId, ScrollExtent};
use keepwatch_core::clock::Moment;
use keepwatch_core::tracker::Record;

/// So many lines of what happened stand among the facts where there is but one column; Tab leads to all of it.
const FEW: usize = 4;
/// From this height on there are blank lines between groups of fields.
const AIRY: u16 = 24;

/// Draws the rule with the id and the facts in view, and beside them what happened.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some((profile, record)) = model.selected_session() else { return };
    let theme = model.settings.theme;
    let keyboard = model.focus.pane().is_fields();
    let (rule, title) = if keyboard { (theme.bold(), theme.bold()) } else { (theme.dim(), Style::new()) };
    let (left, right) = layout::halves(area);
    if timeline(model, area) == Some(area) {
        return timeline::draw(buffer, area, model, now);
    }
    let lines = facts(model, profile, record, area, now);
    let (count, height) = (lines.len(), usize::from(area.height.saturating_sub(1)));
    let top = model.scroll.details_top().min(count.saturating_sub(height));
    let note = more(top, count.saturating_sub(top).saturating_sub(height));
    ink::rule(buffer, ink::row(left, 0), rule, &span(record.id.sanitise_line(), title), &note);
    for (down, line) in lines.iter().skip(top).take(height).enumerate() {
        ink::write(buffer, ink::row(ink::below(left, 1), down), line);
    }
    if let Some(right) = right {
        timeline::draw(buffer, right, model, now);
    }
}

/// Where what happened is shown: beside the facts, or in their place if it has the keyboard.
pub(super) fn timeline(model: &Model, area: Rect) -> Option<Rect> {
    let keyboard = matches!(
        model.focus.pane(),
        Pane::LowerDetails(DetailsSection::Timeline) | Pane::FullDetails(DetailsSection::Timeline)
    );
    layout::halves(area).1.or_else(|| keyboard.then_some(area))
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

/// Counts the lines of the fields in a pane of that size at `now`.
pub(super) fn extent(model: &Model, pane: Rect, now: Moment) -> Option<ScrollExtent> {
    let (profile, record) = model.selected_session()?;
    let lines = facts(model, profile, record, pane, now).len();
    Some(ScrollExtent { lines, height: usize::from(pane.height.saturating_sub(1)) })
}

/// What is known of the session. Where there is but one column, the newest of what happened is among it.
fn facts(model: &Model, profile: ProfileId, record: &Record, pane: Rect, now: Moment) -> Vec<Text> {
    let theme = model.settings.theme;
    let (left, right) = layout::halves(pane);
    let mut page =
        Page { lines: Vec::new(), width: usize::from(left.width), airy: pane.height >= AIRY, theme };
    let full = matches!(model.focus.pane(), Pane::FullDetails(_));
    fields::standing(&mut page, model, profile, record, now, full);
    if right.is_none() {
        let lines = timeline::last_lines(model, &record.id, page.width.saturating_sub(1), FEW, now);
        page.lines.extend(lines.into_iter().map(|line| {
            let indent = span(" ", Style::new());
            std::iter::once(indent).chain(line.spans).collect::<Vec<_>>().into()
        }));
    }
    fields::about(&mut page, model, profile, record, now, full);
    if full {
        page.pause();
        fields::metadata(&mut page, model, record, full);
    }
    page.lines
}
