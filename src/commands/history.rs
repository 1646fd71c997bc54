//! `keepwatch history`: the sessions that were seen, how long each ran, how it ended and what that cost, from the journal
//! alone; no key, no network.

mod aggregate;
mod json;
mod table;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal as _, stdout};

use super::CliError;
use super::events::{text_lines, verdict_for};
use super::export::CLOCK_REACH;
use super::journal::{journal_path, open_journal, resolve_session_id};
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

/// How it is printed.
#[derive(Clone, Copy, Debug)]
pub struct HistoryOptions {
    /// JSON, not tables.
    pub json: bool,
    /// What things cost.
    pub rates: Rates,
    /// Times and days in which zone.
    pub zone: Zone,
    /// Whether names give way where a line would be longer than a terminal's 80 columns: not where a program reads them.
    pub fits_terminal: bool,
}

/// Prints it.
///
/// # Errors
/// The filter has a mistake, there is no journal or it can not be read, or standard output can not be written.
pub fn history(config: HistoryConfig) -> Result<ExitCode, CliError> {
    let filter = Filter::parse(&config.filter).map_err(|mistake| {
        let pointer = mistake.underline(&config.filter);
        CliError::Filter { mistake, pointer }
    })?;
    let reader = open_journal(&journal_path(config.journal)?)?;
    if let Some(id) = &config.id {
        return print_timeline(&reader, &resolve_session_id(&reader, id)?, config.zone, config.ascii);
    }
    let now = Clock::system().now().wall;
    let since =
        chrono::TimeDelta::from_std(config.since).ok().and_then(|since| now.checked_sub_signed(since));
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
            let what = if filter.is_empty() { "" } else { " that the filter takes" };
            print_error(&format!("no session{what} was seen since {}", config.zone.date_time(since)));
        }
        Some(text) if config.json && stdout().is_terminal() => print(&text::escape_json_for_terminal(&text))?,
        Some(text) => print_text(&text, config.ascii)?,
    }
    Ok(ExitCode::Success)
}

/// Prints what happened to one session, as far as any run saw it.
fn print_timeline(
    reader: &JournalReader,
    id: &SessionId,
    zone: Zone,
    ascii: bool,
) -> Result<ExitCode, CliError> {
    let scope = HistoryScope::Sessions(vec![id.clone()]);
    let mut tracker = SessionTracker::default();
    if let Some((header, host)) = history::newest_header(reader, &HistoryQuery::all(&scope))? {
        tracker = SessionTracker::new(header.thresholds).with_owner_key(header.owner_key);
        let query = HistoryQuery { host: Some(&host), ..HistoryQuery::all(&scope) };
        let now = Clock::backdated(CLOCK_REACH).now();
        history::read_inputs(reader, &query, now, |input| drop(tracker.apply(input)))?;
    }
    let mut events: Vec<&Event> = tracker.newest_events(id).map(|(_, event)| event).collect();
    if events.is_empty() {
        print_error(&format!("{}: the journal has no such session", id.sanitise_line()));
        return Ok(ExitCode::NoSuchSession);
    }
    events.reverse();
    let lines = events.into_iter().map(|event| {
        let ending = verdict_for(&tracker, event);
        text_lines(event, ending.as_ref(), zone, ascii)
    });
    print(&lines.collect::<String>())?;
    Ok(ExitCode::Success)
}

/// What is printed; `None` where there is nothing for a table.
///
/// # Errors
/// The journal can not be read.
pub fn render(
    reader: &JournalReader,
    since: Timestamp,
    filter: &Filter,
    options: HistoryOptions,
) -> Result<Option<String>, CliError> {
    let rows = reader.summaries(since)?;
    let mut sessions = MergedSession::merge_all(rows);
    sessions.retain(|seen| filter.matches(seen));
    let days = daily_totals(&sessions, options);
    if options.json {
        return Ok(Some(json::object(&sessions, &days, since, options).to_string() + "\n"));
    }
    Ok((!sessions.is_empty())
        .then(|| table::sessions(&sessions, options) + "\n" + &table::days(&days, options)))
}
