//! Writes the journal and the recording while the program runs: stores the inputs of every profile's tracker. At the
//! start, restores the last day. Never waits for a disk, except in `flush` and `close`, both with a timeout.
//! `store::history` reads the journal.
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
//! [`Persistence::profiles_needing_segment`] and lets the model start a new segment.

mod history_loader;
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
use crate::store::journal::{
    Journal, JournalConfig, JournalEntry, JournalError, JournalOptions, RunId, Segment, SendResult,
    SessionSummary,
};
use crate::store::recorder::{Recorder, RecordingFile, RecordingProblem};
use crate::store::{StreamEntry, StreamHeader};
use crate::terminal;
use history_loader::HistoryLoader;
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::tracker::SessionTracker;
pub(super) use profile::ProfilePersistence;
pub use restore::HistoryRequest;
use restore::Restore;

/// Maximum time to write one profile's journal before the program is suspended.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);
/// Estimated size of a segment's header, in bytes.
const HEADER_SIZE: usize = 500;
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
    /// Inserts or replaces these rows of `keepwatch history`.
    SaveSummaries(Vec<SessionSummary>),
    /// Reads the entries of earlier runs. [`PersistenceEvent::HistoryLoaded`] returns the result.
    LoadHistory(HistoryRequest),
}

/// A message from one of the threads.
#[derive(Debug)]
pub enum PersistenceEvent {
    /// A file cannot be written, or can be written again.
    Warning(PersistenceWarning),
    /// The result of [`PersistenceCommand::LoadHistory`].
    HistoryLoaded {
        /// The profile of the command.
        profile: ProfileId,
        /// A tracker with the history of earlier runs; `None` if there is no history.
        tracker: Option<Box<SessionTracker>>,
    },
}

/// A message about writing to the disk, for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistenceWarning {
    /// A short label that the header shows while the problem lasts; `None` if the problem is over.
    pub label: Option<&'static str>,
    /// A sentence for the notice.
    pub message: String,
}

impl PersistenceWarning {
    /// Returns a warning that the log file cannot be written.
    pub(super) fn log(message: String) -> Self {
        Self { label: Some("not logging"), message }
    }

    fn recording(problem: &RecordingProblem) -> Self {
        let is_lost = matches!(problem, RecordingProblem::Lost { .. });
        let label = if is_lost { "recording lost" } else { "not recording" };
        Self { label: Some(label), message: problem.to_string() }
    }

    fn journal(error: &JournalError) -> Self {
        let label = if matches!(error, JournalError::Slow { .. }) { "journal slow" } else { "journal off" };
        Self { label: error.is_ongoing().then_some(label), message: error.to_string() }
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

    fn history_loaded(&self, profile: ProfileId, tracker: Option<Box<SessionTracker>>) {
        self.send(PersistenceEvent::HistoryLoaded { profile, tracker });
    }

    fn send(&self, event: PersistenceEvent) {
        terminal::send_nonblocking(&self.0, event);
    }
}

/// The senders to the threads that write the recording and the journals and that read the history.
#[derive(Debug)]
pub(super) struct Persistence {
    header: StreamHeader,
    recorder: Option<Recorder>,
    /// Empty without a journal. Each profile has a writer of its own, so that no profile waits for another.
    journals: BTreeMap<ProfileId, ProfileJournal>,
    /// `None` without a journal.
    history: Option<HistoryLoader>,
}

/// The sender to the writer of one profile's journal.
#[derive(Debug)]
struct ProfileJournal {
    journal: Journal<StreamEntry, StreamHeader>,
    /// True before the first segment, and after the journal has dropped a segment or an entry. The journal drops
    /// entries if its queue is full, or if its writer has closed the segment.
    needs_segment: bool,
}

impl ProfileJournal {
    fn start(config: &JournalConfig, clock: &Clock, event_sender: PersistenceEventSender) -> Self {
        let mut options = JournalOptions::new(clock.clone());
        options.retention = config.retention;
        let journal = Journal::spawn(config.path.clone(), options, move |error| {
            tracing::warn!("{error}");
            event_sender.warn(PersistenceWarning::journal(&error));
        });
        Self { journal, needs_segment: true }
    }

    fn start_segment(&mut self, scope: JournalScope, started: Timestamp, header: &StreamHeader) {
        let JournalScope { run, profile, host } = scope;
        let header = StreamHeader { started, ..header.clone() };
        let segment = Segment { run, started, profile, host, header, estimated_size: HEADER_SIZE };
        self.needs_segment = self.journal.begin_segment(segment) == SendResult::Dropped;
    }

