//! Draws the pane of recent sessions. The newest session is at the top. If there are no sessions, a sentence says why.
//!
//! ```text
//!   ─ The newest sessions of the project ───────────────── 200 of 312, as of 21:06:48 ─
//!     STATUS       SESSION   OWNER       STARTED    RAN        HOW IT ENDED
//!   ▌ ✓ COMPLETED  6512bd43  checkout    21:04:02   10s        Released via API, browser closed, or …
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::cells::MAX_STATUS_WORD_WIDTH;
use super::column_solver::{self, PlacedColumn, WidthStep};
use super::drawing::{self, OwnedLine, span};
use super::header;
use crate::tui::{Model, ProfileId, RecentSession};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{Phase, Session};
use keepwatch_core::text;

/// The minimum width of a screen with all columns.
const ALL_COLUMNS_MIN_WIDTH: u16 = 100;
/// The minimum width of a screen with more columns than status, id, profile and end.
const SOME_COLUMNS_MIN_WIDTH: u16 = 60;
/// The maximum width of an id prefix, in columns.
const MAX_ID_WIDTH: usize = 12;
/// The maximum width of a profile's name, in columns.
const MAX_PROFILE_WIDTH: usize = 14;

/// A column of the pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecentColumn {
    Status,
    Session,
    Profile,
    Owner,
    Started,
    Ran,
    End,
}

impl RecentColumn {
    fn heading(self) -> &'static str {
        match self {
            Self::Status => "STATUS",
            Self::Session => "SESSION",
            Self::Profile => "PROFILE",
            Self::Owner => "OWNER",
            Self::Started => "STARTED",
            Self::Ran => "RAN",
            Self::End => "HOW IT ENDED",
        }
    }
}

/// Draws the pane.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let (theme, recent) = (model.settings.theme, &model.recent);
    let note = recent.time_and_total().map(|(at, total)| count_note(model, at, total)).unwrap_or_default();
    let is_multi_profile = model.profiles.is_multi_profile();
    let (title, note) = if area.width < SOME_COLUMNS_MIN_WIDTH {
        // Keep the number, and drop the time of the response.
        ("Newest sessions", note.split(',').next().unwrap_or_default().to_owned())
    } else if is_multi_profile {
        ("The newest sessions of all profiles", note)
    } else {
        ("The newest sessions of the project", note)
    };
    let note = if recent.is_pending() && recent.time_and_total().is_some() {
        "asking again…".into()
    } else {
        note
    };
    drawing::draw_rule(buffer, drawing::row(area, 0), theme.bold(), &span(title, theme.bold()), &note);
    let mut inner = drawing::below(area, 1);
    for (profile, request) in recent.requests.iter().filter(|(_, request)| !request.is_pending) {
        if let Some(error) = &request.error {
            let prefix = header::profile_prefix(model, *profile);
            let sentence = format!("{prefix}could not be listed: {}; r asks again", error.description());
            inner = write_sentence(buffer, inner, &sentence, theme.error());
        }
    }
    if recent.time_and_total().is_none() {
        if recent.is_pending() {
            let scope = if is_multi_profile { "of all profiles" } else { "of the project" };
            let sentence = format!("asking for the sessions {scope}, in any state…");
            write_sentence(buffer, inner, &sentence, theme.info());
        }
    } else if recent.sessions.is_empty() {
        let subject = if is_multi_profile { "no profile" } else { "the project" };
        let predicate = if is_multi_profile { "has a session" } else { "has no session" };
        write_sentence(
            buffer,
            inner,
            &format!("{subject} {predicate} that the API still knows"),
            theme.bold(),
        );
    } else {
        draw_rows(buffer, inner, model, now);
    }
}

/// Returns a note with the number of listed sessions, the number `total` of sessions in the responses, and the time
/// `at` of the oldest of these responses.
fn count_note(model: &Model, at: Moment, total: usize) -> String {
    let (listed, time) = (model.recent.sessions.len(), model.settings.zone.time(model.server_time(at)));
    if listed < total {
        format!("{listed} of {total}, as of {time}")
    } else {
        format!("{listed}, as of {time}")
    }
}

/// Writes a wrapped sentence and returns the area below it.
fn write_sentence(buffer: &mut Buffer, area: Rect, sentence: &str, style: Style) -> Rect {
    let lines = text::wrap(sentence, usize::from(area.width.saturating_sub(2)).max(1));
    let used = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    for (offset, line) in lines.into_iter().enumerate() {
        drawing::write_line(
            buffer,
            drawing::indent(drawing::row(area, offset), 1),
            &Line::styled(line, style),
        );
    }
    drawing::below(area, used)
}

