//! What happened, line by line, the newest in view at the bottom: to the selected session, or to all.
//!
//! ```text
//!   ─ What happened ──────────────────── 1 new since your last key ─
//!   ─ 2026-11-22 ─                                                      where the day changes
//!   21:04:02  first seen RUNNING, 14m 58s left
//!   21:04:09  last reply that said otherwise                            before an end
//!   21:04:12  COMPLETED (endedAt 21:04:11.6)
//!   21:04:12  ⚑ keep-alive session ended early
//! ```
//!
//! Lines are built from the newest event in view backwards, until the pane is full: a long past costs nothing.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::ink::{self, Text, span};
use crate::tui::{COUNT_LIMIT, DetailsSection, EventRef, EventScope, Model, Pane, ProfileId};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::SessionId;
use keepwatch_core::text;
use keepwatch_core::tracker::{Alert, Event, EventKind};

/// What a time of day takes, and the blanks after it.
const TIME: usize = 10;
/// What an id takes, and the blanks after it.
const ID: usize = 10;
/// Below this width an id has no column of its own: it begins the sentence.
const WITH_IDS: usize = 50;
/// From this width on there is a column for the profile, where there are several.
const WITH_PROFILES: usize = 90;
/// The most columns of a profile's name.
const LONGEST_PROFILE: usize = 14;

/// Draws what happened to the selected session, below its rule.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some(id) = model.table.selected() else { return };
    let keyboard = matches!(
        model.focus.pane(),
        Pane::LowerDetails(DetailsSection::Timeline) | Pane::FullDetails(DetailsSection::Timeline)
    );
    draw_pane(buffer, area, model, now, EventScope::Session(id), "What happened", keyboard);
}

/// Draws what happened to all, below its rule.
pub(super) fn draw_all(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    draw_pane(buffer, area, model, now, EventScope::All, "Events of all sessions", true);
}

fn draw_pane(
    buffer: &mut Buffer,
    area: Rect,
    model: &Model,
    now: Moment,
    scope: EventScope<'_>,
    title: &str,
    keyboard: bool,
) {
    let theme = model.settings.theme;
    let (rule, look) = if keyboard { (theme.bold(), theme.bold()) } else { (theme.dim(), Style::new()) };
    let inner = ink::below(area, 1);
    let anchor = model.scroll.anchor().filter(|_| keyboard);
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    let ids = match scope {
        EventScope::Session(_) => Ids::None,
        EventScope::All if width < WITH_IDS => Ids::Inline,
        EventScope::All => Ids::Column,
    };
    let writer = Writer { model, width, ids, profiles: label_columns(model, scope, width), time: TIME, now };
    let lines = writer.last(scope.newest_events_from(&model.profiles, anchor), height);
    ink::rule(buffer, ink::row(area, 0), rule, &span(title, look), &note(model, scope, anchor));
    if lines.is_empty() {
        ink::write(buffer, ink::indent(inner, 1), &Line::styled("nothing yet", theme.dim()));
    }
    for (down, line) in lines.iter().enumerate() {
        ink::write(buffer, ink::indent(ink::row(inner, down), 1), line);
    }
    if let (EventScope::All, Some((profile, event))) = (scope, model.selected_event()) {
        let last = lines.len().saturating_sub(writer.lines(profile, event).len());
        for down in last..lines.len() {
            ink::write(buffer, ink::row(inner, down), &Line::styled(theme.selection_glyph(), theme.info()));
        }
    }
}

/// Returns the columns of a profile's name, and of the blanks after it: none for a single profile, for the events of one
/// session, or on a narrow page.
fn label_columns(model: &Model, scope: EventScope<'_>, width: usize) -> usize {
    let has_room = matches!(scope, EventScope::All) && width >= WITH_PROFILES;
    let labels = model.profiles.labels().filter(|_| has_room);
    labels.map_or(0, |labels| labels.width().min(LONGEST_PROFILE).saturating_add(2))
}

