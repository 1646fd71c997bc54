//! Where the log is, if there is to be one.

use std::path::{Path, PathBuf};

use super::{Environment, File};
use crate::cli::Typed;

/// `--log`, else `KEEPWATCH_LOG`, else what the config file says; of a command that has it. It is known before anything else
/// is, so that what is wrong with the rest is logged, too.
#[must_use]
pub fn log_file(typed: &Typed, env: &Environment, file: &File) -> Option<PathBuf> {
    let said = || {
        let options = file.options(typed.command());
        options.iter().find(|(key, _)| *key == "log").map(|(_, value)| PathBuf::from(value))
    };
    let path = typed.log().map(Path::to_path_buf).or_else(|| env.path("KEEPWATCH_LOG")).or_else(said);
    path.filter(|_| typed.takes_log())
}
