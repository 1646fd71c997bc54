//! Parses the arguments, reads the config, runs the command, and returns the exit code.

use std::process;

use keepwatch::cli::RawArgs;
use keepwatch::commands::{self, CliError, print_clap_message, print_error};
use keepwatch::config::{self, Config, ConfigFile, Environment};
use keepwatch::exit_code::ExitCode;
use keepwatch::log;
use keepwatch::terminal::Env;

fn main() -> process::ExitCode {
    let outcome = match RawArgs::parse(std::env::args_os()) {
        Ok(raw_args) => {
            log::install_panic_hook();
            commands::survive_file_size_limit().and_then(|()| run(&raw_args))
        }
        Err(message) => print_clap_message(&message),
    };
    let code = outcome.unwrap_or_else(|error| {
        print_error(&error.to_string());
        error.exit_code()
    });
    code.into()
}

/// Starts the log, if the user asked for one, and runs the command. Dropping `log_guard` at the end writes the rest of
/// the log.
fn run(raw_args: &RawArgs) -> Result<ExitCode, CliError> {
    let env = Environment::new(std::env::vars_os());
    let file = ConfigFile::find(raw_args, &env)?;
    let started_log = config::log_file(raw_args, &env, &file)?
        .map(|path| log::start(&path, |message| print_error(&message)));
    // promise: log-refusal, mutant: ?; -> .unwrap_or(None);
    let log_guard = started_log.transpose().map_err(CliError::Log)?;
    if log_guard.is_some() {
        commands::log_start(&raw_args.option_names(), &env);
    }
    let outcome = run_command(raw_args, &env, &file);
    commands::log_end(&outcome);
    outcome
}

/// Runs the command in a tokio runtime of one thread. Programs that the screen starts, such as a browser, get the
/// variables of [`Env`], which leaves out the API key.
fn run_command(raw_args: &RawArgs, env: &Environment, file: &ConfigFile) -> Result<ExitCode, CliError> {
    let config = Config::new(raw_args, env, file)?;
    let warnings = [file.warnings(), &config.warnings(), &env.warnings()].concat();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let outcome = runtime.block_on(commands::run(config, &warnings, Env::new(std::env::vars_os())));
    // A DNS lookup that is still running must not delay the exit.
    runtime.shutdown_background();
    outcome
}
