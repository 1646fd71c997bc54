//! Builds the text of each cell of the session table, as a styled line.

use std::time::Duration;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::drawing::{OwnedLine, span};
use super::table::Column;
use crate::tui::{MINUTES_ONLY_THRESHOLD, Model, ProfileId, Theme};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{ApiError, ApiErrorKind, Phase, Region, Status};
use keepwatch_core::text;
use keepwatch_core::tracker::{Presence, Record, ReleaseRequest, TimeLeft};

/// The maximum time left that a countdown marks as low ("!").
const LOW_TIME_LEFT: Duration = Duration::from_secs(5 * 60);
/// The maximum time left that a countdown marks as critical ("!!").
const CRITICAL_TIME_LEFT: Duration = Duration::from_secs(60);
/// The usual end of a keep-alive session before its expiry. The API does not tell a release from a closed browser.
const RELEASED_OR_CLOSED: &str = "released or closed";
/// The width of a countdown with its mark and the blanks before it, in columns.
const COUNTDOWN_WIDTH: u16 = 10;
/// The minimum width of the bar before a countdown, in columns.
const MIN_BAR_WIDTH: u16 = 4;
/// The width of a traffic rate as a number (7) and the blank before it, in columns.
const RATE_NUMBER_WIDTH: u16 = 8;
/// The minimum and the maximum width of a sparkline, in columns. Each column shows the rate of one poll interval.
const SPARKLINE_WIDTHS: (usize, usize) = (3, 8);
/// The maximum width of the word of a status, in columns: that of "COMPLETED" and "TIMED_OUT".
pub(super) const MAX_STATUS_WORD_WIDTH: usize = 9;

/// The data from which the cells of one row are built.
pub(super) struct CellContext<'a> {
    pub(super) model: &'a Model,
    pub(super) record: &'a Record,
    /// The profile that the record belongs to.
    pub(super) profile: ProfileId,
    /// The number of id characters to show.
    pub(super) id_prefix_length: usize,
    /// The current time on the server's clock.
    pub(super) server_now: Timestamp,
}

impl CellContext<'_> {
    /// Converts a moment to the server's clock.
    fn server_time(&self, moment: Moment) -> Timestamp {
        self.model.profiles.profile_time(self.profile, moment)
    }

    /// Returns the time without traffic from which on the session counts as idle.
    fn idle_threshold(&self) -> Duration {
        self.model.profiles.get(self.profile).tracker.thresholds_of(self.record).idle
    }
}

/// Returns the text of a cell, at most `width` columns wide.
pub(super) fn cell_text(column: Column, cell: &CellContext<'_>, width: u16) -> OwnedLine {
    let theme = cell.model.settings.theme;
    let session = cell.record.session.as_ref();
    let room = usize::from(width);
    let dash = || Line::styled("–", theme.dim());
    match column {
        Column::Glyph => Line::from(status_spans(cell.record, theme).0),
        Column::Status => {
            let (glyph, word) = status_spans(cell.record, theme);
            Line::from(vec![glyph, Span::raw(" "), word])
        }
        Column::Session => text::truncate(&cell.record.id.prefix(cell.id_prefix_length), room).into(),
        Column::Profile => {
            text::truncate(cell.model.profiles.label(cell.profile).unwrap_or_default(), room).into()
        }
        Column::Owner => cell.record.owner.as_ref().map_or_else(dash, |owner| owner.sanitise(room).into()),
        Column::Region => {
            let region = session.and_then(|session| session.region.as_ref());
            region
                .map_or_else(dash, |region| Line::styled(region.sanitise(room), region_style(region, theme)))
        }
        Column::KeepAlive => match session.and_then(|session| session.keep_alive) {
            Some(true) => Line::styled("yes", theme.info()),
            Some(false) => Line::styled("no", theme.dim()),
            None => dash(),
        },
        Column::Age => cell.record.age(cell.server_now).map_or_else(dash, |age| text::format_age(age).into()),
        Column::TimeLeft => time_left_text(cell, width),
        Column::Alert
            if !cell.record.alerts.is_empty()
                && cell.model.acknowledged.has_unacknowledged(cell.profile, cell.record) =>
        {
            Line::styled(theme.alert_glyph(), theme.alert())
        }
        Column::Alert => Line::default(),
        Column::Proxy => match session.and_then(|session| session.proxy_bytes) {
            Some(0) => Line::styled(text::format_bytes(0), theme.dim()),
            Some(bytes) => text::format_bytes(bytes).into(),
            None => dash(),
        },
        Column::Rate => traffic_rate_text(cell, width),
        Column::Metadata => {
            let metadata = session.and_then(|session| session.metadata.as_ref());
            let metadata = metadata.filter(|metadata| !metadata.is_empty());
            metadata.map_or_else(dash, |metadata| Line::styled(metadata.one_line(room), theme.dim()))
        }
    }
}

