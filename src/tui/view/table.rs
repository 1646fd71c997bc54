//! The table: which columns a width has room for, and what each shows of a session. Only rows in view are built.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::cells::{self, Cell};
use super::header;
use super::ink::{self, span};
use crate::tui::viewport::table_rows;
use crate::tui::{Model, Pane, Sort, SortBy};
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

/// A column's place in the table.
#[derive(Clone, Copy, Debug)]
struct Spec {
    column: Column,
    heading: &'static str,
    /// From which width of the screen on it is there, and up to which.
    screen: (u16, u16),
    /// Its own width, at least. None for a column that comes only where the others have grown.
    least: u16,
    /// Whether it stands at the right end of its place.
    right: bool,
    sort: Option<SortBy>,
}

const fn spec(column: Column, heading: &'static str, from: u16, least: u16) -> Spec {
    Spec { column, heading, screen: (from, u16::MAX), least, right: false, sort: None }
}

/// All columns, from left to right.
const COLUMNS: [Spec; 14] = [
    Spec { screen: (0, 59), ..spec(Column::Glyph, "", 0, 1) },
    Spec { sort: Some(SortBy::Status), ..spec(Column::Status, "STATUS", 60, 11) },
    Spec { sort: Some(SortBy::Session), ..spec(Column::Session, "SESSION", 0, 8) },
    // It comes where there are several profiles, before all else for which there is room.
    Spec { sort: Some(SortBy::Profile), ..spec(Column::Profile, "PROFILE", 0, 0) },
    // Below 100 columns it comes where there is room.
    Spec { screen: (60, 99), sort: Some(SortBy::Owner), ..spec(Column::Owner, "OWNER", 60, 0) },
    Spec { sort: Some(SortBy::Owner), ..spec(Column::Owner, "OWNER", 100, 8) },
    Spec { sort: Some(SortBy::Region), ..spec(Column::Region, "REGION", 100, 14) },
    spec(Column::Keep, "KEEP", 60, 4),
    Spec { sort: Some(SortBy::Age), right: true, ..spec(Column::Age, "AGE", 60, 6) },
    Spec { sort: Some(SortBy::Left), ..spec(Column::Left, "LEFT", 0, 16) },
    spec(Column::Flag, "", 32, 1),
    Spec { sort: Some(SortBy::Proxy), right: true, ..spec(Column::Proxy, "PROXY", 63, 8) },
    spec(Column::Rate, "RATE/s", 100, 7),
    spec(Column::Metadata, "METADATA", 60, 0),
];

/// What becomes of the room that the least widths leave.
#[derive(Clone, Copy, Debug)]
enum Growth {
    /// A column that is there gets as wide as this, or as far as the room goes.
    Widen(Column, u16),
    /// Two blanks between columns instead of one.
    Air,
    /// A column comes, if it can be as wide as this.
    Add(Column, u16),
}

