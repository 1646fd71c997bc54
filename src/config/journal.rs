//! The path of the journal and its retention time.

use std::path::PathBuf;

use super::Environment;
use crate::cli;
use crate::store::journal::JournalConfig;

/// The path of the journal, whether the file exists or not. `None` if none of `KEEPWATCH_JOURNAL`, `XDG_STATE_HOME` and
/// `HOME` defines a path.
pub type JournalFile = Option<PathBuf>;

/// Returns `KEEPWATCH_JOURNAL`, else `keepwatch/journal.sqlite` in `$XDG_STATE_HOME`, else the same path in
/// `~/.local/state`, also on macOS. A relative `KEEPWATCH_JOURNAL` starts at the current folder. The XDG specification
/// says to ignore a relative `XDG_STATE_HOME`.
pub(super) fn journal_file(env: &Environment) -> JournalFile {
    if let Some(path) = env.path("KEEPWATCH_JOURNAL") {
        return Some(std::path::absolute(&path).unwrap_or(path));
    }
    let folder = env.path("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let folder = folder.or_else(|| Some(env.path("HOME")?.join(".local/state")))?;
    Some(folder.join("keepwatch").join("journal.sqlite"))
}

/// Returns the path and the retention time of the journal, or `None` if the journal is disabled or has no path.
pub(super) fn journal_config(args: cli::JournalArgs, env: &Environment) -> Option<JournalConfig> {
    let path = journal_file(env).filter(|_| !args.no_journal)?;
    Some(JournalConfig { path, retention: args.journal_keep })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_path_follows_environment() {
        let file = |vars: &[(&str, &str)]| {
            journal_file(&Environment::new(vars.iter().copied()))
                .map(|path| path.to_str().unwrap().to_owned())
        };
        let all = [("KEEPWATCH_JOURNAL", "/j.sqlite"), ("XDG_STATE_HOME", "/state"), ("HOME", "/home/a")];
        assert_eq!(file(&all).as_deref(), Some("/j.sqlite"));
        assert_eq!(file(&all[1..]).as_deref(), Some("/state/keepwatch/journal.sqlite"));
        let default = Some("/home/a/.local/state/keepwatch/journal.sqlite");
        assert_eq!(file(&all[2..]).as_deref(), default);
        let unusable = [("KEEPWATCH_JOURNAL", ""), ("XDG_STATE_HOME", "state"), ("HOME", "/home/a")];
        assert_eq!(file(&unusable).as_deref(), default, "an empty or relative path is ignored");
        assert!(
            file(&[("KEEPWATCH_JOURNAL", "j")])
                .is_some_and(|path| path.starts_with('/') && path.ends_with("/j"))
        );
        assert_eq!(file(&[]), None);
    }
}
