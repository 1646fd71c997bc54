//! The history as two tables that fit the 80 columns of a terminal. Pure.

use std::time::Duration;

use super::Form;
use super::seen::{Day, Seen};
use crate::commands::text_table::{column_widths, line, table_width};
use keepwatch_core::session::Status;
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::cost::format_estimate;

/// The widest that a table gets, in columns.
const WIDEST: usize = 80;
/// The columns of an id's start.
const SHORT_ID: usize = 8;
/// The widest owner or profile, and the narrowest that it is cut to.
const NAME: (usize, usize) = (20, 5);
/// The widest cost.
const COST: usize = 7;
/// The widest verdict.
const VERDICT: usize = 14;

/// The verdicts' names, and what they come to in a column.
pub(super) const SHORT: [(&str, &str); 12] = [
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
pub(super) fn sessions(seen: &[Seen], form: Form) -> String {
    let with_profile = seen.iter().any(|seen| seen.facts.profile.is_some());
    let mut columns = vec!["SESSION", "OWNER", "PROFILE", "STARTED", "RAN", "VERDICT", "PROXY", "EST."];
    let mut rows: Vec<Vec<String>> = seen.iter().map(|seen| row(seen, form)).collect();
    if !with_profile {
        columns.remove(2);
        rows.iter_mut().for_each(|row| drop(row.remove(2)));
    }
    let notes = [
        (
            seen.iter().any(|it| it.lived() && it.ran().is_some()),
            "+  at least: it lived when it was last seen",
        ),
        (seen.iter().any(is_at_most), "~  at most: its end was not seen exactly"),
    ];
    let notes: String = notes.iter().filter(|(is, _)| *is).map(|(_, note)| format!("{note}\n")).collect();
    aligned(&columns, rows, if with_profile { &[1, 2] } else { &[1] }, form) + &notes
}

fn is_at_most(seen: &Seen) -> bool {
    seen.facts.ended.is_some() && !seen.facts.is_end_exact && seen.ran().is_some()
}

fn row(seen: &Seen, form: Form) -> Vec<String> {
    let facts = &seen.facts;
    let started = form.zone.date_time(seen.began());
    let ran = seen.ran().map_or_else(none, |ran| match (seen.lived(), is_at_most(seen)) {
        (true, _) => format!("{}+", text::format_countdown(ran)),
        (_, true) => format!("~{}", text::format_countdown(ran)),
        _ => text::format_countdown(ran),
    });
    vec![
        facts.session.prefix(SHORT_ID),
        owner(facts.owner.as_ref()),
        facts.profile.as_ref().map_or_else(none, |name| text::sanitise(name, NAME.0)),
        started.get(5..16).unwrap_or(&started).to_owned(), // the year goes without saying, and the second
        ran,
        verdict(seen),
        facts.proxy_bytes.map_or_else(none, text::format_bytes),
        cost(seen.cost(form.rates)),
    ]
}

/// What it came to in a word or two: by its verdict, else by its status.
fn verdict(seen: &Seen) -> String {
    if let Some(why) = &seen.facts.verdict {
        let short = SHORT.iter().find(|(name, _)| *name == why.name).map(|(_, short)| (*short).to_owned());
        let short = short.unwrap_or_else(|| text::sanitise(&why.name, VERDICT - 1));
        return if why.confidence == "perhaps" { short + "?" } else { short };
    }
    let was = if seen.lived() { "was " } else { "" }; // when it was last seen, and who knows now
    let status =
        |status: &Status| text::truncate(&format!("{was}{}", status.sanitise(24).to_lowercase()), VERDICT);
    seen.facts.status.as_ref().map_or_else(none, status)
}

/// A row a day and owner.
pub(super) fn days(days: &[Day], form: Form) -> String {
    let columns = ["DAY", "OWNER", "SESSIONS", "RAN", "PROXY", "EST.", "WATCHED"];
    let rows = days.iter().map(|day| {
        vec![
            day.day.clone(),
            owner(day.owner.as_ref()),
            day.sessions.to_string(),
            text::format_countdown(day.ran),
            text::format_bytes(day.proxy_bytes),
            cost(day.cost),
            share(day.watched, day.ran),
        ]
    });
    aligned(&columns, rows.collect(), &[1], form)
}

/// "87 %", floored: all of it is all of it.
fn share(part: Duration, whole: Duration) -> String {
    match part.as_millis().saturating_mul(100).checked_div(whole.as_millis()) {
        Some(percent) => format!("{percent} %"),
        None => none(),
    }
}

fn owner(owner: Option<&Untrusted>) -> String {
    owner.map_or_else(none, |owner| owner.sanitise(NAME.0))
}

/// What the heading says is not said again.
fn cost(dollars: f64) -> String {
    text::truncate(format_estimate(dollars).trim_start_matches("est. "), COST)
}

fn none() -> String {
    "-".to_owned()
}

/// The rows below their headings; `elastic` columns give way where it gets too wide.
fn aligned(columns: &[&str], rows: Vec<Vec<String>>, elastic: &[usize], form: Form) -> String {
    let heading: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let mut widths = column_widths(&lines);
    let widest = if form.fits { WIDEST } else { usize::MAX };
    let mut over = table_width(&widths).saturating_sub(widest);
    for column in elastic {
        if let Some(width) = widths.get_mut(*column) {
            let give = over.min(width.saturating_sub(NAME.1));
            *width = width.saturating_sub(give);
            over = over.saturating_sub(give);
        }
    }
    lines.iter().map(|row| line(row, &widths)).collect()
}
