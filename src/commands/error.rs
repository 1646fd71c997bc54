//! The error of a command: one message for the terminal and one exit code. `main` prints the message.
//!
//! Every exit code is decided in one of these places:
//!
//! ```text
//!   case                                         exit code    decided by
//!   clap rejects the arguments                   2            main
//!   invalid config, no API key                   2, 3         ConfigError::exit_code
//!   any other error that ends a command          1, 2, 3      CliError::exit_code, below
//!   API key refused in `wait`                    3            CliError::ApiKeyRefused, below
//!   API keys of all profiles refused in `events` 3            events::stream
//!   API error in `get`, `explain`, `release`     1, 3, 4, 5   api_error::exit_code
//!   several API errors in `get`                  1, 3, 4, 5   api_error::more_specific
//!   progress of the sessions of `wait`           0, 1, 4, 6   WaitProgress::outcome in wait/progress.rs
//!   timeout of `wait`                            7            wait::wait
//!   session missing in a journal or recording    4            history, export, explain
//!   `journal clear` not confirmed                1            journal
//!   signal, without a screen                     128 + n      ShutdownSignal::wait in signals.rs
//!   signal, with a screen                        128 + n      tui/terminal_events.rs
//! ```
//!
//! `exit_code.rs` has the numbers. `get`, `explain`, `release` and `wait` print API errors themselves and return an
//! exit code. Most API errors therefore never become a [`CliError`].

use std::io;

use super::api_error;
use crate::config::ConfigError;
use crate::exit_code::ExitCode;
use crate::store::RecordingError;
use crate::store::journal::JournalError;
use browserbase_simulator::{ScenarioError, chaos};
use keepwatch_core::filter::FilterError;
use keepwatch_core::session::ApiError;

/// The error of a command. Paths and ids in it are sanitised.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages document the variants")]
pub enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Log(String),
    #[error("--filter: {}\n{pointer}", .mistake.message)]
    Filter { mistake: FilterError, pointer: String },
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(
        "--seed is for the scenario {} alone, which is made of it; {scenario} is the same each time",
        chaos::SCENARIO_NAME
    )]
    SeedWithoutChaos { scenario: String },
    #[error("several sessions begin with {prefix}, as {one} and {other}: give more of the id")]
    AmbiguousId { prefix: String, one: String, other: String },
    #[error("{option}: {path} can not be begun: {problem}")]
    NewFile { option: &'static str, path: String, problem: String },
    #[error("nobody can be asked here: give {0}")]
    NotInteractive(&'static str),

    #[error("{}", api_error::message(.0))]
    ApiKeyRefused(Box<ApiError>),

    #[error(
        "no screen can be shown here: {0}; `keepwatch explain --from FILE SESSION_ID` prints what a recording has of a session"
    )]
    NoScreenForReplay(&'static str),
    #[error("the runtime can not start: {0}")]
    Runtime(#[source] io::Error),
    #[error("standard output can not be written: {0}")]
    Stdout(#[source] io::Error),
    #[error("no answer can be read: {0}")]
    Stdin(#[source] io::Error),
    #[error("signals can not be heard: {0}")]
    Signals(#[source] io::Error),
    #[error("the terminal can not be used: {0}")]
    Terminal(#[source] io::Error),
    #[error("these are not the last characters of its id: nothing was released")]
    NotConfirmed,
    #[error("the JSON can not be written: {0}")]
    Json(#[source] serde_json::Error),
    #[error("nothing can be recorded: {0}")]
    Recorder(#[source] io::Error),
    #[error("{path} can not be read: {error}")]
    ReadRecording {
        path: String,
        #[source]
        error: io::Error,
    },
    #[error("{path}: {error}")]
    InvalidRecording {
        path: String,
        #[source]
        error: RecordingError,
    },
    #[error("the recording can not be written: {0}")]
    WriteRecording(#[source] io::Error),
    #[error("there is no place for a journal: none of KEEPWATCH_JOURNAL, XDG_STATE_HOME and HOME is set")]
    NoJournalPath,
    #[error("there is no journal yet: a keepwatch that watches writes one to {path}")]
    NoJournal { path: String },
    #[error("{path}: {error}")]
    OpenJournal {
        path: String,
        #[source]
        error: JournalError,
    },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the simulated API found no port on 127.0.0.1: {0}")]
    DemoPort(#[source] io::Error),
    #[error("port {port} of 127.0.0.1 can not be had: {error}; --port 0 takes a free one")]
    SimulatorPort {
        port: u16,
        #[source]
        error: io::Error,
    },
    #[error("--truth: what really happens can not be written any more: {0}")]
    WriteTruth(#[source] io::Error),
}

impl CliError {
    /// Returns the error for a mistake in `--filter`. `text` is the whole filter.
    pub(super) fn filter(mistake: FilterError, text: &str) -> Self {
        let pointer = mistake.underline(text);
        Self::Filter { mistake, pointer }
    }

    /// Returns the exit code that goes with the message.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::ApiKeyRefused(_) => ExitCode::ApiKey,
            Self::Log(_)
            | Self::Filter { .. }
            | Self::Scenario(_)
            | Self::SeedWithoutChaos { .. }
            | Self::AmbiguousId { .. }
            | Self::NewFile { .. }
            | Self::NotInteractive(_) => ExitCode::Usage,
            _ => ExitCode::Failure,
        }
    }
}