/// What the reader does not see of it: what came since, and that there is more below.
fn note(model: &Model, scope: EventScope<'_>, anchor: Option<EventRef>) -> String {
    let counted =
        |count: usize| if count > COUNT_LIMIT { format!("over {COUNT_LIMIT}") } else { count.to_string() };
    let new = if model.table.has_interacted() {
        scope.count_since(&model.profiles, &model.read_cursors)
    } else {
        0
    };
    let under = anchor.map_or(0, |anchor| scope.count_newer(&model.profiles, anchor));
    match (new, under) {
        (0, 0) => String::new(),
        (0, under) => format!("↓ {} more", counted(under)),
        (new, 0) => format!("{} new since your last key", counted(new)),
        (new, under) => format!("↓ {} more, {} new since your last key", counted(under), counted(new)),
    }
}

/// The last `most` lines about a session, for where they stand among other lines.
pub(super) fn last_lines(model: &Model, id: &SessionId, width: usize, most: usize, now: Moment) -> Vec<Text> {
    let time = super::page::LABEL.saturating_sub(1);
    let writer = Writer { model, width, ids: Ids::None, profiles: 0, time, now };
    writer.last(EventScope::Session(id).newest_events(&model.profiles), most)
}

/// Where the session of an event is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// Nowhere: it is known anyway.
    None,
    /// In a column.
    Column,
    /// Before the sentence.
    Inline,
}

/// Writes events as lines.
struct Writer<'a> {
    model: &'a Model,
    width: usize,
    ids: Ids,
    /// The columns of the profile's name, and the blanks after it.
    profiles: usize,
    /// The columns of the time.
    time: usize,
    now: Moment,
}

