//! The options allowed in the config file. They come from clap's definitions, so that no option can be forgotten.
//!
//! ```text
//!   an option of `keepwatch` itself      at the top: applies to each command that has an option of this name
//!   an option of `keepwatch get`, …      in [get], …: the command's own options, and the shared ones again
//!   an option that fits only one run     not allowed: `CLI_ONLY` has the reasons
//! ```
//!
//! Serde structs would repeat the clap definition of every option, with its type and parser. They would still need a
//! second pass, because a value in the file becomes the default of a clap option. For an unknown or misplaced name,
//! serde can only ignore or reject the name. keepwatch warns about it, with its line and a suggestion.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::list_status::parse_list;
use crate::api::Query;
use crate::cli::Cli;
use keepwatch_core::session::MetadataPath;

/// Options that the file cannot set. Each row has the command (or `None` for all commands), the option, and the reason.
/// Warnings show the reason.
const CLI_ONLY: [(Option<&str>, &str, &str); 11] = [
    (None, "help", "it is asked for on the command line"),
    (None, "version", "it is asked for on the command line"),
    (None, "config", "it says which file is read, and this one is"),
    // At the top, `profile` is the table of profiles.
    (None, "profile", "a profile is chosen on the command line, with --profile"),
    (None, "record", "a recording is a new file each time"),
    (None, "seed", "it makes one chaos, on the command line, and other scenarios have none"),
    (Some("simulate"), "truth", "it names one new file, on the command line"),
    (Some("export"), "to", "it names one new file, on the command line"),
    (Some("explain"), "from", "it names one recording, on the command line"),
    (Some("get"), "reveal", "secrets are printed only where each command line says so"),
    (Some("release"), "confirm", "it answers for one session, on the command line"),
];

/// Pairs of a command and an option. The command reads the option only from its own table, although the option is also
/// allowed at the top. The demo polls its own simulator, so limits for the real API do not apply.
const NOT_SHARED: [(&str, &str); 2] = [("demo", "interval"), ("demo", "max-rps")];

/// The options allowed in one table of the file, or at its top.
#[derive(Debug)]
pub struct TableSchema {
    /// The subcommand that the table is for, or `None` for the top.
    pub command: Option<String>,
    /// The allowed options, in the order of the help.
    pub options: Vec<FileOption>,
    /// True if the table may set the endpoint and the API key.
    pub has_api_options: bool,
}

/// An option that a table may set.
#[derive(Debug)]
pub struct FileOption {
    /// clap's definition of the option.
    arg: Arg,
    /// The name in the file, and after `--` on the command line.
    pub name: String,
    /// The kind of the value.
    pub kind: OptionKind,
    /// True if this command also reads the option from the top of the file.
    pub is_shared: bool,
}

/// The kind of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// `true` or `false`.
    Switch,
    /// A single value.
    Value,
    /// An array of values, or a string of values separated by commas.
    List,
}

/// Returns the schemas of the file's tables. The top comes first.
#[must_use]
pub fn tables() -> Vec<TableSchema> {
    let cli = Cli::command();
    let top = table_schema(&cli, None, &[]);
    let top_options: Vec<String> = top.options.iter().map(|option| option.name.clone()).collect();
    let command_tables: Vec<TableSchema> = cli
        .get_subcommands()
        .filter(|command| has_option(command, "config"))
        .map(|command| table_schema(command, Some(command.get_name()), &top_options))
        .collect();
    std::iter::once(top).chain(command_tables).collect()
}

/// Returns the schema of the table for `command`. `command_name` is the command's name, or `None` for the top.
/// `top_options` has the names of the options at the top.
fn table_schema(command: &Command, command_name: Option<&str>, top_options: &[String]) -> TableSchema {
    let is_shared = |name: &str| {
        let is_excluded = command_name.is_some_and(|command| NOT_SHARED.contains(&(command, name)));
        top_options.iter().any(|option| option == name) && !is_excluded
    };
    let options = command
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(|name| (arg, name)))
        .filter(|(_, name)| cli_only_reason(command_name, name).is_none())
        .map(|(arg, name)| FileOption {
            arg: arg.clone(),
            name: name.to_owned(),
            kind: match (arg.get_action(), arg.get_value_delimiter()) {
                (ArgAction::SetTrue, _) => OptionKind::Switch,
                (_, Some(_)) => OptionKind::List,
                (_, None) => OptionKind::Value,
            },
            is_shared: is_shared(name),
        })
        .collect();
    TableSchema {
        command: command_name.map(str::to_owned),
        options,
        has_api_options: has_option(command, "base-url"),
    }
}

fn has_option(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(name))
}

