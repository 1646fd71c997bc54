//! Failures that the disk, the file or other processes cause. No failure blocks the sender, and each is reported once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;
use serde::{Serialize, Serializer};

use super::*;
use crate::store::history::{self, HistoryQuery, HistoryScope};
use crate::store::journal::handle::MAX_QUEUED;

/// Opens a journal at a path that already has a file with these bytes.
fn journal_over_file(bytes: &[u8]) -> TestJournal {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/keepwatch/journal.sqlite");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    TestJournal::open(folder, JournalOptions::new(noon_clock()))
}

/// Returns the bytes of a journal with 900 entries.
fn journal_bytes() -> Vec<u8> {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..900, time("12:00:01"));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:01")));
    harness.shut_down();
    fs::read(harness.path()).unwrap()
}

/// Returns the bytes of a journal with 900 entries, whose header has this value of a pragma.
fn journal_bytes_with_pragma(pragma: &str, value: i64) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    fs::write(&path, journal_bytes()).unwrap();
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, pragma, value).unwrap();
    drop(db);
    fs::read(&path).unwrap()
}

/// Asserts that a new segment can be written, and that it is the only one in the file.
fn assert_writes_again(harness: &mut TestJournal) {
    harness.journal().acknowledge_clear();
    assert_eq!(harness.journal().begin_segment(segment(run_id(9), time("12:00:00"))), SendResult::Queued);
    harness.write_entries(0..3, time("12:00:01"));
    assert!(harness.flush());
    let stats = harness.reader().stats().unwrap();
    assert_eq!((stats.segments, stats.entries), (1, 3));
}

#[test]
fn damaged_file_is_moved_aside() {
    let intact = journal_bytes();
    let mut truncated = intact.clone();
    truncated.truncate(intact.len() / 2);
    for bytes in [truncated, b"garbage ".repeat(1000), vec![0; 8192]] {
        let mut harness = journal_over_file(&bytes);
        let aside = harness.path().with_file_name("journal.sqlite.damaged-20261122-120000");
        let error = harness.next_error();
        assert_eq!(error, JournalError::Damaged { aside: Some(aside.clone()) });
        assert!(error.to_string().contains("journal.sqlite.damaged-20261122-120000"));
        assert_eq!(fs::read(&aside).unwrap(), bytes, "the damaged file is unchanged");
        assert_eq!(damaged_files(&harness.path()), [aside]);
        assert_writes_again(&mut harness);
        assert!(harness.errors.try_recv().is_err(), "the damage is reported once");
    }
}

#[test]
fn damaged_file_is_moved_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fs::write(&path, "damaged").unwrap();
    let damaged_id = crate::private_file::FileId::at(&path).unwrap();
    let aside = file::move_aside(&path, damaged_id, time("12:00:00")).unwrap().unwrap();
    // The file at the path is another one now, so it must not be moved.
    fs::write(&path, "sound").unwrap();
    assert_eq!(file::move_aside(&path, damaged_id, time("12:00:00")).unwrap(), None);
    assert_eq!((fs::read(path).unwrap(), fs::read(aside).unwrap()), (b"sound".into(), b"damaged".into()));
}

#[test]
fn damage_while_writing_ends_segment() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..900, time("12:00:01"));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:01")));
    // The writer prunes between the two flushes. A pruning that still runs would block the checkpoint.
    assert!(harness.flush() && harness.flush());
    // The checkpoint empties the WAL. Then every page of the file but the first is overwritten.
    let db = Connection::open(harness.path()).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut bytes = fs::read(harness.path()).unwrap();
    bytes[4096..].fill(0xAA);
    fs::write(harness.path(), bytes).unwrap();
    // A change by another connection makes the writer drop its page cache.
    db.execute_batch("PRAGMA user_version = 1").unwrap();
    drop(db);
    harness.write_entries(900..901, time("12:00:02"));
    assert!(harness.flush());
    assert!(matches!(harness.next_error(), JournalError::Damaged { aside: Some(_) }));
    assert_eq!(harness.journal().write_entry(entry(901, time("12:00:03"))), SendResult::Dropped);
    assert_writes_again(&mut harness);
}

#[test]
fn newer_or_foreign_file_is_untouched() {
    let newer = journal_bytes_with_pragma("user_version", 7);
    let foreign = journal_bytes_with_pragma("application_id", 1);
    let rejected = |reason| JournalError::FileRejected { reason };
    for (bytes, error) in [
        (newer, JournalError::NewerSchema { version: 7 }),
        (foreign, rejected("its file is another program's database")),
    ] {
        let mut harness = journal_over_file(&bytes);
        assert_eq!(harness.next_error(), error);
        assert!(!harness.flush());
        assert!(!harness.journal().has_room());
        assert_eq!(
            harness.journal().begin_segment(segment(run_id(1), time("12:00:00"))),
            SendResult::Dropped
        );
        assert_eq!(JournalReader::open(&harness.path()).err(), Some(error));
        assert!(clear(&harness.path(), time("12:00:05")).is_err());
        harness.shut_down();
        assert_eq!(fs::read(harness.path()).unwrap(), bytes);
        let files = fs::read_dir(harness.path().parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "no other file is created");
    }
}

