//! The subcommands: one file each, and what they share: the writing, the signals, watching without a screen.

pub mod completions;
pub mod config;
pub mod demo;
pub mod events;
pub mod explain;
pub mod export;
pub mod get;
mod headless;
pub mod history;
mod interruption;
pub mod journal;
mod recording;
pub mod release;
pub mod replay;
pub mod simulate;
pub mod wait;
pub mod watch;

use std::io::{self, Write as _};

use crate::VERSION;
use crate::config::{Config, Environment, Exit, Play, Refusal};
use crate::terminal::Env;
use browserbase_simulator::{Script, chaos};
use keepwatch_core::text;

/// Does what `config` says, and says how it went. `warnings` are said where they can be seen: on the screen, if there is
/// one.
///
/// # Errors
/// One sentence, and the exit code that goes with it.
pub async fn perform(config: Config, warnings: &[String], env: Env) -> Result<Exit, Refusal> {
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if !matches!(config, Config::Watch(_) | Config::Demo(_) | Config::Replay(_)) {
        warnings.iter().for_each(|warning| complain(warning));
    }
    match config {
        Config::Watch(config) => watch::watch(config, warnings, env).await,
        Config::Replay(config) => replay::replay(config, warnings, env).await,
        Config::Demo(config) => demo::demo(config, warnings, env).await,
        Config::Get(config) => get::get(config).await,
        Config::Events(config) => events::events(config).await,
        Config::Wait(config) => wait::wait(config).await,
        Config::Release(config) => release::release(config).await,
        Config::Explain(config) => explain::explain(config).await,
        Config::History(config) => history::history(config),
        Config::Export(config) => export::export(config),
        Config::Journal(action, file) => journal::journal(action, file),
        Config::Simulate(config) => simulate::simulate(config).await,
        Config::DefaultFile => config::config(),
        Config::Completions(shell) => completions::completions(shell),
    }
}

/// Logs which program this is, what was typed (`names` alone), and which variables it obeys.
pub fn log_start(names: &str, env: &Environment) {
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let started = ["keepwatch", names].join(" ");
    tracing::info!(
        "version {VERSION} on {system} {machine}, process {}: started as `{}`; variables: {}",
        std::process::id(),
        started.trim_end(),
        env.names().join(" ")
    );
}

/// Logs how the program ends.
pub fn log_end(outcome: &Result<Exit, Refusal>) {
    match outcome {
        Ok(exit) => tracing::info!("ends with {}", u8::from(*exit)),
        Err(refusal) => tracing::error!("ends with {}: {refusal}", u8::from(refusal.exit)),
    }
}

/// The refusal for what failed at run time.
#[must_use]
pub fn failed(sentence: &str) -> Refusal {
    Refusal { exit: Exit::Failed, sentence: sentence.to_owned() }
}

/// The refusal for what was asked for wrongly.
fn usage(sentence: &str) -> Refusal {
    Refusal { exit: Exit::Usage, sentence: sentence.to_owned() }
}

/// The scenario that is to be played, and how many sessions are made up beside it.
fn script(play: &Play) -> Result<(Script, usize), Refusal> {
    let Play { scenario, seed, sessions } = play;
    if scenario == chaos::NAME {
        let living = if *sessions == 0 { chaos::LIVING } else { *sessions };
        return Ok((chaos::script(seed.unwrap_or(chaos::SEED), living), 0));
    }
    let script = Script::find(scenario).map_err(|error| usage(&error.to_string()))?;
    if seed.is_some() {
        let name = text::shown(scenario, 60);
        let chaos = chaos::NAME;
        return Err(usage(&format!(
            "--seed is for the scenario {chaos} alone, which is made of it; {name} is the same each time"
        )));
    }
    Ok((script, *sessions))
}

/// Prints `text` on standard output. A reader that has gone, as `head` does, wants no more: that is fine.
fn print(text: &str) -> Result<(), Refusal> {
    is_read(text).map(|_| ())
}

/// Prints `text` on standard output, at once, and says whether anybody was there to read it.
fn is_read(text: &str) -> Result<bool, Refusal> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(failed(&format!("standard output can not be written: {error}"))),
    }
}

/// Prints one sentence on standard error. Where nobody listens, nothing is to be done.
pub fn complain(sentence: &str) {
    let _ = writeln!(io::stderr(), "keepwatch: {sentence}");
}
