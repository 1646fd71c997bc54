//! Draws the table of sessions: chooses the columns that fit the width, and builds only the rows in view. `cells.rs`
//! builds the text of each cell.

use std::ops::RangeInclusive;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::cells::{self, CellContext};
use super::column_solver::{self, LEFT_MARGIN, PlacedColumn, WidthStep};
use super::drawing::{self, span};
use super::header;
use crate::tui::viewport::visible_table_rows;
use crate::tui::{Model, Pane, ProfileId, Sort, SortColumn};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::SessionId;
use keepwatch_core::text;

#[cfg(test)]
thread_local! {
    /// The number of rows that this thread has built so far.
    pub(super) static ROWS_BUILT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Status as a glyph.
    Glyph,
    /// Status as a glyph and a word.
    Status,
    /// Shortest unique prefix of the id.
    Session,
    /// Profile of the session, if there are several.
    Profile,
    /// Owner of the session, taken from its metadata.
    Owner,
    /// Region that the session runs in.
    Region,
    /// Keep-alive: "yes" if the session survives a disconnect.
    KeepAlive,
    /// Time since the start, or from the start to the end.
    Age,
    /// Time left as a bar and a countdown, or how the session ended.
    TimeLeft,
    /// Glyph of a session with an unacknowledged alert.
    Alert,
    /// Total bytes through the proxy.
    Proxy,
    /// Current rate of traffic through the proxy, as a sparkline and a number.
    Rate,
    /// All metadata on one line.
    Metadata,
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Glyph | Self::Alert => "",
            Self::Status => "STATUS",
            Self::Session => "SESSION",
            Self::Profile => "PROFILE",
            Self::Owner => "OWNER",
            Self::Region => "REGION",
            Self::KeepAlive => "KEEP",
            Self::Age => "AGE",
            Self::TimeLeft => "LEFT",
            Self::Proxy => "PROXY",
            Self::Rate => "RATE/s",
            Self::Metadata => "METADATA",
        }
    }

    /// Returns the column of the sort order, or `None` if the table cannot be sorted by this column.
    fn sort_column(self) -> Option<SortColumn> {
        match self {
            Self::Status => Some(SortColumn::Status),
            Self::Session => Some(SortColumn::Session),
            Self::Profile => Some(SortColumn::Profile),
            Self::Owner => Some(SortColumn::Owner),
            Self::Region => Some(SortColumn::Region),
            Self::Age => Some(SortColumn::Age),
            Self::TimeLeft => Some(SortColumn::TimeLeft),
            Self::Proxy => Some(SortColumn::Proxy),
            Self::Glyph | Self::KeepAlive | Self::Alert | Self::Rate | Self::Metadata => None,
        }
    }

    fn is_right_aligned(self) -> bool {
        matches!(self, Self::Age | Self::Proxy)
    }
}

/// All columns from left to right: the column, the range of screen widths that show it, and its minimum width. A column
/// of width 0 is shown only if a step in [`WIDTH_STEPS`] adds it. The owner occurs twice, because its minimum width
/// depends on the screen.
const COLUMNS: [(Column, RangeInclusive<u16>, u16); 14] = [
    (Column::Glyph, 0..=59, 1),
    (Column::Status, 60..=u16::MAX, 11),
    (Column::Session, 0..=u16::MAX, 8),
    (Column::Profile, 0..=u16::MAX, 0),
    (Column::Owner, 60..=99, 0),
    (Column::Owner, 100..=u16::MAX, 8),
    (Column::Region, 100..=u16::MAX, 14),
    (Column::KeepAlive, 60..=u16::MAX, 4),
    (Column::Age, 60..=u16::MAX, 6),
    (Column::TimeLeft, 0..=u16::MAX, 16),
    (Column::Alert, 32..=u16::MAX, 1),
    (Column::Proxy, 63..=u16::MAX, 8),
    (Column::Rate, 100..=u16::MAX, 7),
    (Column::Metadata, 60..=u16::MAX, 0),
];

/// The steps that spend the room that the minimum widths leave, in the order of their importance.
const WIDTH_STEPS: [WidthStep<Column>; 12] = [
    WidthStep::Add(Column::Profile, PROFILE_MIN_WIDTH),
    WidthStep::Widen(Column::Profile, PROFILE_MEDIUM_WIDTH),
    WidthStep::Widen(Column::TimeLeft, 20),
    WidthStep::Add(Column::Owner, 10),
    WidthStep::Widen(Column::Profile, PROFILE_MAX_WIDTH),
    WidthStep::WidenGaps,
    WidthStep::Widen(Column::Session, MAX_ID_WIDTH),
    WidthStep::Widen(Column::Owner, 12),
    WidthStep::Widen(Column::Rate, 16),
    WidthStep::Widen(Column::Owner, 14),
    WidthStep::Add(Column::Metadata, 16),
    WidthStep::Widen(Column::Metadata, u16::MAX),
];

