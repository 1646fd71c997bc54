//! What is deleted by itself: what is older than it is kept, and the oldest where the file is too large. Only whole
//! segments, and none that may still be written.

use std::time::Duration;

use rusqlite::TransactionBehavior;

use super::read::time;
use super::store::Store;
use super::{Trouble, schema};
use keepwatch_core::clock::Timestamp;

/// A segment without an end that was not written to for so long: its writer was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// Where the file is too large, it gets smaller than it has to be by this part of it: else each batch would prune.
pub(super) const SLACK: u64 = 10;
/// How many pages are given back at a time, so that other writers get their turn.
const PAGES: i64 = 1000;

/// Deletes, and gives the room back.
pub(super) fn prune(
    store: &mut Store,
    now: Timestamp,
    keep: Duration,
    most_bytes: u64,
) -> Result<(), Trouble> {
    let ago = |by: Duration| {
        chrono::TimeDelta::from_std(by).ok().and_then(|by| now.checked_sub_signed(by)).map_or(i64::MIN, time)
    };
    let (kept, abandoned) = (ago(keep), ago(ABANDONED));
    store.db.execute(
        "UPDATE segment SET finished = 1 WHERE finished = 0 AND last < ?1 AND started < ?1",
        [abandoned],
    )?;
    store.db.execute("DELETE FROM summary WHERE last_seen < ?1", [kept])?;
    while delete_oldest(store, kept)? {}
    if store.used()?.0 > most_bytes {
        let enough = most_bytes.saturating_sub(most_bytes / SLACK);
        while store.used()?.0 > enough && delete_oldest(store, i64::MAX)? {}
    }
    give_back(&store.db)
}

/// Deletes the oldest segment that is finished, if it ended before `before`; whether there was one. One at a time, so that
/// other writers get their turn.
fn delete_oldest(store: &mut Store, before: i64) -> Result<bool, Trouble> {
    let change = store.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let oldest: Option<i64> = change
        .prepare_cached("SELECT id FROM segment WHERE finished = 1 AND last < ?1 ORDER BY last, id LIMIT 1")?
        .query_map([before], |row| row.get(0))?
        .next()
        .transpose()?;
    if let Some(id) = oldest {
        delete(&change, id)?;
    }
    change.commit()?;
    Ok(oldest.is_some())
}

fn delete(change: &rusqlite::Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    if let Some((first, last)) = schema::places(id) {
        change.prepare_cached("DELETE FROM entry WHERE place BETWEEN ?1 AND ?2")?.execute([first, last])?;
    }
    for statement in [
        "DELETE FROM mention WHERE segment = ?1",
        "DELETE FROM project WHERE segment = ?1",
        "DELETE FROM segment WHERE id = ?1",
    ] {
        change.prepare_cached(statement)?.execute([id])?;
    }
    Ok(())
}

/// Gives the free pages back to the file system.
pub(super) fn give_back(db: &rusqlite::Connection) -> Result<(), Trouble> {
    let free = || db.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    let mut left = free()?;
    while left > 0 {
        // It frees a page a step.
        let mut some = db.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
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
