//! Deletions: what was deleted stays deleted, and nothing else goes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::database::JournalDatabase;
use super::super::prune::prune;
use super::super::writer::JournalWriter;
use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the sessions that have a summary.
fn summarised(reader: &JournalReader) -> Vec<String> {
    reader.summaries(time("00:00:00")).unwrap().iter().map(|row| row.session.raw().to_owned()).collect()
}

#[test]
fn unaware_writer_writes_nothing_after_clear() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:01")));
    assert!(harness.flush() && harness.flush());
    clear(&harness.path(), time("12:00:00")).unwrap();
    // A whole segment of what was seen before.
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..3, time("12:00:01"));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:02")));
    assert!(harness.flush());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..3, time("12:00:01"));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:03")));
    harness.shut_down();
    let stats = harness.reader().stats().unwrap();
    assert_eq!((stats.segments, stats.entries, stats.sessions), (0, 0, 0));
}

#[test]
fn clear_before_first_open_is_found() {
    let clock = noon_clock();
    let folder = tempfile::tempdir().unwrap();
    let mut first = TestJournal::open(folder, JournalOptions::new(clock.clone()));
    assert!(first.flush());
    // The second writer has not opened the file yet.
    let (mut journal, mut writer) =
        Journal::<Value>::with_writer(first.path(), JournalOptions::new(clock.clone()), |_| {});
    let _ = journal.write_summary(summary("s-1", run_id(2), time("12:00:00")));
    clock.advance(Duration::from_secs(10));
    clear(&first.path(), clock.now().wall).unwrap();
    clock.advance(Duration::from_secs(10));
    writer.write(false);
    assert!(summarised(&first.reader()).is_empty());
    assert!(journal.acknowledge_clear().is_some());
}

#[test]
fn deleted_file_counts_as_clear() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:01")));
    assert!(harness.flush());
    std::fs::remove_dir_all(harness.path().parent().unwrap()).unwrap();
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:02")));
    assert!(harness.flush());
    assert!(summarised(&harness.reader()).is_empty());
}

#[test]
fn size_pruning_deletes_summary_with_last_entry() {
    let mut harness = TestJournal::start(noon_clock());
    for (number, second) in [(1, "12:00:01"), (2, "12:00:02")] {
        let _ = harness.journal().begin_segment(segment(run_id(1), time(second)));
        let row = JournalEntry {
            sessions: vec![id(&format!("only-{number}")), id("both")],
            ..entry(0, time(second))
        };
        let _ = harness.journal().write_entry(row);
        let _ = harness.journal().write_summary(summary(&format!("only-{number}"), run_id(1), time(second)));
    }
    let _ = harness.journal().write_summary(summary("both", run_id(1), time("12:00:02")));
    assert!(harness.flush() && harness.flush());
    let mut database = JournalDatabase::open(&harness.path()).unwrap();
    prune(&mut database, None, DAY, 1).unwrap();
    assert_eq!(summarised(&harness.reader()), ["both", "only-2"]);
    // The writer does not bring the deleted one back.
    let _ = harness.journal().write_summary(summary("only-1", run_id(1), time("12:00:01")));
    let _ = harness.journal().write_summary(summary("new", run_id(1), time("12:00:03")));
    assert!(harness.flush());
    assert_eq!(summarised(&harness.reader()), ["both", "new", "only-2"]);
}

/// Opens a journal with one finished segment and one summary of noon, on a machine whose clock is 60 days ahead.
fn journal_60_days_ahead(clock: &Clock) -> TestJournal {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..3, time("12:00:01"));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:01")));
    harness.shut_down();
    let now = noon_clock().now();
    clock.set(Moment { wall: saturating_add(now.wall, DAY * 60), ..now });
    TestJournal::open(harness.folder, JournalOptions::new(clock.clone()))
}

