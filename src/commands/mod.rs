//! The commands, one module each, and the modules that they share: output, errors, signals and watching without a
//! screen.
//!
//! Only `watch`, `demo` and `replay` have a screen. The other commands never use `tui`. The header of `error` lists
//! where each exit code is decided.

mod api_error;
pub mod completions;
pub mod config;
pub mod demo;
mod error;
pub mod events;
pub mod explain;
pub mod export;
pub mod get;
mod headless;
pub mod history;
pub mod journal;
mod json;
mod output;
mod profile_labels;
mod recording;
pub mod release;
pub mod replay;
mod signals;
pub mod simulate;
mod text_table;
pub mod wait;
pub mod watch;

pub use error::CliError;
pub use output::{print_clap_message, print_error};
pub use signals::survive_file_size_limit;

use crate::VERSION;
use crate::config::{Config, Environment};
use crate::exit_code::ExitCode;
use crate::terminal::Env;

/// Runs the command that `config` describes. Passes `warnings` to a command with a screen, which shows them. For other
/// commands, prints them on standard error.
///
/// # Errors
/// Returns the error of the command, which has a message and an exit code.
pub async fn run(config: Config, warnings: &[String], env: Env) -> Result<ExitCode, CliError> {
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if !matches!(config, Config::Watch(_) | Config::Demo(_) | Config::Replay(_)) {
        warnings.iter().for_each(|warning| print_error(warning));
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
        Config::Journal(action, file, zone) => journal::journal(action, file, zone),
        Config::Simulate(config) => simulate::simulate(config).await,
        Config::PrintClientCalls { ascii } => explain::print_client_calls(ascii).map(|()| ExitCode::Success),
        Config::PrintDefaultConfig => config::config(),
        Config::Completions(shell) => completions::completions(shell),
    }
}

/// Logs the version, the command line without the values of its options (`option_names`), and the names of keepwatch's
/// environment variables that are set.
pub fn log_start(option_names: &str, env: &Environment) {
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let command_line = ["keepwatch", option_names].join(" ");
    tracing::info!(
        "version {VERSION} on {system} {machine}, process {}: started as `{}`; variables: {}",
        std::process::id(),
        command_line.trim_end(),
        env.defined_names().join(" ")
    );
}

/// Logs the exit code, and the error if there is one.
pub fn log_end(outcome: &Result<ExitCode, CliError>) {
    match outcome {
        Ok(code) => tracing::info!("ends with {}", u8::from(*code)),
        Err(error) => tracing::error!("ends with {}: {error}", u8::from(error.exit_code())),
    }
}
