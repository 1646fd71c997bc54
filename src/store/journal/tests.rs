//! Tests of the journal, and the harness and builders of its other tests.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use keepwatch_core::clock::{Clock, Moment, Timestamp, saturating_add};
use keepwatch_core::session::{Metadata, Region, Status};
use keepwatch_core::testing::{id, moment, time};
use keepwatch_core::text::Untrusted;

mod alerts;
mod deletions;
mod failures;
mod versions;

/// Longer than any step takes on a busy machine. Only a failing test waits this long.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn run_id(number: u64) -> RunId {
    RunId::new(time("12:00:00"), number)
}

fn noon_clock() -> Clock {
    Clock::scripted(moment(0))
}

fn segment(run: RunId, at: Timestamp) -> Segment<Value> {
    let header = json!({ "v": 1 });
    Segment {
        run,
        started: at,
        profile: Some("staging".into()),
        host: "api.example".into(),
        header,
        estimated_size: 100,
    }
}

/// Returns an entry that mentions the project `p-1`, and the sessions `s-1` and `s-{seq}`.
fn entry(seq: u64, at: Timestamp) -> JournalEntry<Value> {
    JournalEntry {
        seq,
        at,
        body: json!({ "n": seq }),
        estimated_size: 100,
        sessions: vec![id("s-1"), id(&format!("s-{seq}"))],
        projects: vec![Untrusted::new("p-1")],
    }
}