fn draw_rows(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let theme = model.settings.theme;
    // The first row has the headings.
    let (row_count, top) = (usize::from(area.height.saturating_sub(1)), model.recent.top);
    let server_now = model.server_time(now);
    let visible = || model.recent.sessions.iter().skip(top).take(row_count);
    let ids: Vec<&str> = visible().map(|listed| listed.session.id.raw()).collect();
    // 8: as in the table, an id prefix has at least 8 characters.
    let id_width = text::unique_prefix_lengths(&ids).into_iter().max().unwrap_or(8).clamp(8, MAX_ID_WIDTH);
    let started = |session: &Session| {
        let date_and_time = start_time(model, session, server_now);
        // On a narrow screen a date leaves no room for the time of day.
        let date = date_and_time
            .split_once(' ')
            .filter(|_| area.width < ALL_COLUMNS_MIN_WIDTH)
            .map(|(date, _)| date.to_owned());
        date.unwrap_or(date_and_time)
    };
    // 8: the width of a time of day.
    let time_width = visible().map(|listed| text::width(&started(&listed.session))).max().unwrap_or(8).max(8);
    let columns = resolve_columns(area.width, id_width, profile_width(model), time_width);
    for PlacedColumn { key: column, x, width } in &columns {
        let heading = column.heading();
        if text::width(heading) <= usize::from(*width) {
            drawing::write_line(
                buffer,
                cell_area(drawing::row(area, 0), *x, *width),
                &Line::styled(heading, theme.dim()),
            );
        }
    }
    for (offset, RecentSession { profile, session, owner }) in visible().enumerate() {
        let row = drawing::row(area, offset.saturating_add(1));
        let owner = owner.as_ref().filter(|_| !model.hides_metadata);
        let has_ended = session.status.phase() == Phase::Ended;
        let dash = || Line::styled("–", theme.dim());
        for PlacedColumn { key: column, x, width } in &columns {
            let text: OwnedLine = match column {
                RecentColumn::Status => status_spans(model, session, *width > 1).into(),
                RecentColumn::Session => text::truncate(&session.id.prefix(id_width), id_width).into(),
                RecentColumn::Profile => {
                    text::truncate(model.profiles.label(*profile).unwrap_or_default(), MAX_PROFILE_WIDTH)
                        .into()
                }
                RecentColumn::Owner => owner.map_or_else(dash, |owner| owner.sanitise(14).into()),
                RecentColumn::Started => started(session).into(),
                RecentColumn::Ran => session
                    .duration()
                    .filter(|_| has_ended)
                    .map_or_else(dash, |ran| text::format_countdown(ran).into()),
                RecentColumn::End => end_or_expiry(model, *profile, session, server_now),
            };
            drawing::write_line(buffer, cell_area(row, *x, *width), &text);
        }
        if top.saturating_add(offset) == model.recent.selected {
            buffer.set_style(row, Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM));
            drawing::write_line(buffer, row, &Line::styled(theme.selection_glyph(), theme.info()));
        }
    }
}

/// Returns the width of the profile column, or 0 if there is only one profile.
fn profile_width(model: &Model) -> usize {
    // 7: the width of the heading.
    model.profiles.labels().map_or(0, |labels| labels.width().clamp(7, MAX_PROFILE_WIDTH))
}

/// Places the columns on a screen that is `screen_width` columns wide. `id_width`, `profile_width` and `time_width` are
/// the widths of the longest id prefix, profile name and start time.
fn resolve_columns(
    screen_width: u16,
    id_width: usize,
    profile_width: usize,
    time_width: usize,
) -> Vec<PlacedColumn<RecentColumn>> {
    let to_columns = |width: usize| u16::try_from(width).unwrap_or(u16::MAX);
    let has_all_columns = screen_width >= ALL_COLUMNS_MIN_WIDTH;
    let unless_narrow = |width: u16| if screen_width >= SOME_COLUMNS_MIN_WIDTH { width } else { 0 };
    let widths = [
        (RecentColumn::Status, if has_all_columns { 11 } else { 1 }),
        (RecentColumn::Session, to_columns(id_width)),
        (RecentColumn::Profile, to_columns(profile_width)),
        (RecentColumn::Owner, if has_all_columns { 14 } else { unless_narrow(12) }),
        (RecentColumn::Started, unless_narrow(to_columns(time_width))),
        (RecentColumn::Ran, unless_narrow(8)),
        (RecentColumn::End, 0),
    ];
    // The last column gets all the room that the others leave.
    let steps = [WidthStep::Add(RecentColumn::End, 1), WidthStep::Widen(RecentColumn::End, u16::MAX)];
    let gap = 2;
    column_solver::solve_columns(widths, steps, gap, screen_width)
}

fn cell_area(row: Rect, x: u16, width: u16) -> Rect {
    let area = drawing::indent(row, x);
    Rect { width: width.min(area.width), ..area }
}

fn status_spans(model: &Model, session: &Session, with_word: bool) -> Vec<Span<'static>> {
    let (glyph, style) = model.settings.theme.status(&session.status);
    let word = if with_word {
        format!(" {}", session.status.sanitise(MAX_STATUS_WORD_WIDTH))
    } else {
        String::new()
    };
    vec![span(glyph, style), span(word, style)]
}

fn start_time(model: &Model, session: &Session, server_now: Timestamp) -> String {
    let at = session.started.or(session.created);
    at.map_or_else(|| "–".into(), |at| model.settings.zone.short_date_time(at, server_now))
}

/// Returns the verdict on an ended session, or the expiry of a live session. The verdict rests on the session's fields
/// alone if the profile's tracker does not know the session. The expiry is a time, not a countdown, so that the pane
/// does not change every second.
fn end_or_expiry(model: &Model, profile: ProfileId, session: &Session, server_now: Timestamp) -> OwnedLine {
    let (theme, zone) = (model.settings.theme, model.settings.zone);
    if let Some(verdict) = model.profiles.get(profile).tracker.verdict_for_session(session) {
        return verdict.text(zone, server_now).headline.into();
    }
    let expires = session.expires.map(|at| format!("expires {}", zone.short_date_time(at, server_now)));
    Line::styled(expires.unwrap_or_else(|| "–".into()), theme.dim())
}
