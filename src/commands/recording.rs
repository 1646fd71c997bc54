//! Recordings as files: one that is begun, one that is read.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use super::CliError;
use super::print_error;
use crate::VERSION;
use crate::private_file;
use crate::store::{FORMAT_VERSION, Recording, StreamHeader};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::MetadataPath;
use keepwatch_core::text;
use keepwatch_core::tracker::AlertThresholds;
use keepwatch_core::tracker::cost::Rates;

/// The widest path in a message, in columns.
const MAX_PATH_COLUMNS: usize = 200;

/// What a recording is made with, beside what the reader says of it.
pub(super) struct RecordingParams {
    pub(super) started: Timestamp,
    pub(super) thresholds: AlertThresholds,
    pub(super) owner_key: Option<MetadataPath>,
    pub(super) rates: Rates,
    pub(super) host: Option<String>,
}

impl RecordingParams {
    /// The header of what is made with it.
    pub(super) fn header(self, no_metadata: bool) -> StreamHeader {
        let Self { started, thresholds, owner_key, rates, host } = self;
        let version = VERSION.to_owned();
        StreamHeader {
            format: FORMAT_VERSION,
            version,
            started,
            thresholds,
            owner_key,
            rates,
            host,
            no_metadata,
        }
    }
}

/// A new file for a recording, as `option` asks for it.
pub(super) fn create(path: &Path, option: &'static str) -> Result<File, CliError> {
    private_file::create_new(path).map_err(|error| {
        let problem = match error.kind() {
            ErrorKind::AlreadyExists if path.is_file() => {
                "it is there already, and nothing is written over".into()
            }
            ErrorKind::AlreadyExists => "what is there is no file, and a recording is a new one".into(),
            _ => error.to_string(),
        };
        CliError::NewFile { option, path: display_path(path), problem }
    })
}

/// Reads a recording. What is damaged is said, and what stands before the damage is read.
pub(super) fn read(path: &Path) -> Result<Recording, CliError> {
    let file =
        File::open(path).map_err(|error| CliError::ReadRecording { path: display_path(path), error })?;
    let recording = Recording::read(&mut BufReader::new(file));
    recording.map_err(|error| CliError::InvalidRecording { path: display_path(path), error })
}

fn display_path(path: &Path) -> String {
    text::sanitise(&path.to_string_lossy(), MAX_PATH_COLUMNS)
}

/// Says on standard error where a recording is damaged.
pub(super) fn print_damage(recording: &Recording) {
    if let Some(damage) = &recording.damage {
        print_error(&damage.to_string());
    }
}
