//! `keepwatch journal path`, `size` and `clear`: print the journal's path, print its size, or delete its contents.
//!
//! This module also opens the journal for `history` and `export`.

use std::path::{Path, PathBuf};

use super::CliError;
use super::output::{print, prompt};
use super::print_error;
use crate::config::{JournalAction, JournalFile};
use crate::exit_code::ExitCode;
use crate::store::journal::{
    JournalError, JournalReader, JournalStats, clear, damaged_files, reject_foreign_or_newer_file,
};
use keepwatch_core::clock::{Clock, Zone};
use keepwatch_core::session::SessionId;
use keepwatch_core::text;

/// Runs the action. `zone` is the time zone of the times shown.
///
/// # Errors
/// Returns an error if the journal is missing or cannot be read or written, if `clear` has neither `--yes` nor a
/// terminal to ask on, or if standard output cannot be written.
pub fn journal(action: JournalAction, file: JournalFile, zone: Zone) -> Result<ExitCode, CliError> {
    let path = journal_path(file)?;
    match action {
        JournalAction::Path => print(&(display_path(&path) + "\n"))?,
        JournalAction::Size { .. } => {
            let stats = open_journal(&path)?.stats()?;
            print(&format_stats(&stats, zone))?;
        }
        JournalAction::Clear { yes } => return clear_journal(&path, yes),
    }
    Ok(ExitCode::Success)
}

/// Returns the journal's path, or an error if no environment variable defines one.
pub(super) fn journal_path(file: JournalFile) -> Result<PathBuf, CliError> {
    file.ok_or(CliError::NoJournalPath)
}

/// Opens the journal for reading.
///
/// # Errors
/// Returns an error if there is no journal or it cannot be read.
pub(super) fn open_journal(path: &Path) -> Result<JournalReader, CliError> {
    // SQLite leaves its own files beside each file that it opens, so foreign files are rejected first. This check
    // would release SQLite's locks on a journal that this process has open. Here, none is open.
    match reject_foreign_or_newer_file(path).and_then(|()| JournalReader::open(path)) {
        Ok(Some(reader)) => Ok(reader),
        Ok(None) => Err(CliError::NoJournal { path: display_path(path) }),
        Err(error) => Err(CliError::OpenJournal { path: display_path(path), error }),
    }
}

/// Prints that the journal does not have the session, or that it has the session's summary but none of its entries.
/// Returns the exit code.
///
/// # Errors
/// Returns an error if the journal cannot be read.
pub(super) fn report_missing_entries(reader: &JournalReader, id: &SessionId) -> Result<ExitCode, CliError> {
    let name = id.sanitise_line();
    if reader.has_session(id)? {
        print_error(&format!(
            "{name}: the journal has only the row that “keepwatch history” prints: its timeline was deleted, or not written"
        ));
        return Ok(ExitCode::Failure);
    }
    print_error(&format!("{name}: the journal has no such session"));
    Ok(ExitCode::NoSuchSession)
}

/// Returns the session id that equals `id`, else the only one that starts with it, else `id` itself.
///
/// # Errors
/// Returns an error if several ids start with `id` or the journal cannot be read.
pub(super) fn resolve_session_id(reader: &JournalReader, id: &SessionId) -> Result<SessionId, CliError> {
    let matches = reader.sessions_with_prefix(id)?;
    match matches.as_slice() {
        // `matches` has only the first few ids. An equal id sorts before all longer ids, so it is among them.
        _ if matches.contains(id) => Ok(id.clone()),
        [only] => Ok(only.clone()),
        [] => Ok(id.clone()), // the caller reports that it is missing
        [one, other, ..] => {
            let (prefix, one, other) = (id.sanitise_line(), one.sanitise_line(), other.sanitise_line());
            Err(CliError::AmbiguousId { prefix, one, other })
        }
    }
}

fn display_path(path: &Path) -> String {
    text::sanitise(&path.to_string_lossy(), usize::MAX)
}

/// Formats the statistics, one per line. The name and the plain number come first, so that scripts can read them.
fn format_stats(stats: &JournalStats, zone: Zone) -> String {
    let JournalStats { bytes, segments, entries, sessions, oldest } = stats;
    let formatted_bytes = text::format_bytes(i64::try_from(*bytes).unwrap_or(i64::MAX));
    let oldest = oldest.map_or_else(|| "-".to_owned(), |at| zone.date_time(at));
    format!(
        "bytes     {bytes}  ({formatted_bytes})\nsegments  {segments}\nentries   {entries}\nsessions  {sessions}\noldest    {oldest}\n"
    )
}

/// Deletes the contents of the journal. Asks first, unless `is_confirmed`.
fn clear_journal(path: &Path, is_confirmed: bool) -> Result<ExitCode, CliError> {
    let stats = match open_journal(path).and_then(|reader| Ok(reader.stats()?)) {
        Ok(stats) => Some(stats),
        // Even reading needs free space on the disk. `clear` does not.
        Err(CliError::OpenJournal { error: JournalError::Full | JournalError::Other { .. }, .. }) => None,
        Err(error) => return Err(error),
    };
    if !is_confirmed && !confirm_clear(path, stats.as_ref())? {
        print_error("nothing was deleted");
        return Ok(ExitCode::Failure);
    }
    let outcome = clear(path, Clock::system().now().wall)?;
    print("the journal is empty\n")?;
    if outcome.is_open_elsewhere {
        print_error("another keepwatch has it open, and goes on writing to it what it sees from now on");
    }
    for damaged in damaged_files(path) {
        print_error(&format!(
            "a damaged journal that was moved aside is still there: {}",
            display_path(&damaged)
        ));
    }
    Ok(ExitCode::Success)
}

/// Asks the user whether to delete the contents of the journal. Returns true if the user agrees.
fn confirm_clear(path: &Path, stats: Option<&JournalStats>) -> Result<bool, CliError> {
    let content = stats.map_or_else(
        || "cannot be read".to_owned(),
        |JournalStats { bytes, sessions, .. }| {
            let bytes = text::format_bytes(i64::try_from(*bytes).unwrap_or(i64::MAX));
            format!("has {bytes} of {sessions} sessions")
        },
    );
    let question = format!("{}\n{content}. Delete all of it? [y/N] ", display_path(path));
    let answer = prompt(&question, "--yes to delete all that is in the journal")?;
    Ok(["y", "yes"].contains(&answer.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_one_per_line() {
        let oldest = Some("2026-11-22T12:00:00Z".parse().unwrap());
        let stats = JournalStats { bytes: 18_214_912, segments: 12, entries: 9431, sessions: 431, oldest };
        assert_eq!(
            format_stats(&stats, Zone::Utc),
            "bytes     18214912  (18.2 MB)\nsegments  12\nentries   9431\nsessions  431\noldest    2026-11-22 12:00:00\n"
        );
        assert!(format_stats(&JournalStats { oldest: None, ..stats }, Zone::Utc).ends_with("oldest    -\n"));
    }
}
