use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use keepwatch_core::clock::{Clock, Moment, Timestamp, saturating_add};
use keepwatch_core::session::{Metadata, Region, Status};
use keepwatch_core::testing::{id, moment, time as t};
use keepwatch_core::text::Untrusted;

mod failures;
mod versions;

/// Longer than anything takes on a busy machine; reached only by a failure.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

fn run(number: u64) -> RunId {
    RunId::new(t("12:00:00"), number)
}

fn noon() -> Clock {
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

fn entry(seq: u64, at: Timestamp) -> JournalEntry<Value> {
    JournalEntry {
        seq,
        at,
        body: json!({ "n": seq }),
        estimated_size: 100,
        mentions: vec![id("s-1"), id(&format!("s-{seq}"))],
        projects: vec![Untrusted::new("p-1")],
    }
}

fn summary(session: &str, run: RunId, last_seen: Timestamp) -> SessionSummary {
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
        created: Some(t("11:00:00")),
        started: Some(t("11:00:00.123")),
        ended: Some(t("11:30:00")),
        is_end_exact: true,
        expires: None,
        first_seen: t("11:00:03"),
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

/// A journal in a folder of its own, and what it tells.
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
        let (tell, told) = channel();
        let path = folder.path().join("state/keepwatch/journal.sqlite");
        let journal = Journal::spawn(path, options, move |trouble| {
            let _ = tell.send(trouble);
        });
        Self { folder, errors: told, journal: Some(journal) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state/keepwatch/journal.sqlite")
    }

    fn journal(&mut self) -> &mut Journal<Value> {
        self.journal.as_mut().unwrap()
    }

    fn write(&mut self, from: u64, to: u64, at: Timestamp) {
        for seq in from..to {
            assert_eq!(self.journal().write_entry(entry(seq, at)), SendResult::Queued);
        }
    }

    fn flush(&mut self) -> bool {
        self.journal().flush(TEST_TIMEOUT)
    }

    /// Ends the journal and waits for its writer. Dropping it waits for half a second only, which is too short on a busy
    /// machine.
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
    reader.entries(segment).map(|line| line.unwrap().seq).collect()
}

#[test]
fn what_was_written_is_read_again() {
    let mut kept = TestJournal::start(noon());
    assert_eq!(kept.journal().begin_segment(segment(run(1), t("12:00:00"))), SendResult::Queued);
    kept.write(0, 3, t("12:00:01.500"));
    let row = summary("s-1", run(1), t("12:00:01"));
    assert_eq!(kept.journal().write_summary(row.clone()), SendResult::Queued);
    assert!(kept.flush());
    let reader = kept.reader();
    let found = reader.segments(t("00:00:00"), SegmentFilter::All).unwrap();
    assert_eq!((found.len(), &found[0].run, found[0].is_finished), (1, &run(1), false));
    assert_eq!((found[0].started, found[0].newest_at), (t("12:00:00"), t("12:00:01.500")));
    assert_eq!((found[0].profile.as_deref(), found[0].header.as_str()), (Some("staging"), r#"{"v":1}"#));
    let lines: Vec<StoredEntry> = reader.entries(found[0].id).map(Result::unwrap).collect();
    assert_eq!(lines[2], StoredEntry { seq: 2, at: t("12:00:01.500"), body: r#"{"n":2}"#.into() });
    assert_eq!(reader.summaries(t("12:00:01")).unwrap(), [row]);
    assert!(reader.summaries(t("12:00:02")).unwrap().is_empty());
    kept.shut_down();
    assert!(reader.segments(t("00:00:00"), SegmentFilter::All).unwrap()[0].is_finished);
    assert!(kept.errors.try_recv().is_err(), "nothing was wrong");
}

#[test]
fn an_entry_in_the_place_of_another_replaces_it_before_and_after_it_was_written() {
    let mut kept = TestJournal::start(noon());
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    kept.write(7, 8, t("12:00:01"));
    for (second, written) in [(2, true), (3, false), (4, true)] {
        kept.write(7, 8, t(&format!("12:00:0{second}")));
        assert!(!written || kept.flush());
    }
    let reader = kept.reader();
    let found = reader.segments(t("00:00:00"), SegmentFilter::All).unwrap();
    let lines: Vec<StoredEntry> = reader.entries(found[0].id).map(Result::unwrap).collect();
    assert_eq!((lines.len(), lines[0].at, found[0].newest_at), (1, t("12:00:04"), t("12:00:04")));
}

#[test]
fn segments_are_found_by_the_sessions_and_projects_that_they_speak_of() {
    let mut kept = TestJournal::start(noon());
    let _ = kept.journal().begin_segment(segment(run(1), t("11:00:00")));
    kept.write(0, 3, t("11:00:01"));
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    kept.write(9, 1500, t("12:00:01"));
    assert!(kept.flush());
    let reader = kept.reader();
    let started = |since, of: SegmentFilter<'_>| -> Vec<Timestamp> {
        reader.segments(since, of).unwrap().iter().map(|segment| segment.started).collect()
    };
    let (one, two, all) = (t("11:00:00"), t("12:00:00"), t("00:00:00"));
    assert_eq!(started(all, SegmentFilter::Sessions(&[id("s-2")])), [one]);
    assert_eq!(started(all, SegmentFilter::Sessions(&[id("s-1"), id("s-9")])), [one, two]);
    assert_eq!(started(t("11:30:00"), SegmentFilter::Sessions(&[id("s-1")])), [two]);
    assert!(started(all, SegmentFilter::Sessions(&[id("none")])).is_empty());
    assert!(started(all, SegmentFilter::Projects(&[])).is_empty());
    assert_eq!(started(all, SegmentFilter::Projects(&[Untrusted::new("p-1")])), [one, two]);
    let found = reader.segments(all, SegmentFilter::All).unwrap();
    assert_eq!(seqs(&reader, found[1].id), (9..1500).collect::<Vec<_>>(), "in pieces");
    assert_eq!((found[0].is_finished, found[1].is_finished), (true, false));
}

#[test]
fn of_two_runs_that_saw_a_session_the_later_comes_first_and_the_earlier_is_not_left_out() {
    let mut kept = TestJournal::start(noon());
    for (number, at) in [(1, "10:00:00"), (2, "12:00:00")] {
        let _ = kept.journal().write_summary(summary("s-1", run(number), t(at)));
        let _ = kept.journal().write_summary(summary(&format!("only-{number}"), run(number), t(at)));
    }
    assert!(kept.flush());
    let found = kept.reader().summaries(t("11:00:00")).unwrap();
    let found: Vec<_> = found.iter().map(|it| (it.session.raw(), it.run.clone())).collect();
    assert_eq!(found, [("only-2", run(2)), ("s-1", run(2)), ("s-1", run(1))]);
}

#[test]
fn a_summary_with_secrets_leaves_none_on_the_disk() {
    let mut kept = TestJournal::start(noon());
    let secret = "wss://connect.example/?signingKey=cAnArY77&apiKey=bb_live_cAnArY77";
    let mut row = summary("s-1", run(1), t("12:00:00"));
    row.metadata = Some(Metadata::new(&format!(
        r#"{{"url":"{secret}","token":"cAnArY77","n":[1,"bb_live_cAnArY77"]}}"#
    )));
    row.owner = Some(Untrusted::new(secret));
    row.verdict = Some(StoredVerdict {
        name: "gone".into(),
        confidence: "perhaps".into(),
        sentence: Untrusted::new(secret),
    });
    let _ = kept.journal().write_summary(row);
    assert!(kept.flush());
    let folder = kept.path().parent().unwrap().to_owned();
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(8).any(|it| it == b"cAnArY77"));
    }
    let kept = kept.reader().summaries(t("00:00:00")).unwrap();
    assert!(kept[0].metadata.as_ref().unwrap().json().contains("signingKey=••••"));
}

#[test]
fn all_its_files_are_for_their_owner_alone_and_its_folder_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut kept = TestJournal::start(noon());
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    assert!(kept.flush());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = kept.path().parent().unwrap().to_owned();
    let files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|path| mode(path) == 0o600), "{files:?}");
    assert_eq!((mode(&folder), mode(folder.parent().unwrap())), (0o700, 0o700));
    let db = rusqlite::Connection::open(kept.path()).unwrap();
    let pragma =
        |name| db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!((pragma("auto_vacuum"), pragma("user_version")), (2.into(), SCHEMA_VERSION.into()));
    drop(db);
    kept.shut_down();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "the log is put away");
    std::fs::set_permissions(kept.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut again = TestJournal::open(kept.folder, JournalOptions::new(noon()));
    assert!(again.flush());
    assert_eq!(mode(&again.path()), 0o600, "an old one is closed to others");
}

