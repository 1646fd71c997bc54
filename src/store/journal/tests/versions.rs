//! Opens a journal of every schema version that shipped. Each version has a file, such as
//! `tests/fixtures/journal-v1.sqlite`, which never changes. This command writes the file of a new version:
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

/// Writes the data that every fixture has.
fn fill(harness: &mut TestJournal) {
    for (number, at) in [(1, "11:00:00"), (2, "12:00:00")] {
        assert_eq!(harness.journal().begin_segment(segment(run_id(number), time(at))), SendResult::Queued);
        harness.write_entries(0..5, time(at));
        let _ = harness.journal().write_summary(summary("s-1", run_id(number), time(at)));
    }
    let sparse = SessionSummary {
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
        ..summary("s-2", run_id(2), time("12:00:00"))
    };
    let _ = harness.journal().write_summary(sparse);
    assert!(harness.flush());
}

/// Returns the alert that the fixtures have from version 3 on.
fn fixture_alert() -> StoredAlert {
    alerts::alert("s-1", time("12:00:00"), Some(time("12:00:02")))
}

/// Returns everything that a reader can read, except alerts: the segments, the entries, the summaries, and two numbers: of the
/// segments that mention the session `s-1`, and of the segments that mention the project `p-1`.
fn read_all(
    reader: &JournalReader,
) -> (Vec<super::super::StoredSegment>, Vec<StoredEntry>, Vec<SessionSummary>, Vec<usize>) {
    let start = time("00:00:00");
    let segments = reader.segments(start, SegmentFilter::All).unwrap();
    let entries =
        segments.iter().flat_map(|segment| reader.entries(segment.id)).map(Result::unwrap).collect();
    let count = |filter: SegmentFilter<'_>| reader.segments(start, filter).unwrap().len();
    let counts = vec![
        count(SegmentFilter::Sessions(&[id("s-1")])),
        count(SegmentFilter::Projects(&[Untrusted::new("p-1")])),
    ];
    (segments, entries, reader.summaries(start).unwrap(), counts)
}

#[test]
fn every_shipped_version_still_opens() {
    let mut fresh = TestJournal::start(noon_clock());
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
        // A reader upgrades an old file, as a writer does.
        let (folder, path) = copy();
        assert_eq!(read_all(&JournalReader::open(&path).unwrap().unwrap()), expected, "version {version}");
        drop(folder);
        let mut harness = TestJournal::open(copy().0, JournalOptions::new(noon_clock()));
        assert!(harness.flush());
        assert_eq!(read_all(&harness.reader()), expected, "version {version}");
        let expected_alerts = if version >= 3 { vec![fixture_alert()] } else { Vec::new() };
        assert_eq!(harness.reader().alerts("api.example").unwrap(), expected_alerts, "version {version}");
        let db = rusqlite::Connection::open(harness.path()).unwrap();
        let upgraded: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(upgraded, SCHEMA_VERSION);
        assert_eq!(harness.journal().begin_segment(segment(run_id(3), time("13:00:00"))), SendResult::Queued);
        harness.write_entries(0..1, time("13:00:00"));
        assert!(harness.flush());
        assert_eq!(harness.reader().stats().unwrap().entries, 11, "ten old entries and the new one");
    }
    assert!(!fixture(SCHEMA_VERSION.saturating_add(1)).exists(), "no fixture is newer than SCHEMA_VERSION");
}

#[test]
#[ignore = "writes the fixture of a new version"]
fn writes_fixture_of_this_version() {
    let mut harness = TestJournal::start(noon_clock());
    fill(&mut harness);
    let _ = harness.journal().write_alert(fixture_alert());
    let _ = harness.journal().begin_segment(segment(run_id(9), time("12:00:01")));
    harness.shut_down();
    // The fixture looks as if keepwatch had been killed while it wrote segment 2: that segment is unfinished, and there
    // is no segment 3.
    let db = rusqlite::Connection::open(harness.path()).unwrap();
    db.execute_batch("DELETE FROM segment WHERE id = 3; UPDATE segment SET finished = 0 WHERE id = 2")
        .unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM").unwrap();
    drop(db);
    assert!(!fixture(SCHEMA_VERSION).exists(), "a shipped version never changes");
    fs::create_dir_all(fixture(SCHEMA_VERSION).parent().unwrap()).unwrap();
    fs::write(fixture(SCHEMA_VERSION), fs::read(harness.path()).unwrap()).unwrap();
}

#[test]
fn concurrent_first_opens_agree_on_schema() {
    for _ in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let barrier = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    let result = JournalDatabase::open(&path).map(|_| ());
                    assert!(matches!(result, Ok(()) | Err(JournalError::Locked)), "{result:?}");
                });
            }
        });
        assert_eq!(schema::version(&Connection::open(&path).unwrap()), Ok(Some(SCHEMA_VERSION)));
    }
}
