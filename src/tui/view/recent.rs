//! The newest sessions of the project, the newest first, or why there are none to show.
//!
//! ```text
//!   ─ The newest 200 sessions of the project ──────────────── of 312, asked at 21:06:48 ─
//!     STATUS       SESSION   OWNER       STARTED    RAN        HOW IT ENDED
//!   ▌ ✓ COMPLETED  6512bd43  checkout    21:04:02   10s        released, closed, or a platform fault
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::columns::{self, Placed, WidthStep};
use super::header;
use super::ink::{self, Text, span};
use crate::tui::{Model, ProfileId, RecentSession};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{Phase, Session};
use keepwatch_core::text;

/// From this width on there is each column.
const WHOLE: u16 = 100;
/// Below this there are only the glyph, the id, and how it ended.
const SOME: u16 = 60;
/// The most columns for the start of an id.
const LONGEST_ID: usize = 12;
/// The most columns for the name of a profile.
const LONGEST_PROFILE: usize = 14;

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Status,
    Session,
    Profile,
    Owner,
    Started,
    Ran,
    End,
}

impl Column {
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

/// Draws the page.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let (theme, recent) = (model.settings.theme, &model.recent);
    let note = recent.oldest_response().map(|(at, all)| asked(model, at, all)).unwrap_or_default();
    let several = model.profiles.is_multi_profile();
    let (title, note) = if area.width < SOME {
        ("Newest sessions", note.split(',').next().unwrap_or_default().to_owned())
    } else if several {
        ("The newest sessions of all profiles", note)
    } else {
        ("The newest sessions of the project", note)
    };
    let note = if recent.is_pending() && recent.oldest_response().is_some() {
        "asking again…".into()
    } else {
        note
    };
    ink::rule(buffer, ink::row(area, 0), theme.bold(), &span(title, theme.bold()), &note);
    let mut inner = ink::below(area, 1);
    for (profile, asked) in recent.requests.iter().filter(|(_, asked)| !asked.is_pending) {
        if let Some(fault) = &asked.error {
            let whose = header::of_profile(model, *profile);
            let sentence = format!("{whose}could not be listed: {}; r asks again", fault.description());
            inner = say(buffer, inner, &sentence, theme.error());
        }
    }
    if recent.oldest_response().is_none() {
        if recent.is_pending() {
            let whose = if several { "of all profiles" } else { "of the project" };
            let sentence = format!("asking for the sessions {whose}, in any state…");
            say(buffer, inner, &sentence, theme.info());
        }
    } else if recent.sessions.is_empty() {
        let whose = if several { "no profile" } else { "the project" };
        let has = if several { "has a session" } else { "has no session" };
        say(buffer, inner, &format!("{whose} {has} that the API still knows"), theme.bold());
    } else {
        draw_rows(buffer, inner, model, now);
    }
}

/// How many of how many, as of when.
fn asked(model: &Model, at: Moment, all: usize) -> String {
    let at = model.settings.zone.time(model.server_time(at));
    match (model.recent.sessions.len(), all) {
        (shown, all) if shown < all => format!("{shown} of {all}, as of {at}"),
        (all, _) => format!("{all}, as of {at}"),
    }
}

/// Writes a sentence; returns the room below it.
fn say(buffer: &mut Buffer, area: Rect, sentence: &str, style: Style) -> Rect {
    let lines = text::wrap(sentence, usize::from(area.width.saturating_sub(2)).max(1));
    let used = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    for (down, line) in lines.into_iter().enumerate() {
        ink::write(buffer, ink::indent(ink::row(area, down), 1), &Line::styled(line, style));
    }
    ink::below(area, used)
}

