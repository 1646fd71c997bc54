//! The schema and its versions. A version that shipped is never changed: what is new is a new step, and
//! `tests/fixtures` has a file of each version, which a test opens with this one.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::JournalError;

/// The version of the schema that this program writes.
pub const SCHEMA_VERSION: i64 = 1;

/// Says in the file's header that it is a journal of ours: "kwjl".
pub(super) const APPLICATION_ID: i64 = 0x6b77_6a6c;

/// How each version becomes the next; the first makes one out of nothing.
const MIGRATIONS: [&str; 1] = ["
    -- A piece of a run's stream that is complete in itself. Ids are not used again: a writer whose segment was deleted by
    -- another must not find a stranger's in its place.
    CREATE TABLE segment (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL,
        started INTEGER NOT NULL, -- times are milliseconds since 1970, UTC
        last INTEGER NOT NULL,    -- the newest entry's
        finished INTEGER NOT NULL,
        profile TEXT,
        host TEXT NOT NULL,
        header TEXT NOT NULL      -- JSON
    ) STRICT;
    -- No WITHOUT ROWID where rows are long: in such a table all that is longer than a quarter of a page takes another.
    CREATE TABLE entry (
        place INTEGER PRIMARY KEY, -- segment << 32 | its place there
        at INTEGER NOT NULL,
        body TEXT NOT NULL         -- JSON
    ) STRICT;
    -- Which segments speak of a session, and of a project.
    CREATE TABLE mention (
        session TEXT NOT NULL,
        segment INTEGER NOT NULL,
        PRIMARY KEY (session, segment)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE project (
        project TEXT NOT NULL,
        segment INTEGER NOT NULL,
        PRIMARY KEY (project, segment)
    ) STRICT, WITHOUT ROWID;
    -- What one run knows of one session.
    CREATE TABLE summary (
        session TEXT NOT NULL,
        run TEXT NOT NULL,
        profile TEXT,
        host TEXT NOT NULL,
        project TEXT,
        owner TEXT,
        status TEXT,
        region TEXT,
        keep_alive INTEGER,
        context TEXT,
        created INTEGER,
        started INTEGER,
        ended INTEGER,
        end_exact INTEGER NOT NULL,
        expires INTEGER,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        watched_ms INTEGER NOT NULL,
        replies INTEGER NOT NULL,
        proxy_bytes INTEGER,
        verdict TEXT,
        sure TEXT,
        sentence TEXT,
        metadata TEXT,            -- JSON
        PRIMARY KEY (session, run)
    ) STRICT;
    CREATE INDEX summary_last_seen ON summary (last_seen);
"];

/// How many bits of an entry's `place` are its place in the segment.
const SEQ_BITS: u32 = 32;

/// An entry's `place`; `None` beyond what it can be.
pub(super) fn entry_place(segment: i64, seq: u64) -> Option<i64> {
    let seq = u32::try_from(seq).ok()?;
    Some(place_range(segment)?.0 | i64::from(seq))
}

/// The first and the last `place` that a segment's entries can have.
pub(super) fn place_range(segment: i64) -> Option<(i64, i64)> {
    let first = i64::from(i32::try_from(segment).ok()?).checked_shl(SEQ_BITS)?;
    Some((first, first | i64::from(u32::MAX)))
}

/// The place in its segment of an entry with this `place`.
pub(super) fn seq_of_place(place: i64) -> u64 {
    u64::try_from(place & i64::from(u32::MAX)).unwrap_or(0)
}

/// Makes an empty file a journal, and one of an older version one of this. One that is neither is left as it is.
pub(super) fn migrate(db: &mut Connection) -> Result<(), JournalError> {
    if version(db)? == Some(SCHEMA_VERSION) {
        return Ok(());
    }
    // Whoever comes first does it; the others wait, and find it done.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&transaction)?.unwrap_or(0);
    run_migrations(&transaction, from)?;
    transaction.commit()?;
    Ok(())
}

fn run_migrations(transaction: &Transaction<'_>, from: i64) -> Result<(), JournalError> {
    for step in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(())
}

/// The version of the file's schema; `None` where there is nothing in it yet.
///
/// # Errors
/// It is another program's, or of a newer version; or it can not be read.
pub(super) fn version(db: &Connection) -> Result<Option<i64>, JournalError> {
    // All of one moment: another process may be about to make a journal of it.
    let moment = if db.is_autocommit() { Some(db.unchecked_transaction()?) } else { None };
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    moment.map(Transaction::finish).transpose()?;
    match (application, version) {
        (0, 0) if tables == 0 => Ok(None),
        (APPLICATION_ID, 1..=SCHEMA_VERSION) => Ok(Some(version)),
        (APPLICATION_ID, version) if version > SCHEMA_VERSION => Err(JournalError::NewerSchema { version }),
        _ => Err(JournalError::FileRejected { reason: "its file is another program's database" }),
    }
}
