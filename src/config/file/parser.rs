//! Parses the text of a config file into a [`ConfigFile`], or returns the first error with its line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{NOT_A_BOOLEAN, argv, list_texts, option_text};
use super::{ConfigFile, FileAlertRule, MAX_NAME_COLUMNS, TableValues};
use crate::api::Endpoint;
use crate::cli::{parse_duration, parse_early_limit};
use crate::config::api_options::{ApiOptions, KeySource, PROFILE_KEYS, resolve_path};
use crate::config::file_schema::{self, TableSchema};
use crate::config::{ConfigError, nearest};
use keepwatch_core::filter::Filter;
use keepwatch_core::text;

/// The maximum width of a message that quotes a value, in columns.
const MAX_PROBLEM_COLUMNS: usize = 300;
/// The maximum width of a profile's label, in columns.
const MAX_LABEL_COLUMNS: usize = 40;
/// The maximum number of warnings. The parser only counts further warnings.
const MAX_WARNINGS: usize = 20;
/// The name of an API option that the command line does not have.
const API_KEY_COMMAND: &str = "api-key-command";
/// The name of the option for the log file. A relative path in its value starts at the config file's folder.
const LOG: &str = "log";
/// The name of the tables that are alert rules.
const ALERT: &str = "alert";
/// The names that an alert rule may have.
const ALERT_KEYS: [&str; 5] = ["filter", "early", "left", "idle", "pending"];
/// The maximum number of alert rules. Each session is matched with them when it changes.
const MAX_ALERT_RULES: usize = 100;
/// The name of the table that contains the profiles.
const PROFILES: &str = "profile";

/// A TOML key with its position in the text.
type SpannedKey<'t> = Spanned<toml::de::DeString<'t>>;
/// A TOML value with its position in the text.
type SpannedValue<'t> = Spanned<DeValue<'t>>;

/// A parser for one config file.
pub(super) struct ConfigParser<'t> {
    text: &'t str,
    /// The path of the file, sanitised.
    display_path: String,
    /// The folder of the file, at which relative paths in it start.
    folder: &'t Path,
    /// The home directory, for paths that begin with `~/`.
    home: Option<PathBuf>,
    warnings: Vec<String>,
    /// The number of warnings beyond [`MAX_WARNINGS`].
    dropped_warnings: usize,
}

