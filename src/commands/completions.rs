//! `keepwatch completions SHELL`: prints the shell's completion script, which clap generates.

use clap::CommandFactory as _;

use super::CliError;
use super::output::print;
use crate::cli::Cli;
use crate::config::Shell;
use crate::exit_code::ExitCode;

/// Prints the completion script.
///
/// # Errors
/// Returns an error if standard output cannot be written.
pub fn completions(shell: Shell) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "keepwatch", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Success)
}
