//! Arguments in, exit code out; everything between is the library's.

use std::process::ExitCode;

use clap::Parser as _;
use keepwatch::cli::Cli;
use keepwatch::commands::{self, complain};
use keepwatch::config::{Config, Environment, Exit};
use keepwatch::terminal::Env;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. Where nobody reads them, nothing is lost.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                u8::from(Exit::Usage)
            } else {
                u8::from(Exit::Fine)
            });
        }
    };
    // Only a bug gets here; a second installation, which would fail, there is none.
    let _ = color_eyre::install();
    let env = Environment::new(std::env::vars_os());
    let verbatim = std::env::args_os().any(|argument| argument == "--");
    let outcome = Config::new(cli.command, cli.watch, &env, verbatim).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| commands::failed(&format!("the runtime can not start: {error}")))?;
        let outcome = runtime.block_on(commands::perform(config, Env::new(std::env::vars_os())));
        // A name that is still being looked up must not hold up the end.
        runtime.shutdown_background();
        outcome
    });
    ExitCode::from(u8::from(outcome.unwrap_or_else(|refusal| {
        complain(&refusal.sentence);
        refusal.exit
    })))
}
