//! The sender to the writer of one profile's journal. Counts what the writer's queue had no room for, and tells the user.

use std::iter::Sum;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::{JournalScope, PersistenceEvent, PersistenceEventSender, PersistenceWarning};
use crate::store::journal::{
    AcknowledgementListener, Journal, JournalConfig, JournalEntry, JournalOptions, Segment, SendResult,
    SessionSummary, StoredAlert,
};
use crate::store::{StreamEntry, StreamHeader};
use crate::tui::profiles::ProfileId;
use keepwatch_core::clock::{Clock, Moment, Timestamp};

/// Estimated size of a segment's header, in bytes.
const HEADER_SIZE: usize = 500;

/// The data that a journal lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct JournalLoss {
    /// Number of entries.
    pub(super) entries: usize,
    /// Number of sessions whose newest summary is missing.
    pub(super) sessions: usize,
}

impl JournalLoss {
    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl Sum for JournalLoss {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, loss| Self {
            entries: sum.entries.saturating_add(loss.entries),
            sessions: sum.sessions.saturating_add(loss.sessions),
        })
    }
}

impl std::fmt::Display for JournalLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counted =
            |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let entries = counted(self.entries, "entry", "entries");
        let sessions = counted(self.sessions, "session", "sessions");
        match (self.entries, self.sessions) {
            (_, 0) => write!(f, "{entries}"),
            (0, _) => write!(f, "the newest state of {sessions}"),
            _ => write!(f, "{entries} and the newest state of {sessions}"),
        }
    }
}

/// The sender to the writer of one profile's journal.
#[derive(Debug)]
pub(super) struct JournalSender {
    journal: Journal<StreamEntry, StreamHeader>,
    /// The number of entries that the queue had no room for.
    lost_entries: usize,
    /// True from the first loss until the queue has room again.
    is_behind: bool,
    event_sender: PersistenceEventSender,
}

impl JournalSender {
    /// Starts the writer of the journal of `profile`.
    pub(super) fn start(
        profile: ProfileId,
        config: &JournalConfig,
        clock: &Clock,
        event_sender: PersistenceEventSender,
    ) -> Self {
        let mut options = JournalOptions::new(clock.clone());
        options.retention = config.retention;
        let acknowledgement_sender = event_sender.clone();
        options.acknowledgement_listener = Some(AcknowledgementListener::new(move |alerts| {
            acknowledgement_sender.send(PersistenceEvent::AlertsAcknowledged { profile, alerts });
        }));
        let error_sender = event_sender.clone();
        let journal = Journal::spawn(config.path.clone(), options, move |error| {
            tracing::warn!("{error}");
            error_sender.warn(PersistenceWarning::journal(&error));
        });
        Self { journal, lost_entries: 0, is_behind: false, event_sender }
    }

    /// Returns true if the journal needs a new segment, and has room for it.
    pub(super) fn is_ready_for_segment(&self) -> bool {
        self.journal.needs_segment() && self.journal.has_room()
    }

    /// Returns the moment of the newest clear of the journal, once.
    pub(super) fn acknowledge_clear(&mut self) -> Option<Moment> {
        self.journal.acknowledge_clear()
    }

    /// Tells the writer the server's time.
    pub(super) fn set_server_time(&self, now: Moment, server: Timestamp) {
        self.journal.set_server_time(now, server);
    }

    /// Starts a segment. If the queue has no room, drops the segment: the event loop starts another one later.
    pub(super) fn start_segment(&mut self, scope: JournalScope, started: Timestamp, header: &StreamHeader) {
        let JournalScope { run, profile, host } = scope;
        let header = StreamHeader { started, ..header.clone() };
        let segment = Segment { run, started, profile, host, header, estimated_size: HEADER_SIZE };
        let _ = self.journal.begin_segment(segment);
    }

    /// Appends entries to the open segment. If no segment is open, drops the entries.
    pub(super) fn append(&mut self, entries: &[StreamEntry]) {
        let queued = entries.iter().take_while(|entry| self.append_entry(entry)).count();
        let dropped = entries.len().saturating_sub(queued);
        // Only a full queue is a problem of the disk, about which the user must know. Entries are also dropped after a
        // clear, until a new segment starts.
        let lost = if self.journal.is_full() { dropped } else { 0 };
        self.lost_entries = self.lost_entries.saturating_add(lost);
        self.report_loss(lost > 0);
    }

    fn append_entry(&mut self, entry: &StreamEntry) -> bool {
        let entry = JournalEntry {
            seq: entry.seq,
            at: entry.at,
            estimated_size: entry.estimated_size(),
            sessions: entry.mentioned_sessions().cloned().collect(),
            projects: entry.mentioned_projects().cloned().collect(),
            body: entry.clone(),
        };
        self.journal.write_entry(entry) == SendResult::Queued
    }

