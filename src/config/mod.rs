//! The configuration of a run: command line, environment and config file become one valid [`Config`]. Code that has a
//! `Config` does not parse or validate options again.
//!
//! ```text
//!   RawArgs ─────► ConfigFile::find ──options───────────────────────► Cli ──────────────┐
//!   Environment ───────────┤                                                            ├──► Config::new ──► Config
//!                          └──────────ApiOptions, profiles──────────► ResolvedProfile ──┘
//! ```
//!
//! The command line takes precedence over the environment, the environment over the config file, and the file over the
//! defaults. There is one exception: a profile takes precedence over the environment. `resolved_profile` explains it.

mod api_key;
mod api_options;
mod error;
mod file;
pub mod file_schema;
mod journal;
mod key_command;
mod list_status;
mod log;
mod resolve;
mod resolved_profile;
mod time_zone;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use keepwatch_core::clock::Zone;
use keepwatch_core::session::{MetadataPath, SessionId, Targets};
use keepwatch_core::tracker::cost::Rates;
use keepwatch_core::tracker::evidence;
use keepwatch_core::tracker::{AlertRules, EarlyLimit};

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

/// The command to run, with its valid options.
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
    /// `keepwatch explain --clients` without a session id
    PrintClientCalls {
        /// True to print ASCII only.
        ascii: bool,
    },
    /// `keepwatch release`
    Release(ReleaseConfig),
    /// `keepwatch history`
    History(HistoryConfig),
    /// `keepwatch journal`: the action, the path of the journal, and the time zone of the times shown
    Journal(JournalAction, JournalFile, Zone),
    /// `keepwatch simulate`
    Simulate(SimulateConfig),
    /// `keepwatch config`, which prints a config file with the defaults
    PrintDefaultConfig,
    /// `keepwatch completions`
    Completions(Shell),
}

impl Config {
    /// Returns warnings about the sources of the API keys, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Watch(config) => config.profiles().filter_map(|profile| profile.warning.clone()).collect(),
            Self::Events(config) => config.profiles().filter_map(|profile| profile.warning.clone()).collect(),
            Self::Get(GetConfig { profile, .. })
            | Self::Wait(WaitConfig { profile, .. })
            | Self::Release(ReleaseConfig { profile, .. })
            | Self::Explain(ExplainConfig { source: ExplainSource::Api(profile), .. }) => {
                profile.warning.iter().cloned().collect()
            }
            Self::Explain(_)
            | Self::Export(_)
            | Self::Replay(_)
            | Self::Demo(_)
            | Self::History(_)
            | Self::Journal(..)
            | Self::Simulate(_)
            | Self::PrintClientCalls { .. }
            | Self::PrintDefaultConfig
            | Self::Completions(_) => Vec::new(),
        }
    }
}

/// Options of `keepwatch [SESSION_ID]...`.
#[derive(Debug)]
pub struct WatchConfig {
    /// The sessions to watch.
    pub targets: Targets,
    /// The query that restricts which sessions the API lists.
    pub query: Option<Query>,
    /// The poll interval and the maximum request rate.
    pub poll_limits: PollLimits,
    /// The endpoint and API key of the first profile. At least one profile, this one or another, has an API key.
    pub first_profile: MaybeKeyedProfile,
    /// The endpoints and API keys of the other profiles.
    pub other_profiles: Vec<MaybeKeyedProfile>,
    /// The journal to write, or `None` to write none.
    pub journal: Option<JournalConfig>,
    /// Options of the screen.
    pub screen: ScreenConfig,
    /// The path of the new recording, or `None` to record nothing.
    pub recording_path: Option<PathBuf>,
    /// True if journal and recording leave out metadata.
    pub no_metadata: bool,
}

impl WatchConfig {
    /// Returns all profiles, in the order of the command line.
    pub fn profiles(&self) -> impl Iterator<Item = &MaybeKeyedProfile> {
        std::iter::once(&self.first_profile).chain(&self.other_profiles)
    }
}

/// Options of a screen that watches the API or the simulator.
#[derive(Clone, Debug)]
pub struct ScreenConfig {
    /// The limits at which a session raises an alert.
    pub alert_rules: AlertRules,
    /// Prices for the cost estimate.
    pub rates: Rates,
    /// True if a new alert rings the terminal's bell.
    pub bell: bool,
    /// True if releasing sessions is disabled.
    pub read_only: bool,
    /// The path at which the metadata has a session's owner, or `None` to try the usual names.
    pub owner_key: Option<MetadataPath>,
    /// The time zone of the times shown.
    pub zone: Zone,
    /// Colours and glyphs.
    pub appearance: Appearance,
}

/// Options of `keepwatch replay`.
#[derive(Debug)]
pub struct ReplayConfig {
    /// The path of the recording.
    pub path: PathBuf,
    /// The speed, as a multiple of the speed at which events were recorded.
    pub speed: u32,
    /// The path at which the metadata has a session's owner, or `None` for the path that the recording has.
    pub owner_key: Option<MetadataPath>,
    /// The time zone of the times shown.
    pub zone: Zone,
    /// Colours and glyphs.
    pub appearance: Appearance,
}

