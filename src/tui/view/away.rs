//! Draws the page about the user's absence: the sessions to look at, the other ends, the owners, the projects, and what
//! the report rests on.
//!
//! ```text
//!   ─ While you were away  19:02 to 21:06, 2h 04m ─────────────────────────────── UTC+1 ─
//!      since 19:02: 14 ended, 1 error, 1 early; est. $3.80
//!
//!      2 TO LOOK AT                       KEEP-ALIVE  ENDED         RAN  WHY
//!   ▌⚑ ✓ COMPLETED  6512bd43  checkout    on          20:14:12      10s  ended early, 14m 50s left
//! ```
//!
//! The report is bounded, and it is computed before the page is drawn. The time for drawing therefore does not depend on
//! the number of sessions.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;

use super::cells::MAX_STATUS_WORD_WIDTH;
use super::drawing::{self, OwnedLine, span};
use crate::tui::{
    AbsenceKind, AwayExtent, AwayReport, AwaySession, Model, OwnerTotals, ProfileId, UnwatchedPeriod,
    UnwatchedReason,
};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::Status;
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::cost::format_estimate;

/// The minimum width of a page with all columns.
const ALL_COLUMNS_MIN_WIDTH: u16 = 100;
/// The minimum width of a page with the statuses, owners and times of end of the sessions to look at.
const SOME_COLUMNS_MIN_WIDTH: u16 = 60;
/// The minimum width of a page with the running times of owners.
const OWNER_TABLE_MIN_WIDTH: u16 = 76;
/// The minimum width of a page with the profiles of the sessions to look at, if there are several profiles.
const PROFILE_MIN_WIDTH: u16 = 80;
/// The maximum width of a profile's name, in columns.
const MAX_PROFILE_WIDTH: usize = 14;
/// The margin at the left: the selection mark, the flag and a blank.
const MARGIN: usize = 3;
/// The width of the status column: glyph, blank and word.
const STATUS_WIDTH: usize = 11;
/// The width of an id.
const ID_WIDTH: usize = 8;
/// The width of a count and its label under `AS EXPECTED`.
const END_LABEL_WIDTH: usize = 18;

/// The lines of the page.
struct PageLines {
    lines: Vec<OwnedLine>,
    /// The line of the first session to look at.
    first_session_line: usize,
}

/// Returns the extent of the page in `area`.
pub(super) fn extent(model: &Model, area: Rect, now: Moment) -> Option<AwayExtent> {
    let report = model.away.report()?;
    let height = usize::from(area.height.saturating_sub(1)); // the first row has the title
    let page = PageBuilder::new(model, report, area.width, now).page(height);
    Some(AwayExtent { lines: page.lines.len(), height, first_session_line: page.first_session_line })
}

/// Draws the page.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, now: Moment) {
    let Some(report) = model.away.report() else { return };
    let theme = model.settings.theme;
    let builder = PageBuilder::new(model, report, area.width, now);
    let body = drawing::below(area, 1);
    let page = builder.page(usize::from(body.height));
    let top = model.away.top();
    let hidden = page.lines.len().saturating_sub(top.saturating_add(usize::from(body.height)));
    let zone = model.settings.zone.name(builder.now);
    let note = match hidden {
        0 => zone,
        _ if area.width < SOME_COLUMNS_MIN_WIDTH => format!("↓ {hidden} more"),
        _ => format!("↓ {hidden} more  {zone}"),
    };
    let title = span(builder.title(), theme.bold());
    drawing::draw_rule(buffer, drawing::row(area, 0), theme.dim(), &title, &note);
    let selected_line = page.first_session_line.saturating_add(model.away.selected());
    for (offset, line) in page.lines.iter().skip(top).take(usize::from(body.height)).enumerate() {
        let row = drawing::row(body, offset);
        drawing::write_line(buffer, row, line);
        if !report.to_look_at.is_empty() && top.saturating_add(offset) == selected_line {
            buffer.set_style(row, Style::new().add_modifier(Modifier::BOLD).remove_modifier(Modifier::DIM));
            drawing::write_line(buffer, row, &Line::styled(theme.selection_glyph(), theme.info()));
        }
    }
}