impl<'t> ConfigParser<'t> {
    /// Creates a parser for `text`, which was read from `path`. Messages show the path as `display_path`.
    pub(super) fn new(text: &'t str, path: &'t Path, display_path: String, home: Option<PathBuf>) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self { text, display_path, folder, home, warnings: Vec::new(), dropped_warnings: 0 }
    }

    /// Parses and validates the whole file.
    pub(super) fn parse(mut self) -> Result<ConfigFile, ConfigError> {
        let root = DeTable::parse(self.text).map_err(|error| self.invalid_toml(&error))?;
        let mut tables = file_schema::tables().into_iter();
        let Some(top) = tables.next() else { return Ok(ConfigFile::default()) };
        let command_tables: Vec<TableSchema> = tables.collect();
        let mut file = ConfigFile { display_path: Some(self.display_path.clone()), ..ConfigFile::default() };
        let mut top_values = TableValues::default();
        // Options at the top, and profiles. The second loop parses the tables of commands.
        for (key, value) in root.get_ref() {
            let name = key.get_ref().as_ref();
            if name == PROFILES {
                for (profile_name, value) in self.expect_table(key, value, "[profile.NAME]")? {
                    let profile = self.parse_profile(profile_name, value)?;
                    file.profiles.insert(profile_name.get_ref().to_string(), profile);
                }
            } else if name == ALERT {
                file.alert_rules = self.parse_alert_rules(key, value)?;
            } else if command_tables.iter().all(|table| table.command.as_deref() != Some(name)) {
                self.parse_option(&top, &command_tables, key, value, &mut top_values)?;
            }
        }
        file.tables.push((top, top_values));
        for table in command_tables {
            let mut values = TableValues::default();
            let command = table.command.as_deref().unwrap_or_default();
            if let Some((key, value)) = root.get_ref().get_key_value(command) {
                for (key, value) in self.expect_table(key, value, &format!("[{command}]"))? {
                    self.parse_option(&table, &[], key, value, &mut values)?;
                }
            }
            file.tables.push((table, values));
        }
        file.warnings = self.warnings;
        if self.dropped_warnings > 0 {
            file.warnings
                .push(format!("{} names more in {} are unknown", self.dropped_warnings, self.display_path));
        }
        Ok(file)
    }

    /// Parses one item of `table`, a name with its value, into `values`. If `table` is the top of the file,
    /// `command_tables` has all command tables, else none. They serve only the warning about an unknown name, which may
    /// suggest a command's table.
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
            Some(option) => {
                let text = option_text(option, value.get_ref()).and_then(|text| {
                    option.validate(&text)?;
                    Ok(text)
                });
                let text = match name {
                    LOG => text.and_then(|path| self.resolve_path_text(&path)),
                    _ => text,
                };
                let text = text.map_err(|problem| self.invalid_item(key, &problem))?;
                if values.options.iter().any(|(other, _)| *other == option.name) {
                    let problem = format!("the option has two names here; write only {}", option.name);
                    return Err(self.invalid_item(key, &problem));
                }
                values.options.push((option.name.clone(), text));
                Ok(())
            }
            None => self.warn_unknown_option(table, command_tables, key, value),
        }
    }

    /// Parses an item that sets the endpoint or the API key. Returns false if `key` is the name of another option.
    fn parse_api_option(
        &self,
        key: &SpannedKey<'t>,
        value: &SpannedValue<'t>,
        api_options: &mut ApiOptions,
    ) -> Result<bool, ConfigError> {
        let invalid = |problem: &str| self.invalid_item(key, problem);
        let string = || value.get_ref().as_str().ok_or_else(|| invalid("it takes a text, in quotes"));
        match key.get_ref().as_ref() {
            "base-url" => {
                // `true` allows plain http. `resolve_endpoint` checks later whether the options allow it.
                Endpoint::new(string()?, "it", true).map_err(|error| invalid(&error.to_string()))?;
                api_options.base_url = Some(string()?.to_owned());
            }
            "api-key-file" => {
                let written = string()?;
                // The value has an API key instead of a path.
                if text::redact(written) != written {
                    return Err(self.api_key_in_file(key));
                }
                let path = resolve_path(written, self.folder, self.home.as_deref())
                    .map_err(|problem| invalid(&problem))?;
                self.set_key_source(key, KeySource::File(path), api_options)?;
            }
            API_KEY_COMMAND => {
                let words = argv(value.get_ref()).ok_or_else(|| {
                    invalid("it takes a program and its arguments, as [\"pass\", \"show\", \"browserbase\"]")
                })?;
                self.set_key_source(key, KeySource::Command(words), api_options)?;
            }
            "insecure-http" => {
                let allowed = value.get_ref().as_bool().ok_or_else(|| invalid(NOT_A_BOOLEAN))?;
                api_options.insecure_http = Some(allowed);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Resolves a path that the config file contains. Returns the path as text.
    fn resolve_path_text(&self, written: &str) -> Result<String, String> {
        let path = resolve_path(written, self.folder, self.home.as_deref())?;
        path.into_os_string().into_string().map_err(|_| "it leads to a folder whose name is no text".into())
    }

    /// Sets the source of the API key. Returns an error if the source was already set.
    fn set_key_source(
        &self,
        key: &SpannedKey<'t>,
        source: KeySource,
        api_options: &mut ApiOptions,
    ) -> Result<(), ConfigError> {
        if api_options.key_source.replace(source).is_some() {
            return Err(self.invalid_item(key, "api-key-file and api-key-command exclude each other"));
        }
        Ok(())
    }

    /// Parses the tables `[[alert]]`.
    fn parse_alert_rules(
        &mut self,
        key: &SpannedKey<'t>,
        value: &SpannedValue<'t>,
    ) -> Result<Vec<FileAlertRule>, ConfigError> {
        let tables = value.get_ref().as_array();
        let tables: Option<Vec<_>> =
            tables.map(|items| items.iter().map(|item| item.get_ref().as_table()).collect());
        let tables: Option<Vec<&DeTable<'t>>> = tables.and_then(|tables| tables.into_iter().collect());
        let Some(tables) = tables else {
            return Err(self.invalid_item(key, "rules are tables, each with [[alert]] above it"));
        };
        if tables.len() > MAX_ALERT_RULES {
            return Err(self.invalid_item(key, &format!("there are more than {MAX_ALERT_RULES} rules")));
        }
        tables.into_iter().map(|table| self.parse_alert_rule(key, table)).collect()
    }

    /// Parses one table `[[alert]]`.
    fn parse_alert_rule(
        &mut self,
        header: &SpannedKey<'t>,
        table: &DeTable<'t>,
    ) -> Result<FileAlertRule, ConfigError> {
        let mut rule = FileAlertRule::default();
        let mut has_filter = false;
        for (key, value) in table {
            let invalid = |problem: &str| self.invalid_item(key, problem);
            let texts = || list_texts(value.get_ref()).map_err(|problem| invalid(&problem));
            let text = || match texts()?.as_slice() {
                [text] => Ok(text.clone()),
                _ => Err(invalid("it takes one value, not a list")),
            };
            let duration = |text: &String| parse_duration(text).map_err(|problem| invalid(&problem));
            match key.get_ref().as_ref() {
                "filter" => {
                    let text = text()?;
                    let parsed = Filter::parse_for_profiles(&text, true);
                    rule.filter = parsed.map_err(|error| invalid(&error.message))?;
                    has_filter = true;
                }
                "early" => {
                    rule.early = Some(parse_early_limit(&text()?).map_err(|problem| invalid(&problem))?)
                }
                "left" => rule.left = Some(texts()?.iter().map(duration).collect::<Result<_, _>>()?),
                "idle" => rule.idle = Some(duration(&text()?)?),
                "pending" => rule.pending = Some(duration(&text()?)?),
                name => {
                    let similar = nearest(name, ALERT_KEYS.into_iter());
                    let hint =
                        similar.map_or_else(|| ALERT_KEYS.join(", "), |name| format!("did you mean {name}?"));
                    self.reject_api_key(key, value)?;
                    self.warn(key, &format!("is nothing that an alert rule has: {hint}"));
                }
            }
        }
        if !has_filter {
            return Err(self.invalid_item(header, "a rule has no filter (try filter = \"owner:nightly\")"));
        }
        Ok(rule)
    }

    /// Parses the table of the profile `name`.
    fn parse_profile(
        &mut self,
        name: &SpannedKey<'t>,
        value: &SpannedValue<'t>,
    ) -> Result<ApiOptions, ConfigError> {
        let written = name.get_ref();
        if written.is_empty() || !text::is_printable(written) || text::width(written) > MAX_NAME_COLUMNS {
            return Err(self.invalid_item(name, "it is no name for a profile: one is a short word"));
        }
        let mut profile = ApiOptions::default();
        for (key, value) in self.expect_table(name, value, &format!("[profile.{written}]"))? {
            if key.get_ref() == "label" {
                let label =
                    value.get_ref().as_str().map(|label| text::sanitise(label.trim(), MAX_LABEL_COLUMNS));
                let label = label.filter(|label| !label.is_empty());
                profile.label =
                    Some(label.ok_or_else(|| self.invalid_item(key, "it takes a text, in quotes"))?);
            } else if !self.parse_api_option(key, value, &mut profile)? {
                self.reject_api_key(key, value)?;
                let similar = nearest(key.get_ref(), PROFILE_KEYS.into_iter());
                let hint =
                    similar.map_or_else(|| PROFILE_KEYS.join(", "), |name| format!("did you mean {name}?"));
                self.warn(key, &format!("is nothing that a profile has: {hint}"));
            }
        }
        Ok(profile)
    }

    /// Warns about a name that `table` does not allow. The warning says why the file cannot set the option, suggests a
    /// similar name, or names the tables that allow the option. Returns an error if the name suggests that the value is
    /// an API key.
    fn warn_unknown_option(
        &mut self,
        table: &TableSchema,
        command_tables: &[TableSchema],
        key: &SpannedKey<'t>,
        value: &SpannedValue<'t>,
    ) -> Result<(), ConfigError> {
        let name = key.get_ref().as_ref();
        let command = table.command.as_deref();
        // A name at the top may be an option of a single command.
        let commands = command_tables.iter().map(|table| table.command.as_deref()).chain([command]);
        if let Some(reason) =
            commands.filter_map(|command| file_schema::cli_only_reason(command, name)).next()
        {
            self.warn(key, &format!("is not read from the config file: {reason}"));
            return Ok(());
        }
        self.reject_api_key(key, value)?;
        let options = table.options.iter().map(|option| option.name.as_str());
        let options = options.chain(table.has_api_options.then_some(API_KEY_COMMAND));
        let tables = command_tables.iter().filter_map(|table| table.command.as_deref()).chain([PROFILES]);
        let similar = nearest(name, options.chain(tables.filter(|_| command.is_none())));
        let allowed_in: Vec<String> = command_tables
            .iter()
            .filter(|table| table.option(name).is_some())
            .filter_map(|table| table.command.as_deref().map(|command| format!("[{command}]")))
            .collect();
        let is_table = |name: &str| command_tables.iter().any(|table| table.command.as_deref() == Some(name));
        let context = command.map(|command| format!(" of {command}")).unwrap_or_default();
        let hint = match similar {
            _ if !allowed_in.is_empty() => {
                format!(" at the top; it belongs under {}", allowed_in.join(" or "))
            }
            Some(similar) if is_table(similar) => format!("{context}; did you mean [{similar}]?"),
            Some(similar) => format!("{context}; did you mean {similar}?"),
            None => format!("{context}; `keepwatch config` prints all of them"),
        };
        self.warn(key, &format!("is no option{hint}"));
        Ok(())
    }

    /// Returns an error if an unknown name suggests that its value is an API key. If the value is a table, also checks
    /// the names in it.
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

    /// Returns the value as a table. For another value, the error shows the `header` to write, such as `[get]`.
    fn expect_table<'v>(
        &self,
        key: &SpannedKey<'t>,
        value: &'v SpannedValue<'t>,
        header: &str,
    ) -> Result<&'v DeTable<'t>, ConfigError> {
        value.get_ref().as_table().ok_or_else(|| self.invalid_item(key, &format!("it is a table, {header}")))
    }

    /// Adds a warning about the name in `key`. `message` completes the sentence after the name: "is no option of get".
    fn warn(&mut self, key: &SpannedKey<'t>, message: &str) {
        if self.warnings.len() >= MAX_WARNINGS {
            self.dropped_warnings = self.dropped_warnings.saturating_add(1);
            return;
        }
        // The screen shows warnings, too. The user may have typed the API key as a name.
        let name = text::sanitise(&text::redact_api_keys(key.get_ref()), MAX_NAME_COLUMNS);
        let line = self.line_number(key.span());
        self.warnings.push(format!("“{name}” {message} (line {line} of {})", self.display_path));
    }

    /// Returns the error for an item: the name and the line of `key`, and the `problem`, redacted and sanitised.
    fn invalid_item(&self, key: &SpannedKey<'t>, problem: &str) -> ConfigError {
        let (name, line) = (text::sanitise(key.get_ref(), MAX_NAME_COLUMNS), self.line_number(key.span()));
        let problem = text::sanitise(&text::redact(problem), MAX_PROBLEM_COLUMNS);
        ConfigError::InvalidItem { file: self.display_path.clone(), line, name, problem }
    }

    /// Returns the error for an API key in the file.
    fn api_key_in_file(&self, key: &SpannedKey<'t>) -> ConfigError {
        self.invalid_item(
            key,
            "a key does not belong into this file; let api-key-file name a file that holds it, or api-key-command a program \
             that prints it",
        )
    }

    /// Returns the error for a text that is not TOML, with the position of the error.
    fn invalid_toml(&self, error: &toml::de::Error) -> ConfigError {
        let problem = text::sanitise(&error.message().replace('\n', ", "), MAX_PROBLEM_COLUMNS);
        let span = error.span().unwrap_or_default();
        let preceding = self.text.get(..span.start).unwrap_or_default();
        let column = preceding.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
        let line = self.line_number(span);
        ConfigError::InvalidToml { file: self.display_path.clone(), line, column, problem }
    }

    /// Returns the number of the line in which a span of the text begins. The first line has the number 1.
    fn line_number(&self, span: Range<usize>) -> usize {
        let preceding = self.text.get(..span.start).unwrap_or_default();
        preceding.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1)
    }
}
