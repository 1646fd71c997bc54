//! Scenario files: a timeline of sessions and faults, and what is expected of whoever watches them.
//!
//! All times are relative to the simulator's start, so a scenario plays the same at any date and any speed. A field
//! that is not known here is refused: a misspelt one would otherwise make a scenario test nothing.
//!
//! ```toml
//! name = "early-end"
//! about = "A keep-alive session that ends after ten seconds of its fifteen minutes"
//! latency = "40ms"              # of every reply, in real time whatever the clock's speed
//! skew = "-45s"                 # the server's clock against the machine's
//!
//! [project]
//! name = "acme-prod"
//! default_timeout = "5m"        # of sessions that state none
//! concurrency = 25              # creating one more session answers 429
//! plan = "paid"                 # or "free": 403 for keep-alive, and 15 minutes at most
//!
//! [rules]                       # of sessions that clients create or release
//! pending = "1s"                # PENDING for so long
//! unused = "5m"                 # COMPLETED then without keep-alive, for nobody ever connects
//! release_delay = "2s"          # COMPLETED so long after a release was asked for
//!
//! [[session]]                   # every field may be left out
//! name = "checkout"             # what faults call it
//! id = "6512bd43-d9ca-4e02-9a67-91f2c1a0b3de" # else made from the scenario's name and the session's place
//! appears = "0s"                # unknown to the API before
//! created = "-2s"               # createdAt and startedAt; else as it appears
//! starts = "3s"                 # PENDING before; else RUNNING at once
//! timeout = "15m"               # from `created`; TIMED_OUT then, by itself
//! keep_alive = true
//! region = "us-west-2"
//! context = "1d2c…"
//! metadata = { owner = "growth", run = { id = "checkout-881" } }
//! proxy = [{ from = "-12m", to = "30s", bytes_per_second = 25_000, wave = "40s" }] # overlapping ones add up
//! ends = { at = "9s 600ms", status = "COMPLETED", ended_at = "9s", omit_ended_at = false, cause = "client" }
//! overdue = false               # true: it does not end at its expiry
//! vanishes = "10m"              # 404 from then on
//! unlisted = [{ from = "20s", to = "40s" }] # retrieved as ever, and in no list
//! says = [{ from = "5s", to = "8s", on = "list", set = { status = "SLEEPING" }, without = ["region"] }]
//! repeat = { every = "45s", count = 60, vary = "20s" } # copies; `{n}` in metadata is the copy's number, from 1
//!
//! [[fault]]
//! from = "30s"                  # else from the start
//! to = "33s"                    # else for good
//! on = "all"                    # or "list", "retrieve", "create", "release", "debug", "logs", "projects", or the name
//!                               # or id of a session, for retrieving it
//! count = 3                     # only the first requests of the window
//! slow = "2s"                   # the answer comes later, in real time
//! pad = 2_000_000               # the body has so many blanks before it, which JSON allows
//! status = 429                  # if left out, the answer is the true one, only slow or padded
//! message = "Slow down"         # any value; one that fits the status if left out
//! code = "RATE_LIMITED"
//! retry_after = "3s"
//! retry_after_as = "seconds"    # or "date", or "ms" for retry-after-ms
//! headers = { age = "7" }
//!
//! [[fault]]
//! reply = "hang"                # instead of a status: also "html", "truncated", or "dropped" without any reply
//!
//! [[expect]]                    # of whoever watches all that runs or is pending
//! session = "checkout"          # the name or id of a session with an id; else of what concerns all
//! within = "20s"                # from the start: by then all of this holds
//! copied = false                # true: the reader copies its connect URL, several times
//! released = false              # true: the reader releases it
//! status = "COMPLETED"          # the last that is seen
//! events = ["first_seen", "ended", "flagged"] # in this order; others may lie between
//! never = ["metadata_changed"]  # up to `within`
//! verdict = "keep_alive_ended_early" # or "none"
//! phrases = ["14m 50s unused"]  # what the sentences of its events and its verdict say, word for word
//! unsaid = ["connected"]        # what they do not say
//! screen = ["COMPLETED"]        # what the screen shows at 120×40, with the session selected
//! ```

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

/// The scenarios that the program carries: name and text.
/// Those that are called by a number play an incident that users had.
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
];

/// The most sessions that a script may make, copies included.
pub(super) const MAX_SESSIONS: usize = 100_000;

