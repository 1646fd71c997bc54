//! The open file: how SQLite is told to keep it, and one batch as one transaction.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::batch::{Batch, BatchItem};
use super::reader::to_millis;
use super::{JournalEntry, JournalError, Segment, file, schema};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::text::Untrusted;

/// How long another writer is waited for. Two panes hold the lock for milliseconds each.
const BUSY_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5000 });
/// A log that has become longer is cut when it is empty, in bytes.
const MAX_WAL_BYTES: i64 = 4 * 1024 * 1024;
/// How much of the file is kept in memory, in negative KiB: a batch touches little of it, and the program waits for days.
const CACHE_SIZE: i64 = -256;

/// The file, open for writing.
pub(super) struct JournalDatabase {
    pub(super) db: Connection,
    path: PathBuf,
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) id: i64,
    /// How many bytes its bodies have, the replaced ones counted, too.
    pub(super) bytes: usize,
    /// What it is known to speak of; more may be on the disk.
    sessions: HashSet<String>,
    projects: HashSet<String>,
}

impl OpenSegment {
    pub(super) fn new(id: i64, bytes: usize) -> Self {
        Self { id, bytes, sessions: HashSet::new(), projects: HashSet::new() }
    }
}

impl JournalDatabase {
    /// Opens the file; makes it if it is not there, and of this version if it is older.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let path = file::prepare(path)?;
        let use_wal = !file::is_on_network_fs(&path);
        Self::open_prepared(path, use_wal)
    }

    /// The same, with a log or without.
    pub(super) fn open_prepared(path: PathBuf, use_wal: bool) -> Result<Self, JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&path, flags)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        // Asked first: what is not ours to write is not touched at all.
        if schema::version(&db)?.is_none() {
            db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?; // has a meaning only before the first table
        }
        file::restrict_permissions(&path);
        let wanted = if use_wal { "wal" } else { "delete" };
        let is_wal_mode = |text: String| text.eq_ignore_ascii_case("wal");
        let mut is_wal = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).map(is_wal_mode)?;
        if is_wal != use_wal {
            let set = db.pragma_update_and_check(None, "journal_mode", wanted, |row| row.get(0));
            // Who has it open with the other mode keeps it in that.
            is_wal = set.map_or(is_wal, is_wal_mode);
        }
        // With a log, a machine that loses its power loses the last seconds, and never the file.
        db.pragma_update(None, "synchronous", if is_wal { "NORMAL" } else { "FULL" })?;
        db.pragma_update(None, "journal_size_limit", MAX_WAL_BYTES)?;
        db.pragma_update(None, "cache_size", CACHE_SIZE)?;
        schema::migrate(&mut db)?;
        Ok(Self { db, path })
    }

    /// The file's path, without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes the file has that are in use, and how many in all.
    pub(super) fn used_and_total_bytes(&self) -> Result<(u64, u64), JournalError> {
        let number = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (size, all, free) = (number("page_size")?, number("page_count")?, number("freelist_count")?);
        let bytes = |pages: i64| u64::try_from(size.saturating_mul(pages)).unwrap_or(0);
        Ok((bytes(all.saturating_sub(free)), bytes(all)))
    }

    /// Writes a batch; all of it or nothing. `current` is the segment so far, and what it is then, if nothing fails;
    /// `closing` says that it ends. Whether entries came for a segment that is no more.
    pub(super) fn write<B: Serialize, H: Serialize>(
        &mut self,
        batch: &Batch<B, H>,
        current: &mut Option<OpenSegment>,
        is_closing: bool,
    ) -> Result<bool, JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut has_lost_entries, mut last) = (false, None);
        // Another may have deleted it, as `keepwatch journal clear` does.
        if let Some(now) = &current
            && !segment_exists(&transaction, now.id)?
        {
            (*current, has_lost_entries) = (None, true);
        }
        for piece in &batch.items {
            match (piece, current.as_mut()) {
                (BatchItem::BeginSegment(segment), before) => {
                    if let Some(before) = before {
                        finish_segment(&transaction, before.id, last.take())?;
                    }
                    *current = insert_segment(&transaction, segment)?;
                }
                (BatchItem::Entry(entry), Some(current)) => match insert_entry(&transaction, entry, current)?
                {
                    true => last = last.max(Some(entry.at)),
                    false => has_lost_entries = true,
                },
                (BatchItem::Entry(_), None) => has_lost_entries = true,
            }
        }
        for summary in batch.summaries.values() {
            summary.write(&transaction)?;
        }
        match current {
            Some(now) if is_closing => finish_segment(&transaction, now.id, last)?,
            Some(now) => update_newest_time(&transaction, now.id, last)?,
            None => {}
        }
        transaction.commit()?;
        Ok(has_lost_entries)
    }
}

fn segment_exists(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<bool> {
    transaction.prepare_cached("SELECT 1 FROM segment WHERE id = ?1")?.exists([id])
}

/// `None` if the header can not be serialised, which only a bug can cause.
fn insert_segment<H: Serialize>(
    transaction: &Transaction<'_>,
    segment: &Segment<H>,
) -> rusqlite::Result<Option<OpenSegment>> {
    let Ok(header) = serde_json::to_string(&segment.header) else { return Ok(None) };
    transaction
        .prepare_cached(
            "INSERT INTO segment (run, started, last, finished, profile, host, header) VALUES (?1, ?2, ?2, 0, ?3, ?4, ?5)",
        )?
        .execute(params![
            segment.run.as_str(),
            to_millis(segment.started),
            segment.profile,
            segment.host,
            header
        ])?;
    Ok(Some(OpenSegment::new(transaction.last_insert_rowid(), header.len())))
}

fn insert_entry<B: Serialize>(
    transaction: &Transaction<'_>,
    entry: &JournalEntry<B>,
    segment: &mut OpenSegment,
) -> rusqlite::Result<bool> {
    let (Ok(body), Some(place)) =
        (serde_json::to_string(&entry.body), schema::entry_place(segment.id, entry.seq))
    else {
        return Ok(false);
    };
    segment.bytes = segment.bytes.saturating_add(body.len());
    transaction
        .prepare_cached("INSERT OR REPLACE INTO entry (place, at, body) VALUES (?1, ?2, ?3)")?
        .execute(params![place, to_millis(entry.at), body])?;
    for session in &entry.mentions {
        if segment.sessions.insert(session.raw().to_owned()) {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO mention (session, segment) VALUES (?1, ?2)")?
                .execute(params![session.raw(), segment.id])?;
        }
    }
    for project in entry.projects.iter().map(Untrusted::raw) {
        if segment.projects.insert(project.to_owned()) {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO project (project, segment) VALUES (?1, ?2)")?
                .execute(params![project, segment.id])?;
        }
    }
    Ok(true)
}

fn update_newest_time(
    transaction: &Transaction<'_>,
    id: i64,
    last: Option<Timestamp>,
) -> rusqlite::Result<()> {
    if let Some(last) = last {
        transaction
            .prepare_cached("UPDATE segment SET last = max(last, ?2) WHERE id = ?1")?
            .execute(params![id, to_millis(last)])?;
    }
    Ok(())
}

fn finish_segment(transaction: &Transaction<'_>, id: i64, last: Option<Timestamp>) -> rusqlite::Result<()> {
    update_newest_time(transaction, id, last)?;
    transaction.prepare_cached("UPDATE segment SET finished = 1 WHERE id = ?1")?.execute([id])?;
    Ok(())
}