#[test]
fn unsuitable_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first_error = |name: &str| {
        let (sender, errors) = channel();
        let on_error = move |error| sender.send(error).unwrap();
        let journal =
            Journal::<Value>::spawn(folder.path().join(name), JournalOptions::new(noon_clock()), on_error);
        let error: JournalError = errors.recv_timeout(TEST_TIMEOUT).unwrap();
        drop(journal);
        error.to_string()
    };
    let target = folder.path().join("target");
    std::os::unix::fs::symlink(&target, folder.path().join("link.sqlite")).unwrap();
    assert!(first_error("link.sqlite").contains("symbolic link"));
    assert!(!target.exists());
    fs::create_dir(folder.path().join("folder.sqlite")).unwrap();
    assert!(first_error("folder.sqlite").contains("no file"));
    fs::write(folder.path().join("notes.txt"), "milk, eggs").unwrap();
    assert!(first_error("notes.txt").contains("no journal"));
    assert_eq!(fs::read(folder.path().join("notes.txt")).unwrap(), b"milk, eggs");
    let foreign = folder.path().join("stranger.sqlite");
    fs::write(&foreign, "").unwrap();
    // Only root can give a file to another user.
    if std::os::unix::fs::chown(&foreign, Some(12345), None).is_ok() {
        assert!(first_error("stranger.sqlite").contains("another user's"));
    }
}

/// Returns a folder that this process cannot write to: for root, which can write nearly everywhere, one in `/sys`.
fn read_only_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let path = folder.path().to_owned();
    let is_root = fs::create_dir(path.join("probe")).is_ok();
    let path = if is_root { "/sys/keepwatch".into() } else { path };
    (folder, path)
}

#[test]
#[cfg(target_os = "linux")]
fn read_only_folder_is_reported_once() {
    let (_folder, path) = read_only_folder();
    let (sender, errors) = channel();
    let path = path.join("keepwatch/journal.sqlite");
    let on_error = move |error| sender.send(error).unwrap();
    let mut journal = Journal::<Value>::spawn(path, JournalOptions::new(noon_clock()), on_error);
    assert_eq!(errors.recv_timeout(TEST_TIMEOUT), Ok(JournalError::ReadOnly));
    assert!(!journal.flush(TEST_TIMEOUT));
    assert_eq!(journal.begin_segment(segment(run_id(1), time("12:00:00"))), SendResult::Queued);
    assert_eq!(journal.write_entry(entry(0, time("12:00:00"))), SendResult::Queued);
    assert!(!journal.flush(TEST_TIMEOUT) && !journal.flush(TEST_TIMEOUT));
    assert!(errors.try_recv().is_err(), "the error is reported once");
}

#[test]
fn journal_in_read_only_folder_is_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fs::write(&path, journal_bytes()).unwrap();
    for (path, mode) in [(path.as_path(), 0o400), (folder.path(), 0o500)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let reader = JournalReader::open(&path).unwrap().unwrap();
    assert_eq!(reader.stats().unwrap().entries, 900);
    // Root can write to the folder in spite of its mode. So the test also opens the file as `JournalReader::open` does
    // on a read-only disk.
    let (db, version) = JournalReader::open_read_only(&path, "mode=ro&immutable=1").unwrap();
    assert_eq!((version, db.is_readonly("main")), (Some(SCHEMA_VERSION), Ok(true)));
    // The mode must allow the deletion of the temporary folder.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn writes_without_wal_are_synced() {
    use crate::store::journal::batch::{Batch, JournalMessage};
    use crate::store::journal::database::{JournalDatabase, QueuedRows, WriteOutcome};
    use crate::store::journal::handle::JournalQueueState;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fs::write(&path, "").unwrap();
    for use_wal in [false, true, false] {
        let mut database = JournalDatabase::open_prepared(path.clone(), use_wal).unwrap();
        let pragma = |name| -> String {
            let value =
                database.db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
            format!("{:?}", value.unwrap())
        };
        // `synchronous` 1 is NORMAL, 2 is FULL. `auto_vacuum` 2 is INCREMENTAL.
        let (mode, synchronous) =
            if use_wal { ("Text(\"wal\")", "Integer(1)") } else { ("Text(\"delete\")", "Integer(2)") };
        assert_eq!((pragma("journal_mode").as_str(), pragma("synchronous").as_str()), (mode, synchronous));
        assert_eq!(pragma("auto_vacuum"), "Integer(2)");
        let mut batch = Batch::<Value, Value>::new();
        for message in [
            JournalMessage::BeginSegment { segment: segment(run_id(1), time("12:00:00")), clears: 0 },
            JournalMessage::Entry(entry(0, time("12:00:01"))),
        ] {
            batch.add(message, &JournalQueueState::default());
        }
        let outcome = database.write(&batch, &QueuedRows::default(), &mut None, true, |_| false);
        assert!(matches!(outcome, Ok(WriteOutcome::Written { has_lost_entries: false, .. })), "{outcome:?}");
        let has_companions = file::is_open_elsewhere(&path);
        assert_eq!(has_companions, use_wal, "only an open WAL has companions");
    }
    assert_eq!(JournalReader::open(&path).unwrap().unwrap().stats().unwrap().entries, 3);
}

