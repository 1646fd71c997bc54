//! The table: which columns a width has room for, and what each shows of a session. Only rows in view are built.

use std::ops::RangeInclusive;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::cells::{self, Cell};
use super::columns::{self, LEAD, Placed, WidthStep};
use super::header;
use super::ink::{self, span};
use crate::tui::viewport::visible_table_rows;
use crate::tui::{Model, Pane, ProfileId, Sort, SortColumn};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::SessionId;
use keepwatch_core::text;

#[cfg(test)]
thread_local! {
    /// How many rows this thread has built.
    pub(super) static BUILT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
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
    Keep,
    /// How long it runs, or ran.
    Age,
    /// What is left of its time, as bar and countdown; of an ended one, how it ended.
    Left,
    /// Whether it is flagged.
    Flag,
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
            Self::Glyph | Self::Flag => "",
            Self::Status => "STATUS",
            Self::Session => "SESSION",
            Self::Profile => "PROFILE",
            Self::Owner => "OWNER",
            Self::Region => "REGION",
            Self::Keep => "KEEP",
            Self::Age => "AGE",
            Self::Left => "LEFT",
            Self::Proxy => "PROXY",
            Self::Rate => "RATE/s",
            Self::Metadata => "METADATA",
        }
    }

    /// The order that the column shows, if rows can be sorted by it.
    fn sort(self) -> Option<SortColumn> {
        match self {
            Self::Status => Some(SortColumn::Status),
            Self::Session => Some(SortColumn::Session),
            Self::Profile => Some(SortColumn::Profile),
            Self::Owner => Some(SortColumn::Owner),
            Self::Region => Some(SortColumn::Region),
            Self::Age => Some(SortColumn::Age),
            Self::Left => Some(SortColumn::TimeLeft),
            Self::Proxy => Some(SortColumn::Proxy),
            Self::Glyph | Self::Keep | Self::Flag | Self::Rate | Self::Metadata => None,
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
    (Column::Keep, 60..=u16::MAX, 4),
    (Column::Age, 60..=u16::MAX, 6),
    (Column::Left, 0..=u16::MAX, 16),
    (Column::Flag, 32..=u16::MAX, 1),
    (Column::Proxy, 63..=u16::MAX, 8),
    (Column::Rate, 100..=u16::MAX, 7),
    (Column::Metadata, 60..=u16::MAX, 0),
];

/// What becomes of the room that the narrowest widths leave, in this order.
const STEPS: [WidthStep<Column>; 12] = [
    WidthStep::Add(Column::Profile, LEAST_PROFILE),
    WidthStep::Widen(Column::Profile, SOME_PROFILE),
    WidthStep::Widen(Column::Left, 20),
    WidthStep::Add(Column::Owner, 10),
    WidthStep::Widen(Column::Profile, MOST_PROFILE),
    WidthStep::Space,
    WidthStep::Widen(Column::Session, LONGEST_ID),
    WidthStep::Widen(Column::Owner, 12),
    WidthStep::Widen(Column::Rate, 16),
    WidthStep::Widen(Column::Owner, 14),
    WidthStep::Add(Column::Metadata, 16),
    WidthStep::Widen(Column::Metadata, u16::MAX),
];

/// The most columns for the start of an id; Browserbase's differ within 8.
const LONGEST_ID: u16 = 24;
/// From this width on a status has its word.
const WORDS_FROM: u16 = 60;
/// The columns of a profile's name, as far as the longest needs them: at the least, where there is little room, and at
/// the most.
const LEAST_PROFILE: u16 = 4;
const SOME_PROFILE: u16 = 7;
const MOST_PROFILE: u16 = 14;
/// From so many on, sessions of less than a minute are worth a word.
const MANY_SHORT: u64 = 3;

/// Places the columns of a screen that is `screen` columns wide. Ids take `id` columns, and the names of profiles `profile`,
/// if there are several.
fn place(screen: u16, id: u16, profile: Option<u16>, metadata: bool) -> Vec<Placed<Column>> {
    // A profile's name takes its room from the screen, but never so much that the words of a status go.
    let own = profile.map_or(0, |profile| profile.min(SOME_PROFILE).saturating_add(1));
    let as_if = screen.saturating_sub(own).max(screen.min(WORDS_FROM));
    let columns = COLUMNS
        .into_iter()
        .filter(|(_, screens, _)| screens.contains(&as_if))
        .filter(|(column, ..)| metadata || !matches!(column, Column::Owner | Column::Metadata))
        .filter(|(column, ..)| profile.is_some() || *column != Column::Profile)
        .map(|(column, _, least)| (column, least));
    let longest = |column| match column {
        Column::Session => id,
        Column::Profile => profile.unwrap_or(0),
        _ => u16::MAX,
    };
    columns::solve(columns, STEPS.map(|step| step.limit(longest)), 1, screen)
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
    let columns = place(area.width, u16::try_from(id).unwrap_or(u16::MAX), profile, !model.hide_metadata);
    let headings = area.height.saturating_sub(visible_table_rows(area));
    if headings > 0 {
        draw_headings(buffer, ink::row(area, 0), &columns, model);
    }
    let area = ink::below(area, headings);
    let late: Vec<ProfileId> =
        model.profiles.ids().filter(|profile| model.stale_data_age(*profile, now).is_some()).collect();
    for (down, row) in rows.into_iter().enumerate() {
        draw_row(buffer, ink::row(area, down), &columns, model, row, now, &late);
    }
}

fn draw_headings(buffer: &mut Buffer, area: Rect, columns: &[Placed<Column>], model: &Model) {
    let theme = model.settings.theme;
    for Placed { key: column, x, width } in columns {
        let text = column.heading();
        let sorted = column.sort() == Some(model.table.sort().column);
        let gap = if text::width(text).saturating_add(2) <= usize::from(*width) { " " } else { "" };
        let heading = if sorted {
            span(format!("{text}{gap}{}", arrow(model.table.sort())), Style::new())
        } else {
            span(text, theme.dim())
        };
        put(
            buffer,
            Rect { width: *width, ..ink::indent(area, *x) },
            column.is_right_aligned(),
            &heading.into(),
        );
    }
}

/// Whether what the column says grows downwards.
fn arrow(sort: Sort) -> &'static str {
    let falls = sort.column == SortColumn::Proxy;
    if falls == sort.reversed { "▲" } else { "▼" }
}