/// Builds the lines of the page.
struct PageBuilder<'m> {
    model: &'m Model,
    report: &'m AwayReport,
    width: u16,
    /// The time on the screen.
    now: Timestamp,
}

impl<'m> PageBuilder<'m> {
    fn new(model: &'m Model, report: &'m AwayReport, width: u16, now: Moment) -> Self {
        Self { model, report, width, now: model.server_time(now) }
    }

    /// Returns a time in whole minutes.
    fn minutes(&self, at: Timestamp) -> String {
        self.model.settings.zone.short_minutes(at, self.now)
    }

    fn title(&self) -> String {
        let AwayReport { since, until, .. } = self.report;
        if self.width < SOME_COLUMNS_MIN_WIDTH {
            return format!("Away since {}", self.minutes(*since));
        }
        let length = text::format_age(minutes_between(*since, *until));
        format!("While you were away  {} to {}, {length}", self.minutes(*since), self.minutes(*until))
    }

    /// Returns the lines of the page, for a body of `height` rows. If there is room, two blank lines separate the
    /// sections, otherwise one.
    fn page(&self, height: usize) -> PageLines {
        let (headline, to_look_at) = (self.headline(), self.to_look_at());
        let heading_lines = usize::from(!self.report.to_look_at.is_empty());
        let sections: Vec<Vec<OwnedLine>> =
            [headline, to_look_at, self.as_expected(), self.owners(), self.projects(), self.rests_on()]
                .into_iter()
                .filter(|section| !section.is_empty())
                .collect();
        let content: usize = sections.iter().map(Vec::len).sum();
        let gaps = sections.len().saturating_sub(1);
        let top_margin = usize::from(height >= content.saturating_add(gaps).saturating_add(1));
        let has_room = height >= content.saturating_add(gaps.saturating_mul(2)).saturating_add(1);
        let gap = if has_room { 2 } else { 1 };
        let mut lines = vec![Line::default(); top_margin];
        let mut first_session_line = 0;
        for (index, section) in sections.into_iter().enumerate() {
            if index > 0 {
                // The headline belongs to the sessions below it.
                lines.extend(vec![Line::default(); if index == 1 { 1 } else { gap }]);
            }
            if index == 1 {
                first_session_line = lines.len().saturating_add(heading_lines);
            }
            lines.extend(section);
        }
        PageLines { lines, first_session_line }
    }

    /// Returns the counts of ends with their cost, and the periods in which nothing was watched.
    fn headline(&self) -> Vec<OwnedLine> {
        let (theme, report) = (self.model.settings.theme, self.report);
        let since = self.minutes(report.since);
        let mut counts = Vec::new();
        if report.ended.all > 0 {
            counts.push(format!("{} ended", report.ended.all));
        }
        if report.ended.errors > 0 {
            counts.push(counted(report.ended.errors, "error", "errors"));
        }
        if report.ended.early > 0 {
            counts.push(format!("{} early", report.ended.early));
        }
        let sentence = if counts.is_empty() {
            format!("since {since}: no session ended")
        } else {
            format!("since {since}: {}; {}", counts.join(", "), format_estimate(report.together.dollars))
        };
        let mut lines = self.wrapped(&sentence, theme.bold());
        if !report.unwatched.is_empty() {
            let periods: Vec<String> = report.unwatched.iter().map(|period| self.period(period)).collect();
            let other_count = report.unwatched_count.saturating_sub(report.unwatched.len());
            let others = if other_count > 0 { format!(", and {other_count} more") } else { String::new() };
            lines.extend(
                self.wrapped(&format!("not watched: {}{others}", periods.join(", ")), theme.warning()),
            );
        }
        lines
    }