/// A disk of 40 pages, 160 kB, has space for the first large entry, but not for two more.
#[test]
fn full_disk_is_reported_once() {
    let options = JournalOptions { max_pages: Some(40), ..JournalOptions::new(noon_clock()) };
    let mut harness = TestJournal::open(tempfile::tempdir().unwrap(), options);
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    let large = |seq| JournalEntry { body: json!("x".repeat(50_000)), ..entry(seq, time("12:00:01")) };
    let _ = harness.journal().write_entry(large(0));
    assert!(harness.flush());
    let _ = harness.journal().write_entry(large(1));
    let _ = harness.journal().write_entry(large(2));
    assert!(!harness.flush() && !harness.flush());
    assert_eq!(harness.next_error(), JournalError::Full);
    assert!(harness.errors.try_recv().is_err());
    assert_eq!(harness.reader().stats().unwrap().entries, 1, "a batch is atomic");
    clear(&harness.path(), time("12:00:05")).unwrap();
    assert!(harness.flush());
    assert_eq!(harness.next_error(), JournalError::Recovered);
    assert_writes_again(&mut harness);
}

/// The disk is as full as in [`full_disk_is_reported_once`].
#[test]
fn write_is_retried_after_backoff() {
    let clock = noon_clock();
    let options = JournalOptions { max_pages: Some(40), ..JournalOptions::new(clock.clone()) };
    let mut harness = TestJournal::open(tempfile::tempdir().unwrap(), options);
    let large = |seq| JournalEntry { body: json!("x".repeat(50_000)), ..entry(seq, time("12:00:01")) };
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    let _ = harness.journal().write_entry(large(0));
    assert!(harness.flush());
    let _ = harness.journal().write_entry(large(1));
    let _ = harness.journal().write_entry(large(2));
    assert_eq!(harness.next_error(), JournalError::Full);
    clear(&harness.path(), time("12:00:05")).unwrap();
    // No flush is needed: the first message after the backoff of one second triggers the retry.
    clock.advance(Duration::from_secs(2));
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:02")));
    assert_eq!(harness.next_error(), JournalError::Recovered);
}

/// A body whose serialisation advances the clock by this time.
struct SlowBody(Clock, Duration);

impl Serialize for SlowBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.advance(self.1);
        serializer.serialize_unit()
    }
}

#[test]
fn slow_disk_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, errors) = channel();
    let clock = noon_clock();
    let mut journal: Journal<SlowBody> =
        Journal::spawn(folder.path().join("j.sqlite"), JournalOptions::new(clock.clone()), move |error| {
            sender.send(error).unwrap();
        });
    let _ = journal.begin_segment(segment(run_id(1), time("12:00:00")));
    // A write of 1 s or more is slow. The disk has recovered once a write takes less than 0.5 s.
    for (seq, ms) in [(0, 2000), (1, 3000), (2, 700), (3, 10)] {
        let body = SlowBody(clock.clone(), Duration::from_millis(ms));
        let entry = JournalEntry {
            seq,
            at: time("12:00:01"),
            body,
            estimated_size: 1,
            sessions: Vec::new(),
            projects: Vec::new(),
        };
        assert_eq!(journal.write_entry(entry), SendResult::Queued);
        assert!(journal.flush(TEST_TIMEOUT));
    }
    drop(journal);
    let errors: Vec<JournalError> = errors.iter().collect();
    assert_eq!(errors, [JournalError::Slow { took: Duration::from_secs(2) }, JournalError::Recovered]);
}

