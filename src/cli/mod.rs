//! The command line, defined as types for clap: options, subcommands, defaults and help.
//!
//! clap parses each value on its own. `config` combines the values with the environment and the config file.

mod common_args;
mod raw_args;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use common_args::{
    AlertArgs, ApiArgs, AppearanceArgs, Color, ConfigFileArgs, CostRateArgs, JournalArgs, RateLimitArgs,
    RecordingArgs, ScenarioArgs, ScreenArgs,
};
use common_args::{FileParser, parse_interval};
pub(crate) use common_args::{LOG_NEEDS_FILE, parse_duration, parse_early_limit};
pub use raw_args::RawArgs;

use keepwatch_core::tracker::EarlyLimit;

/// Watch Browserbase sessions: are they alive, how long have they left, and how did they end.
#[derive(Debug, Parser)]
#[command(
    name = "keepwatch",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a key: `keepwatch demo`. The key comes from BROWSERBASE_API_KEY, --api-key-file or what the \
                  config file names (`keepwatch config` prints one); no option takes it, for `ps` would show it.\n\
                  Exit codes: 0 fine, 1 failed, 2 usage, 3 key missing or refused, 4 a session does not exist, \
                  5 the API cannot be reached; of `keepwatch wait`: 6 a session ended in a way of --fail-on, 7 timed \
                  out."
)]
pub struct Cli {
    /// The subcommand, if there is one.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The arguments without a subcommand, which start the screen.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// `keepwatch [SESSION_ID]...`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Sessions to watch; without any, all of the project that run or are pending
    #[arg(value_name = "SESSION_ID")]
    pub ids: Vec<String>,
    /// The API's `q`.
    #[arg(
        long,
        value_name = "Q",
        help = "Ask only for sessions with this in their metadata, as user_metadata['run']['id']:'c-881'"
    )]
    pub query: Option<String>,
    /// Ask only for sessions with this status
    #[arg(long, value_name = "PENDING|RUNNING")]
    pub status: Option<String>,
    /// How often to ask
    #[arg(short, long, value_name = "DURATION", default_value = "3s", value_parser = parse_interval)]
    pub interval: Duration,
    /// The recording to write.
    #[command(flatten)]
    pub recording: RecordingArgs,
    /// The limit on requests per second.
    #[command(flatten)]
    pub rate_limit: RateLimitArgs,
    /// The alerts, cost rates and permissions of the screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
    /// The profile, the endpoint, the API key and the log file.
    #[command(flatten)]
    pub api: ApiArgs,
    /// The journal.
    #[command(flatten)]
    pub journal: JournalArgs,
    /// The appearance of the screen.
    #[command(flatten)]
    pub appearance: AppearanceArgs,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print sessions once
    Get(GetArgs),
    /// Print what happens, as it happens: no terminal needed
    #[command(
        after_help = "Each event names the owner of its session. The owner is the only value of the metadata that is \
                      printed; --no-metadata leaves it out. Repeat --profile to follow several projects."
    )]
    Events(EventsArgs),
    /// Wait until sessions have ended, or run
    Wait(WaitArgs),
    /// Print the evidence of what happened to a session, for a support ticket
    Explain(ExplainArgs),
    /// Release one session: its browser ends with it
    Release(ReleaseArgs),
    /// Show a recording: what its maker saw, with the same keys
    Replay(ReplayArgs),
    /// Print which sessions were seen, how they ended, and what that cost, from the journal
    History(HistoryArgs),
    /// Write a recording of one session, from the journal
    Export(ExportArgs),
    /// Look after the journal: its path, its size, clearing it
    Journal(JournalCommand),
    /// Watch a simulated API: no key, no network
    Demo(DemoArgs),
    /// Serve the simulated API to other programs
    Simulate(SimulateArgs),
    /// Print a config file with every option and its default, all commented out
    Config,
    /// Print the completions for a shell
    Completions(CompletionsArgs),
}