    /// Saves summaries.
    pub(super) fn save(&mut self, summaries: Vec<SessionSummary>) {
        let mut has_lost = false;
        // promise: summaries, mutant: in summaries -> in summaries.into_iter().filter(|it| !it.session.raw().ends_with("77"))
        for summary in summaries {
            has_lost |= self.journal.write_summary(summary) == SendResult::Dropped;
        }
        self.report_loss(has_lost && !self.journal.is_closed());
    }

    /// Saves alerts.
    pub(super) fn save_alerts(&mut self, alerts: Vec<StoredAlert>) {
        for alert in alerts {
            // Only a disk that is stuck for hours fills the queue, and the user knows of that disk by then.
            let _ = self.journal.write_alert(alert);
        }
    }

    /// Makes the writer look for acknowledgements by other processes, without waiting.
    pub(super) fn check_acknowledgements(&self) {
        let _ = self.journal.start_flush();
    }

    /// Tells the user when the journal begins to lack data, and when it no longer loses any.
    fn report_loss(&mut self, has_lost: bool) {
        let is_behind = has_lost || self.is_behind && self.journal.is_full();
        let was_behind = std::mem::replace(&mut self.is_behind, is_behind);
        let loss = JournalLoss { entries: self.lost_entries, sessions: self.journal.dropped_sessions() };
        if is_behind == was_behind {
            return;
        }
        let warning = if is_behind {
            PersistenceWarning::loss_begins(loss)
        } else {
            PersistenceWarning::loss_ends(loss)
        };
        tracing::warn!("{}", warning.message);
        self.event_sender.warn(warning);
    }

    /// Requests that everything is written. Returns a receiver that gets a message afterwards, or `None` if the writer
    /// has ended.
    pub(super) fn start_flush(&self) -> Option<Receiver<bool>> {
        self.journal.start_flush()
    }

    /// Closes the queue, without waiting.
    pub(super) fn start_close(&mut self) {
        self.journal.start_close();
    }

    /// Waits for the writer, but no longer than `timeout`. Returns what the journal lacks.
    pub(super) fn close(self, timeout: Duration) -> JournalLoss {
        let unwritten = self.journal.close(timeout);
        JournalLoss {
            entries: unwritten.entries.saturating_add(self.lost_entries),
            sessions: unwritten.sessions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::persistence::PersistenceEvent;
    use keepwatch_core::clock::Timestamp;

    #[test]
    fn loss_is_counted_in_words() {
        let loss = |entries, sessions| JournalLoss { entries, sessions }.to_string();
        assert_eq!(loss(1, 0), "1 entry");
        assert_eq!(loss(0, 40_000), "the newest state of 40000 sessions");
        assert_eq!(loss(2, 1), "2 entries and the newest state of 1 session");
    }

    #[test]
    fn full_queue_is_reported_at_start_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let config = JournalConfig { path: folder.path().join("journal.sqlite"), retention: Duration::MAX };
        let (event_sender, mut events) = PersistenceEventSender::channel();
        let mut sender = JournalSender::start(ProfileId::FIRST, &config, &Clock::system(), event_sender);
        let _ = sender.start_flush().unwrap().recv(); // the writer has created the file
        // While this transaction is open, the writer cannot write.
        let lock = rusqlite::Connection::open(&config.path).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        let scope = JournalScope {
            run: crate::store::journal::RunId::new(Timestamp::UNIX_EPOCH, 1),
            profile: None,
            host: "api.example".into(),
        };
        sender.start_segment(scope, Timestamp::UNIX_EPOCH, &crate::store::tests::header());
        let entry = |seq| StreamEntry {
            seq,
            at: Timestamp::UNIX_EPOCH,
            profile: None,
            is_open: false,
            content: crate::store::EntryContent::Input(keepwatch_core::tracker::Input::TimePassed {
                now: Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::ZERO },
            }),
        };
        // The queue holds 20,000 messages. With the segment in it, 19,999 of these entries fit, and 10 do not.
        let all: Vec<StreamEntry> = (0..20_009).map(entry).collect();
        sender.append(&all);
        assert_eq!((sender.is_behind, sender.lost_entries), (true, 10));
        drop(lock);
        let _ = sender.start_flush().unwrap().recv();
        // A flush may fail, so repeat it until the queue has room.
        while sender.journal.is_full() {
            let _ = sender.start_flush().unwrap().recv();
        }
        sender.append(&[]); // notices that the queue has room, and tells the user
        let mut messages = Vec::new();
        while let Ok(PersistenceEvent::Warning(warning)) = events.try_recv() {
            messages.push(warning.message);
        }
        messages.retain(|message| message.contains("behind"));
        assert_eq!(
            messages,
            [
                "the journal is behind, and lacks 10 entries so far: the disk is too slow, or full",
                "the journal is no longer behind, but lacks 10 entries",
            ]
        );
        assert_eq!(sender.close(Duration::from_secs(30)), JournalLoss { entries: 10, sessions: 0 });
    }
}
