//! Scenario files: the sessions and faults that the simulator plays, and the output that a program that watches them
//! should have.
//!
//! This documentation is the reference of the scenario language. The module parses and checks scenarios.
//! [`World`](crate::World) and the server play them.
//!
//! # A first scenario
//!
//! A scenario is a TOML file. `keepwatch demo --scenario FILE` plays it on the screen, and `keepwatch simulate
//! --scenario FILE` serves it to any client. If the file is invalid, both report the error and, if possible, its line.
//! This file is complete:
//!
//! ```toml
//! about = "A keep-alive session ends after ten seconds, and the API is down for a while"
//!
//! [[session]]
//! timeout = "15m"
//! keep_alive = true
//! ends = { at = "10s" }
//!
//! [[fault]]
//! from = "20s"
//! to = "25s"
//! status = 503
//! ```
//!
//! `assets/scenarios/` has more examples. The scenario `chaos` has no file: [`super::chaos`] generates it from a seed.
//!
//! # Rules for all fields
//!
//! - Every field is optional, unless its comment says "required". The values below are examples. The comments give the
//!   defaults.
//! - A time such as `"9s 600ms"`, `"1m 30s"` or `"-12m"` is an offset from the simulator's start. A negative offset is
//!   before the start. Because all times are offsets, a scenario plays the same on any date.
//! - A duration, such as `timeout`, is written in the same way and is never negative.
//! - `from` and `to` form a window, which includes `from` and excludes `to`. Without `from`, the window begins at the
//!   simulator's start. Without `to`, it never ends.
//! - Offsets and durations follow the simulator's clock, which `--speed` speeds up. Only `latency` and `slow`, which
//!   delay responses, always pass in real time.
//! - An unknown field is an error, so that a misspelt field is noticed.
//! - A scenario has at most 100,000 sessions. Each copy that `repeat` makes counts as a session.
//!
//! # The scenario and its project
//!
//! ```toml
//! name = "early-end"            # default: the file's name without its extension
//! about = "A keep-alive session that ends after ten seconds of its fifteen minutes" # shown where scenarios are listed
//! latency = "40ms"              # delay of every response, in real time; default: 0s
//! skew = "-45s"                 # how far the server's clock is ahead of this machine's; negative: behind; default: 0s
//!
//! [project]
//! id = "b9f4c1f7-2d6e-4c58-9f0e-6a1d0c7ef3a9" # the default
//! name = "acme-prod"            # the default
//! default_timeout = "5m"        # for sessions without a `timeout`; default: 5m
//! concurrency = 25              # slots: creating a session when all are taken fails with 429; default: 25
//! plan = "paid"                 # the default; "free" forbids (403) keep-alive and timeouts above 15 minutes
//!
//! [rules]                       # for sessions that clients create or release through the API
//! pending = "1s"                # time in PENDING before RUNNING; default: 1s
//! unused = "5m"                 # time from creation to COMPLETED without keep-alive, because nothing ever connects to
//!                               # the browser; default: 5m
//! release_delay = "2s"          # time from the release request to COMPLETED; default: 2s
//! ```
//!
//! # Sessions
//!
//! A session without fields is RUNNING from the start and times out after the project's default timeout.
//!
//! ```toml
//! [[session]]
//! name = "checkout"             # used by faults and expectations; several sessions can have the same name; the words
//!                               # that a fault's `on` accepts are reserved
//! id = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de" # unique; default: made from the scenario's name and the position
//! appears = "0s"                # before this time, the API answers 404; default: 0s
//! created = "-2s"               # `startedAt`; `createdAt` differs by up to 0.4 s, as in the API; default: `appears`
//! starts = "3s"                 # PENDING before this time, RUNNING from then on; default: `created`
//! timeout = "15m"               # time from `created` to the expiry, when TIMED_OUT follows; default: the project's
//! keep_alive = true             # default: false
//! region = "us-west-2"          # any text; default: "us-west-2"
//! context = "1d2c…"             # `contextId`; default: none
//! metadata = { owner = "growth", run = { id = "checkout-881" } } # `userMetadata`; default: none
//! overdue = false               # true: the session stays alive after its expiry; default: false
//! vanishes = "10m"              # from this time on, the API answers 404; default: never
//!
//! # An end before the expiry or, if `overdue` is true, at any time. Default: none.
//! [session.ends]
//! at = "9s 600ms"               # required
//! status = "COMPLETED"          # the default; or "ERROR" or "TIMED_OUT"
//! ended_at = "9s"               # `endedAt` in responses; default: `at`
//! omit_ended_at = false         # true: responses lack `endedAt`; default: false
//! cause = "client"              # appears only in the ground truth (docs/simulator-truth.md): "timeout", "failure",
//!                               # "released", "released_elsewhere", "client", "unused", "platform" or "unsaid";
//!                               # default: "timeout" for TIMED_OUT, "failure" for ERROR, else "unsaid"
//!
//! # Traffic through the session's proxy while the session is alive. Several entries add up. Default: none.
//! [[session.proxy]]
//! from = "-12m"
//! to = "30s"
//! bytes_per_second = 25_000     # required; the average rate
//! wave = "40s"                  # period in which the rate rises from zero to twice the average and falls back;
//!                               # default: a steady rate
//!
//! # Windows in which lists lack the session. It can still be retrieved. Default: none.
//! [[session.unlisted]]
//! from = "20s"
//! to = "40s"
//!
//! # Windows in which responses about the session have wrong fields. Default: none.
//! [[session.says]]
//! from = "5s"
//! to = "8s"
//! on = "list"                   # the responses to change: "list", "retrieve" or "all"; default: "all"
//! set = { status = "SLEEPING" } # fields to replace or add: any name, any value
//! without = ["region"]          # fields to remove
//!
//! # Further sessions that are copies of this one, each later than the previous one. Default: none.
//! [session.repeat]
//! every = "45s"                 # required; the delay from one copy to the next
//! count = 60                    # required; the number of sessions, including the original
//! vary = "20s"                  # each session gets a random extra delay and a random extra lifetime, each of them up
//!                               # to this duration and the same in every run; the extra lifetime delays `ends` and
//!                               # `vanishes`, not the timeout; default: 0s
//!                               # `{n}` in a text of `metadata` becomes the number of the copy, counted from 1
//! ```
//!
//! TOML's inline form means the same and is often shorter: `ends = { at = "9s 600ms" }`,
//! `unlisted = [{ from = "20s", to = "40s" }]`.
//!
//! # Faults
//!
//! If several faults apply to a request, the first in the file wins. A fault has at least one of `status`, `reply`,
//! `slow` and `pad`, but not both `status` and `reply`. With only `slow` or `pad`, the response is the normal one, late
//! or padded.
//!
//! ```toml
//! [[fault]]
//! from = "30s"
//! to = "33s"
//! on = "all"                    # the default; or "list", "retrieve", "create", "release", "debug", "logs" or
//!                               # "projects"; or a session's name or id, for requests that retrieve it
//! count = 3                     # the number of requests to affect, from the first in the window; default: all
//! slow = "2s"                   # extra delay of the response, in real time; default: 0s
//! pad = 2_000_000               # number of spaces before the body, which JSON allows; default: 0
//! status = 429                  # an error in the API's format
//! message = "Slow down"         # any value; default: a message that fits the status
//! code = "RATE_LIMITED"         # any value; default: none
//! retry_after = "3s"            # default: none
//! retry_after_as = "seconds"    # the default; or "date", or "ms" for the header `retry-after-ms`
//! headers = { age = "7" }       # further headers of the response; default: none
//!
//! [[fault]]
//! reply = "hang"                # no response; the connection stays open
//!                               # or "html": a web page with status 200, like that of a hotel's network
//!                               # or "truncated": half of the normal body, then the connection closes
//!                               # or "dropped": the connection closes without a response
//! ```
//!
//! # Expectations
//!
//! An expectation describes the output of a program that watches all running and pending sessions. The simulator only
//! checks that expectations are well-formed. `tests/program/scenarios.rs` checks that keepwatch meets those of the
//! built-in scenarios.
//!
//! ```toml
//! [[expect]]
//! session = "checkout"          # name or id of a session that has an explicit `id`; default: the expectation is about
//!                               # the events that belong to no single session
//! within = "20s"                # required; the offset by which everything below is true
//! copied = false                # true: the watcher copies the session's connect URL, several times; default: false
//! released = false              # true: the watcher releases the session; default: false
//! status = "COMPLETED"          # the last status that the watcher saw
//! events = ["first_seen", "ended", "flagged"] # in this order, with others in between; names: docs/events.md
//! never = ["metadata_changed"]  # events that do not occur before `within`
//! verdict = "keep_alive_ended_early" # or "none"; names: docs/events.md
//! phrases = ["14m 50s unused"]  # exact text that occurs in the sentences of the session's events or in its verdict
//! unsaid = ["connected"]        # text that occurs in none of these sentences before `within`
//! screen = ["COMPLETED"]        # text on the screen, 120 columns by 40 rows, with the session selected
//! ```
//!
//! `copied`, `released`, `status`, `verdict` and `screen` need a `session`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::chaos;
use super::expectations::Expectation;
use super::fault::{Fault, FaultTarget, RESERVED_NAMES};
use super::lifecycle::LifecycleRules;
use super::project::SimProject;
use super::scenario_session::ScenarioSession;
use super::scenario_time::{HumanDuration, Offset};
use keepwatch_core::text;