    fn append(&mut self, entries: &[StreamEntry]) {
        if self.needs_segment {
            return;
        }
        for stream_entry in entries {
            let entry = JournalEntry {
                seq: stream_entry.seq,
                at: stream_entry.at,
                estimated_size: stream_entry.estimated_size(),
                sessions: stream_entry.mentioned_sessions().cloned().collect(),
                projects: stream_entry.mentioned_projects().cloned().collect(),
                body: stream_entry.clone(),
            };
            if self.journal.write_entry(entry) == SendResult::Dropped {
                self.needs_segment = true;
                return;
            }
        }
    }
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
            let start = |id| (id, ProfileJournal::start(&journal, clock, event_sender.clone()));
            journals.extend(profiles.map(start));
            history = Some(HistoryLoader::new(journal.path, clock.clone(), event_sender.clone()));
        }
        Ok(Self { header, recorder, journals, history })
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
                let Some(ProfileJournal { journal, .. }) = self.journals.get_mut(&profile) else { return };
                // promise: summaries, mutant: in summaries -> in summaries.into_iter().filter(|it| !it.session.raw().ends_with("77"))
                for summary in summaries {
                    // A summary that does not fit into the queue is sent again after the session's next response.
                    let _ = journal.write_summary(summary);
                }
            }
            PersistenceCommand::LoadHistory(request) => {
                if let Some(history) = &self.history {
                    history.load(profile, request);
                }
            }
        }
    }

    /// Returns the profiles whose journal needs a new segment and has room for it in the writer's queue.
    pub(super) fn profiles_needing_segment(&self) -> Vec<ProfileId> {
        let is_ready = |journal: &ProfileJournal| journal.needs_segment && journal.journal.has_room();
        let journals = self.journals.iter().filter(|(_, journal)| is_ready(journal));
        journals.map(|(profile, _)| *profile).collect()
    }

    /// Waits briefly until the journals are written, before the program is suspended.
    pub(super) fn flush(&mut self) {
        for ProfileJournal { journal, .. } in self.journals.values_mut() {
            let _ = journal.flush(FLUSH_TIMEOUT); // after a timeout, the rest is written later
        }
    }

    /// Waits briefly until everything is written. Returns sentences for the user: the first problem of the recording,
    /// and that a journal was not written to its end.
    pub(super) fn close(self) -> Vec<String> {
        let Self { recorder, journals, .. } = self;
        let problem = recorder.and_then(Recorder::finish).map(|problem| problem.to_string());
        let unwritten: usize = journals.into_values().map(|journal| journal.journal.close()).sum();
        let lacking = (unwritten > 0).then(|| {
            format!(
                "the journal lacks the last {unwritten} of its entries: its file was busy, or the disk too slow, when keepwatch ended"
            )
        });
        problem.into_iter().chain(lacking).collect()
    }
}

impl Model {
    /// Stores the inputs of all trackers from now on. If `run` is given, there is a journal: summaries are saved in it,
    /// too, and the history of earlier runs is restored from it.
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

    /// Returns the effects that start a new segment of a profile's journal.
    pub(super) fn start_segment(&mut self, profile: ProfileId, now: Moment) -> Vec<Effect> {
        let persistence = &mut self.profiles.get_mut(profile).persistence;
        let commands = persistence.as_mut().map(|state| state.start_segment(now)).unwrap_or_default();
        effects(profile, commands).collect()
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

    /// Shows a warning from a thread to the user, or restores a profile from its loaded history.
    pub(super) fn on_persistence_event(&mut self, event: PersistenceEvent, now: Moment) -> Vec<Effect> {
        match event {
            PersistenceEvent::Warning(PersistenceWarning { label, message }) => {
                self.notify(
                    now,
                    if label.is_some() { NoticeLevel::Error } else { NoticeLevel::Info },
                    message,
                );
                self.persistence_warning = label;
                Vec::new()
            }
            PersistenceEvent::HistoryLoaded { profile, tracker } => self.restore(profile, tracker),
        }
    }
}

/// Returns the effects that perform `commands`.
pub(super) fn effects(profile: ProfileId, commands: Vec<PersistenceCommand>) -> impl Iterator<Item = Effect> {
    commands.into_iter().map(move |command| Effect::Persist(profile, command))
}
