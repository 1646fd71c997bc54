//! What was typed, and what the environment says → a [`Config`], or one sentence about the first thing that is wrong.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use super::{
    Config, DemoConfig, Endpoint, Environment, EventsConfig, Exit, ExplainConfig, Form, GetConfig, Look,
    Pace, Query, Refusal, ReleaseConfig, ScreenConfig, SimulateConfig, Targets, WaitConfig, WatchConfig,
    Zone, narrowing, usage,
};
use crate::cli::{
    self, Api, Color, Command, Demo, Events, Explain, Format, Get, Load, Release, Simulate, Wait, Watch,
};
use crate::session::{MetadataPath, Secret, SessionId};
use crate::text;
use crate::watch::cost::Rates;
use crate::watch::{Thresholds, evidence};

/// The largest key file that is read, in bytes.
const LARGEST_KEY: u64 = 4096;
/// Words that are, or could be taken for, subcommands of a program like this one: never sessions by accident.
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

impl Config {
    /// What `command` and `watch` mean in `env`. `verbatim` says that a `--` stood before the ids.
    ///
    /// # Errors
    /// One sentence for the first thing that is wrong.
    pub fn new(
        command: Option<Command>,
        watch: Watch,
        env: &Environment,
        verbatim: bool,
    ) -> Result<Self, Refusal> {
        match command {
            None => {
                let targets = narrowed(targets(&watch.ids, verbatim)?, &watch)?;
                let query = watch.query.as_deref().map(Query::parse).transpose();
                let query = query.map_err(|sentence| usage(format!("--query: {sentence}")))?;
                let endpoint = endpoint(&watch.api, env)?;
                let key = key(watch.api.api_key_file.as_deref(), env)?;
                let screen = screen(&watch.screen, &watch.look, env)?;
                let pace = pace(watch.interval, &watch.load);
                Ok(Self::Watch(WatchConfig { targets, query, pace, endpoint, key, screen }))
            }
            Some(Command::Get(get)) => get_config(&get, env).map(Self::Get),
            Some(Command::Events(events)) => events_config(&events, env).map(Self::Events),
            Some(Command::Wait(wait)) => wait_config(&wait, env).map(Self::Wait),
            Some(Command::Release(release)) => release_config(release, env).map(Self::Release),
            Some(Command::Explain(explain)) => explain_config(&explain, env).map(Self::Explain),
            Some(Command::Demo(Demo { scenario, speed, interval, load, screen, look })) => {
                let screen = self::screen(&screen, &look, env)?;
                let pace = pace(interval, &load);
                Ok(Self::Demo(DemoConfig { scenario, speed, pace, screen }))
            }
            Some(Command::Simulate(simulate)) => {
                let Simulate { port, scenario, sessions, concurrency, plan, release_delay } = simulate;
                let sessions = usize::try_from(sessions).unwrap_or(usize::MAX);
                let config = SimulateConfig { port, scenario, sessions, concurrency, plan, release_delay };
                Ok(Self::Simulate(config))
            }
        }
    }
}

fn get_config(get: &Get, env: &Environment) -> Result<GetConfig, Refusal> {
    Ok(GetConfig {
        ids: session_ids(&get.ids, true)?,
        endpoint: endpoint(&get.api, env)?,
        key: key(get.api.api_key_file.as_deref(), env)?,
        json: get.json,
        reveal: get.reveal,
        zone: zone(get.utc),
        ascii: get.ascii || !has_utf8(env),
    })
}

fn events_config(events: &Events, env: &Environment) -> Result<EventsConfig, Refusal> {
    Ok(EventsConfig {
        targets: targets(&events.ids, true)?,
        pace: pace(events.interval, &events.load),
        thresholds: thresholds(&events.attention),
        endpoint: endpoint(&events.api, env)?,
        key: key(events.api.api_key_file.as_deref(), env)?,
        form: match events.format {
            Format::Json => Form::Json,
            Format::Text => Form::Text { zone: zone(events.utc), ascii: events.ascii || !has_utf8(env) },
        },
    })
}

fn wait_config(wait: &Wait, env: &Environment) -> Result<WaitConfig, Refusal> {
    Ok(WaitConfig {
        ids: session_ids(&wait.ids, true)?,
        goal: wait.goal,
        any: wait.any,
        timeout: wait.timeout,
        exit_status: wait.exit_status,
        grace: wait.grace,
        pace: pace(wait.interval, &wait.load),
        endpoint: endpoint(&wait.api, env)?,
        key: key(wait.api.api_key_file.as_deref(), env)?,
        ascii: wait.ascii || !has_utf8(env),
    })
}

fn release_config(release: Release, env: &Environment) -> Result<ReleaseConfig, Refusal> {
    if release.read_only || is_read_only(env) {
        return Err(usage(
            "this keepwatch is read-only (--read-only, KEEPWATCH_READ_ONLY): it releases nothing".into(),
        ));
    }
    Ok(ReleaseConfig {
        id: SessionId::parse(&release.id).map_err(usage)?,
        confirm: release.confirm,
        endpoint: endpoint(&release.api, env)?,
        key: key(release.api.api_key_file.as_deref(), env)?,
        ascii: release.ascii || !has_utf8(env),
    })
}

fn explain_config(explain: &Explain, env: &Environment) -> Result<ExplainConfig, Refusal> {
    let rates = rates(&explain.rates);
    Ok(ExplainConfig {
        id: SessionId::parse(&explain.id).map_err(usage)?,
        options: evidence::Options { with_metadata: explain.with_metadata, rates },
        endpoint: endpoint(&explain.api, env)?,
        key: key(explain.api.api_key_file.as_deref(), env)?,
        ascii: explain.ascii || !has_utf8(env),
    })
}

