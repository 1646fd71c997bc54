//! Writes the journal and the recording while the program runs: stores the inputs of every profile's tracker. At the
//! start, restores the last day, and the incidents that nobody acknowledged. Never waits for a disk, except in `flush`, `check_clears` and `close`, which have
//! timeouts. `store::history` reads the journal.
//!
//! ```text
//!   API response
//!     │ Input
//!     ▼
//!   ProfilePersistence::apply ──► tracker ──► encoder             pure, owned by the model
//!     │ Effect::Persist(profile, PersistenceCommand)
//!     ▼
//!   Persistence::run ──► journal's writer thread ──► SQLite       owned by the event loop
//!     │           └────► recording's writer thread ──► NDJSON
//!     ▼
//!   history thread: reads what earlier runs wrote
//!
//!   all these threads ── PersistenceEvent, one channel ──► event loop ──► Message::Persistence
//! ```
//!
//! [`ProfilePersistence`] is the model's state per profile: the encoder, the journal's scope, the time of the last
//! save, and the restore. [`Persistence`] is the event loop's state: the senders to the threads. The model decides, and
//! the loop forwards. The model cannot see that a writer has closed its segment, so the loop checks
//! [`Persistence::segments_to_start`] and lets the model start a new segment.

mod clear;
mod history_loader;
mod journal_sender;
mod profile;
mod restore;
mod summary;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use super::effect::Effect;
use super::model::Model;
use super::notice::NoticeLevel;
use super::profiles::ProfileId;
use crate::store::journal::{JournalConfig, JournalError, RunId, SessionSummary, StoredAlert};
use crate::store::recorder::{Recorder, RecordingFile, RecordingProblem};
use crate::store::{StreamEntry, StreamHeader};
use crate::terminal;
use history_loader::HistoryLoader;
use journal_sender::{JournalLoss, JournalSender};
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::tracker::SessionTracker;
pub(super) use profile::ProfilePersistence;
pub use restore::HistoryRequest;
use restore::Restore;

/// Maximum time to write all journals before the program is suspended.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);
/// Maximum time to find out at the end if the journals were cleared.
const LAST_CHECK_TIMEOUT: Duration = Duration::from_millis(100);
/// Maximum time to write the rest of all journals at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Capacity of the channel to the event loop.
const EVENT_CAPACITY: usize = 64;
/// The host that the journal stores if none is configured.
const PUBLIC_HOST: &str = "api.browserbase.com";

/// The files to write, and their header.
#[derive(Debug)]
pub struct PersistenceConfig {
    /// Header of the recording and of the journal's segments.
    pub header: StreamHeader,
    /// A new file for the recording.
    pub recording: Option<RecordingFile>,
    /// Path and retention of the journal.
    pub journal: Option<JournalConfig>,
}

impl PersistenceConfig {
    /// Returns true if anything is written.
    pub(super) fn is_enabled(&self) -> bool {
        self.recording.is_some() || self.journal.is_some()
    }

    /// Returns a new id for this run, if it has a journal.
    pub(super) fn new_run(&self) -> Option<RunId> {
        self.journal.is_some().then(|| RunId::new(self.header.started, fastrand::u64(..)))
    }
}

/// The run, profile and host that journal entries come from. Stored with every segment and every summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalScope {
    /// Id of this run of the program.
    pub run: RunId,
    /// Name of the profile, if there are several.
    pub profile: Option<String>,
    /// Host of the API.
    pub host: String,
}

/// A command for one profile.
#[derive(Clone, Debug, PartialEq)]
pub enum PersistenceCommand {
    /// Appends entries to the recording and to the journal's open segment.
    AppendEntries(Vec<StreamEntry>),
    /// Starts a new segment of the journal. Later entries do not refer to entries of earlier segments.
    StartSegment {
        /// The run, profile and host.
        scope: JournalScope,
        /// Start of the segment, by our wall clock.
        started: Timestamp,
    },
    /// Inserts these summaries into the journal, or replaces the earlier ones of the same sessions and run.
    SaveSummaries(Vec<SessionSummary>),
    /// Inserts these alerts into the journal, or merges them into the stored ones.
    SaveAlerts(Vec<StoredAlert>),
    /// Makes the journal's writer look for acknowledgements in other panes, because nothing else was written for a while.
    /// [`PersistenceEvent::AlertsAcknowledged`] returns them.
    CheckAcknowledgements,
    /// Tells the journal's writer the server's time, with which it measures the age of entries.
    SetServerTime {
        /// A moment on our clocks.
        now: Moment,
        /// The server's time at that moment.
        server: Timestamp,
    },
    /// Reads the entries of earlier runs. [`PersistenceEvent::HistoryLoaded`] returns the result.
    LoadHistory(Box<HistoryRequest>),
}