/// In this order.
const GROWTH: [Growth; 12] = [
    Growth::Add(Column::Profile, LEAST_PROFILE),
    Growth::Widen(Column::Profile, SOME_PROFILE),
    Growth::Widen(Column::Left, 20),
    Growth::Add(Column::Owner, 10),
    Growth::Widen(Column::Profile, MOST_PROFILE),
    Growth::Air,
    Growth::Widen(Column::Session, LONGEST_ID),
    Growth::Widen(Column::Owner, 12),
    Growth::Widen(Column::Rate, 16),
    Growth::Widen(Column::Owner, 14),
    Growth::Add(Column::Metadata, 16),
    Growth::Widen(Column::Metadata, u16::MAX),
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
/// The blank at the right end.
const RIGHT: u16 = 1;
/// The selection's mark, and a blank.
const LEAD: u16 = 2;

/// The columns of a screen of `screen` columns, each with its place and width. Ids take `id` columns, and names of
/// profiles `profile`, if there are several.
fn place(screen: u16, id: u16, profile: Option<u16>, metadata: bool) -> Vec<(Spec, u16, u16)> {
    // What a profile's name takes is as if the screen had less, but never so little that the words go.
    let own = profile.map_or(0, |profile| profile.min(SOME_PROFILE).saturating_add(1));
    let as_if = screen.saturating_sub(own).max(screen.min(WORDS_FROM));
    let mut chosen: Vec<(Spec, u16)> = COLUMNS
        .iter()
        .filter(|spec| (spec.screen.0..=spec.screen.1).contains(&as_if))
        .filter(|spec| metadata || !matches!(spec.column, Column::Owner | Column::Metadata))
        .map(|spec| (*spec, spec.least))
        .collect();
    let mut gap = 1_u16;
    let mut gaps =
        u16::try_from(chosen.iter().filter(|(_, width)| *width > 0).count()).unwrap_or(0).saturating_sub(1);
    let least = chosen.iter().fold(LEAD.saturating_add(gaps), |sum, (_, width)| sum.saturating_add(*width));
    let mut spare = screen.saturating_sub(RIGHT).saturating_sub(least);
    for growth in GROWTH {
        let used = match growth {
            Growth::Air if spare >= gaps => {
                gap = 2;
                gaps
            }
            Growth::Air => 0,
            Growth::Widen(column, most) => {
                let most = match column {
                    Column::Session => most.min(id),
                    Column::Profile => most.min(profile.unwrap_or(0)),
                    _ => most,
                };
                let there = chosen.iter_mut().find(|(spec, width)| spec.column == column && *width > 0);
                there.map_or(0, |(_, width)| {
                    let more = most.saturating_sub(*width).min(spare);
                    *width = width.saturating_add(more);
                    more
                })
            }
            Growth::Add(Column::Profile, _) if profile.is_none() => 0,
            Growth::Add(column, least) => {
                let least = if column == Column::Profile { least.min(profile.unwrap_or(0)) } else { least };
                let room = spare >= least.saturating_add(gap);
                let comes =
                    chosen.iter_mut().find(|(spec, width)| room && spec.column == column && *width == 0);
                comes.map_or(0, |(_, width)| {
                    *width = least;
                    // It comes before there is air, and gets its share.
                    gaps = gaps.saturating_add(u16::from(column == Column::Profile));
                    least.saturating_add(gap)
                })
            }
        };
        spare = spare.saturating_sub(used);
    }
    let mut next = LEAD;
    chosen
        .into_iter()
        .filter(|(_, width)| *width > 0)
        .map(|(spec, width)| {
            let x = next;
            next = x.saturating_add(width).saturating_add(gap);
            (spec, x, width)
        })
        .collect()
}

/// Draws headings and rows.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let count = usize::from(table_rows(area));
    let rows: Vec<(&SessionId, usize)> = model
        .table
        .rows()
        .window(model.table.top(), count)
        .map(|id| (id, model.fleets.id_columns(id)))
        .collect();
    let id = rows.iter().map(|(_, columns)| *columns).max().unwrap_or(0);
    let profile = model.fleets.are_several().then(|| {
        let wide = model.fleets.sources().map(|source| text::width(&source.origin.name)).max().unwrap_or(0);
        u16::try_from(wide).unwrap_or(u16::MAX)
    });
    let columns = place(area.width, u16::try_from(id).unwrap_or(u16::MAX), profile, !model.hide_metadata);
    let headings = area.height.saturating_sub(table_rows(area));
    if headings > 0 {
        draw_headings(buffer, ink::row(area, 0), &columns, model);
    }
    let area = ink::below(area, headings);
    let late: Vec<bool> = model.fleets.numbers().map(|source| model.late(source, now).is_some()).collect();
    for (down, row) in rows.into_iter().enumerate() {
        draw_row(buffer, ink::row(area, down), &columns, model, row, now, &late);
    }
}

fn draw_headings(buffer: &mut Buffer, area: Rect, columns: &[(Spec, u16, u16)], model: &Model) {
    let theme = model.settings.theme;
    for (spec, x, width) in columns {
        let sorted = spec.sort == Some(model.table.sort().by);
        let gap = if text::width(spec.heading).saturating_add(2) <= usize::from(*width) { " " } else { "" };
        let heading = if sorted {
            span(format!("{}{gap}{}", spec.heading, arrow(model.table.sort())), Style::new())
        } else {
            span(spec.heading, theme.faint())
        };
        put(buffer, Rect { width: *width, ..ink::indent(area, *x) }, spec.right, &heading.into());
    }
}

