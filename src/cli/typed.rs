//! What was typed, kept so that it can be read once more: with the options of a config file as the defaults.
//!
//! ```text
//!   words ──parse──► Typed ──command(), config()──► which file, which of its tables
//!                      │                                     │ defaults
//!                      └───────────────cli(defaults)─────────┴──► Cli
//! ```
//!
//! So the file's values pass through the parsers of the command line, and what was typed comes before them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory as _, Error, FromArgMatches as _};

use super::Cli;
use keepwatch_core::text::{Untrusted, is_printable, redact};

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
    /// What clap prints: help and version, or what is wrong. The words that it quotes are text: a script may have put into
    /// them what a stranger wrote, and a key may have been typed in a wrong place.
    pub fn parse(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        match Cli::command().try_get_matches_from(&words) {
            Ok(matches) => Ok(Self { words, matches }),
            // promise: quoted-arguments, mutant: quoting_text(error, &words) -> error
            Err(error) => Err(quoting_text(error, &words)),
        }
    }

    /// The subcommand's name.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.matches.subcommand_name()
    }

    /// Returns true if the command has the option `--config`.
    #[must_use]
    pub fn takes_config(&self) -> bool {
        self.takes("config")
    }

    /// Returns the value of `--config`.
    #[must_use]
    pub fn config(&self) -> Option<&Path> {
        self.path("config")
    }

    /// Returns true if the command has the option `--log`.
    #[must_use]
    pub fn takes_log(&self) -> bool {
        self.takes("log")
    }

    /// Returns the value of `--log`.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.path("log")
    }

    fn takes(&self, option: &str) -> bool {
        self.own().try_contains_id(option).is_ok()
    }

    fn path(&self, option: &str) -> Option<&Path> {
        self.own().try_get_one::<PathBuf>(option).ok().flatten().map(PathBuf::as_path)
    }

    /// What was typed, by its names alone: `events --interval SESSION_ID`. A value may be anyone's business.
    #[must_use]
    pub fn names(&self) -> String {
        let cli = Cli::command();
        let command = self.command().and_then(|name| cli.find_subcommand(name)).unwrap_or(&cli);
        let is_typed = |arg: &&Arg| {
            let id = arg.get_id().as_str();
            self.own().try_contains_id(id).is_ok()
                && self.own().value_source(id) == Some(ValueSource::CommandLine)
        };
        let name = |arg: &Arg| match (arg.get_long(), arg.get_value_names()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some([name, ..])) => name.to_string(),
            (None, _) => arg.get_id().to_string(),
        };
        let options = command.get_arguments().filter(is_typed).map(name);
        self.command().map(str::to_owned).into_iter().chain(options).collect::<Vec<_>>().join(" ")
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

/// `error`, which clap has for `words` and quotes them in as they came, as it would be of words that can be shown.
fn quoting_text(error: Error, words: &[OsString]) -> Error {
    let safe: Vec<OsString> = words.iter().map(|word| shown(word)).collect();
    if safe == words {
        return error;
    }
    let other = Cli::command().try_get_matches_from(&safe).err();
    other.unwrap_or_else(|| Error::raw(error.kind(), "a word has characters that can not be shown\n"))
}

/// The word as it is where it can be shown, and else a text about it.
fn shown(word: &OsStr) -> OsString {
    let word = word.to_string_lossy();
    // promise: masked-arguments, mutant: masked(&word) -> word.clone()
    let safe = redact(&word);
    if is_printable(&safe) { safe.into_owned().into() } else { Untrusted::new(safe).sanitise_line().into() }
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
    fn what_is_wrong_is_said_without_what_a_terminal_obeys_and_without_a_key() {
        for words in [
            &["--\u{1b}]0;owned\u{7}"][..],
            &["--interval", "\u{1b}]0;owned\u{7}"],
            &["--color", "\u{202e}\u{1b}]0;owned\u{7}"],
            &["get", "s-1", "--\u{1b}]0;owned\u{7}"],
            &["--interval", "bb_live_canary"],
            &["--color=bb_live_canary"],
        ] {
            let words = std::iter::once(&"keepwatch").chain(words);
            let said = Typed::parse(words).unwrap_err().render().ansi().to_string();
            assert!(said.contains("error:") && said.contains("For more information"), "{said:?}");
            for bad in ["\u{1b}]", "\u{7}", "\u{202e}", "canary"] {
                assert!(!said.contains(bad), "{said:?}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_word_that_is_no_text_is_refused_as_what_it_is() {
        use std::os::unix::ffi::OsStrExt as _;
        let said = |word: &[u8]| {
            let words = [OsStr::new("keepwatch"), OsStr::from_bytes(word)];
            Typed::parse(words).unwrap_err().to_string()
        };
        assert!(said(b"--\xff").contains("--\u{fffd}"), "{}", said(b"--\xff"));
        assert!(said(b"s-\xff").starts_with("error: "), "{}", said(b"s-\xff"));
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
    fn what_was_typed_is_told_by_its_names_and_by_none_of_its_values() {
        let names = |words: &[&str]| typed(words).names();
        assert_eq!(names(&[]), "");
        let watch = names(&["--api-key-file", "/secret", "-i", "5s", "s-1", "s-2"]);
        assert_eq!(watch, "SESSION_ID --interval --api-key-file");
        assert_eq!(names(&["wait", "--for", "running", "s-1"]), "wait SESSION_ID --for");
        assert_eq!(names(&["journal", "clear", "--yes"]), "journal");
    }

    #[test]
    fn the_log_is_of_the_commands_that_ask_the_api() {
        assert_eq!(typed(&["--log", "a"]).log(), Some(Path::new("a")));
        assert_eq!(typed(&["get", "s-1", "--log", "a"]).log(), Some(Path::new("a")));
        for words in
            [&[][..], &["get", "a"], &["events"], &["wait", "a"], &["explain", "a"], &["release", "a"]]
        {
            assert!(typed(words).takes_log(), "{words:?}");
        }
        for words in [&["demo"][..], &["simulate"], &["history"], &["config"], &["replay", "a"]] {
            assert!(!typed(words).takes_log(), "{words:?}");
        }
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
