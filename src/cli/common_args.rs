//! Groups of options that several commands share, and the parsers of their values.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, ValueEnum};

use keepwatch_core::tracker::EarlyLimit;

/// The scenario that the simulated API plays.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    /// Which scenario to play
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    pub scenario: String,
    /// Of the scenario chaos: the number that it is made of, which makes the same each time [default: 6]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Add so many made-up sessions, at most 100000; of chaos, let so many live at a time, 36 if it is 0
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub sessions: u32,
}

/// The recording to write while watching.
#[derive(Debug, Args)]
pub struct RecordingArgs {
    /// Record what is watched into a new file (not -, for standard output is taken), for `keepwatch replay` and
    /// `keepwatch explain --from`; no secret is in it
    #[arg(long, value_name = "FILE", value_parser = FileParser("standard output has the screen or the events"))]
    pub record: Option<PathBuf>,
    /// Leave the sessions' metadata out of what is written down, and their owners out of `keepwatch events`
    #[arg(long)]
    pub no_metadata: bool,
}

/// The journal, the database of everything seen.
#[derive(Clone, Copy, Debug, Args)]
pub struct JournalArgs {
    /// Write no journal, and read none
    #[arg(long)]
    pub no_journal: bool,
    /// How long the journal keeps what was seen
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_retention)]
    pub journal_keep: Duration,
}

/// The limit on requests per second.
#[derive(Clone, Copy, Debug, Args)]
pub struct RateLimitArgs {
    /// Poll at most so many times a second, 1 to 100, each profile; what a key asks for goes out at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_rps: u32,
}

/// The thresholds at which a session gets an alert.
#[derive(Debug, Args)]
pub struct AlertArgs {
    /// Alert when this much time is left; of several, the shortest is red; 0s for never
    #[arg(long, alias = "warn", value_name = "DURATIONS", default_value = "5m,1m", value_delimiter = ',', value_parser = parse_duration)]
    pub alert_left: Vec<Duration>,
    /// Alert when a keep-alive session ends before its expiry and ran for less than this; or always, or never
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_early_limit)]
    pub alert_early: EarlyLimit,
    /// Alert when the proxy of a session has carried nothing for this long, after it carried something; 0s for never
    #[arg(long, alias = "idle", value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub alert_idle: Duration,
    /// Alert when a session has been PENDING for this long; 0s for never
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
    pub alert_pending: Duration,
}

/// The prices, in dollars, for cost estimates.
#[derive(Debug, Args)]
pub struct CostRateArgs {
    /// Dollars for an hour of running time, for the estimates
    #[arg(long, value_name = "DOLLARS", default_value_t = 0.12, value_parser = parse_dollars)]
    pub rate_hour: f64,
    /// Dollars for a GB through the proxy, for the estimates
    #[arg(long, value_name = "DOLLARS", default_value_t = 12.0, value_parser = parse_dollars)]
    pub rate_gb: f64,
}

/// The config file, which has the values of options that are not typed.
#[derive(Debug, Args)]
pub struct ConfigFileArgs {
    /// The config file [default: KEEPWATCH_CONFIG, else keepwatch/config.toml in XDG_CONFIG_HOME or ~/.config]
    #[arg(long, value_name = "PATH", value_parser = FileParser("standard input can have an API key or an answer"))]
    pub config: Option<PathBuf>,
}

/// The profile, the endpoint, the API key and the log file.
#[derive(Debug, Args)]
pub struct ApiArgs {
    /// Reach the API as this profile of the config file says; the screen and `keepwatch events` take several
    #[arg(long, value_name = "NAME")]
    pub profile: Vec<String>,
    /// The API's base URL [default: BROWSERBASE_BASE_URL, else the public one]
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// A file that holds the key; - reads standard input [default: BROWSERBASE_API_KEY]
    #[arg(long, value_name = "PATH")]
    pub api_key_file: Option<PathBuf>,
    /// Send the key over plain http to another machine
    #[arg(long)]
    pub insecure_http: bool,
    /// Log what keepwatch does and is answered into this file, appending to it; no secret is in it [also: KEEPWATCH_LOG]
    #[arg(long, value_name = "FILE", value_parser = FileParser(LOG_NEEDS_FILE))]
    pub log: Option<PathBuf>,
}

