//! What each column shows of a session.

use std::time::Duration;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::ink::{Text, span};
use super::table::Column;
use crate::tui::{MINUTES_ONLY_FROM, Model, ProfileId, Theme};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{ApiError, ApiErrorKind, Phase, Region, Status};
use keepwatch_core::text;
use keepwatch_core::tracker::{Presence, Record, ReleaseRequest, TimeLeft};

/// From here on time left is marked as running out.
const SOON: Duration = Duration::from_secs(5 * 60);
/// From here on, as nearly gone.
const NOW: Duration = Duration::from_secs(60);
/// What a countdown takes, with its mark and the blank before it.
const COUNTDOWN: u16 = 10;
/// Slots of a sparkline.
const SLOTS: usize = 8;

/// What a cell is made from.
pub(super) struct Cell<'a> {
    pub(super) model: &'a Model,
    pub(super) record: &'a Record,
    /// The profile whose record it is.
    pub(super) profile: ProfileId,
    pub(super) id_columns: usize,
    /// The time at the server now.
    pub(super) server: Timestamp,
}

impl Cell<'_> {
    /// Returns the time at the server.
    fn time(&self, moment: Moment) -> Timestamp {
        self.model.profiles.profile_time(self.profile, moment)
    }
}

/// What `column` shows, at most `width` wide.
pub(super) fn content(column: Column, cell: &Cell<'_>, width: u16) -> Text {
    let theme = cell.model.settings.theme;
    let session = cell.record.session.as_ref();
    let room = usize::from(width);
    let nothing = || Line::styled("–", theme.dim());
    match column {
        Column::Glyph => Line::from(status(cell.record, theme).0),
        Column::Status => {
            let (glyph, word) = status(cell.record, theme);
            Line::from(vec![glyph, Span::raw(" "), word])
        }
        Column::Session => text::truncate(&cell.record.id.prefix(cell.id_columns), room).into(),
        Column::Profile => {
            text::truncate(cell.model.profiles.label(cell.profile).unwrap_or_default(), room).into()
        }
        Column::Owner => cell.record.owner.as_ref().map_or_else(nothing, |owner| owner.sanitise(room).into()),
        Column::Region => {
            let region = session.and_then(|session| session.region.as_ref());
            region.map_or_else(nothing, |region| {
                Line::styled(region.sanitise(room), region_look(region, theme))
            })
        }
        Column::Keep => match session.and_then(|session| session.keep_alive) {
            Some(true) => Line::styled("yes", theme.info()),
            Some(false) => Line::styled("no", theme.dim()),
            None => nothing(),
        },
        Column::Age => cell.record.age(cell.server).map_or_else(nothing, |age| text::format_age(age).into()),
        Column::Left => left(cell, width),
        Column::Flag
            if !cell.record.alerts.is_empty()
                && cell.model.acknowledged.has_unacknowledged(cell.profile, cell.record) =>
        {
            Line::styled(theme.alert_glyph(), theme.alert())
        }
        Column::Flag => Line::default(),
        Column::Proxy => match session.and_then(|session| session.proxy_bytes) {
            Some(0) => Line::styled(text::format_bytes(0), theme.dim()),
            Some(bytes) => text::format_bytes(bytes).into(),
            None => nothing(),
        },
        Column::Rate => rate(cell, width),
        Column::Metadata => {
            let metadata = session.and_then(|session| session.metadata.as_ref());
            let metadata = metadata.filter(|metadata| !metadata.is_empty());
            metadata.map_or_else(nothing, |metadata| Line::styled(metadata.one_line(room), theme.dim()))
        }
    }
}

fn region_look(region: &Region, theme: Theme) -> Style {
    if matches!(region, Region::Other(_)) { theme.unknown() } else { Style::new() }
}

/// Glyph and word of a status, or of having none.
fn status(record: &Record, theme: Theme) -> (Span<'static>, Span<'static>) {
    match record.status() {
        // What it last said of itself holds no more, unless that was its end.
        _ if record.is_not_found() && record.phase() != Phase::Ended => {
            (span("?", theme.warning()), span("NOT FOUND", theme.warning()))
        }
        Some(status) => {
            let (glyph, style) = theme.status(status);
            (span(glyph, style), span(status.sanitise(9), style))
        }
        None => (span("·", theme.dim()), span("–", theme.dim())),
    }
}

/// What is left, or how it ended.
fn left(cell: &Cell<'_>, width: u16) -> Text {
    let (record, settings) = (cell.record, &cell.model.settings);
    let theme = settings.theme;
    match &record.presence {
        Presence::NotFound(absence) => return Line::styled(absent(&absence.error), theme.warning()),
        Presence::Unlisted { confirmed: false, .. } => {
            return Line::styled("unlisted, asking", theme.warning());
        }
        Presence::Unlisted { since, confirmed: true } => {
            let since = settings.zone.time(cell.time(*since));
            return Line::styled(format!("unlisted {since}"), theme.warning());
        }
        Presence::NoResponseYet | Presence::Present => {}
    }
    if let Some(release) = record.release.as_ref().filter(|_| record.phase() != Phase::Ended) {
        return releasing(cell, release);
    }
    match record.time_left(cell.model.profiles.get(cell.profile).tracker.clock(), cell.server) {
        TimeLeft::Remaining(left) => countdown(left, record, width, theme),
        TimeLeft::Starting => Line::styled("starting", theme.dim()),
        TimeLeft::Expiring => Line::styled("expiring…", theme.error()),
        TimeLeft::Overdue(by) => {
            Line::styled(format!("overdue {}", text::format_countdown(by)), theme.error())
        }
        TimeLeft::Ended => ended(cell),
        TimeLeft::Unknown => match (&record.session, &record.failure_streak) {
            (Some(_), _) => Line::styled("no expiry", theme.dim()),
            (None, Some(failing)) => Line::styled(failing.error.short_label(), theme.error()),
            (None, None) => Line::styled("waiting…", theme.dim()),
        },
    }
}