/// The maximum width of an id prefix, in columns. 8 are enough to distinguish Browserbase's ids.
const MAX_ID_WIDTH: u16 = 24;
/// The minimum width of a screen that shows the word of a status beside its glyph.
const STATUS_WORD_MIN_SCREEN: u16 = 60;
/// The minimum width of a profile's name, in columns.
const PROFILE_MIN_WIDTH: u16 = 4;
/// The width to which the profile column is widened before any other column is widened, in columns.
const PROFILE_MEDIUM_WIDTH: u16 = 7;
/// The maximum width of a profile's name, in columns.
const PROFILE_MAX_WIDTH: u16 = 14;
/// The minimum number of short sessions (under a minute) that the note mentions.
const MIN_SHORT_SESSIONS: u64 = 3;
/// The minimum width of a screen on which the note names keystrokes.
const NOTE_HINTS_MIN_WIDTH: u16 = 60;

/// Places the columns on a screen that is `screen_width` columns wide. `id_width` is the width of the longest id
/// prefix. `profile_width` is the width of the longest profile name, or `None` if there is only one profile. Without
/// `with_metadata`, the owner and the metadata are left out.
fn resolve_columns(
    screen_width: u16,
    id_width: u16,
    profile_width: Option<u16>,
    with_metadata: bool,
) -> Vec<PlacedColumn<Column>> {
    // Choose the columns as if the screen were narrower by the profile column and its gap, but still wide enough for
    // the word of a status. A screen that is too narrow for this word is not narrowed.
    let profile_room = profile_width.map_or(0, |profile| profile.min(PROFILE_MEDIUM_WIDTH).saturating_add(1));
    let effective_width =
        screen_width.saturating_sub(profile_room).max(screen_width.min(STATUS_WORD_MIN_SCREEN));
    let columns = COLUMNS
        .into_iter()
        .filter(|(_, screens, _)| screens.contains(&effective_width))
        .filter(|(column, ..)| with_metadata || !matches!(column, Column::Owner | Column::Metadata))
        .filter(|(column, ..)| profile_width.is_some() || *column != Column::Profile)
        .map(|(column, _, min_width)| (column, min_width));
    let max_width = |column| match column {
        Column::Session => id_width,
        Column::Profile => profile_width.unwrap_or(0),
        _ => u16::MAX,
    };
    column_solver::solve_columns(columns, WIDTH_STEPS.map(|step| step.limit(max_width)), 1, screen_width)
}

/// Draws the headings and the rows in view.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let row_count = usize::from(visible_table_rows(area));
    // Each id, with the length of its shortest unique prefix.
    let rows: Vec<(&SessionId, usize)> = model
        .table
        .rows()
        .visible(model.table.top(), row_count)
        .map(|id| (id, model.profiles.id_prefix_length(id)))
        .collect();
    let id_width = rows.iter().map(|(_, prefix_length)| *prefix_length).max().unwrap_or(0);
    let id_width = u16::try_from(id_width).unwrap_or(u16::MAX);
    let profile_width =
        model.profiles.labels().map(|labels| u16::try_from(labels.width()).unwrap_or(u16::MAX));
    let columns = resolve_columns(area.width, id_width, profile_width, !model.hides_metadata);
    let heading_rows = area.height.saturating_sub(visible_table_rows(area));
    if heading_rows > 0 {
        draw_headings(buffer, drawing::row(area, 0), &columns, model);
    }
    let area = drawing::below(area, heading_rows);
    let stale_profiles: Vec<ProfileId> =
        model.profiles.ids().filter(|profile| model.stale_data_age(*profile, now).is_some()).collect();
    for (offset, row) in rows.into_iter().enumerate() {
        draw_row(buffer, drawing::row(area, offset), &columns, model, row, now, &stale_profiles);
    }
}

fn draw_headings(buffer: &mut Buffer, area: Rect, columns: &[PlacedColumn<Column>], model: &Model) {
    let theme = model.settings.theme;
    for PlacedColumn { key: column, x, width } in columns {
        let text = column.heading();
        let is_sorted = column.sort_column() == Some(model.table.sort().column);
        let gap = if text::width(text).saturating_add(2) <= usize::from(*width) { " " } else { "" };
        let heading = if is_sorted {
            span(format!("{text}{gap}{}", sort_arrow(model.table.sort())), Style::new())
        } else {
            span(text, theme.dim())
        };
        write_cell(
            buffer,
            Rect { width: *width, ..drawing::indent(area, *x) },
            column.is_right_aligned(),
            &heading.into(),
        );
    }
}

/// Returns the arrow for the sorted column: "▲" if its values increase from top to bottom.
fn sort_arrow(sort: Sort) -> &'static str {
    let is_descending_by_default = sort.column == SortColumn::Proxy;
    if is_descending_by_default == sort.reversed { "▲" } else { "▼" }
}

