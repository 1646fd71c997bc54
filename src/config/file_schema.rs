//! The options that the config file may set, taken from clap's own definitions, so that none is listed twice or forgotten.
//!
//! ```text
//!   an option of `keepwatch` itself      at the top: it applies to each command that has an option of this name
//!   an option of `keepwatch get`, …      in [get], …: its own options, and the shared ones again
//!   an option of a single run            nowhere: `CLI_ONLY` says why
//! ```
//!
//! Serde structs would be longer here. They would repeat the options of eleven tables beside their clap definitions, each with
//! its type and parser, and would still need a second pass: a value of the file becomes the default of a clap option, and
//! serde cannot report an unknown or misplaced name with its line and a suggestion, as a warning instead of an error.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::list_status::parse_list_status;
use crate::api::Query;
use crate::cli::Cli;
use keepwatch_core::session::MetadataPath;

/// Options with no place in the file: of which command (or of any), which, and what is to be done instead.
const CLI_ONLY: [(Option<&str>, &str, &str); 11] = [
    (None, "help", "it is asked for on the command line"),
    (None, "version", "it is asked for on the command line"),
    (None, "config", "it says which file is read, and this one is"),
    // At the top, `profile` is the table of all of them; a file without a profile's name is the usual one.
    (None, "profile", "a profile is chosen on the command line, with --profile"),
    (None, "record", "a recording is a new file each time"),
    (None, "seed", "it makes one chaos, on the command line, and other scenarios have none"),
    (Some("simulate"), "truth", "it names one new file, on the command line"),
    (Some("export"), "to", "it names one new file, on the command line"),
    (Some("explain"), "from", "it names one recording, on the command line"),
    (Some("get"), "reveal", "secrets are printed only where each command line says so"),
    (Some("release"), "confirm", "it answers for one session, on the command line"),
];

/// Shared options that a command does not take from the top of the file, but from its own table alone: the demo asks
/// its own simulator, as often as it likes.
const NOT_SHARED: [(&str, &str); 2] = [("demo", "interval"), ("demo", "max-rps")];

/// A table of the file, or its top.
#[derive(Debug)]
pub struct TableSchema {
    /// The subcommand whose options these are; none at the top.
    pub command: Option<String>,
    /// The options that may stand in it, in the order of the help.
    pub options: Vec<FileOption>,
    /// Whether what reaches the API may stand in it.
    pub has_api_options: bool,
}

/// The place of one option.
#[derive(Debug)]
pub struct FileOption {
    arg: Arg,
    /// Its name there, and behind the `--`.
    pub name: String,
    /// What it takes.
    pub kind: OptionKind,
    /// Whether it is at the top, too, and taken from there.
    pub is_shared: bool,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// true or false
    Switch,
    /// A value.
    Value,
    /// Values, with commas between them or in an array.
    List,
}

/// The tables of the file, the top first.
#[must_use]
pub fn tables() -> Vec<TableSchema> {
    let cli = Cli::command();
    let top = table_schema(&cli, None, &[]);
    let shared: Vec<String> = top.options.iter().map(|place| place.name.clone()).collect();
    let command_tables: Vec<TableSchema> = cli
        .get_subcommands()
        .filter(|command| has_option(command, "config"))
        .map(|command| table_schema(command, Some(command.get_name()), &shared))
        .collect();
    std::iter::once(top).chain(command_tables).collect()
}

fn table_schema(command: &Command, name: Option<&str>, shared: &[String]) -> TableSchema {
    let is_shared = |key: &str| {
        shared.iter().any(|it| it == key)
            && !NOT_SHARED.iter().any(|(command, it)| (Some(*command), *it) == (name, key))
    };
    let places = command
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(|key| (arg, key)))
        .filter(|(_, key)| cli_only_reason(name, key).is_none())
        .map(|(arg, key)| FileOption {
            arg: arg.clone(),
            name: key.to_owned(),
            kind: match (arg.get_action(), arg.get_value_delimiter()) {
                (ArgAction::SetTrue, _) => OptionKind::Switch,
                (_, Some(_)) => OptionKind::List,
                (_, None) => OptionKind::Value,
            },
            is_shared: is_shared(key),
        })
        .collect();
    TableSchema {
        command: name.map(str::to_owned),
        options: places,
        has_api_options: has_option(command, "base-url"),
    }
}

fn has_option(command: &Command, key: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(key))
}

/// Why the option has no place in the file, if it has none.
#[must_use]
pub fn cli_only_reason(command: Option<&str>, key: &str) -> Option<&'static str> {
    let of = |of: &Option<&str>| of.is_none() || *of == command;
    CLI_ONLY.iter().find(|(it, name, _)| of(it) && *name == key).map(|(_, _, why)| *why)
}

