//! What was typed, kept so that it can be read once more: with the options of a config file as the defaults.
//!
//! ```text
//!   words ──parse──► Typed ──command(), config()──► which file, which of its tables
//!                      │                                     │ defaults
//!                      └───────────────cli(defaults)─────────┴──► Cli
//! ```
//!
//! So the file's values pass through the parsers of the command line, and what was typed comes before them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, CommandFactory as _, Error, FromArgMatches as _};

use super::Cli;

/// The words of the command line, which are known to be well-formed.
#[derive(Debug)]
pub struct Typed {
    words: Vec<OsString>,
    matches: ArgMatches,
}

impl Typed {
    /// Takes the words, the program's name first.
    ///
    /// # Errors
    /// What clap prints: help and version, or what is wrong.
    pub fn parse(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let matches = Cli::command().try_get_matches_from(&words)?;
        Ok(Self { words, matches })
    }

    /// The subcommand's name.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.matches.subcommand_name()
    }

    /// Whether the command takes a config file at all.
    #[must_use]
    pub fn takes_config(&self) -> bool {
        self.own().try_contains_id("config").is_ok()
    }

    /// `--config`
    #[must_use]
    pub fn config(&self) -> Option<&Path> {
        self.own().try_get_one::<PathBuf>("config").ok().flatten().map(PathBuf::as_path)
    }

    /// Whether sessions are named.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        self.own().try_contains_id("ids").unwrap_or(false)
    }

    /// Whether a `--` stood before the ids.
    #[must_use]
    pub fn is_verbatim(&self) -> bool {
        self.words.iter().any(|word| word == "--")
    }

    /// What was typed, and for options that were not, the value that `defaults` has by their long name.
    ///
    /// # Errors
    /// What clap prints, if such a value is none of the option's.
    pub fn cli(&self, defaults: &[(&str, &str)]) -> Result<Cli, Error> {
        let with_default = |arg: Arg| {
            let value = defaults.iter().find(|(key, _)| arg.get_long() == Some(key));
            match value {
                Some((_, value)) => arg.default_value((*value).to_owned()),
                None => arg,
            }
        };
        if defaults.is_empty() {
            return Cli::from_arg_matches(&self.matches);
        }
        let command = match self.command() {
            Some(name) => Cli::command().mut_subcommand(name, |command| command.mut_args(with_default)),
            None => Cli::command().mut_args(with_default),
        };
        Cli::from_arg_matches(&command.try_get_matches_from(&self.words)?)
    }

    /// The options of the subcommand, or those of watching.
    fn own(&self) -> &ArgMatches {
        self.matches.subcommand().map_or(&self.matches, |(_, matches)| matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Color, Command};

    fn typed(words: &[&str]) -> Typed {
        Typed::parse(std::iter::once(&"keepwatch").chain(words)).unwrap()
    }

    #[test]
    fn what_was_typed_comes_before_a_given_default_and_that_before_the_usual_one() {
        let defaults = [("max-rps", "7"), ("bell", "true"), ("color", "never"), ("warn", "3m,2m")];
        let watch = typed(&["--max-rps", "9"]).cli(&defaults).unwrap().watch;
        assert_eq!((watch.load.max_rps, watch.screen.bell, watch.look.color), (9, true, Color::Never));
        assert_eq!(watch.screen.attention.warn.len(), 2);
        assert_eq!(watch.interval.as_secs(), 3);
        let off = typed(&[]).cli(&[("bell", "false")]).unwrap().watch;
        assert!(!off.screen.bell);
        assert!(typed(&["--bell"]).cli(&[("bell", "false")]).unwrap().watch.screen.bell);
    }

    #[test]
    fn defaults_are_those_of_the_subcommand_that_was_typed() {
        let events = typed(&["events", "s-1"]);
        assert_eq!(events.command(), Some("events"));
        let cli = events.cli(&[("max-rps", "7"), ("format", "text")]).unwrap();
        let Some(Command::Events(events)) = cli.command else { panic!() };
        assert_eq!((events.load.max_rps, events.format), (7, crate::cli::Format::Text));
    }

    #[test]
    fn the_file_and_the_ids_are_found_with_and_without_a_subcommand() {
        assert_eq!(typed(&["--config", "a.toml"]).config(), Some(Path::new("a.toml")));
        let get = typed(&["get", "--config", "a.toml", "s-1"]);
        assert_eq!((get.config(), get.has_ids()), (Some(Path::new("a.toml")), true));
        assert!(!typed(&[]).has_ids() && typed(&["s-1"]).has_ids());
        assert!(typed(&["demo"]).takes_config() && !typed(&["config"]).takes_config());
        assert!(typed(&["--", "get"]).is_verbatim() && !typed(&["demo"]).has_ids());
    }
}
