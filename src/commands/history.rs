//! `keepwatch history`: prints the sessions in the journal with their running times, verdicts and estimated costs.
//!
//! With a session id it prints that session's timeline. The command reads only the journal, needs no API key and sends
//! no request.

mod aggregate;
mod json;
mod table;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal as _, stdout};

use super::CliError;
use super::events::{ending, text_lines};
use super::export::MAX_ENTRY_AGE;
use super::journal::{journal_path, open_journal, report_missing_entries, resolve_session_id};
use super::output::{print, print_text};
use super::print_error;
use crate::config::HistoryConfig;
use crate::exit_code::ExitCode;
use crate::store::history::{self, HistoryQuery, HistoryScope};
use crate::store::journal::JournalReader;
use aggregate::{MergedSession, daily_totals};
use keepwatch_core::clock::{Clock, Timestamp, Zone};
use keepwatch_core::filter::Filter;
use keepwatch_core::session::SessionId;
use keepwatch_core::text;
use keepwatch_core::tracker::cost::Rates;
use keepwatch_core::tracker::{Event, SessionTracker};

/// The output options of the tables and the JSON.
#[derive(Clone, Copy, Debug)]
pub struct HistoryOptions {
    /// True for JSON, false for tables.
    pub json: bool,
    /// The prices for estimates.
    pub rates: Rates,
    /// The time zone of times and days.
    pub zone: Zone,
    /// True to truncate names, so that tables fit a terminal of 80 columns. False if a program may read the tables.
    pub fits_terminal: bool,
}

/// Prints the history.
///
/// # Errors
/// Returns an error if the filter is invalid, the journal is missing or cannot be read, the id is ambiguous, or
/// standard output cannot be written.
pub fn history(config: HistoryConfig) -> Result<ExitCode, CliError> {
    let filter =
        Filter::parse(&config.filter).map_err(|mistake| CliError::filter(mistake, &config.filter))?;
    let reader = open_journal(&journal_path(config.journal)?)?;
    if let Some(id) = &config.id {
        return print_timeline(&reader, &resolve_session_id(&reader, id)?, config.zone, config.ascii);
    }
    let now = Clock::system().now().wall;
    let since =
        chrono::TimeDelta::from_std(config.max_age).ok().and_then(|max_age| now.checked_sub_signed(max_age));
    let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
    let options = HistoryOptions {
        json: config.json,
        rates: config.rates,
        zone: config.zone,
        fits_terminal: stdout().is_terminal(),
    };
    let text = render(&reader, since, &filter, options)?;
    match text {
        None => {
            let restriction = if filter.is_empty() { "" } else { " that the filter takes" };
            print_error(&format!("no session{restriction} was seen since {}", config.zone.date_time(since)));
        }
        Some(text) if config.json && stdout().is_terminal() => print(&text::escape_json_for_terminal(&text))?,
        Some(text) => print_text(&text, config.ascii)?,
    }
    Ok(ExitCode::Success)
}

/// Prints the events of one session, from all runs that saw the session. If several hosts have a session with this id,
/// only the events of the host with the newest segment are printed.
fn print_timeline(
    reader: &JournalReader,
    id: &SessionId,
    zone: Zone,
    ascii: bool,
) -> Result<ExitCode, CliError> {
    if !reader.has_session(id)? {
        return report_missing_entries(reader, id);
    }
    let scope = HistoryScope::Sessions(vec![id.clone()]);
    let mut tracker = SessionTracker::default();
    if let Some((header, host)) = history::newest_header(reader, &HistoryQuery::all(&scope))? {
        tracker = SessionTracker::new(header.alert_rules).with_owner_key(header.owner_key);
        let query = HistoryQuery { host: Some(&host), ..HistoryQuery::all(&scope) };
        let now = Clock::backdated(MAX_ENTRY_AGE).now();
        history::read_inputs(reader, &[query], now, |input| drop(tracker.apply(input)))?;
    }
    let mut events: Vec<&Event> = tracker.newest_events(id).map(|(_, event)| event).collect();
    if events.is_empty() {
        return report_missing_entries(reader, id);
    }
    events.reverse();
    let lines = events.into_iter().map(|event| {
        let ending = ending(&tracker, event);
        text_lines(event, ending.as_ref(), "", zone, ascii)
    });
    print(&lines.collect::<String>())?;
    Ok(ExitCode::Success)
}

/// Returns the text to print for the sessions that match `filter` and were seen at `since` or later. Returns `None` if
/// no session matches and the output is tables. The JSON object is returned even without sessions.
///
/// # Errors
/// Returns an error if the journal cannot be read.
pub fn render(
    reader: &JournalReader,
    since: Timestamp,
    filter: &Filter,
    options: HistoryOptions,
) -> Result<Option<String>, CliError> {
    let rows = reader.summaries(since)?;
    let mut sessions = MergedSession::merge_all(rows);
    sessions.retain(|session| filter.matches(session));
    let days = daily_totals(&sessions, options);
    if options.json {
        return Ok(Some(json::object(&sessions, &days, since, options).to_string() + "\n"));
    }
    Ok((!sessions.is_empty())
        .then(|| table::sessions(&sessions, options) + "\n" + &table::days(&days, options)))
}