#[test]
fn pruning_takes_what_is_older_than_it_is_kept_and_nothing_that_is_written() {
    let day = Duration::from_secs(24 * 60 * 60);
    let mut kept = TestJournal::start(noon());
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    kept.write(0, 3, t("12:00:01"));
    let _ = kept.journal().write_summary(summary("s-1", run(1), t("12:00:01")));
    let _ = kept.journal().begin_segment(segment(run(1), t("13:00:00")));
    kept.write(0, 3, saturating_add(t("12:00:01"), day * 29));
    assert!(kept.flush());
    let folder = {
        kept.shut_down();
        kept.folder
    };
    let late = Clock::scripted(Moment { wall: saturating_add(t("12:00:02"), day * 30), ..noon().now() });
    let mut kept = TestJournal::open(folder, JournalOptions::new(late));
    let _ = kept.journal().write_summary(summary("s-9", run(2), saturating_add(t("12:00:00"), day * 30)));
    // The pruning comes after the first batch is answered, and before the second is.
    assert!(kept.flush() && kept.flush());
    let reader = kept.reader();
    let found = reader.segments(t("00:00:00"), SegmentFilter::All).unwrap();
    assert_eq!(found.iter().map(|it| it.started).collect::<Vec<_>>(), [t("13:00:00")]);
    let sizes = reader.stats().unwrap();
    assert_eq!((sizes.segments, sizes.entries, sizes.sessions), (1, 3, 1));
    assert_eq!(reader.segments(t("00:00:00"), SegmentFilter::Sessions(&[id("s-0")])).unwrap().len(), 1);
}