fn draw_row(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[PlacedColumn<Column>],
    model: &Model,
    (id, id_prefix_length): (&SessionId, usize),
    now: Moment,
    stale_profiles: &[ProfileId],
) {
    #[cfg(test)]
    ROWS_BUILT.set(ROWS_BUILT.get().saturating_add(1));
    let Some((profile, record)) = model.profiles.find(id) else { return };
    let cell = CellContext {
        model,
        record,
        profile,
        id_prefix_length,
        server_now: model.profiles.profile_time(profile, now),
    };
    let is_stale = stale_profiles.contains(&profile);
    for PlacedColumn { key: column, x, width } in columns {
        let cell_area = Rect { width: *width, ..drawing::indent(area, *x) };
        write_cell(buffer, cell_area, column.is_right_aligned(), &cells::cell_text(*column, &cell, *width));
    }
    let theme = model.settings.theme;
    if model.table.selected() == Some(id) {
        let has_focus = model.focus.pane() == Pane::Table;
        let marker_style = if has_focus { theme.info() } else { theme.dim() };
        // No cell of the row stays dim, because terminals differ in how they show text that is both bold and dim.
        buffer.set_style(area, Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM));
        drawing::write_line(buffer, area, &Line::styled(theme.selection_glyph(), marker_style));
    } else if is_stale || record.is_not_found() || record.failure_streak.is_some() {
        // promise: dimmed-rows
        buffer.set_style(area, Style::new().add_modifier(Modifier::DIM).remove_modifier(Modifier::BOLD));
    }
}

fn write_cell(buffer: &mut Buffer, area: Rect, is_right_aligned: bool, line: &drawing::OwnedLine) {
    if is_right_aligned {
        drawing::write_right_aligned(buffer, area, line);
    } else {
        drawing::write_line(buffer, area, line);
    }
}

/// Returns a note if the profile's project has no free slot: the session that expires next, and its expiry.
fn no_slot_text(model: &Model, profile: ProfileId) -> Option<String> {
    let excess = model.slots(profile)?.excess()?;
    let (at, id) = model.table.rows().slot_usage(profile)?.next_expiry.as_ref()?;
    let prefix = header::profile_prefix(model, profile);
    let (at, id) = (model.settings.zone.time(*at), id.prefix(8));
    let release =
        if model.settings.release_permission.is_some() { "; x releases the selected session" } else { "" };
    // If there are too many sessions, the end of one frees no slot.
    Some(match excess {
        0 => format!("{prefix}all slots used; next frees at {at} ({id}){release}"),
        _ => format!("{prefix}{excess} over the limit; next ends at {at} ({id})"),
    })
}

/// Draws the line below the table: the active filters, projects without a free slot, the numbers of sessions that are
/// out of view, muted or unreadable, and a sentence on short sessions. `visible_rows` is the number of rows for which
/// the table has room.
pub(super) fn draw_note(buffer: &mut Buffer, area: Rect, model: &Model, visible_rows: u16) {
    let theme = model.settings.theme;
    let mut parts = Vec::new();
    if !model.table.filter().is_empty() {
        let (shown, all) = (model.table.rows().len(), model.table.rows().counts().total());
        parts.push(vec![
            span("filter ", theme.dim()),
            span(text::sanitise(model.table.filter().text(), 40), theme.info()),
            span(
                format!(
                    " {shown} of {all}{}",
                    if area.width < NOTE_HINTS_MIN_WIDTH { "" } else { " (Esc clears)" }
                ),
                theme.dim(),
            ),
        ]);
    }
    if let Some(query) = &model.settings.query {
        let query = text::sanitise(query.raw().trim_start_matches("user_metadata"), 40);
        parts.push(vec![span("asked for ", theme.dim()), span(query, theme.info())]);
    }
    let rows_below =
        model.table.rows().len().saturating_sub(model.table.top()).saturating_sub(usize::from(visible_rows));
    if model.table.shows_alerts_only() {
        let hint = if area.width < NOTE_HINTS_MIN_WIDTH { "" } else { " (f shows all)" };
        parts.push(vec![span("flagged only", theme.info()), span(hint, theme.dim())]);
    }
    let no_slot_texts = model.profiles.ids().filter_map(|profile| no_slot_text(model, profile));
    parts.extend(no_slot_texts.map(|text| vec![span(text, theme.warning())]));
    let out_of_view = model.table.rows().alerts_out_of_view(model.table.top(), usize::from(visible_rows));
    if out_of_view > 0 {
        let theme = model.settings.theme;
        parts.push(vec![span(format!("{} {out_of_view} more", theme.alert_glyph()), theme.alert())]);
    }
    for (arrow, count) in [("↑", model.table.top()), ("↓", rows_below)] {
        if count > 0 {
            parts.push(vec![span(format!("{arrow} {count} more"), theme.dim())]);
        }
    }
    let muted = model.table.rows().counts().muted;
    if muted > 0 {
        parts.push(vec![span(format!("{muted} muted, M shows them"), theme.dim())]);
    }
    let malformed = model.profiles.malformed();
    if malformed > 0 {
        parts.push(vec![span(format!("{malformed} in the list unreadable"), theme.warning())]);
    }
    let short = model.profiles.short_sessions();
    if let Some(sentence) = short.sentence().filter(|_| short.sessions >= MIN_SHORT_SESSIONS) {
        parts.push(vec![span(sentence, theme.dim())]);
    }
    drawing::write_line(buffer, drawing::indent(area, LEFT_MARGIN), &drawing::join_spaced(parts));
}