/// A message from one of the threads.
#[derive(Debug)]
pub enum PersistenceEvent {
    /// A file cannot be written, or can be written again.
    Warning(PersistenceWarning),
    /// The end of the last run of the same host and sessions: the newest entry that another run has written. Follows
    /// [`PersistenceCommand::LoadHistory`].
    LastRunEnded {
        /// The time, by this machine's wall clock.
        at: Timestamp,
    },
    /// The result of [`PersistenceCommand::LoadHistory`].
    HistoryLoaded {
        /// The profile of the command.
        profile: ProfileId,
        /// A tracker with the history of earlier runs; `None` if there is no history.
        tracker: Option<Box<SessionTracker>>,
        /// The alerts in the journal.
        alerts: Vec<StoredAlert>,
    },
    /// Another process has acknowledged alerts in the journal.
    AlertsAcknowledged {
        /// The profile whose writer noticed.
        profile: ProfileId,
        /// All acknowledged alerts in the journal, of all hosts.
        alerts: Vec<StoredAlert>,
    },
}

/// The change of the header's label. The header shows the label while a problem lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarningLabel {
    /// Shows this label.
    Show(&'static str),
    /// Hides the label, because the problem is over.
    Hide,
    /// Changes nothing: the message is about no lasting problem.
    Keep,
}

/// A message about writing to the disk, for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistenceWarning {
    /// The change of the header's label.
    pub label: WarningLabel,
    /// A sentence for the notice.
    pub message: String,
}

impl PersistenceWarning {
    /// Returns a warning that the log file cannot be written.
    pub(super) fn log(message: String) -> Self {
        Self { label: WarningLabel::Show("not logging"), message }
    }

    fn recording(problem: &RecordingProblem) -> Self {
        let is_lost = matches!(problem, RecordingProblem::Lost { .. });
        let label = if is_lost { "recording lost" } else { "not recording" };
        Self { label: WarningLabel::Show(label), message: problem.to_string() }
    }

    fn journal(error: &JournalError) -> Self {
        let label = match error {
            JournalError::Slow { .. } => WarningLabel::Show("journal slow"),
            JournalError::ClockJump { .. } => WarningLabel::Keep,
            _ if error.is_ongoing() => WarningLabel::Show("journal off"),
            _ => WarningLabel::Hide, // the journal can be written again
        };
        Self { label, message: error.to_string() }
    }

    fn loss_begins(loss: JournalLoss) -> Self {
        let message =
            format!("the journal is behind, and lacks {loss} so far: the disk is too slow, or full");
        Self { label: WarningLabel::Show("journal behind"), message }
    }

    fn loss_ends(loss: JournalLoss) -> Self {
        let message = format!("the journal is no longer behind, but lacks {loss}");
        Self { label: WarningLabel::Hide, message }
    }
}

/// Sends events from the threads to the event loop. Sending never blocks: if the channel is full, a new thread waits
/// for room.
#[derive(Clone, Debug)]
pub(super) struct PersistenceEventSender(mpsc::Sender<PersistenceEvent>);

impl PersistenceEventSender {
    /// Returns the sender for the threads, and the receiver for the event loop.
    pub(super) fn channel() -> (Self, mpsc::Receiver<PersistenceEvent>) {
        let (sender, receiver) = mpsc::channel(EVENT_CAPACITY);
        (Self(sender), receiver)
    }

    /// Sends a warning.
    pub(super) fn warn(&self, warning: PersistenceWarning) {
        self.send(PersistenceEvent::Warning(warning));
    }