/// Returns the reason why the file cannot set this option, or `None` if the file can set it or the option is unknown.
#[must_use]
pub fn cli_only_reason(command: Option<&str>, name: &str) -> Option<&'static str> {
    let applies = |scope: &Option<&str>| scope.is_none() || *scope == command;
    CLI_ONLY.iter().find(|(scope, option, _)| applies(scope) && *option == name).map(|(_, _, reason)| *reason)
}

impl TableSchema {
    /// Returns the option with this name, or with this former name.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&FileOption> {
        let has_former_name = |option: &&FileOption| {
            option.arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        };
        self.options
            .iter()
            .find(|option| option.name == name)
            .or_else(|| self.options.iter().find(has_former_name))
    }
}

impl FileOption {
    /// Returns the option's help on one line.
    #[must_use]
    pub fn help(&self) -> String {
        self.arg.get_help().map(|help| help.to_string().replace('\n', " ")).unwrap_or_default()
    }

    /// Returns the default value, in the syntax of the command line.
    #[must_use]
    pub fn default_value(&self) -> Option<String> {
        let values = self.arg.get_default_values();
        let values: Vec<String> = values.iter().map(|value| value.to_string_lossy().into_owned()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// Validates a value with the parser of the command line.
    ///
    /// # Errors
    /// Returns a sentence that describes the problem, without the option's name.
    pub fn validate(&self, value: &str) -> Result<(), String> {
        // clap takes no value for a switch.
        if self.kind != OptionKind::Switch {
            Command::new("keepwatch")
                .no_binary_name(true)
                .arg(self.arg.clone())
                .try_get_matches_from([format!("--{}={value}", self.name)])
                .map_err(|error| describe_value_error(&error, value))?;
        }
        // clap takes any text for these options. `resolve` parses them for the command line.
        match self.name.as_str() {
            "query" => Query::parse(value).map(|_| ()).map_err(|error| error.to_string()),
            "status" => parse_list(value).map(|_| ()),
            "owner-key" => MetadataPath::parse(value).map(|_| ()).map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }
}

/// Describes clap's error about a value: with the message of the value's parser, or with the valid values.
fn describe_value_error(error: &clap::Error, value: &str) -> String {
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
    fn invalid_value_error_has_parser_message() {
        let tables = tables();
        let check = |command: Option<&str>, name, value| {
            let table = tables.iter().find(|table| table.command.as_deref() == command).unwrap();
            table.option(name).unwrap().validate(value)
        };
        for (command, name, invalid, expected) in [
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
            let message = check(command, name, invalid).unwrap_err();
            assert!(message.contains(expected) && !message.contains('\n'), "{name}: {message}");
        }
        assert_eq!(check(None, "warn", "5m,1m"), Ok(()));
        assert_eq!(check(Some("demo"), "scenario", "-x"), Ok(()), "a value may begin like an option");
    }

    #[test]
    fn demo_ignores_shared_poll_limits() {
        let tables = tables();
        let demo = tables.iter().find(|table| table.command.as_deref() == Some("demo")).unwrap();
        assert!(demo.option("utc").unwrap().is_shared && demo.option("warn").unwrap().is_shared);
        assert!(!demo.option("interval").unwrap().is_shared && !demo.option("max-rps").unwrap().is_shared);
        assert!(!demo.has_api_options && demo.option("base-url").is_none());
    }

    #[test]
    fn file_allows_all_options_except_cli_only() {
        let tables = tables();
        let mut cli = Cli::command();
        cli.build();
        let commands = std::iter::once((None, &cli)).chain(
            cli.get_subcommands()
                .filter(|command| command.get_name() != "help")
                .map(|command| (Some(command.get_name()), command)),
        );
        let mut not_allowed = Vec::new();
        for (command_name, command) in commands {
            let table = tables.iter().find(|table| table.command.as_deref() == command_name);
            for option in command.get_arguments().filter_map(Arg::get_long) {
                if table.and_then(|table| table.option(option)).is_none() {
                    not_allowed.push((command_name.map(str::to_owned), option.to_owned()));
                }
            }
        }
        // `CLI_ONLY` has the reasons. These options are removed by name, because several commands have them.
        let in_several_commands = ["help", "version", "config", "profile", "record", "seed"];
        not_allowed.retain(|(_, option)| !in_several_commands.contains(&option.as_str()));
        let cli_only = [
            ("get", "reveal"),
            ("explain", "from"),
            ("release", "confirm"),
            ("export", "to"),
            ("simulate", "truth"),
        ];
        assert_eq!(
            not_allowed,
            cli_only.map(|(command, option)| (Some(command.to_owned()), option.to_owned()))
        );
    }
}
