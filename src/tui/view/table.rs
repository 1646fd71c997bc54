//! The table: which columns a width has room for, and what each shows of a session. Only rows in view are built.

use std::ops::RangeInclusive;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::cells::{self, CellContext};
use super::columns::{self, LEFT_MARGIN, PlacedColumn, WidthStep};
use super::drawing::{self, span};
use super::header;
use crate::tui::viewport::visible_table_rows;
use crate::tui::{Model, Pane, ProfileId, Sort, SortColumn};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::SessionId;
use keepwatch_core::text;

#[cfg(test)]
thread_local! {
    /// How many rows this thread has built.
    pub(super) static ROWS_BUILT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The status' glyph alone.
    Glyph,
    /// Glyph and word.
    Status,
    /// The shortest start of the id that tells it from the others.
    Session,
    /// Of which profile it is, where there are several.
    Profile,
    /// Whose it is, by the metadata.
    Owner,
    /// Where it runs.
    Region,
    /// Whether it outlives its connection.
    KeepAlive,
    /// How long it runs, or ran.
    Age,
    /// What is left of its time, as bar and countdown; of an ended one, how it ended.
    TimeLeft,
    /// Whether it is flagged.
    Alert,
    /// Bytes through the proxy.
    Proxy,
    /// How they flow now.
    Rate,
    /// All of it on a line.
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

    /// The order that the column shows, if rows can be sorted by it.
    fn sort_key(self) -> Option<SortColumn> {
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

/// All columns, from left to right: the widths of the screen on which each is, and its own narrowest width. A column of
/// width 0 comes only if the others leave room for it.
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

/// What becomes of the room that the narrowest widths leave, in this order.
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

/// The most columns for the start of an id; Browserbase's differ within 8.
const MAX_ID_WIDTH: u16 = 24;
/// From this width on a status has its word.
const STATUS_WORD_MIN_SCREEN: u16 = 60;
/// The columns of a profile's name, as far as the longest needs them: at the least, where there is little room, and at
/// the most.
const PROFILE_MIN_WIDTH: u16 = 4;
const PROFILE_MEDIUM_WIDTH: u16 = 7;
const PROFILE_MAX_WIDTH: u16 = 14;
/// From so many on, sessions of less than a minute are worth a word.
const MIN_SHORT_SESSIONS: u64 = 3;

/// Places the columns of a screen that is `screen` columns wide. Ids take `id` columns, and the names of profiles `profile`,
/// if there are several.
fn resolve_columns(
    screen_width: u16,
    id_width: u16,
    profile_width: Option<u16>,
    with_metadata: bool,
) -> Vec<PlacedColumn<Column>> {
    // A profile's name takes its room from the screen, but never so much that the words of a status go.
    let profile_room = profile_width.map_or(0, |profile| profile.min(PROFILE_MEDIUM_WIDTH).saturating_add(1));
    let effective_width =
        screen_width.saturating_sub(profile_room).max(screen_width.min(STATUS_WORD_MIN_SCREEN));
    let columns = COLUMNS
        .into_iter()
        .filter(|(_, screens, _)| screens.contains(&effective_width))
        .filter(|(column, ..)| with_metadata || !matches!(column, Column::Owner | Column::Metadata))
        .filter(|(column, ..)| profile_width.is_some() || *column != Column::Profile)
        .map(|(column, _, least)| (column, least));
    let max_width = |column| match column {
        Column::Session => id_width,
        Column::Profile => profile_width.unwrap_or(0),
        _ => u16::MAX,
    };
    columns::solve_columns(columns, WIDTH_STEPS.map(|step| step.limit(max_width)), 1, screen_width)
}

/// Draws headings and rows.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let count = usize::from(visible_table_rows(area));
    let rows: Vec<(&SessionId, usize)> = model
        .table
        .rows()
        .visible(model.table.top(), count)
        .map(|id| (id, model.profiles.id_columns(id)))
        .collect();
    let id = rows.iter().map(|(_, columns)| *columns).max().unwrap_or(0);
    let profile = model.profiles.labels().map(|labels| u16::try_from(labels.width()).unwrap_or(u16::MAX));
    let columns =
        resolve_columns(area.width, u16::try_from(id).unwrap_or(u16::MAX), profile, !model.hide_metadata);
    let headings = area.height.saturating_sub(visible_table_rows(area));
    if headings > 0 {
        draw_headings(buffer, drawing::row(area, 0), &columns, model);
    }
    let area = drawing::below(area, headings);
    let late_profiles: Vec<ProfileId> =
        model.profiles.ids().filter(|profile| model.stale_data_age(*profile, now).is_some()).collect();
    for (down, row) in rows.into_iter().enumerate() {
        draw_row(buffer, drawing::row(area, down), &columns, model, row, now, &late_profiles);
    }
}

fn draw_headings(buffer: &mut Buffer, area: Rect, columns: &[PlacedColumn<Column>], model: &Model) {
    let theme = model.settings.theme;
    for PlacedColumn { key: column, x, width } in columns {
        let text = column.heading();
        let sorted = column.sort_key() == Some(model.table.sort().column);
        let gap = if text::width(text).saturating_add(2) <= usize::from(*width) { " " } else { "" };
        let heading = if sorted {
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

/// Whether what the column says grows downwards.
fn sort_arrow(sort: Sort) -> &'static str {
    let is_descending_by_default = sort.column == SortColumn::Proxy;
    if is_descending_by_default == sort.reversed { "▲" } else { "▼" }
}

fn draw_row(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[PlacedColumn<Column>],
    model: &Model,
    (id, id_columns): (&SessionId, usize),
    now: Moment,
    late_profiles: &[ProfileId],
) {
    #[cfg(test)]
    ROWS_BUILT.set(ROWS_BUILT.get().saturating_add(1));
    let Some((profile, record)) = model.profiles.find(id) else { return };
    let cell = CellContext {
        model,
        record,
        profile,
        id_columns,
        server_now: model.profiles.profile_time(profile, now),
    };
    let late = late_profiles.contains(&profile);
    for PlacedColumn { key: column, x, width } in columns {
        let cell_area = Rect { width: *width, ..drawing::indent(area, *x) };
        write_cell(buffer, cell_area, column.is_right_aligned(), &cells::cell_text(*column, &cell, *width));
    }
    let theme = model.settings.theme;
    if model.table.selected() == Some(id) {
        let has_focus = model.focus.pane() == Pane::Table;
        let marker_style = if has_focus { theme.info() } else { theme.dim() };
        // One look for the whole row: bold and faint together mean something else on every terminal.
        buffer.set_style(area, Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM));
        drawing::write_line(buffer, area, &Line::styled(theme.selection_glyph(), marker_style));
    } else if late || record.is_not_found() || record.failure_streak.is_some() {
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

/// Returns which session frees the next slot of a profile's project, and when, if no slot is free.
fn no_slot_text(model: &Model, profile: ProfileId) -> Option<String> {
    let over = model.slots(profile)?.excess()?;
    let (at, id) = model.table.rows().slot_usage(profile)?.next_expiry.as_ref()?;
    let prefix = header::profile_prefix(model, profile);
    let (at, id) = (model.settings.zone.time(*at), id.prefix(8));
    let release = if model.settings.release_permission.is_some() { ", x releases one" } else { "" };
    Some(match over {
        0 => format!("{prefix}no free slot: {id} frees its own at {at}{release}"),
        _ => format!("{prefix}no free slot, {over} too many: {id} ends at {at}"),
    })
}

/// The filter, and how many rows are out of view.
pub(super) fn draw_note(buffer: &mut Buffer, area: Rect, model: &Model, visible_rows: u16) {
    let theme = model.settings.theme;
    let mut parts = Vec::new();
    if !model.table.filter().is_empty() {
        let (shown, all) = (model.table.rows().len(), model.table.rows().counts().total());
        parts.push(vec![
            span("filter ", theme.dim()),
            span(text::sanitise(model.table.filter().text(), 40), theme.info()),
            span(
                format!(" {shown} of {all}{}", if area.width < 60 { "" } else { " (Esc clears)" }),
                theme.dim(),
            ),
        ]);
    }
    if let Some(query) = &model.settings.query {
        let what = text::sanitise(query.raw().trim_start_matches("user_metadata"), 40);
        parts.push(vec![span("asked for ", theme.dim()), span(what, theme.info())]);
    }
    let rows_below =
        model.table.rows().len().saturating_sub(model.table.top()).saturating_sub(usize::from(visible_rows));
    if model.table.is_alerts_only() {
        let all = if area.width < 60 { "" } else { " (f shows all)" };
        parts.push(vec![span("flagged only", theme.info()), span(all, theme.dim())]);
    }
    let no_slots = model.profiles.ids().filter_map(|profile| no_slot_text(model, profile));
    parts.extend(no_slots.map(|text| vec![span(text, theme.warning())]));
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
    if let Some(short) = short.sentence().filter(|_| short.sessions >= MIN_SHORT_SESSIONS) {
        parts.push(vec![span(short, theme.dim())]);
    }
    drawing::write_line(buffer, drawing::indent(area, LEFT_MARGIN), &drawing::join_spaced(parts));
}
