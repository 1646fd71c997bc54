//! `keepwatch export SESSION_ID`: writes a recording of one session, from the entries of all runs in the journal.
//!
//! If several hosts have a session with this id, only the entries of the host with the newest segment are exported.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::Duration;

use super::CliError;
use super::journal::{journal_path, open_journal, report_missing_entries, resolve_session_id};
use super::output::stdout;
use super::recording::create;
use crate::config::ExportConfig;
use crate::exit_code::ExitCode;
use crate::store::history::{self, HistoryQuery, HistoryScope};
use crate::store::{self, Encoder, RecordingWriter, StreamHeader};
use keepwatch_core::clock::Clock;
use keepwatch_core::text::escape_json_for_terminal;
use keepwatch_core::tracker::SessionTracker;

/// The maximum age of an entry that has a moment on the clock: ten years, which is longer than keepwatch has existed.
pub(super) const MAX_ENTRY_AGE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Writes the recording to the new file or to standard output.
///
/// # Errors
/// Returns an error if the journal is missing or cannot be read, the id is ambiguous, or the recording cannot be
/// written.
pub fn export(config: ExportConfig) -> Result<ExitCode, CliError> {
    let reader = open_journal(&journal_path(config.journal)?)?;
    let id = resolve_session_id(&reader, &config.id)?;
    // promise: known-session, mutant: reader.has_session(&id)? -> true
    let is_known = reader.has_session(&id)?;
    let scope = HistoryScope::Sessions(vec![id.clone()]);
    let newest_header = history::newest_header(&reader, &HistoryQuery::all(&scope))?;
    let Some((header, host)) = newest_header.filter(|_| is_known) else {
        return report_missing_entries(&reader, &id);
    };
    let header = StreamHeader { no_metadata: header.no_metadata || config.no_metadata, ..header };
    let mut tracker =
        SessionTracker::new(header.alert_rules.clone()).with_owner_key(header.owner_key.clone());
    let mut encoder = Encoder::new(None, header.no_metadata);
    let mut entries = Vec::new();
    let query = HistoryQuery { host: Some(&host), ..HistoryQuery::all(&scope) };
    history::read_inputs(&reader, &[query], Clock::backdated(MAX_ENTRY_AGE).now(), |input| {
        let (_, new_entries) = store::apply_and_encode(Some(&mut encoder), &mut tracker, input);
        // The encoder returns a newer version of an open entry later, at the latest in `finish`.
        entries.extend(new_entries.into_iter().filter(|entry| !entry.is_open));
    })?;
    entries.extend(encoder.finish(&tracker));
    let result = match &config.output_path {
        Some(path) => write_recording(create(path, "--to")?, &header, &entries),
        // promise: printed-recording
        None if io::stdout().is_terminal() => write_to_terminal(&header, &entries),
        None => write_recording(stdout(), &header, &entries),
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::WriteRecording(error)),
        _ => Ok(ExitCode::Success), // a closed pipe is not an error
    }
}

/// Writes the recording to standard output, and escapes every character that a terminal would interpret.
fn write_to_terminal(header: &StreamHeader, entries: &[store::StreamEntry]) -> io::Result<()> {
    let mut recording = Vec::new();
    write_recording(&mut recording, header, entries)?;
    stdout().write_all(escape_json_for_terminal(&String::from_utf8_lossy(&recording)).as_bytes())
}

fn write_recording(
    destination: impl Write,
    header: &StreamHeader,
    entries: &[store::StreamEntry],
) -> io::Result<()> {
    RecordingWriter::new(BufWriter::new(destination), header)?.write(entries)
}
