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

use super::drawing::{self, OwnedLine, span};
use crate::tui::{COUNT_LIMIT, DetailsSection, EventRef, EventScope, Model, Pane, ProfileId};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::SessionId;
use keepwatch_core::text;
use keepwatch_core::tracker::{Alert, Event, EventKind};

/// What a time of day takes, and the blanks after it.
const TIME_WIDTH: usize = 10;
/// What an id takes, and the blanks after it.
const ID_WIDTH: usize = 10;
/// Below this width an id has no column of its own: it begins the sentence.
const ID_COLUMN_MIN_WIDTH: usize = 50;
/// From this width on there is a column for the profile, where there are several.
const PROFILE_COLUMN_MIN_WIDTH: usize = 90;
/// The most columns of a profile's name.
const MAX_PROFILE_WIDTH: usize = 14;

/// Draws what happened to the selected session, below its rule.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some(id) = model.table.selected() else { return };
    let has_focus = matches!(
        model.focus.pane(),
        Pane::LowerDetails(DetailsSection::Timeline) | Pane::FullDetails(DetailsSection::Timeline)
    );
    draw_pane(buffer, area, model, now, EventScope::Session(id), "What happened", has_focus);
}

/// Draws what happened to all, below its rule.
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
    let anchor = model.scroll.anchor().filter(|_| has_focus);
    let (height, width) = (usize::from(inner.height), usize::from(inner.width));
    let id_placement = match scope {
        EventScope::Session(_) => IdPlacement::None,
        EventScope::All if width < ID_COLUMN_MIN_WIDTH => IdPlacement::Inline,
        EventScope::All => IdPlacement::Column,
    };
    let writer = EventLineBuilder {
        model,
        width,
        id_placement,
        profile_width: profile_column_width(model, scope, width),
        time_width: TIME_WIDTH,
        now,
    };
    let lines = writer.newest_lines(scope.newest_events_from(&model.profiles, anchor), height);
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
    for (down, line) in lines.iter().enumerate() {
        drawing::write_line(buffer, drawing::indent(drawing::row(inner, down), 1), line);
    }
    if let (EventScope::All, Some((profile, event))) = (scope, model.selected_event()) {
        let last = lines.len().saturating_sub(writer.event_lines(profile, event).len());
        for down in last..lines.len() {
            drawing::write_line(
                buffer,
                drawing::row(inner, down),
                &Line::styled(theme.selection_glyph(), theme.info()),
            );
        }
    }
}

/// Returns the columns of a profile's name, and of the blanks after it: none for a single profile, for the events of one
/// session, or on a narrow page.
fn profile_column_width(model: &Model, scope: EventScope<'_>, width: usize) -> usize {
    let has_room = matches!(scope, EventScope::All) && width >= PROFILE_COLUMN_MIN_WIDTH;
    let labels = model.profiles.labels().filter(|_| has_room);
    labels.map_or(0, |labels| labels.width().min(MAX_PROFILE_WIDTH).saturating_add(2))
}

/// What the reader does not see of it: what came since, and that there is more below.
fn unseen_note(model: &Model, scope: EventScope<'_>, anchor: Option<EventRef>) -> String {
    let count_text =
        |count: usize| if count > COUNT_LIMIT { format!("over {COUNT_LIMIT}") } else { count.to_string() };
    let new = if model.table.has_interacted() {
        scope.count_since(&model.profiles, &model.read_cursors)
    } else {
        0
    };
    let below = anchor.map_or(0, |anchor| scope.count_newer(&model.profiles, anchor));
    match (new, below) {
        (0, 0) => String::new(),
        (0, under) => format!("↓ {} more", count_text(under)),
        (new, 0) => format!("{} new since your last key", count_text(new)),
        (new, under) => format!("↓ {} more, {} new since your last key", count_text(under), count_text(new)),
    }
}

/// The last `most` lines about a session, for where they stand among other lines.
pub(super) fn newest_event_lines(
    model: &Model,
    id: &SessionId,
    width: usize,
    max_lines: usize,
    now: Moment,
) -> Vec<OwnedLine> {
    let time_width = super::field_list::LABEL_WIDTH.saturating_sub(1);
    let writer =
        EventLineBuilder { model, width, id_placement: IdPlacement::None, profile_width: 0, time_width, now };
    writer.newest_lines(EventScope::Session(id).newest_events(&model.profiles), max_lines)
}

/// Where the session of an event is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IdPlacement {
    /// Nowhere: it is known anyway.
    None,
    /// In a column.
    Column,
    /// Before the sentence.
    Inline,
}

/// Writes events as lines.
struct EventLineBuilder<'a> {
    model: &'a Model,
    width: usize,
    id_placement: IdPlacement,
    /// The columns of the profile's name, and the blanks after it.
    profile_width: usize,
    /// The columns of the time.
    time_width: usize,
    now: Moment,
}

