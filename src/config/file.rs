//! Finds and reads the config file, and returns its options. Every command that reads the file validates all of it, so
//! that a user sees errors at once. Unknown names are ignored with a warning.
//!
//! ```toml
//! interval = "5s"             # top: for every command with this option; see `file_schema`
//! api-key-file = "~/.config/browserbase/key"
//!
//! [events]                    # for one command; overrides the top
//! format = "text"
//!
//! [profile.staging]           # for `--profile staging`; overrides the top
//! base-url = "https://api.staging.example"
//! api-key-command = ["pass", "show", "browserbase/staging"]
//! ```
//!
//! The file never contains an API key, only its source. Messages sanitise everything that they quote from the file.

mod parser;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::api_options::ApiOptions;
use super::file_schema::TableSchema;
use super::{ConfigError, Environment, nearest};
use crate::cli::RawArgs;
use keepwatch_core::filter::Filter;
use keepwatch_core::text;
use keepwatch_core::tracker::EarlyLimit;
use parser::ConfigParser;

/// The maximum size of the file, in bytes. A file with every option, each with a comment, has 6 KB.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// The maximum width of a path in a message, in columns.
const MAX_PATH_COLUMNS: usize = 200;
/// The maximum width of the name of a profile or an option in a message, in columns.
const MAX_NAME_COLUMNS: usize = 40;

/// The parsed config file. Empty if there is no file.
#[derive(Debug, Default)]
pub struct ConfigFile {
    /// The path of the file, sanitised, whether the file exists or not. `None` if the command reads no config file, or
    /// if neither a variable nor `HOME` gives a path.
    display_path: Option<String>,
    /// The allowed options and the values of each table. The top of the file comes first.
    tables: Vec<(TableSchema, TableValues)>,
    /// The profiles, by name.
    profiles: BTreeMap<String, ApiOptions>,
    /// The rules in the tables `[[alert]]`, in their order.
    alert_rules: Vec<FileAlertRule>,
    /// Warnings about ignored names, one sentence each. After 20 of them, the last one has the number of further names.
    warnings: Vec<String>,
}

/// One table `[[alert]]`: the thresholds of the sessions that match the filter. The options give missing ones.
#[derive(Clone, Debug, Default)]
pub(super) struct FileAlertRule {
    pub(super) filter: Filter,
    pub(super) early: Option<EarlyLimit>,
    pub(super) left: Option<Vec<Duration>>,
    pub(super) idle: Option<Duration>,
    pub(super) pending: Option<Duration>,
}

/// The values in one table.
#[derive(Debug, Default)]
struct TableValues {
    /// The names and values of options. The values are valid and have the syntax of the command line.
    options: Vec<(String, String)>,
    /// The options that define the endpoint and the API key.
    api_options: ApiOptions,
}

impl ConfigFile {
    /// Reads the file that `--config` or `KEEPWATCH_CONFIG` names, else the default file if it exists.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is invalid.
    pub fn find(raw_args: &RawArgs, env: &Environment) -> Result<Self, ConfigError> {
        if !raw_args.has_config_option() {
            return Ok(Self::default());
        }
        let chosen_path =
            raw_args.config_path().map(Path::to_path_buf).or_else(|| env.path("KEEPWATCH_CONFIG"));
        let is_default_path = chosen_path.is_none();
        let Some(path) = chosen_path.or_else(|| default_path(env)) else { return Ok(Self::default()) };
        if path == Path::new("-") {
            let problem = "the config file is a file: name one instead of -".into();
            return Err(ConfigError::InvalidOption { option: "KEEPWATCH_CONFIG", problem });
        }
        let display_path = text::sanitise(&path.to_string_lossy(), MAX_PATH_COLUMNS);
        match read_bounded(&path) {
            Ok(text) => ConfigParser::new(&text, &path, display_path, env.path("HOME")).parse(),
            Err(error) if is_default_path && is_no_such_file(&error) => {
                Ok(Self { display_path: Some(display_path), ..Self::default() })
            }
            Err(error) => Err(ConfigError::UnreadableFile { file: display_path, error }),
        }
    }

    /// Returns the alert rules, in descending priority.
    pub(super) fn alert_rules(&self) -> &[FileAlertRule] {
        &self.alert_rules
    }

    /// Returns the options that the file sets for `command`: their long names and values. Without a command, these are
    /// the options at the top. For a command, the options of its own table come first. The options at the top follow,
    /// except those that the command does not share and those that its table overrides.
    pub(super) fn options(&self, command: Option<&str>) -> Vec<(&str, &str)> {
        let (Some((schema, values)), Some((_, top))) = (self.table(command), self.tables.first()) else {
            return Vec::new();
        };
        let shared = top.options.iter().filter(|(key, _)| {
            let is_overridden = values.options.iter().any(|(own_key, _)| own_key == key);
            command.is_some() && !is_overridden && schema.option(key).is_some_and(|option| option.is_shared)
        });
        values.options.iter().chain(shared).map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// Returns the API options of a command's table. An option that the table leaves out comes from the top. Profiles
    /// have their own API options: see [`Self::profile`].
    pub(super) fn api_options(&self, command: Option<&str>) -> ApiOptions {
        let table_options =
            |command| self.table(command).map(|(_, values)| values.api_options.clone()).unwrap_or_default();
        table_options(command).or(&table_options(None))
    }

    /// Returns the profile with this name, or an error if the profile does not exist or is empty.
    pub(super) fn profile(&self, name: &str) -> Result<&ApiOptions, ConfigError> {
        let display_name = text::sanitise(name, MAX_NAME_COLUMNS);
        if let Some(profile) = self.profiles.get(name) {
            // `keepwatch config` prints an empty profile as an example. A user who chooses an empty profile does not
            // mean the default project.
            if profile.base_url.is_none() && profile.key_source.is_none() {
                return Err(ConfigError::EmptyProfile(display_name));
            }
            return Ok(profile);
        }
        let Some(file) = self.display_path.clone() else {
            return Err(ConfigError::ProfileWithoutFile(display_name));
        };
        let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        if known.is_empty() {
            return Err(ConfigError::FileWithoutProfiles { name: display_name, file });
        }
        let suggestion = nearest(name, known.iter().copied()).map(str::to_owned);
        let known = text::sanitise(&known.join(", "), MAX_PATH_COLUMNS);
        Err(ConfigError::UnknownProfile { name: display_name, file, known, suggestion })
    }

    /// Returns warnings about ignored names, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the table of a command, or the top if `command` is `None`.
    fn table(&self, command: Option<&str>) -> Option<&(TableSchema, TableValues)> {
        self.tables.iter().find(|(table, _)| table.command.as_deref() == command)
    }
}

/// Returns `$XDG_CONFIG_HOME/keepwatch/config.toml`, else the same path in `~/.config`. This also holds for macOS,
/// where terminal programs use these folders. The XDG specification says to ignore a relative `XDG_CONFIG_HOME`.
fn default_path(env: &Environment) -> Option<PathBuf> {
    let folder = env.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = folder.or_else(|| Some(env.path("HOME")?.join(".config")))?;
    Some(folder.join("keepwatch").join("config.toml"))
}

/// Returns true if a file could not be opened because it does not exist, or because a folder of its path is a file.
fn is_no_such_file(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Reads a file of at most [`MAX_FILE_BYTES`] bytes.
fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() > usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX) {
        return Err(io::Error::other("it is larger than any config file"));
    }
    Ok(text)
}