fn region_style(region: &Region, theme: Theme) -> Style {
    if matches!(region, Region::Other(_)) { theme.unknown() } else { Style::new() }
}

/// Returns the glyph and the word for a session's status. Without a useful status, both say that the API does not find
/// the session, or that there is no response yet.
fn status_spans(record: &Record, theme: Theme) -> (Span<'static>, Span<'static>) {
    match record.status() {
        // The last status of a session that the API no longer finds is outdated, unless the session has ended.
        _ if record.is_not_found() && record.phase() != Phase::Ended => {
            (span("?", theme.warning()), span("NOT FOUND", theme.warning()))
        }
        Some(status) => {
            let (glyph, style) = theme.status(status);
            (span(glyph, style), span(status.sanitise(MAX_STATUS_WORD_WIDTH), style))
        }
        None => (span("·", theme.dim()), span("–", theme.dim())),
    }
}

/// Returns the time left, or how the session ended. If the session is not found, not listed or being released, or if
/// its times are unknown, returns a text about that instead.
fn time_left_text(cell: &CellContext<'_>, width: u16) -> OwnedLine {
    let (record, settings) = (cell.record, &cell.model.settings);
    let theme = settings.theme;
    match &record.presence {
        Presence::NotFound(absence) => return Line::styled(not_found_label(&absence.error), theme.warning()),
        // `confirmed`: a request by id has shown that the session has not ended.
        Presence::Unlisted { confirmed: false, .. } => {
            return Line::styled("unlisted, asking", theme.warning());
        }
        Presence::Unlisted { since, confirmed: true } => {
            let since = settings.zone.time(cell.server_time(*since));
            return Line::styled(format!("unlisted {since}"), theme.warning());
        }
        Presence::NoResponseYet | Presence::Present => {}
    }
    if let Some(release) = record.release.as_ref().filter(|_| record.phase() != Phase::Ended) {
        return release_text(cell, release);
    }
    if record.is_alive() && record.session.as_ref().is_some_and(|session| session.ended.is_some()) {
        return Line::styled("endedAt is set", theme.warning()); // contradicts the status
    }
    match record.time_left(cell.model.profiles.get(cell.profile).tracker.clock(), cell.server_now) {
        TimeLeft::Remaining(left) => countdown_text(left, record, width, theme),
        TimeLeft::Starting => Line::styled("starting", theme.dim()),
        TimeLeft::Expiring => Line::styled("expiring…", theme.error()),
        TimeLeft::Overdue(overdue) => {
            Line::styled(format!("overdue {}", text::format_countdown(overdue)), theme.error())
        }
        TimeLeft::Ended => end_text(cell, usize::from(width)),
        TimeLeft::Unknown => match (&record.session, &record.failure_streak) {
            (Some(_), _) => Line::styled("no expiry", theme.dim()),
            (None, Some(streak)) => Line::styled(streak.error.short_label(), theme.error()),
            (None, None) => Line::styled("waiting…", theme.dim()),
        },
    }
}

/// Returns the state of a release request: the time of a pending request, or that the request failed.
fn release_text(cell: &CellContext<'_>, release: &ReleaseRequest) -> OwnedLine {
    let theme = cell.model.settings.theme;
    if !cell.record.is_releasing() {
        return Line::styled("release failed", theme.error());
    }
    let requested_at = cell.model.settings.zone.time(cell.server_time(release.requested_at));
    Line::styled(format!("releasing {requested_at}"), theme.info())
}

fn not_found_label(error: &ApiError) -> &'static str {
    if error.kind == ApiErrorKind::Gone { "gone (410)" } else { "not found (404)" }
}

/// Returns the time left as a bar and a countdown, or as a countdown alone in a narrow cell.
fn countdown_text(left: Duration, record: &Record, width: u16, theme: Theme) -> OwnedLine {
    let (mark, bar_style, text_style) = match left {
        left if left <= CRITICAL_TIME_LEFT => ("!! ", theme.error(), theme.error()),
        left if left <= LOW_TIME_LEFT => ("! ", theme.warning(), theme.warning()),
        _ => ("", theme.success(), Style::new()),
    };
    // While the countdown shows whole minutes, the bar also changes only with the minute, because `Model::next_change`
    // schedules the next frame for the next change of the countdown.
    let seconds = if left < MINUTES_ONLY_THRESHOLD { left.as_secs() } else { left.as_secs() / 60 * 60 };
    let timeout = record.session.as_ref().and_then(|session| session.timeout()).unwrap_or_default();
    let (bar_left, bar_used) = match width.saturating_sub(COUNTDOWN_WIDTH) {
        bar_width @ MIN_BAR_WIDTH.. if !timeout.is_zero() => {
            theme.progress_bar(Duration::from_secs(seconds).as_secs_f64() / timeout.as_secs_f64(), bar_width)
        }
        bar_width => (" ".repeat(usize::from(bar_width)), String::new()),
    };
    let marked_countdown = format!("{mark}{}", text::format_countdown(left));
    let countdown = format!("{marked_countdown:>width$}", width = usize::from(COUNTDOWN_WIDTH));
    Line::from(vec![span(bar_left, bar_style), span(bar_used, theme.dim()), span(countdown, text_style)])
}

