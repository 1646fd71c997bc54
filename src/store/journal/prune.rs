//! Deletes old data: everything beyond the retention period and, while the file is too large, the oldest segments.
//! Deletes whole segments only, and never one that may still be written. Deletes a session's summary together with the
//! last segment of its run that mentions the session, and a session's alerts together with the last of its other data.

use std::time::Duration;

use rusqlite::TransactionBehavior;

use super::alert::prune_alerts;
use super::database::JournalDatabase;
use super::deletion::mark_pruned;
use super::reader::to_millis;
use super::{JournalError, schema};
use keepwatch_core::clock::Timestamp;

/// Age of the newest entry at which an unfinished segment counts as finished, because its writer was probably killed.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The maximum size divided by this number, a tenth, is the slack. Pruning shrinks a file that is too large to the
/// maximum minus the slack. Otherwise the next batch would already need another pruning.
pub(super) const SLACK_DIVISOR: u64 = 10;
/// Number of pages that one transaction frees. It is limited so that other writers can write in between.
const VACUUM_PAGES: i64 = 1000;

/// Deletes old data, and gives the space back to the file system. If `now` is `None`, deletes nothing because
/// of its age.
pub(super) fn prune(
    database: &mut JournalDatabase,
    now: Option<Timestamp>,
    retention: Duration,
    max_bytes: u64,
) -> Result<(), JournalError> {
    if let Some(now) = now {
        prune_by_age(database, now, retention)?;
    }
    if database.used_and_total_bytes()?.0 > max_bytes {
        let target = max_bytes.saturating_sub(max_bytes / SLACK_DIVISOR);
        while database.used_and_total_bytes()?.0 > target && delete_oldest_segment(database, i64::MAX)? {}
    }
    prune_alerts(&database.db, now.map(|now| time_before(now, retention)))?;
    vacuum(&database.db)
}

fn prune_by_age(
    database: &mut JournalDatabase,
    now: Timestamp,
    retention: Duration,
) -> Result<(), JournalError> {
    let (retention_cutoff, abandoned_cutoff) =
        (time_before(now, retention), time_before(now, ABANDONED_AFTER));
    database.db.execute(
        "UPDATE segment SET finished = 1 WHERE finished = 0 AND last < ?1 AND started < ?1",
        [abandoned_cutoff],
    )?;
    delete_old_summaries(database, retention_cutoff)?;
    while delete_oldest_segment(database, retention_cutoff)? {}
    Ok(())
}

/// Returns the time `age` before `now`, in milliseconds since 1970. If that is earlier than all representable times, nothing
/// is old enough.
fn time_before(now: Timestamp, age: Duration) -> i64 {
    let age = chrono::TimeDelta::from_std(age).ok();
    age.and_then(|age| now.checked_sub_signed(age)).map_or(i64::MIN, to_millis)
}

/// Deletes the summaries of sessions that were last seen before `cutoff`, in milliseconds since 1970. Also deletes the
/// mentions of these sessions by the same runs, so that `keepwatch export` no longer finds the entries of these
/// sessions.
fn delete_old_summaries(database: &mut JournalDatabase, cutoff: i64) -> Result<(), JournalError> {
    let transaction = database.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let newest: Option<i64> = transaction
        .prepare_cached("SELECT max(last_seen) FROM summary WHERE last_seen < ?1")?
        .query_row([cutoff], |row| row.get(0))?;
    if let Some(newest) = newest {
        transaction
            .prepare_cached(
                "DELETE FROM mention WHERE EXISTS (
                     SELECT 1 FROM summary JOIN segment ON segment.run = summary.run
                     WHERE summary.session = mention.session AND segment.id = mention.segment
                         AND summary.last_seen < ?1)",
            )?
            .execute([cutoff])?;
        transaction.prepare_cached("DELETE FROM summary WHERE last_seen < ?1")?.execute([cutoff])?;
        mark_pruned(&transaction, newest)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Deletes the oldest finished segment that ended before `cutoff`, in milliseconds since 1970. Returns true if there
/// was one. Deletes one segment per transaction, so that other writers can write in between.
fn delete_oldest_segment(database: &mut JournalDatabase, cutoff: i64) -> Result<bool, JournalError> {
    let transaction = database.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let oldest: Option<(i64, i64)> = transaction
        .prepare_cached(
            "SELECT id, last FROM segment WHERE finished = 1 AND last < ?1 ORDER BY last, id LIMIT 1",
        )?
        .query_map([cutoff], |row| Ok((row.get(0)?, row.get(1)?)))?
        .next()
        .transpose()?;
    if let Some((id, newest_at)) = oldest {
        delete_segment(&transaction, id)?;
        mark_pruned(&transaction, newest_at)?;
    }
    transaction.commit()?;
    Ok(oldest.is_some())
}

/// Deletes a segment, and its run's summaries of the sessions that no other segment of the run mentions. So
/// `keepwatch history` lists no session whose entries are deleted.
fn delete_segment(transaction: &rusqlite::Transaction<'_>, id: i64) -> rusqlite::Result<()> {
    // promise: summary-with-entries
    transaction
        .prepare_cached(
            "DELETE FROM summary
             WHERE run = (SELECT run FROM segment WHERE id = ?1)
                 AND session IN (SELECT session FROM mention WHERE segment = ?1)
                 AND NOT EXISTS (
                     SELECT 1 FROM mention JOIN segment ON segment.id = mention.segment
                     WHERE mention.session = summary.session AND segment.run = summary.run AND segment.id <> ?1)",
        )?
        .execute([id])?;
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

/// Gives free pages back to the file system.
pub(super) fn vacuum(db: &rusqlite::Connection) -> Result<(), JournalError> {
    let free_pages = || db.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
    let mut remaining = free_pages()?;
    while remaining > 0 {
        // Each step of the statement frees one page.
        let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        let mut steps = statement.query([])?;
        while steps.next()?.is_some() {}
        drop(steps);
        drop(statement);
        let now_free = free_pages()?;
        if now_free >= remaining {
            break; // the file was created without auto_vacuum
        }
        remaining = now_free;
    }
    Ok(())
}