#[test]
fn pruning_keeps_the_file_below_its_size_and_gives_the_room_back() {
    let options = JournalOptions { max_bytes: 400_000, ..JournalOptions::new(noon()) };
    let mut kept = TestJournal::open(tempfile::tempdir().unwrap(), options.clone());
    let long = "x".repeat(1000);
    for number in 0..30 {
        let begun = saturating_add(t("12:00:00"), Duration::from_secs(number * 60));
        assert_eq!(kept.journal().begin_segment(segment(run(1), begun)), SendResult::Queued);
        for seq in 0..30 {
            let large = JournalEntry { body: json!(long), ..entry(seq, begun) };
            assert_eq!(kept.journal().write_entry(large), SendResult::Queued);
        }
    }
    assert!(kept.flush() && kept.flush());
    let reader = kept.reader();
    let found = reader.segments(t("00:00:00"), SegmentFilter::All).unwrap();
    assert!((6..11).contains(&found.len()), "{}", found.len());
    assert_eq!(found.last().unwrap().started, t("12:29:00"), "the newest stay");
    drop(reader);
    kept.shut_down();
    assert!(std::fs::metadata(kept.path()).unwrap().len() < options.max_bytes);
}

#[test]
fn a_file_that_grows_fast_is_pruned_without_waiting_and_once_more_at_the_end() {
    let options = JournalOptions { max_bytes: 400_000, ..JournalOptions::new(noon()) }; // no time passes
    let mut kept = TestJournal::open(tempfile::tempdir().unwrap(), options.clone());
    let size = |kept: &TestJournal| std::fs::metadata(kept.path()).unwrap().len();
    let segment_of = |kept: &mut TestJournal, number: u64| {
        let begun = saturating_add(t("12:00:00"), Duration::from_secs(number));
        assert_eq!(kept.journal().begin_segment(segment(run(1), begun)), SendResult::Queued);
        for seq in 0..30 {
            let large = JournalEntry { body: json!("x".repeat(1000)), ..entry(seq, begun) };
            assert_eq!(kept.journal().write_entry(large), SendResult::Queued);
        }
    };
    for number in 0..60 {
        segment_of(&mut kept, number);
        assert!(kept.flush());
        // Without its log, which is written into it from time to time.
        let db = rusqlite::Connection::open(kept.path()).unwrap();
        let number_of = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        let used = number_of("page_count") * number_of("page_size");
        assert!(used < 500_000, "{used} after {number}");
    }
    (60..75).for_each(|number| segment_of(&mut kept, number)); // one batch, and then the end
    kept.shut_down();
    assert!(size(&kept) < options.max_bytes, "{}", size(&kept));
}

#[test]
fn a_segment_that_takes_too_much_of_the_file_is_ended() {
    let mut kept = TestJournal::open(
        tempfile::tempdir().unwrap(),
        JournalOptions { max_bytes: 80_000, ..JournalOptions::new(noon()) },
    );
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    let large = || JournalEntry { body: json!("x".repeat(11_000)), ..entry(0, t("12:00:00")) };
    assert_eq!(kept.journal().write_entry(large()), SendResult::Queued);
    assert!(kept.flush());
    assert_eq!(kept.journal().write_entry(entry(1, t("12:00:01"))), SendResult::Dropped);
    assert_eq!(kept.journal().begin_segment(segment(run(1), t("12:00:02"))), SendResult::Queued);
    assert_eq!(kept.journal().write_entry(entry(0, t("12:00:02"))), SendResult::Queued);
}

#[test]
fn clearing_leaves_others_writing_and_what_they_write_after_it_is_whole() {
    let mut kept = TestJournal::start(noon());
    let _ = kept.journal().begin_segment(segment(run(1), t("12:00:00")));
    kept.write(0, 500, t("12:00:01"));
    // The second answer comes after the first pruning, which holds the lock.
    assert!(kept.flush() && kept.flush());
    assert_eq!(clear(&kept.path()), Ok(ClearOutcome { is_open_elsewhere: true }));
    let sizes = kept.reader().stats().unwrap();
    assert_eq!((sizes.segments, sizes.entries, sizes.sessions, sizes.oldest), (0, 0, 0, None));
    // The segment is no more: the sender learns of it, and begins another.
    kept.write(500, 501, t("12:00:02"));
    assert!(kept.flush());
    assert_eq!(kept.journal().write_entry(entry(501, t("12:00:03"))), SendResult::Dropped);
    assert_eq!(kept.journal().begin_segment(segment(run(1), t("12:00:03"))), SendResult::Queued);
    kept.write(0, 2, t("12:00:03"));
    assert!(kept.flush());
    assert_eq!(kept.reader().stats().unwrap().entries, 2);
    kept.shut_down();
    assert_eq!(clear(&kept.path()), Ok(ClearOutcome { is_open_elsewhere: false }));
    assert!(std::fs::metadata(kept.path()).unwrap().len() < 70_000);
    assert_eq!(clear(&kept.folder.path().join("none")), Ok(ClearOutcome { is_open_elsewhere: false }));
}