/// The names and texts of the built-in scenarios. Each scenario with a number in its name reproduces an incident that
/// users reported.
///
/// To add one, put its file into `assets/scenarios`, list it here, and list it in `tests/program/scenarios.rs` if it
/// has expectations.
const BUILTIN_SCENARIOS: &[(&str, &str)] = &[
    ("default", include_str!("../../../assets/scenarios/default.toml")),
    ("I01", include_str!("../../../assets/scenarios/I01.toml")),
    ("I02", include_str!("../../../assets/scenarios/I02.toml")),
    ("I03", include_str!("../../../assets/scenarios/I03.toml")),
    ("I04", include_str!("../../../assets/scenarios/I04.toml")),
    ("I05", include_str!("../../../assets/scenarios/I05.toml")),
    ("I06", include_str!("../../../assets/scenarios/I06.toml")),
    ("I07", include_str!("../../../assets/scenarios/I07.toml")),
    ("I08", include_str!("../../../assets/scenarios/I08.toml")),
    ("I09", include_str!("../../../assets/scenarios/I09.toml")),
    ("I10", include_str!("../../../assets/scenarios/I10.toml")),
    ("I11", include_str!("../../../assets/scenarios/I11.toml")),
    ("I12", include_str!("../../../assets/scenarios/I12.toml")),
    ("I13", include_str!("../../../assets/scenarios/I13.toml")),
    ("I14", include_str!("../../../assets/scenarios/I14.toml")),
    ("I15", include_str!("../../../assets/scenarios/I15.toml")),
    ("I16", include_str!("../../../assets/scenarios/I16.toml")),
    ("I17", include_str!("../../../assets/scenarios/I17.toml")),
    ("orderly", include_str!("../../../assets/scenarios/orderly.toml")),
    ("stuck", include_str!("../../../assets/scenarios/stuck.toml")),
];