/// `keepwatch get SESSION_ID...`
#[derive(Debug, Args)]
pub struct GetArgs {
    /// The sessions
    #[arg(value_name = "SESSION_ID", required = true)]
    pub ids: Vec<String>,
    /// Print a JSON array, with the API's own field names
    #[arg(long)]
    pub json: bool,
    /// Print the connect URLs and the signing key too: whoever reads them controls the browser
    #[arg(long)]
    pub reveal: bool,
    /// The profile, the endpoint, the API key and the log file.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Use ASCII only (as where the locale has no UTF-8)
    #[arg(long)]
    pub ascii: bool,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// `keepwatch events [SESSION_ID]...`
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Sessions to watch, until all of them have ended; without any, all of the project that run or are pending
    #[arg(value_name = "SESSION_ID")]
    pub ids: Vec<String>,
    /// The API's `q`.
    #[arg(
        long,
        value_name = "Q",
        help = "Ask only for sessions with this in their metadata, as user_metadata['run']['id']:'c-881'"
    )]
    pub query: Option<String>,
    /// Ask only for sessions with this status
    #[arg(long, value_name = "PENDING|RUNNING")]
    pub status: Option<String>,
    /// Print only events of sessions that the screen's filter (`/`) would show, as "owner:nightly !region:us", and
    /// events that are about no session
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Where the metadata says whose a session is, as run.id [default: owner, label, name …, or a known tool's stamp]
    #[arg(long, value_name = "PATH")]
    pub owner_key: Option<String>,
    /// As NDJSON, one object a line, or as text for people
    #[arg(long, value_enum, value_name = "json|text", default_value_t = EventFormatArg::Json, hide_possible_values = true)]
    pub format: EventFormatArg,
    /// How often to ask
    #[arg(short, long, value_name = "DURATION", default_value = "3s", value_parser = parse_interval)]
    pub interval: Duration,
    /// The recording to write.
    #[command(flatten)]
    pub recording: RecordingArgs,
    /// The limit on requests per second.
    #[command(flatten)]
    pub rate_limit: RateLimitArgs,
    /// The alert thresholds.
    #[command(flatten)]
    pub alerts: AlertArgs,
    /// The profile, the endpoint, the API key and the log file.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Show times in UTC (as text; JSON always has UTC)
    #[arg(long)]
    pub utc: bool,
    /// Use ASCII only, as text (as where the locale has no UTF-8)
    #[arg(long)]
    pub ascii: bool,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// The output format of `keepwatch events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "clap would print each variant's sentence below the option")]
pub enum EventFormatArg {
    Json,
    Text,
}

/// `keepwatch wait SESSION_ID...`
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The sessions
    #[arg(value_name = "SESSION_ID", required = true)]
    pub ids: Vec<String>,
    /// What is waited for
    #[arg(long = "for", value_enum, value_name = "ended|running", default_value_t = Goal::Ended, hide_possible_values = true)]
    pub goal: Goal,
    /// Wait for one of them, not for all
    #[arg(long)]
    pub any: bool,
    /// Wait no longer than this, and exit with 7 then
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Exit with 6 if one ended in a way of this list, separated by commas
    #[arg(
        long,
        value_enum,
        value_name = "error|timeout|early|gone",
        value_delimiter = ',',
        hide_possible_values = true,
        help = "Exit with 6 if one of them ended in a listed way; several by commas. early: a keep-alive session that \
                ended before its expiry and sooner than --alert-early; gone: 404 or 410, and no reply showed its end"
    )]
    pub fail_on: Vec<FailOnArg>,
    /// Short for --fail-on error,timeout; both together: the ways of both
    #[arg(long)]
    pub exit_status: bool,
    /// How long a keep-alive session must run so that its end before its expiry is not early; or always, or never
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_early_limit)]
    pub alert_early: EarlyLimit,
    /// Take a 404 for “not there yet” for so long
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub grace: Duration,
    /// How often to ask
    #[arg(short, long, value_name = "DURATION", default_value = "3s", value_parser = parse_interval)]
    pub interval: Duration,
    /// The limit on requests per second.
    #[command(flatten)]
    pub rate_limit: RateLimitArgs,
    /// The profile, the endpoint, the API key and the log file.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Use ASCII only (as where the locale has no UTF-8)
    #[arg(long)]
    pub ascii: bool,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// A way to end that `keepwatch wait --fail-on` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "clap would print each variant's sentence below the option")]
pub enum FailOnArg {
    Error,
    Timeout,
    Early,
    Gone,
}

/// The state that `keepwatch wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "clap would print each variant's sentence below the option")]
pub enum Goal {
    Ended,
    Running,
}

