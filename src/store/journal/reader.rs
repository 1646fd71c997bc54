//! Reads a journal while other processes write it. Holds no lock between two calls, nor between two chunks of entries.
//! Writes only to upgrade an older version.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};

use super::alert::alerts_of_host;
use super::database::JournalDatabase;
use super::{JournalError, RunId, SCHEMA_VERSION, SessionSummary, StoredAlert, file, schema};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::SessionId;
use keepwatch_core::text::Untrusted;

/// Maximum wait for a lock. With a WAL, readers need no lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of entries that are read at a time.
const CHUNK_ENTRIES: i64 = 512;

/// A journal that is open for reading.
#[derive(Debug)]
pub struct JournalReader {
    db: Connection,
    path: std::path::PathBuf,
}

/// The id of a segment, unique in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(i64);

/// A segment in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSegment {
    /// The id.
    pub id: SegmentId,
    /// The run that wrote the segment.
    pub run: RunId,
    /// Wall time at the start of the segment.
    pub started: Timestamp,
    /// Time of the newest entry.
    pub newest_at: Timestamp,
    /// True if no entries will be added.
    pub is_finished: bool,
    /// Name of the profile, if there were several.
    pub profile: Option<String>,
    /// Host of the API.
    pub host: String,
    /// The header, as JSON.
    pub header: String,
}

/// An entry in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Sequence number in the segment.
    pub seq: u64,
    /// Wall time of the entry's input; of the newest response, if the entry is a repeat.
    pub at: Timestamp,
    /// The body, as JSON.
    pub body: String,
}

/// The segments to return.
#[derive(Clone, Copy, Debug)]
pub enum SegmentFilter<'a> {
    /// All segments.
    All,
    /// Segments that mention any of these sessions.
    Sessions(&'a [SessionId]),
    /// Segments that mention any of these projects.
    Projects(&'a [Untrusted]),
}

/// The size of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalStats {
    /// Size of the file and its WAL, in bytes.
    pub bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// Number of entries in all segments.
    pub entries: u64,
    /// Number of sessions that have a summary.
    pub sessions: u64,
    /// Time of the oldest data: the earlier of the oldest segment's start and the first sighting of any session. `None`
    /// if the journal is empty.
    pub oldest: Option<Timestamp>,
}

impl JournalReader {
    /// Opens the journal at `path`. Returns `None` if it is missing or empty. Upgrades an older version, and writes
    /// nothing otherwise.
    ///
    /// # Errors
    /// The file cannot be read, is not a journal, or has a newer version.
    pub fn open(path: &Path) -> Result<Option<Self>, JournalError> {
        let Some(path) = file::find_existing(path)? else { return Ok(None) };
        let (db, version) = match Self::open_read_only(&path, "mode=ro") {
            // On a read-only disk, SQLite cannot create the shared memory of a WAL. Nobody writes there, so the file is
            // immutable. `is_writable` is also false if this user lacks the permission to write. In that case, another
            // user can change the file during the read.
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

    /// Opens the file for reading, with `uri_query` as the query of its SQLite URI. Also returns the version of the
    /// schema; `None` if the file is empty.
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

    /// Returns the first three of the sessions whose ids start with `prefix` or equal it, sorted by id. Three are
    /// enough to tell that a prefix is ambiguous.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sessions_with_prefix(&self, prefix: &SessionId) -> Result<Vec<SessionId>, JournalError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT session FROM summary WHERE session >= ?1 AND substr(session, 1, length(?1)) = ?1
             ORDER BY session LIMIT 3",
        )?;
        let rows = statement.query_map([prefix.raw()], |row| row.get::<_, String>(0))?;
        let ids = rows.map(|id| id.map(|id| SessionId::from_api(Untrusted::new(id))));
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns true if the journal has the session: if it has a summary, as `keepwatch history` requires.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn has_session(&self, id: &SessionId) -> Result<bool, JournalError> {
        let mut statement = self.db.prepare_cached("SELECT 1 FROM summary WHERE session = ?1")?;
        Ok(statement.exists([id.raw()])?)
    }

    /// Returns the segments that match `filter` and end at or after `since`, the oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn segments(
        &self,
        since: Timestamp,
        filter: SegmentFilter<'_>,
    ) -> Result<Vec<StoredSegment>, JournalError> {
        let mut segments: Vec<StoredSegment> = {
            let mut statement = self.db.prepare_cached(
                "SELECT id, run, started, last, finished, profile, host, header FROM segment WHERE last >= ?1
                 ORDER BY started, id",
            )?;
            statement.query_map([to_millis(since)], read_segment)?.collect::<rusqlite::Result<_>>()?
        };
        let matching = match filter {
            SegmentFilter::All => return Ok(segments),
            SegmentFilter::Sessions(ids) => {
                self.segments_mentioning("mention", "session", ids.iter().map(SessionId::raw))?
            }
            SegmentFilter::Projects(ids) => {
                self.segments_mentioning("project", "project", ids.iter().map(Untrusted::raw))?
            }
        };
        segments.retain(|segment| matching.contains(&segment.id));
        Ok(segments)
    }