pub(super) fn summary(session: &str, run: RunId, last_seen: Timestamp) -> SessionSummary {
    SessionSummary {
        session: id(session),
        run,
        profile: Some("staging".into()),
        host: "api.example".into(),
        project: Some(Untrusted::new("p-1")),
        owner: Some(Untrusted::new("nightly")),
        status: Some(Status::Completed),
        region: Some(Region::from_api("mars-1")),
        keep_alive: Some(true),
        context: Some(Untrusted::new("ctx-1")),
        created: Some(time("11:00:00")),
        started: Some(time("11:00:00.123")),
        ended: Some(time("11:30:00")),
        is_end_exact: true,
        expires: None,
        first_seen: time("11:00:03"),
        last_seen,
        watched: Duration::from_millis(1_795_500),
        responses: 600,
        proxy_bytes: Some(18_200_000),
        verdict: Some(StoredVerdict {
            name: "gone".into(),
            confidence: "perhaps".into(),
            sentence: Untrusted::new("aged out"),
        }),
        metadata: Some(Metadata::new(r#"{"name":"nightly"}"#)),
    }
}

/// A journal in a temporary folder, and the errors that it reports.
struct TestJournal {
    folder: tempfile::TempDir,
    errors: Receiver<JournalError>,
    journal: Option<Journal<Value>>,
}

impl TestJournal {
    fn start(clock: Clock) -> Self {
        Self::open(tempfile::tempdir().unwrap(), JournalOptions::new(clock))
    }

    fn open(folder: tempfile::TempDir, options: JournalOptions) -> Self {
        let (sender, errors) = channel();
        let path = folder.path().join("state/keepwatch/journal.sqlite");
        let journal = Journal::spawn(path, options, move |error| {
            let _ = sender.send(error);
        });
        Self { folder, errors, journal: Some(journal) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state/keepwatch/journal.sqlite")
    }

    fn journal(&mut self) -> &mut Journal<Value> {
        self.journal.as_mut().unwrap()
    }

    fn write_entries(&mut self, seqs: Range<u64>, at: Timestamp) {
        for seq in seqs {
            assert_eq!(self.journal().write_entry(entry(seq, at)), SendResult::Queued);
        }
    }

    fn flush(&mut self) -> bool {
        self.journal().flush(TEST_TIMEOUT)
    }

    /// Closes the journal and waits for its thread. Dropping the journal would wait only half a second, which is too
    /// short on a busy machine.
    fn shut_down(&mut self) {
        assert!(self.journal.take().unwrap().shut_down(TEST_TIMEOUT));
    }

    fn next_error(&self) -> JournalError {
        self.errors.recv_timeout(TEST_TIMEOUT).unwrap()
    }

    fn reader(&self) -> JournalReader {
        JournalReader::open(&self.path()).unwrap().unwrap()
    }
}

fn seqs(reader: &JournalReader, segment: SegmentId) -> Vec<u64> {
    reader.entries(segment).map(|entry| entry.unwrap().seq).collect()
}

#[test]
fn written_data_is_read_back() {
    let mut harness = TestJournal::start(noon_clock());
    assert_eq!(harness.journal().begin_segment(segment(run_id(1), time("12:00:00"))), SendResult::Queued);
    harness.write_entries(0..3, time("12:00:01.500"));
    let written = summary("s-1", run_id(1), time("12:00:01"));
    assert_eq!(harness.journal().write_summary(written.clone()), SendResult::Queued);
    assert!(harness.flush());
    let reader = harness.reader();
    let segments = reader.segments(time("00:00:00"), SegmentFilter::All).unwrap();
    assert_eq!((segments.len(), &segments[0].run, segments[0].is_finished), (1, &run_id(1), false));
    assert_eq!((segments[0].started, segments[0].newest_at), (time("12:00:00"), time("12:00:01.500")));
    assert_eq!(
        (segments[0].profile.as_deref(), segments[0].header.as_str()),
        (Some("staging"), r#"{"v":1}"#)
    );
    let entries: Vec<StoredEntry> = reader.entries(segments[0].id).map(Result::unwrap).collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[2], StoredEntry { seq: 2, at: time("12:00:01.500"), body: r#"{"n":2}"#.into() });
    assert_eq!(reader.summaries(time("12:00:01")).unwrap(), [written]);
    assert!(reader.summaries(time("12:00:02")).unwrap().is_empty());
    harness.shut_down();
    assert!(reader.segments(time("00:00:00"), SegmentFilter::All).unwrap()[0].is_finished);
    assert!(harness.errors.try_recv().is_err(), "no error is reported");
}

#[test]
fn entry_with_same_number_replaces_earlier() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(7..8, time("12:00:01"));
    // The entry of second 2 replaces an entry in the batch. The entry of second 4 replaces an entry in the batch and an
    // entry in the file.
    for (second, must_flush) in [(2, true), (3, false), (4, true)] {
        harness.write_entries(7..8, time(&format!("12:00:0{second}")));
        if must_flush {
            assert!(harness.flush());
        }
    }
    let reader = harness.reader();
    let segments = reader.segments(time("00:00:00"), SegmentFilter::All).unwrap();
    let entries: Vec<StoredEntry> = reader.entries(segments[0].id).map(Result::unwrap).collect();
    assert_eq!(
        (entries.len(), entries[0].at, segments[0].newest_at),
        (1, time("12:00:04"), time("12:00:04"))
    );
}

#[test]
fn segments_are_found_by_session_or_project() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("11:00:00")));
    harness.write_entries(0..3, time("11:00:01"));
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(9..1500, time("12:00:01"));
    assert!(harness.flush());
    let reader = harness.reader();
    let started = |since, filter: SegmentFilter<'_>| -> Vec<Timestamp> {
        reader.segments(since, filter).unwrap().iter().map(|segment| segment.started).collect()
    };
    let (old, new, midnight) = (time("11:00:00"), time("12:00:00"), time("00:00:00"));
    assert_eq!(started(midnight, SegmentFilter::Sessions(&[id("s-2")])), [old]);
    assert_eq!(started(midnight, SegmentFilter::Sessions(&[id("s-1"), id("s-9")])), [old, new]);
    assert_eq!(started(time("11:30:00"), SegmentFilter::Sessions(&[id("s-1")])), [new]);
    assert!(started(midnight, SegmentFilter::Sessions(&[id("none")])).is_empty());
    assert!(started(midnight, SegmentFilter::Projects(&[])).is_empty());
    assert_eq!(started(midnight, SegmentFilter::Projects(&[Untrusted::new("p-1")])), [old, new]);
    let segments = reader.segments(midnight, SegmentFilter::All).unwrap();
    let expected: Vec<u64> = (9..1500).collect();
    assert_eq!(seqs(&reader, segments[1].id), expected, "all chunks are read, in order");
    let are_finished = (segments[0].is_finished, segments[1].is_finished);
    assert_eq!(are_finished, (true, false), "a new segment finishes the segment before it");
}

#[test]
fn summaries_of_earlier_runs_follow_newest() {
    let mut harness = TestJournal::start(noon_clock());
    for (number, at) in [(1, "10:00:00"), (2, "12:00:00")] {
        let _ = harness.journal().write_summary(summary("s-1", run_id(number), time(at)));
        let _ = harness.journal().write_summary(summary(&format!("only-{number}"), run_id(number), time(at)));
    }
    assert!(harness.flush());
    // Run 1 last saw both of its sessions before 11:00. Its summary of `s-1` is included, because run 2 saw `s-1`
    // later.
    let summaries = harness.reader().summaries(time("11:00:00")).unwrap();
    let found: Vec<_> =
        summaries.iter().map(|summary| (summary.session.raw(), summary.run.clone())).collect();
    assert_eq!(found, [("only-2", run_id(2)), ("s-1", run_id(2)), ("s-1", run_id(1))]);
}