    /// Returns a period in which nothing was watched, with its reason.
    fn period(&self, period: &UnwatchedPeriod) -> String {
        let from = self.minutes(period.from);
        let times = match period.to {
            Some(to) => format!("{from} to {}", self.minutes(to)),
            None => format!("since {from}"),
        };
        let reason = match period.reason {
            UnwatchedReason::NotRunning => "keepwatch did not run",
            UnwatchedReason::Paused => "polling was paused",
            UnwatchedReason::Slept => "this machine slept",
            UnwatchedReason::PollsFailed if period.to.is_none() => "polls fail",
            UnwatchedReason::PollsFailed => "polls failed",
        };
        let label = period.profile.and_then(|profile| self.model.profiles.label(profile));
        match label {
            Some(label) => format!("{times} ({label}: {reason})"),
            None => format!("{times} ({reason})"),
        }
    }

    /// Returns the headings and the sessions to look at.
    fn to_look_at(&self) -> Vec<OwnedLine> {
        let (theme, report) = (self.model.settings.theme, self.report);
        if report.to_look_at.is_empty() {
            return vec![Line::styled(indented("NOTHING TO LOOK AT"), theme.dim())];
        }
        let title = format!("{} TO LOOK AT", report.to_look_at_count);
        let mut columns = vec![(title, STATUS_WIDTH.saturating_add(2).saturating_add(ID_WIDTH))];
        if self.width >= SOME_COLUMNS_MIN_WIDTH {
            if let Some(width) = self.profile_width() {
                columns.push(("PROFILE".into(), width));
            }
            columns.push((String::new(), self.owner_width()));
            if self.width >= ALL_COLUMNS_MIN_WIDTH {
                columns.push(("KEEP-ALIVE".into(), 10));
            }
            columns.push(("ENDED".into(), self.end_time_width()));
            if self.width >= ALL_COLUMNS_MIN_WIDTH {
                columns.push((format!("{:>7}", "RAN"), 7));
            }
            columns.push(("WHY".into(), 3));
        }
        let headings: Vec<String> = columns.iter().map(|(text, width)| pad(text, *width)).collect();
        let mut lines = vec![Line::styled(indented(headings.join("  ").trim_end()), theme.dim())];
        lines.extend(report.to_look_at.iter().map(|session| self.session_line(session)));
        let others = report.to_look_at_count.saturating_sub(report.to_look_at.len());
        if others > 0 {
            lines
                .push(Line::styled(indented(&format!("{} {others} more", theme.alert_glyph())), theme.dim()));
        }
        lines
    }

    /// Returns the width of the profile column, or `None` if there is no room for it or only one profile.
    fn profile_width(&self) -> Option<usize> {
        let labels = self.model.profiles.labels().filter(|_| self.width >= PROFILE_MIN_WIDTH)?;
        Some(labels.width().clamp(7, MAX_PROFILE_WIDTH)) // 7: the width of the heading
    }

    fn owner_width(&self) -> usize {
        if self.width >= ALL_COLUMNS_MIN_WIDTH { 14 } else { 12 }
    }

    /// Returns the width of the column of the times of end.
    fn end_time_width(&self) -> usize {
        let ends = self.report.to_look_at.iter().filter_map(|session| session.ended);
        let width = |at| text::width(&self.end_time(at));
        ends.map(width).max().unwrap_or(0).max(8) // 8: the width of a time of day
    }

    fn end_time(&self, at: Timestamp) -> String {
        let zone = self.model.settings.zone;
        if zone.date(at) == zone.date(self.now) { zone.time(at) } else { zone.short_minutes(at, self.now) }
    }