/// The maximum number of sessions in a scenario, including copies.
pub(super) const MAX_SESSIONS: usize = 100_000;

/// A parsed and checked scenario. The default has no sessions and no faults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The scenario's name. Defaults to the file's name without its extension.
    pub name: String,
    /// A one-sentence description.
    pub about: String,
    /// The delay of every response, in real time.
    pub latency: HumanDuration,
    /// The server's clock minus the machine's.
    pub skew: Offset,
    /// The project that the sessions belong to.
    pub project: SimProject,
    /// The lifecycle of sessions that clients create or release.
    pub rules: LifecycleRules,
    /// The sessions, in the file's order.
    #[serde(rename = "session")]
    pub sessions: Vec<ScenarioSession>,
    /// The faults. The first that applies to a request wins.
    #[serde(rename = "fault")]
    pub faults: Vec<Fault>,
    /// The expectations about the output of a program that watches the scenario.
    #[serde(rename = "expect")]
    pub expectations: Vec<Expectation>,
}

impl Scenario {
    /// Returns the built-in scenario `name`.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        if name == chaos::SCENARIO_NAME {
            return Some(chaos::scenario(chaos::DEFAULT_SEED, chaos::DEFAULT_LIVE_SESSIONS));
        }
        let (_, text) = BUILTIN_SCENARIOS.iter().find(|(builtin_name, _)| *builtin_name == name)?;
        Self::parse_named(text, name, Path::new(name)).ok() // always `Some`: a test parses every built-in scenario
    }

    /// Returns the names of the built-in scenarios.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN_SCENARIOS.iter().map(|(name, _)| *name).chain([chaos::SCENARIO_NAME])
    }

    /// Reads the scenario file at `path`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not a valid scenario.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Unreadable { file: path.into(), source })?;
        Self::parse_named(&text, &path.file_stem().unwrap_or_default().to_string_lossy(), path)
    }

    /// Returns the built-in scenario with this name. Otherwise, if `name_or_path` looks like a path, reads that file.
    ///
    /// # Errors
    /// Returns an error if there is no such scenario, or if the file cannot be read or is not a valid scenario.
    pub fn find(name_or_path: &str) -> Result<Self, ScenarioError> {
        let path = Path::new(name_or_path);
        match Self::builtin(name_or_path) {
            Some(scenario) => Ok(scenario),
            None if path.extension().is_some() || path.components().count() > 1 || path.exists() => {
                Self::load(path)
            }
            None => Err(ScenarioError::Unknown { name: name_or_path.to_owned() }),
        }
    }

    /// Parses and checks `text`.
    ///
    /// # Errors
    /// Returns an error if `text` is not a valid scenario.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        Self::parse_named(text, "scenario", Path::new("scenario"))
    }

    fn parse_named(text: &str, default_name: &str, file: &Path) -> Result<Self, ScenarioError> {
        let invalid = |line, message| ScenarioError::Invalid { file: file.into(), line, message };
        let mut scenario: Self = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|above| above.matches('\n').count() + 1);
            invalid(line, error.message().replace('\n', ", "))
        })?;
        if scenario.name.is_empty() {
            default_name.clone_into(&mut scenario.name);
        }
        scenario.validate().map_err(|message| invalid(None, message))?;
        Ok(scenario)
    }

    /// Checks the rules that concern more than one field. The error is a message about the first broken rule.
    fn validate(&self) -> Result<(), String> {
        let mut ids: Vec<_> = self.sessions.iter().filter_map(|session| session.id.as_deref()).collect();
        ids.sort_unstable();
        let duplicate = ids.windows(2).find_map(|pair| pair.first().filter(|id| pair.last() == Some(id)));
        if let Some(id) = duplicate {
            return Err(format!("two sessions have the id “{id}”"));
        }
        if self.sessions.iter().map(ScenarioSession::copy_count).fold(0, usize::saturating_add) > MAX_SESSIONS
        {
            return Err(format!("it repeats sessions to more than {MAX_SESSIONS}"));
        }
        for fault in &self.faults {
            if let FaultTarget::Session(name_or_id) = &fault.target
                && !self.sessions.iter().any(|session| session.has_name_or_id(name_or_id))
            {
                return Err(format!(
                    "a fault is on “{name_or_id}”, which is neither a session's name or id, nor one of {}",
                    RESERVED_NAMES.join(", ")
                ));
            }
        }
        for expectation in &self.expectations {
            expectation.validate()?;
            if let Some(name_or_id) = expectation.session.as_deref()
                && self.find_session_id(name_or_id).is_none()
            {
                return Err(format!("what is expected of “{name_or_id}” is of no session that has an id"));
            }
        }
        Ok(())
    }

    /// Returns the explicit id of the first session with this name or id. Skips sessions without an explicit id.
    #[must_use]
    pub fn find_session_id(&self, name_or_id: &str) -> Option<&str> {
        self.sessions
            .iter()
            .filter(|session| session.has_name_or_id(name_or_id))
            .find_map(|session| session.id.as_deref())
    }
}

