//! The config file: where it is, and what it says. It is looked at as a whole, whichever command is run, so that what is
//! wrong in it is heard of at once; what is merely unknown is left out, with a warning.
//!
//! ```toml
//! interval = "5s"             # the top: of every command that has such an option; see `places`
//! api-key-file = "~/.config/browserbase/key"
//!
//! [events]                    # of one command, before what the top says
//! format = "text"
//!
//! [profile.staging]           # of `--profile staging`, before what the top says
//! base-url = "https://api.staging.example"
//! api-key-command = ["pass", "show", "browserbase/staging"]
//! ```
//!
//! It never holds a key, only where one is. Its text is not trusted with the terminal: what a sentence quotes of it is
//! made safe by `text`.

mod parser;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::api_options::ApiOptions;
use super::file_schema::TableSchema;
use super::{ConfigError, Environment, nearest};
use crate::cli::RawArgs;
use keepwatch_core::text;
use parser::ConfigParser;

/// The largest file that is read, in bytes. With every option and a comment on each, one has 6 KB.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// The widest path in a sentence, in columns.
const MAX_PATH_COLUMNS: usize = 200;
/// The widest name of a profile or an option in a sentence, in columns.
const MAX_NAME_COLUMNS: usize = 40;

/// What the config file says. Where there is none, nothing.
#[derive(Debug, Default)]
pub struct ConfigFile {
    /// Where it is, or would be; fit to be shown.
    display_path: Option<String>,
    /// What the tables are, the top first.
    tables: Vec<(TableSchema, TableValues)>,
    /// What `--profile` chooses from.
    profiles: BTreeMap<String, ApiOptions>,
    /// What was left out, a sentence each.
    warnings: Vec<String>,
}

/// What one table says.
#[derive(Debug, Default)]
struct TableValues {
    /// Options with their values, each as it would be typed and known to be good.
    options: Vec<(String, String)>,
    /// How the API is reached.
    api_options: ApiOptions,
}

impl ConfigFile {
    /// The file that `--config` or `KEEPWATCH_CONFIG` names, else the one where it is looked for, if there is one.
    ///
    /// # Errors
    /// A sentence, if it can not be read or something in it is wrong.
    pub fn find(raw_args: &RawArgs, env: &Environment) -> Result<Self, ConfigError> {
        if !raw_args.has_config_option() {
            return Ok(Self::default());
        }
        let named = raw_args.config_path().map(Path::to_path_buf).or_else(|| env.path("KEEPWATCH_CONFIG"));
        let is_named = named.is_some();
        let Some(path) = named.or_else(|| default_path(env)) else { return Ok(Self::default()) };
        let name = text::sanitise(&path.to_string_lossy(), MAX_PATH_COLUMNS);
        match read_bounded(&path) {
            Ok(text) => ConfigParser::new(&text, &path, name, env.path("HOME")).parse(),
            Err(error) if !is_named && is_missing(&error) => {
                Ok(Self { display_path: Some(name), ..Self::default() })
            }
            Err(error) => Err(ConfigError::UnreadableFile { file: name, error }),
        }
    }

    /// The options for a command, by their long names: what its table says, and what the top says beside it.
    pub(super) fn options(&self, command: Option<&str>) -> Vec<(&str, &str)> {
        let own = self.table(command);
        let (Some((table, values)), Some((_, top))) = (own, self.tables.first()) else { return Vec::new() };
        let shared = top.options.iter().filter(|(key, _)| {
            let here = values.options.iter().any(|(own, _)| own == key);
            command.is_some() && !here && table.option(key).is_some_and(|place| place.is_shared)
        });
        values.options.iter().chain(shared).map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    /// How a command reaches the API without a profile.
    pub(super) fn api_options(&self, command: Option<&str>) -> ApiOptions {
        let of = |command| self.table(command).map(|(_, said)| said.api_options.clone()).unwrap_or_default();
        of(command).merged_over(&of(None))
    }

    /// Returns the profile with this name.
    pub(super) fn profile(&self, name: &str) -> Result<&ApiOptions, ConfigError> {
        let shown = text::sanitise(name, MAX_NAME_COLUMNS);
        if let Some(profile) = self.profiles.get(name) {
            // The default file has such an example. A user who chooses it means another project than the default one.
            if profile.base_url.is_none() && profile.key_source.is_none() {
                return Err(ConfigError::EmptyProfile(shown));
            }
            return Ok(profile);
        }
        let Some(file) = self.display_path.clone() else {
            return Err(ConfigError::ProfileWithoutFile(shown));
        };
        let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        if known.is_empty() {
            return Err(ConfigError::FileWithoutProfiles { name: shown, file });
        }
        let near = nearest(name, known.iter().copied()).map(str::to_owned);
        let known = text::sanitise(&known.join(", "), MAX_PATH_COLUMNS);
        Err(ConfigError::UnknownProfile { name: shown, file, known, near })
    }

    /// What was left out, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn table(&self, command: Option<&str>) -> Option<&(TableSchema, TableValues)> {
        self.tables.iter().find(|(table, _)| table.command.as_deref() == command)
    }
}

/// `$XDG_CONFIG_HOME/keepwatch/config.toml`, else the same in `~/.config`: on a Mac too, where terminal programs have
/// their files as everywhere else. A relative `XDG_CONFIG_HOME` says nothing, by its specification.
fn default_path(env: &Environment) -> Option<PathBuf> {
    let folder = env.path("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = folder.or_else(|| Some(env.path("HOME")?.join(".config")))?;
    Some(folder.join("keepwatch").join("config.toml"))
}

/// Whether there is no file at all.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() > usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX) {
        return Err(io::Error::other("it is larger than any config file"));
    }
    Ok(text)
}
