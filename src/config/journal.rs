//! Where the journal is, and for how long it keeps what was seen.

use std::path::PathBuf;

use super::Environment;
use crate::cli;
use crate::store::journal::JournalConfig;

/// Where the journal is, whether there is one or not; `None` where no variable says so, and no home.
pub type JournalFile = Option<PathBuf>;

/// `KEEPWATCH_JOURNAL`, else `keepwatch/journal.sqlite` in `$XDG_STATE_HOME`, else the same in `~/.local/state`: on a Mac
/// too, as the config file. A relative `XDG_STATE_HOME` says nothing, by its specification; a relative
/// `KEEPWATCH_JOURNAL` is one in the current folder.
pub(super) fn journal_file(env: &Environment) -> JournalFile {
    if let Some(path) = env.path("KEEPWATCH_JOURNAL") {
        return Some(std::path::absolute(&path).unwrap_or(path));
    }
    let folder = env.path("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let folder = folder.or_else(|| Some(env.path("HOME")?.join(".local/state")))?;
    Some(folder.join("keepwatch").join("journal.sqlite"))
}

/// How it is written; `None` where it is not wanted, or has no place.
pub(super) fn journal(journal: cli::JournalArgs, env: &Environment) -> Option<JournalConfig> {
    let path = journal_file(env).filter(|_| !journal.no_journal)?;
    Some(JournalConfig { path, retention: journal.journal_keep })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_place_is_what_the_variable_says_else_the_state_directory_else_that_of_the_home() {
        let file = |vars: &[(&str, &str)]| {
            journal_file(&Environment::new(vars.iter().copied()))
                .map(|path| path.to_str().unwrap().to_owned())
        };
        let all = [("KEEPWATCH_JOURNAL", "/j.sqlite"), ("XDG_STATE_HOME", "/state"), ("HOME", "/home/a")];
        assert_eq!(file(&all).as_deref(), Some("/j.sqlite"));
        assert_eq!(file(&all[1..]).as_deref(), Some("/state/keepwatch/journal.sqlite"));
        let usual = Some("/home/a/.local/state/keepwatch/journal.sqlite");
        assert_eq!(file(&all[2..]).as_deref(), usual);
        let nothing = [("KEEPWATCH_JOURNAL", ""), ("XDG_STATE_HOME", "state"), ("HOME", "/home/a")];
        assert_eq!(file(&nothing).as_deref(), usual);
        assert!(
            file(&[("KEEPWATCH_JOURNAL", "j")])
                .is_some_and(|path| path.starts_with('/') && path.ends_with("/j"))
        );
        assert_eq!(file(&[]), None);
    }
}
