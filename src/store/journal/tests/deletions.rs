//! Tests of deletions: deleted data stays deleted, and no other data is deleted.

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

/// Writes all messages, and waits until the writer has pruned the file, if a pruning is due. The writer prunes after it
/// has answered the first flush, so the second flush ends after the pruning.
fn flush_and_prune(harness: &mut TestJournal) {
    assert!(harness.flush() && harness.flush());
}

#[test]
fn nothing_is_written_before_clear_is_acknowledged() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:01")));
    flush_and_prune(&mut harness);
    clear(&harness.path(), time("12:00:00")).unwrap();
    // Even a whole new segment is dropped. This write finds the clear.
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..3, time("12:00:01"));
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:02")));
    assert!(harness.flush());
    // Now the writer knows of the clear, but the sender has not acknowledged it.
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
    // The second writer opens the file only when it writes: after the clear.
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
    // The sender does not acknowledge the clear, so this summary is dropped.
    let _ = harness.journal().write_summary(summary("s-1", run_id(1), time("12:00:02")));
    assert!(harness.flush());
    assert!(summarised(&harness.reader()).is_empty());
}

#[test]
fn size_pruning_deletes_summary_with_its_last_segment() {
    let mut harness = TestJournal::start(noon_clock());
    for (number, second) in [(1, "12:00:01"), (2, "12:00:02")] {
        let _ = harness.journal().begin_segment(segment(run_id(1), time(second)));
        let entry = JournalEntry {
            sessions: vec![id(&format!("only-{number}")), id("both")],
            ..entry(0, time(second))
        };
        let _ = harness.journal().write_entry(entry);
        let _ = harness.journal().write_summary(summary(&format!("only-{number}"), run_id(1), time(second)));
    }
    let _ = harness.journal().write_summary(summary("both", run_id(1), time("12:00:02")));
    flush_and_prune(&mut harness);
    let mut database = JournalDatabase::open(&harness.path()).unwrap();
    // A maximum of one byte deletes all finished segments. Here only the first segment is finished.
    prune(&mut database, None, DAY, 1).unwrap();
    assert_eq!(summarised(&harness.reader()), ["both", "only-2"]);
    // The writer does not write the deleted summary again.
    let _ = harness.journal().write_summary(summary("only-1", run_id(1), time("12:00:01")));
    let _ = harness.journal().write_summary(summary("new", run_id(1), time("12:00:03")));
    assert!(harness.flush());
    assert_eq!(summarised(&harness.reader()), ["both", "new", "only-2"]);
}

/// Opens a journal with one finished segment and one summary. Their newest data is from a second after noon. Sets the
/// wall clock of `clock` 60 days ahead.
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
fn wrong_wall_clock_deletes_nothing_for_an_hour() {
    let clock = noon_clock();
    let mut harness = journal_60_days_ahead(&clock);
    let _ = harness.journal().begin_segment(segment(run_id(2), clock.now().wall));
    flush_and_prune(&mut harness);
    assert_eq!(summarised(&harness.reader()), ["s-1"]);
    let JournalError::ClockJump { ahead } = harness.next_error() else {
        panic!("the clock jump is reported")
    };
    // The time of the newest data, a second after noon, is the trusted one.
    assert_eq!(ahead, DAY * 60 - Duration::from_secs(1));
    clock.advance(Duration::from_secs(3601));
    let _ = harness.journal().begin_segment(segment(run_id(2), clock.now().wall));
    flush_and_prune(&mut harness);
    assert!(summarised(&harness.reader()).is_empty(), "a jump that holds for an hour is trusted");
    assert!(harness.errors.try_recv().is_err(), "the jump is reported once");
}

#[test]
fn server_time_measures_age() {
    let clock = noon_clock();
    let mut harness = journal_60_days_ahead(&clock);
    harness.journal().set_server_time(clock.now(), time("12:00:10"));
    let _ = harness.journal().begin_segment(segment(run_id(2), clock.now().wall));
    flush_and_prune(&mut harness);
    assert_eq!(summarised(&harness.reader()), ["s-1"]);
    assert!(harness.errors.try_recv().is_err(), "no clock jump is reported");
}