#[test]
fn wrong_wall_clock_deletes_nothing() {
    let clock = noon_clock();
    let mut harness = journal_60_days_ahead(&clock);
    let _ = harness.journal().begin_segment(segment(run_id(2), clock.now().wall));
    // The writer prunes between the first flush and the second.
    assert!(harness.flush() && harness.flush());
    assert_eq!(summarised(&harness.reader()), ["s-1"]);
    let JournalError::ClockJump { ahead } = harness.next_error() else { panic!("no report") };
    assert_eq!(ahead, DAY * 60 - Duration::from_secs(1));
    clock.advance(Duration::from_secs(3601));
    let _ = harness.journal().begin_segment(segment(run_id(2), clock.now().wall));
    assert!(harness.flush() && harness.flush());
    assert!(summarised(&harness.reader()).is_empty(), "the clock has held for an hour");
    assert!(harness.errors.try_recv().is_err(), "the jump is reported once");
}

#[test]
fn server_time_measures_age() {
    let clock = noon_clock();
    let mut harness = journal_60_days_ahead(&clock);
    harness.journal().set_server_time(clock.now(), time("12:00:10"));
    let _ = harness.journal().begin_segment(segment(run_id(2), clock.now().wall));
    assert!(harness.flush() && harness.flush());
    assert_eq!(summarised(&harness.reader()), ["s-1"]);
    assert!(harness.errors.try_recv().is_err());
}

#[test]
fn truncation_clears_file_of_one_process() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..500, time("12:00:01"));
    assert!(harness.flush() && harness.flush());
    let path = harness.path();
    let truncate = || super::super::clear::truncate(&path, time("12:00:05"), JournalError::Full);
    assert_eq!(truncate(), Err(JournalError::ClearNeedsRoom), "the writer has the file open");
    assert_eq!(harness.reader().stats().unwrap().entries, 500);
    harness.shut_down();
    assert_eq!(truncate(), Ok(()));
    let stats = harness.reader().stats().unwrap();
    assert_eq!((stats.segments, stats.entries), (0, 0));
    assert!(std::fs::metadata(&path).unwrap().len() < 100_000);
}

#[test]
fn queued_summaries_survive_full_queue() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, mut writer) = Journal::<Value>::with_writer(
        folder.path().join("journal.sqlite"),
        JournalOptions::new(noon_clock()),
        |error| panic!("{error:?}"),
    );
    let _ = journal.begin_segment(segment(run_id(1), time("12:00:00")));
    let mut seq = 0;
    while journal.write_entry(entry(seq, time("12:00:01"))) == SendResult::Queued {
        seq += 1;
    }
    assert!(journal.is_full());
    // The same session twice: the newest summary counts.
    for (number, second) in [(1, "12:00:01"), (2, "12:00:01"), (1, "12:00:09")] {
        let row = summary(&format!("s-{number}"), run_id(1), time(second));
        assert_eq!(journal.write_summary(row), SendResult::Queued);
    }
    writer.receive_all().unwrap();
    writer.write(false);
    let unwritten = journal.close(Duration::ZERO);
    assert_eq!(unwritten.sessions, 0);
}

#[test]
fn sixty_thousand_sessions_fit_into_queue() {
    const SESSIONS: usize = 60_000;
    let (mut journal, _writer) = Journal::<Value>::with_writer(
        "/nonexistent/journal.sqlite".into(),
        JournalOptions::new(noon_clock()),
        |_| {},
    );
    let _ = journal.begin_segment(segment(run_id(1), time("12:00:00")));
    // The first entry has all sessions, and is larger than the queue.
    let first = JournalEntry { estimated_size: 48_000_000, ..entry(0, time("12:00:01")) };
    assert_eq!(journal.write_entry(first), SendResult::Queued);
    let row = summary("s", run_id(1), time("12:00:01"));
    for number in 0..SESSIONS {
        let row = SessionSummary { session: id(&format!("s-{number}")), ..row.clone() };
        assert_eq!(journal.write_summary(row), SendResult::Queued);
    }
    assert_eq!(journal.close(Duration::ZERO), Unwritten { entries: 2, sessions: SESSIONS });
}

#[test]
fn flush_writes_more_than_one_batch() {
    let mut harness = TestJournal::start(noon_clock());
    let row = summary("s", run_id(1), time("12:00:01"));
    for number in 0..5100 {
        let row = SessionSummary { session: id(&format!("s-{number}")), ..row.clone() };
        assert_eq!(harness.journal().write_summary(row), SendResult::Queued);
    }
    assert!(harness.flush());
    assert_eq!(harness.reader().stats().unwrap().sessions, 5100);
}