/// Whether what the column says grows downwards.
fn arrow(sort: Sort) -> &'static str {
    let falls = sort.by == SortBy::Proxy;
    if falls == sort.reversed { "▲" } else { "▼" }
}

fn draw_row(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[(Spec, u16, u16)],
    model: &Model,
    (id, id_columns): (&SessionId, usize),
    now: Moment,
    late: &[bool],
) {
    #[cfg(test)]
    BUILT.set(BUILT.get().saturating_add(1));
    let Some((source, record)) = model.fleets.find(id) else { return };
    let cell = Cell { model, record, source, id_columns, server: model.fleets.time(source, now) };
    let late = late.get(source).copied().unwrap_or(false);
    for (spec, x, width) in columns {
        let place = Rect { width: *width, ..ink::indent(area, *x) };
        put(buffer, place, spec.right, &cells::content(spec.column, &cell, *width));
    }
    let theme = model.settings.theme;
    if model.table.selected() == Some(id) {
        let keyboard = model.focus.pane() == Pane::Table;
        let mark = if keyboard { theme.coming() } else { theme.faint() };
        // One look for the whole row: bold and faint together mean something else on every terminal.
        buffer.set_style(area, Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM));
        ink::write(buffer, area, &Line::styled(theme.marker(), mark));
    } else if late || record.is_absent() || record.failing.is_some() {
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

/// Where no slot of a source's project is free: which session frees the next, and when.
fn no_slot(model: &Model, source: usize) -> Option<String> {
    let over = model.slots(source)?.over()?;
    let (at, id) = model.table.rows().living(source)?.next_end.as_ref()?;
    let of = header::of_profile(model, source);
    let (at, id) = (model.settings.zone.time(*at), id.start(8));
    let release = if model.settings.releaser.is_some() { ", x releases one" } else { "" };
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
        let (shown, all) = (model.table.rows().len(), model.table.rows().counts().all());
        parts.push(vec![
            span("filter ", theme.faint()),
            span(text::shown(model.table.filter().text(), 40), theme.coming()),
            span(
                format!(" {shown} of {all}{}", if area.width < 60 { "" } else { " (Esc clears)" }),
                theme.faint(),
            ),
        ]);
    }
    if let Some(query) = &model.settings.query {
        let what = text::shown(query.raw().trim_start_matches("user_metadata"), 40);
        parts.push(vec![span("asked for ", theme.faint()), span(what, theme.coming())]);
    }
    let under = model.table.rows().len().saturating_sub(model.table.top()).saturating_sub(usize::from(rows));
    if model.table.is_flagged_only() {
        let all = if area.width < 60 { "" } else { " (f shows all)" };
        parts.push(vec![span("flagged only", theme.coming()), span(all, theme.faint())]);
    }
    let no_slots = model.fleets.numbers().filter_map(|source| no_slot(model, source));
    parts.extend(no_slots.map(|text| vec![span(text, theme.warn())]));
    for (arrow, count) in [("↑", model.table.top()), ("↓", under)] {
        if count > 0 {
            parts.push(vec![span(format!("{arrow} {count} more"), theme.faint())]);
        }
    }
    let muted = model.table.rows().counts().muted;
    if muted > 0 {
        parts.push(vec![span(format!("{muted} muted, M shows them"), theme.faint())]);
    }
    let malformed = model.fleets.malformed();
    if malformed > 0 {
        parts.push(vec![span(format!("{malformed} in the list unreadable"), theme.warn())]);
    }
    let short = model.fleets.short();
    if let Some(short) = short.sentence().filter(|_| short.sessions >= MANY_SHORT) {
        parts.push(vec![span(short, theme.faint())]);
    }
    ink::write(buffer, ink::indent(area, LEAD), &ink::spaced(parts));
}