#[test]
fn only_closed_file_is_truncated() {
    let mut harness = TestJournal::start(noon_clock());
    let _ = harness.journal().begin_segment(segment(run_id(1), time("12:00:00")));
    harness.write_entries(0..500, time("12:00:01"));
    flush_and_prune(&mut harness);
    let path = harness.path();
    let truncate = || super::super::clear::truncate(&path, time("12:00:05"), JournalError::Full);
    assert_eq!(truncate(), Err(JournalError::ClearNeedsRoom), "a file that a writer has open stays");
    assert_eq!(harness.reader().stats().unwrap().entries, 500);
    harness.shut_down();
    assert_eq!(truncate(), Ok(()));
    let stats = harness.reader().stats().unwrap();
    assert_eq!((stats.segments, stats.entries), (0, 0));
    // The file has only the schema. The entries took more.
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
    // The third summary replaces the first one, which has the same session.
    for (number, second) in [(1, "12:00:01"), (2, "12:00:01"), (1, "12:00:09")] {
        let summary = summary(&format!("s-{number}"), run_id(1), time(second));
        assert_eq!(journal.write_summary(summary), SendResult::Queued);
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
    // The segment counts as an entry.
    assert_eq!(journal.close(Duration::ZERO), Unwritten { entries: 2, sessions: SESSIONS });
}

#[test]
fn flush_writes_more_than_one_batch() {
    let mut harness = TestJournal::start(noon_clock());
    let row = summary("s", run_id(1), time("12:00:01"));
    // A transaction has at most 5000 summaries.
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

/// The number of a session in the property test.
type SessionNumber = u8;

/// One operation on the file, a second after the previous operation. `instance` is 0 or 1, the index of a running
/// keepwatch.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// An instance sends an entry and a summary of a session.
    Send { instance: usize, session: SessionNumber },
    /// An instance sends an alert of a session.
    SendAlert { instance: usize, session: SessionNumber, is_acknowledged: bool },
    /// An instance's writer writes its batch.
    Write { instance: usize },
    /// An instance starts a new segment, if it has none or if `is_forced`.
    StartSegment { instance: usize, is_forced: bool },
    /// An instance writes the rest and ends. Another one starts.
    Quit { instance: usize },
    /// An instance ends at once, and loses the messages that it has not written. Another one starts.
    Crash { instance: usize },
    /// Another process runs `keepwatch journal clear`.
    Clear,
    /// Prunes data that is older than this number of seconds.
    PruneByAge { seconds: u32 },
    /// Prunes with a maximum size of one byte, which deletes all finished segments.
    PruneBySize,
}

fn operation() -> impl Strategy<Value = Operation> {
    let instance = 0..2_usize;
    prop_oneof![
        8 => (instance.clone(), 0..4_u8)
            .prop_map(|(instance, session)| Operation::Send { instance, session }),
        4 => (instance.clone(), 0..4_u8, any::<bool>()).prop_map(|(instance, session, is_acknowledged)| {
            Operation::SendAlert { instance, session, is_acknowledged }
        }),
        5 => instance.clone().prop_map(|instance| Operation::Write { instance }),
        4 => (instance.clone(), any::<bool>())
            .prop_map(|(instance, is_forced)| Operation::StartSegment { instance, is_forced }),
        1 => instance.clone().prop_map(|instance| Operation::Quit { instance }),
        1 => instance.prop_map(|instance| Operation::Crash { instance }),
        1 => Just(Operation::Clear),
        1 => (0..20_u32).prop_map(|seconds| Operation::PruneByAge { seconds }),
        1 => Just(Operation::PruneBySize),
    ]
}

/// A segment that the file should have.
#[derive(Clone, Debug, Default)]
struct ExpectedSegment {
    run: u64,
    entries: Vec<u64>,
    mentions: BTreeSet<SessionNumber>,
    /// The second of the newest entry; of the start, if there is no entry.
    newest_second: u32,
    is_finished: bool,
}

/// The content that the file should have, and its marks of deletions.
#[derive(Debug, Default)]
struct ExpectedFile {
    segments: Vec<ExpectedSegment>,
    /// The second in which a session was last seen, for each session and run.
    summaries: BTreeMap<(SessionNumber, u64), u32>,
    /// The seconds in which a session's alert was raised and acknowledged.
    alerts: BTreeMap<SessionNumber, (u32, Option<u32>)>,
    /// Number of clears of the file.
    clears: u64,
    /// The second of the newest data that pruning has deleted.
    pruned: u32,
}

impl ExpectedFile {
    fn mentions(&self, session: SessionNumber, run: u64) -> bool {
        self.segments.iter().any(|segment| segment.run == run && segment.mentions.contains(&session))
    }

    /// Returns true if nothing but alerts is left of a session.
    fn has_only_alerts(&self, session: SessionNumber) -> bool {
        !self.segments.iter().any(|segment| segment.mentions.contains(&session))
            && !self.summaries.keys().any(|(summarised, _)| *summarised == session)
    }

    fn add_alert(&mut self, session: SessionNumber, (raised, acknowledged): (u32, Option<u32>)) {
        if raised <= self.pruned && self.has_only_alerts(session) {
            return;
        }
        let alert = self.alerts.entry(session).or_insert((raised, acknowledged));
        *alert = (alert.0.min(raised), alert.1.max(acknowledged));
    }

    /// Removes the alerts of sessions of which nothing else is left, and those from before `cutoff`.
    fn prune_alerts(&mut self, cutoff: u32) {
        let mut alerts = std::mem::take(&mut self.alerts);
        alerts.retain(|session, (raised, acknowledged)| {
            let is_pruned = *raised <= self.pruned && self.has_only_alerts(*session);
            !is_pruned && acknowledged.unwrap_or(0).max(*raised) >= cutoff
        });
        self.alerts = alerts;
    }

    fn clear(&mut self) {
        *self = Self { clears: self.clears + 1, pruned: self.pruned, ..Self::default() };
    }

    fn delete_finished_before(&mut self, cutoff: u32) {
        let is_deleted = |segment: &ExpectedSegment| segment.is_finished && segment.newest_second < cutoff;
        let (deleted, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.segments).into_iter().partition(is_deleted);
        self.segments = kept;
        for segment in deleted {
            self.pruned = self.pruned.max(segment.newest_second);
            for session in segment.mentions {
                if !self.mentions(session, segment.run) {
                    self.summaries.remove(&(session, segment.run));
                }
            }
        }
    }

    fn prune_by_age(&mut self, cutoff: u32) {
        let all = self.summaries.iter().map(|(key, last_seen)| (*key, *last_seen));
        let old: Vec<_> = all.filter(|(_, last_seen)| *last_seen < cutoff).collect();
        for ((session, run), last_seen) in old {
            self.summaries.remove(&(session, run));
            self.pruned = self.pruned.max(last_seen);
            for segment in self.segments.iter_mut().filter(|segment| segment.run == run) {
                segment.mentions.remove(&session);
            }
        }
        self.delete_finished_before(cutoff);
        self.prune_alerts(cutoff);
    }

    /// Returns the segments as `(run, is finished, entries)`.
    fn segments(&self) -> Vec<(RunId, bool, Vec<u64>)> {
        let columns =
            |segment: &ExpectedSegment| (run_id(segment.run), segment.is_finished, segment.entries.clone());
        let mut all: Vec<_> = self.segments.iter().map(columns).collect();
        all.sort();
        all
    }
}

/// A message that an instance has sent.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Segment { second: u32 },
    Entry { seq: u64, session: SessionNumber, second: u32 },
}