impl Writer<'_> {
    /// The last `most` lines of `events`, which come the newest first; in order.
    fn last<'e>(&self, events: impl Iterator<Item = (EventRef, &'e Event)>, most: usize) -> Vec<Text> {
        let zone = self.model.settings.zone;
        let today = zone.date(self.model.server_time(self.now));
        let mut lines: Vec<Text> = Vec::new(); // the newest first
        let mut day: Option<String> = None;
        let mut alive: Option<(ProfileId, &Event, Timestamp, String)> = None;
        for (EventRef { profile, .. }, event) in events {
            if let Some((profile, end, at, said)) = alive.take_if(|(_, _, at, _)| event.learned_at <= *at) {
                lines.extend(self.last_alive(profile, end, at, &said));
            }
            let own = zone.date(event.learned_at);
            if let Some(later) = day.replace(own.clone()).filter(|later| *later != own) {
                lines.push(self.separator(&later));
            }
            if lines.len() >= most {
                lines.truncate(most);
                lines.reverse();
                return lines;
            }
            lines.extend(self.lines(profile, event).into_iter().rev());
            if let EventKind::Ended { last_alive: Some((at, was)), .. } = &event.kind
                && self.ids == Ids::None
            {
                alive = Some((profile, event, *at, format!("last reply that said {}", was.sanitise(24))));
            }
        }
        if let Some((profile, end, at, said)) = alive {
            lines.extend(self.last_alive(profile, end, at, &said));
        }
        if let Some(first) = day.filter(|day| *day != today) {
            lines.push(self.separator(&first));
        }
        lines.truncate(most);
        lines.reverse();
        lines
    }

    /// The last reply that said otherwise, in its place before an end: only where one session's events are looked at.
    fn last_alive(&self, profile: ProfileId, end: &Event, at: Timestamp, said: &str) -> Vec<Text> {
        let faint = self.model.settings.theme.dim();
        self.line(profile, end, at, said, faint, faint).into_iter().rev().collect()
    }

    fn separator(&self, day: &str) -> Text {
        Line::styled(format!("─ {day} ─"), self.model.settings.theme.dim())
    }

    /// An event's lines.
    fn lines(&self, profile: ProfileId, event: &Event) -> Vec<Text> {
        let theme = self.model.settings.theme;
        let zone = self.model.settings.zone;
        let mut sentence = event.sentence(zone, self.model.server_time(self.now));
        if let EventKind::AlertRaised(_) = event.kind {
            sentence = format!("{} {sentence}", theme.alert_glyph());
        }
        let (first, rest) = self.look(&event.kind);
        self.line(profile, event, event.learned_at, &sentence, first, rest)
    }

    /// The looks of the first word, and of the rest.
    fn look(&self, kind: &EventKind) -> (Style, Style) {
        let theme = self.model.settings.theme;
        let all = |style| (style, style);
        match kind {
            EventKind::Ended { status, .. } => {
                let style = theme.status(status).1.remove_modifier(Modifier::DIM);
                (style.add_modifier(Modifier::BOLD), theme.dim())
            }
            EventKind::AlertRaised(Alert::Error | Alert::Overdue) => all(theme.error()),
            EventKind::Overdue { .. } | EventKind::Contradicted { .. } => all(theme.error()),
            EventKind::AlertRaised(_)
            | EventKind::EndedTogether { .. }
            | EventKind::NotFound(_)
            | EventKind::PollsFailing { .. }
            | EventKind::Slept(_)
            | EventKind::ClockSet { .. }
            | EventKind::ServerClockSet { .. }
            | EventKind::Unlisted => all(theme.warning()),
            EventKind::PollsRecovered { .. } | EventKind::FoundAgain(_) => all(theme.success()),
            EventKind::ReleaseFailed { .. } => all(theme.error()),
            EventKind::ReleaseRequested | EventKind::Successor(_) => all(theme.info()),
            EventKind::FirstSeen { .. }
            | EventKind::StatusChanged { .. }
            | EventKind::ExpiryMoved { .. }
            | EventKind::KeepAliveChanged(_)
            | EventKind::RegionChanged { .. }
            | EventKind::ContextChanged(_)
            | EventKind::MetadataChanged
            | EventKind::TrafficStarted
            | EventKind::TrafficStopped { .. } => all(Style::new()),
        }
    }

    /// A sentence behind its time, and behind its session where that is not known anyway.
    fn line(
        &self,
        profile: ProfileId,
        event: &Event,
        at: Timestamp,
        sentence: &str,
        first: Style,
        rest: Style,
    ) -> Vec<Text> {
        let theme = self.model.settings.theme;
        let label = self.model.profiles.label(profile).unwrap_or_default();
        // What concerns all of a profile is named after it, where there is no column for that.
        let of_all = if self.profiles == 0 && self.ids != Ids::None {
            text::truncate(label, 8)
        } else {
            String::new()
        };
        let id = event.id.as_ref().map_or(of_all, |id| id.prefix(8));
        let column = self.ids == Ids::Column;
        let before =
            if column { self.time.saturating_add(ID) } else { self.time }.saturating_add(self.profiles);
        let inline = self.ids == Ids::Inline && !id.is_empty();
        // The id takes the place of the first word.
        let (sentence, first, rest) = if inline {
            (format!("{id} {sentence}"), Style::new(), first)
        } else {
            (sentence.to_owned(), first, rest)
        };
        let room = self.width.saturating_sub(before).saturating_sub(2).max(8);
        let time = super::page::pad(&self.model.settings.zone.time(at), self.time);
        let mut lines = Vec::new();
        for (nth, part) in text::wrap(&sentence, room).into_iter().enumerate() {
            let mut spans = if nth == 0 {
                let id = if column { super::page::pad(&id, ID) } else { String::new() };
                let label = text::truncate(label, self.profiles.saturating_sub(2));
                let label = super::page::pad(&label, self.profiles);
                vec![span(time.clone(), theme.dim()), span(id, Style::new()), span(label, theme.dim())]
            } else {
                vec![span(" ".repeat(before), Style::new())]
            };
            match part.split_once(' ').filter(|_| nth == 0) {
                Some((word, others)) => {
                    spans.push(span(word.to_owned(), first));
                    spans.push(span(format!(" {others}"), rest));
                }
                None => spans.push(span(part, if nth == 0 && !inline { first } else { rest })),
            }
            lines.push(spans.into());
        }
        lines
    }
}
