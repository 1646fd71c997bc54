//! Deleting everything. In place: other runs that write to the file go on, each with a new segment.

use std::path::Path;

use rusqlite::TransactionBehavior;

use super::database::JournalDatabase;
use super::prune::vacuum;
use super::{JournalError, file};

/// What was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearOutcome {
    /// Whether other runs have it open, and go on writing.
    pub is_open_elsewhere: bool,
}

/// Deletes all that is in the journal, and gives the room back.
///
/// # Errors
/// The file can not be written.
pub fn clear(path: &Path) -> Result<ClearOutcome, JournalError> {
    if file::find_existing(path)?.is_none() {
        return Ok(ClearOutcome { is_open_elsewhere: false });
    }
    let mut store = JournalDatabase::open(path)?;
    // What is deleted is overwritten, too, should its page stay.
    store.db.pragma_update(None, "secure_delete", "ON")?;
    let transaction = store.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "DELETE FROM entry; DELETE FROM mention; DELETE FROM project; DELETE FROM segment; DELETE FROM summary;",
    )?;
    transaction.commit()?;
    vacuum(&store.db)?;
    // The log has it still. Who reads it just now keeps it a little longer.
    let _ = store.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    let path = store.path().to_owned();
    drop(store);
    Ok(ClearOutcome { is_open_elsewhere: file::is_open_elsewhere(&path) })
}