fn draw_row(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Placed<Column>],
    model: &Model,
    (id, id_columns): (&SessionId, usize),
    now: Moment,
    late: &[ProfileId],
) {
    #[cfg(test)]
    BUILT.set(BUILT.get().saturating_add(1));
    let Some((profile, record)) = model.profiles.find(id) else { return };
    let cell = Cell { model, record, profile, id_columns, server: model.profiles.profile_time(profile, now) };
    let late = late.contains(&profile);
    for Placed { key: column, x, width } in columns {
        let place = Rect { width: *width, ..ink::indent(area, *x) };
        put(buffer, place, column.is_right_aligned(), &cells::content(*column, &cell, *width));
    }
    let theme = model.settings.theme;
    if model.table.selected() == Some(id) {
        let keyboard = model.focus.pane() == Pane::Table;
        let mark = if keyboard { theme.info() } else { theme.dim() };
        // One look for the whole row: bold and faint together mean something else on every terminal.
        buffer.set_style(area, Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM));
        ink::write(buffer, area, &Line::styled(theme.selection_glyph(), mark));
    } else if late || record.is_not_found() || record.failure_streak.is_some() {
        // promise: dimmed-rows
        buffer.set_style(area, Style::new().add_modifier(Modifier::DIM).remove_modifier(Modifier::BOLD));
    }
}

fn put(buffer: &mut Buffer, place: Rect, right: bool, line: &ink::Text) {
    if right {
        ink::write_right(buffer, place, line);
    } else {
        ink::write(buffer, place, line);
    }
}

/// Returns which session frees the next slot of a profile's project, and when, if no slot is free.
fn no_slot(model: &Model, profile: ProfileId) -> Option<String> {
    let over = model.slots(profile)?.excess()?;
    let (at, id) = model.table.rows().slot_usage(profile)?.next_expiry.as_ref()?;
    let of = header::of_profile(model, profile);
    let (at, id) = (model.settings.zone.time(*at), id.prefix(8));
    let release = if model.settings.release_permission.is_some() { ", x releases one" } else { "" };
    Some(match over {
        0 => format!("{of}no free slot: {id} frees its own at {at}{release}"),
        _ => format!("{of}no free slot, {over} too many: {id} ends at {at}"),
    })
}

/// The filter, and how many rows are out of view.
pub(super) fn draw_note(buffer: &mut Buffer, area: Rect, model: &Model, rows: u16) {
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
    let under = model.table.rows().len().saturating_sub(model.table.top()).saturating_sub(usize::from(rows));
    if model.table.is_alerts_only() {
        let all = if area.width < 60 { "" } else { " (f shows all)" };
        parts.push(vec![span("flagged only", theme.info()), span(all, theme.dim())]);
    }
    let no_slots = model.profiles.ids().filter_map(|profile| no_slot(model, profile));
    parts.extend(no_slots.map(|text| vec![span(text, theme.warning())]));
    for (arrow, count) in [("↑", model.table.top()), ("↓", under)] {
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
    if let Some(short) = short.sentence().filter(|_| short.sessions >= MANY_SHORT) {
        parts.push(vec![span(short, theme.dim())]);
    }
    ink::write(buffer, ink::indent(area, LEAD), &ink::spaced(parts));
}
