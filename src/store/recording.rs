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

use super::decoder::Tape;
use super::entry::Line;
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::MetadataPath;
use keepwatch_core::text;
use keepwatch_core::tracker::AlertThresholds;
use keepwatch_core::tracker::cost::Rates;

/// The version of the format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;
/// What each begins with.
const BEGINNING: &[u8] = b"{\"keepwatch_recording\"";
/// No price is as high, in dollars.
const DEAREST: f64 = 1e6;
/// The longest line that is read, in bytes: a list of a hundred thousand sessions.
const LONGEST_LINE: u64 = 256 * 1024 * 1024;

/// What a recording was made with: all that a fleet and its evidence depend on beside the inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
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
    pub header: Header,
    /// What happened.
    pub tape: Tape,
    /// Where it could be read no further.
    pub damage: Option<Damage>,
}

/// The place from which on a recording can not be read: it is damaged, or ends within a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recording is damaged from line {line} on ({why}); what stands before it is shown")]
pub struct Damage {
    /// The first line that can not be read; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

/// The reason why a file can not be read as a recording.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is nothing in it.
    #[error("the recording is empty")]
    Empty,
    /// Its first line is no header.
    #[error("this is no recording of keepwatch: its first line has no keepwatch_recording")]
    NoRecording,
    /// Its first line is a header that can not be.
    #[error("the recording can not be read: its header is damaged")]
    DamagedHeader,
    /// It is of a newer version.
    #[error(
        "the recording has format {format}, made by keepwatch {version}; this one reads up to {FORMAT}: a newer keepwatch is needed"
    )]
    Newer {
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
    pub fn read(from: &mut impl BufRead) -> Result<Self, Refused> {
        let mut line = Vec::new();
        next_line(from, &mut line)?;
        let header = header(&line)?;
        let (mut lines, mut damage, mut number) = (Vec::new(), None, 1_u64);
        let mut places = HashSet::new();
        loop {
            number = number.saturating_add(1);
            let read = next_line(from, &mut line);
            let parsed = match read {
                Ok(0) => break,
                Ok(_) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(_) => entry(&line, &mut places),
                Err(error) => Err(error.to_string()),
            };
            match parsed {
                Ok(line) => lines.push(line),
                Err(why) => {
                    damage = Some(Damage { line: number, why });
                    break;
                }
            }
        }
        Ok(Self { header, tape: Tape::of(lines), damage })
    }
}

/// An entry whose place is not taken; else why it is none.
fn entry(line: &[u8], places: &mut HashSet<(Option<String>, u64)>) -> Result<Line, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| match error.classify() {
        Category::Eof => "it ends within the line",
        Category::Syntax => "it is no JSON",
        Category::Data | Category::Io => "it is no entry of a recording",
    })?;
    let is_new = places.insert((line.profile.clone(), line.n));
    if is_new { Ok(line) } else { Err(format!("the place {} is taken by a line before it", line.n)) }
}

fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let read = io::Read::take(from, LONGEST_LINE).read_until(b'\n', line)?;
    Ok(u64::try_from(read).unwrap_or(u64::MAX))
}

fn header(line: &[u8]) -> Result<Header, Refused> {
    if line.is_empty() {
        return Err(Refused::Empty);
    }
    let is_begun = line.starts_with(BEGINNING);
    let no_header = |_| if is_begun { Refused::DamagedHeader } else { Refused::NoRecording };
    let value: serde_json::Value = serde_json::from_slice(line).map_err(no_header)?;
    let format = value.get("keepwatch_recording").and_then(serde_json::Value::as_u64);
    let format = format.ok_or(Refused::NoRecording)?;
    if format > u64::from(FORMAT) {
        let version = value.get("version").and_then(serde_json::Value::as_str).unwrap_or("?");
        return Err(Refused::Newer { format, version: text::sanitise(version, 20) });
    }
    let mut header: Header = serde_json::from_value(value).map_err(|_| Refused::DamagedHeader)?;
    // Whoever made the file wrote it, and it is printed as if it were ours.
    header.version = text::sanitise(&header.version, 20);
    let Rates { hour, gb } = header.rates;
    let are_prices = [hour, gb].iter().all(|price| (0.0..DEAREST).contains(price));
    if are_prices { Ok(header) } else { Err(Refused::DamagedHeader) }
}

/// Writes a recording. What is open is held back until it is closed, or until the file is.
#[derive(Debug)]
pub struct Writer<W: Write> {
    to: W,
}

impl<W: Write> Writer<W> {
    /// Begins with the header.
    ///
    /// # Errors
    /// It can not be written.
    pub fn new(mut to: W, header: &Header) -> io::Result<Self> {
        serde_json::to_writer(&mut to, header)?;
        to.write_all(b"\n")?;
        to.flush()?;
        Ok(Self { to })
    }

    /// Writes what is closed.
    ///
    /// # Errors
    /// It can not be written.
    pub fn write<'l>(&mut self, lines: impl IntoIterator<Item = &'l Line>) -> io::Result<()> {
        for line in lines.into_iter().filter(|line| !line.open) {
            serde_json::to_writer(&mut self.to, line)?;
            self.to.write_all(b"\n")?;
        }
        self.to.flush()
    }
}
