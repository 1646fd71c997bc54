//! Draws the details of the selected session: its fields, and its timeline beside the fields. A pane that is too narrow
//! for two halves shows the newest events among the fields. While the timeline has the focus, such a pane shows only
//! the timeline.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::drawing::{self, OwnedLine, span};
use super::field_list::FieldList;
use super::{layout, session_fields, timeline};
use crate::tui::{DetailsSection, Model, Pane, ProfileId, ScrollExtent};
use keepwatch_core::clock::Moment;
use keepwatch_core::tracker::Record;

/// The maximum number of timeline lines among the fields of a narrow pane. Tab opens the whole timeline.
const INLINE_EVENT_LINES: usize = 4;
/// The minimum height of a pane that has blank lines between groups of fields.
const SPACIOUS_HEIGHT: u16 = 24;

/// Draws a rule that has the session's id, and the fields in view below it. Draws the timeline beside the fields, or in
/// their place, as [`timeline_area`] says.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some((profile, record)) = model.selected_session() else { return };
    let theme = model.settings.theme;
    let fields_have_focus = model.focus.pane().scrolls_fields();
    let (rule_style, id_style) =
        if fields_have_focus { (theme.bold(), theme.bold()) } else { (theme.dim(), Style::new()) };
    let (left, right) = layout::split_details(area);
    if timeline_area(model, area) == Some(area) {
        // The timeline takes the place of the fields.
        return timeline::draw(buffer, area, model, now);
    }
    let lines = detail_lines(model, profile, record, area, now);
    // The first row of the pane is the rule.
    let (line_count, height) = (lines.len(), usize::from(area.height.saturating_sub(1)));
    let top = model.scroll.details_top().min(line_count.saturating_sub(height));
    let note = scroll_hint(top, line_count.saturating_sub(top).saturating_sub(height));
    drawing::draw_rule(
        buffer,
        drawing::row(left, 0),
        rule_style,
        &span(record.id.sanitise_line(), id_style),
        &note,
    );
    for (offset, line) in lines.iter().skip(top).take(height).enumerate() {
        drawing::write_line(buffer, drawing::row(drawing::below(left, 1), offset), line);
    }
    if let Some(right) = right {
        timeline::draw(buffer, right, model, now);
    }
}

/// Returns the area of the timeline within the pane `area`: beside the fields, or the whole pane if the pane is narrow
/// and the timeline has the focus.
pub(super) fn timeline_area(model: &Model, area: Rect) -> Option<Rect> {
    let has_focus = matches!(
        model.focus.pane(),
        Pane::LowerDetails(DetailsSection::Timeline) | Pane::FullDetails(DetailsSection::Timeline)
    );
    layout::split_details(area).1.or_else(|| has_focus.then_some(area))
}

/// Returns a note with the numbers of lines that are out of view, above and below.
fn scroll_hint(above: usize, below: usize) -> String {
    match (above, below) {
        (0, 0) => String::new(),
        (0, below) => format!("↓ {below} more"),
        (above, 0) => format!("↑ {above} more"),
        (above, below) => format!("↑ {above}  ↓ {below} more"),
    }
}

/// Returns the number of lines of the details at `now`, and the number of lines that fit into `pane` below its rule.
/// Returns `None` if no session is selected.
pub(super) fn extent(model: &Model, pane: Rect, now: Moment) -> Option<ScrollExtent> {
    let (profile, record) = model.selected_session()?;
    let lines = detail_lines(model, profile, record, pane, now).len();
    Some(ScrollExtent { lines, height: usize::from(pane.height.saturating_sub(1)) })
}

/// Returns the fields of the session as lines. In a narrow pane, the lines include the newest events.
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
    let is_full_pane = matches!(model.focus.pane(), Pane::FullDetails(_));
    session_fields::add_status_and_verdict(&mut list, model, profile, record, now, is_full_pane);
    let is_split = right.is_some();
    if !is_split {
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
    session_fields::add_api_and_poll_fields(&mut list, model, profile, record, now, is_full_pane);
    if is_full_pane {
        list.add_blank_line();
        session_fields::add_metadata(&mut list, model, record, is_full_pane);
        session_fields::add_client_calls(&mut list, model, profile, record);
    }
    list.lines
}