/// A running keepwatch: its sender and its writer, and the state that both should have.
struct Instance {
    run: u64,
    journal: Journal<Value>,
    writer: JournalWriter<Value, Value, fn(JournalError)>,
    /// The messages since the last write, without the summaries.
    sent: Vec<Sent>,
    /// The second of the newest summary of each session since the last write.
    sent_summaries: BTreeMap<SessionNumber, u32>,
    /// The alerts since the last write.
    sent_alerts: Vec<(SessionNumber, (u32, Option<u32>))>,
    next_seq: u64,
    /// Number of clears that the sender knows of.
    sender_clears: u64,
    /// Number of clears that the writer knows of.
    writer_clears: u64,
    /// True if the sender has an open segment.
    has_sender_segment: bool,
    /// True if the writer has an open segment in the file.
    has_writer_segment: bool,
}

/// Returns the time this many seconds after noon.
fn at_second(second: u32) -> Timestamp {
    saturating_add(time("12:00:00"), Duration::from_secs(second.into()))
}

impl Instance {
    fn start(path: &Path, clock: &Clock, run: u64, file: &ExpectedFile) -> Self {
        let on_error: fn(JournalError) = |error| panic!("{error:?}");
        let (journal, mut writer) =
            Journal::with_writer(path.to_owned(), JournalOptions::new(clock.clone()), on_error);
        // Opens the file and reads its marks, as the writer thread does first.
        writer.receive_all().unwrap();
        writer.write(false);
        Self {
            run,
            journal,
            writer,
            sent: Vec::new(),
            sent_summaries: BTreeMap::new(),
            sent_alerts: Vec::new(),
            next_seq: 0,
            sender_clears: file.clears,
            writer_clears: file.clears,
            has_sender_segment: false,
            has_writer_segment: false,
        }
    }