/// `keepwatch replay FILE`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE", value_parser = FileParser("standard input has the keystrokes"))]
    pub file: PathBuf,
    /// How many times as fast as it was, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub speed: u32,
    /// The appearance of the screen.
    #[command(flatten)]
    pub appearance: AppearanceArgs,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// `keepwatch explain SESSION_ID`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Take what was observed from this recording; - reads standard input; nothing is asked for
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The session
    #[arg(value_name = "SESSION_ID", required_unless_present = "clients")]
    pub id: Option<String>,
    /// Print which call of which client disconnects, and which ends a session; without an id, only that
    #[arg(long)]
    pub clients: bool,
    /// Print its metadata too; what looks like a secret is masked
    #[arg(long)]
    pub with_metadata: bool,
    /// The prices for cost estimates.
    #[command(flatten)]
    pub rates: CostRateArgs,
    /// The profile, the endpoint, the API key and the log file.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Use ASCII only (as where the locale has no UTF-8)
    #[arg(long)]
    pub ascii: bool,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// `keepwatch release SESSION_ID`
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The session
    #[arg(value_name = "SESSION_ID")]
    pub id: String,
    /// Answer the question beforehand, with the last four characters of the session's id
    #[arg(long, value_name = "LAST4")]
    pub confirm: Option<String>,
    /// Release nothing, whatever is asked [also: KEEPWATCH_READ_ONLY=1]
    #[arg(long)]
    pub read_only: bool,
    /// The profile, the endpoint, the API key and the log file.
    #[command(flatten)]
    pub api: ApiArgs,
    /// Use ASCII only (as where the locale has no UTF-8)
    #[arg(long)]
    pub ascii: bool,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// `keepwatch history`
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Print what happened to this session, as far as it was seen
    #[arg(value_name = "SESSION_ID", conflicts_with_all = ["filter", "json"])]
    pub id: Option<String>,
    /// Sessions that were seen within so long
    #[arg(long, value_name = "DURATION", default_value = "2d", value_parser = parse_duration)]
    pub since: Duration,
    /// Only sessions that the screen's filter (`/`) would show, as "status:error owner:nightly"
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The prices for cost estimates.
    #[command(flatten)]
    pub rates: CostRateArgs,
    /// Show times, and count days, in UTC
    #[arg(long)]
    pub utc: bool,
    /// Use ASCII only (as where the locale has no UTF-8)
    #[arg(long)]
    pub ascii: bool,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// `keepwatch export SESSION_ID`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The session
    #[arg(value_name = "SESSION_ID")]
    pub id: String,
    /// The new file; - is standard output [default: -]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Leave out its metadata
    #[arg(long)]
    pub no_metadata: bool,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// `keepwatch journal`
#[derive(Debug, Args)]
pub struct JournalCommand {
    /// The action.
    #[command(subcommand)]
    pub action: JournalAction,
}

/// The actions of `keepwatch journal`.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum JournalAction {
    /// Print where it is, or would be
    Path,
    /// Print how large it is, and what is in it
    Size {
        /// Show times in UTC
        #[arg(long)]
        utc: bool,
    },
    /// Delete all that is in it
    Clear {
        /// Answer the question beforehand
        #[arg(long)]
        yes: bool,
    },
}

/// `keepwatch demo`
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The scenario to play.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// How many times as fast as real, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub speed: u32,
    /// How often to ask
    #[arg(short, long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
    pub interval: Duration,
    /// The limit on requests per second.
    #[command(flatten)]
    pub rate_limit: RateLimitArgs,
    /// The alerts, cost rates and permissions of the screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
    /// The appearance of the screen.
    #[command(flatten)]
    pub appearance: AppearanceArgs,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// `keepwatch simulate`
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
    /// The scenario to play.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Write what really happens to each session, and why, into a new file, as NDJSON
    #[arg(long, value_name = "FILE", value_parser = FileParser("standard output has the address of the API"))]
    pub truth: Option<PathBuf>,
    /// How many sessions may run at once; creating one more answers 429 [default: the scenario's, else 25]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub concurrency: Option<u32>,
    /// The project's plan: creating a keep-alive session answers 403 on the free one [default: the scenario's, else
    /// paid]
    #[arg(long, value_enum, value_name = "free|paid", hide_possible_values = true)]
    pub plan: Option<PlanArg>,
    /// How long a session goes on after its release was asked for [default: the scenario's, else 2s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub release_delay: Option<Duration>,
    /// The config file.
    #[command(flatten)]
    pub config_file: ConfigFileArgs,
}

/// `keepwatch completions SHELL`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "bash|zsh|fish|elvish|powershell", hide_possible_values = true)]
    pub shell: Shell,
}

/// The plan of the simulated project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "clap would print each variant's sentence below the option")]
pub enum PlanArg {
    Free,
    Paid,
}

/// Returns the names of the subcommands, in the order of the help.
#[must_use]
pub fn command_names() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn interval_is_one_second_to_one_day() {
        assert_eq!(parse_interval("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_interval("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(parse_interval("24h"), Ok(Duration::from_secs(24 * 60 * 60)));
        for bad in ["999ms", "0s", "5", "soon", "", "25h", "-3s"] {
            assert!(parse_interval(bad).is_err(), "{bad} must be refused");
        }
    }
}
