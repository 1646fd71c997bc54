//! The text of a config file → a [`File`], or a sentence about the first thing that is wrong, with its line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{NO_SWITCH, argv, written};
use super::{File, Said, WIDEST_NAME};
use crate::api::Endpoint;
use crate::config::places::{self, Table};
use crate::config::profile::{KeySource, PROFILE_KEYS, Profile, path};
use crate::config::{ConfigError, nearest};
use keepwatch_core::text;

/// The widest sentence about a value, in columns: it quotes the value.
const WIDEST: usize = 300;
/// The widest label of a profile, in columns.
const WIDEST_LABEL: usize = 40;
/// So many warnings are kept; the others are counted.
const MOST_WARNINGS: usize = 20;
/// What the file alone has, wherever the API is reached.
const COMMAND: &str = "api-key-command";
/// An option that names a file. Here it is beside this one, or in the home.
const LOG: &str = "log";
/// The table of profiles.
const PROFILES: &str = "profile";

/// A key with its place in the text.
type Key<'t> = Spanned<toml::de::DeString<'t>>;
/// A value with its place in the text.
type Value<'t> = Spanned<DeValue<'t>>;

/// Reads one file.
pub(super) struct Reader<'t> {
    text: &'t str,
    /// The file's path, fit to be shown.
    name: String,
    folder: &'t Path,
    home: Option<PathBuf>,
    warnings: Vec<String>,
    /// Warnings that were not kept.
    others: usize,
}

impl<'t> Reader<'t> {
    /// Of `text`, which stands at `path`, which is shown as `name`.
    pub(super) fn new(text: &'t str, path: &'t Path, name: String, home: Option<PathBuf>) -> Self {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self { text, name, folder, home, warnings: Vec::new(), others: 0 }
    }

    /// Reads all of it.
    pub(super) fn read(mut self) -> Result<File, ConfigError> {
        let root = DeTable::parse(self.text).map_err(|error| self.no_toml(&error))?;
        let mut tables = places::tables().into_iter();
        let Some(top) = tables.next() else { return Ok(File::default()) };
        let below: Vec<Table> = tables.collect();
        let mut file = File { name: Some(self.name.clone()), ..File::default() };
        let mut said = Said::default();
        for (key, value) in root.get_ref() {
            let name = key.get_ref().as_ref();
            if name == PROFILES {
                for (name, value) in self.table(key, value, "[profile.NAME]")? {
                    let profile = self.profile(name, value)?;
                    file.profiles.insert(name.get_ref().to_string(), profile);
                }
            } else if below.iter().all(|table| table.command.as_deref() != Some(name)) {
                self.entry(&top, &below, key, value, &mut said)?;
            }
        }
        file.tables.push((top, said));
        for table in below {
            let mut said = Said::default();
            let command = table.command.as_deref().unwrap_or_default();
            if let Some((key, value)) = root.get_ref().get_key_value(command) {
                for (key, value) in self.table(key, value, &format!("[{command}]"))? {
                    self.entry(&table, &[], key, value, &mut said)?;
                }
            }
            file.tables.push((table, said));
        }
        file.warnings = self.warnings;
        if self.others > 0 {
            file.warnings.push(format!("{} names more in {} are unknown", self.others, self.name));
        }
        Ok(file)
    }

    /// Takes one entry of a table of options. `below` are the tables in which else it could be at home.
    fn entry(
        &mut self,
        table: &Table,
        below: &[Table],
        key: &Key<'t>,
        value: &Value<'t>,
        said: &mut Said,
    ) -> Result<(), ConfigError> {
        let name = key.get_ref().as_ref();
        let place = table.place(name);
        if table.reaches && (place.is_some() || name == COMMAND) && self.reach(key, value, &mut said.reach)? {
            return Ok(());
        }
        match place {
            Some(place) => {
                let written = written(place, value.get_ref()).and_then(|written| {
                    place.check(&written)?;
                    Ok(written)
                });
                let written = match name {
                    LOG => written.and_then(|it| self.path(&it)),
                    _ => written,
                };
                let written = written.map_err(|sentence| self.wrong(key, &sentence))?;
                said.options.push((name.to_owned(), written));
                Ok(())
            }
            None => self.unknown(table, below, key, value),
        }
    }

