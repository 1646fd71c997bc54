//! What can be wrong with the journal, a sentence each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Error, ErrorCode};

use keepwatch_core::text;

/// The widest path or reason in a sentence, in columns.
const MAX_WIDTH: usize = 120;

/// What is wrong with the journal, or no more. Sent once, when it changes. Its text is fit for a terminal.
///
/// It is compared and kept to tell a new problem from one that lasts, so it holds the text of the system's error instead of the
/// error itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
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
    #[error("{}", damaged_message(aside.as_deref()))]
    Damaged {
        /// Where it was moved to; `None` where it was only read.
        aside: Option<PathBuf>,
    },
    /// A newer version of this program wrote it.
    #[error(
        "the journal is of a newer keepwatch (version {version} of its schema): it is left alone, and nothing is written"
    )]
    NewerSchema {
        /// The version of its schema.
        version: i64,
    },
    /// It is no file that this program should write to.
    #[error("the journal is left alone, and nothing is written: {reason}")]
    FileRejected {
        /// Why: what it is instead.
        reason: &'static str,
    },
    /// Anything else.
    #[error("the journal fails: {}", text::sanitise(reason, MAX_WIDTH))]
    Other {
        /// What SQLite or the system says.
        reason: String,
    },
    /// What was wrong is so no more: it is written again, and at once.
    #[error("the journal is written again")]
    Recovered,
}

/// The sentence of [`JournalError::Damaged`].
fn damaged_message(aside: Option<&Path>) -> String {
    let Some(aside) = aside else { return "the journal is damaged, and can not be read".into() };
    let aside = text::sanitise(&aside.to_string_lossy(), MAX_WIDTH);
    format!("the journal was damaged: it was moved to {aside}, and a new one begun")
}

impl JournalError {
    /// Whether it lasts until [`JournalError::Recovered`] is told, or the program ends.
    #[must_use]
    pub fn is_ongoing(&self) -> bool {
        !matches!(self, Self::Damaged { .. } | Self::Recovered)
    }

    /// Whether nothing is ever written: the file is not to be touched.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::NewerSchema { .. } | Self::FileRejected { .. })
    }

    /// Whether the same is wrong, however it is said.
    pub(super) fn is_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// What the system says of a file.
    pub(super) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Other { reason: error.to_string() },
        }
    }
}

impl From<Error> for JournalError {
    fn from(error: Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { aside: None },
            _ => Self::Other { reason: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_one_sentence_that_a_terminal_may_be_shown() {
        let said = [
            JournalError::Slow { took: Duration::from_millis(2500) },
            JournalError::Full,
            JournalError::ReadOnly,
            JournalError::Locked,
            JournalError::Damaged { aside: Some("/tmp/\u{1b}[31mx".into()) },
            JournalError::Damaged { aside: None },
            JournalError::NewerSchema { version: 7 },
            JournalError::FileRejected { reason: "it is a symbolic link" },
            JournalError::Other { reason: "no\nidea".into() },
            JournalError::Recovered,
        ]
        .map(|trouble| trouble.to_string());
        for sentence in &said {
            assert!(text::is_printable(sentence) && !sentence.ends_with('.'), "{sentence}");
            assert!(sentence.starts_with("the journal "), "{sentence}");
        }
        assert_eq!(said[0], "the journal is slow: the disk took 2.5 s");
    }
}
