//! Resolves raw arguments, environment and config file into a [`Config`], or returns the first error.

use std::path::Path;
use std::time::Duration;

use super::journal::{journal_config, journal_file};
use super::list_status::parse_list;
use super::resolved_profile::ResolveContext;
use super::{
    Appearance, Config, ConfigError, ConfigFile, DemoConfig, Environment, EventFormat, EventsConfig,
    ExplainConfig, ExplainSource, ExportConfig, FailOn, GetConfig, HistoryConfig, ReleaseConfig,
    ReplayConfig, ScenarioConfig, ScreenConfig, SimulateConfig, WaitConfig, WatchConfig, nearest,
};
use crate::VERSION;
use crate::api::Query;
use crate::cli::{
    self, Color, Command, CompletionsArgs, DemoArgs, EventFormatArg, EventsArgs, ExplainArgs, ExportArgs,
    FailOnArg, GetArgs, HistoryArgs, JournalAction, JournalCommand, RateLimitArgs, RawArgs, ReleaseArgs,
    ReplayArgs, SimulateArgs, WaitArgs, WatchArgs,
};
use crate::poll::PollLimits;
use keepwatch_core::clock::Zone;
use keepwatch_core::session::{MetadataPath, SessionId, Targets};
use keepwatch_core::text;
use keepwatch_core::tracker::cost::Rates;
use keepwatch_core::tracker::{AlertRule, AlertRules, AlertThresholds, EarlyLimit, evidence};

/// The subcommands of keepwatch, and words that users may mistake for subcommands. `keepwatch SESSION_ID` rejects a
/// session id that resembles one of these words, because the user probably meant a subcommand.
const COMMAND_WORDS: [&str; 17] = [
    "get",
    "demo",
    "simulate",
    "help",
    "version",
    "watch",
    "list",
    "events",
    "explain",
    "wait",
    "release",
    "history",
    "replay",
    "journal",
    "export",
    "config",
    "completions",
];

/// The maximum width of a typed word in a message, in columns.
const MAX_WORD_COLUMNS: usize = 40;

impl Config {
    /// Resolves the options of a run. Reads API key files and runs API key commands.
    ///
    /// # Errors
    /// Returns the error of the first invalid option or, if no profile has an API key, the error of the first profile.
    pub fn new(raw_args: &RawArgs, env: &Environment, file: &ConfigFile) -> Result<Self, ConfigError> {
        if env.path("KEEPWATCH_JOURNAL").is_some_and(|path| path == Path::new("-")) {
            return Err(invalid_option("KEEPWATCH_JOURNAL", "the journal is a file: name one instead of -"));
        }
        let mut options = file.options(raw_args.command());
        options.retain(|(key, _)| !is_overridden(key, raw_args, env));
        let cli = raw_args.parse_with_defaults(&options)?;
        let context = ResolveContext { command: raw_args.command(), env, file };
        let Some(command) = cli.command else {
            return watch_config(&cli.watch, raw_args.words_after_double_dash(), &context).map(Self::Watch);
        };
        match command {
            Command::Get(get) => get_config(&get, &context).map(Self::Get),
            Command::Events(events) => events_config(&events, &context).map(Self::Events),
            Command::Wait(wait) => wait_config(&wait, &context).map(Self::Wait),
            Command::Release(release) => release_config(release, &context).map(Self::Release),
            Command::Explain(explain) => explain_config(&explain, &context),
            Command::Replay(replay) => replay_config(replay, env).map(Self::Replay),
            Command::History(history) => history_config(history, env).map(Self::History),
            Command::Export(export) => export_config(export, env).map(Self::Export),
            Command::Journal(JournalCommand { action }) => {
                // Only `journal size` shows times.
                let needs_local_zone = matches!(action, JournalAction::Size { utc: false });
                Ok(Self::Journal(action, journal_file(env), zone(!needs_local_zone, env)))
            }
            Command::Demo(demo) => demo_config(demo, file, env).map(Self::Demo),
            Command::Simulate(simulate) => Ok(Self::Simulate(simulate_config(simulate))),
            Command::Config => Ok(Self::PrintDefaultConfig),
            Command::Completions(CompletionsArgs { shell }) => Ok(Self::Completions(shell)),
        }
    }
}