    /// Returns the segments of the rows in `table` whose `column` equals one of `values`.
    fn segments_mentioning<'t>(
        &self,
        table: &str,
        column: &str,
        values: impl Iterator<Item = &'t str>,
    ) -> Result<std::collections::HashSet<SegmentId>, JournalError> {
        let mut statement =
            self.db.prepare_cached(&format!("SELECT segment FROM {table} WHERE {column} = ?1"))?;
        let mut segments = std::collections::HashSet::new();
        for value in values {
            for id in statement.query_map([value], |row| row.get(0).map(SegmentId))? {
                segments.insert(id?);
            }
        }
        Ok(segments)
    }

    /// Returns the entries of a segment, in order.
    pub fn entries(&self, segment: SegmentId) -> StoredEntries<'_> {
        let place_range = schema::place_range(segment.0);
        StoredEntries { db: &self.db, remaining: place_range, chunk: Vec::new().into_iter() }
    }

    /// Returns the summaries of all sessions that any run saw at `since` or later, one for each session and run.
    /// Includes the summaries of these sessions by earlier runs. Sorted by session. For each session, the summary of
    /// the run with the latest sighting comes first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn summaries(&self, since: Timestamp) -> Result<Vec<SessionSummary>, JournalError> {
        Ok(SessionSummary::seen_since(&self.db, since)?)
    }

    /// Returns the newest alerts of a host, the newest first: the incidents, and the acknowledged alerts.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn alerts(&self, host: &str) -> Result<Vec<StoredAlert>, JournalError> {
        Ok(alerts_of_host(&self.db, host)?)
    }

    /// Returns the size of the journal.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stats(&self) -> Result<JournalStats, JournalError> {
        let stats = self.db.query_row(
            "SELECT (SELECT count(*) FROM segment), (SELECT count(*) FROM entry),
                    (SELECT count(DISTINCT session) FROM summary),
                    (SELECT min(at) FROM (SELECT min(started) AS at FROM segment
                                          UNION ALL SELECT min(first_seen) FROM summary))",
            [],
            |row| {
                let count = |column| row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0));
                Ok(JournalStats {
                    bytes: file::total_bytes(&self.path),
                    segments: count(0)?,
                    entries: count(1)?,
                    sessions: count(2)?,
                    oldest: row.get::<_, Option<i64>>(3)?.map(from_millis),
                })
            },
        )?;
        Ok(stats)
    }
}

/// An iterator over the entries of a segment. Reads them in chunks.
#[derive(Debug)]
pub struct StoredEntries<'r> {
    db: &'r Connection,
    /// First and last `place` (see [`schema::entry_place`]) that are not read yet; `None` at the end and after an
    /// error.
    remaining: Option<(i64, i64)>,
    /// Entries that are read, but not returned yet.
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
        let chunk = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        self.remaining = chunk.last().map(|(place, _)| (place.saturating_add(1), last));
        self.chunk = chunk.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

impl Iterator for StoredEntries<'_> {
    type Item = Result<StoredEntry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.len() == 0
            && let Err(error) = self.read_chunk()
        {
            return Some(Err(error));
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

/// Converts an error of opening the file for reading. The general conversion would say that the journal cannot be
/// written.
fn read_only_error(error: rusqlite::Error) -> JournalError {
    match error.sqlite_error_code() {
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            JournalError::Other { reason: "its file can not be read".into() }
        }
        _ => error.into(),
    }
}

/// Converts a time to its stored form: milliseconds since 1970.
pub(super) fn to_millis(at: Timestamp) -> i64 {
    at.timestamp_millis()
}

/// Converts a stored time, which is in milliseconds since 1970.
pub(super) fn from_millis(ms: i64) -> Timestamp {
    DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::<Utc>::UNIX_EPOCH)
}

/// Converts a stored duration, which is in milliseconds.
pub(super) fn duration_from_millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