impl TableSchema {
    /// The place of the option with this name.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&FileOption> {
        self.options.iter().find(|place| place.name == key)
    }
}

impl FileOption {
    /// What the help says of it, on one line.
    #[must_use]
    pub fn help(&self) -> String {
        self.arg.get_help().map(|help| help.to_string().replace('\n', " ")).unwrap_or_default()
    }

    /// Its value where nothing is said, as it would be typed.
    #[must_use]
    pub fn default_value(&self) -> Option<String> {
        let values = self.arg.get_default_values();
        let values: Vec<String> = values.iter().map(|value| value.to_string_lossy().into_owned()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// Looks at a value as the command line would.
    ///
    /// # Errors
    /// What is wrong with it, with the option's name.
    pub fn validate(&self, value: &str) -> Result<(), String> {
        if self.kind != OptionKind::Switch {
            Command::new("keepwatch")
                .no_binary_name(true)
                .arg(self.arg.clone())
                .try_get_matches_from([format!("--{}={value}", self.name)])
                .map_err(|error| problem_of(&error, value))?;
        }
        match self.name.as_str() {
            "query" => Query::parse(value).map(|_| ()).map_err(|error| error.to_string()),
            "status" => parse_list_status(value).map(|_| ()),
            "owner-key" => MetadataPath::parse(value).map(|_| ()).map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }
}

/// What clap has against a value: its parser's own words, or what the value could be.
fn problem_of(error: &clap::Error, value: &str) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) => format!("“{value}” is none of {}", valid.join(", ")),
        _ => format!("“{value}” is not taken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_refused_in_the_words_of_the_command_lines_parsers() {
        let tables = tables();
        let check = |command: Option<&str>, key, value| {
            let table = tables.iter().find(|table| table.command.as_deref() == command).unwrap();
            table.option(key).unwrap().validate(value)
        };
        for (command, key, bad, says) in [
            (None, "interval", "5", "“5” is no duration; write 5s or 1m30s"),
            (None, "interval", "10ms", "asking more often"),
            (None, "max-rps", "0", "1..=100"),
            (None, "max-rps", "-1", "1..=100"),
            (None, "color", "blue", "“blue” is none of auto, always, never"),
            (None, "rate-gb", "cheap", "no price in dollars"),
            (None, "warn", "5m,soon", "“soon” is no duration"),
            (None, "query", "env:x", "user_metadata"),
            (None, "status", "ERROR", "PENDING or RUNNING"),
            (None, "owner-key", "run.", "no path"),
            (Some("wait"), "for", "never", "“never” is none of ended, running"),
            (Some("simulate"), "port", "70000", "65535"),
        ] {
            let sentence = check(command, key, bad).unwrap_err();
            assert!(sentence.contains(says) && !sentence.contains('\n'), "{key}: {sentence}");
        }
        assert_eq!(check(None, "warn", "5m,1m"), Ok(()));
        assert_eq!(check(Some("demo"), "scenario", "-x"), Ok(()));
    }

    #[test]
    fn the_demo_takes_the_look_from_the_top_and_not_the_pace() {
        let tables = tables();
        let demo = tables.iter().find(|table| table.command.as_deref() == Some("demo")).unwrap();
        assert!(demo.option("utc").unwrap().is_shared && demo.option("warn").unwrap().is_shared);
        assert!(!demo.option("interval").unwrap().is_shared && !demo.option("max-rps").unwrap().is_shared);
        assert!(!demo.has_api_options && demo.option("base-url").is_none());
    }

    #[test]
    fn every_option_of_the_command_line_has_its_place() {
        let tables = tables();
        let mut cli = Cli::command();
        cli.build();
        let commands = std::iter::once((None, &cli)).chain(
            cli.get_subcommands()
                .filter(|command| command.get_name() != "help")
                .map(|command| (Some(command.get_name()), command)),
        );
        let mut without = Vec::new();
        for (name, command) in commands {
            let table = tables.iter().find(|table| table.command.as_deref() == name);
            for key in command.get_arguments().filter_map(Arg::get_long) {
                if table.and_then(|table| table.option(key)).is_none() {
                    without.push((name.map(str::to_owned), key.to_owned()));
                }
            }
        }
        // One answer to one question, secrets that must be asked for each time, and what chooses the file or its
        // profile: see `CLI_ONLY`, which says so to whoever writes them into the file.
        without.retain(|(_, key)| !["help", "version", "config", "profile"].contains(&key.as_str()));
        without.retain(|(_, key)| !matches!(key.as_str(), "record" | "truth")); // a new file each time
        without.retain(|(_, key)| key != "seed"); // of one scenario alone
        let once = [("get", "reveal"), ("explain", "from"), ("release", "confirm"), ("export", "to")];
        assert_eq!(without, once.map(|(name, key)| (Some(name.to_owned()), key.to_owned())));
    }
}
