//! `keepwatch journal path`, `size` and `clear`: where what was seen is kept, how much of it there is, and how it is got rid
//! of.

use std::path::{Path, PathBuf};

use super::CliError;
use super::output::{print, prompt};
use super::print_error;
use crate::config::{JournalAction, JournalFile};
use crate::exit_code::ExitCode;
use crate::store::journal::{JournalReader, JournalStats, clear, damaged_files, precheck};
use keepwatch_core::clock::Zone;
use keepwatch_core::session::SessionId;
use keepwatch_core::text;

/// Does what is asked for.
///
/// # Errors
/// There is no journal, or it can not be read or written; nobody can be asked; or standard output can not be written.
pub fn journal(action: JournalAction, file: JournalFile) -> Result<ExitCode, CliError> {
    let path = journal_path(file)?;
    match action {
        JournalAction::Path => print(&(display_path(&path) + "\n"))?,
        JournalAction::Size { utc } => {
            let zone = if utc { Zone::Utc } else { Zone::Local };
            let sizes = open_journal(&path)?.stats()?;
            print(&format_sizes(&sizes, zone))?;
        }
        JournalAction::Clear { yes } => return clear_journal(&path, yes),
    }
    Ok(ExitCode::Success)
}

/// Where the journal is.
pub(super) fn journal_path(file: JournalFile) -> Result<PathBuf, CliError> {
    file.ok_or(CliError::NoJournalPath)
}

/// The journal, if there is one.
pub(super) fn open_journal(path: &Path) -> Result<JournalReader, CliError> {
    // Nothing of this process writes it: so it can be looked at before SQLite does, which leaves its own files beside it.
    match precheck(path).and_then(|()| JournalReader::open(path)) {
        Ok(Some(reader)) => Ok(reader),
        Ok(None) => Err(CliError::NoJournal { path: display_path(path) }),
        Err(error) => Err(CliError::OpenJournal { path: display_path(path), error }),
    }
}

/// The session whose id is `id`, or the only one whose id begins so.
pub(super) fn resolve_session_id(reader: &JournalReader, id: &SessionId) -> Result<SessionId, CliError> {
    let found = reader.sessions_with_prefix(id)?;
    match found.as_slice() {
        _ if found.contains(id) => Ok(id.clone()),
        [only] => Ok(only.clone()),
        [] => Ok(id.clone()), // whoever asks for it says that it is not there
        [one, other, ..] => {
            let (prefix, one, other) = (id.sanitise_line(), one.sanitise_line(), other.sanitise_line());
            Err(CliError::AmbiguousId { prefix, one, other })
        }
    }
}

fn display_path(path: &Path) -> String {
    text::sanitise(&path.to_string_lossy(), usize::MAX)
}

/// A line each, the plain number first.
fn format_sizes(sizes: &JournalStats, zone: Zone) -> String {
    let JournalStats { bytes, segments, entries, sessions, oldest } = sizes;
    let words = text::format_bytes(i64::try_from(*bytes).unwrap_or(i64::MAX));
    let oldest = oldest.map_or_else(|| "-".to_owned(), |at| zone.date_time(at));
    format!(
        "bytes     {bytes}  ({words})\nsegments  {segments}\nentries   {entries}\nsessions  {sessions}\noldest    {oldest}\n"
    )
}

fn clear_journal(path: &Path, yes: bool) -> Result<ExitCode, CliError> {
    let sizes = open_journal(path)?.stats()?;
    if !yes && !confirm_clear(path, &sizes)? {
        print_error("nothing was deleted");
        return Ok(ExitCode::Failure);
    }
    let cleared = clear(path)?;
    print("the journal is empty\n")?;
    if cleared.is_open_elsewhere {
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

/// Asks whether to delete the whole journal.
fn confirm_clear(path: &Path, sizes: &JournalStats) -> Result<bool, CliError> {
    let question = format!(
        "{}\nhas {} of {} sessions. Delete all of it? [y/N] ",
        display_path(path),
        text::format_bytes(i64::try_from(sizes.bytes).unwrap_or(i64::MAX)),
        sizes.sessions
    );
    let answer = prompt(&question, "--yes to delete all that is in the journal")?;
    Ok(["y", "yes"].contains(&answer.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_a_line_each_for_people_and_for_scripts() {
        let oldest = Some("2026-11-22T12:00:00Z".parse().unwrap());
        let sizes = JournalStats { bytes: 18_214_912, segments: 12, entries: 9431, sessions: 431, oldest };
        assert_eq!(
            format_sizes(&sizes, Zone::Utc),
            "bytes     18214912  (18.2 MB)\nsegments  12\nentries   9431\nsessions  431\noldest    2026-11-22 12:00:00\n"
        );
        assert!(format_sizes(&JournalStats { oldest: None, ..sizes }, Zone::Utc).ends_with("oldest    -\n"));
    }
}
