//! What can be wrong with the disk, the file, or another process: nothing blocks, and each is told once.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;
use serde::{Serialize, Serializer};

use super::*;
use crate::store::journal::handle::MAX_QUEUED;

/// A file in the place of the journal, and what comes of it.
fn journal_over_file(bytes: &[u8]) -> TestJournal {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/keepwatch/journal.sqlite");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    TestJournal::open(folder, JournalOptions::new(noon()))
}

/// The bytes of a journal with some entries.
fn journal_bytes() -> Vec<u8> {
    let mut kept = TestJournal::start(noon());
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    kept.write(0, 900, t("12:00:01"));
    let _ = kept.journal().write_summary(summary("s-1", run(1), t("12:00:01")));
    kept.shut_down();
    fs::read(kept.path()).unwrap()
}

/// The same with something else in its header.
fn journal_with_pragma(pragma: &str, value: i64) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it");
    fs::write(&path, journal_bytes()).unwrap();
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, pragma, value).unwrap();
    drop(db);
    fs::read(&path).unwrap()
}

fn assert_writes_again(kept: &mut TestJournal) {
    assert_eq!(kept.journal().begin_segment(segment(run(9), t("12:00:00"))), SendResult::Queued);
    kept.write(0, 3, t("12:00:01"));
    assert!(kept.flush());
    let sizes = kept.reader().stats().unwrap();
    assert_eq!((sizes.segments, sizes.entries), (1, 3));
}

#[test]
fn a_damaged_file_is_moved_aside_and_a_new_one_begun() {
    let sound = journal_bytes();
    let mut torn = sound.clone();
    torn.truncate(sound.len() / 2);
    for bytes in [torn, b"garbage ".repeat(1000), vec![0; 8192]] {
        let mut kept = journal_over_file(&bytes);
        let aside = kept.path().with_file_name("journal.sqlite.damaged-20261122-120000");
        let told = kept.next_error();
        assert_eq!(told, JournalError::Damaged { aside: Some(aside.clone()) });
        assert!(told.to_string().contains("journal.sqlite.damaged-20261122-120000"));
        assert_eq!(fs::read(&aside).unwrap(), bytes, "nothing of it is lost");
        assert_eq!(damaged_files(&kept.path()), [aside]);
        assert_writes_again(&mut kept);
        assert!(kept.errors.try_recv().is_err());
    }
}

#[test]
fn of_two_that_find_it_damaged_one_moves_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fs::write(&path, "damaged").unwrap();
    let damaged_one = crate::private_file::FileId::at(&path).unwrap();
    let aside = file::move_aside(&path, damaged_one, t("12:00:00")).unwrap().unwrap();
    fs::write(&path, "sound").unwrap();
    assert_eq!(file::move_aside(&path, damaged_one, t("12:00:00")).unwrap(), None);
    assert_eq!((fs::read(path).unwrap(), fs::read(aside).unwrap()), (b"sound".into(), b"damaged".into()));
}

#[test]
fn damage_that_shows_in_the_middle_of_writing_ends_the_segment() {
    let mut kept = TestJournal::start(noon());
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    kept.write(0, 900, t("12:00:01"));
    let _ = kept.journal().write_summary(summary("s-1", run(1), t("12:00:01")));
    // The second answer comes after the first pruning, which would be in the way of the checkpoint.
    assert!(kept.flush() && kept.flush());
    // Every page but the first becomes garbage, in the file and in its log.
    let db = Connection::open(kept.path()).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut bytes = fs::read(kept.path()).unwrap();
    bytes[4096..].fill(0xAA);
    fs::write(kept.path(), bytes).unwrap();
    // Another's change makes the writer forget the pages that it remembers.
    db.execute_batch("PRAGMA user_version = 1").unwrap();
    drop(db);
    kept.write(900, 901, t("12:00:02"));
    assert!(kept.flush());
    assert!(matches!(kept.next_error(), JournalError::Damaged { aside: Some(_) }));
    assert_eq!(kept.journal().write_entry(entry(901, t("12:00:03"))), SendResult::Dropped);
    assert_writes_again(&mut kept);
}

