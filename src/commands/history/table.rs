//! The history as two tables that fit the 80 columns of a terminal. Pure.

use std::time::Duration;

use super::HistoryOptions;
use super::aggregate::{DailyTotals, MergedSession};
use crate::commands::text_table::{column_widths, format_row, table_width};
use keepwatch_core::session::Status;
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::cost::format_estimate;

/// The widest that a table gets, in columns.
const MAX_TABLE_COLUMNS: usize = 80;
/// The columns of an id's start.
const ID_COLUMNS: usize = 8;
/// The widest owner or profile, and the narrowest that it is cut to.
const NAME_COLUMNS: (usize, usize) = (20, 5);
/// The widest cost.
const MAX_COST_COLUMNS: usize = 7;
/// The widest verdict.
const MAX_VERDICT_COLUMNS: usize = 14;

/// The verdicts' names, and what they come to in a column.
pub(super) const SHORT_VERDICTS: [(&str, &str); 12] = [
    ("error", "error"),
    ("timed_out", "timed out"),
    ("released_here", "released here"),
    ("completed_at_expiry", "at expiry"),
    ("keep_alive_ended_early", "ended early"),
    ("keep_alive_ended", "ended"),
    ("never_connected", "no client"),
    ("disconnected_or_closed", "disconnected"),
    ("ended_past_expiry", "past expiry"),
    ("unexplained", "unexplained"),
    ("gone", "gone"),
    ("overdue", "overdue"),
];

/// A row a session.
pub(super) fn sessions(sessions: &[MergedSession], options: HistoryOptions) -> String {
    let with_profile = sessions.iter().any(|seen| seen.newest.profile.is_some());
    let mut columns = vec!["SESSION", "OWNER", "PROFILE", "STARTED", "RAN", "VERDICT", "PROXY", "EST."];
    let mut rows: Vec<Vec<String>> = sessions.iter().map(|seen| row(seen, options)).collect();
    if !with_profile {
        columns.remove(2);
        rows.iter_mut().for_each(|row| drop(row.remove(2)));
    }
    let notes = [
        (
            sessions.iter().any(|it| it.was_running() && it.running_time().is_some()),
            "+  at least: it lived when it was last seen",
        ),
        (sessions.iter().any(is_upper_bound), "~  at most: its end was not seen exactly"),
    ];
    let notes: String = notes.iter().filter(|(is, _)| *is).map(|(_, note)| format!("{note}\n")).collect();
    render_table(&columns, rows, if with_profile { &[1, 2] } else { &[1] }, options) + &notes
}

fn is_upper_bound(seen: &MergedSession) -> bool {
    seen.newest.ended.is_some() && !seen.newest.is_end_exact && seen.running_time().is_some()
}

fn row(session: &MergedSession, options: HistoryOptions) -> Vec<String> {
    let newest = &session.newest;
    let started = options.zone.date_time(session.start_time());
    let ran = session.running_time().map_or_else(placeholder, |ran| {
        match (session.was_running(), is_upper_bound(session)) {
            (true, _) => format!("{}+", text::format_countdown(ran)),
            (_, true) => format!("~{}", text::format_countdown(ran)),
            _ => text::format_countdown(ran),
        }
    });
    vec![
        newest.session.prefix(ID_COLUMNS),
        owner(newest.owner.as_ref()),
        newest.profile.as_ref().map_or_else(placeholder, |name| text::sanitise(name, NAME_COLUMNS.0)),
        started.get(5..16).unwrap_or(&started).to_owned(), // the year goes without saying, and the second
        ran,
        verdict(session),
        newest.proxy_bytes.map_or_else(placeholder, text::format_bytes),
        cost(session.cost(options.rates)),
    ]
}

/// What it came to in a word or two: by its verdict, else by its status.
fn verdict(session: &MergedSession) -> String {
    if let Some(why) = &session.newest.verdict {
        let short =
            SHORT_VERDICTS.iter().find(|(name, _)| *name == why.name).map(|(_, short)| (*short).to_owned());
        let short = short.unwrap_or_else(|| text::sanitise(&why.name, MAX_VERDICT_COLUMNS - 1));
        return if why.confidence == "perhaps" { short + "?" } else { short };
    }
    let was = if session.was_running() { "was " } else { "" }; // when it was last seen, and who knows now
    let status = |status: &Status| {
        text::truncate(&format!("{was}{}", status.sanitise(24).to_lowercase()), MAX_VERDICT_COLUMNS)
    };
    session.newest.status.as_ref().map_or_else(placeholder, status)
}

/// A row a day and owner.
pub(super) fn days(days: &[DailyTotals], form: HistoryOptions) -> String {
    let columns = ["DAY", "OWNER", "SESSIONS", "RAN", "PROXY", "EST.", "WATCHED"];
    let rows = days.iter().map(|day| {
        vec![
            day.day.clone(),
            owner(day.owner.as_ref()),
            day.sessions.to_string(),
            text::format_countdown(day.running_time),
            text::format_bytes(day.proxy_bytes),
            cost(day.cost),
            percentage(day.watched_time, day.running_time),
        ]
    });
    render_table(&columns, rows.collect(), &[1], form)
}

/// "87 %", floored: all of it is all of it.
fn percentage(part: Duration, whole: Duration) -> String {
    match part.as_millis().saturating_mul(100).checked_div(whole.as_millis()) {
        Some(percent) => format!("{percent} %"),
        None => placeholder(),
    }
}

fn owner(owner: Option<&Untrusted>) -> String {
    owner.map_or_else(placeholder, |owner| owner.sanitise(NAME_COLUMNS.0))
}

/// What the heading says is not said again.
fn cost(dollars: f64) -> String {
    text::truncate(format_estimate(dollars).trim_start_matches("est. "), MAX_COST_COLUMNS)
}

fn placeholder() -> String {
    "-".to_owned()
}

/// The rows below their headings; `elastic` columns give way where it gets too wide.
fn render_table(
    columns: &[&str],
    rows: Vec<Vec<String>>,
    elastic: &[usize],
    options: HistoryOptions,
) -> String {
    let heading: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let mut widths = column_widths(&lines);
    let widest = if options.fits_terminal { MAX_TABLE_COLUMNS } else { usize::MAX };
    let mut over = table_width(&widths).saturating_sub(widest);
    for column in elastic {
        if let Some(width) = widths.get_mut(*column) {
            let give = over.min(width.saturating_sub(NAME_COLUMNS.1));
            *width = width.saturating_sub(give);
            over = over.saturating_sub(give);
        }
    }
    lines.iter().map(|row| format_row(row, &widths)).collect()
}
