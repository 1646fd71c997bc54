//! The text of a config file → a [`ConfigFile`], or a sentence about the first thing that is wrong, with its line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{NOT_A_BOOLEAN, argv, option_text};
use super::{ConfigFile, MAX_NAME_COLUMNS, TableValues};
use crate::api::Endpoint;
use crate::config::api_options::{ApiOptions, KeySource, PROFILE_KEYS, resolve_path};
use crate::config::file_schema::{self, TableSchema};
use crate::config::{ConfigError, nearest};
use keepwatch_core::text;

/// The widest sentence about a value, in columns: it quotes the value.
const MAX_PROBLEM_COLUMNS: usize = 300;
/// The widest label of a profile, in columns.
const MAX_LABEL_COLUMNS: usize = 40;
/// So many warnings are kept; the others are counted.
const MAX_WARNINGS: usize = 20;
/// What the file alone has, wherever the API is reached.
const API_KEY_COMMAND: &str = "api-key-command";
/// An option that names a file. Here it is beside this one, or in the home.
const LOG: &str = "log";
/// The table of profiles.
const PROFILES: &str = "profile";

/// A key with its place in the text.
type SpannedKey<'t> = Spanned<toml::de::DeString<'t>>;
/// A value with its place in the text.
type SpannedValue<'t> = Spanned<DeValue<'t>>;

/// Reads one file.
pub(super) struct ConfigParser<'t> {
    text: &'t str,
    /// The file's path, fit to be shown.
    display_path: String,
    folder: &'t Path,
    home: Option<PathBuf>,
    warnings: Vec<String>,
    /// Warnings that were not kept.
    dropped_warnings: usize,
}