#[test]
fn a_file_that_is_not_ours_to_write_is_left_as_it_is() {
    let newer = journal_with_pragma("user_version", 7);
    let foreign = journal_with_pragma("application_id", 1);
    let refused = |why| JournalError::FileRejected { reason: why };
    for (bytes, told) in [
        (newer, JournalError::NewerSchema { version: 7 }),
        (foreign, refused("its file is another program's database")),
    ] {
        let mut kept = journal_over_file(&bytes);
        assert_eq!(kept.next_error(), told);
        assert!(!kept.flush());
        assert!(!kept.journal().has_room());
        assert_eq!(kept.journal().begin_segment(segment(run(1), t("12:00:00"))), SendResult::Dropped);
        assert_eq!(JournalReader::open(&kept.path()).err(), Some(told));
        assert!(clear(&kept.path()).is_err());
        kept.shut_down();
        assert_eq!(fs::read(kept.path()).unwrap(), bytes);
        assert_eq!(fs::read_dir(kept.path().parent().unwrap()).unwrap().count(), 1);
    }
}

#[test]
fn a_link_a_folder_and_somebodys_notes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str| {
        let (tell, told) = channel();
        let path = folder.path().join(name);
        let journal =
            Journal::<Value>::spawn(path, JournalOptions::new(noon()), move |it| tell.send(it).unwrap());
        let told: JournalError = told.recv_timeout(TEST_TIMEOUT).unwrap();
        drop(journal);
        told.to_string()
    };
    let target = folder.path().join("target");
    std::os::unix::fs::symlink(&target, folder.path().join("link.sqlite")).unwrap();
    assert!(told("link.sqlite").contains("symbolic link"));
    assert!(!target.exists());
    fs::create_dir(folder.path().join("folder.sqlite")).unwrap();
    assert!(told("folder.sqlite").contains("no file"));
    fs::write(folder.path().join("notes.txt"), "milk, eggs").unwrap();
    assert!(told("notes.txt").contains("no journal"));
    assert_eq!(fs::read(folder.path().join("notes.txt")).unwrap(), b"milk, eggs");
    let strangers = folder.path().join("stranger.sqlite");
    fs::write(&strangers, "").unwrap();
    if std::os::unix::fs::chown(&strangers, Some(12345), None).is_ok() {
        assert!(told("stranger.sqlite").contains("another user's"));
    }
}

/// A folder that this process may not write to; root may write to nearly all.
fn read_only_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let here = folder.path().to_owned();
    let path = if fs::create_dir(here.join("probe")).is_ok() { "/sys/keepwatch".into() } else { here };
    (folder, path)
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_is_read_only_is_told_of_and_costs_nothing_else() {
    let (_folder, path) = read_only_folder();
    let (tell, told) = channel();
    let path = path.join("keepwatch/journal.sqlite");
    let mut journal =
        Journal::<Value>::spawn(path, JournalOptions::new(noon()), move |it| tell.send(it).unwrap());
    assert_eq!(told.recv_timeout(TEST_TIMEOUT), Ok(JournalError::ReadOnly));
    assert!(!journal.flush(TEST_TIMEOUT));
    assert_eq!(journal.begin_segment(segment(run(1), t("12:00:00"))), SendResult::Queued);
    assert_eq!(journal.write_entry(entry(0, t("12:00:00"))), SendResult::Queued);
    assert!(!journal.flush(TEST_TIMEOUT) && !journal.flush(TEST_TIMEOUT));
    assert!(told.try_recv().is_err(), "it is told once");
}

