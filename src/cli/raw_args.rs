//! The command line as typed, kept so that clap can parse it a second time with defaults from the config file.
//!
//! ```text
//!   words ──parse──► RawArgs ──command(), config_path()──► config file, table of the command
//!                       │                                           │ defaults
//!                       └───────────parse_with_defaults─────────────┴──► Cli
//! ```
//!
//! So the same parsers validate the values from the config file and the typed values. Typed values take precedence.
//! This module reads no file.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory as _, Error, FromArgMatches as _};

use super::Cli;
use keepwatch_core::text::{Untrusted, is_printable, redact};

/// The words of a well-formed command line.
#[derive(Debug)]
pub struct RawArgs {
    /// The words as typed. The first one is the program's name.
    words: Vec<OsString>,
    /// Clap's result of the first parse, without the config file.
    matches: ArgMatches,
}

impl RawArgs {
    /// Parses the words of the command line. The first one is the program's name.
    ///
    /// # Errors
    /// Returns clap's error. clap returns the text of `--help` and `--version` as an error, too. The words that the
    /// error quotes are redacted and sanitised: a script may have passed on untrusted text, and a user may have typed
    /// an API key in the wrong place.
    pub fn parse(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        match Cli::command().try_get_matches_from(&words) {
            Ok(matches) => Ok(Self { words, matches }),
            // promise: quoted-arguments, mutant: sanitised_error(error, &words) -> error
            Err(error) => Err(sanitised_error(error, &words)),
        }
    }