#[test]
fn unwritten_sessions_are_counted_once() {
    let (mut journal, _writer) = Journal::<Value>::with_writer(
        "/nonexistent/journal.sqlite".into(),
        JournalOptions::new(noon_clock()),
        |_| {},
    );
    for number in [1, 2, 1, 3, 1] {
        let _ = journal.write_summary(summary(&format!("s-{number}"), run_id(1), time("12:00:00")));
    }
    assert_eq!(journal.close(Duration::ZERO), Unwritten { entries: 0, sessions: 3 });
}

/// A session in the operations of the property test.
type SessionNumber = u8;

/// One operation on the file. A pane is 0 or 1.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// A pane sends an entry and a summary of a session, a second later.
    Send { pane: usize, session: SessionNumber },
    /// A pane's writer writes its batch.
    Write { pane: usize },
    /// A pane starts a new segment, if its journal needs one, or if `anew`.
    Segment { pane: usize, anew: bool },
    /// A pane ends as it should.
    Quit { pane: usize },
    /// A pane ends at once. What is not written is lost.
    Crash { pane: usize },
    /// `keepwatch journal clear`
    Clear,
    /// Prunes what is older than this number of seconds.
    PruneByAge { seconds: u32 },
    /// Deletes all finished segments.
    PruneBySize,
}

fn operation() -> impl Strategy<Value = Operation> {
    let pane = 0..2_usize;
    prop_oneof![
        8 => (pane.clone(), 0..4_u8).prop_map(|(pane, session)| Operation::Send { pane, session }),
        5 => pane.clone().prop_map(|pane| Operation::Write { pane }),
        4 => (pane.clone(), any::<bool>()).prop_map(|(pane, anew)| Operation::Segment { pane, anew }),
        1 => pane.clone().prop_map(|pane| Operation::Quit { pane }),
        1 => pane.prop_map(|pane| Operation::Crash { pane }),
        1 => Just(Operation::Clear),
        1 => (0..20_u32).prop_map(|seconds| Operation::PruneByAge { seconds }),
        1 => Just(Operation::PruneBySize),
    ]
}

/// A segment of the model.
#[derive(Clone, Debug, Default)]
struct ModelSegment {
    run: u64,
    entries: Vec<u64>,
    mentions: BTreeSet<SessionNumber>,
    /// The second of the newest entry.
    last: u32,
    is_finished: bool,
}

/// The content of the file, and the marks of deletions.
#[derive(Debug, Default)]
struct ModelFile {
    segments: Vec<ModelSegment>,
    /// The second in which a run has last seen a session.
    summaries: BTreeMap<(SessionNumber, u64), u32>,
    clears: u64,
    pruned: u32,
}

impl ModelFile {
    fn mentions(&self, session: SessionNumber, run: u64) -> bool {
        self.segments.iter().any(|segment| segment.run == run && segment.mentions.contains(&session))
    }

    fn clear(&mut self) {
        *self = Self { clears: self.clears + 1, pruned: self.pruned, ..Self::default() };
    }

    fn delete_finished_before(&mut self, cutoff: u32) {
        let is_deleted = |segment: &ModelSegment| segment.is_finished && segment.last < cutoff;
        let (deleted, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.segments).into_iter().partition(is_deleted);
        self.segments = kept;
        for segment in deleted {
            self.pruned = self.pruned.max(segment.last);
            for session in segment.mentions {
                if !self.mentions(session, segment.run) {
                    self.summaries.remove(&(session, segment.run));
                }
            }
        }
    }

    fn prune_by_age(&mut self, cutoff: u32) {
        let is_old = |(_, last): &(&(SessionNumber, u64), &u32)| **last < cutoff;
        let old: Vec<_> = self.summaries.iter().filter(is_old).map(|(key, last)| (*key, *last)).collect();
        for ((session, run), last) in old {
            self.summaries.remove(&(session, run));
            self.pruned = self.pruned.max(last);
            for segment in self.segments.iter_mut().filter(|segment| segment.run == run) {
                segment.mentions.remove(&session);
            }
        }
        self.delete_finished_before(cutoff);
    }

