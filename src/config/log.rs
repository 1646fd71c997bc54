//! The path of the log file.

use std::path::{Path, PathBuf};

use super::{ConfigFile, Environment};
use crate::cli::RawArgs;

/// Returns `--log`, else `KEEPWATCH_LOG`, else the option `log` of the config file. Returns `None` if none of them is
/// set, or if the command has no option `--log`. Needs no valid [`Config`](super::Config), so that errors in other
/// options are logged, too.
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
