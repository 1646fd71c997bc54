//! The recording format: a header and the entries, as NDJSON. Reads and writes streams of bytes; never opens a file.
//!
//! ```text
//! {"keepwatch_recording":1,"version":"0.1.0","started":"2026-11-22T21:04:02Z", ...}
//! {"n":0,"at":"2026-11-22T21:04:02.1Z","reply":{...}}
//! ```

use std::collections::HashSet;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::decoder::InputLog;
use super::entry::StreamEntry;
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::MetadataPath;
use keepwatch_core::text;
use keepwatch_core::tracker::AlertRules;
use keepwatch_core::tracker::cost::Rates;

/// Version of the format that is written, and the newest that can be read.
pub const FORMAT_VERSION: u32 = 1;
/// The first bytes of every recording.
const HEADER_PREFIX: &[u8] = b"{\"keepwatch_recording\"";
/// A price in the header must be below this number of dollars.
const MAX_PRICE: f64 = 1e6;
/// Maximum length of a line, in bytes: enough for a list of a hundred thousand sessions.
const MAX_LINE_BYTES: u64 = 256 * 1024 * 1024;
/// Maximum width of the version in the header, in columns.
const MAX_VERSION_COLUMNS: usize = 20;

/// The settings of a recorded run: everything that the tracker and the evidence depend on, except the inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamHeader {
    /// Version of the format.
    #[serde(rename = "keepwatch_recording")]
    pub format: u32,
    /// Version of keepwatch that wrote the stream.
    pub version: String,
    /// Wall time at the start of the stream.
    pub started: Timestamp,
    /// Rules of the alerts.
    #[serde(rename = "thresholds")]
    pub alert_rules: AlertRules,
    /// Path of the owner in a session's metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_key: Option<MetadataPath>,
    /// Prices of browser time and proxy traffic.
    pub rates: Rates,
    /// Host of the API, if it is not the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// True if metadata is omitted.
    #[serde(default)]
    pub no_metadata: bool,
}

/// A recording that was read. Its inputs are still encoded.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The settings of the recorded run.
    pub header: StreamHeader,
    /// The entries, or those before the damage if there is any.
    pub input_log: InputLog,
    /// The line at which reading stopped early; `None` if all lines were read.
    pub damage: Option<RecordingDamage>,
}

/// The line of a recording at which reading stopped: it is malformed, repeats a sequence number, or cannot be read, or
/// the file ends within it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recording is damaged from line {line} on ({reason}); what stands before it is shown")]
pub struct RecordingDamage {
    /// Number of the first unreadable line. The header is line 1.
    pub line: u64,
    /// The reason why the line is unreadable.
    pub reason: String,
}

/// The reason why a file cannot be read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file is empty.
    #[error("the recording is empty")]
    Empty,
    /// The first line is not a header.
    #[error("this is no recording of keepwatch: its first line has no keepwatch_recording")]
    NotARecording,
    /// The first line is a header, but a malformed one.
    #[error("the recording can not be read: its header is damaged")]
    DamagedHeader,
    /// A newer keepwatch wrote the file.
    #[error(
        "the recording has format {format}, made by keepwatch {version}; this one reads up to {FORMAT_VERSION}: a newer keepwatch is needed"
    )]
    NewerFormat {
        /// Version of the format.
        format: u64,
        /// Version of keepwatch, or `?` if the header lacks it. Sanitised.
        version: String,
    },
    /// The system reported an error.
    #[error("the recording can not be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Recording {
    /// Reads the header, and the entries up to the first unreadable line.
    ///
    /// # Errors
    /// The file is empty or is not a recording, its header cannot be read or is damaged, or its format is newer than
    /// [`FORMAT_VERSION`].
    pub fn read(reader: &mut impl BufRead) -> Result<Self, RecordingError> {
        let mut line = Vec::new();
        read_line(reader, &mut line)?;
        let header = parse_header(&line)?;
        let (mut entries, mut damage, mut line_number) = (Vec::new(), None, 1_u64);
        let mut used_seqs = HashSet::new();
        loop {
            line_number = line_number.saturating_add(1);
            let parsed = match read_line(reader, &mut line) {
                Ok(0) => break,
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(_) => parse_entry(&line, &mut used_seqs),
                Err(error) => Err(error.to_string()),
            };
            match parsed {
                Ok(entry) => entries.push(entry),
                Err(reason) => {
                    damage = Some(RecordingDamage { line: line_number, reason });
                    break;
                }
            }
        }
        Ok(Self { header, input_log: InputLog::from_entries(entries), damage })
    }
}

