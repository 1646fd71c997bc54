//! What is deleted by itself: what is older than it is kept, and the oldest where the file is too large. Only whole
//! segments, and none that may still be written.

use std::time::Duration;

use rusqlite::TransactionBehavior;

use super::database::JournalDatabase;
use super::reader::to_millis;
use super::{JournalError, schema};
use keepwatch_core::clock::Timestamp;

/// A segment without an end that was not written to for so long: its writer was killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Where the file is too large, it gets smaller than it has to be by this part of it: else each batch would prune.
pub(super) const SLACK: u64 = 10;
/// How many pages are given back at a time, so that other writers get their turn.
const VACUUM_PAGES: i64 = 1000;

/// Deletes, and gives the room back.
pub(super) fn prune(
    store: &mut JournalDatabase,
    now: Timestamp,
    retention: Duration,
    max_bytes: u64,
) -> Result<(), JournalError> {
    let ago = |by: Duration| {
        chrono::TimeDelta::from_std(by)
            .ok()
            .and_then(|by| now.checked_sub_signed(by))
            .map_or(i64::MIN, to_millis)
    };
    let (retention_cutoff, abandoned_cutoff) = (ago(retention), ago(ABANDONED_AFTER));
    store.db.execute(
        "UPDATE segment SET finished = 1 WHERE finished = 0 AND last < ?1 AND started < ?1",
        [abandoned_cutoff],
    )?;
    store.db.execute("DELETE FROM summary WHERE last_seen < ?1", [retention_cutoff])?;
    while delete_oldest_segment(store, retention_cutoff)? {}
    if store.used_and_total_bytes()?.0 > max_bytes {
        let enough = max_bytes.saturating_sub(max_bytes / SLACK);
        while store.used_and_total_bytes()?.0 > enough && delete_oldest_segment(store, i64::MAX)? {}
    }
    vacuum(&store.db)
}

/// Deletes the oldest segment that is finished, if it ended before `before`; whether there was one. One at a time, so that
/// other writers get their turn.
fn delete_oldest_segment(store: &mut JournalDatabase, before: i64) -> Result<bool, JournalError> {
    let transaction = store.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let oldest: Option<i64> = transaction
        .prepare_cached("SELECT id FROM segment WHERE finished = 1 AND last < ?1 ORDER BY last, id LIMIT 1")?
        .query_map([before], |row| row.get(0))?
        .next()
        .transpose()?;
    if let Some(id) = oldest {
        delete_segment(&transaction, id)?;
    }
    transaction.commit()?;
    Ok(oldest.is_some())
}

fn delete_segment(transaction: &rusqlite::Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    if let Some((first, last)) = schema::place_range(id) {
        transaction
            .prepare_cached("DELETE FROM entry WHERE place BETWEEN ?1 AND ?2")?
            .execute([first, last])?;
    }
    for statement in [
        "DELETE FROM mention WHERE segment = ?1",
        "DELETE FROM project WHERE segment = ?1",
        "DELETE FROM segment WHERE id = ?1",
    ] {
        transaction.prepare_cached(statement)?.execute([id])?;
    }
    Ok(())
}

/// Gives the free pages back to the file system.
pub(super) fn vacuum(db: &rusqlite::Connection) -> Result<(), JournalError> {
    let free = || db.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    let mut left = free()?;
    while left > 0 {
        // It frees a page a step.
        let mut some = db.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut steps = some.query([])?;
        while steps.next()?.is_some() {}
        drop(steps);
        drop(some);
        let now = free()?;
        if now >= left {
            break; // a file that was not made to be vacuumed so
        }
        left = now;
    }
    Ok(())
}