    fn send(&self, event: PersistenceEvent) {
        terminal::send_nonblocking(&self.0, event);
    }
}

/// The senders to the threads: those that write the recording and the journals, and those that read the history.
#[derive(Debug)]
pub(super) struct Persistence {
    header: StreamHeader,
    recorder: Option<Recorder>,
    /// Empty without a journal. Each profile has a writer of its own, so that no profile waits for another.
    journals: BTreeMap<ProfileId, JournalSender>,
    /// `None` without a journal.
    history: Option<HistoryLoader>,
    clock: Clock,
}

impl Persistence {
    /// Starts the writer threads of the recording and of the journals of these profiles.
    pub(super) fn start(
        config: PersistenceConfig,
        profiles: impl Iterator<Item = ProfileId>,
        clock: &Clock,
        event_sender: &PersistenceEventSender,
    ) -> io::Result<Self> {
        let PersistenceConfig { header, recording, journal } = config;
        let recorder_sender = event_sender.clone();
        let on_problem = move |problem: &RecordingProblem| {
            tracing::warn!("{problem}");
            recorder_sender.warn(PersistenceWarning::recording(problem));
        };
        let recorder = recording.map(|file| Recorder::start(file, header.clone(), on_problem)).transpose()?;
        let (mut journals, mut history) = (BTreeMap::new(), None);
        if let Some(journal) = journal {
            let start = |id| (id, JournalSender::start(id, &journal, clock, event_sender.clone()));
            journals.extend(profiles.map(start));
            history = Some(HistoryLoader::new(journal.path, clock.clone(), event_sender.clone()));
        }
        Ok(Self { header, recorder, journals, history, clock: clock.clone() })
    }

    /// Performs one command for one profile. Never waits for a disk.
    pub(super) fn run(&mut self, profile: ProfileId, command: PersistenceCommand) {
        match command {
            PersistenceCommand::AppendEntries(entries) => {
                if let Some(journal) = self.journals.get_mut(&profile) {
                    journal.append(&entries);
                }
                if let Some(recorder) = &mut self.recorder {
                    recorder.write(entries); // reports a problem itself
                }
            }
            PersistenceCommand::StartSegment { scope, started } => {
                if let Some(journal) = self.journals.get_mut(&profile) {
                    journal.start_segment(scope, started, &self.header);
                }
            }
            PersistenceCommand::SaveSummaries(summaries) => {
                if let Some(journal) = self.journals.get_mut(&profile) {
                    journal.save(summaries);
                }
            }
            PersistenceCommand::SaveAlerts(alerts) => {
                if let Some(journal) = self.journals.get_mut(&profile) {
                    journal.save_alerts(alerts);
                }
            }
            PersistenceCommand::CheckAcknowledgements => {
                if let Some(journal) = self.journals.get(&profile) {
                    journal.check_acknowledgements();
                }
            }
            PersistenceCommand::SetServerTime { now, server } => {
                if let Some(journal) = self.journals.get(&profile) {
                    journal.set_server_time(now, server);
                }
            }
            PersistenceCommand::LoadHistory(request) => {
                if let Some(history) = &self.history {
                    history.load(profile, *request);
                }
            }
        }
    }

    /// Returns the profiles whose journal needs a new segment and has room for it in the writer's queue. If the journal
    /// was cleared since the last segment, also returns the moment of the clear.
    pub(super) fn segments_to_start(&mut self) -> Vec<(ProfileId, Option<Moment>)> {
        let ready = self.journals.iter_mut().filter(|(_, journal)| journal.is_ready_for_segment());
        ready.map(|(profile, journal)| (*profile, journal.acknowledge_clear())).collect()
    }

    /// Waits briefly until the journals are written, before the program is suspended.
    pub(super) fn flush(&mut self) {
        self.flush_within(FLUSH_TIMEOUT);
    }

    /// Waits briefly until the writers have found out if the journals were cleared. Called before the last data is sent.
    pub(super) fn check_clears(&mut self) {
        self.flush_within(LAST_CHECK_TIMEOUT);
    }