/// The appearance of the screen.
#[derive(Debug, Args)]
pub struct AppearanceArgs {
    /// Where the metadata says whose a session is, as run.id [default: owner, label, name …, or a known tool's stamp]
    #[arg(long, value_name = "PATH")]
    pub owner_key: Option<String>,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Use ASCII only (as where the locale has no UTF-8)
    #[arg(long)]
    pub ascii: bool,
    /// Use colours: auto, always or never; auto obeys NO_COLOR
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto, hide_possible_values = true)]
    pub color: Color,
}

/// The use of colours. `Auto` obeys `NO_COLOR`; `Always` ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "clap would print each variant's sentence below the option")]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// The alerts, cost rates and permissions of the screen.
#[derive(Debug, Args)]
pub struct ScreenArgs {
    /// The alert thresholds.
    #[command(flatten)]
    pub alerts: AlertArgs,
    /// The prices for estimates.
    #[command(flatten)]
    pub rates: CostRateArgs,
    /// Ring the terminal's bell with each new flag
    #[arg(long)]
    pub bell: bool,
    /// Release nothing, whatever is pressed [also: KEEPWATCH_READ_ONLY=1]
    #[arg(long)]
    pub read_only: bool,
}

/// The reason why a log does not go to standard output or standard error.
pub(crate) const LOG_NEEDS_FILE: &str = "a log is a file, which keepwatch rotates";

/// A parser for the path of a file. It refuses `-`, which means standard input or output in other options. Its field is
/// the reason that the error message gives. `./-` is the file with the name `-`.
#[derive(Clone, Copy)]
pub(super) struct FileParser(pub(super) &'static str);

impl TypedValueParser for FileParser {
    type Value = PathBuf;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<PathBuf, clap::Error> {
        let reason = self.0;
        let check = move |path: PathBuf| {
            if path.as_os_str() == "-" {
                return Err(format!("{reason}: name a file (./- if it has this name)"));
            }
            Ok(path)
        };
        PathBufValueParser::new().try_map(check).parse_ref(command, arg, value)
    }
}

/// Parses a duration such as `5s` or `1m30s`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| format!("“{text}” is no duration; write 5s or 1m30s"))
}

/// Parses the limit for early ends: a [duration](parse_duration), `always` or `never`.
pub(crate) fn parse_early_limit(text: &str) -> Result<EarlyLimit, String> {
    match text.trim() {
        "always" => Ok(EarlyLimit::Always),
        "never" => Ok(EarlyLimit::Never),
        duration => humantime::parse_duration(duration)
            .map(EarlyLimit::Below)
            .map_err(|_| format!("invalid limit \"{text}\" (try 1m, always or never)")),
    }
}

/// Parses a retention time of the journal: a [duration](parse_duration) of at least an hour.
pub(super) fn parse_retention(text: &str) -> Result<Duration, String> {
    let retention = parse_duration(text)?;
    if retention < Duration::from_secs(60 * 60) {
        return Err("an hour (1h) is the shortest; --no-journal keeps nothing".into());
    }
    Ok(retention)
}

/// Parses a price in dollars such as `0.12` or `$0.12`, from 0 to less than a million.
pub(super) fn parse_dollars(text: &str) -> Result<f64, String> {
    let dollars: Option<f64> = text.trim().trim_start_matches('$').parse().ok();
    dollars
        .filter(|dollars| (0.0..1e6).contains(dollars))
        .ok_or_else(|| format!("“{text}” is no price in dollars; write 0.12"))
}

/// Parses a poll interval: a [duration](parse_duration) from a second to a day.
pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if interval < Duration::from_secs(1) {
        return Err("asking more often than each second (1s) helps nobody".into());
    }
    if interval > Duration::from_secs(24 * 60 * 60) {
        return Err("a day (24h) is the longest".into());
    }
    Ok(interval)
}