#[test]
fn a_journal_on_a_disk_that_is_only_to_be_read_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fs::write(&path, journal_bytes()).unwrap();
    for (path, mode) in [(path.as_path(), 0o400), (folder.path(), 0o500)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let reader = JournalReader::open(&path).unwrap().unwrap();
    assert_eq!(reader.stats().unwrap().entries, 900);
    let (db, version) = JournalReader::open_read_only(&path, "mode=ro&immutable=1").unwrap();
    assert_eq!((version, db.is_readonly("main")), (Some(SCHEMA_VERSION), Ok(true)));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn where_a_log_can_not_be_used_each_write_is_forced_to_the_disk() {
    use crate::store::journal::batch::{Batch, JournalMessage};
    use crate::store::journal::database::JournalDatabase;
    use crate::store::journal::handle::JournalQueueState;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    fs::write(&path, "").unwrap();
    for log in [false, true, false] {
        let mut store = JournalDatabase::open_prepared(path.clone(), log).unwrap();
        let pragma = |name| -> String {
            let found =
                store.db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0));
            format!("{:?}", found.unwrap())
        };
        let (mode, force) =
            if log { ("Text(\"wal\")", "Integer(1)") } else { ("Text(\"delete\")", "Integer(2)") };
        assert_eq!((pragma("journal_mode").as_str(), pragma("synchronous").as_str()), (mode, force));
        assert_eq!(pragma("auto_vacuum"), "Integer(2)");
        let mut batch = Batch::<Value, Value>::new();
        for message in [
            JournalMessage::BeginSegment(segment(run(1), t("12:00:00"))),
            JournalMessage::Entry(entry(0, t("12:00:01"))),
        ] {
            batch.add(message, &JournalQueueState::default());
        }
        assert_eq!(store.write(&batch, &mut None, true), Ok(false));
        assert_eq!(file::is_open_elsewhere(&path), log, "there is a log, or none");
    }
    assert_eq!(JournalReader::open(&path).unwrap().unwrap().stats().unwrap().entries, 3);
}

#[test]
fn a_full_disk_is_told_of_once_and_so_is_its_end() {
    let options = JournalOptions { max_pages: Some(40), ..JournalOptions::new(noon()) };
    let mut kept = TestJournal::open(tempfile::tempdir().unwrap(), options);
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    let large = |seq| JournalEntry { body: json!("x".repeat(50_000)), ..entry(seq, t("12:00:01")) };
    let _ = kept.journal().write_entry(large(0));
    assert!(kept.flush());
    let _ = kept.journal().write_entry(large(1));
    let _ = kept.journal().write_entry(large(2));
    assert!(!kept.flush() && !kept.flush());
    assert_eq!(kept.next_error(), JournalError::Full);
    assert!(kept.errors.try_recv().is_err());
    assert_eq!(kept.reader().stats().unwrap().entries, 1, "all of a batch, or nothing");
    clear(&kept.path()).unwrap();
    assert!(kept.flush());
    assert_eq!(kept.next_error(), JournalError::Recovered);
    assert_writes_again(&mut kept);
}

#[test]
fn after_a_failure_it_is_tried_again_with_what_comes_after_a_rest() {
    let clock = noon();
    let options = JournalOptions { max_pages: Some(40), ..JournalOptions::new(clock.clone()) };
    let mut kept = TestJournal::open(tempfile::tempdir().unwrap(), options);
    let large = |seq| JournalEntry { body: json!("x".repeat(50_000)), ..entry(seq, t("12:00:01")) };
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    let _ = kept.journal().write_entry(large(0));
    assert!(kept.flush());
    let _ = kept.journal().write_entry(large(1));
    let _ = kept.journal().write_entry(large(2));
    assert_eq!(kept.next_error(), JournalError::Full);
    clear(&kept.path()).unwrap();
    // Nobody asks: the next thing that is sent after the rest makes it try again.
    clock.advance(Duration::from_secs(2));
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:02")));
    assert_eq!(kept.next_error(), JournalError::Recovered);
}

/// A body that takes a while to write.
struct SlowBody(Clock, Duration);

impl Serialize for SlowBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.advance(self.1);
        serializer.serialize_unit()
    }
}

#[test]
fn a_slow_disk_is_told_of_once_and_so_is_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let clock = noon();
    let mut journal: Journal<SlowBody> =
        Journal::spawn(folder.path().join("j.sqlite"), JournalOptions::new(clock.clone()), move |it| {
            tell.send(it).unwrap();
        });
    let _ = journal.begin_segment(segment(run(1), t("12:00:00")));
    for (seq, ms) in [(0, 2000), (1, 3000), (2, 700), (3, 10)] {
        let body = SlowBody(clock.clone(), Duration::from_millis(ms));
        let entry = entry(seq, t("12:00:01"));
        let entry = JournalEntry {
            seq,
            at: entry.at,
            body,
            estimated_size: 1,
            mentions: Vec::new(),
            projects: Vec::new(),
        };
        assert_eq!(journal.write_entry(entry), SendResult::Queued);
        assert!(journal.flush(TEST_TIMEOUT));
    }
    drop(journal);
    let told: Vec<JournalError> = told.iter().collect();
    assert_eq!(told, [JournalError::Slow { took: Duration::from_secs(2) }, JournalError::Recovered]);
}