    fn start_segment(&mut self, second: u32) {
        let is_clear_new = self.sender_clears < self.writer_clears;
        assert_eq!(self.journal.acknowledge_clear().is_some(), is_clear_new);
        assert_eq!(
            self.journal.begin_segment(segment(run_id(self.run), at_second(second))),
            SendResult::Queued
        );
        self.sender_clears = self.writer_clears;
        self.has_sender_segment = true;
        self.sent.push(Sent::Segment { second });
    }

    fn send(&mut self, session: SessionNumber, second: u32) {
        let name = format!("s-{session}");
        let seq = self.next_seq;
        let entry = JournalEntry { sessions: vec![id(&name)], ..entry(seq, at_second(second)) };
        let is_queued = self.journal.write_entry(entry) == SendResult::Queued;
        assert_eq!(is_queued, self.has_sender_segment);
        if is_queued {
            self.next_seq += 1;
            self.sent.push(Sent::Entry { seq, session, second });
        }
        let summary = summary(&name, run_id(self.run), at_second(second));
        assert_eq!(self.journal.write_summary(summary), SendResult::Queued);
        // The summary of a sender that has not acknowledged a clear is dropped.
        if self.sender_clears == self.writer_clears {
            self.sent_summaries.insert(session, second);
        }
    }

    /// Sends an alert that is raised at this second, and acknowledged at once or not.
    fn send_alert(&mut self, session: SessionNumber, second: u32, is_acknowledged: bool) {
        let acknowledged = is_acknowledged.then_some(second);
        let stored = alerts::alert(&format!("s-{session}"), at_second(second), acknowledged.map(at_second));
        assert_eq!(self.journal.write_alert(stored), SendResult::Queued);
        // The alert of a sender that has not acknowledged a clear is dropped.
        if self.sender_clears == self.writer_clears {
            self.sent_alerts.push((session, (second, acknowledged)));
        }
    }

    /// Writes the batch, and applies the same messages to `file`.
    fn write(&mut self, file: &mut ExpectedFile, is_closing: bool) {
        self.writer.receive_all().unwrap();
        self.writer.write(is_closing);
        let (sent, summaries) = (std::mem::take(&mut self.sent), std::mem::take(&mut self.sent_summaries));
        let sent_alerts = self.sent_alerts.drain(..).fold(BTreeMap::new(), |mut all, (session, alert)| {
            let (raised, acknowledged): (u32, Option<u32>) = alert;
            let queued = all.entry(session).or_insert(alert);
            *queued = (queued.0.min(raised), queued.1.max(acknowledged));
            all
        });
        if self.writer_clears < file.clears {
            // This write finds a clear, of which the sender knew nothing. So everything that it sent is dropped.
            self.writer_clears = file.clears;
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
        for (session, alert) in sent_alerts {
            file.add_alert(session, alert);
        }
        if is_closing {
            self.finish_segment(file);
        }
    }

    fn write_message(&mut self, file: &mut ExpectedFile, message: Sent) {
        match message {
            Sent::Segment { second } => {
                self.finish_segment(file);
                file.segments.push(ExpectedSegment {
                    run: self.run,
                    newest_second: second,
                    ..ExpectedSegment::default()
                });
                self.has_writer_segment = true;
            }
            Sent::Entry { seq, session, second } => {
                if let Some(segment) = self.open_segment(file) {
                    segment.entries.push(seq);
                    segment.mentions.insert(session);
                    segment.newest_second = second;
                }
            }
        }
    }

    fn open_segment<'f>(&self, file: &'f mut ExpectedFile) -> Option<&'f mut ExpectedSegment> {
        let is_open = |segment: &&mut ExpectedSegment| segment.run == self.run && !segment.is_finished;
        file.segments.iter_mut().find(is_open).filter(|_| self.has_writer_segment)
    }

    fn finish_segment(&mut self, file: &mut ExpectedFile) {
        if let Some(segment) = self.open_segment(file) {
            segment.is_finished = true;
        }
        self.has_writer_segment = false;
    }
}

