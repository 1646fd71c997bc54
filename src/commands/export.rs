//! `keepwatch export SESSION_ID`: a recording of one session, made of all that the journal has of it.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::Duration;

use super::CliError;
use super::journal::{journal_path, open_journal, resolve_session_id};
use super::print_error;
use super::recording::create;
use crate::config::ExportConfig;
use crate::exit_code::ExitCode;
use crate::store::history::{self, HistoryQuery, HistoryScope};
use crate::store::{self, Encoder, RecordingWriter, StreamHeader};
use keepwatch_core::clock::Clock;
use keepwatch_core::text::escape_json_for_terminal;
use keepwatch_core::tracker::SessionTracker;

/// So far back the clock reaches on which everything is laid: longer than any journal.
pub(super) const CLOCK_REACH: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Writes it.
///
/// # Errors
/// There is no journal, it can not be read, or the recording can not be written.
pub fn export(config: ExportConfig) -> Result<ExitCode, CliError> {
    let reader = open_journal(&journal_path(config.journal)?)?;
    let id = resolve_session_id(&reader, &config.id)?;
    let scope = HistoryScope::Sessions(vec![id.clone()]);
    let Some((header, host)) = history::newest_header(&reader, &HistoryQuery::all(&scope))? else {
        print_error(&format!("{}: the journal has no such session", id.sanitise_line()));
        return Ok(ExitCode::NoSuchSession);
    };
    let header = StreamHeader { no_metadata: header.no_metadata || config.no_metadata, ..header };
    let mut tracker = SessionTracker::new(header.thresholds.clone()).with_owner_key(header.owner_key.clone());
    let mut encoder = Encoder::new(None, header.no_metadata);
    let mut entries = Vec::new();
    let query = HistoryQuery { host: Some(&host), ..HistoryQuery::all(&scope) };
    history::read_inputs(&reader, &query, Clock::backdated(CLOCK_REACH).now(), |input| {
        let (_, more) = store::apply_and_encode(Some(&mut encoder), &mut tracker, input);
        entries.extend(more.into_iter().filter(|line| !line.is_open));
    })?;
    entries.extend(encoder.finish(&tracker));
    let written = match &config.output_path {
        Some(path) => write(create(path, "--to")?, &header, &entries),
        // promise: printed-recording
        None if io::stdout().is_terminal() => write_to_terminal(&header, &entries),
        None => write(io::stdout().lock(), &header, &entries),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::WriteRecording(error)),
        _ => Ok(ExitCode::Success),
    }
}

/// The same, with every character escaped that a terminal would obey.
fn write_to_terminal(header: &StreamHeader, lines: &[store::StreamEntry]) -> io::Result<()> {
    let mut recording = Vec::new();
    write(&mut recording, header, lines)?;
    io::stdout().lock().write_all(escape_json_for_terminal(&String::from_utf8_lossy(&recording)).as_bytes())
}

fn write(to: impl Write, header: &StreamHeader, lines: &[store::StreamEntry]) -> io::Result<()> {
    RecordingWriter::new(BufWriter::new(to), header)?.write(lines)
}