fn targets(words: &[String], verbatim: bool) -> Result<Targets, Refusal> {
    Ok(if words.is_empty() { Targets::All } else { Targets::Ids(session_ids(words, verbatim)?) })
}

fn pace(interval: Duration, load: &Load) -> Pace {
    Pace { interval, max_rps: load.max_rps }
}

/// What is watched, if `--status` narrows it; neither that nor `--query` says anything of sessions that are named.
fn narrowed(targets: Targets, watch: &Watch) -> Result<Targets, Refusal> {
    let option = watch.query.as_ref().map(|_| "--query").or(watch.status.as_ref().map(|_| "--status"));
    if let (Targets::Ids(_), Some(option)) = (&targets, option) {
        return Err(usage(format!(
            "{option} narrows the lists, and sessions that are named are asked for by their ids: leave out one or the other"
        )));
    }
    let Some(status) = &watch.status else { return Ok(targets) };
    narrowing::list(status).map(Targets::Only).map_err(|sentence| usage(format!("--status: {sentence}")))
}

fn endpoint(api: &Api, env: &Environment) -> Result<Endpoint, Refusal> {
    Endpoint::new(api.base_url.as_deref(), env.get("BROWSERBASE_BASE_URL").as_deref(), api.insecure_http)
}

/// The ids, each once, in the order given.
fn session_ids(words: &[String], verbatim: bool) -> Result<Vec<SessionId>, Refusal> {
    let mut ids = Vec::with_capacity(words.len());
    for word in words {
        if let Some(near) = near_command(word).filter(|_| !verbatim) {
            let names = cli::command_names();
            let hint = if names.iter().any(|name| name == word) {
                format!("a command comes first, and its options after it: `keepwatch {near} …`.")
            } else if names.iter().any(|name| name == near) {
                format!("did you mean `keepwatch {near}`?")
            } else {
                format!("keepwatch has the commands {}.", names.join(", "))
            };
            let word = text::shown(word, 40);
            return Err(usage(format!(
                "“{word}” is not taken for a session id: {hint} If it is one: `keepwatch -- {word}`"
            )));
        }
        let id = SessionId::parse(word).map_err(usage)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The command that a word nearly is. Session ids have digits or dashes, and are longer.
fn near_command(word: &str) -> Option<&'static str> {
    let lower = word.to_lowercase();
    if word.chars().any(|letter| letter.is_ascii_digit()) {
        return None;
    }
    COMMAND_WORDS
        .into_iter()
        .map(|command| (strsim::osa_distance(command, &lower), command))
        .filter(|(distance, command)| *distance <= command.len() / 3)
        .min()
        .map(|(_, command)| command)
}

fn key(file: Option<&Path>, env: &Environment) -> Result<Secret, Refusal> {
    let refuse = |sentence: String| Refusal { exit: Exit::Key, sentence };
    let (key, source) = match file {
        Some(path) => {
            let name = if path == Path::new("-") {
                "standard input".into()
            } else {
                text::shown(&path.to_string_lossy(), 200)
            };
            let key = read_key(path)
                .map_err(|error| refuse(format!("the key can not be read from {name}: {error}")))?;
            (key, name)
        }
        None => (env.get("BROWSERBASE_API_KEY").unwrap_or_default(), "BROWSERBASE_API_KEY".to_owned()),
    };
    let trimmed = key.trim();
    if trimmed.is_empty() {
        let what = if file.is_some() { format!("{source} holds no key") } else { "no API key".into() };
        return Err(refuse(format!(
            "{what}: set BROWSERBASE_API_KEY or give --api-key-file; `keepwatch demo` needs none"
        )));
    }
    if !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse(format!("{source} holds characters that no API key has; is it the right one?")));
    }
    Ok(Secret::new(trimmed.to_owned()))
}

fn read_key(path: &Path) -> std::io::Result<String> {
    let mut key = String::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST_KEY).read_to_string(&mut key)?;
    } else {
        std::fs::File::open(path)?.take(LARGEST_KEY).read_to_string(&mut key)?;
    }
    Ok(key)
}

fn zone(utc: bool) -> Zone {
    if utc { Zone::Utc } else { Zone::Local }
}

fn screen(screen: &cli::Screen, look: &cli::Look, env: &Environment) -> Result<ScreenConfig, Refusal> {
    let zone = zone(look.utc);
    let owner_key = look.owner_key.as_deref().map(MetadataPath::parse).transpose();
    Ok(ScreenConfig {
        thresholds: thresholds(&screen.attention),
        rates: rates(&screen.rates),
        bell: screen.bell,
        read_only: screen.read_only || is_read_only(env),
        owner_key: owner_key.map_err(|sentence| usage(format!("--owner-key: {sentence}")))?,
        zone,
        look: self::look(look, env),
    })
}

fn rates(rates: &cli::Rates) -> Rates {
    Rates { hour: rates.rate_hour, gb: rates.rate_gb }
}

/// `KEEPWATCH_READ_ONLY=1`; 0 and nothing are no.
fn is_read_only(env: &Environment) -> bool {
    env.get("KEEPWATCH_READ_ONLY").is_some_and(|value| value != "0")
}

fn thresholds(attention: &cli::Attention) -> Thresholds {
    Thresholds::new(attention.warn.iter().copied().filter(|left| !left.is_zero()).collect(), attention.idle)
}

fn look(look: &cli::Look, env: &Environment) -> Look {
    let color = match look.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => env.get("NO_COLOR").is_none(),
    };
    Look { color, ascii: look.ascii || !has_utf8(env) }
}

/// Whether the locale's characters are UTF-8: the first of the three that is set decides.
fn has_utf8(env: &Environment) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| env.get(name)).is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests;