/// The file, the two instances that write it, and the content that it should have.
struct World {
    _folder: tempfile::TempDir,
    path: PathBuf,
    clock: Clock,
    instances: Vec<Instance>,
    file: ExpectedFile,
    /// Seconds since noon.
    second: u32,
    /// Number of runs so far.
    runs: u64,
}

impl World {
    fn new() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), noon_clock());
        let path = folder.path().join("journal.sqlite");
        let file = ExpectedFile::default();
        let instances = (0..2).map(|run| Instance::start(&path, &clock, run, &file)).collect();
        Self { _folder: folder, path, clock, instances, file, second: 0, runs: 2 }
    }

    fn perform(&mut self, operation: Operation) {
        self.second += 1;
        self.clock.advance(Duration::from_secs(1));
        let second = self.second;
        match operation {
            Operation::Send { instance, session } => self.instances[instance].send(session, second),
            Operation::SendAlert { instance, session, is_acknowledged } => {
                self.instances[instance].send_alert(session, second, is_acknowledged);
            }
            Operation::Write { instance } => self.instances[instance].write(&mut self.file, false),
            Operation::StartSegment { instance, is_forced } => {
                if is_forced || !self.instances[instance].has_sender_segment {
                    self.instances[instance].start_segment(second);
                }
            }
            Operation::Quit { instance } => {
                self.instances[instance].write(&mut self.file, true);
                self.replace_instance(instance);
            }
            Operation::Crash { instance } => self.replace_instance(instance),
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
                self.file.prune_alerts(0);
            }
        }
    }

    fn replace_instance(&mut self, instance: usize) {
        self.instances[instance] = Instance::start(&self.path, &self.clock, self.runs, &self.file);
        self.runs += 1;
    }

    fn database(&self) -> JournalDatabase {
        JournalDatabase::open(&self.path).unwrap()
    }

    fn assert_file_is_as_expected(&self) {
        let reader = JournalReader::open(&self.path).unwrap().unwrap();
        let segments = reader.segments(Timestamp::UNIX_EPOCH, SegmentFilter::All).unwrap();
        let columns =
            |segment: &StoredSegment| (segment.run.clone(), segment.is_finished, seqs(&reader, segment.id));
        let mut found: Vec<_> = segments.iter().map(columns).collect();
        found.sort();
        assert_eq!(found, self.file.segments());
        let found = reader.alerts("api.example").unwrap();
        let found: BTreeMap<_, _> = found
            .into_iter()
            .map(|alert| (alert.session.raw().to_owned(), (alert.raised, alert.acknowledged)))
            .collect();
        let expected = self.file.alerts.iter().map(|(session, (raised, acknowledged))| {
            (format!("s-{session}"), (at_second(*raised), acknowledged.map(at_second)))
        });
        assert_eq!(found, expected.collect::<BTreeMap<_, _>>());
        let found = reader.summaries(Timestamp::UNIX_EPOCH).unwrap();
        let found: BTreeSet<_> =
            found.into_iter().map(|row| (row.session.raw().to_owned(), row.run, row.last_seen)).collect();
        let expected = self.file.summaries.iter();
        let expected: BTreeSet<_> = expected
            .map(|((session, run), last_seen)| (format!("s-{session}"), run_id(*run), at_second(*last_seen)))
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
            world.assert_file_is_as_expected();
        }
    }
}
