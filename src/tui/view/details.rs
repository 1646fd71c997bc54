//! Everything about the selected session: where it stands and why, what the API says, and what its creator attached to it;
//! beside it what happened, where there is room, else among it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::drawing::{self, OwnedLine, span};
use super::field_list::FieldList;
use super::{layout, session_fields, timeline};
use crate::tui::{DetailsSection, Model, Pane, ProfileId, ScrollExtent};
use keepwatch_core::clock::Moment;
use keepwatch_core::tracker::Record;

/// So many lines of what happened stand among the facts where there is but one column; Tab leads to all of it.
const INLINE_EVENT_LINES: usize = 4;
/// From this height on there are blank lines between groups of fields.
const SPACIOUS_HEIGHT: u16 = 24;

/// Draws the rule with the id and the facts in view, and beside them what happened.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some((profile, record)) = model.selected_session() else { return };
    let theme = model.settings.theme;
    let has_focus = model.focus.pane().is_fields();
    let (rule, title) = if has_focus { (theme.bold(), theme.bold()) } else { (theme.dim(), Style::new()) };
    let (left, right) = layout::split_details(area);
    if timeline_area(model, area) == Some(area) {
        return timeline::draw(buffer, area, model, now);
    }
    let lines = detail_lines(model, profile, record, area, now);
    let (count, height) = (lines.len(), usize::from(area.height.saturating_sub(1)));
    let top = model.scroll.details_top().min(count.saturating_sub(height));
    let note = scroll_hint(top, count.saturating_sub(top).saturating_sub(height));
    drawing::draw_rule(buffer, drawing::row(left, 0), rule, &span(record.id.sanitise_line(), title), &note);
    for (down, line) in lines.iter().skip(top).take(height).enumerate() {
        drawing::write_line(buffer, drawing::row(drawing::below(left, 1), down), line);
    }
    if let Some(right) = right {
        timeline::draw(buffer, right, model, now);
    }
}

/// Where what happened is shown: beside the facts, or in their place if it has the keyboard.
pub(super) fn timeline_area(model: &Model, area: Rect) -> Option<Rect> {
    let has_focus = matches!(
        model.focus.pane(),
        Pane::LowerDetails(DetailsSection::Timeline) | Pane::FullDetails(DetailsSection::Timeline)
    );
    layout::split_details(area).1.or_else(|| has_focus.then_some(area))
}

/// How many lines are out of view.
fn scroll_hint(above: usize, below: usize) -> String {
    match (above, below) {
        (0, 0) => String::new(),
        (0, under) => format!("↓ {under} more"),
        (above, 0) => format!("↑ {above} more"),
        (above, under) => format!("↑ {above}  ↓ {under} more"),
    }
}

/// Counts the lines of the fields in a pane of that size at `now`.
pub(super) fn extent(model: &Model, pane: Rect, now: Moment) -> Option<ScrollExtent> {
    let (profile, record) = model.selected_session()?;
    let lines = detail_lines(model, profile, record, pane, now).len();
    Some(ScrollExtent { lines, height: usize::from(pane.height.saturating_sub(1)) })
}

/// What is known of the session. Where there is but one column, the newest of what happened is among it.
fn detail_lines(
    model: &Model,
    profile: ProfileId,
    record: &Record,
    pane: Rect,
    now: Moment,
) -> Vec<OwnedLine> {
    let theme = model.settings.theme;
    let (left, right) = layout::split_details(pane);
    let mut list = FieldList {
        lines: Vec::new(),
        width: usize::from(left.width),
        is_spacious: pane.height >= SPACIOUS_HEIGHT,
        theme,
    };
    let full = matches!(model.focus.pane(), Pane::FullDetails(_));
    session_fields::add_status_and_verdict(&mut list, model, profile, record, now, full);
    if right.is_none() {
        let lines = timeline::newest_event_lines(
            model,
            &record.id,
            list.width.saturating_sub(1),
            INLINE_EVENT_LINES,
            now,
        );
        list.lines.extend(lines.into_iter().map(|line| {
            let indent = span(" ", Style::new());
            std::iter::once(indent).chain(line.spans).collect::<Vec<_>>().into()
        }));
    }
    session_fields::add_api_and_poll_fields(&mut list, model, profile, record, now, full);
    if full {
        list.add_blank_line();
        session_fields::add_metadata(&mut list, model, record, full);
    }
    list.lines
}