/// Returns how a session ended. For a completed keep-alive session: that it was released or closed, which is its usual
/// end, or the unused time if it ended early. Otherwise the time of the end.
fn end_text(cell: &CellContext<'_>, width: usize) -> OwnedLine {
    let (record, zone) = (cell.record, cell.model.settings.zone);
    let theme = cell.model.settings.theme;
    let is_keep_alive = record.session.as_ref().is_some_and(|session| session.keep_alive == Some(true));
    let unused = unused_time(record).filter(|_| is_keep_alive && record.status() == Some(&Status::Completed));
    if unused.is_some() && !record.has_incident() && width >= RELEASED_OR_CLOSED.len() {
        return Line::styled(RELEASED_OR_CLOSED, theme.dim());
    }
    if let Some(unused) = unused.filter(|_| record.has_incident()) {
        let at_least = if record.is_end_exact() { "" } else { "≥" };
        return Line::styled(format!("{at_least}{} unused", text::format_countdown(unused)), theme.warning());
    }
    let Some(at) = record.ended_at() else { return Line::styled("ended", theme.dim()) };
    let short_date_time = zone.short_date_time(at, cell.server_now);
    // A date leaves no room for the time of day; the details show both.
    let date_or_time = short_date_time.split_once(' ').map_or(short_date_time.as_str(), |(date, _)| date);
    Line::styled(format!("ended {date_or_time}"), theme.dim())
}

/// Returns the time that was left when the session ended. Returns `None` if the session has not ended, if no time was
/// left, or if the time would be longer than the timeout, because `endedAt` is before the start.
pub(super) fn unused_time(record: &Record) -> Option<Duration> {
    let timeout = record.session.as_ref().and_then(|session| session.timeout());
    let unused = record.unused().filter(|_| record.phase() == Phase::Ended);
    unused.filter(|unused| unused.as_secs() > 0 && timeout.is_none_or(|timeout| *unused <= timeout))
}

/// Returns a sparkline of the last traffic rates, and the last rate as a number. If the session is idle, returns the
/// time since the traffic stopped instead. If there has been no traffic, returns a dot.
fn traffic_rate_text(cell: &CellContext<'_>, width: u16) -> OwnedLine {
    let theme = cell.model.settings.theme;
    let traffic = &cell.record.traffic;
    let idle = cell.record.idle_for().filter(|idle| *idle >= cell.idle_threshold());
    if let Some(idle) = idle {
        let text = format!("idle {}", text::format_age(idle));
        return Line::styled(text::truncate(&text, usize::from(width)), theme.warning());
    }
    if !traffic.has_moved() {
        return Line::styled("·", theme.dim());
    }
    // A final session has only past rates, so the number is left out.
    let rate = traffic.rate().filter(|_| !cell.record.is_final());
    let number = rate.map(whole_bytes).filter(|rate| *rate > 0).map(text::format_bytes).unwrap_or_default();
    let (min_sparkline, max_sparkline) = SPARKLINE_WIDTHS;
    let room = usize::from(width.saturating_sub(RATE_NUMBER_WIDTH)).min(max_sparkline);
    let mut spans = Vec::new();
    if room >= min_sparkline {
        let rates = traffic.rates(cell.model.settings.poll_limits.interval, room);
        let max_rate = rates.iter().copied().fold(0.0_f64, f64::max);
        spans.push(Span::raw(" ".repeat(room.saturating_sub(rates.len()))));
        spans.extend(rates.iter().map(|rate| match sparkline_block(*rate, max_rate) {
            Some(block) => span(block, theme.success()),
            None => span("▁", theme.dim()),
        }));
        spans.push(Span::raw(" "));
    }
    spans.push(Span::raw(format!("{number:>7}")));
    spans.into()
}

/// Returns the sparkline block for `rate`, scaled to `max_rate`, or `None` for rates below 1 byte per second.
fn sparkline_block(rate: f64, max_rate: f64) -> Option<&'static str> {
    // The full block is left out because it would touch the row above.
    const BLOCKS: [&str; 7] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇"];
    if rate < 1.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is from 1 to 7")]
    let height = (rate / max_rate.max(1.0) * 7.0).clamp(1.0, 7.0).ceil() as usize;
    BLOCKS.get(height.saturating_sub(1)).copied()
}

#[expect(clippy::cast_possible_truncation, reason = "a rate outside i64 becomes the nearest i64")]
fn whole_bytes(rate: f64) -> i64 {
    rate as i64
}
