//! Draws the events of the selected session, or of all sessions, as lines. The newest event in view is at the bottom.
//!
//! ```text
//!   ─ What happened ──────────────────── 1 new since your last key ─
//!   ─ 2026-11-22 ─                                                      where the day changes
//!   21:04:02  first seen RUNNING, 14m 58s left
//!   21:04:09  last reply that said RUNNING                              before an end
//!   21:04:12  COMPLETED (endedAt 21:04:11.6)
//!   21:04:12  ⚑ keep-alive session ended early
//! ```
//!
//! The lines are built backwards from the newest event in view until the pane is full. So the cost of a frame does not
//! depend on the number of events.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::drawing::{self, OwnedLine, span};
use super::field_list::{LABEL_WIDTH, pad_right};
use crate::tui::{COUNT_LIMIT, DetailsSection, EventRef, EventScope, Model, Pane, ProfileId};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::SessionId;
use keepwatch_core::text;
use keepwatch_core::tracker::{Alert, Event, EventKind};

/// The width of a time of day with the blanks after it, in columns.
const TIME_WIDTH: usize = 10;
/// The width of an id with the blanks after it, in columns.
const ID_WIDTH: usize = 10;
/// The minimum width of a pane with a column for ids, in columns of the screen. In a narrower pane, the id is at the
/// start of the sentence.
const ID_COLUMN_MIN_WIDTH: usize = 50;
/// The minimum width of a pane with a column for the profile, in columns of the screen.
const PROFILE_COLUMN_MIN_WIDTH: usize = 90;
/// The maximum width of a profile's name, in columns.
const MAX_PROFILE_WIDTH: usize = 14;
/// The maximum width of a status in a sentence, in columns.
const MAX_STATUS_WIDTH: usize = 24;
/// The minimum width to which a sentence is wrapped, in columns. A narrower pane truncates the wrapped lines.
const MIN_WRAP_WIDTH: usize = 8;

/// Draws a rule and the events of the selected session.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some(id) = model.table.selected() else { return };
    let has_focus = matches!(
        model.focus.pane(),
        Pane::LowerDetails(DetailsSection::Timeline) | Pane::FullDetails(DetailsSection::Timeline)
    );
    draw_pane(buffer, area, model, now, EventScope::Session(id), "What happened", has_focus);
}

/// Draws a rule and the events of all sessions.
pub(super) fn draw_all_events(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    draw_pane(buffer, area, model, now, EventScope::All, "Events of all sessions", true);
}

fn draw_pane(
    buffer: &mut Buffer,
    area: Rect,
    model: &Model,
    now: Moment,
    scope: EventScope<'_>,
    title: &str,
    has_focus: bool,
) {
    let theme = model.settings.theme;
    let (rule_style, title_style) =
        if has_focus { (theme.bold(), theme.bold()) } else { (theme.dim(), Style::new()) };
    let inner = drawing::below(area, 1);
    // If the user has scrolled, the anchor is the event at the bottom of the pane. Keystrokes scroll only the pane with
    // the focus.
    let anchor = model.scroll.anchor().filter(|_| has_focus);
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    let id_placement = match scope {
        EventScope::Session(_) => IdPlacement::None,
        EventScope::All if width < ID_COLUMN_MIN_WIDTH => IdPlacement::Inline,
        EventScope::All => IdPlacement::Column,
    };
    let builder = EventLineBuilder {
        model,
        width,
        id_placement,
        profile_width: profile_column_width(model, scope, width),
        time_width: TIME_WIDTH,
        now,
    };
    let lines = builder.newest_lines(scope.newest_events_from(&model.profiles, anchor), height);
    drawing::draw_rule(
        buffer,
        drawing::row(area, 0),
        rule_style,
        &span(title, title_style),
        &unseen_note(model, scope, anchor),
    );
    if lines.is_empty() {
        drawing::write_line(buffer, drawing::indent(inner, 1), &Line::styled("nothing yet", theme.dim()));
    }
    for (offset, line) in lines.iter().enumerate() {
        drawing::write_line(buffer, drawing::indent(drawing::row(inner, offset), 1), line);
    }
    // The selected event is the last one in view. Mark its lines.
    if let (EventScope::All, Some((profile, event))) = (scope, model.selected_event()) {
        let first_selected_line = lines.len().saturating_sub(builder.event_lines(profile, event).len());
        for offset in first_selected_line..lines.len() {
            drawing::write_line(
                buffer,
                drawing::row(inner, offset),
                &Line::styled(theme.selection_glyph(), theme.info()),
            );
        }
    }
}

