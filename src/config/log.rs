//! Where the log is, if there is to be one.

use std::path::{Path, PathBuf};

use super::{ConfigFile, Environment};
use crate::cli::RawArgs;

/// `--log`, else `KEEPWATCH_LOG`, else what the config file says; of a command that has it. It is known before anything else
/// is, so that what is wrong with the rest is logged, too.
#[must_use]
pub fn log_file(raw_args: &RawArgs, env: &Environment, file: &ConfigFile) -> Option<PathBuf> {
    let from_config = || {
        let options = file.options(raw_args.command());
        options.iter().find(|(key, _)| *key == "log").map(|(_, value)| PathBuf::from(value))
    };
    let path =
        raw_args.log_path().map(Path::to_path_buf).or_else(|| env.path("KEEPWATCH_LOG")).or_else(from_config);
    path.filter(|_| raw_args.has_log_option())
}