    fn session_line(&self, session: &AwaySession) -> OwnedLine {
        let theme = self.model.settings.theme;
        let (glyph, style) =
            session.status.as_ref().map_or(("?", theme.unknown()), |status| theme.status(status));
        let error_style = theme.error();
        let word =
            session.status.as_ref().map_or_else(String::new, |status| status.sanitise(MAX_STATUS_WORD_WIDTH));
        let mut spans = vec![
            span(" ", Style::new()),
            span(theme.alert_glyph(), theme.alert()),
            span(" ", Style::new()),
            span(glyph, style.remove_modifier(Modifier::DIM)),
        ];
        let id = text::truncate(&session.id.prefix(ID_WIDTH), ID_WIDTH);
        if self.width < SOME_COLUMNS_MIN_WIDTH {
            spans.push(span(format!(" {}  ", pad(&id, ID_WIDTH)), Style::new()));
        } else {
            let status_word = pad(&word, STATUS_WIDTH.saturating_sub(2));
            spans.push(span(
                format!(" {}", text::truncate(&status_word, STATUS_WIDTH.saturating_sub(2))),
                error_style,
            ));
            spans.push(span(format!("  {}  ", pad(&id, ID_WIDTH)), Style::new()));
            if let Some(width) = self.profile_width() {
                let label = self.model.profiles.label(session.profile).unwrap_or_default();
                spans.push(span(format!("{}  ", pad(&text::truncate(label, width), width)), theme.dim()));
            }
            spans.push(span(pad(&self.owner(session.owner.as_ref()), self.owner_width()), Style::new()));
            if self.width >= ALL_COLUMNS_MIN_WIDTH {
                let (keep_alive, style) = match session.keep_alive {
                    Some(true) => ("on", Style::new()),
                    Some(false) => ("off", theme.dim()),
                    None => ("–", theme.dim()),
                };
                spans.push(span(format!("  {keep_alive:10}"), style));
            }
            let ended = session.ended.map_or_else(|| "–".into(), |at| self.end_time(at));
            spans.push(span(format!("  {}", pad(&ended, self.end_time_width())), Style::new()));
            if self.width >= ALL_COLUMNS_MIN_WIDTH {
                let ran = session.ran.map_or_else(|| "–".into(), text::format_countdown);
                spans.push(span(format!("  {ran:>7}"), Style::new()));
            }
            spans.push(span("  ", Style::new()));
        }
        spans.push(span(session.why.clone(), error_style));
        spans.into()
    }

    /// Returns the text of an owner, truncated to the owner column. A dash stands for no owner and for a hidden one.
    fn owner(&self, owner: Option<&Untrusted>) -> String {
        let owner = owner.filter(|_| !self.model.hides_metadata);
        owner.map_or_else(|| "–".into(), |owner| owner.sanitise(self.owner_width()))
    }

    /// Returns the ends that need no attention, and the live sessions.
    fn as_expected(&self) -> Vec<OwnedLine> {
        let (theme, report, ended) = (self.model.settings.theme, self.report, self.report.ended);
        let mut lines = Vec::new();
        let mut add = |(glyph, style): (&'static str, Style), count: usize, label: &str, note: String| {
            if count > 0 {
                let label = pad(&format!("{count:>3} {label}"), END_LABEL_WIDTH);
                let room = usize::from(self.width)
                    .saturating_sub(MARGIN.saturating_add(END_LABEL_WIDTH).saturating_add(3));
                lines.push(Line::from(vec![
                    span(" ".repeat(MARGIN), Style::new()),
                    span(glyph, style),
                    span(label, Style::new()),
                    span(text::truncate(&note, room), theme.dim()),
                ]));
            }
        };
        let by_clients = ended.completed.saturating_sub(ended.released_here).saturating_sub(ended.at_expiry);
        let mut completed = Vec::new();
        for (count, text) in [
            (
                by_clients,
                plural(by_clients, "released or closed by its client", "released or closed by their clients"),
            ),
            (ended.released_here, "released by you"),
            (ended.at_expiry, plural(ended.at_expiry, "at its timeout", "at their timeouts")),
        ] {
            if count > 0 {
                completed.push(format!("{count} {text}"));
            }
        }
        add(theme.status(&Status::Completed), ended.completed, "completed", completed.join(", "));
        add(
            theme.status(&Status::TimedOut),
            ended.timed_out,
            "timed out",
            plural(ended.timed_out, "reached its timeout", "reached their timeouts").into(),
        );
        add(
            (theme.error_glyph(), theme.dim()),
            ended.acknowledged,
            "acknowledged",
            "ended badly; you have acknowledged that".into(),
        );
        add(
            ("?", theme.unknown()),
            ended.not_found,
            "not found",
            "the API does not know them any more".into(),
        );
        let expiry = report.next_expiry.map(|at| format!("the next expires at {}", self.end_time(at)));
        add(
            theme.status(&Status::Running),
            report.still_running,
            plural(report.still_running, "still runs", "still run"),
            expiry.unwrap_or_default(),
        );
        add(
            theme.status(&Status::Running),
            report.new,
            plural(report.new, "is new", "are new"),
            self.new_sessions(),
        );
        if !lines.is_empty() {
            lines.insert(0, Line::styled(indented("AS EXPECTED"), theme.dim()));
        }
        lines
    }

