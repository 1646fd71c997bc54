//! The history as two tables that fit the 80 columns of a terminal. Pure.

use std::time::Duration;

use super::HistoryOptions;
use super::aggregate::{DailyTotals, MergedSession};
use crate::commands::text_table::{column_widths, format_row, table_width};
use keepwatch_core::session::Status;
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::EarlyLimit;
use keepwatch_core::tracker::cost::format_estimate;

/// The maximum width of a table on a terminal, in columns.
const MAX_TABLE_COLUMNS: usize = 80;
/// The width to which a session id is truncated, in columns.
const ID_COLUMNS: usize = 8;
/// The maximum width of an owner or a profile, in columns.
const MAX_NAME_COLUMNS: usize = 20;
/// The minimum width to which the owners or the profiles can shrink, in columns of the terminal.
const MIN_NAME_COLUMNS: usize = 5;
/// The maximum width of a cost, in columns.
const MAX_COST_COLUMNS: usize = 7;
/// The maximum width of a verdict, in columns.
const MAX_VERDICT_COLUMNS: usize = 14;
/// The maximum width of a status, in columns. In the column of verdicts, [`MAX_VERDICT_COLUMNS`] limits it further.
const MAX_STATUS_COLUMNS: usize = 24;

/// The names of the verdicts, each with its text for the table.
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

/// The index of the column of owners, in both tables.
const OWNER_COLUMN: usize = 1;
/// The index of the column of profiles, in the table of sessions.
const PROFILE_COLUMN: usize = 2;

/// Renders a table with one row per session.
pub(super) fn sessions(sessions: &[MergedSession], options: HistoryOptions) -> String {
    let has_profiles = sessions.iter().any(|session| session.newest.profile.is_some());
    let mut headings = vec!["SESSION", "OWNER", "PROFILE", "STARTED", "RAN", "VERDICT", "PROXY", "EST."];
    let mut rows: Vec<Vec<String>> = sessions.iter().map(|session| cells(session, options)).collect();
    if !has_profiles {
        headings.remove(PROFILE_COLUMN);
        rows.iter_mut().for_each(|row| drop(row.remove(PROFILE_COLUMN)));
    }
    // Each note has the condition under which it follows the table.
    let notes = [
        (
            sessions.iter().any(|session| session.was_running() && session.running_time().is_some()),
            "+  at least: it lived when it was last seen",
        ),
        (sessions.iter().any(may_have_ended_earlier), "~  at most: its end was not seen exactly"),
    ];
    let notes: String =
        notes.iter().filter(|(applies, _)| *applies).map(|(_, note)| format!("{note}\n")).collect();
    render_table(
        &headings,
        rows,
        if has_profiles { &[OWNER_COLUMN, PROFILE_COLUMN] } else { &[OWNER_COLUMN] },
        options,
    ) + &notes
}

/// Returns true if the session may have ended before its known end, so that its running time is an upper bound. Returns
/// false if the running time is unknown.
fn may_have_ended_earlier(session: &MergedSession) -> bool {
    session.newest.ended.is_some() && !session.newest.is_end_exact && session.running_time().is_some()
}

/// Returns the cells of a session's row, in the order of the headings in [`sessions`].
fn cells(session: &MergedSession, options: HistoryOptions) -> Vec<String> {
    let newest = &session.newest;
    let started = options.zone.date_time(session.start_time());
    let running_time = session.running_time().map_or_else(placeholder, |duration| {
        match (session.was_running(), may_have_ended_earlier(session)) {
            (true, _) => format!("{}+", text::format_countdown(duration)),
            (_, true) => format!("~{}", text::format_countdown(duration)),
            _ => text::format_countdown(duration),
        }
    });
    vec![
        newest.session.prefix(ID_COLUMNS),
        owner(newest.owner.as_ref()),
        newest.profile.as_ref().map_or_else(placeholder, |name| text::sanitise(name, MAX_NAME_COLUMNS)),
        started.get(5..16).unwrap_or(&started).to_owned(), // without the year and the seconds
        running_time,
        verdict(session),
        newest.proxy_bytes.map_or_else(placeholder, text::format_bytes),
        cost(session.cost(options.rates)),
    ]
}

