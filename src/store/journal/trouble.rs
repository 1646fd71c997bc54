//! What can be wrong with the journal, a sentence each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Error, ErrorCode};

use keepwatch_core::text;

/// The widest path or reason in a sentence, in columns.
const WIDEST: usize = 120;

/// What is wrong with the journal, or no more. Sent once, when it changes. Its text is fit for a terminal.
///
/// It is compared and kept to tell a new problem from one that lasts, so it holds the text of the system's error instead of the
/// error itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The disk takes its time; everything is written all the same.
    #[error("the journal is slow: the disk took {}", text::format_elapsed(*took))]
    Slow {
        /// How long a batch took.
        took: Duration,
    },
    /// The disk is full, or a quota is used up.
    #[error("the journal can not be written: the disk is full")]
    Full,
    /// The file or its folder can not be written.
    #[error("the journal can not be written: its file or folder is read-only")]
    ReadOnly,
    /// Another program holds it locked, and does not let go.
    #[error("the journal is held locked by another program")]
    Locked,
    /// What is in the file is damaged.
    #[error("{}", damaged(aside.as_deref()))]
    Damaged {
        /// Where it was moved to; `None` where it was only read.
        aside: Option<PathBuf>,
    },
    /// A newer version of this program wrote it.
    #[error(
        "the journal is of a newer keepwatch (version {version} of its schema): it is left alone, and nothing is written"
    )]
    Newer {
        /// The version of its schema.
        version: i64,
    },
    /// It is no file that this program should write to.
    #[error("the journal is left alone, and nothing is written: {why}")]
    Refused {
        /// Why: what it is instead.
        why: &'static str,
    },
    /// Anything else.
    #[error("the journal fails: {}", text::sanitise(why, WIDEST))]
    Failing {
        /// What SQLite or the system says.
        why: String,
    },
    /// What was wrong is so no more: it is written again, and at once.
    #[error("the journal is written again")]
    Over,
}

/// The sentence of [`Trouble::Damaged`].
fn damaged(aside: Option<&Path>) -> String {
    let Some(aside) = aside else { return "the journal is damaged, and can not be read".into() };
    let aside = text::sanitise(&aside.to_string_lossy(), WIDEST);
    format!("the journal was damaged: it was moved to {aside}, and a new one begun")
}

impl Trouble {
    /// Whether it lasts until [`Trouble::Over`] is told, or the program ends.
    #[must_use]
    pub fn lasts(&self) -> bool {
        !matches!(self, Self::Damaged { .. } | Self::Over)
    }

    /// Whether nothing is ever written: the file is not to be touched.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::Refused { .. })
    }

    /// Whether the same is wrong, however it is said.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// What the system says of a file.
    pub(super) fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Failing { why: error.to_string() },
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { aside: None },
            _ => Self::Failing { why: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_one_sentence_that_a_terminal_may_be_shown() {
        let said = [
            Trouble::Slow { took: Duration::from_millis(2500) },
            Trouble::Full,
            Trouble::ReadOnly,
            Trouble::Locked,
            Trouble::Damaged { aside: Some("/tmp/\u{1b}[31mx".into()) },
            Trouble::Damaged { aside: None },
            Trouble::Newer { version: 7 },
            Trouble::Refused { why: "it is a symbolic link" },
            Trouble::Failing { why: "no\nidea".into() },
            Trouble::Over,
        ]
        .map(|trouble| trouble.to_string());
        for sentence in &said {
            assert!(text::is_printable(sentence) && !sentence.ends_with('.'), "{sentence}");
            assert!(sentence.starts_with("the journal "), "{sentence}");
        }
        assert_eq!(said[0], "the journal is slow: the disk took 2.5 s");
    }
}
