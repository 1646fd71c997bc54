//! Creates and reads recording files, for the commands. `store` defines the format.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::Path;

use super::CliError;
use super::print_error;
use crate::VERSION;
use crate::private_file;
use crate::store::recorder::RecordingFile;
use crate::store::{FORMAT_VERSION, Recording, StreamHeader};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::MetadataPath;
use keepwatch_core::text;
use keepwatch_core::tracker::AlertRules;
use keepwatch_core::tracker::cost::Rates;

/// The maximum width of a path in a message, in columns.
const MAX_PATH_COLUMNS: usize = 200;

/// The values that a recording stores in its header, so that a replay raises the same alerts and shows the same host.
pub(super) struct RecordingParams {
    pub(super) started: Timestamp,
    pub(super) alert_rules: AlertRules,
    pub(super) owner_key: Option<MetadataPath>,
    pub(super) rates: Rates,
    /// The host of the API, or `None` for the public API and for several profiles.
    pub(super) host: Option<String>,
}

impl RecordingParams {
    /// Returns the header of a new recording. `no_metadata` is true if the recording leaves out metadata.
    pub(super) fn header(self, no_metadata: bool) -> StreamHeader {
        let Self { started, alert_rules, owner_key, rates, host } = self;
        let version = VERSION.to_owned();
        StreamHeader {
            format: FORMAT_VERSION,
            version,
            started,
            alert_rules,
            owner_key,
            rates,
            host,
            no_metadata,
        }
    }
}

/// Creates the recording of `--record`. If the file is deleted, moved or replaced while keepwatch writes it, the
/// recorder reports this.
pub(super) fn create_watched(path: &Path) -> Result<RecordingFile, CliError> {
    RecordingFile::create(path).map_err(|error| new_file_error(path, "--record", &error))
}

/// Creates a new file that only the user can read. Returns an error, which names `option`, if something is already at
/// `path` or the file cannot be created.
pub(super) fn create(path: &Path, option: &'static str) -> Result<File, CliError> {
    private_file::create_new(path).map_err(|error| new_file_error(path, option, &error))
}

fn new_file_error(path: &Path, option: &'static str, error: &io::Error) -> CliError {
    let problem = match error.kind() {
        ErrorKind::AlreadyExists if path.is_file() => {
            "it is there already, and nothing is written over".into()
        }
        ErrorKind::AlreadyExists => "what is there is no file, and a recording is a new one".into(),
        _ => error.to_string(),
    };
    CliError::NewFile { option, path: display_path(path), problem }
}

/// Reads a recording, up to the first damage if there is any. [`print_damage`] reports the damage. `-` is standard
/// input.
pub(super) fn read(path: &Path) -> Result<Recording, CliError> {
    let (shown_path, recording) = if path == Path::new("-") {
        ("standard input".to_owned(), Recording::read(&mut io::stdin().lock()))
    } else {
        let file =
            File::open(path).map_err(|error| CliError::ReadRecording { path: display_path(path), error })?;
        (display_path(path), Recording::read(&mut BufReader::new(file)))
    };
    recording.map_err(|error| CliError::InvalidRecording { path: shown_path, error })
}

fn display_path(path: &Path) -> String {
    text::sanitise(&path.to_string_lossy(), MAX_PATH_COLUMNS)
}

/// If the recording is damaged, prints the place of the damage on standard error.
pub(super) fn print_damage(recording: &Recording) {
    if let Some(damage) = &recording.damage {
        print_error(&damage.to_string());
    }
}
