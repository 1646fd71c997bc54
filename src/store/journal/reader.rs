//! Reading what was written, while others write: no lock is held from one call to the next, nor from one piece of entries
//! to the next.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};

use super::database::JournalDatabase;
use super::{JournalError, RunId, SCHEMA_VERSION, SessionSummary, file, schema};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;

/// How long a lock is waited for. With a log there is none for readers.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How many entries are read at a time.
const CHUNK_ENTRIES: i64 = 512;

/// A journal that is open for reading.
#[derive(Debug)]
pub struct JournalReader {
    db: Connection,
    path: std::path::PathBuf,
}

/// What names a segment, within its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(i64);

/// A segment as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSegment {
    /// What names it.
    pub id: SegmentId,
    /// Whose it is.
    pub run: RunId,
    /// When it begins.
    pub started: Timestamp,
    /// The time of its newest entry.
    pub newest_at: Timestamp,
    /// Whether nothing will follow in it.
    pub is_finished: bool,
    /// The profile that its sessions were reached by, if one was chosen.
    pub profile: Option<String>,
    /// The host that was asked.
    pub host: String,
    /// The header, as JSON.
    pub header: String,
}

/// An entry as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its place in the segment.
    pub seq: u64,
    /// When what it says was so, at last.
    pub at: Timestamp,
    /// The body, as JSON.
    pub body: String,
}

/// Of what segments are wanted.
#[derive(Clone, Copy, Debug)]
pub enum SegmentFilter<'a> {
    /// Of anything.
    All,
    /// Those that speak of any of these sessions.
    Sessions(&'a [SessionId]),
    /// Those that speak of any of these projects.
    Projects(&'a [Untrusted]),
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalStats {
    /// The bytes of its file, and of its log.
    pub bytes: u64,
    /// How many segments.
    pub segments: u64,
    /// How many entries they have.
    pub entries: u64,
    /// How many sessions there are summaries of.
    pub sessions: u64,
    /// When the oldest segment begins, or the oldest session was first seen.
    pub oldest: Option<Timestamp>,
}

impl JournalReader {
    /// Opens the journal at `path`; `None` if there is none.
    ///
    /// # Errors
    /// It can not be read, or not by this version. Writes nothing, unless the journal is of an older version and can be
    /// brought to this one.
    pub fn open(path: &Path) -> Result<Option<Self>, JournalError> {
        let Some(path) = file::find_existing(path)? else { return Ok(None) };
        let (db, version) = match Self::open_read_only(&path, "mode=ro") {
            // A disk that is only to be read has no room for what readers of a log share; nobody writes it, then.
            Err(_) if !file::is_writable(&path) => Self::open_read_only(&path, "mode=ro&immutable=1")?,
            other => other?,
        };
        match version {
            None => Ok(None),
            Some(SCHEMA_VERSION) => Ok(Some(Self { db, path })),
            Some(_) => {
                drop(db);
                JournalDatabase::open(&path)?;
                let (db, _) = Self::open_read_only(&path, "mode=ro")?;
                Ok(Some(Self { db, path }))
            }
        }
    }

    pub(super) fn open_read_only(
        path: &Path,
        uri_query: &str,
    ) -> Result<(Connection, Option<i64>), JournalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let url = url::Url::from_file_path(path)
            .map_err(|()| JournalError::FileRejected { reason: "its path is odd" })?;
        let db = Connection::open_with_flags(format!("{url}?{uri_query}"), flags).map_err(read_only_error)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        let version = schema::version(&db)?;
        Ok((db, version))
    }

    /// Sessions whose ids begin with the text of `id`, and that one itself, if they are there: three at most.
    ///
    /// # Errors
    /// The file can not be read.
    pub fn sessions_with_prefix(&self, prefix: &SessionId) -> Result<Vec<SessionId>, JournalError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT session FROM mention WHERE session >= ?1 AND substr(session, 1, length(?1)) = ?1
             ORDER BY session LIMIT 3",
        )?;
        let found = statement.query_map([prefix.raw()], |row| row.get::<_, String>(0))?;
        let ids = found.map(|id| id.map(|id| SessionId::from_api(Untrusted::new(id))));
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// The segments with anything since `since`, the oldest first.
    ///
    /// # Errors
    /// The file can not be read.
    pub fn segments(
        &self,
        since: Timestamp,
        filter: SegmentFilter<'_>,
    ) -> Result<Vec<StoredSegment>, JournalError> {
        let mut found: Vec<StoredSegment> = {
            let mut all = self.db.prepare_cached(
                "SELECT id, run, started, last, finished, profile, host, header FROM segment WHERE last >= ?1
                 ORDER BY started, id",
            )?;
            all.query_map([to_millis(since)], read_segment)?.collect::<rusqlite::Result<_>>()?
        };
        let wanted = match filter {
            SegmentFilter::All => return Ok(found),
            SegmentFilter::Sessions(ids) => {
                self.segments_mentioning("mention", "session", ids.iter().map(SessionId::raw))?
            }
            SegmentFilter::Projects(ids) => {
                self.segments_mentioning("project", "project", ids.iter().map(Untrusted::raw))?
            }
        };
        found.retain(|segment| wanted.contains(&segment.id));
        Ok(found)
    }

    fn segments_mentioning<'t>(
        &self,
        table: &str,
        column: &str,
        values: impl Iterator<Item = &'t str>,
    ) -> Result<std::collections::HashSet<SegmentId>, JournalError> {
        let mut statement =
            self.db.prepare_cached(&format!("SELECT segment FROM {table} WHERE {column} = ?1"))?;
        let mut found = std::collections::HashSet::new();
        for text in values {
            for id in statement.query_map([text], |row| row.get(0).map(SegmentId))? {
                found.insert(id?);
            }
        }
        Ok(found)
    }

    /// The entries of a segment, in their order.
    pub fn entries(&self, segment: SegmentId) -> StoredEntries<'_> {
        let place_range = schema::place_range(segment.0);
        StoredEntries { db: &self.db, remaining: place_range, chunk: Vec::new().into_iter() }
    }

    /// What is known of the sessions that were seen since `since`, a row a run, by session: of one, the run that saw it
    /// last comes first, and earlier ones that saw it before `since` follow.
    ///
    /// # Errors
    /// The file can not be read.
    pub fn summaries(&self, since: Timestamp) -> Result<Vec<SessionSummary>, JournalError> {
        Ok(SessionSummary::seen_since(&self.db, since)?)
    }

    /// How much there is.
    ///
    /// # Errors
    /// The file can not be read.
    pub fn stats(&self) -> Result<JournalStats, JournalError> {
        let sizes = self.db.query_row(
            "SELECT (SELECT count(*) FROM segment), (SELECT count(*) FROM entry),
                    (SELECT count(DISTINCT session) FROM summary),
                    (SELECT min(at) FROM (SELECT min(started) AS at FROM segment
                                          UNION ALL SELECT min(first_seen) FROM summary))",
            [],
            |row| {
                let number = |at| row.get::<_, i64>(at).map(|number| u64::try_from(number).unwrap_or(0));
                Ok(JournalStats {
                    bytes: file::total_bytes(&self.path),
                    segments: number(0)?,
                    entries: number(1)?,
                    sessions: number(2)?,
                    oldest: row.get::<_, Option<i64>>(3)?.map(from_millis),
                })
            },
        )?;
        Ok(sizes)
    }
}