#[test]
fn locked_file_blocks_neither_sender_nor_close() {
    let mut harness = TestJournal::start(noon_clock()); // this clock stands still, so no write counts as slow
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    assert!(harness.flush());
    let other = Connection::open(harness.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The queue fills while the writer waits for the lock. Then entries are dropped.
    let mut queued = 0;
    while harness.journal().write_entry(entry(queued, time("12:00:01"))) == SendResult::Queued {
        queued += 1;
    }
    assert!((10_000..=MAX_QUEUED as u64).contains(&queued), "{queued}");
    assert!(!harness.journal().has_room());
    assert_eq!(harness.journal().begin_segment(segment(run_id(1), time("12:00:02"))), SendResult::Dropped);
    assert_eq!(harness.next_error(), JournalError::Locked);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(harness.flush());
    assert_eq!(harness.next_error(), JournalError::Recovered);
    assert_eq!(harness.reader().stats().unwrap().entries, queued, "every queued entry is written");
    assert_eq!(
        harness.journal().write_entry(entry(queued, time("12:00:03"))),
        SendResult::Dropped,
        "the segment stays closed"
    );
    assert_eq!(harness.journal().begin_segment(segment(run_id(1), time("12:00:03"))), SendResult::Queued);

    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    harness.write_entries(0..10, time("12:00:03"));
    assert!(
        harness.journal.take().unwrap().close(Duration::ZERO).entries >= 10,
        "unwritten entries are counted"
    );
}

#[test]
fn rejected_file_counts_no_unwritten_entries() {
    let folder = tempfile::tempdir().unwrap();
    // A folder in the place of the file.
    std::fs::create_dir_all(folder.path().join("state/keepwatch/journal.sqlite")).unwrap();
    let mut harness = TestJournal::open(folder, JournalOptions::new(Clock::system()));
    // The segment is queued, or dropped if the thread has ended already.
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    assert!(harness.next_error().is_final());
    assert_eq!(harness.journal.take().unwrap().close(TEST_TIMEOUT), Unwritten::default());
}

/// A body whose serialisation blocks until the lock is free.
struct BlockedBody(std::sync::Arc<std::sync::Mutex<()>>);

impl Serialize for BlockedBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        drop(self.0.lock());
        serializer.serialize_unit()
    }
}

#[test]
fn stuck_disk_delays_drop_by_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.sqlite");
    let mut journal: Journal<BlockedBody> =
        Journal::spawn(path.clone(), JournalOptions::new(Clock::system()), |_| {});
    let _ = journal.begin_segment(segment(run_id(1), time("12:00:00")));
    let gate = std::sync::Arc::new(std::sync::Mutex::new(()));
    let gate_guard = gate.lock().unwrap();
    let entry = JournalEntry {
        seq: 0,
        at: time("12:00:01"),
        body: BlockedBody(gate.clone()),
        estimated_size: 1,
        sessions: Vec::new(),
        projects: Vec::new(),
    };
    assert_eq!(journal.write_entry(entry), SendResult::Queued);
    // The flush starts the write at once, and the write blocks.
    assert!(!journal.flush(Duration::from_millis(1)));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let clock = Clock::system(); // its monotonic time starts at zero
        drop(journal);
        sender.send(clock.now().mono)
    });
    let took = receiver.recv_timeout(TEST_TIMEOUT).unwrap();
    assert!(took >= Duration::from_millis(500), "{took:?}");
    drop(gate_guard);
}

#[test]
fn queue_is_bounded_by_bytes() {
    let mut harness = TestJournal::start(Clock::system());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    assert!(harness.flush());
    let other = Connection::open(harness.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let large = |seq| JournalEntry { estimated_size: 5_000_000, ..entry(seq, time("12:00:01")) };
    let queued =
        (0..100).take_while(|seq| harness.journal().write_entry(large(*seq)) == SendResult::Queued).count();
    // Six entries have 30 MB. The seventh is the last, because it may exceed the limit.
    assert_eq!(queued, 7, "the queue is full at 32 MiB");
    other.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn deleted_file_is_recreated() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..5, time("12:00:01"));
    assert!(harness.flush());
    fs::remove_dir_all(harness.path().parent().unwrap()).unwrap();
    harness.write_entries(5..6, time("12:00:02"));
    assert!(harness.flush());
    assert_eq!(harness.journal().write_entry(entry(6, time("12:00:03"))), SendResult::Dropped);
    assert_writes_again(&mut harness);
}

#[test]
fn history_reports_unreadable_entry() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..3, time("12:00:01"));
    harness.shut_down();
    let db = Connection::open(harness.path()).unwrap();
    // The last entry is not UTF-8.
    db.execute(
        "UPDATE entry SET body = CAST(x'ff' AS TEXT) WHERE place = (SELECT max(place) FROM entry)",
        [],
    )
    .unwrap();
    drop(db);
    let scope = HistoryScope::Sessions(vec![id("s-1")]);
    let result = history::read_inputs(&harness.reader(), &[HistoryQuery::all(&scope)], moment(0), drop);
    assert!(matches!(result, Err(JournalError::Other { .. })), "{result:?}");
}
