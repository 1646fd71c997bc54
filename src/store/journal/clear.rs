//! Deletes all data of the journal. Never deletes the file: other runs keep writing to it, each with a new segment.

use std::path::Path;

use rusqlite::TransactionBehavior;

use super::database::JournalDatabase;
use super::prune::vacuum;
use super::{JournalError, file};

/// The outcome of clearing the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearOutcome {
    /// True if other runs have the file open, and keep writing.
    pub is_open_elsewhere: bool,
}

/// Deletes all data of the journal, and gives the space back to the file system.
///
/// # Errors
/// The file cannot be written.
pub fn clear(path: &Path) -> Result<ClearOutcome, JournalError> {
    if file::find_existing(path)?.is_none() {
        return Ok(ClearOutcome { is_open_elsewhere: false });
    }
    let mut database = JournalDatabase::open(path)?;
    // Makes SQLite overwrite deleted data, which would otherwise stay in the file until its page is used again.
    database.db.pragma_update(None, "secure_delete", "ON")?;
    let transaction = database.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "DELETE FROM entry; DELETE FROM mention; DELETE FROM project; DELETE FROM segment; DELETE FROM summary;",
    )?;
    transaction.commit()?;
    vacuum(&database.db)?;
    // The WAL still holds the data. If another process is reading, the WAL keeps it until the last reader closes the
    // file.
    let _ = database.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    let path = database.path().to_owned();
    drop(database);
    Ok(ClearOutcome { is_open_elsewhere: file::is_open_elsewhere(&path) })
}