/// Returns true if keepwatch must ignore the file's value of an option. There are two reasons. An environment variable
/// may override the option. Or the option restricts the lists, and the command line names sessions.
fn is_overridden(key: &str, raw_args: &RawArgs, env: &Environment) -> bool {
    match key {
        "color" => env.get("NO_COLOR").is_some(),
        "read-only" => env.get("KEEPWATCH_READ_ONLY").is_some(),
        "no-journal" => env.path("KEEPWATCH_JOURNAL").is_some(),
        "query" | "status" => raw_args.has_ids(),
        _ => false,
    }
}

/// Resolves the options of the screen. The last `words_after_double_dash` of the ids were typed after `--`.
fn watch_config(
    watch: &WatchArgs,
    words_after_double_dash: usize,
    context: &ResolveContext<'_>,
) -> Result<WatchConfig, ConfigError> {
    let ids_before_double_dash = watch.ids.len().saturating_sub(words_after_double_dash);
    watch.ids.iter().take(ids_before_double_dash).try_for_each(|word| reject_command_word(word))?;
    let (targets, query) = targets_and_query(&watch.ids, watch.query.as_deref(), watch.status.as_deref())?;
    let screen = screen_config(&watch.screen, &watch.appearance, context.file, context.env)?;
    let (first_profile, other_profiles) = context.resolve_profiles(&watch.api)?;
    Ok(WatchConfig {
        targets,
        query,
        journal: journal_config(watch.journal, context.env),
        screen,
        poll_limits: poll_limits(watch.interval, &watch.rate_limit),
        first_profile,
        other_profiles,
        recording_path: watch.recording.record.clone(),
        no_metadata: watch.recording.no_metadata,
    })
}

fn get_config(get: &GetArgs, context: &ResolveContext<'_>) -> Result<GetConfig, ConfigError> {
    Ok(GetConfig {
        ids: session_ids(&get.ids)?,
        profile: context.resolve_single_profile(&get.api)?,
        json: get.json,
        reveal: get.reveal,
        zone: zone(get.utc || get.json, context.env),
        ascii: get.ascii || !has_utf8(context.env),
    })
}

fn events_config(events: &EventsArgs, context: &ResolveContext<'_>) -> Result<EventsConfig, ConfigError> {
    let ascii = events.ascii || !has_utf8(context.env);
    let (targets, query) = targets_and_query(&events.ids, events.query.as_deref(), events.status.as_deref())?;
    let owner_key = owner_key(events.owner_key.as_deref())?;
    let (first_profile, other_profiles) = context.resolve_profiles(&events.api)?;
    Ok(EventsConfig {
        targets,
        query,
        filter: events.filter.clone().unwrap_or_default(),
        owner_key,
        poll_limits: poll_limits(events.interval, &events.rate_limit),
        alert_rules: alert_rules(&events.alerts, context.file),
        recording_path: events.recording.record.clone(),
        no_metadata: events.recording.no_metadata,
        first_profile,
        other_profiles,
        format: match events.format {
            EventFormatArg::Json => EventFormat::Json,
            EventFormatArg::Text => EventFormat::Text { zone: zone(events.utc, context.env), ascii },
        },
    })
}

fn wait_config(wait: &WaitArgs, context: &ResolveContext<'_>) -> Result<WaitConfig, ConfigError> {
    Ok(WaitConfig {
        ids: session_ids(&wait.ids)?,
        goal: wait.goal,
        any: wait.any,
        timeout: wait.timeout,
        fail_on: fail_on(wait),
        grace: wait.grace,
        poll_limits: poll_limits(wait.interval, &wait.rate_limit),
        profile: context.resolve_single_profile(&wait.api)?,
        zone: zone(false, context.env),
        ascii: wait.ascii || !has_utf8(context.env),
    })
}

/// Combines `--fail-on` and `--exit-status`.
fn fail_on(wait: &WaitArgs) -> FailOn {
    let has = |way| wait.fail_on.contains(&way);
    FailOn {
        error: wait.exit_status || has(FailOnArg::Error),
        timeout: wait.exit_status || has(FailOnArg::Timeout),
        early: if has(FailOnArg::Early) { wait.alert_early } else { EarlyLimit::Never },
        gone: has(FailOnArg::Gone),
    }
}

fn release_config(release: ReleaseArgs, context: &ResolveContext<'_>) -> Result<ReleaseConfig, ConfigError> {
    if release.read_only || is_read_only(context.env) {
        return Err(ConfigError::ReadOnly);
    }
    Ok(ReleaseConfig {
        id: SessionId::parse(&release.id)?,
        confirmation: release.confirm,
        profile: context.resolve_single_profile(&release.api)?,
        ascii: release.ascii || !has_utf8(context.env),
    })
}