    /// Returns the ids of new sessions, and the number of those that are pending.
    fn new_sessions(&self) -> String {
        let report = self.report;
        let ids: Vec<String> =
            report.new_ids.iter().map(|id| text::truncate(&id.prefix(ID_WIDTH), ID_WIDTH)).collect();
        let other_count = report.new.saturating_sub(ids.len());
        let others = if other_count > 0 { format!(" and {other_count} more") } else { String::new() };
        let pending =
            if report.new_pending > 0 { format!("; {} pending", report.new_pending) } else { String::new() };
        format!("{}{others}{pending}", ids.join(", "))
    }

    /// Returns the table of owners, with the totals of their ended sessions.
    fn owners(&self) -> Vec<OwnedLine> {
        let (theme, report) = (self.model.settings.theme, self.report);
        if report.ended.all == 0 || self.model.hides_metadata {
            return Vec::new();
        }
        let mut lines = vec![Line::styled(
            self.owner_text(
                "OWNER",
                "ENDED",
                "RAN",
                "EST. $",
                if self.width < SOME_COLUMNS_MIN_WIDTH { "BADLY" } else { "ENDED BADLY" },
            ),
            theme.dim(),
        )];
        for (owner, totals) in &report.owners {
            let owner = owner.as_ref().map_or_else(|| "no owner".into(), |owner| owner.sanitise(20));
            lines.push(self.owner_line(&owner, totals, Style::new()));
        }
        if report.other_owners.0 > 0 {
            let (count, totals) = &report.other_owners;
            lines.push(self.owner_line(&format!("{count} others"), totals, Style::new()));
        }
        if report.owners.len().saturating_add(report.other_owners.0) > 1 {
            lines.push(self.owner_line("together", &report.together, theme.bold()));
        }
        lines
    }

    fn owner_line(&self, owner: &str, totals: &OwnerTotals, style: Style) -> OwnedLine {
        let theme = self.model.settings.theme;
        let mut badly = Vec::new();
        if totals.errors > 0 {
            badly.push(counted(totals.errors, "error", "errors"));
        }
        if totals.early > 0 {
            badly.push(format!("{} early", totals.early));
        }
        let (badly, badly_style) = match (badly.is_empty(), totals.timed_out) {
            (false, _) => (badly.join(", "), theme.error()),
            (true, 1..) => (format!("{} timed out", totals.timed_out), theme.warning()),
            (true, 0) => ("–".into(), theme.dim()),
        };
        let cost = format_estimate(totals.dollars);
        let dollars = cost.trim_start_matches("est. ").replace('$', "");
        let ran = total_time(totals.ran);
        let text = self.owner_text(owner, &totals.sessions.to_string(), &ran, &dollars, "");
        Line::from(vec![span(text, style), span(badly, badly_style)])
    }

