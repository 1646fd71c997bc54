//! Deleting everything. In place: other runs that write to the file go on, each with a new segment.

use std::path::Path;

use rusqlite::TransactionBehavior;

use super::prune::give_back;
use super::store::Store;
use super::{Trouble, file};

/// What was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// Whether other runs have it open, and go on writing.
    pub others: bool,
}

/// Deletes all that is in the journal, and gives the room back.
///
/// # Errors
/// The file can not be written.
pub fn clear(path: &Path) -> Result<Cleared, Trouble> {
    if file::existing(path)?.is_none() {
        return Ok(Cleared { others: false });
    }
    let mut store = Store::open(path)?;
    // What is deleted is overwritten, too, should its page stay.
    store.db.pragma_update(None, "secure_delete", "ON")?;
    let change = store.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change.execute_batch(
        "DELETE FROM entry; DELETE FROM mention; DELETE FROM project; DELETE FROM segment; DELETE FROM summary;",
    )?;
    change.commit()?;
    give_back(&store.db)?;
    // The log has it still. Who reads it just now keeps it a little longer.
    let _ = store.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    let path = store.path().to_owned();
    drop(store);
    Ok(Cleared { others: file::is_open_elsewhere(&path) })
}