    /// Waits until all journals are written, but no longer than `timeout` in all. The rest is written later.
    fn flush_within(&mut self, timeout: Duration) {
        let deadline = Deadline::after(timeout, &self.clock);
        let flushes: Vec<_> = self.journals.values().filter_map(JournalSender::start_flush).collect();
        for flush_receiver in flushes {
            let _ = flush_receiver.recv_timeout(deadline.remaining());
        }
    }

    /// Waits briefly until everything is written. All writers have the same deadline. Returns sentences for the user: the
    /// first problem of the recording, and what the journals lack.
    pub(super) fn close(self) -> Vec<String> {
        let Self { recorder, mut journals, clock, .. } = self;
        let deadline = Deadline::after(CLOSE_TIMEOUT, &clock);
        let recorder = recorder.map(Recorder::start_close);
        journals.values_mut().for_each(JournalSender::start_close);
        let loss: JournalLoss =
            journals.into_values().map(|journal| journal.close(deadline.remaining())).sum();
        let problem = recorder.and_then(Recorder::finish).map(|problem| problem.to_string()); // waits briefly
        let loss_sentence = (!loss.is_empty()).then(|| {
            format!("the journal lacks {loss}: its file was busy, or the disk too slow, when keepwatch ended or before")
        });
        problem.into_iter().chain(loss_sentence).collect()
    }
}

/// The end of a period, on the monotonic clock.
struct Deadline<'c> {
    clock: &'c Clock,
    at: Duration,
}

impl<'c> Deadline<'c> {
    fn after(timeout: Duration, clock: &'c Clock) -> Self {
        Self { clock, at: clock.now().mono.saturating_add(timeout) }
    }

    fn remaining(&self) -> Duration {
        // promise: common-deadline, mutant: self.at.saturating_sub(self.clock.now().mono) -> Duration::from_millis(200)
        self.at.saturating_sub(self.clock.now().mono)
    }
}

impl Model {
    /// Stores the inputs of all trackers from now on. `run` is `None` if there is no journal. With a journal, also saves
    /// summaries to it, and restores the history of earlier runs from it.
    pub(super) fn enable_persistence(&mut self, run: Option<&RunId>, hides_metadata: bool, now: Moment) {
        for id in self.profiles.ids() {
            let restore = run.map(|_| Restore::new(&self.settings));
            let name = self.profiles.label(id).map(str::to_owned);
            let profile = self.profiles.get_mut(id);
            let scope = run.map(|run| JournalScope {
                run: run.clone(),
                profile: name.clone(),
                host: profile.info.host.clone().unwrap_or_else(|| PUBLIC_HOST.into()),
            });
            let journal = scope.zip(restore);
            profile.persistence = Some(ProfilePersistence::new(name, hides_metadata, journal, now));
        }
    }

    /// Returns the effects that start a new segment of a profile's journal. `cleared_at` is the moment of the newest
    /// clear of the journal, if there was one since the last segment.
    pub(super) fn start_segment(
        &mut self,
        profile: ProfileId,
        cleared_at: Option<Moment>,
        now: Moment,
    ) -> Vec<Effect> {
        let state = self.profiles.get_mut(profile);
        let Some(persistence) = &mut state.persistence else { return Vec::new() };
        effects(profile, persistence.start_segment(&state.tracker, cleared_at, now)).collect()
    }

    /// Returns the effects that complete the recording and the journals at the end of the program.
    pub(super) fn finish_persistence(&mut self) -> Vec<Effect> {
        let mut all = Vec::new();
        for profile in self.profiles.ids() {
            let state = self.profiles.get_mut(profile);
            if let Some(persistence) = &mut state.persistence {
                all.extend(effects(profile, persistence.finish(&state.tracker)));
            }
        }
        all
    }