/// Of a session whose release was asked for: since when, or that it failed.
fn releasing(cell: &Cell<'_>, release: &ReleaseRequest) -> Text {
    let theme = cell.model.settings.theme;
    if !cell.record.is_releasing() {
        return Line::styled("release failed", theme.error());
    }
    let asked = cell.model.settings.zone.time(cell.time(release.requested_at));
    Line::styled(format!("releasing {asked}"), theme.info())
}

fn absent(fault: &ApiError) -> &'static str {
    if fault.kind == ApiErrorKind::Gone { "gone (410)" } else { "not found (404)" }
}

fn countdown(left: Duration, record: &Record, width: u16, theme: Theme) -> Text {
    let (mark, style, told) = match left {
        left if left <= NOW => ("!! ", theme.error(), theme.error()),
        left if left <= SOON => ("! ", theme.warning(), theme.warning()),
        _ => ("", theme.success(), Style::new()),
    };
    // Where the text shows minutes the bar does not move between them either: nothing changes unasked.
    let seconds = if left < MINUTES_ONLY_FROM { left.as_secs() } else { left.as_secs() / 60 * 60 };
    let timeout = record.session.as_ref().and_then(|session| session.timeout()).unwrap_or_default();
    let (full, gone) = match width.saturating_sub(COUNTDOWN) {
        cells @ 4.. if !timeout.is_zero() => {
            theme.progress_bar(Duration::from_secs(seconds).as_secs_f64() / timeout.as_secs_f64(), cells)
        }
        cells => (" ".repeat(usize::from(cells)), String::new()),
    };
    let told_text =
        format!("{:>1$}", format!("{mark}{}", text::format_countdown(left)), usize::from(COUNTDOWN));
    Line::from(vec![span(full, style), span(gone, theme.dim()), span(told_text, told)])
}

/// Of an ended session: what a keep-alive one was released with, else when it ended.
fn ended(cell: &Cell<'_>) -> Text {
    let (record, zone) = (cell.record, cell.model.settings.zone);
    let theme = cell.model.settings.theme;
    let kept = record.session.as_ref().is_some_and(|session| session.keep_alive == Some(true));
    let early = unused(record).filter(|_| kept && record.status() == Some(&Status::Completed));
    if let Some(unused) = early {
        let least = if record.is_end_exact() { "" } else { "≥" };
        return Line::styled(format!("{least}{} unused", text::format_countdown(unused)), theme.warning());
    }
    let Some(at) = record.ended_at() else { return Line::styled("ended", theme.dim()) };
    let short = zone.short_date_time(at, cell.server);
    // With the date there is no room for the time; the details have both.
    let when = short.split_once(' ').map_or(short.as_str(), |(date, _)| date);
    Line::styled(format!("ended {when}"), theme.dim())
}

/// What was left when it ended, where that makes sense: an end before the start does not.
pub(super) fn unused(record: &Record) -> Option<Duration> {
    let timeout = record.session.as_ref().and_then(|session| session.timeout());
    let unused = record.unused().filter(|_| record.phase() == Phase::Ended);
    unused.filter(|unused| unused.as_secs() > 0 && timeout.is_none_or(|timeout| *unused <= timeout))
}

/// The newest rates as a line of blocks, and the newest as a number.
fn rate(cell: &Cell<'_>, width: u16) -> Text {
    let theme = cell.model.settings.theme;
    let traffic = &cell.record.traffic;
    let idle = cell.record.idle_for().filter(|quiet| *quiet >= cell.model.settings.thresholds.idle);
    if let Some(idle) = idle {
        let text = format!("idle {}", text::format_age(idle));
        return Line::styled(text::truncate(&text, usize::from(width)), theme.warning());
    }
    if !traffic.has_moved() {
        return Line::styled("·", theme.dim());
    }
    // What is over has no rate, only what it was.
    let rate = traffic.rate().filter(|_| !cell.record.is_final());
    let number = rate.map(whole).filter(|rate| *rate > 0).map(text::format_bytes).unwrap_or_default();
    let room = usize::from(width.saturating_sub(8)).min(SLOTS);
    let mut spans = Vec::new();
    if room >= 3 {
        let rates = traffic.rates(cell.model.settings.poll_limits.interval, room);
        let most = rates.iter().copied().fold(0.0_f64, f64::max);
        spans.push(Span::raw(" ".repeat(room.saturating_sub(rates.len()))));
        spans.extend(rates.iter().map(|rate| match block(*rate, most) {
            Some(block) => span(block, theme.success()),
            None => span("▁", theme.dim()),
        }));
        spans.push(Span::raw(" "));
    }
    spans.push(Span::raw(format!("{number:>7}")));
    spans.into()
}

/// The block for `rate`, where the tallest is `most`; `None` for no rate.
fn block(rate: f64, most: f64) -> Option<&'static str> {
    // Not the full block: it would touch the row above.
    const BLOCKS: [&str; 7] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇"];
    if rate < 1.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 7")]
    let height = (rate / most.max(1.0) * 7.0).clamp(1.0, 7.0).ceil() as usize;
    BLOCKS.get(height.saturating_sub(1)).copied()
}

#[expect(clippy::cast_possible_truncation, reason = "a cast to an integer stays within it")]
fn whole(rate: f64) -> i64 {
    rate as i64
}
