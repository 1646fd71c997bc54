//! Errors in the command line, the environment and the config file. The messages are safe for a terminal.

use std::io;

use super::api_key::KeyError;
use crate::api::{EndpointError, ProxyError};
use crate::exit_code::ExitCode;
use keepwatch_core::session::SessionIdError;
use keepwatch_core::text;

/// The maximum width of a message from clap, in columns.
const MAX_COLUMNS: usize = 300;

/// An error that prevents a valid config.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages document the variants")]
pub enum ConfigError {
    #[error("the config file {file} can not be read: {error}")]
    UnreadableFile {
        file: String,
        #[source]
        error: io::Error,
    },
    #[error("the config file {file} is no TOML in line {line}, column {column}: {problem}")]
    InvalidToml { file: String, line: usize, column: usize, problem: String },
    #[error("the config file {file} is wrong in line {line}: {name}: {problem}")]
    InvalidItem { file: String, line: usize, name: String, problem: String },
    #[error("the profile “{0}” names neither a base-url nor a key (api-key-file, api-key-command)")]
    EmptyProfile(String),
    #[error("there is no profile “{0}”: there is no config file")]
    ProfileWithoutFile(String),
    #[error(
        "there is no profile “{name}”: {file} has none, or is not there; a profile is a table [profile.{name}]"
    )]
    FileWithoutProfiles { name: String, file: String },
    #[error("there is no profile “{name}” in {file}, which has {known}{}", did_you_mean(suggestion.as_deref()))]
    UnknownProfile { name: String, file: String, known: String, suggestion: Option<String> },
    #[error("{}", text::sanitise(&.0.to_string(), MAX_COLUMNS))]
    InvalidDefault(#[from] clap::Error),
    #[error("{option}: {problem}")]
    InvalidOption { option: &'static str, problem: String },
    #[error(transparent)]
    InvalidSessionId(#[from] SessionIdError),
    #[error("“{word}” is not taken for a session id: {hint} If it is one: `keepwatch -- {word}`")]
    CommandAsSessionId { word: String, hint: String },
    #[error(
        "{0} narrows the lists, and sessions that are named are asked for by their ids: leave out one or the other"
    )]
    ListOptionWithIds(&'static str),
    #[error(
        "this keepwatch is read-only (--read-only, KEEPWATCH_READ_ONLY, or read-only in the config file): it releases \
         nothing"
    )]
    ReadOnly,
    #[error(
        "{option} is for one project, and the profiles {one} and {other} say each its own: leave it out, or give --profile \
         once"
    )]
    OptionForSeveralProfiles { option: &'static str, one: String, other: String },
    #[error("`{command}` reaches one project: give --profile once")]
    SeveralProfiles { command: String },
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl ConfigError {
    /// Returns keepwatch's exit code for this error.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Key(_) => ExitCode::ApiKey,
            _ => ExitCode::Usage,
        }
    }
}

/// Returns the question that ends a message, such as `; did you mean get?`, or an empty string without a suggestion.
pub(super) fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|suggestion| format!("; did you mean {suggestion}?")).unwrap_or_default()
}
