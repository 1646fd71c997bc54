//! Deletes all data of the journal. Never deletes the file: other runs keep writing to it, each with a new segment.
//!
//! ```text
//!   delete the rows, overwrite their space, mark the clear ──► done
//!     │ the disk has no room for SQLite's log
//!     ▼
//!   lock the file for this process alone ──► truncate the log, then the file ──► create the schema, mark the clear
//!     │ another process has it open
//!     ▼
//!   JournalError::ClearNeedsRoom
//! ```

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::database::{BUSY_TIMEOUT, JournalDatabase};
use super::deletion::mark_cleared;
use super::prune::vacuum;
use super::{JournalError, file};
use crate::private_file::with_suffix;
use keepwatch_core::clock::Timestamp;

/// The outcome of clearing the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearOutcome {
    /// True if other runs have the file open, and keep writing.
    pub is_open_elsewhere: bool,
}

/// Deletes all data of the journal, and gives the space back to the file system. Running writers find the mark of the
/// clear, and write nothing that they saw before it.
///
/// # Errors
/// The file cannot be written, or is open elsewhere while the disk is full.
pub fn clear(path: &Path, now: Timestamp) -> Result<ClearOutcome, JournalError> {
    let Some(resolved) = file::find_existing(path)? else {
        return Ok(ClearOutcome { is_open_elsewhere: false });
    };
    match delete_rows(path, now) {
        // promise: clear-full-disk
        Err(error) if may_lack_room(&error) => truncate(&resolved, now, error)?,
        result => result?,
    }
    Ok(ClearOutcome { is_open_elsewhere: file::is_open_elsewhere(&resolved) })
}

fn delete_rows(path: &Path, now: Timestamp) -> Result<(), JournalError> {
    let mut database = JournalDatabase::open(path)?;
    // Makes SQLite overwrite deleted data, which would otherwise stay in the file until its page is used again.
    database.db.pragma_update(None, "secure_delete", "ON")?;
    let transaction = database.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "DELETE FROM entry; DELETE FROM mention; DELETE FROM project; DELETE FROM segment; DELETE FROM summary;
         DELETE FROM alert;",
    )?;
    mark_cleared(&transaction, now)?;
    transaction.commit()?;
    vacuum(&database.db)?;
    // The WAL still holds the data. If another process is reading, the WAL keeps it until the last reader closes the
    // file.
    let _ = database.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    Ok(())
}

/// Returns true if a full disk can cause the error. Not every file system reports a limit as a full disk.
fn may_lack_room(error: &JournalError) -> bool {
    matches!(error, JournalError::Full | JournalError::Other { .. })
}

/// Empties the file, which needs no room on the disk. `cause` is the error of the attempt to delete the rows. If the
/// lock fails, returns [`JournalError::ClearNeedsRoom`] if another process has the file open, and `cause` otherwise.
pub(super) fn truncate(path: &Path, now: Timestamp, cause: JournalError) -> Result<(), JournalError> {
    let lock = open_exclusively(path).map_err(|error| match JournalError::from(error) {
        JournalError::Locked => JournalError::ClearNeedsRoom,
        _ => cause,
    })?;
    // The log is truncated first: SQLite would apply a leftover log to an empty file. Closing a handle of the file
    // releases SQLite's locks on it, so the handles stay open until the connection is closed.
    let mut handles = Vec::new();
    for name in ["-wal", "-journal", ""] {
        let target = with_suffix(path, name);
        if target.exists() {
            let truncated = OpenOptions::new().write(true).open(&target).and_then(|handle| {
                handle.set_len(0)?;
                Ok(handle)
            });
            handles.push(truncated.map_err(|error| JournalError::from_io(&error))?);
        }
    }
    drop(lock);
    drop(handles);
    // An error is ignored: a file without a schema counts as cleared, too, and the next writer creates the schema.
    if let Ok(database) = JournalDatabase::open(path) {
        let _ = mark_cleared(&database.db, now);
    }
    Ok(())
}

/// Opens the file and locks it for this connection alone. Needs no room on the disk: with an exclusive lock, SQLite
/// keeps the index of the WAL in memory.
fn open_exclusively(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;")?;
    Ok(db)
}
