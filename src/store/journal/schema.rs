//! The schema, its versions, and the migrations between them.
//!
//! A version that shipped never changes. A change is a new migration. `tests/fixtures` has a file of each version, and
//! a test opens each file with the current program.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::JournalError;

/// Version of the schema that this program writes.
pub const SCHEMA_VERSION: i64 = 3;

/// The `application_id` in the header of a journal: the bytes "kwjl".
const APPLICATION_ID: i64 = 0x6b77_6a6c;

/// The SQL that upgrades each version to the next. The first item creates the tables in an empty file.
///
/// SQLite stores a comment inside a statement in the file, so these comments keep the words of the version that
/// shipped: `last` is the time of the segment's newest entry, and the `place` of an entry is `segment << 32 | seq`.
const MIGRATIONS: [&str; 3] = [
    "
    -- A part of a run's stream that can be read by itself. AUTOINCREMENT never uses an id again: if another process
    -- deletes a segment, its writer must not write to a new segment with the same id.
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
    -- Not WITHOUT ROWID, because rows are long: such a table moves the part of a row beyond a quarter of a page to
    -- another page.
    CREATE TABLE entry (
        place INTEGER PRIMARY KEY, -- segment << 32 | its place there
        at INTEGER NOT NULL,
        body TEXT NOT NULL         -- JSON
    ) STRICT;
    -- The segments that mention a session, and below the segments that mention a project.
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
    -- The summary of one session in one run.
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
",
    "
    -- One row: what was deleted, so that no writer writes it again. Each clear replaces the token. A new file has a new
    -- token, too.
    CREATE TABLE deletion (
        token INTEGER NOT NULL,  -- random
        cleared INTEGER,         -- time of the newest clear
        pruned INTEGER NOT NULL  -- time of the newest data that pruning has deleted
    ) STRICT;
    INSERT INTO deletion VALUES (random(), NULL, 0);
",
    "
    -- One row for each incident that was raised, and for each alert that was acknowledged.
    CREATE TABLE alert (
        host TEXT NOT NULL,
        project TEXT NOT NULL,   -- empty if unknown
        session TEXT NOT NULL,
        kind TEXT NOT NULL,
        raised INTEGER NOT NULL, -- on the server's clock, as all times here
        acknowledged INTEGER,    -- NULL until then
        PRIMARY KEY (host, project, session, kind)
    ) STRICT, WITHOUT ROWID;
    -- One row: a random number, which each new acknowledgement replaces, so that other processes notice it.
    CREATE TABLE alert_change (
        token INTEGER NOT NULL
    ) STRICT;
    INSERT INTO alert_change VALUES (random());
",
];

/// Number of low bits of an entry's `place` that hold its sequence number.
const SEQ_BITS: u32 = 32;

/// Returns the `place` of an entry; `None` if the segment or the sequence number is too large.
pub(super) fn entry_place(segment: i64, seq: u64) -> Option<i64> {
    let seq = u32::try_from(seq).ok()?;
    Some(place_range(segment)?.0 | i64::from(seq))
}

/// Returns the first and the last `place` that entries of a segment can have.
pub(super) fn place_range(segment: i64) -> Option<(i64, i64)> {
    let first = i64::from(i32::try_from(segment).ok()?).checked_shl(SEQ_BITS)?;
    Some((first, first | i64::from(u32::MAX)))
}

/// Returns the sequence number of the entry with this `place`.
pub(super) fn seq_of_place(place: i64) -> u64 {
    u64::try_from(place & i64::from(u32::MAX)).unwrap_or(0)
}

/// Creates the schema in an empty file, or upgrades an older version. Leaves a file of the current version unchanged.
pub(super) fn migrate(db: &mut Connection) -> Result<(), JournalError> {
    if version(db)? == Some(SCHEMA_VERSION) {
        return Ok(());
    }
    // The first process migrates. The others wait for its lock, and then find nothing to do.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let old_version = version(&transaction)?.unwrap_or(0);
    run_migrations(&transaction, old_version)?;
    transaction.commit()?;
    Ok(())
}

fn run_migrations(transaction: &Transaction<'_>, old_version: i64) -> Result<(), JournalError> {
    for migration in MIGRATIONS.iter().skip(usize::try_from(old_version).unwrap_or(usize::MAX)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(())
}

/// Returns the version of the file's schema, or `None` if the file is empty.
///
/// # Errors
/// The file belongs to another program, has a newer version, or cannot be read.
pub(super) fn version(db: &Connection) -> Result<Option<i64>, JournalError> {
    // All values are read in one transaction, because another process may be creating the schema.
    let transaction = if db.is_autocommit() { Some(db.unchecked_transaction()?) } else { None };
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    transaction.map(Transaction::finish).transpose()?;
    match check_header(application, version)? {
        None if tables > 0 => Err(FOREIGN_DATABASE),
        version => Ok(version),
    }
}

/// The error for a database of another program.
const FOREIGN_DATABASE: JournalError =
    JournalError::FileRejected { reason: "its file is another program's database" };

/// Returns the version of a journal, given the `application_id` and the `user_version` in the header of its file. Returns
/// `None` if both are zero, as in a file without tables.
///
/// # Errors
/// The file belongs to another program, or has a newer version.
pub(super) fn check_header(application: i64, version: i64) -> Result<Option<i64>, JournalError> {
    match (application, version) {
        (0, 0) => Ok(None),
        (APPLICATION_ID, 1..=SCHEMA_VERSION) => Ok(Some(version)),
        (APPLICATION_ID, version) if version > SCHEMA_VERSION => Err(JournalError::NewerSchema { version }),
        _ => Err(FOREIGN_DATABASE),
    }
}