    /// Takes what says how the API is reached, and says whether it was that.
    fn reach(&self, key: &Key<'t>, value: &Value<'t>, into: &mut Profile) -> Result<bool, ConfigError> {
        let refuse = |sentence: &str| self.wrong(key, sentence);
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
                    return Err(self.holds_key(key));
                }
                let path = path(written, self.folder, self.home.as_deref()).map_err(|it| refuse(&it))?;
                self.key(key, KeySource::File(path), into)?;
            }
            COMMAND => {
                let words = argv(value.get_ref()).ok_or_else(|| {
                    refuse("it takes a program and its arguments, as [\"pass\", \"show\", \"browserbase\"]")
                })?;
                self.key(key, KeySource::Command(words), into)?;
            }
            "insecure-http" => {
                let is = value.get_ref().as_bool().ok_or_else(|| refuse(NO_SWITCH))?;
                into.insecure_http = Some(is);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A path as this file means it, as text.
    fn path(&self, written: &str) -> Result<String, String> {
        let path = path(written, self.folder, self.home.as_deref())?;
        path.into_os_string().into_string().map_err(|_| "it leads to a folder whose name is no text".into())
    }

    fn key(&self, key: &Key<'t>, source: KeySource, into: &mut Profile) -> Result<(), ConfigError> {
        if into.key.replace(source).is_some() {
            return Err(self.wrong(key, "api-key-file and api-key-command exclude each other"));
        }
        Ok(())
    }

    fn profile(&mut self, name: &Key<'t>, value: &Value<'t>) -> Result<Profile, ConfigError> {
        let written = name.get_ref();
        if written.is_empty() || !text::is_printable(written) || text::width(written) > WIDEST_NAME {
            return Err(self.wrong(name, "it is no name for a profile: one is a short word"));
        }
        let mut profile = Profile::default();
        for (key, value) in self.table(name, value, &format!("[profile.{written}]"))? {
            if key.get_ref() == "label" {
                let label = value.get_ref().as_str().map(|label| text::sanitise(label.trim(), WIDEST_LABEL));
                let label = label.filter(|label| !label.is_empty());
                profile.label = Some(label.ok_or_else(|| self.wrong(key, "it takes a text, in quotes"))?);
            } else if !self.reach(key, value, &mut profile)? {
                self.no_key(key, value)?;
                let near = nearest(key.get_ref(), PROFILE_KEYS.into_iter());
                let hint =
                    near.map_or_else(|| PROFILE_KEYS.join(", "), |near| format!("did you mean {near}?"));
                self.warn(key, &format!("is nothing that a profile has: {hint}"));
            }
        }
        Ok(profile)
    }

    /// Leaves out what has no place, and says which place was perhaps meant.
    fn unknown(
        &mut self,
        table: &Table,
        below: &[Table],
        key: &Key<'t>,
        value: &Value<'t>,
    ) -> Result<(), ConfigError> {
        let name = key.get_ref().as_ref();
        let command = table.command.as_deref();
        let typed_only = below.iter().map(|it| it.command.as_deref()).chain([command]);
        if let Some(why) = typed_only.filter_map(|command| places::typed_only(command, name)).next() {
            self.warn(key, &format!("is not read from the config file: {why}"));
            return Ok(());
        }
        self.no_key(key, value)?;
        let keys = table.places.iter().map(|place| place.key.as_str());
        let own = keys.chain(table.reaches.then_some(COMMAND));
        let tables = below.iter().filter_map(|table| table.command.as_deref()).chain([PROFILES]);
        let near = nearest(name, own.chain(tables.filter(|_| command.is_none())));
        let homes: Vec<String> = below
            .iter()
            .filter(|table| table.place(name).is_some())
            .filter_map(|table| table.command.as_deref().map(|command| format!("[{command}]")))
            .collect();
        let is_table = |near: &str| below.iter().any(|table| table.command.as_deref() == Some(near));
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
    fn no_key(&self, key: &Key<'t>, value: &Value<'t>) -> Result<(), ConfigError> {
        let name = key.get_ref();
        if text::is_secret_name(name) || name.eq_ignore_ascii_case("key") {
            return Err(self.holds_key(key));
        }
        match value.get_ref() {
            DeValue::Table(table) => table.iter().try_for_each(|(key, value)| self.no_key(key, value)),
            _ => Ok(()),
        }
    }

    fn table<'v>(
        &self,
        key: &Key<'t>,
        value: &'v Value<'t>,
        looks_like: &str,
    ) -> Result<&'v DeTable<'t>, ConfigError> {
        value.get_ref().as_table().ok_or_else(|| self.wrong(key, &format!("it is a table, {looks_like}")))
    }

    fn warn(&mut self, key: &Key<'t>, what: &str) {
        if self.warnings.len() >= MOST_WARNINGS {
            self.others = self.others.saturating_add(1);
            return;
        }
        let (name, line) = (text::sanitise(key.get_ref(), WIDEST_NAME), self.line(key.span()));
        self.warnings.push(format!("“{name}” {what} (line {line} of {})", self.name));
    }

    fn wrong(&self, key: &Key<'t>, sentence: &str) -> ConfigError {
        let (name, line) = (text::sanitise(key.get_ref(), WIDEST_NAME), self.line(key.span()));
        let problem = text::sanitise(&text::redact(sentence), WIDEST);
        ConfigError::InvalidEntry { file: self.name.clone(), line, name, problem }
    }

    fn holds_key(&self, key: &Key<'t>) -> ConfigError {
        self.wrong(
            key,
            "a key does not belong into this file; let api-key-file name a file that holds it, or api-key-command a program \
             that prints it",
        )
    }

    fn no_toml(&self, error: &toml::de::Error) -> ConfigError {
        let problem = text::sanitise(&error.message().replace('\n', ", "), WIDEST);
        let at = error.span().unwrap_or_default();
        let above = self.text.get(..at.start).unwrap_or_default();
        let column = above.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
        let line = self.line(at);
        ConfigError::InvalidToml { file: self.name.clone(), line, column, problem }
    }

    /// The line, from 1, in which a span of the text begins.
    fn line(&self, span: Range<usize>) -> usize {
        let above = self.text.get(..span.start).unwrap_or_default();
        above.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1)
    }
}