    /// Returns the cells of a line of the table of owners. The last cell is not padded.
    fn owner_text(&self, owner: &str, ended: &str, ran: &str, dollars: &str, badly: &str) -> String {
        if self.width < OWNER_TABLE_MIN_WIDTH {
            let owner = pad(&text::truncate(owner, 11), 11);
            return indented(&format!("{owner} {ended:>5} {dollars:>6}  {badly}"));
        }
        let owner = pad(&text::truncate(owner, 20), 24);
        indented(&format!("{owner}{ended:>7}{ran:>10}{dollars:>10}    {badly}"))
    }

    /// Returns a line for each project, with its slots that are in use now.
    fn projects(&self) -> Vec<OwnedLine> {
        let theme = self.model.settings.theme;
        let mut lines: Vec<OwnedLine> = Vec::new();
        for profile in self.model.profiles.ids() {
            if let Some(text) = self.project_text(profile) {
                let is_full = self.model.slots(profile).is_some_and(|slots| slots.is_full());
                let style = if is_full { theme.error() } else { Style::new() };
                lines.extend(self.wrapped(&text, style));
            }
        }
        if !lines.is_empty() {
            lines.insert(0, Line::styled(indented("PROJECT"), theme.dim()));
        }
        lines
    }

    fn project_text(&self, profile: ProfileId) -> Option<String> {
        let slots = self.model.slots(profile)?;
        let used = slots.used?;
        let [project] = self.model.profiles.get(profile).tracker.projects() else { return None };
        let full = if slots.is_full() { ", FULL" } else { "" };
        Some(format!("{}: {used} of {} slots in use now{full}", project.name.sanitise(24), slots.limit))
    }

    /// Returns what the report rests on.
    fn rests_on(&self) -> Vec<OwnedLine> {
        let (theme, report) = (self.model.settings.theme, self.report);
        let responses = report.absence.responses;
        let sentence = match report.absence.kind {
            AbsenceKind::NotRunning => format!(
                "keepwatch last ran until {}. What came after is known from the API's fields alone: when a session \
                 ended, not what went before. Sessions that both started and ended while it did not run are missing \
                 here; R lists them.",
                self.minutes(report.since)
            ),
            AbsenceKind::NoKeystroke => format!(
                "{} answered while you were away. A session that both started and ended between two polls is missing.",
                if responses == 1 { "1 poll was".to_owned() } else { format!("{responses} polls were") },
            ),
        };
        let mut lines = vec![Line::styled(indented("WHAT THIS RESTS ON"), theme.dim())];
        lines.extend(self.wrapped(&sentence, Style::new()));
        lines
    }

    /// Returns a sentence as wrapped and indented lines.
    fn wrapped(&self, sentence: &str, style: Style) -> Vec<OwnedLine> {
        let room = usize::from(self.width).saturating_sub(MARGIN.saturating_mul(2)).clamp(1, 110);
        text::wrap(sentence, room).into_iter().map(|line| Line::styled(indented(&line), style)).collect()
    }
}

fn indented(text: &str) -> String {
    format!("{}{text}", " ".repeat(MARGIN))
}

/// Returns `text` with blanks at the end, so that it has at least `width` columns.
fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text::width(text))))
}

/// Returns the word for `count` things.
fn plural(count: usize, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

fn counted(count: usize, one: &'static str, many: &'static str) -> String {
    format!("{count} {}", plural(count, one, many))
}

/// Formats a total in minutes, or in seconds if it is shorter than a minute.
fn total_time(duration: Duration) -> String {
    if duration < Duration::from_secs(60) {
        text::format_countdown(duration)
    } else {
        text::format_age(duration)
    }
}

/// Returns the difference between the two times, each of them floored to a whole minute, as the page shows them.
fn minutes_between(since: Timestamp, until: Timestamp) -> Duration {
    let minute = |at: Timestamp| at.timestamp().div_euclid(60);
    Duration::from_secs(minute(until).saturating_sub(minute(since)).unsigned_abs().saturating_mul(60))
}