#[test]
fn secrets_in_summary_never_reach_disk() {
    let mut harness = TestJournal::start(noon_clock());
    let canary = b"cAnArY77"; // a part of all secrets below
    let secret = "wss://connect.example/?signingKey=cAnArY77&apiKey=bb_live_cAnArY77";
    let mut with_secrets = summary("s-1", run_id(1), time("12:00:00"));
    with_secrets.metadata = Some(Metadata::new(&format!(
        r#"{{"url":"{secret}","token":"cAnArY77","n":[1,"bb_live_cAnArY77"]}}"#
    )));
    with_secrets.owner = Some(Untrusted::new(secret));
    with_secrets.verdict = Some(StoredVerdict {
        name: "gone".into(),
        confidence: "perhaps".into(),
        sentence: Untrusted::new(secret),
    });
    let _ = harness.journal().write_summary(with_secrets);
    assert!(harness.flush());
    let folder = harness.path().parent().unwrap().to_owned();
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(canary.len()).any(|window| window == canary));
    }
    let summaries = harness.reader().summaries(time("00:00:00")).unwrap();
    let metadata = summaries[0].metadata.as_ref().unwrap().json();
    assert!(metadata.contains("signingKey=••••"), "only the secrets are redacted: {metadata}");
}

#[test]
fn files_are_private_to_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    assert!(harness.flush());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = harness.path().parent().unwrap().to_owned();
    let files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "the database, its WAL and its shared memory: {files:?}");
    assert!(files.iter().all(|path| mode(path) == 0o600), "{files:?}");
    assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
    harness.shut_down();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "the last close removes the companions");
    std::fs::set_permissions(harness.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut reopened = TestJournal::open(harness.folder, JournalOptions::new(noon_clock()));
    assert!(reopened.flush());
    assert_eq!(mode(&reopened.path()), 0o600, "a file that others can read becomes private");
}

#[test]
fn new_file_has_wal_and_incremental_vacuum() {
    let mut harness = TestJournal::start(noon_clock());
    assert!(harness.flush());
    let db = rusqlite::Connection::open(harness.path()).unwrap();
    let pragma =
        |name| db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    // 2 is INCREMENTAL.
    assert_eq!((pragma("auto_vacuum"), pragma("user_version")), (2.into(), SCHEMA_VERSION.into()));
}

#[test]
fn pruning_deletes_only_expired_segments() {
    let day = Duration::from_secs(24 * 60 * 60);
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..3, time("12:00:01"));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:01")));
    let _ = harness.journal().begin_segment(segment(run_id(1), time("13:00:00")));
    harness.write_entries(0..3, saturating_add(time("12:00:01"), day * 29));
    assert!(harness.flush());
    harness.shut_down();
    // The retention is 30 days, so only data from before 12:00:02 has expired.
    let later =
        Clock::scripted(Moment { wall: saturating_add(time("12:00:02"), day * 30), ..noon_clock().now() });
    let mut harness = TestJournal::open(harness.folder, JournalOptions::new(later.clone()));
    // Without the server's time, the wall clock's jump would have to hold for an hour.
    harness.journal().set_server_time(later.now(), later.now().wall);
    let _ = harness.journal().write_summary(summary(
        "s-9",
        run_id(2),
        saturating_add(time("12:00:00"), day * 30),
    ));
    // The writer prunes between the first flush and the second.
    assert!(harness.flush() && harness.flush());
    let reader = harness.reader();
    let segments = reader.segments(time("00:00:00"), SegmentFilter::All).unwrap();
    assert_eq!(segments.iter().map(|segment| segment.started).collect::<Vec<_>>(), [time("13:00:00")]);
    let stats = reader.stats().unwrap();
    assert_eq!((stats.segments, stats.entries, stats.sessions), (1, 3, 1));
    let mentioning = reader.segments(time("00:00:00"), SegmentFilter::Sessions(&[id("s-0")])).unwrap();
    assert_eq!(mentioning.len(), 1, "only the mention by the expired segment is deleted");
}

#[test]
fn pruning_shrinks_file_below_maximum() {
    let options = JournalOptions { max_bytes: 400_000, ..JournalOptions::new(noon_clock()) };
    let mut harness = TestJournal::open(tempfile::tempdir().unwrap(), options.clone());
    let text = "x".repeat(1000);
    for number in 0..30 {
        let started = saturating_add(time("12:00:00"), Duration::from_secs(number * 60));
        assert_eq!(harness.journal().begin_segment(segment(run_id(1), started)), SendResult::Queued);
        for seq in 0..30 {
            let large = JournalEntry { body: json!(text), ..entry(seq, started) };
            assert_eq!(harness.journal().write_entry(large), SendResult::Queued);
        }
    }
    // The writer prunes between the first flush and the second.
    assert!(harness.flush() && harness.flush());
    let reader = harness.reader();
    let segments = reader.segments(time("00:00:00"), SegmentFilter::All).unwrap();
    // A segment takes about 40 kB. Pruning stops at nine tenths of the maximum, which hold about nine segments.
    assert!((6..11).contains(&segments.len()), "pruning deletes no more than it must: {}", segments.len());
    assert_eq!(segments.last().unwrap().started, time("12:29:00"), "the newest segments stay");
    drop(reader);
    harness.shut_down();
    assert!(std::fs::metadata(harness.path()).unwrap().len() < options.max_bytes);
}

