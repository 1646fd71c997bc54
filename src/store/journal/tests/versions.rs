//! A file of every version of the schema that ever shipped, opened with this one. `tests/fixtures/journal-v1.sqlite` and its
//! like are never changed; a new version's is written by
//!
//! ```sh
//! cargo test --locked --lib -- --ignored journal::tests::versions::writes
//! ```

use std::fs;

use rusqlite::Connection;

use super::super::database::JournalDatabase;
use super::super::schema;
use super::*;

fn fixture(version: i64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/journal-v{version}.sqlite"))
}

/// What each of them has, as far as its version could.
fn fill(kept: &mut TestJournal) {
    for (number, at) in [(1, "11:00:00"), (2, "12:00:00")] {
        assert_eq!(kept.journal().begin_segment(segment(run(number), t(at))), SendResult::Queued);
        kept.write(0, 5, t(at));
        let _ = kept.journal().write_summary(summary("s-1", run(number), t(at)));
    }
    let bare = SessionSummary {
        profile: None,
        project: None,
        owner: None,
        status: None,
        region: None,
        keep_alive: None,
        context: None,
        created: None,
        started: None,
        ended: None,
        is_end_exact: false,
        proxy_bytes: None,
        verdict: None,
        metadata: None,
        ..summary("s-2", run(2), t("12:00:00"))
    };
    let _ = kept.journal().write_summary(bare);
    assert!(kept.flush());
}

/// All that a reader gets.
fn read_all(
    reader: &JournalReader,
) -> (Vec<super::super::StoredSegment>, Vec<StoredEntry>, Vec<SessionSummary>, Vec<usize>) {
    let start = t("00:00:00");
    let segments = reader.segments(start, SegmentFilter::All).unwrap();
    let lines = segments.iter().flat_map(|it| reader.entries(it.id)).map(Result::unwrap).collect();
    let count = |of: SegmentFilter<'_>| reader.segments(start, of).unwrap().len();
    let found = vec![
        count(SegmentFilter::Sessions(&[id("s-1")])),
        count(SegmentFilter::Projects(&[Untrusted::new("p-1")])),
    ];
    (segments, lines, reader.summaries(start).unwrap(), found)
}

#[test]
fn a_file_of_every_version_that_shipped_is_read_and_goes_on_being_written() {
    let mut fresh = TestJournal::start(noon());
    fill(&mut fresh);
    let expected = read_all(&fresh.reader());
    for version in 1..=SCHEMA_VERSION {
        let copy = || {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state/keepwatch/journal.sqlite");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, fs::read(fixture(version)).unwrap()).unwrap();
            (folder, path)
        };
        // A reader alone brings it to this version, too.
        let (folder, path) = copy();
        assert_eq!(read_all(&JournalReader::open(&path).unwrap().unwrap()), expected, "version {version}");
        drop(folder);
        let mut kept = TestJournal::open(copy().0, JournalOptions::new(noon()));
        assert!(kept.flush());
        assert_eq!(read_all(&kept.reader()), expected, "version {version}");
        let db = rusqlite::Connection::open(kept.path()).unwrap();
        let now: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(now, SCHEMA_VERSION);
        assert_eq!(kept.journal().begin_segment(segment(run(3), t("13:00:00"))), SendResult::Queued);
        kept.write(0, 1, t("13:00:00"));
        assert!(kept.flush());
        assert_eq!(kept.reader().stats().unwrap().entries, 11);
    }
    assert!(!fixture(SCHEMA_VERSION.saturating_add(1)).exists(), "VERSION says that it did not ship");
}

#[test]
#[ignore = "writes the fixture of a new version"]
fn writes_the_fixture_of_this_version() {
    let mut kept = TestJournal::start(noon());
    fill(&mut kept);
    let _ = kept.journal().begin_segment(segment(run(9), t("12:00:01")));
    kept.shut_down();
    // As a run that was killed leaves it: its last segment has no end.
    let db = rusqlite::Connection::open(kept.path()).unwrap();
    db.execute_batch("DELETE FROM segment WHERE id = 3; UPDATE segment SET finished = 0 WHERE id = 2")
        .unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM").unwrap();
    drop(db);
    assert!(!fixture(SCHEMA_VERSION).exists(), "a version that shipped is never changed");
    fs::create_dir_all(fixture(SCHEMA_VERSION).parent().unwrap()).unwrap();
    fs::write(fixture(SCHEMA_VERSION), fs::read(kept.path()).unwrap()).unwrap();
}

#[test]
fn those_that_open_it_for_the_first_time_at_once_agree_on_what_it_is() {
    for _ in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let together = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    let opened = JournalDatabase::open(&path).map(|_| ());
                    assert!(matches!(opened, Ok(()) | Err(JournalError::Locked)), "{opened:?}");
                });
            }
        });
        assert_eq!(schema::version(&Connection::open(&path).unwrap()), Ok(Some(SCHEMA_VERSION)));
    }
}