/// Returns the width of the profile column with the blanks after it. Returns 0, which means no such column, if there is
/// only one profile, if the pane shows only one session, or if the pane is narrow.
fn profile_column_width(model: &Model, scope: EventScope<'_>, width: usize) -> usize {
    let has_room = matches!(scope, EventScope::All) && width >= PROFILE_COLUMN_MIN_WIDTH;
    let labels = model.profiles.labels().filter(|_| has_room);
    labels.map_or(0, |labels| labels.width().min(MAX_PROFILE_WIDTH).saturating_add(2))
}

/// Returns a note with two numbers: of the events below the pane, and of the events that are new since the last
/// keystroke. A number that is 0 is left out.
fn unseen_note(model: &Model, scope: EventScope<'_>, anchor: Option<EventRef>) -> String {
    let count_text =
        |count: usize| if count > COUNT_LIMIT { format!("over {COUNT_LIMIT}") } else { count.to_string() };
    let unread = if model.table.has_interacted() {
        scope.count_unread(&model.profiles, &model.read_cursors)
    } else {
        0
    };
    let below = anchor.map_or(0, |anchor| scope.count_newer(&model.profiles, anchor));
    match (unread, below) {
        (0, 0) => String::new(),
        (0, below) => format!("↓ {} more", count_text(below)),
        (unread, 0) => format!("{} new since your last key", count_text(unread)),
        (unread, below) => {
            format!("↓ {} more, {} new since your last key", count_text(below), count_text(unread))
        }
    }
}

/// Returns at most `max_lines` lines with the newest events of a session, to be shown among its fields.
pub(super) fn newest_event_lines(
    model: &Model,
    id: &SessionId,
    width: usize,
    max_lines: usize,
    now: Moment,
) -> Vec<OwnedLine> {
    // The caller indents the lines by one column. With this width, the sentences align with the values of the fields.
    let time_width = LABEL_WIDTH.saturating_sub(1);
    let builder =
        EventLineBuilder { model, width, id_placement: IdPlacement::None, profile_width: 0, time_width, now };
    builder.newest_lines(EventScope::Session(id).newest_events(&model.profiles), max_lines)
}

/// The position of the session's id in the lines of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdPlacement {
    /// No id: all events are about one session.
    None,
    /// A column of its own.
    Column,
    /// The start of the sentence.
    Inline,
}

/// Formats events as lines.
struct EventLineBuilder<'a> {
    model: &'a Model,
    /// The width of the area for the lines, in columns.
    width: usize,
    id_placement: IdPlacement,
    /// The width of the profile column with the blanks after it, or 0 if there is no such column.
    profile_width: usize,
    /// The width of the time column with the blanks after it.
    time_width: usize,
    now: Moment,
}

