//! Command line, environment and config file → one valid [`Config`]. Nothing downstream parses or checks again.
//!
//! ```text
//!   cli::Typed ──► File::find ──options──► Cli ──────┐
//!   Environment ────────┤                            ├──► read ──► Config
//!                       └──reach, profiles──► Source ┘
//! ```
//!
//! What is typed comes before what the environment says, that before the file, and that before the defaults.

mod api_key;
mod api_options;
mod error;
mod file;
pub mod file_schema;
mod journal;
mod list_status;
mod log;
mod resolve;
mod resolved_profile;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use keepwatch_core::clock::Zone;
use keepwatch_core::session::{MetadataPath, SessionId, Targets};
use keepwatch_core::tracker::AlertThresholds;
use keepwatch_core::tracker::cost::Rates;
use keepwatch_core::tracker::evidence;

use crate::api::Query;
pub use crate::cli::{Goal, JournalAction, PlanArg};
use crate::poll::PollLimits;
use crate::store::journal::JournalConfig;
pub use api_key::KeyError;
pub use api_options::{ApiOptions, KeySource, PROFILE_KEYS};
pub use clap_complete::Shell;
pub use error::ConfigError;
pub use file::ConfigFile;
pub use journal::JournalFile;
pub use log::log_file;
pub use resolved_profile::{MaybeKeyedProfile, ResolvedProfile};

/// What to do, all of it valid.
#[derive(Debug)]
pub enum Config {
    /// `keepwatch [SESSION_ID]...`
    Watch(WatchConfig),
    /// `keepwatch export`
    Export(ExportConfig),
    /// `keepwatch replay`
    Replay(ReplayConfig),
    /// `keepwatch demo`
    Demo(DemoConfig),
    /// `keepwatch get`
    Get(GetConfig),
    /// `keepwatch events`
    Events(EventsConfig),
    /// `keepwatch wait`
    Wait(WaitConfig),
    /// `keepwatch explain`
    Explain(ExplainConfig),
    /// `keepwatch release`
    Release(ReleaseConfig),
    /// `keepwatch history`
    History(HistoryConfig),
    /// `keepwatch journal`
    Journal(JournalAction, JournalFile),
    /// `keepwatch simulate`
    Simulate(SimulateConfig),
    /// `keepwatch config`
    DefaultFile,
    /// `keepwatch completions`
    Completions(Shell),
}

impl Config {
    /// What is to be said about where the keys came from, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Watch(config) => config.profiles().filter_map(|it| it.warning.clone()).collect(),
            Self::Get(GetConfig { profile: source, .. })
            | Self::Events(EventsConfig { profile: source, .. })
            | Self::Wait(WaitConfig { profile: source, .. })
            | Self::Release(ReleaseConfig { profile: source, .. })
            | Self::Explain(ExplainConfig { from: ExplainFrom::Api(source), .. }) => {
                source.warning.iter().cloned().collect()
            }
            Self::Explain(_)
            | Self::Export(_)
            | Self::Replay(_)
            | Self::Demo(_)
            | Self::History(_)
            | Self::Journal(..)
            | Self::Simulate(_)
            | Self::DefaultFile
            | Self::Completions(_) => Vec::new(),
        }
    }
}

/// How to watch.
#[derive(Debug)]
pub struct WatchConfig {
    /// What.
    pub targets: Targets,
    /// What the lists are narrowed by.
    pub query: Option<Query>,
    /// How often.
    pub poll_limits: PollLimits,
    /// The API and key of the first profile. At least one of the profiles has a key.
    pub first_profile: MaybeKeyedProfile,
    /// The APIs and keys of the other profiles.
    pub other_profiles: Vec<MaybeKeyedProfile>,
    /// Where what is seen is kept; `None` where nothing is.
    pub journal: Option<JournalConfig>,
    /// How the screen is to be.
    pub screen: ScreenConfig,
    /// The new file that it is recorded into.
    pub recording_path: Option<PathBuf>,
    /// Whether metadata is left out of what is written down.
    pub no_metadata: bool,
}

impl WatchConfig {
    /// Returns the APIs and keys of all profiles, in the order of the command line.
    pub fn profiles(&self) -> impl Iterator<Item = &MaybeKeyedProfile> {
        std::iter::once(&self.first_profile).chain(&self.other_profiles)
    }
}

/// How the screen is to be, whatever it shows.
#[derive(Clone, Debug)]
pub struct ScreenConfig {
    /// When a session is flagged.
    pub thresholds: AlertThresholds,
    /// What things cost.
    pub rates: Rates,
    /// Whether a new flag rings the bell.
    pub bell: bool,
    /// Whether nothing can be released.
    pub read_only: bool,
    /// Where the metadata says whose a session is.
    pub owner_key: Option<MetadataPath>,
    /// Times in which zone.
    pub zone: Zone,
    /// Colours and glyphs.
    pub appearance: Appearance,
}

/// Which recording to show, and how.
#[derive(Debug)]
pub struct ReplayConfig {
    /// The file.
    pub path: PathBuf,
    /// How many times as fast as it was.
    pub speed: u32,
    /// Where the metadata says whose a session is, if not where its maker said.
    pub owner_key: Option<MetadataPath>,
    /// Times in which zone.
    pub zone: Zone,
    /// Colours and glyphs.
    pub appearance: Appearance,
}

/// What the simulated API plays.
#[derive(Debug)]
pub struct ScenarioConfig {
    /// The name of a scenario, or a file.
    pub scenario: String,
    /// What it is made of, if it is made.
    pub seed: Option<u64>,
    /// How many sessions are made up beside it; of one that is made, how many live at a time, if it is not 0.
    pub sessions: usize,
}