/// Returns the verdict in a word or two, or the status if there is no verdict.
fn verdict(session: &MergedSession) -> String {
    if let Some(verdict) = &session.newest.verdict {
        let short = SHORT_VERDICTS
            .iter()
            .find(|(name, _)| *name == verdict.name)
            .map(|(_, short)| (*short).to_owned());
        // After the first minute, a release is the usual end of a keep-alive session.
        let is_usual_end = verdict.name == "keep_alive_ended_early"
            && session.running_time().is_some_and(|ran| !EarlyLimit::default().is_early(Some(ran)));
        let short = if is_usual_end { Some("released".to_owned()) } else { short };
        // One column is left for the question mark.
        let short = short.unwrap_or_else(|| text::sanitise(&verdict.name, MAX_VERDICT_COLUMNS - 1));
        // “perhaps” is the name of `Confidence::Possible` in the journal.
        return if verdict.confidence == "perhaps" { short + "?" } else { short };
    }
    let prefix = if session.was_running() { "was " } else { "" }; // the status may have changed since then
    let status = |status: &Status| {
        text::truncate(
            &format!("{prefix}{}", status.sanitise(MAX_STATUS_COLUMNS).to_lowercase()),
            MAX_VERDICT_COLUMNS,
        )
    };
    session.newest.status.as_ref().map_or_else(placeholder, status)
}

/// Renders a table with one row per day and owner.
pub(super) fn days(days: &[DailyTotals], options: HistoryOptions) -> String {
    let headings = ["DAY", "OWNER", "SESSIONS", "RAN", "PROXY", "EST.", "WATCHED"];
    let rows = days.iter().map(|totals| {
        vec![
            totals.day.clone(),
            owner(totals.owner.as_ref()),
            totals.session_count.to_string(),
            text::format_countdown(totals.running_time),
            text::format_bytes(totals.proxy_bytes),
            cost(totals.cost),
            percentage(totals.watched_time, totals.running_time),
        ]
    });
    render_table(&headings, rows.collect(), &[OWNER_COLUMN], options)
}

/// Returns a percentage such as `87 %`, rounded down so that `100 %` means the whole.
fn percentage(part: Duration, whole: Duration) -> String {
    match part.as_millis().saturating_mul(100).checked_div(whole.as_millis()) {
        Some(percent) => format!("{percent} %"),
        None => placeholder(),
    }
}

fn owner(owner: Option<&Untrusted>) -> String {
    owner.map_or_else(placeholder, |owner| owner.sanitise(MAX_NAME_COLUMNS))
}

/// Returns the cost without the prefix "est. ", because the heading says that it is an estimate.
fn cost(dollars: f64) -> String {
    text::truncate(format_estimate(dollars).trim_start_matches("est. "), MAX_COST_COLUMNS)
}

fn placeholder() -> String {
    "-".to_owned()
}

/// Renders the rows below the headings. `elastic_columns` are the indices of the columns that shrink if the table is
/// too wide. The first of them shrinks first.
fn render_table(
    headings: &[&str],
    rows: Vec<Vec<String>>,
    elastic_columns: &[usize],
    options: HistoryOptions,
) -> String {
    let heading_row: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heading_row).chain(rows).collect();
    let mut widths = column_widths(&rows);
    let max_width = if options.fits_terminal { MAX_TABLE_COLUMNS } else { usize::MAX };
    let mut excess = table_width(&widths).saturating_sub(max_width);
    for column in elastic_columns {
        if let Some(width) = widths.get_mut(*column) {
            let cut = excess.min(width.saturating_sub(MIN_NAME_COLUMNS));
            *width = width.saturating_sub(cut);
            excess = excess.saturating_sub(cut);
        }
    }
    rows.iter().map(|row| format_row(row, &widths)).collect()
}