/// A scenario as written, checked as a whole. The default one is an empty project.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What the scenario is called; the file's name if it does not say.
    pub name: String,
    /// What it shows, in one sentence.
    pub about: String,
    /// How long every reply takes, in real time.
    pub latency: HumanDuration,
    /// How far the server's clock is ahead of the machine's.
    pub skew: Offset,
    /// The project that the sessions belong to.
    pub project: SimProject,
    /// How sessions live that clients create, and how releases go.
    pub rules: LifecycleRules,
    /// The sessions, in the file's order.
    #[serde(rename = "session")]
    pub sessions: Vec<ScenarioSession>,
    /// What goes wrong. For each request the first that fits holds.
    #[serde(rename = "fault")]
    pub faults: Vec<Fault>,
    /// What is expected of a program that watches this.
    #[serde(rename = "expect")]
    pub expectations: Vec<Expectation>,
}

impl Scenario {
    /// The scenario that the program carries under `name`.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        if name == chaos::SCENARIO_NAME {
            return Some(chaos::scenario(chaos::DEFAULT_SEED, chaos::DEFAULT_LIVE_SESSIONS));
        }
        let (_, text) = BUILTIN_SCENARIOS.iter().find(|(known, _)| *known == name)?;
        Self::parse_named(text, name, Path::new(name)).ok() // a test reads them all
    }

    /// The names of the scenarios that the program carries.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILTIN_SCENARIOS.iter().map(|(name, _)| *name).chain([chaos::SCENARIO_NAME])
    }

    /// The scenario in the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Unreadable { file: path.into(), source })?;
        Self::parse_named(&text, &path.file_stem().unwrap_or_default().to_string_lossy(), path)
    }

    /// The scenario that `word` means: the name of a built-in one, or else a file, if it looks like one's path.
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

    /// The scenario written in `text`.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        Self::parse_named(text, "scenario", Path::new("scenario"))
    }

    fn parse_named(text: &str, name: &str, file: &Path) -> Result<Self, ScenarioError> {
        let invalid = |line, what| ScenarioError::Invalid { file: file.into(), line, message: what };
        let mut scenario: Self = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|above| above.matches('\n').count() + 1);
            invalid(line, error.message().replace('\n', ", "))
        })?;
        if scenario.name.is_empty() {
            name.clone_into(&mut scenario.name);
        }
        scenario.validate().map_err(|what| invalid(None, what))?;
        Ok(scenario)
    }

    /// What one table alone cannot know to be wrong.
    fn validate(&self) -> Result<(), String> {
        let mut ids: Vec<_> = self.sessions.iter().filter_map(|session| session.id.as_deref()).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find_map(|pair| pair.first().filter(|id| pair.last() == Some(id)))
        {
            return Err(format!("two sessions have the id “{twice}”"));
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
            if let Some(word) =
                expectation.session.as_deref().filter(|word| self.find_session_id(word).is_none())
            {
                return Err(format!("what is expected of “{word}” is of no session that has an id"));
            }
        }
        Ok(())
    }

    /// The id of the first session that is called `word` and was given one.
    #[must_use]
    pub fn find_session_id(&self, name_or_id: &str) -> Option<&str> {
        self.sessions
            .iter()
            .filter(|session| session.has_name_or_id(name_or_id))
            .find_map(|session| session.id.as_deref())
    }
}

/// Why there is no scenario. Its `Display` is one sentence.
#[derive(Debug)]
pub enum ScenarioError {
    /// No built-in scenario has this name.
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The file could not be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text is not a scenario.
    Invalid {
        /// The file, or the built-in scenario's name.
        file: PathBuf,
        /// Where, counted from 1, if it is in one place.
        line: Option<usize>,
        /// What is wrong there.
        message: String,
    },
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |file: &Path| text::sanitise(&file.to_string_lossy(), 200);
        match self {
            Self::Unknown { name } => {
                let about = |name| Scenario::builtin(name).map(|script| script.about).unwrap_or_default();
                let known = Scenario::builtin_names().map(|name| format!("{name} ({})", about(name)));
                let known = known.collect::<Vec<_>>().join(", ");
                write!(f, "no scenario is named “{}”; there are: {known}", text::sanitise(name, 60))
            }
            Self::Unreadable { file, source } => {
                write!(f, "the scenario {} cannot be read: {source}", shown(file))
            }
            Self::Invalid { file, line: Some(line), message: what } => {
                let what = text::sanitise(what, text::MAX_LINE_COLUMNS);
                write!(f, "the scenario {} is wrong in line {line}: {what}", shown(file))
            }
            Self::Invalid { file, line: None, message: what } => {
                let what = text::sanitise(what, text::MAX_LINE_COLUMNS);
                write!(f, "the scenario {} is wrong: {what}", shown(file))
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
