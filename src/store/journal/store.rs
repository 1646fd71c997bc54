//! The open file: how SQLite is told to keep it, and one batch as one transaction.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde::Serialize;

use super::batch::{Batch, Piece};
use super::read::time;
use super::{Entry, Segment, Trouble, file, schema};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::text::Untrusted;

/// How long another writer is waited for. Two panes hold the lock for milliseconds each.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5000 });
/// A log that has become longer is cut when it is empty, in bytes.
const LONGEST_LOG: i64 = 4 * 1024 * 1024;
/// How much of the file is kept in memory, in negative KiB: a batch touches little of it, and the program waits for days.
const CACHE: i64 = -256;

/// The file, open for writing.
pub(super) struct Store {
    pub(super) db: Connection,
    path: PathBuf,
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) id: i64,
    /// How many bytes its bodies have, the replaced ones counted, too.
    pub(super) bytes: usize,
    /// What it is known to speak of; more may be on the disk.
    sessions: HashSet<String>,
    projects: HashSet<String>,
}

impl Current {
    pub(super) fn new(id: i64, bytes: usize) -> Self {
        Self { id, bytes, sessions: HashSet::new(), projects: HashSet::new() }
    }
}

impl Store {
    /// Opens the file; makes it if it is not there, and of this version if it is older.
    pub(super) fn open(path: &Path) -> Result<Self, Trouble> {
        let path = file::prepare(path)?;
        let log = !file::is_on_a_network(&path);
        Self::open_prepared(path, log)
    }

    /// The same, with a log or without.
    pub(super) fn open_prepared(path: PathBuf, log: bool) -> Result<Self, Trouble> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(&path, flags)?;
        db.busy_timeout(PATIENCE)?;
        // Asked first: what is not ours to write is not touched at all.
        if schema::version(&db)?.is_none() {
            db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?; // has a meaning only before the first table
        }
        file::close_to_others(&path);
        let wanted = if log { "wal" } else { "delete" };
        let mode = |text: String| text.eq_ignore_ascii_case("wal");
        let mut is_wal = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).map(mode)?;
        if is_wal != log {
            let set = db.pragma_update_and_check(None, "journal_mode", wanted, |row| row.get(0));
            // Who has it open with the other mode keeps it in that.
            is_wal = set.map_or(is_wal, mode);
        }
        // With a log, a machine that loses its power loses the last seconds, and never the file.
        db.pragma_update(None, "synchronous", if is_wal { "NORMAL" } else { "FULL" })?;
        db.pragma_update(None, "journal_size_limit", LONGEST_LOG)?;
        db.pragma_update(None, "cache_size", CACHE)?;
        schema::settle(&mut db)?;
        Ok(Self { db, path })
    }

    /// The file's path, without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes the file has that are in use, and how many in all.
    pub(super) fn used(&self) -> Result<(u64, u64), Trouble> {
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
        current: &mut Option<Current>,
        closing: bool,
    ) -> Result<bool, Trouble> {
        let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut lost, mut last) = (false, None);
        // Another may have deleted it, as `keepwatch journal clear` does.
        if let Some(now) = &current
            && !is_there(&change, now.id)?
        {
            (*current, lost) = (None, true);
        }
        for piece in &batch.pieces {
            match (piece, current.as_mut()) {
                (Piece::Begin(segment), before) => {
                    if let Some(before) = before {
                        finish(&change, before.id, last.take())?;
                    }
                    *current = begin(&change, segment)?;
                }
                (Piece::Entry(entry), Some(current)) => match add(&change, entry, current)? {
                    true => last = last.max(Some(entry.at)),
                    false => lost = true,
                },
                (Piece::Entry(_), None) => lost = true,
            }
        }
        for summary in batch.summaries.values() {
            summary.write(&change)?;
        }
        match current {
            Some(now) if closing => finish(&change, now.id, last)?,
            Some(now) => reached(&change, now.id, last)?,
            None => {}
        }
        change.commit()?;
        Ok(lost)
    }
}

fn is_there(change: &Transaction<'_>, id: i64) -> rusqlite::Result<bool> {
    change.prepare_cached("SELECT 1 FROM segment WHERE id = ?1")?.exists([id])
}

/// `None` if the header can not be serialised, which only a bug can cause.
fn begin<H: Serialize>(change: &Transaction<'_>, segment: &Segment<H>) -> rusqlite::Result<Option<Current>> {
    let Ok(header) = serde_json::to_string(&segment.header) else { return Ok(None) };
    change
        .prepare_cached(
            "INSERT INTO segment (run, started, last, finished, profile, host, header) VALUES (?1, ?2, ?2, 0, ?3, ?4, ?5)",
        )?
        .execute(params![
            segment.run.as_str(),
            time(segment.started),
            segment.profile,
            segment.host,
            header
        ])?;
    Ok(Some(Current::new(change.last_insert_rowid(), header.len())))
}

fn add<B: Serialize>(
    change: &Transaction<'_>,
    entry: &Entry<B>,
    current: &mut Current,
) -> rusqlite::Result<bool> {
    let (Ok(body), Some(place)) = (serde_json::to_string(&entry.body), schema::place(current.id, entry.seq))
    else {
        return Ok(false);
    };
    current.bytes = current.bytes.saturating_add(body.len());
    change
        .prepare_cached("INSERT OR REPLACE INTO entry (place, at, body) VALUES (?1, ?2, ?3)")?
        .execute(params![place, time(entry.at), body])?;
    for session in &entry.mentions {
        if current.sessions.insert(session.raw().to_owned()) {
            change
                .prepare_cached("INSERT OR IGNORE INTO mention (session, segment) VALUES (?1, ?2)")?
                .execute(params![session.raw(), current.id])?;
        }
    }
    for project in entry.projects.iter().map(Untrusted::raw) {
        if current.projects.insert(project.to_owned()) {
            change
                .prepare_cached("INSERT OR IGNORE INTO project (project, segment) VALUES (?1, ?2)")?
                .execute(params![project, current.id])?;
        }
    }
    Ok(true)
}

fn reached(change: &Transaction<'_>, id: i64, last: Option<Timestamp>) -> rusqlite::Result<()> {
    if let Some(last) = last {
        change
            .prepare_cached("UPDATE segment SET last = max(last, ?2) WHERE id = ?1")?
            .execute(params![id, time(last)])?;
    }
    Ok(())
}

fn finish(change: &Transaction<'_>, id: i64, last: Option<Timestamp>) -> rusqlite::Result<()> {
    reached(change, id, last)?;
    change.prepare_cached("UPDATE segment SET finished = 1 WHERE id = ?1")?.execute([id])?;
    Ok(())
}