fn explain_config(explain: &ExplainArgs, context: &ResolveContext<'_>) -> Result<Config, ConfigError> {
    let rates = rates(&explain.rates);
    let ascii = explain.ascii || !has_utf8(context.env);
    let Some(id) = &explain.id else { return Ok(Config::PrintClientCalls { ascii }) };
    Ok(Config::Explain(ExplainConfig {
        id: SessionId::parse(id)?,
        options: evidence::EvidenceOptions { with_metadata: explain.with_metadata, rates, version: VERSION },
        source: match &explain.from {
            Some(path) => ExplainSource::Recording(path.clone()),
            None => ExplainSource::Api(context.resolve_single_profile(&explain.api)?),
        },
        with_clients: explain.clients,
        ascii,
    }))
}

fn replay_config(replay: ReplayArgs, env: &Environment) -> Result<ReplayConfig, ConfigError> {
    Ok(ReplayConfig {
        path: replay.file,
        speed: replay.speed,
        owner_key: owner_key(replay.appearance.owner_key.as_deref())?,
        zone: zone(replay.appearance.utc, env),
        appearance: appearance(&replay.appearance, env),
    })
}

fn export_config(export: ExportArgs, env: &Environment) -> Result<ExportConfig, ConfigError> {
    let ExportArgs { id, to, no_metadata, .. } = export;
    let id = SessionId::parse(&id)?;
    let output_path = to.filter(|path| path != Path::new("-"));
    Ok(ExportConfig { id, journal: journal_file(env), output_path, no_metadata })
}

fn history_config(history: HistoryArgs, env: &Environment) -> Result<HistoryConfig, ConfigError> {
    Ok(HistoryConfig {
        id: history.id.as_deref().map(SessionId::parse).transpose()?,
        journal: journal_file(env),
        max_age: history.since,
        filter: history.filter.unwrap_or_default(),
        json: history.json,
        rates: rates(&history.rates),
        zone: zone(history.utc, env),
        ascii: history.ascii || !has_utf8(env),
    })
}

fn demo_config(demo: DemoArgs, file: &ConfigFile, env: &Environment) -> Result<DemoConfig, ConfigError> {
    let DemoArgs { scenario, speed, interval, rate_limit, screen, appearance, .. } = demo;
    Ok(DemoConfig {
        scenario: scenario_config(scenario),
        speed,
        poll_limits: poll_limits(interval, &rate_limit),
        screen: screen_config(&screen, &appearance, file, env)?,
    })
}

fn simulate_config(simulate: SimulateArgs) -> SimulateConfig {
    let SimulateArgs { port, scenario, truth, concurrency, plan, release_delay, .. } = simulate;
    SimulateConfig {
        port,
        scenario: scenario_config(scenario),
        ground_truth_path: truth,
        concurrency,
        plan,
        release_delay,
    }
}

fn scenario_config(args: cli::ScenarioArgs) -> ScenarioConfig {
    let cli::ScenarioArgs { scenario, seed, sessions } = args;
    ScenarioConfig { scenario, seed, sessions: usize::try_from(sessions).unwrap_or(usize::MAX) }
}

/// Parses what to watch: the ids in `words`, or the lists with these values of `--query` and `--status`. Rejects both
/// options if there are ids.
fn targets_and_query(
    words: &[String],
    query: Option<&str>,
    status: Option<&str>,
) -> Result<(Targets, Option<Query>), ConfigError> {
    let query = query.map(Query::parse).transpose().map_err(|error| invalid_option("--query", error))?;
    let list = status.map(parse_list).transpose().map_err(|error| invalid_option("--status", error))?;
    let option = query.as_ref().map(|_| "--query").or(list.map(|_| "--status"));
    let targets = match (session_ids(words)?, option, list) {
        (ids, None, _) if !ids.is_empty() => Targets::Ids(ids),
        (ids, Some(option), _) if !ids.is_empty() => return Err(ConfigError::ListOptionWithIds(option)),
        (_, _, Some(list)) => Targets::OneList(list),
        (_, _, None) => Targets::All,
    };
    Ok((targets, query))
}

fn poll_limits(interval: Duration, rate_limit: &RateLimitArgs) -> PollLimits {
    PollLimits { interval, max_rps: rate_limit.max_rps }
}

fn invalid_option(option: &'static str, problem: impl ToString) -> ConfigError {
    ConfigError::InvalidOption { option, problem: problem.to_string() }
}

