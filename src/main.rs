//! Arguments in, exit code out; everything between is the library's.

use std::process::ExitCode;

use keepwatch::cli::Typed;
use keepwatch::commands::{self, complain};
use keepwatch::config::{self, Config, Environment, Exit, File, Refusal};
use keepwatch::log;
use keepwatch::terminal::Env;

fn main() -> ExitCode {
    let typed = match Typed::parse(std::env::args_os()) {
        Ok(typed) => typed,
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
    log::report_panics();
    ExitCode::from(u8::from(run(&typed).unwrap_or_else(|refusal| {
        complain(&refusal.sentence);
        refusal.exit
    })))
}

fn run(typed: &Typed) -> Result<Exit, Refusal> {
    let env = Environment::new(std::env::vars_os());
    let file = File::find(typed, &env)?;
    let log = config::log_file(typed, &env, &file).map(|path| log::start(&path, |why| complain(&why)));
    // promise: log-refusal, mutant: ?; -> .unwrap_or(None);
    let log = log.transpose().map_err(|sentence| Refusal { exit: Exit::Usage, sentence })?;
    if log.is_some() {
        commands::log_start(&typed.names(), &env);
    }
    let outcome = perform(typed, &env, &file);
    commands::log_end(&outcome);
    outcome
}

fn perform(typed: &Typed, env: &Environment, file: &File) -> Result<Exit, Refusal> {
    let config = Config::new(typed, env, file)?;
    let warnings = [file.warnings(), &config.warnings()].concat();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| commands::failed(&format!("the runtime can not start: {error}")))?;
    let outcome = runtime.block_on(commands::perform(config, &warnings, Env::new(std::env::vars_os())));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    outcome
}