#[test]
fn fast_growing_file_is_pruned_early() {
    // The clock stands still, so that only the growth can cause a pruning.
    let options = JournalOptions { max_bytes: 400_000, ..JournalOptions::new(noon_clock()) };
    let mut harness = TestJournal::open(tempfile::tempdir().unwrap(), options.clone());
    let write_segment = |harness: &mut TestJournal, number: u64| {
        let started = saturating_add(time("12:00:00"), Duration::from_secs(number));
        assert_eq!(harness.journal().begin_segment(segment(run_id(1), started)), SendResult::Queued);
        for seq in 0..30 {
            let large = JournalEntry { body: json!("x".repeat(1000)), ..entry(seq, started) };
            assert_eq!(harness.journal().write_entry(large), SendResult::Queued);
        }
    };
    for number in 0..60 {
        write_segment(&mut harness, number);
        assert!(harness.flush());
        // The size of the database. The size of the file lags behind, until SQLite copies the WAL into it.
        let db = rusqlite::Connection::open(harness.path()).unwrap();
        let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        let bytes = pragma("page_count") * pragma("page_size");
        // The maximum, a tenth of it as growth, and the newest batch of about 40 kB.
        assert!(bytes < 500_000, "a growth by a tenth causes a pruning: {bytes} bytes at segment {number}");
    }
    // One batch, which is larger than the maximum. The close prunes it.
    (60..75).for_each(|number| write_segment(&mut harness, number));
    harness.shut_down();
    let file_bytes = std::fs::metadata(harness.path()).unwrap().len();
    assert!(file_bytes < options.max_bytes, "the close prunes a file that is too large: {file_bytes} bytes");
}

#[test]
fn large_segment_is_closed() {
    let mut harness = TestJournal::open(
        tempfile::tempdir().unwrap(),
        JournalOptions { max_bytes: 80_000, ..JournalOptions::new(noon_clock()) },
    );
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    // A segment is closed if it is larger than an eighth of the maximum size, and larger than twice its first
    // batch.
    let large = |seq| JournalEntry { body: json!("x".repeat(11_000)), ..entry(seq, time("12:00:00")) };
    assert_eq!(harness.journal().write_entry(large(0)), SendResult::Queued);
    assert!(harness.flush());
    assert!(!harness.journal().needs_segment(), "the first batch, which has all sessions, may be larger");
    for seq in [1, 2] {
        assert_eq!(harness.journal().write_entry(large(seq)), SendResult::Queued);
    }
    assert!(harness.flush());
    assert_eq!(harness.journal().write_entry(entry(3, time("12:00:01"))), SendResult::Dropped);
    assert_eq!(harness.journal().begin_segment(segment(run_id(1), time("12:00:02"))), SendResult::Queued);
    assert_eq!(harness.journal().write_entry(entry(0, time("12:00:02"))), SendResult::Queued);
}

#[test]
fn clear_keeps_other_writers_working() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..500, time("12:00:01"));
    // The second flush ends after the first pruning, which holds the lock.
    assert!(harness.flush() && harness.flush());
    assert_eq!(clear(&harness.path(), time("12:00:05")), Ok(ClearOutcome { is_open_elsewhere: true }));
    let stats = harness.reader().stats().unwrap();
    assert_eq!((stats.segments, stats.entries, stats.sessions, stats.oldest), (0, 0, 0, None));
    // The writer finds the clear with the next write. Then the sender must start a new segment.
    harness.write_entries(500..501, time("12:00:02"));
    assert!(harness.flush());
    assert_eq!(harness.journal().write_entry(entry(501, time("12:00:03"))), SendResult::Dropped);
    assert!(harness.journal().acknowledge_clear().is_some());
    assert_eq!(harness.journal().begin_segment(segment(run_id(1), time("12:00:03"))), SendResult::Queued);
    harness.write_entries(0..2, time("12:00:03"));
    assert!(harness.flush());
    assert_eq!(harness.reader().stats().unwrap().entries, 2);
    harness.shut_down();
    assert_eq!(clear(&harness.path(), time("12:00:05")), Ok(ClearOutcome { is_open_elsewhere: false }));
    assert!(
        std::fs::metadata(harness.path()).unwrap().len() < 70_000,
        "the file shrinks to the empty tables"
    );
    assert_eq!(
        clear(&harness.folder.path().join("none"), time("12:00:05")),
        Ok(ClearOutcome { is_open_elsewhere: false }),
        "a missing file is no error"
    );
}