/// How to show the simulated API.
#[derive(Debug)]
pub struct DemoConfig {
    /// What is played.
    pub scenario: ScenarioConfig,
    /// How many times as fast as real.
    pub speed: u32,
    /// How often to ask, in simulated time.
    pub poll_limits: PollLimits,
    /// How the screen is to be.
    pub screen: ScreenConfig,
}

/// What to print once.
#[derive(Debug)]
pub struct GetConfig {
    /// Which sessions.
    pub ids: Vec<SessionId>,
    /// Where, and with which key.
    pub profile: ResolvedProfile,
    /// JSON, not a table.
    pub json: bool,
    /// With the connect fields.
    pub reveal: bool,
    /// Times in which zone.
    pub zone: Zone,
    /// ASCII only.
    pub ascii: bool,
}

/// Which events to print.
#[derive(Debug)]
pub struct EventsConfig {
    /// Of which sessions.
    pub targets: Targets,
    /// How often to ask.
    pub poll_limits: PollLimits,
    /// When a session is flagged.
    pub thresholds: AlertThresholds,
    /// Where, and with which key.
    pub profile: ResolvedProfile,
    /// The new file that it is recorded into.
    pub recording_path: Option<PathBuf>,
    /// Whether metadata is left out of what is written down.
    pub no_metadata: bool,
    /// How they are printed.
    pub format: EventFormat,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFormat {
    /// One JSON object a line; times are UTC.
    Json,
    /// A line for people.
    Text {
        /// Times in which zone.
        zone: Zone,
        /// ASCII only.
        ascii: bool,
    },
}

/// What to wait for.
#[derive(Debug)]
pub struct WaitConfig {
    /// Of which sessions.
    pub ids: Vec<SessionId>,
    /// What.
    pub goal: Goal,
    /// Of one of them; else of all.
    pub any: bool,
    /// How long at most.
    pub timeout: Option<Duration>,
    /// Whether an end as `ERROR` or `TIMED_OUT` is told by the exit code.
    pub exit_status: bool,
    /// For how long a session may be unknown to the API.
    pub grace: Duration,
    /// How often to ask.
    pub poll_limits: PollLimits,
    /// Where, and with which key.
    pub profile: ResolvedProfile,
    /// ASCII only.
    pub ascii: bool,
}

/// What to explain.
#[derive(Debug)]
pub struct ExplainConfig {
    /// Which session.
    pub id: SessionId,
    /// What is told of it.
    pub options: evidence::EvidenceOptions<'static>,
    /// From where it is learned.
    pub from: ExplainFrom,
    /// ASCII only.
    pub ascii: bool,
}

/// From where a session is learned.
#[derive(Debug)]
pub enum ExplainFrom {
    /// The API.
    Api(ResolvedProfile),
    /// A recording.
    Recording(PathBuf),
}

/// What to release.
#[derive(Debug)]
pub struct ReleaseConfig {
    /// Which session.
    pub id: SessionId,
    /// The answer to the question, where it was given beforehand.
    pub confirm: Option<String>,
    /// Where, and with which key.
    pub profile: ResolvedProfile,
    /// ASCII only.
    pub ascii: bool,
}

/// Which of the sessions that were seen to show.
#[derive(Debug)]
pub struct HistoryConfig {
    /// The session whose timeline is printed; else all are listed.
    pub id: Option<SessionId>,
    /// Where the journal is.
    pub journal: JournalFile,
    /// Seen within so long.
    pub since: Duration,
    /// What the screen's filter would show, in its language.
    pub filter: String,
    /// JSON, not tables.
    pub json: bool,
    /// What things cost.
    pub rates: Rates,
    /// Times and days in which zone.
    pub zone: Zone,
    /// ASCII only.
    pub ascii: bool,
}

/// What to make a recording of.
#[derive(Debug)]
pub struct ExportConfig {
    /// Which session.
    pub id: SessionId,
    /// Where the journal is.
    pub journal: JournalFile,
    /// The new file; else standard output.
    pub output_path: Option<PathBuf>,
    /// Whether its metadata is left out.
    pub no_metadata: bool,
}

/// What to serve.
#[derive(Debug)]
pub struct SimulateConfig {
    /// On which port of 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// What is played.
    pub scenario: ScenarioConfig,
    /// Where what really happens is written.
    pub ground_truth_path: Option<PathBuf>,
    /// How many may run at once, if not as many as the scenario says.
    pub concurrency: Option<u32>,
    /// The project's plan, if not the scenario's.
    pub plan: Option<PlanArg>,
    /// How long a release takes to show, if not as long as the scenario says.
    pub release_delay: Option<Duration>,
}

/// What the terminal can show, or the reader wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appearance {
    /// Colours; else bold, faint and reverse alone.
    pub color: bool,
    /// ASCII only.
    pub ascii: bool,
}

/// The environment's variables.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Of `std::env::vars_os()`, or of a test.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(vars: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The names of the variables that are this program's, and set.
    #[must_use]
    pub fn defined_names(&self) -> Vec<String> {
        let names =
            self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.to_string_lossy());
        let is_ours = |name: &str| name.starts_with("BROWSERBASE_") || name.starts_with("KEEPWATCH_");
        names.filter(|name| is_ours(name)).map(|name| name.into_owned()).collect()
    }

    /// The variable, unless it is empty.
    fn get(&self, name: &str) -> Option<String> {
        let value = self.0.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned());
        value.filter(|value| !value.is_empty())
    }

    /// The variable as a path, unless it is empty.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }
}

/// Values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

/// The candidate that a word nearly is: a third of its letters may be wrong, and one in any case.
fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let lower = word.to_lowercase();
    candidates
        .map(|candidate| (strsim::osa_distance(candidate, &lower), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}