    /// Returns the segments as `(run, is finished, entries)`.
    fn segments(&self) -> Vec<(RunId, bool, Vec<u64>)> {
        let segment = |it: &ModelSegment| (run_id(it.run), it.is_finished, it.entries.clone());
        let mut all: Vec<_> = self.segments.iter().map(segment).collect();
        all.sort();
        all
    }
}

/// A message that a pane has sent.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Segment { second: u32 },
    Entry { seq: u64, session: SessionNumber, second: u32 },
}

/// A pane: its sender, its writer, and the model of both.
struct Pane {
    run: u64,
    journal: Journal<Value>,
    writer: JournalWriter<Value, Value, fn(JournalError)>,
    sent: Vec<Sent>,
    sent_summaries: BTreeMap<SessionNumber, u32>,
    next_seq: u64,
    /// Number of clears that the sender knows of.
    known_clears: u64,
    /// Number of clears that the writer knows of.
    found_clears: u64,
    has_sender_segment: bool,
    has_writer_segment: bool,
}

fn at_second(second: u32) -> Timestamp {
    saturating_add(time("12:00:00"), Duration::from_secs(second.into()))
}

impl Pane {
    fn start(path: &Path, clock: &Clock, run: u64, file: &ModelFile) -> Self {
        let on_error: fn(JournalError) = |error| panic!("{error:?}");
        let (journal, mut writer) =
            Journal::with_writer(path.to_owned(), JournalOptions::new(clock.clone()), on_error);
        writer.receive_all().unwrap();
        writer.write(false);
        Self {
            run,
            journal,
            writer,
            sent: Vec::new(),
            sent_summaries: BTreeMap::new(),
            next_seq: 0,
            known_clears: file.clears,
            found_clears: file.clears,
            has_sender_segment: false,
            has_writer_segment: false,
        }
    }

    fn start_segment(&mut self, second: u32) {
        let is_clear_new = self.known_clears < self.found_clears;
        assert_eq!(self.journal.acknowledge_clear().is_some(), is_clear_new);
        assert_eq!(
            self.journal.begin_segment(segment(run_id(self.run), at_second(second))),
            SendResult::Queued
        );
        self.known_clears = self.found_clears;
        self.has_sender_segment = true;
        self.sent.push(Sent::Segment { second });
    }

    fn send(&mut self, session: SessionNumber, second: u32) {
        let name = format!("s-{session}");
        let seq = self.next_seq;
        let row = JournalEntry { sessions: vec![id(&name)], ..entry(seq, at_second(second)) };
        let is_queued = self.journal.write_entry(row) == SendResult::Queued;
        assert_eq!(is_queued, self.has_sender_segment);
        if is_queued {
            self.next_seq += 1;
            self.sent.push(Sent::Entry { seq, session, second });
        }
        let row = summary(&name, run_id(self.run), at_second(second));
        assert_eq!(self.journal.write_summary(row), SendResult::Queued);
        if self.known_clears == self.found_clears {
            self.sent_summaries.insert(session, second);
        }
    }

    /// Writes the batch, and applies it to the model.
    fn write(&mut self, file: &mut ModelFile, is_closing: bool) {
        self.writer.receive_all().unwrap();
        self.writer.write(is_closing);
        let (sent, summaries) = (std::mem::take(&mut self.sent), std::mem::take(&mut self.sent_summaries));
        if self.found_clears < file.clears {
            // Everything that was sent is older than the clear.
            self.found_clears = file.clears;
            (self.has_sender_segment, self.has_writer_segment) = (false, false);
            return;
        }
        for message in sent {
            self.write_message(file, message);
        }
        for (session, second) in summaries {
            if second > file.pruned || file.mentions(session, self.run) {
                file.summaries.insert((session, self.run), second);
            }
        }
        if is_closing {
            self.finish_segment(file);
        }
    }