fn draw_rows(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let theme = model.settings.theme;
    let (count, top) = (usize::from(area.height.saturating_sub(1)), model.recent.top);
    let server = model.server_time(now);
    let shown = || model.recent.sessions.iter().skip(top).take(count);
    let ids: Vec<&str> = shown().map(|listed| listed.session.id.raw()).collect();
    let id = text::unique_prefix_lengths(&ids).into_iter().max().unwrap_or(8).clamp(8, LONGEST_ID);
    let started = |session: &Session| {
        let short = started(model, session, server);
        // With the date there is no room for the time.
        let date = short.split_once(' ').filter(|_| area.width < WHOLE).map(|(date, _)| date.to_owned());
        date.unwrap_or(short)
    };
    let time = shown().map(|listed| text::width(&started(&listed.session))).max().unwrap_or(8).max(8);
    let columns = place(area.width, id, profile_width(model), time);
    for Placed { key: column, x, width } in &columns {
        let heading = column.heading();
        if text::width(heading) <= usize::from(*width) {
            ink::write(buffer, cell(ink::row(area, 0), *x, *width), &Line::styled(heading, theme.dim()));
        }
    }
    for (down, RecentSession { profile, session, owner }) in shown().enumerate() {
        let row = ink::row(area, down.saturating_add(1));
        let owner = owner.as_ref().filter(|_| !model.hide_metadata);
        let ended = session.status.phase() == Phase::Ended;
        let dash = || Line::styled("–", theme.dim());
        for Placed { key: column, x, width } in &columns {
            let text: Text = match column {
                Column::Status => status(model, session, *width > 1).into(),
                Column::Session => text::truncate(&session.id.prefix(id), id).into(),
                Column::Profile => {
                    text::truncate(model.profiles.label(*profile).unwrap_or_default(), LONGEST_PROFILE).into()
                }
                Column::Owner => owner.map_or_else(dash, |owner| owner.sanitise(14).into()),
                Column::Started => started(session).into(),
                Column::Ran => session
                    .duration()
                    .filter(|_| ended)
                    .map_or_else(dash, |ran| text::format_countdown(ran).into()),
                Column::End => how(model, *profile, session, server),
            };
            ink::write(buffer, cell(row, *x, *width), &text);
        }
        if top.saturating_add(down) == model.recent.selected {
            buffer.set_style(row, Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM));
            ink::write(buffer, row, &Line::styled(theme.selection_glyph(), theme.info()));
        }
    }
}

/// Returns the columns of the profile's name: none for a single profile.
fn profile_width(model: &Model) -> usize {
    model.profiles.labels().map_or(0, |labels| labels.width().clamp(7, LONGEST_PROFILE))
}

/// Places the columns on a screen that is `screen` columns wide; ids, names of profiles and times take so many.
fn place(screen: u16, id: usize, profile: usize, time: usize) -> Vec<Placed<Column>> {
    let narrow = |width: usize| u16::try_from(width).unwrap_or(u16::MAX);
    let whole = screen >= WHOLE;
    let some = |width: u16| if screen >= SOME { width } else { 0 };
    let widths = [
        (Column::Status, if whole { 11 } else { 1 }),
        (Column::Session, narrow(id)),
        (Column::Profile, narrow(profile)),
        (Column::Owner, if whole { 14 } else { some(12) }),
        (Column::Started, some(narrow(time))),
        (Column::Ran, some(8)),
        (Column::End, 0),
    ];
    columns::solve(
        widths,
        [WidthStep::Add(Column::End, 1), WidthStep::Widen(Column::End, u16::MAX)],
        2,
        screen,
    )
}

fn cell(row: Rect, x: u16, width: u16) -> Rect {
    let rest = ink::indent(row, x);
    Rect { width: width.min(rest.width), ..rest }
}

fn status(model: &Model, session: &Session, with_word: bool) -> Vec<Span<'static>> {
    let (glyph, style) = model.settings.theme.status(&session.status);
    let word = if with_word { format!(" {}", session.status.sanitise(9)) } else { String::new() };
    vec![span(glyph, style), span(word, style)]
}

fn started(model: &Model, session: &Session, server: Timestamp) -> String {
    let at = session.started.or(session.created);
    at.map_or_else(|| "–".into(), |at| model.settings.zone.short_date_time(at, server))
}

/// What lies behind its end by its fields; of one that lives, when it expires. Nothing here ticks.
fn how(model: &Model, profile: ProfileId, session: &Session, server: Timestamp) -> Text {
    let (theme, zone) = (model.settings.theme, model.settings.zone);
    if let Some(verdict) = model.profiles.get(profile).tracker.verdict_for_session(session) {
        return verdict.text(zone, server).headline.into();
    }
    let expires = session.expires.map(|at| format!("expires {}", zone.short_date_time(at, server)));
    Line::styled(expires.unwrap_or_else(|| "–".into()), theme.dim())
}