/// Parses session ids. Returns each id once, in the given order.
fn session_ids(words: &[String]) -> Result<Vec<SessionId>, ConfigError> {
    let mut ids = Vec::with_capacity(words.len());
    for word in words {
        let id = SessionId::parse(word)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Returns an error if a word resembles a command. Callers pass no word that follows a subcommand or `--`, because
/// such a word can only be a session id.
fn reject_command_word(word: &str) -> Result<(), ConfigError> {
    let Some(near) = near_command(word) else { return Ok(()) };
    let names = cli::command_names();
    // `near` is not always a subcommand: `list`, for example, is not.
    let hint = if names.iter().any(|name| name == word) {
        format!("a command comes first, and its options after it: `keepwatch {near} …`.")
    } else if names.iter().any(|name| name == near) {
        format!("did you mean `keepwatch {near}`?")
    } else {
        format!("keepwatch has the commands {}.", names.join(", "))
    };
    Err(ConfigError::CommandAsSessionId { word: text::sanitise(word, MAX_WORD_COLUMNS), hint })
}

/// Returns the word of [`COMMAND_WORDS`] that `word` resembles. Returns `None` for a word with a digit, because most
/// session ids have a digit.
fn near_command(word: &str) -> Option<&'static str> {
    if word.chars().any(|letter| letter.is_ascii_digit()) {
        return None;
    }
    nearest(word, COMMAND_WORDS.into_iter())
}

fn zone(utc: bool, env: &Environment) -> Zone {
    if utc { Zone::Utc } else { env.local_zone() }
}

fn screen_config(
    screen: &cli::ScreenArgs,
    appearance_args: &cli::AppearanceArgs,
    file: &ConfigFile,
    env: &Environment,
) -> Result<ScreenConfig, ConfigError> {
    Ok(ScreenConfig {
        alert_rules: alert_rules(&screen.alerts, file),
        rates: rates(&screen.rates),
        bell: screen.bell,
        read_only: screen.read_only || is_read_only(env),
        owner_key: owner_key(appearance_args.owner_key.as_deref())?,
        zone: zone(appearance_args.utc, env),
        appearance: appearance(appearance_args, env),
    })
}

fn owner_key(path: Option<&str>) -> Result<Option<MetadataPath>, ConfigError> {
    let owner_key = path.map(MetadataPath::parse).transpose();
    owner_key.map_err(|error| invalid_option("--owner-key", error))
}

fn rates(rates: &cli::CostRateArgs) -> Rates {
    Rates { hour: rates.rate_hour, gb: rates.rate_gb }
}

/// Returns true if `KEEPWATCH_READ_ONLY` is set to anything except 0.
fn is_read_only(env: &Environment) -> bool {
    env.get("KEEPWATCH_READ_ONLY").is_some_and(|value| value != "0")
}

/// Returns the thresholds of the options, and the rules of the config file with these thresholds as defaults.
fn alert_rules(alerts: &cli::AlertArgs, file: &ConfigFile) -> AlertRules {
    let default = AlertThresholds::new(without_zero(&alerts.alert_left), or_never(alerts.alert_idle))
        .with_early(alerts.alert_early)
        .with_pending(or_never(alerts.alert_pending));
    let rules = file.alert_rules().iter().map(|rule| {
        let left = rule.left.as_ref().map_or_else(|| default.time_left().to_vec(), |left| without_zero(left));
        let thresholds = AlertThresholds::new(left, rule.idle.map_or(default.idle, or_never))
            .with_early(rule.early.unwrap_or(default.early))
            .with_pending(rule.pending.map_or(default.pending, or_never));
        AlertRule::new(rule.filter.clone(), thresholds)
    });
    let rules = rules.collect();
    AlertRules::new(default, rules)
}

/// Returns a threshold. `0s` means never, as for the thresholds of time left.
fn or_never(threshold: Duration) -> Duration {
    if threshold.is_zero() { Duration::MAX } else { threshold }
}

/// Returns the thresholds of time left. `0s` means never.
fn without_zero(left: &[Duration]) -> Vec<Duration> {
    left.iter().copied().filter(|left| !left.is_zero()).collect()
}

fn appearance(args: &cli::AppearanceArgs, env: &Environment) -> Appearance {
    let color = match args.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => env.get("NO_COLOR").is_none(),
    };
    Appearance { color, ascii: args.ascii || !has_utf8(env) }
}

/// Returns true if the locale uses UTF-8. Of `LC_ALL`, `LC_CTYPE` and `LANG`, the first one that is set and not empty
/// decides. Returns false if all are unset or empty.
fn has_utf8(env: &Environment) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| env.get(name)).is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests;