/// The scenario of the simulated API.
#[derive(Debug)]
pub struct ScenarioConfig {
    /// The name of a built-in scenario, or the path of a scenario file.
    pub scenario: String,
    /// The seed of the scenario `chaos`, or `None` for its default.
    pub seed: Option<u64>,
    /// The number of synthetic sessions in addition to the scenario's. In `chaos`, the number of sessions that run at
    /// the same time, or 0 for its default.
    pub sessions: usize,
}

/// Options of `keepwatch demo`.
#[derive(Debug)]
pub struct DemoConfig {
    /// The scenario to play.
    pub scenario: ScenarioConfig,
    /// The speed, as a multiple of real time.
    pub speed: u32,
    /// The poll interval and the maximum request rate, in simulated time.
    pub poll_limits: PollLimits,
    /// Options of the screen.
    pub screen: ScreenConfig,
}

/// Options of `keepwatch get`.
#[derive(Debug)]
pub struct GetConfig {
    /// The sessions to print.
    pub ids: Vec<SessionId>,
    /// The endpoint and API key.
    pub profile: ResolvedProfile,
    /// True to print JSON instead of a table.
    pub json: bool,
    /// True to print the connect fields, which are secrets.
    pub reveal: bool,
    /// The time zone of the times shown.
    pub zone: Zone,
    /// True to print ASCII only.
    pub ascii: bool,
}

/// Options of `keepwatch events`.
#[derive(Debug)]
pub struct EventsConfig {
    /// The sessions to watch.
    pub targets: Targets,
    /// The poll interval and the maximum request rate.
    pub poll_limits: PollLimits,
    /// The limits at which a session raises an alert.
    pub alert_rules: AlertRules,
    /// The query that restricts which sessions the API lists.
    pub query: Option<Query>,
    /// A filter expression, in the syntax of the screen's filter. Empty to print the events of all sessions.
    pub filter: String,
    /// The path at which the metadata has a session's owner, or `None` to try the usual names.
    pub owner_key: Option<MetadataPath>,
    /// The endpoint and API key of the first profile. At least one profile, this one or another, has an API key.
    pub first_profile: MaybeKeyedProfile,
    /// The endpoints and API keys of the other profiles.
    pub other_profiles: Vec<MaybeKeyedProfile>,
    /// The path of the new recording, or `None` to record nothing.
    pub recording_path: Option<PathBuf>,
    /// True if the recording leaves out metadata, and the events leave out owners.
    pub no_metadata: bool,
    /// The output format.
    pub format: EventFormat,
}

impl EventsConfig {
    /// Returns all profiles, in the order of the command line.
    pub fn profiles(&self) -> impl Iterator<Item = &MaybeKeyedProfile> {
        std::iter::once(&self.first_profile).chain(&self.other_profiles)
    }
}

/// The output format of `keepwatch events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFormat {
    /// One JSON object per line, with times in UTC.
    Json,
    /// One line of readable text per event, and a second one for the verdict of an ended session.
    Text {
        /// The time zone of the times shown.
        zone: Zone,
        /// True to print ASCII only.
        ascii: bool,
    },
}

/// Options of `keepwatch wait`.
#[derive(Debug)]
pub struct WaitConfig {
    /// The sessions to wait for.
    pub ids: Vec<SessionId>,
    /// The state to wait for.
    pub goal: Goal,
    /// True if the wait ends when one session reaches the state, false if all sessions must reach it.
    pub any: bool,
    /// The maximum time to wait, or `None` for no limit.
    pub timeout: Option<Duration>,
    /// The ways to end that the exit code reports.
    pub fail_on: FailOn,
    /// The time in which a session may be unknown to the API, because it is still being created.
    pub grace: Duration,
    /// The poll interval and the maximum request rate.
    pub poll_limits: PollLimits,
    /// The endpoint and API key.
    pub profile: ResolvedProfile,
    /// The time zone of the times shown.
    pub zone: Zone,
    /// True to print ASCII only.
    pub ascii: bool,
}

/// The ways to end that the exit code of `keepwatch wait` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailOn {
    /// True to report `ERROR`.
    pub error: bool,
    /// True to report `TIMED_OUT`.
    pub timeout: bool,
    /// The limit for early ends of keep-alive sessions. [`EarlyLimit::Never`] to report no early end.
    pub early: EarlyLimit,
    /// True to report a session that the API does not know (404 or 410), if no response showed its end.
    pub gone: bool,
}

/// Options of `keepwatch explain`.
#[derive(Debug)]
pub struct ExplainConfig {
    /// The session to explain.
    pub id: SessionId,
    /// The options of the evidence text.
    pub options: evidence::EvidenceOptions<'static>,
    /// The source of the data about the session.
    pub source: ExplainSource,
    /// True to print the table of the calls of clients below the evidence.
    pub with_clients: bool,
    /// True to print ASCII only.
    pub ascii: bool,
}