/// Parses an entry. Returns the reason if it is malformed, or if its sequence number is used already. `used_seqs` has
/// the profile and the sequence number of each earlier entry, and gains those of this entry.
fn parse_entry(line: &[u8], used_seqs: &mut HashSet<(Option<String>, u64)>) -> Result<StreamEntry, String> {
    let entry: StreamEntry = serde_json::from_slice(line).map_err(|error| match error.classify() {
        Category::Eof => "it ends within the line",
        Category::Syntax => "it is no JSON",
        Category::Data | Category::Io => "it is no entry of a recording",
    })?;
    let is_new = used_seqs.insert((entry.profile.clone(), entry.seq));
    if is_new { Ok(entry) } else { Err(format!("the place {} is taken by a line before it", entry.seq)) }
}

/// Reads the next line into `line`. Returns its length in bytes; 0 at the end. Splits a line that is longer than
/// [`MAX_LINE_BYTES`], so that parsing it fails.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let read = io::Read::take(reader, MAX_LINE_BYTES).read_until(b'\n', line)?;
    Ok(u64::try_from(read).unwrap_or(u64::MAX))
}

/// Parses the first line. Sanitises the version and checks the prices.
fn parse_header(line: &[u8]) -> Result<StreamHeader, RecordingError> {
    if line.is_empty() {
        return Err(RecordingError::Empty);
    }
    let has_prefix = line.starts_with(HEADER_PREFIX);
    let header_error =
        |_| if has_prefix { RecordingError::DamagedHeader } else { RecordingError::NotARecording };
    let value: serde_json::Value = serde_json::from_slice(line).map_err(header_error)?;
    let format = value.get("keepwatch_recording").and_then(serde_json::Value::as_u64);
    let format = format.ok_or(RecordingError::NotARecording)?;
    if format > u64::from(FORMAT_VERSION) {
        let version = value.get("version").and_then(serde_json::Value::as_str).unwrap_or("?");
        return Err(RecordingError::NewerFormat {
            format,
            version: text::sanitise(version, MAX_VERSION_COLUMNS),
        });
    }
    let mut header: StreamHeader =
        serde_json::from_value(value).map_err(|_| RecordingError::DamagedHeader)?;
    // The file may come from anybody, and messages print the version without further checks.
    header.version = text::sanitise(&header.version, MAX_VERSION_COLUMNS);
    let Rates { hour, gb } = header.rates;
    let are_prices_valid = [hour, gb].iter().all(|price| (0.0..MAX_PRICE).contains(price));
    if are_prices_valid { Ok(header) } else { Err(RecordingError::DamagedHeader) }
}

/// Writes a recording. Skips open entries: the encoder returns an open entry again once the entry is closed.
#[derive(Debug)]
pub struct RecordingWriter<W: Write> {
    output: W,
}

impl<W: Write> RecordingWriter<W> {
    /// Writes the header to `output`, and returns the writer.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn new(mut output: W, header: &StreamHeader) -> io::Result<Self> {
        serde_json::to_writer(&mut output, header)?;
        output.write_all(b"\n")?;
        output.flush()?;
        Ok(Self { output })
    }

    /// Writes the closed entries among `entries`.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn write<'l>(&mut self, entries: impl IntoIterator<Item = &'l StreamEntry>) -> io::Result<()> {
        for entry in entries.into_iter().filter(|entry| !entry.is_open) {
            serde_json::to_writer(&mut self.output, entry)?;
            self.output.write_all(b"\n")?;
        }
        self.output.flush()
    }
}
