//! The open database: its SQLite settings, and the transaction that writes a batch. Never retries: the writer
//! thread does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::alert::{AcknowledgementCheck, write_alerts};
use super::alert_queue::QueuedAlert;
use super::batch::{Batch, BatchItem};
use super::deletion::DeletionMarks;
use super::reader::to_millis;
use super::summary_queue::QueuedSummary;
use super::{JournalEntry, JournalError, Segment, file, schema};
use keepwatch_core::clock::Timestamp;

/// Maximum wait for the lock of another process. keepwatch itself holds the lock only for milliseconds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5000 });
/// Maximum size of the WAL, in bytes. When SQLite starts to write the WAL from its beginning again, it truncates a
/// larger WAL to this size.
const MAX_WAL_BYTES: i64 = 4 * 1024 * 1024;
/// Size of SQLite's page cache. SQLite reads a negative number as KiB. The cache is small, because a batch touches few
/// pages.
const CACHE_SIZE: i64 = -256;

/// A journal that is open for writing.
pub(super) struct JournalDatabase {
    pub(super) db: Connection,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) id: i64,
    /// Size of the header and of all bodies, in bytes. Includes bodies that were replaced.
    pub(super) bytes: usize,
    /// The size after the first transaction, which has all sessions, in bytes; `None` before it.
    pub(super) opening_bytes: Option<usize>,
}

impl OpenSegment {
    pub(super) fn new(id: i64, bytes: usize) -> Self {
        Self { id, bytes, opening_bytes: None }
    }
}

/// The rows of one transaction that are not in the batch.
#[derive(Debug, Default)]
pub(super) struct QueuedRows {
    pub(super) summaries: Vec<Arc<QueuedSummary>>,
    pub(super) alerts: Vec<Arc<QueuedAlert>>,
    /// The token of acknowledgements after the last transaction or check; `None` before the first.
    pub(super) known_alert_token: Option<i64>,
}

impl QueuedRows {
    pub(super) fn is_empty(&self) -> bool {
        self.summaries.is_empty() && self.alerts.is_empty()
    }
}

impl JournalDatabase {
    /// Opens the journal at `path`. Creates it if it is missing, and upgrades an older version.
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let path = file::prepare(path)?;
        let use_wal = !file::is_on_network_fs(&path);
        Self::open_prepared(path, use_wal)
    }

    /// Opens a file that [`file::prepare`] has checked. The database has a WAL if `use_wal`.
    pub(super) fn open_prepared(path: PathBuf, use_wal: bool) -> Result<Self, JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&path, flags)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        // The version is checked first, so that a file of another program or of a newer version stays untouched.
        if schema::version(&db)?.is_none() {
            db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?; // takes effect only before the first table
        }
        file::restrict_permissions(&path);
        let mode = if use_wal { "wal" } else { "delete" };
        let is_wal_mode = |text: String| text.eq_ignore_ascii_case("wal");
        let mut is_wal = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).map(is_wal_mode)?;
        if is_wal != use_wal {
            let updated = db.pragma_update_and_check(None, "journal_mode", mode, |row| row.get(0));
            // The mode cannot change while another process has the file open.
            is_wal = updated.map_or(is_wal, is_wal_mode);
        }
        // With a WAL, a power failure costs the last seconds, but never damages the file.
        db.pragma_update(None, "synchronous", if is_wal { "NORMAL" } else { "FULL" })?;
        db.pragma_update(None, "journal_size_limit", MAX_WAL_BYTES)?;
        db.pragma_update(None, "cache_size", CACHE_SIZE)?;
        db.pragma_update(None, "mmap_size", 0)?; // a truncated file that is mapped into memory would end the process by SIGBUS
        schema::migrate(&mut db)?;
        Ok(Self { db })
    }

    /// Returns the size of the pages in use, and the size of all pages of the file, both in bytes. Ignores the WAL.
    pub(super) fn used_and_total_bytes(&self) -> Result<(u64, u64), JournalError> {
        let pragma = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (page_size, all_pages, free_pages) =
            (pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?);
        let bytes = |pages: i64| u64::try_from(page_size.saturating_mul(pages)).unwrap_or(0);
        Ok((bytes(all_pages.saturating_sub(free_pages)), bytes(all_pages)))
    }

    /// Writes a batch and other rows in one transaction, unless `is_cleared` finds from the marks of deletions that the
    /// file was cleared.
    ///
    /// `current` is the open segment. It changes if the batch starts a new segment. If the transaction fails, the value
    /// of `current` is wrong, and the caller must restore the old one. If `is_closing`, the last segment is finished.
    pub(super) fn write<B: Serialize, H: Serialize>(
        &mut self,
        batch: &Batch<B, H>,
        rows: &QueuedRows,
        current: &mut Option<OpenSegment>,
        is_closing: bool,
        is_cleared: impl FnOnce(DeletionMarks) -> bool,
    ) -> Result<WriteOutcome, JournalError> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let marks = DeletionMarks::read(&transaction)?;
        // promise: cleared-stays-cleared, mutant: is_cleared(marks) -> false
        if is_cleared(marks) {
            return Ok(WriteOutcome::Cleared);
        }
        let (mut has_lost_entries, mut newest_at) = (false, None);
        // Another process may have deleted the segment: it prunes segments that seem abandoned.
        if let Some(open) = &current
            && !segment_exists(&transaction, open.id)?
        {
            (*current, has_lost_entries) = (None, true);
        }
        for item in &batch.items {
            match (item, current.as_mut()) {
                (BatchItem::BeginSegment(segment), previous) => {
                    if let Some(previous) = previous {
                        finish_segment(&transaction, previous.id, newest_at.take())?;
                    }
                    *current = insert_segment(&transaction, segment)?;
                    has_lost_entries = false; // a new segment has no gap
                }
                (BatchItem::Entry(entry), Some(current)) => match insert_entry(&transaction, entry, current)?
                {
                    true => newest_at = newest_at.max(Some(entry.at)),
                    false => has_lost_entries = true,
                },
                (BatchItem::Entry(_), None) => has_lost_entries = true,
            }
        }
        for queued in &rows.summaries {
            // promise: pruned-stays-pruned, mutant: !marks.cover(&transaction, &queued.summary)? -> true
            if !marks.cover(&transaction, &queued.summary)? {
                queued.summary.write(&transaction)?;
            }
        }
        let alerts = rows.alerts.iter().map(|queued| &queued.alert);
        let mut acknowledgements = AcknowledgementCheck::read(&transaction, rows.known_alert_token)?;
        if let Some(token) = write_alerts(&transaction, alerts, marks)? {
            acknowledgements.token = token;
        }
        match current {
            Some(open) if is_closing => finish_segment(&transaction, open.id, newest_at)?,
            Some(open) => update_newest_time(&transaction, open.id, newest_at)?,
            None => {}
        }
        transaction.commit()?;
        Ok(WriteOutcome::Written { has_lost_entries, acknowledgements })
    }

    /// Reads the marks of deletions, and the acknowledgements by other processes. Writes nothing. `known_alert_token` is
    /// that of [`QueuedRows`].
    pub(super) fn check(
        &self,
        known_alert_token: Option<i64>,
    ) -> Result<(DeletionMarks, AcknowledgementCheck), JournalError> {
        // All values are read in one transaction, because another process may be clearing the file.
        let transaction = self.db.unchecked_transaction()?;
        let marks = DeletionMarks::read(&transaction)?;
        let acknowledgements = AcknowledgementCheck::read(&transaction, known_alert_token)?;
        transaction.finish()?;
        Ok((marks, acknowledgements))
    }
}