/// The entries of a segment, a piece at a time.
#[derive(Debug)]
pub struct StoredEntries<'r> {
    db: &'r Connection,
    /// Between which places those are that were not read yet; `None` once there are none.
    remaining: Option<(i64, i64)>,
    chunk: std::vec::IntoIter<StoredEntry>,
}

impl StoredEntries<'_> {
    fn read_chunk(&mut self) -> Result<(), JournalError> {
        let Some((first, last)) = self.remaining.take() else { return Ok(()) };
        let mut statement = self.db.prepare_cached(
            "SELECT place, at, body FROM entry WHERE place BETWEEN ?1 AND ?2 ORDER BY place LIMIT ?3",
        )?;
        let rows = statement.query_map(params![first, last, CHUNK_ENTRIES], |row| {
            let place: i64 = row.get(0)?;
            Ok((
                place,
                StoredEntry {
                    seq: schema::seq_of_place(place),
                    at: from_millis(row.get(1)?),
                    body: row.get(2)?,
                },
            ))
        })?;
        let piece = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        self.remaining = piece.last().map(|(place, _)| (place.saturating_add(1), last));
        self.chunk = piece.into_iter().map(|(_, line)| line).collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

impl Iterator for StoredEntries<'_> {
    type Item = Result<StoredEntry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.len() == 0
            && let Err(trouble) = self.read_chunk()
        {
            return Some(Err(trouble));
        }
        self.chunk.next().map(Ok)
    }
}

fn read_segment(row: &Row<'_>) -> rusqlite::Result<StoredSegment> {
    Ok(StoredSegment {
        id: SegmentId(row.get(0)?),
        run: RunId::from_stored(&row.get::<_, String>(1)?),
        started: from_millis(row.get(2)?),
        newest_at: from_millis(row.get(3)?),
        is_finished: row.get(4)?,
        profile: row.get(5)?,
        host: row.get(6)?,
        header: row.get(7)?,
    })
}

/// Who only reads is told that it can not be read.
fn read_only_error(error: rusqlite::Error) -> JournalError {
    match error.sqlite_error_code() {
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            JournalError::Other { reason: "its file can not be read".into() }
        }
        _ => error.into(),
    }
}

/// A time as it is kept: milliseconds since 1970.
pub(super) fn to_millis(at: Timestamp) -> i64 {
    at.timestamp_millis()
}

/// A time that was kept.
pub(super) fn from_millis(ms: i64) -> Timestamp {
    DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::<Utc>::UNIX_EPOCH)
}

/// A length that was kept.
pub(super) fn duration_from_millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