    /// Shows a warning from a thread to the user, restores a profile from its loaded history, or adds the acknowledgements
    /// of other panes.
    pub(super) fn on_persistence_event(&mut self, event: PersistenceEvent, now: Moment) -> Vec<Effect> {
        match event {
            PersistenceEvent::Warning(PersistenceWarning { label, message }) => {
                let is_over = label == WarningLabel::Hide;
                self.notify(now, if is_over { NoticeLevel::Info } else { NoticeLevel::Error }, message);
                match label {
                    WarningLabel::Show(label) => self.persistence_warning = Some(label),
                    WarningLabel::Hide => self.persistence_warning = None,
                    WarningLabel::Keep => {}
                }
                Vec::new()
            }
            PersistenceEvent::LastRunEnded { at } => {
                self.on_last_run_ended(at);
                self.update_title().into_iter().collect()
            }
            PersistenceEvent::HistoryLoaded { profile, tracker, alerts } => {
                let mut effects = self.add_stored_alerts(profile, &alerts, now);
                effects.extend(self.restore(profile, tracker, &alerts));
                effects
            }
            PersistenceEvent::AlertsAcknowledged { profile, mut alerts } => {
                let persistence = self.profiles.get(profile).persistence.as_ref();
                let host = persistence.and_then(ProfilePersistence::host);
                alerts.retain(|alert| Some(alert.host.as_str()) == host);
                self.add_stored_alerts(profile, &alerts, now)
            }
        }
    }

    /// Adds the acknowledgements among the stored alerts of a profile's host. Returns the effects.
    fn add_stored_alerts(&mut self, profile: ProfileId, alerts: &[StoredAlert], now: Moment) -> Vec<Effect> {
        let server_time = self.profiles.get(profile).tracker.clock().at(now);
        if !self.acknowledged.add_stored(profile, alerts, server_time) {
            return Vec::new();
        }
        self.acknowledged.limit(profile, &self.profiles.get(profile).tracker);
        self.rebuild_rows();
        self.update_title().into_iter().collect()
    }
}

/// Returns the effects that perform `commands`.
pub(super) fn effects(profile: ProfileId, commands: Vec<PersistenceCommand>) -> impl Iterator<Item = Effect> {
    commands.into_iter().map(move |command| Effect::Persist(profile, command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::header;
    use keepwatch_core::testing::moment;

    const PROFILE_COUNT: u32 = 20;

    /// Starts a journal for each of many profiles. The caller holds a lock that all writers wait for. Each writer has one
    /// segment to write.
    fn start_stuck_journals(path: &std::path::Path) -> Persistence {
        let config = PersistenceConfig {
            header: header(),
            recording: None,
            journal: Some(JournalConfig { path: path.to_owned(), retention: Duration::from_secs(86_400) }),
        };
        let (sender, _receiver) = PersistenceEventSender::channel();
        let profiles: Vec<ProfileId> = ProfileId::first(PROFILE_COUNT as usize).collect();
        let mut persistence =
            Persistence::start(config, profiles.iter().copied(), &Clock::system(), &sender).unwrap();
        let run = RunId::new(moment(0).wall, 1);
        for profile in profiles {
            let scope = JournalScope { run: run.clone(), profile: None, host: "api.example".into() };
            persistence.run(profile, PersistenceCommand::StartSegment { scope, started: moment(0).wall });
        }
        persistence
    }

    #[test]
    fn stuck_journals_share_one_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        // A writer that moves a damaged file aside waits for this lock.
        std::fs::write(&path, "damaged").unwrap();
        let lock = std::fs::File::open(&path).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let mut persistence = start_stuck_journals(&path);
        // With a deadline for each journal, the waits would last `PROFILE_COUNT` times the timeout. The limits here are
        // smaller than that, but leave time for a busy machine.
        let clock = Clock::system();
        let flush_start = clock.now().mono;
        persistence.flush();
        let close_start = clock.now().mono;
        let flush_time = close_start.saturating_sub(flush_start);
        assert!(flush_time < FLUSH_TIMEOUT * PROFILE_COUNT / 2, "flushes share a deadline: {flush_time:?}");
        let sentence = persistence.close().concat();
        let close_time = clock.now().mono.saturating_sub(close_start);
        assert!(close_time < CLOSE_TIMEOUT * PROFILE_COUNT / 3, "closes share a deadline: {close_time:?}");
        // The segment of each journal counts as one entry.
        assert!(sentence.starts_with("the journal lacks 20 entries: "), "{sentence}");
    }
}
