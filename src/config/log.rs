//! The path of the log file.

use std::path::{Path, PathBuf};

use super::{ConfigError, ConfigFile, Environment};
use crate::cli::{LOG_NEEDS_FILE, RawArgs};

/// Returns the path in `--log`, else in `KEEPWATCH_LOG`, else in the option `log` of the config file. Returns `None` if
/// none of them is set, or if the command has no option `--log`. Needs no valid [`Config`](super::Config), so that
/// keepwatch can log errors in other options.
///
/// # Errors
/// Returns an error if the path is `-`.
pub fn log_file(
    raw_args: &RawArgs,
    env: &Environment,
    file: &ConfigFile,
) -> Result<Option<PathBuf>, ConfigError> {
    let from_file = || {
        let options = file.options(raw_args.command());
        options.iter().find(|(key, _)| *key == "log").map(|(_, value)| ("log", PathBuf::from(value)))
    };
    let chosen = raw_args
        .log_path()
        .map(|path| ("--log", path.to_path_buf()))
        .or_else(|| Some(("KEEPWATCH_LOG", env.path("KEEPWATCH_LOG")?)))
        .or_else(from_file);
    match chosen.filter(|_| raw_args.has_log_option()) {
        Some((option, path)) if path == Path::new("-") => Err(ConfigError::InvalidOption {
            option,
            problem: format!("{LOG_NEEDS_FILE}: name one instead of -"),
        }),
        chosen => Ok(chosen.map(|(_, path)| path)),
    }
}