/// The source of the data about a session to explain.
#[derive(Debug)]
pub enum ExplainSource {
    /// The API, at this endpoint and with this API key.
    Api(ResolvedProfile),
    /// A recording at this path.
    Recording(PathBuf),
}

/// Options of `keepwatch release`.
#[derive(Debug)]
pub struct ReleaseConfig {
    /// The session to release.
    pub id: SessionId,
    /// The answer to the confirmation prompt, from `--confirm`. `None` to prompt the user.
    pub confirmation: Option<String>,
    /// The endpoint and API key.
    pub profile: ResolvedProfile,
    /// True to print ASCII only.
    pub ascii: bool,
}

/// Options of `keepwatch history`.
#[derive(Debug)]
pub struct HistoryConfig {
    /// The session whose timeline is printed, or `None` to print tables of all sessions.
    pub id: Option<SessionId>,
    /// The path of the journal.
    pub journal: JournalFile,
    /// The maximum age of the last response about a session, from `--since`.
    pub max_age: Duration,
    /// A filter expression, in the syntax of the screen's filter. Empty to print all sessions.
    pub filter: String,
    /// True to print JSON instead of tables.
    pub json: bool,
    /// Prices for the cost estimate.
    pub rates: Rates,
    /// The time zone of times and days.
    pub zone: Zone,
    /// True to print ASCII only.
    pub ascii: bool,
}

/// Options of `keepwatch export`.
#[derive(Debug)]
pub struct ExportConfig {
    /// The session to export.
    pub id: SessionId,
    /// The path of the journal.
    pub journal: JournalFile,
    /// The path of the new recording, or `None` for standard output.
    pub output_path: Option<PathBuf>,
    /// True if the recording leaves out metadata.
    pub no_metadata: bool,
}

/// Options of `keepwatch simulate`.
#[derive(Debug)]
pub struct SimulateConfig {
    /// The port on 127.0.0.1, or 0 for any free one.
    pub port: u16,
    /// The scenario to play.
    pub scenario: ScenarioConfig,
    /// The path of the new file for the ground truth, or `None` to write none.
    pub ground_truth_path: Option<PathBuf>,
    /// The project's concurrency limit, or `None` for the scenario's.
    pub concurrency: Option<u32>,
    /// The project's plan, or `None` for the scenario's.
    pub plan: Option<PlanArg>,
    /// The time until a release takes effect, or `None` for the scenario's.
    pub release_delay: Option<Duration>,
}

/// The abilities of the terminal, as detected or as the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appearance {
    /// True to use colours. Without them, only bold, faint and reverse remain.
    pub color: bool,
    /// True to print ASCII only.
    pub ascii: bool,
}

/// The environment variables.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    /// A warning that the local time zone cannot be used. Not set until the time zone is needed.
    zone_warning: OnceCell<Option<String>>,
}

impl Environment {
    /// Creates an environment from `std::env::vars_os()`, or from a test's variables.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(vars: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, zone_warning: OnceCell::new() }
    }

    /// Returns the warnings about the variables that were needed so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.zone_warning.get().cloned().flatten().into_iter().collect()
    }

    /// Returns the time zone of the machine, or UTC if that zone cannot be used.
    fn local_zone(&self) -> Zone {
        let warning = self.zone_warning.get_or_init(|| {
            let tz = self.variables.get(OsStr::new("TZ")).map(OsString::as_os_str);
            time_zone::local_zone_warning(tz, self.path("TZDIR"))
        });
        // promise: unusable-zone, mutant: warning.is_some() -> false
        if warning.is_some() { Zone::Utc } else { Zone::Local }
    }

    /// Returns the names of all variables that begin with `BROWSERBASE_` or `KEEPWATCH_` and are not empty.
    #[must_use]
    pub fn defined_names(&self) -> Vec<String> {
        let names = self
            .variables
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, _)| name.to_string_lossy());
        let is_ours = |name: &str| name.starts_with("BROWSERBASE_") || name.starts_with("KEEPWATCH_");
        names.filter(|name| is_ours(name)).map(|name| name.into_owned()).collect()
    }

    /// Returns the variable, or `None` if it is unset or empty.
    fn get(&self, name: &str) -> Option<String> {
        let value = self.variables.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned());
        value.filter(|value| !value.is_empty())
    }

    /// Returns the variable as a path, or `None` if it is unset or empty.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty()).map(PathBuf::from)
    }
}

/// Shows only the number of variables, because values can be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}

/// Returns the candidate that is most similar to `word`, ignoring the case of `word`. Ignores candidates that differ by
/// more typing errors than a third of their length, but always allows one error.
fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let lower = word.to_lowercase();
    candidates
        .map(|candidate| (strsim::osa_distance(candidate, &lower), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}
