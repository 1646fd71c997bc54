//! Recordings as files: one that is begun, one that is read.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use super::{complain, failed, usage};
use crate::config::{Refusal, VERSION};
use crate::private_file;
use crate::store::{FORMAT, Header, Recording};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::MetadataPath;
use keepwatch_core::text;
use keepwatch_core::tracker::Thresholds;
use keepwatch_core::tracker::cost::Rates;

/// What a recording is made with, beside what the reader says of it.
pub(super) struct Made {
    pub(super) started: Timestamp,
    pub(super) thresholds: Thresholds,
    pub(super) owner_key: Option<MetadataPath>,
    pub(super) rates: Rates,
    pub(super) host: Option<String>,
}

impl Made {
    /// The header of what is made with it.
    pub(super) fn header(self, no_metadata: bool) -> Header {
        let Self { started, thresholds, owner_key, rates, host } = self;
        let version = VERSION.to_owned();
        Header { format: FORMAT, version, started, thresholds, owner_key, rates, host, no_metadata }
    }
}

/// A new file for a recording, as `option` asks for it.
pub(super) fn create(path: &Path, option: &str) -> Result<File, Refusal> {
    private_file::create_new(path).map_err(|error| {
        let name = text::shown(&path.to_string_lossy(), 200);
        let why = match error.kind() {
            ErrorKind::AlreadyExists if path.is_file() => {
                "it is there already, and nothing is written over".into()
            }
            ErrorKind::AlreadyExists => "what is there is no file, and a recording is a new one".into(),
            _ => error.to_string(),
        };
        usage(&format!("{option}: {name} can not be begun: {why}"))
    })
}

/// Reads a recording. What is damaged is said, and what stands before the damage is read.
pub(super) fn read(path: &Path) -> Result<Recording, Refusal> {
    let name = text::shown(&path.to_string_lossy(), 200);
    let file = File::open(path).map_err(|error| failed(&format!("{name} can not be read: {error}")))?;
    let recording = Recording::read(&mut BufReader::new(file));
    recording.map_err(|refused| failed(&format!("{name}: {}", refused)))
}

/// Says on standard error where a recording is damaged.
pub(super) fn complain_of_damage(recording: &Recording) {
    if let Some(damage) = &recording.damage {
        complain(&damage.to_string());
    }
}