impl EventLineBuilder<'_> {
    /// Returns the last `max_lines` lines of `events`, in chronological order. `events` starts with the newest event.
    fn newest_lines<'e>(
        &self,
        events: impl Iterator<Item = (EventRef, &'e Event)>,
        max_lines: usize,
    ) -> Vec<OwnedLine> {
        let zone = self.model.settings.zone;
        let today = zone.date(self.model.server_time(self.now));
        let mut lines: Vec<OwnedLine> = Vec::new(); // in reverse order, like `events`
        let mut newer_day: Option<String> = None; // the day of the previous event of `events`
        // The last response before an end: its profile, the event of the end, the time of the response, and a sentence
        // about the response. The sentence belongs between older events, so it waits until the loop reaches an event
        // that is not newer than the response.
        let mut pending_last_alive: Option<(ProfileId, &Event, Timestamp, String)> = None;
        for (EventRef { profile, .. }, event) in events {
            if let Some((profile, end, at, sentence)) =
                pending_last_alive.take_if(|(_, _, at, _)| event.learned_at <= *at)
            {
                lines.extend(self.last_alive_lines(profile, end, at, &sentence));
            }
            // In reading order, the separator of a day is above the first event of this day.
            let event_day = zone.date(event.learned_at);
            if let Some(day) = newer_day.replace(event_day.clone()).filter(|day| *day != event_day) {
                lines.push(self.day_separator(&day));
            }
            if lines.len() >= max_lines {
                lines.truncate(max_lines);
                lines.reverse();
                return lines;
            }
            lines.extend(self.event_lines(profile, event).into_iter().rev());
            if let EventKind::Ended { last_alive: Some((at, status)), .. } = &event.kind
                && self.id_placement == IdPlacement::None
            {
                pending_last_alive = Some((
                    profile,
                    event,
                    *at,
                    format!("last reply that said {}", status.sanitise(MAX_STATUS_WIDTH)),
                ));
            }
        }
        if let Some((profile, end, at, sentence)) = pending_last_alive {
            lines.extend(self.last_alive_lines(profile, end, at, &sentence));
        }
        // The oldest day has a separator, too, unless it is today.
        if let Some(oldest_day) = newer_day.filter(|day| *day != today) {
            lines.push(self.day_separator(&oldest_day));
        }
        lines.truncate(max_lines);
        lines.reverse();
        lines
    }

    /// Returns the lines for the last response before an end, in reverse order.
    fn last_alive_lines(
        &self,
        profile: ProfileId,
        end: &Event,
        at: Timestamp,
        sentence: &str,
    ) -> Vec<OwnedLine> {
        let dim = self.model.settings.theme.dim();
        self.sentence_lines(profile, end, at, sentence, dim, dim).into_iter().rev().collect()
    }

    fn day_separator(&self, day: &str) -> OwnedLine {
        Line::styled(format!("─ {day} ─"), self.model.settings.theme.dim())
    }

    /// Returns the lines of an event, in reading order.
    fn event_lines(&self, profile: ProfileId, event: &Event) -> Vec<OwnedLine> {
        let theme = self.model.settings.theme;
        let zone = self.model.settings.zone;
        let mut sentence = event.sentence(zone, self.model.server_time(self.now));
        if let EventKind::AlertRaised(_) = event.kind {
            sentence = format!("{} {sentence}", theme.alert_glyph());
        }
        let (first_style, rest_style) = self.event_styles(&event.kind);
        self.sentence_lines(profile, event, event.learned_at, &sentence, first_style, rest_style)
    }

    /// Returns the styles of the sentence's first word and of its other words.
    fn event_styles(&self, kind: &EventKind) -> (Style, Style) {
        let theme = self.model.settings.theme;
        let uniform = |style| (style, style);
        match kind {
            EventKind::Ended { status, .. } => {
                let style = theme.status(status).1.remove_modifier(Modifier::DIM);
                (style.add_modifier(Modifier::BOLD), theme.dim())
            }
            EventKind::AlertRaised(Alert::Error | Alert::Overdue) => uniform(theme.error()),
            EventKind::Overdue { .. }
            | EventKind::Contradicted { .. }
            | EventKind::ContradictoryResponses => uniform(theme.error()),
            EventKind::AlertRaised(_)
            | EventKind::EndedTogether { .. }
            | EventKind::NotFound(_)
            | EventKind::PollsFailing { .. }
            | EventKind::Slept(_)
            | EventKind::ClockSet { .. }
            | EventKind::ServerClockSet { .. }
            | EventKind::DateIgnored { .. }
            | EventKind::DatesContradict { .. }
            | EventKind::Unlisted => uniform(theme.warning()),
            EventKind::PollsRecovered { .. }
            | EventKind::FoundAgain(_)
            | EventKind::ResponsesAgree { .. }
            | EventKind::DatesAgree { .. } => uniform(theme.success()),
            EventKind::ReleaseFailed { .. } => uniform(theme.error()),
            EventKind::ReleaseRequested | EventKind::Successor(_) => uniform(theme.info()),
            EventKind::FirstSeen { .. }
            | EventKind::StatusChanged { .. }
            | EventKind::ExpiryMoved { .. }
            | EventKind::KeepAliveChanged(_)
            | EventKind::RegionChanged { .. }
            | EventKind::ContextChanged(_)
            | EventKind::MetadataChanged
            | EventKind::TrafficStarted
            | EventKind::TrafficStopped { .. } => uniform(Style::new()),
        }
    }

    /// Returns a sentence as wrapped lines, in reading order. The first line starts with the time `at`. The id of the
    /// event's session and the profile's name follow, if there are columns for them. `first_style` is the style of the
    /// first word of the sentence, `rest_style` the style of the other words.
    fn sentence_lines(
        &self,
        profile: ProfileId,
        event: &Event,
        at: Timestamp,
        sentence: &str,
        first_style: Style,
        rest_style: Style,
    ) -> Vec<OwnedLine> {
        let theme = self.model.settings.theme;
        let label = self.model.profiles.label(profile).unwrap_or_default();
        // Without a profile column, an event about a whole profile shows the profile's name in place of an id.
        let profile_as_id = if self.profile_width == 0 && self.id_placement != IdPlacement::None {
            text::truncate(label, 8)
        } else {
            String::new()
        };
        let id = event.id.as_ref().map_or(profile_as_id, |id| id.prefix(8));
        let has_id_column = self.id_placement == IdPlacement::Column;
        let id_width = if has_id_column { ID_WIDTH } else { 0 };
        let indent = self.time_width.saturating_add(id_width).saturating_add(self.profile_width);
        let is_id_inline = self.id_placement == IdPlacement::Inline && !id.is_empty();
        // An inline id becomes the first word of the sentence. All other words then have the style that the first word
        // had.
        let (sentence, first_style, rest_style) = if is_id_inline {
            (format!("{id} {sentence}"), Style::new(), first_style)
        } else {
            (sentence.to_owned(), first_style, rest_style)
        };
        // The 2 columns are the margins at the left and at the right of the line.
        let room = self.width.saturating_sub(indent).saturating_sub(2).max(MIN_WRAP_WIDTH);
        let time = pad_right(&self.model.settings.zone.time(at), self.time_width);
        let mut lines = Vec::new();
        for (index, part) in text::wrap(&sentence, room).into_iter().enumerate() {
            let mut spans = if index == 0 {
                let id = if has_id_column { pad_right(&id, ID_WIDTH) } else { String::new() };
                let label = text::truncate(label, self.profile_width.saturating_sub(2));
                let label = pad_right(&label, self.profile_width);
                vec![span(time.clone(), theme.dim()), span(id, Style::new()), span(label, theme.dim())]
            } else {
                vec![span(" ".repeat(indent), Style::new())]
            };
            match part.split_once(' ').filter(|_| index == 0) {
                Some((word, others)) => {
                    spans.push(span(word.to_owned(), first_style));
                    spans.push(span(format!(" {others}"), rest_style));
                }
                None if index == 0 && !is_id_inline => spans.push(span(part, first_style)),
                None => spans.push(span(part, rest_style)),
            }
            lines.push(spans.into());
        }
        lines
    }
}