#[test]
fn a_file_that_stays_locked_blocks_neither_the_sender_nor_the_end() {
    let mut kept = TestJournal::start(noon()); // no time passes, so nothing counts as slow
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    assert!(kept.flush());
    let other = Connection::open(kept.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // All of this while the writer waits for the lock; what does not fit is dropped.
    let mut taken = 0;
    while kept.journal().write_entry(entry(taken, t("12:00:01"))) == SendResult::Queued {
        taken += 1;
    }
    assert!((10_000..=MAX_QUEUED as u64).contains(&taken), "{taken}");
    assert!(!kept.journal().has_room());
    assert_eq!(kept.journal().begin_segment(segment(run(1), t("12:00:02"))), SendResult::Dropped);
    assert_eq!(kept.next_error(), JournalError::Locked);
    other.execute_batch("ROLLBACK").unwrap();
    assert!(kept.flush());
    assert_eq!(kept.next_error(), JournalError::Recovered);
    assert_eq!(kept.reader().stats().unwrap().entries, taken, "what was taken is written");
    assert_eq!(
        kept.journal().write_entry(entry(taken, t("12:00:03"))),
        SendResult::Dropped,
        "a hole stays one"
    );
    assert_eq!(kept.journal().begin_segment(segment(run(1), t("12:00:03"))), SendResult::Queued);

    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    kept.write(0, 10, t("12:00:03"));
    assert!(kept.journal.take().unwrap().close() >= 10, "what is not written is told");
}

#[test]
fn what_a_file_that_is_left_alone_did_not_take_is_not_missed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("state/keepwatch/journal.sqlite")).unwrap();
    let mut kept = TestJournal::open(folder, JournalOptions::new(Clock::system()));
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00"))); // taken, unless the thread was quicker
    assert!(kept.next_error().is_final());
    assert_eq!(kept.journal.take().unwrap().close(), 0);
}

/// A body that can not be written before somebody says so.
struct BlockedBody(std::sync::Arc<std::sync::Mutex<()>>);

impl Serialize for BlockedBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        drop(self.0.lock());
        serializer.serialize_unit()
    }
}

#[test]
fn a_disk_that_stands_still_holds_up_the_end_for_half_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.sqlite");
    let mut journal: Journal<BlockedBody> =
        Journal::spawn(path.clone(), JournalOptions::new(Clock::system()), |_| {});
    let _ = journal.begin_segment(segment(run(1), t("12:00:00")));
    let gate = std::sync::Arc::new(std::sync::Mutex::new(()));
    let standing = gate.lock().unwrap();
    let JournalEntry { seq, at, estimated_size, mentions, projects, .. } = entry(0, t("12:00:01"));
    assert_eq!(
        journal.write_entry(JournalEntry {
            seq,
            at,
            estimated_size,
            mentions,
            projects,
            body: BlockedBody(gate.clone())
        }),
        SendResult::Queued
    );
    assert!(!journal.flush(Duration::from_millis(1)));
    let (ended, end) = channel();
    std::thread::spawn(move || {
        let clock = Clock::system();
        drop(journal);
        ended.send(clock.now().mono)
    });
    let took = end.recv_timeout(TEST_TIMEOUT).unwrap();
    assert!(took >= Duration::from_millis(500), "{took:?}");
    drop(standing);
}

#[test]
fn large_entries_do_not_fill_the_memory() {
    let mut kept = TestJournal::start(Clock::system());
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    assert!(kept.flush());
    let other = Connection::open(kept.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let heavy = |seq| JournalEntry { estimated_size: 5_000_000, ..entry(seq, t("12:00:01")) };
    let taken =
        (0..100).take_while(|seq| kept.journal().write_entry(heavy(*seq)) == SendResult::Queued).count();
    assert_eq!(taken, 6);
    other.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn a_file_that_is_deleted_while_it_is_written_is_begun_anew() {
    let mut kept = TestJournal::start(noon());
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    kept.write(0, 5, t("12:00:01"));
    assert!(kept.flush());
    fs::remove_dir_all(kept.path().parent().unwrap()).unwrap();
    kept.write(5, 6, t("12:00:02"));
    assert!(kept.flush());
    assert_eq!(kept.journal().write_entry(entry(6, t("12:00:03"))), SendResult::Dropped);
    assert_writes_again(&mut kept);
}
