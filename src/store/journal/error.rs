//! The errors of the journal, with one sentence each.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Error, ErrorCode};

use keepwatch_core::text;

/// Maximum width of a path or reason in a sentence, in columns.
const MAX_WIDTH: usize = 120;

/// A problem with the journal, or the end of the last problem. The writer thread reports each change once. The text is
/// safe for a terminal.
///
/// The writer compares errors to tell a new problem from a lasting one. So an error holds the text of the system's
/// error instead of the error itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The disk is slow, but nothing is lost.
    #[error("the journal is slow: the disk took {}", text::format_elapsed(*took))]
    Slow {
        /// Time that the write of a batch took.
        took: Duration,
    },
    /// The disk is full, or a quota is exhausted.
    #[error("the journal can not be written: the disk is full")]
    Full,
    /// The file or its folder is read-only.
    #[error("the journal can not be written: its file or folder is read-only")]
    ReadOnly,
    /// Another program has held a lock on the file for too long.
    #[error("the journal is held locked by another program")]
    Locked,
    /// The database is damaged.
    #[error("{}", damaged_message(aside.as_deref()))]
    Damaged {
        /// New path of the damaged file; `None` if the file stays in place, as after an error of a reader.
        aside: Option<PathBuf>,
    },
    /// A newer version of this program wrote the file.
    #[error(
        "the journal is of a newer keepwatch (version {version} of its schema): it is left alone, and nothing is written"
    )]
    NewerSchema {
        /// Version of the schema.
        version: i64,
    },
    /// The clock has jumped ahead. Until the jump is trusted, nothing is deleted because of its age.
    #[error(
        "the journal deletes nothing old for an hour: the clock is {} ahead of its newest entry; check the date of this machine",
        text::format_elapsed(*ahead)
    )]
    ClockJump {
        /// Time by which the clock is ahead of the newest entry.
        ahead: Duration,
    },
    /// The journal cannot be cleared. To delete rows, SQLite needs room on the disk. To truncate the file, keepwatch
    /// needs it closed everywhere else.
    #[error(
        "the journal cannot be cleared: the disk has no room to delete anything, and another keepwatch has the file open; quit it and clear again"
    )]
    ClearNeedsRoom,
    /// This program must not write the file.
    #[error("the journal is left alone, and nothing is written: {reason}")]
    FileRejected {
        /// The reason, as a clause.
        reason: &'static str,
    },
    /// Any other error.
    #[error("the journal fails: {}", text::sanitise(reason, MAX_WIDTH))]
    Other {
        /// The message of SQLite or of the system.
        reason: String,
    },
    /// The last problem is over: the journal is written again, and without delay.
    #[error("the journal is written again")]
    Recovered,
}

/// Returns the sentence of [`JournalError::Damaged`].
fn damaged_message(aside: Option<&Path>) -> String {
    let Some(aside) = aside else { return "the journal is damaged, and can not be read".into() };
    let aside = text::sanitise(&aside.to_string_lossy(), MAX_WIDTH);
    format!("the journal was damaged: it was moved to {aside}, and a new one begun")
}

impl JournalError {
    /// Returns true if the problem lasts until [`JournalError::Recovered`] is reported, or until the program ends.
    #[must_use]
    pub fn is_ongoing(&self) -> bool {
        !matches!(self, Self::Damaged { .. } | Self::ClockJump { .. } | Self::Recovered)
    }

    /// Returns true if this run can never write the journal, because it must not touch the file.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::NewerSchema { .. } | Self::FileRejected { .. })
    }

    /// Returns true if both errors are the same variant.
    pub(super) fn is_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Converts an error of the file system.
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
    fn every_error_is_one_printable_sentence() {
        let sentences = [
            JournalError::Slow { took: Duration::from_millis(2500) },
            JournalError::Full,
            JournalError::ReadOnly,
            JournalError::Locked,
            JournalError::Damaged { aside: Some("/tmp/\u{1b}[31mx".into()) },
            JournalError::Damaged { aside: None },
            JournalError::NewerSchema { version: 7 },
            JournalError::ClockJump { ahead: Duration::from_secs(60 * 24 * 3600) },
            JournalError::ClearNeedsRoom,
            JournalError::FileRejected { reason: "it is a symbolic link" },
            JournalError::Other { reason: "no\nidea".into() },
            JournalError::Recovered,
        ]
        .map(|error| error.to_string());
        for sentence in &sentences {
            assert!(text::is_printable(sentence) && !sentence.ends_with('.'), "{sentence}");
            assert!(sentence.starts_with("the journal "), "{sentence}");
        }
        assert_eq!(sentences[0], "the journal is slow: the disk took 2.5 s");
    }
}
