//! Arguments in, exit code out; everything between is the library's.

use std::process::ExitCode;

use keepwatch::cli::Typed;
use keepwatch::commands::{self, complain};
use keepwatch::config::{Config, Environment, Exit, File, Refusal};
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
    // Only a bug gets here; a second installation, which would fail, there is none.
    let _ = color_eyre::install();
    ExitCode::from(u8::from(run(&typed).unwrap_or_else(|refusal| {
        complain(&refusal.sentence);
        refusal.exit
    })))
}

fn run(typed: &Typed) -> Result<Exit, Refusal> {
    let env = Environment::new(std::env::vars_os());
    let file = File::find(typed, &env)?;
    let config = Config::new(typed, &env, &file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| commands::failed(&format!("the runtime can not start: {error}")))?;
    let outcome = runtime.block_on(commands::perform(config, file.warnings(), Env::new(std::env::vars_os())));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    outcome
}
