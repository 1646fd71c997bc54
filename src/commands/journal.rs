//! `keepwatch journal path`, `size` and `clear`: where what was seen is kept, how much of it there is, and how it is got rid
//! of.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};
use std::path::{Path, PathBuf};

use super::{complain, failed, print, usage};
use crate::config::{Exit, JournalAction, JournalFile, Refusal};
use crate::store::journal::{Reader, Sizes, clear, damaged_ones, glance};
use keepwatch_core::clock::Zone;
use keepwatch_core::session::SessionId;
use keepwatch_core::text;

/// Does what is asked for.
///
/// # Errors
/// There is no journal, or it can not be read or written; nobody can be asked; or standard output can not be written.
pub fn journal(action: JournalAction, file: JournalFile) -> Result<Exit, Refusal> {
    let path = place(file)?;
    match action {
        JournalAction::Path => print(&(shown(&path) + "\n"))?,
        JournalAction::Size { utc } => {
            let zone = if utc { Zone::Utc } else { Zone::Local };
            let sizes = open(&path)?.sizes().map_err(|trouble| failed(&trouble.to_string()))?;
            print(&size(&sizes, zone))?;
        }
        JournalAction::Clear { yes } => return clear_it(&path, yes),
    }
    Ok(Exit::Fine)
}

/// Where the journal is.
pub(super) fn place(file: JournalFile) -> Result<PathBuf, Refusal> {
    file.ok_or_else(|| {
        failed("there is no place for a journal: none of KEEPWATCH_JOURNAL, XDG_STATE_HOME and HOME is set")
    })
}

/// The journal, if there is one.
pub(super) fn open(path: &Path) -> Result<Reader, Refusal> {
    // Nothing of this process writes it: so it can be looked at before SQLite does, which leaves its own files beside it.
    match glance(path).and_then(|()| Reader::open(path)) {
        Ok(Some(reader)) => Ok(reader),
        Ok(None) => Err(failed(&format!(
            "there is no journal yet: a keepwatch that watches writes one to {}",
            shown(path)
        ))),
        Err(trouble) => Err(failed(&format!("{}: {}", shown(path), trouble))),
    }
}

/// The session whose id is `id`, or the only one whose id begins so.
pub(super) fn find(reader: &Reader, id: &SessionId) -> Result<SessionId, Refusal> {
    let found = reader.beginning_with(id).map_err(|trouble| failed(&trouble.to_string()))?;
    match found.as_slice() {
        _ if found.contains(id) => Ok(id.clone()),
        [only] => Ok(only.clone()),
        [] => Ok(id.clone()), // whoever asks for it says that it is not there
        [one, other, ..] => Err(usage(&format!(
            "several sessions begin with {}, as {} and {}: give more of the id",
            id.line(),
            one.line(),
            other.line()
        ))),
    }
}

fn shown(path: &Path) -> String {
    text::shown(&path.to_string_lossy(), usize::MAX)
}

/// A line each, the plain number first.
fn size(sizes: &Sizes, zone: Zone) -> String {
    let Sizes { bytes, segments, entries, sessions, oldest } = sizes;
    let words = text::bytes(i64::try_from(*bytes).unwrap_or(i64::MAX));
    let oldest = oldest.map_or_else(|| "-".to_owned(), |at| zone.date_time(at));
    format!(
        "bytes     {bytes}  ({words})\nsegments  {segments}\nentries   {entries}\nsessions  {sessions}\noldest    {oldest}\n"
    )
}

fn clear_it(path: &Path, yes: bool) -> Result<Exit, Refusal> {
    let sizes = open(path)?.sizes().map_err(|trouble| failed(&trouble.to_string()))?;
    if !yes && !is_meant(path, &sizes)? {
        complain("nothing was deleted");
        return Ok(Exit::Failed);
    }
    let cleared = clear(path).map_err(|trouble| failed(&trouble.to_string()))?;
    print("the journal is empty\n")?;
    if cleared.others {
        complain("another keepwatch has it open, and goes on writing to it what it sees from now on");
    }
    for damaged in damaged_ones(path) {
        complain(&format!("a damaged journal that was moved aside is still there: {}", shown(&damaged)));
    }
    Ok(Exit::Fine)
}

/// Asks on the terminal.
fn is_meant(path: &Path, sizes: &Sizes) -> Result<bool, Refusal> {
    if !stdin().is_terminal() {
        return Err(super::usage(
            "nobody can be asked here: give --yes to delete all that is in the journal",
        ));
    }
    let question = format!(
        "{}\nhas {} of {} sessions. Delete all of it? [y/N] ",
        shown(path),
        text::bytes(i64::try_from(sizes.bytes).unwrap_or(i64::MAX)),
        sizes.sessions
    );
    let mut out = stderr().lock();
    let _ = out.write_all(question.as_bytes()).and_then(|()| out.flush()); // where nobody reads, nobody answers
    let mut answer = String::new();
    stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| failed(&format!("no answer can be read: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_a_line_each_for_people_and_for_scripts() {
        let oldest = Some("2026-11-22T12:00:00Z".parse().unwrap());
        let sizes = Sizes { bytes: 18_214_912, segments: 12, entries: 9431, sessions: 431, oldest };
        assert_eq!(
            size(&sizes, Zone::Utc),
            "bytes     18214912  (18.2 MB)\nsegments  12\nentries   9431\nsessions  431\noldest    2026-11-22 12:00:00\n"
        );
        assert!(size(&Sizes { oldest: None, ..sizes }, Zone::Utc).ends_with("oldest    -\n"));
    }
}