/// The outcome of writing a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    /// The batch is in the file.
    Written {
        /// True if the open segment lost entries, or if another process deleted it.
        has_lost_entries: bool,
        /// The acknowledgements in the file.
        acknowledgements: AcknowledgementCheck,
    },
    /// Nothing was written: the file was cleared.
    Cleared,
}

fn segment_exists(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<bool> {
    transaction.prepare_cached("SELECT 1 FROM segment WHERE id = ?1")?.exists([id])
}

/// Inserts a segment. Returns `None` if the header cannot be serialised, which only a bug can cause.
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

/// Inserts or replaces an entry. Returns false if it cannot be serialised, or if its sequence number is too large.
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
    let mut insert_mention =
        transaction.prepare_cached("INSERT OR IGNORE INTO mention (session, segment) VALUES (?1, ?2)")?;
    for session in &entry.sessions {
        insert_mention.execute(params![session.raw(), segment.id])?;
    }
    let mut insert_project =
        transaction.prepare_cached("INSERT OR IGNORE INTO project (project, segment) VALUES (?1, ?2)")?;
    for project in &entry.projects {
        insert_project.execute(params![project.raw(), segment.id])?;
    }
    Ok(true)
}

/// Sets the time of a segment's newest entry, unless it is earlier than the stored time.
fn update_newest_time(
    transaction: &Transaction<'_>,
    id: i64,
    newest_at: Option<Timestamp>,
) -> rusqlite::Result<()> {
    if let Some(newest_at) = newest_at {
        transaction
            .prepare_cached("UPDATE segment SET last = max(last, ?2) WHERE id = ?1")?
            .execute(params![id, to_millis(newest_at)])?;
    }
    Ok(())
}

/// Marks a segment as finished: it gets no more entries.
fn finish_segment(
    transaction: &Transaction<'_>,
    id: i64,
    newest_at: Option<Timestamp>,
) -> rusqlite::Result<()> {
    update_newest_time(transaction, id, newest_at)?;
    transaction.prepare_cached("UPDATE segment SET finished = 1 WHERE id = ?1")?.execute([id])?;
    Ok(())
}