    /// Returns the name of the subcommand, if there is one.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.matches.subcommand_name()
    }

    /// Returns true if the command has the option `--config`.
    #[must_use]
    pub fn has_config_option(&self) -> bool {
        self.has_option("config")
    }

    /// Returns the value of `--config`.
    #[must_use]
    pub fn config_path(&self) -> Option<&Path> {
        self.path_value("config")
    }

    /// Returns true if the command has the option `--log`.
    #[must_use]
    pub fn has_log_option(&self) -> bool {
        self.has_option("log")
    }

    /// Returns the value of `--log`.
    #[must_use]
    pub fn log_path(&self) -> Option<&Path> {
        self.path_value("log")
    }

    fn has_option(&self, option: &str) -> bool {
        // clap returns an error for an option that the command does not define.
        self.command_matches().try_contains_id(option).is_ok()
    }

    fn path_value(&self, option: &str) -> Option<&Path> {
        self.command_matches().try_get_one::<PathBuf>(option).ok().flatten().map(PathBuf::as_path)
    }

    /// Returns the subcommand and the names of the typed options, in the order of their definitions:
    /// `events SESSION_ID --interval`. Leaves out values, because they may be private. Leaves out a nested subcommand
    /// with its options: `journal clear --yes` gives `journal`.
    #[must_use]
    pub fn option_names(&self) -> String {
        let cli = Cli::command();
        let command = self.command().and_then(|name| cli.find_subcommand(name)).unwrap_or(&cli);
        let is_typed = |arg: &&Arg| {
            let id = arg.get_id().as_str();
            self.command_matches().try_contains_id(id).is_ok()
                && self.command_matches().value_source(id) == Some(ValueSource::CommandLine)
        };
        // The long name of an option, or the placeholder of an argument without a name, such as SESSION_ID.
        let display_name = |arg: &Arg| match (arg.get_long(), arg.get_value_names()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some([name, ..])) => name.to_string(),
            (None, _) => arg.get_id().to_string(),
        };
        let options = command.get_arguments().filter(is_typed).map(display_name);
        self.command().map(str::to_owned).into_iter().chain(options).collect::<Vec<_>>().join(" ")
    }

    /// Returns true if the command takes a list of session ids and at least one was typed. Returns false for a command
    /// that takes a single id, such as `release`.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        self.command_matches().try_contains_id("ids").unwrap_or(false)
    }

    /// Returns the number of words after the first `--`, or 0 if there is no `--`.
    #[must_use]
    pub fn words_after_double_dash(&self) -> usize {
        self.words.iter().skip_while(|word| *word != "--").skip(1).count()
    }

    /// Parses the command line again. `defaults` has the long names of options and the values to use for options that
    /// were not typed.
    ///
    /// # Errors
    /// Returns clap's error if a default is not a valid value of its option.
    pub fn parse_with_defaults(&self, defaults: &[(&str, &str)]) -> Result<Cli, Error> {
        let with_default = |arg: Arg| {
            let value = defaults.iter().find(|(name, _)| arg.get_long() == Some(name));
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

    /// Returns clap's matches for the subcommand, or for the top level if there is no subcommand.
    fn command_matches(&self) -> &ArgMatches {
        self.matches.subcommand().map_or(&self.matches, |(_, matches)| matches)
    }
}

/// Returns clap's error for the sanitised words, because the original `error` quotes the words as they were typed. If
/// clap accepts the sanitised words, returns a general error of the same kind.
fn sanitised_error(error: Error, words: &[OsString]) -> Error {
    let safe: Vec<OsString> = words.iter().map(|word| sanitised_word(word)).collect();
    if safe == words {
        return error;
    }
    let sanitised = Cli::command().try_get_matches_from(&safe).err();
    sanitised.unwrap_or_else(|| Error::raw(error.kind(), "a word has characters that can not be shown\n"))
}

/// Redacts secrets in the word. If the word has unprintable characters, also sanitises it.
fn sanitised_word(word: &OsStr) -> OsString {
    let word = word.to_string_lossy();
    // promise: masked-arguments, mutant: redact(&word) -> word.clone()
    let safe = redact(&word);
    if is_printable(&safe) { safe.into_owned().into() } else { Untrusted::new(safe).sanitise_line().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Color, Command};

    fn raw_args(words: &[&str]) -> RawArgs {
        RawArgs::parse(std::iter::once(&"keepwatch").chain(words)).unwrap()
    }

    #[test]
    fn typed_options_override_defaults() {
        let defaults = [("max-rps", "7"), ("bell", "true"), ("color", "never"), ("warn", "3m,2m")];
        let watch = raw_args(&["--max-rps", "9"]).parse_with_defaults(&defaults).unwrap().watch;
        assert_eq!(
            (watch.rate_limit.max_rps, watch.screen.bell, watch.appearance.color),
            (9, true, Color::Never)
        );
        assert_eq!(watch.screen.alerts.alert_left.len(), 2, "a default with a comma is a list");
        assert_eq!(watch.interval.as_secs(), 3, "other options keep clap's default");
        let off = raw_args(&[]).parse_with_defaults(&[("bell", "false")]).unwrap().watch;
        assert!(!off.screen.bell);
        assert!(raw_args(&["--bell"]).parse_with_defaults(&[("bell", "false")]).unwrap().watch.screen.bell);
    }

    #[test]
    fn errors_contain_no_escapes_or_secrets() {
        for words in [
            &["--\u{1b}]0;owned\u{7}"][..],
            &["--interval", "\u{1b}]0;owned\u{7}"],
            &["--color", "\u{202e}\u{1b}]0;owned\u{7}"],
            &["get", "s-1", "--\u{1b}]0;owned\u{7}"],
            &["--interval", "bb_live_canary"],
            &["--color=bb_live_canary"],
        ] {
            let words = std::iter::once(&"keepwatch").chain(words);
            let message = RawArgs::parse(words).unwrap_err().render().ansi().to_string();
            assert!(message.contains("error:") && message.contains("For more information"), "{message:?}");
            for forbidden in ["\u{1b}]", "\u{7}", "\u{202e}", "canary"] {
                assert!(!message.contains(forbidden), "{message:?}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn invalid_utf8_is_an_error() {
        use std::os::unix::ffi::OsStrExt as _;
        let error = |word: &[u8]| {
            let words = [OsStr::new("keepwatch"), OsStr::from_bytes(word)];
            RawArgs::parse(words).unwrap_err().to_string()
        };
        // The first error is about an unknown option, the second one about a session id.
        assert!(error(b"--\xff").contains("--\u{fffd}"), "{}", error(b"--\xff"));
        assert!(error(b"s-\xff").starts_with("error: "), "{}", error(b"s-\xff"));
    }

    #[test]
    fn defaults_apply_to_the_typed_subcommand() {
        let raw_args = raw_args(&["events", "s-1"]);
        assert_eq!(raw_args.command(), Some("events"));
        let cli = raw_args.parse_with_defaults(&[("max-rps", "7"), ("format", "text")]).unwrap();
        let Some(Command::Events(events)) = cli.command else { panic!() };
        assert_eq!((events.rate_limit.max_rps, events.format), (7, crate::cli::EventFormatArg::Text));
    }

    #[test]
    fn option_names_omit_values() {
        let names = |words: &[&str]| raw_args(words).option_names();
        assert_eq!(names(&[]), "");
        let watch = names(&["--api-key-file", "/secret", "-i", "5s", "s-1", "s-2"]);
        assert_eq!(watch, "SESSION_ID --interval --api-key-file");
        assert_eq!(names(&["wait", "--for", "running", "s-1"]), "wait SESSION_ID --for");
        assert_eq!(names(&["journal", "clear", "--yes"]), "journal");
    }

    #[test]
    fn only_api_commands_have_log_option() {
        assert_eq!(raw_args(&["--log", "a"]).log_path(), Some(Path::new("a")));
        assert_eq!(raw_args(&["get", "s-1", "--log", "a"]).log_path(), Some(Path::new("a")));
        for words in
            [&[][..], &["get", "a"], &["events"], &["wait", "a"], &["explain", "a"], &["release", "a"]]
        {
            assert!(raw_args(words).has_log_option(), "{words:?}");
        }
        for words in [&["demo"][..], &["simulate"], &["history"], &["config"], &["replay", "a"]] {
            assert!(!raw_args(words).has_log_option(), "{words:?}");
        }
    }

    #[test]
    fn config_path_ids_and_double_dash_are_found() {
        assert_eq!(raw_args(&["--config", "a.toml"]).config_path(), Some(Path::new("a.toml")));
        let get = raw_args(&["get", "--config", "a.toml", "s-1"]);
        assert_eq!((get.config_path(), get.has_ids()), (Some(Path::new("a.toml")), true));
        assert!(!raw_args(&[]).has_ids() && raw_args(&["s-1"]).has_ids());
        assert!(raw_args(&["demo"]).has_config_option() && !raw_args(&["config"]).has_config_option());
        assert!(!raw_args(&["demo"]).has_ids());
        for (words, count) in [(&["s-1"][..], 0), (&["--", "get"], 1), (&["s-1", "--", "get", "--"], 2)] {
            assert_eq!(raw_args(words).words_after_double_dash(), count, "{words:?}");
        }
    }
}
