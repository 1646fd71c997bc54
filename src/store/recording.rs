//! A recording: a header and the lines, as NDJSON.
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
use keepwatch_core::tracker::AlertThresholds;
use keepwatch_core::tracker::cost::Rates;

/// The version of the format that is written, and the newest that is read.
pub const FORMAT_VERSION: u32 = 1;
/// What each begins with.
const HEADER_PREFIX: &[u8] = b"{\"keepwatch_recording\"";
/// No price is as high, in dollars.
const MAX_PRICE: f64 = 1e6;
/// The longest line that is read, in bytes: a list of a hundred thousand sessions.
const MAX_LINE_BYTES: u64 = 256 * 1024 * 1024;

/// What a recording was made with: all that a fleet and its evidence depend on beside the inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamHeader {
    /// The version of the format.
    #[serde(rename = "keepwatch_recording")]
    pub format: u32,
    /// The version of keepwatch that made it.
    pub version: String,
    /// When it was begun.
    pub started: Timestamp,
    /// When sessions were flagged.
    pub thresholds: AlertThresholds,
    /// Where the metadata says whose a session is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_key: Option<MetadataPath>,
    /// What things cost.
    pub rates: Rates,
    /// The API's host, where it is not the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether metadata was left out.
    #[serde(default)]
    pub no_metadata: bool,
}

/// A recording that was read.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What it was made with.
    pub header: StreamHeader,
    /// What happened.
    pub input_log: InputLog,
    /// Where it could be read no further.
    pub damage: Option<RecordingDamage>,
}

/// The place from which on a recording can not be read: it is damaged, or ends within a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recording is damaged from line {line} on ({reason}); what stands before it is shown")]
pub struct RecordingDamage {
    /// The first line that can not be read; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The reason why a file can not be read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// There is nothing in it.
    #[error("the recording is empty")]
    Empty,
    /// Its first line is no header.
    #[error("this is no recording of keepwatch: its first line has no keepwatch_recording")]
    NotARecording,
    /// Its first line is a header that can not be.
    #[error("the recording can not be read: its header is damaged")]
    DamagedHeader,
    /// It is of a newer version.
    #[error(
        "the recording has format {format}, made by keepwatch {version}; this one reads up to {FORMAT_VERSION}: a newer keepwatch is needed"
    )]
    NewerFormat {
        /// Of the format.
        format: u64,
        /// Of keepwatch, where it says so.
        version: String,
    },
    /// The file can not be read.
    #[error("the recording can not be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Recording {
    /// Reads all that can be read.
    ///
    /// # Errors
    /// It is no recording, or one of a newer version.
    pub fn read(reader: &mut impl BufRead) -> Result<Self, RecordingError> {
        let mut line = Vec::new();
        read_line(reader, &mut line)?;
        let header = parse_header(&line)?;
        let (mut entries, mut damage, mut number) = (Vec::new(), None, 1_u64);
        let mut used_seqs = HashSet::new();
        loop {
            number = number.saturating_add(1);
            let read = read_line(reader, &mut line);
            let parsed = match read {
                Ok(0) => break,
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(_) => parse_entry(&line, &mut used_seqs),
                Err(error) => Err(error.to_string()),
            };
            match parsed {
                Ok(line) => entries.push(line),
                Err(reason) => {
                    damage = Some(RecordingDamage { line: number, reason });
                    break;
                }
            }
        }
        Ok(Self { header, input_log: InputLog::from_entries(entries), damage })
    }
}

/// An entry whose place is not taken; else why it is none.
fn parse_entry(line: &[u8], used_seqs: &mut HashSet<(Option<String>, u64)>) -> Result<StreamEntry, String> {
    let line: StreamEntry = serde_json::from_slice(line).map_err(|error| match error.classify() {
        Category::Eof => "it ends within the line",
        Category::Syntax => "it is no JSON",
        Category::Data | Category::Io => "it is no entry of a recording",
    })?;
    let is_new = used_seqs.insert((line.profile.clone(), line.seq));
    if is_new { Ok(line) } else { Err(format!("the place {} is taken by a line before it", line.seq)) }
}

fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let read = io::Read::take(reader, MAX_LINE_BYTES).read_until(b'\n', line)?;
    Ok(u64::try_from(read).unwrap_or(u64::MAX))
}

fn parse_header(line: &[u8]) -> Result<StreamHeader, RecordingError> {
    if line.is_empty() {
        return Err(RecordingError::Empty);
    }
    let has_prefix = line.starts_with(HEADER_PREFIX);
    let no_header =
        |_| if has_prefix { RecordingError::DamagedHeader } else { RecordingError::NotARecording };
    let value: serde_json::Value = serde_json::from_slice(line).map_err(no_header)?;
    let format = value.get("keepwatch_recording").and_then(serde_json::Value::as_u64);
    let format = format.ok_or(RecordingError::NotARecording)?;
    if format > u64::from(FORMAT_VERSION) {
        let version = value.get("version").and_then(serde_json::Value::as_str).unwrap_or("?");
        return Err(RecordingError::NewerFormat { format, version: text::sanitise(version, 20) });
    }
    let mut header: StreamHeader =
        serde_json::from_value(value).map_err(|_| RecordingError::DamagedHeader)?;
    // Whoever made the file wrote it, and it is printed as if it were ours.
    header.version = text::sanitise(&header.version, 20);
    let Rates { hour, gb } = header.rates;
    let are_prices = [hour, gb].iter().all(|price| (0.0..MAX_PRICE).contains(price));
    if are_prices { Ok(header) } else { Err(RecordingError::DamagedHeader) }
}

/// Writes a recording. What is open is held back until it is closed, or until the file is.
#[derive(Debug)]
pub struct RecordingWriter<W: Write> {
    output: W,
}

impl<W: Write> RecordingWriter<W> {
    /// Begins with the header.
    ///
    /// # Errors
    /// It can not be written.
    pub fn new(mut output: W, header: &StreamHeader) -> io::Result<Self> {
        serde_json::to_writer(&mut output, header)?;
        output.write_all(b"\n")?;
        output.flush()?;
        Ok(Self { output })
    }

    /// Writes what is closed.
    ///
    /// # Errors
    /// It can not be written.
    pub fn write<'l>(&mut self, entries: impl IntoIterator<Item = &'l StreamEntry>) -> io::Result<()> {
        for line in entries.into_iter().filter(|line| !line.is_open) {
            serde_json::to_writer(&mut self.output, line)?;
            self.output.write_all(b"\n")?;
        }
        self.output.flush()
    }
}