impl<'t> ConfigParser<'t> {
    /// Of `text`, which stands at `path`, which is shown as `name`.
    pub(super) fn new(text: &'t str, path: &'t Path, name: String, home: Option<PathBuf>) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self { text, display_path: name, folder, home, warnings: Vec::new(), dropped_warnings: 0 }
    }

    /// Reads all of it.
    pub(super) fn parse(mut self) -> Result<ConfigFile, ConfigError> {
        let root = DeTable::parse(self.text).map_err(|error| self.invalid_toml(&error))?;
        let mut tables = file_schema::tables().into_iter();
        let Some(top) = tables.next() else { return Ok(ConfigFile::default()) };
        let command_tables: Vec<TableSchema> = tables.collect();
        let mut file = ConfigFile { display_path: Some(self.display_path.clone()), ..ConfigFile::default() };
        let mut top_values = TableValues::default();
        for (key, value) in root.get_ref() {
            let name = key.get_ref().as_ref();
            if name == PROFILES {
                for (name, value) in self.expect_table(key, value, "[profile.NAME]")? {
                    let profile = self.parse_profile(name, value)?;
                    file.profiles.insert(name.get_ref().to_string(), profile);
                }
            } else if command_tables.iter().all(|table| table.command.as_deref() != Some(name)) {
                self.parse_option(&top, &command_tables, key, value, &mut top_values)?;
            }
        }
        file.tables.push((top, top_values));
        for table in command_tables {
            let mut said = TableValues::default();
            let command = table.command.as_deref().unwrap_or_default();
            if let Some((key, value)) = root.get_ref().get_key_value(command) {
                for (key, value) in self.expect_table(key, value, &format!("[{command}]"))? {
                    self.parse_option(&table, &[], key, value, &mut said)?;
                }
            }
            file.tables.push((table, said));
        }
        file.warnings = self.warnings;
        if self.dropped_warnings > 0 {
            file.warnings
                .push(format!("{} names more in {} are unknown", self.dropped_warnings, self.display_path));
        }
        Ok(file)
    }

    /// Takes one entry of a table of options. `below` are the tables in which else it could be at home.
    fn parse_option(
        &mut self,
        table: &TableSchema,
        command_tables: &[TableSchema],
        key: &SpannedKey<'t>,
        value: &SpannedValue<'t>,
        values: &mut TableValues,
    ) -> Result<(), ConfigError> {
        let name = key.get_ref().as_ref();
        let option = table.option(name);
        if table.has_api_options
            && (option.is_some() || name == API_KEY_COMMAND)
            && self.parse_api_option(key, value, &mut values.api_options)?
        {
            return Ok(());
        }
        match option {
            Some(place) => {
                let written = option_text(place, value.get_ref()).and_then(|written| {
                    place.validate(&written)?;
                    Ok(written)
                });
                let written = match name {
                    LOG => written.and_then(|it| self.resolve_path_text(&it)),
                    _ => written,
                };
                let written = written.map_err(|sentence| self.invalid_entry(key, &sentence))?;
                values.options.push((name.to_owned(), written));
                Ok(())
            }
            None => self.warn_unknown_option(table, command_tables, key, value),
        }
    }

    /// Takes what says how the API is reached, and says whether it was that.
    fn parse_api_option(
        &self,
        key: &SpannedKey<'t>,
        value: &SpannedValue<'t>,
        into: &mut ApiOptions,
    ) -> Result<bool, ConfigError> {
        let refuse = |sentence: &str| self.invalid_entry(key, sentence);
        let string = || value.get_ref().as_str().ok_or_else(|| refuse("it takes a text, in quotes"));
        match key.get_ref().as_ref() {
            "base-url" => {
                // Whether plain http may be used is known when it is to be used.
                Endpoint::new(string()?, "it", true).map_err(|error| refuse(&error.to_string()))?;
                into.base_url = Some(string()?.to_owned());
            }
            "api-key-file" => {
                let written = string()?;
                if text::redact(written) != written {
                    return Err(self.api_key_in_file(key));
                }
                let path =
                    resolve_path(written, self.folder, self.home.as_deref()).map_err(|it| refuse(&it))?;
                self.set_key_source(key, KeySource::File(path), into)?;
            }
            API_KEY_COMMAND => {
                let words = argv(value.get_ref()).ok_or_else(|| {
                    refuse("it takes a program and its arguments, as [\"pass\", \"show\", \"browserbase\"]")
                })?;
                self.set_key_source(key, KeySource::Command(words), into)?;
            }
            "insecure-http" => {
                let is = value.get_ref().as_bool().ok_or_else(|| refuse(NOT_A_BOOLEAN))?;
                into.insecure_http = Some(is);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A path as this file means it, as text.
    fn resolve_path_text(&self, written: &str) -> Result<String, String> {
        let path = resolve_path(written, self.folder, self.home.as_deref())?;
        path.into_os_string().into_string().map_err(|_| "it leads to a folder whose name is no text".into())
    }

    fn set_key_source(
        &self,
        key: &SpannedKey<'t>,
        source: KeySource,
        into: &mut ApiOptions,
    ) -> Result<(), ConfigError> {
        if into.key_source.replace(source).is_some() {
            return Err(self.invalid_entry(key, "api-key-file and api-key-command exclude each other"));
        }
        Ok(())
    }

    fn parse_profile(
        &mut self,
        name: &SpannedKey<'t>,
        value: &SpannedValue<'t>,
    ) -> Result<ApiOptions, ConfigError> {
        let written = name.get_ref();
        if written.is_empty() || !text::is_printable(written) || text::width(written) > MAX_NAME_COLUMNS {
            return Err(self.invalid_entry(name, "it is no name for a profile: one is a short word"));
        }
        let mut profile = ApiOptions::default();
        for (key, value) in self.expect_table(name, value, &format!("[profile.{written}]"))? {
            if key.get_ref() == "label" {
                let label =
                    value.get_ref().as_str().map(|label| text::sanitise(label.trim(), MAX_LABEL_COLUMNS));
                let label = label.filter(|label| !label.is_empty());
                profile.label =
                    Some(label.ok_or_else(|| self.invalid_entry(key, "it takes a text, in quotes"))?);
            } else if !self.parse_api_option(key, value, &mut profile)? {
                self.reject_api_key(key, value)?;
                let near = nearest(key.get_ref(), PROFILE_KEYS.into_iter());
                let hint =
                    near.map_or_else(|| PROFILE_KEYS.join(", "), |near| format!("did you mean {near}?"));
                self.warn(key, &format!("is nothing that a profile has: {hint}"));
            }
        }
        Ok(profile)
    }

    /// Leaves out what has no place, and says which place was perhaps meant.
    fn warn_unknown_option(
        &mut self,
        table: &TableSchema,
        command_tables: &[TableSchema],
        key: &SpannedKey<'t>,
        value: &SpannedValue<'t>,
    ) -> Result<(), ConfigError> {
        let name = key.get_ref().as_ref();
        let command = table.command.as_deref();
        let typed_only = command_tables.iter().map(|it| it.command.as_deref()).chain([command]);
        if let Some(why) = typed_only.filter_map(|command| file_schema::cli_only_reason(command, name)).next()
        {
            self.warn(key, &format!("is not read from the config file: {why}"));
            return Ok(());
        }
        self.reject_api_key(key, value)?;
        let keys = table.options.iter().map(|place| place.name.as_str());
        let own = keys.chain(table.has_api_options.then_some(API_KEY_COMMAND));
        let tables = command_tables.iter().filter_map(|table| table.command.as_deref()).chain([PROFILES]);
        let near = nearest(name, own.chain(tables.filter(|_| command.is_none())));
        let homes: Vec<String> = command_tables
            .iter()
            .filter(|table| table.option(name).is_some())
            .filter_map(|table| table.command.as_deref().map(|command| format!("[{command}]")))
            .collect();
        let is_table = |near: &str| command_tables.iter().any(|table| table.command.as_deref() == Some(near));
        let of = command.map(|command| format!(" of {command}")).unwrap_or_default();
        let hint = match near {
            _ if !homes.is_empty() => format!(" at the top; it belongs under {}", homes.join(" or ")),
            Some(near) if is_table(near) => format!("{of}; did you mean [{near}]?"),
            Some(near) => format!("{of}; did you mean {near}?"),
            None => format!("{of}; `keepwatch config` prints all of them"),
        };
        self.warn(key, &format!("is no option{hint}"));
        Ok(())
    }

    /// Refuses what looks like a key itself, or has one in it, by its name.
    fn reject_api_key(&self, key: &SpannedKey<'t>, value: &SpannedValue<'t>) -> Result<(), ConfigError> {
        let name = key.get_ref();
        if text::is_secret_name(name) || name.eq_ignore_ascii_case("key") {
            return Err(self.api_key_in_file(key));
        }
        match value.get_ref() {
            DeValue::Table(table) => {
                table.iter().try_for_each(|(key, value)| self.reject_api_key(key, value))
            }
            _ => Ok(()),
        }
    }

    fn expect_table<'v>(
        &self,
        key: &SpannedKey<'t>,
        value: &'v SpannedValue<'t>,
        looks_like: &str,
    ) -> Result<&'v DeTable<'t>, ConfigError> {
        value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.invalid_entry(key, &format!("it is a table, {looks_like}")))
    }

    fn warn(&mut self, key: &SpannedKey<'t>, what: &str) {
        if self.warnings.len() >= MAX_WARNINGS {
            self.dropped_warnings = self.dropped_warnings.saturating_add(1);
            return;
        }
        let (name, line) = (text::sanitise(key.get_ref(), MAX_NAME_COLUMNS), self.line_number(key.span()));
        self.warnings.push(format!("“{name}” {what} (line {line} of {})", self.display_path));
    }

    fn invalid_entry(&self, key: &SpannedKey<'t>, sentence: &str) -> ConfigError {
        let (name, line) = (text::sanitise(key.get_ref(), MAX_NAME_COLUMNS), self.line_number(key.span()));
        let problem = text::sanitise(&text::redact(sentence), MAX_PROBLEM_COLUMNS);
        ConfigError::InvalidEntry { file: self.display_path.clone(), line, name, problem }
    }

    fn api_key_in_file(&self, key: &SpannedKey<'t>) -> ConfigError {
        self.invalid_entry(
            key,
            "a key does not belong into this file; let api-key-file name a file that holds it, or api-key-command a program \
             that prints it",
        )
    }

    fn invalid_toml(&self, error: &toml::de::Error) -> ConfigError {
        let problem = text::sanitise(&error.message().replace('\n', ", "), MAX_PROBLEM_COLUMNS);
        let at = error.span().unwrap_or_default();
        let above = self.text.get(..at.start).unwrap_or_default();
        let column = above.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
        let line = self.line_number(at);
        ConfigError::InvalidToml { file: self.display_path.clone(), line, column, problem }
    }

    /// The line, from 1, in which a span of the text begins.
    fn line_number(&self, span: Range<usize>) -> usize {
        let above = self.text.get(..span.start).unwrap_or_default();
        above.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1)
    }
}