/// An error in finding, reading or parsing a scenario. Its `Display` is one sentence.
#[derive(Debug)]
pub enum ScenarioError {
    /// No built-in scenario has this name.
    Unknown {
        /// The requested name.
        name: String,
    },
    /// The file could not be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The text is not a scenario.
    Invalid {
        /// The file, or the built-in scenario's name.
        file: PathBuf,
        /// The line, counted from 1. `None` if the error is on no particular line.
        line: Option<usize>,
        /// The error message.
        message: String,
    },
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printable = |file: &Path| text::sanitise(&file.to_string_lossy(), 200);
        match self {
            Self::Unknown { name } => {
                let about = |name| Scenario::builtin(name).map(|scenario| scenario.about).unwrap_or_default();
                let scenarios = Scenario::builtin_names().map(|name| format!("{name} ({})", about(name)));
                let scenarios = scenarios.collect::<Vec<_>>().join(", ");
                write!(f, "no scenario is named “{}”; there are: {scenarios}", text::sanitise(name, 60))
            }
            Self::Unreadable { file, source } => {
                write!(f, "the scenario {} cannot be read: {source}", printable(file))
            }
            Self::Invalid { file, line: Some(line), message } => {
                let message = text::sanitise(message, text::MAX_LINE_COLUMNS);
                write!(f, "the scenario {} is wrong in line {line}: {message}", printable(file))
            }
            Self::Invalid { file, line: None, message } => {
                let message = text::sanitise(message, text::MAX_LINE_COLUMNS);
                write!(f, "the scenario {} is wrong: {message}", printable(file))
            }
        }
    }
}

impl std::error::Error for ScenarioError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Unknown { .. } | Self::Invalid { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