    fn write_message(&mut self, file: &mut ModelFile, message: Sent) {
        match message {
            Sent::Segment { second } => {
                self.finish_segment(file);
                file.segments.push(ModelSegment { run: self.run, last: second, ..ModelSegment::default() });
                self.has_writer_segment = true;
            }
            Sent::Entry { seq, session, second } => {
                if let Some(segment) = self.open_segment(file) {
                    segment.entries.push(seq);
                    segment.mentions.insert(session);
                    segment.last = second;
                }
            }
        }
    }

    fn open_segment<'f>(&self, file: &'f mut ModelFile) -> Option<&'f mut ModelSegment> {
        let is_open = |segment: &&mut ModelSegment| segment.run == self.run && !segment.is_finished;
        file.segments.iter_mut().find(is_open).filter(|_| self.has_writer_segment)
    }

    fn finish_segment(&mut self, file: &mut ModelFile) {
        if let Some(segment) = self.open_segment(file) {
            segment.is_finished = true;
        }
        self.has_writer_segment = false;
    }
}

/// The file with its two panes, and the model of the file.
struct World {
    _folder: tempfile::TempDir,
    path: PathBuf,
    clock: Clock,
    panes: Vec<Pane>,
    file: ModelFile,
    second: u32,
    runs: u64,
}

impl World {
    fn new() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), noon_clock());
        let path = folder.path().join("journal.sqlite");
        let file = ModelFile::default();
        let panes = (0..2).map(|run| Pane::start(&path, &clock, run, &file)).collect();
        Self { _folder: folder, path, clock, panes, file, second: 0, runs: 2 }
    }

    fn perform(&mut self, operation: Operation) {
        self.second += 1;
        self.clock.advance(Duration::from_secs(1));
        let second = self.second;
        match operation {
            Operation::Send { pane, session } => self.panes[pane].send(session, second),
            Operation::Write { pane } => self.panes[pane].write(&mut self.file, false),
            Operation::Segment { pane, anew } => {
                if anew || !self.panes[pane].has_sender_segment {
                    self.panes[pane].start_segment(second);
                }
            }
            Operation::Quit { pane } => {
                self.panes[pane].write(&mut self.file, true);
                self.replace_pane(pane);
            }
            Operation::Crash { pane } => self.replace_pane(pane),
            Operation::Clear => {
                clear(&self.path, at_second(second)).unwrap();
                self.file.clear();
            }
            Operation::PruneByAge { seconds } => {
                let age = Duration::from_secs(seconds.into());
                prune(&mut self.database(), Some(at_second(second)), age, u64::MAX).unwrap();
                self.file.prune_by_age(second.saturating_sub(seconds));
            }
            Operation::PruneBySize => {
                prune(&mut self.database(), None, DAY, 1).unwrap();
                self.file.delete_finished_before(u32::MAX);
            }
        }
    }

    fn replace_pane(&mut self, pane: usize) {
        self.panes[pane] = Pane::start(&self.path, &self.clock, self.runs, &self.file);
        self.runs += 1;
    }

    fn database(&self) -> JournalDatabase {
        JournalDatabase::open(&self.path).unwrap()
    }

    fn assert_file_equals_model(&self) {
        let reader = JournalReader::open(&self.path).unwrap().unwrap();
        let segments = reader.segments(Timestamp::UNIX_EPOCH, SegmentFilter::All).unwrap();
        let segment = |it: &StoredSegment| (it.run.clone(), it.is_finished, seqs(&reader, it.id));
        let mut found: Vec<_> = segments.iter().map(segment).collect();
        found.sort();
        assert_eq!(found, self.file.segments());
        let found = reader.summaries(Timestamp::UNIX_EPOCH).unwrap();
        let found: BTreeSet<_> =
            found.into_iter().map(|row| (row.session.raw().to_owned(), row.run, row.last_seen)).collect();
        let expected = self.file.summaries.iter();
        let expected: BTreeSet<_> = expected
            .map(|((session, run), last)| (format!("s-{session}"), run_id(*run), at_second(*last)))
            .collect();
        assert_eq!(found, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn deleted_data_stays_deleted(operations in proptest::collection::vec(operation(), 1..40)) {
        let mut world = World::new();
        for operation in operations {
            world.perform(operation);
            world.assert_file_equals_model();
        }
    }
}