impl EventLineBuilder<'_> {
    /// The last `most` lines of `events`, which come the newest first; in order.
    fn newest_lines<'e>(
        &self,
        events: impl Iterator<Item = (EventRef, &'e Event)>,
        max_lines: usize,
    ) -> Vec<OwnedLine> {
        let zone = self.model.settings.zone;
        let today = zone.date(self.model.server_time(self.now));
        let mut lines: Vec<OwnedLine> = Vec::new(); // the newest first
        let mut day: Option<String> = None;
        let mut pending_last_alive: Option<(ProfileId, &Event, Timestamp, String)> = None;
        for (EventRef { profile, .. }, event) in events {
            if let Some((profile, end, at, said)) =
                pending_last_alive.take_if(|(_, _, at, _)| event.learned_at <= *at)
            {
                lines.extend(self.last_alive_lines(profile, end, at, &said));
            }
            let event_day = zone.date(event.learned_at);
            if let Some(later) = day.replace(event_day.clone()).filter(|later| *later != event_day) {
                lines.push(self.day_separator(&later));
            }
            if lines.len() >= max_lines {
                lines.truncate(max_lines);
                lines.reverse();
                return lines;
            }
            lines.extend(self.event_lines(profile, event).into_iter().rev());
            if let EventKind::Ended { last_alive: Some((at, was)), .. } = &event.kind
                && self.id_placement == IdPlacement::None
            {
                pending_last_alive =
                    Some((profile, event, *at, format!("last reply that said {}", was.sanitise(24))));
            }
        }
        if let Some((profile, end, at, said)) = pending_last_alive {
            lines.extend(self.last_alive_lines(profile, end, at, &said));
        }
        if let Some(first) = day.filter(|day| *day != today) {
            lines.push(self.day_separator(&first));
        }
        lines.truncate(max_lines);
        lines.reverse();
        lines
    }

    /// The last reply that said otherwise, in its place before an end: only where one session's events are looked at.
    fn last_alive_lines(
        &self,
        profile: ProfileId,
        end: &Event,
        at: Timestamp,
        sentence: &str,
    ) -> Vec<OwnedLine> {
        let faint = self.model.settings.theme.dim();
        self.sentence_lines(profile, end, at, sentence, faint, faint).into_iter().rev().collect()
    }

    fn day_separator(&self, day: &str) -> OwnedLine {
        Line::styled(format!("─ {day} ─"), self.model.settings.theme.dim())
    }

    /// An event's lines.
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

    /// The looks of the first word, and of the rest.
    fn event_styles(&self, kind: &EventKind) -> (Style, Style) {
        let theme = self.model.settings.theme;
        let uniform = |style| (style, style);
        match kind {
            EventKind::Ended { status, .. } => {
                let style = theme.status(status).1.remove_modifier(Modifier::DIM);
                (style.add_modifier(Modifier::BOLD), theme.dim())
            }
            EventKind::AlertRaised(Alert::Error | Alert::Overdue) => uniform(theme.error()),
            EventKind::Overdue { .. } | EventKind::Contradicted { .. } => uniform(theme.error()),
            EventKind::AlertRaised(_)
            | EventKind::EndedTogether { .. }
            | EventKind::NotFound(_)
            | EventKind::PollsFailing { .. }
            | EventKind::Slept(_)
            | EventKind::ClockSet { .. }
            | EventKind::ServerClockSet { .. }
            | EventKind::Unlisted => uniform(theme.warning()),
            EventKind::PollsRecovered { .. } | EventKind::FoundAgain(_) => uniform(theme.success()),
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

    /// A sentence behind its time, and behind its session where that is not known anyway.
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
        // What concerns all of a profile is named after it, where there is no column for that.
        let profile_as_id = if self.profile_width == 0 && self.id_placement != IdPlacement::None {
            text::truncate(label, 8)
        } else {
            String::new()
        };
        let id = event.id.as_ref().map_or(profile_as_id, |id| id.prefix(8));
        let has_id_column = self.id_placement == IdPlacement::Column;
        let indent = if has_id_column { self.time_width.saturating_add(ID_WIDTH) } else { self.time_width }
            .saturating_add(self.profile_width);
        let is_id_inline = self.id_placement == IdPlacement::Inline && !id.is_empty();
        // The id takes the place of the first word.
        let (sentence, first, rest) = if is_id_inline {
            (format!("{id} {sentence}"), Style::new(), first_style)
        } else {
            (sentence.to_owned(), first_style, rest_style)
        };
        let room = self.width.saturating_sub(indent).saturating_sub(2).max(8);
        let time = super::field_list::pad_right(&self.model.settings.zone.time(at), self.time_width);
        let mut lines = Vec::new();
        for (nth, part) in text::wrap(&sentence, room).into_iter().enumerate() {
            let mut spans = if nth == 0 {
                let id =
                    if has_id_column { super::field_list::pad_right(&id, ID_WIDTH) } else { String::new() };
                let label = text::truncate(label, self.profile_width.saturating_sub(2));
                let label = super::field_list::pad_right(&label, self.profile_width);
                vec![span(time.clone(), theme.dim()), span(id, Style::new()), span(label, theme.dim())]
            } else {
                vec![span(" ".repeat(indent), Style::new())]
            };
            match part.split_once(' ').filter(|_| nth == 0) {
                Some((word, others)) => {
                    spans.push(span(word.to_owned(), first));
                    spans.push(span(format!(" {others}"), rest));
                }
                None => spans.push(span(part, if nth == 0 && !is_id_inline { first } else { rest })),
            }
            lines.push(spans.into());
        }
        lines
    }
}
