//! The model's state for storing one profile: its encoder, the scope of its journal, and the time of the last
//! save. Pure: turns each input of the tracker into commands, and never touches a file or a thread.
//!
//! ```text
//!   Input ──► tracker ──► encoder ──► AppendEntries      when the encoder completes entries
//!                │                    StartSegment       if the event loop finds no open segment
//!                ├──► summaries ────► SaveSummaries      at once after an event, once a minute after other responses; if there
//!                │                                       is none to save, CheckAcknowledgements
//!                ├──► incidents ────► SaveAlerts         at once, as acknowledgements are
//!                ├──► server clock ─► SetServerTime      when first known, and if it changes by a minute or more
//!                └──► restore ──────► LoadHistory        once, when the sessions to load are known
//! ```

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use chrono::TimeDelta;

use super::clear::ClearedJournal;
use super::restore::Restore;
use super::summary::session_summary;
use super::{JournalScope, PersistenceCommand};
use crate::store::journal::{SessionSummary, StoredAlert};
use crate::store::{self, Encoder};
use keepwatch_core::clock::{Moment, Timestamp, saturating_add};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{Event, EventKind, Input, RaisedAlert, SessionTracker};

/// Interval at which the summaries of all sessions with a new response are saved. An event saves its session at once.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);

/// Smallest change of the server clock's offset that the journal's writer is told.
const SERVER_TIME_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// The state for storing one profile.
#[derive(Debug)]
pub(in crate::tui) struct ProfilePersistence {
    encoder: Encoder,
    /// True if metadata is not stored.
    hides_metadata: bool,
    /// `None` if only a recording is written.
    journal: Option<JournalState>,
}

/// The state that only a journal needs.
#[derive(Debug)]
struct JournalState {
    scope: JournalScope,
    /// The time of the last save of all sessions with a new response. Later responses may not be saved yet.
    last_save: Moment,
    restore: Restore,
    /// The newest clear of the journal during this run.
    cleared: Option<ClearedJournal>,
    /// The server's time at our boot, as the journal's writer was last told; `None` if it was not told yet.
    server_time_at_boot: Option<Timestamp>,
}

impl ProfilePersistence {
    /// Creates the state of a profile. `name` is `None` for a single profile, which needs no name. `journal` is `None`
    /// if only a recording is written.
    pub(super) fn new(
        name: Option<String>,
        hides_metadata: bool,
        journal: Option<(JournalScope, Restore)>,
        now: Moment,
    ) -> Self {
        let journal = journal.map(|(scope, restore)| JournalState {
            scope,
            last_save: now,
            restore,
            cleared: None,
            server_time_at_boot: None,
        });
        Self { encoder: Encoder::new(name, hides_metadata), hides_metadata, journal }
    }

    /// Applies `input` to the tracker. Returns the events and the commands that follow from it.
    pub(in crate::tui) fn apply(
        &mut self,
        tracker: &mut SessionTracker,
        input: Input,
    ) -> (Vec<Event>, Vec<PersistenceCommand>) {
        if let Some(journal) = &mut self.journal {
            journal.restore.buffer(&input);
        }
        let now = input.moment();
        let (events, entries) = store::apply_and_encode(Some(&mut self.encoder), tracker, input);
        let mut commands = Vec::new();
        if !entries.is_empty() {
            commands.push(PersistenceCommand::AppendEntries(entries));
        }
        if let Some(journal) = &mut self.journal {
            commands.extend(journal.changed_server_time(tracker, now));
            let is_save_due = now.since(journal.last_save) >= SUMMARY_INTERVAL;
            let summaries = journal.due_summaries(tracker, &events, now, self.hides_metadata);
            if !summaries.is_empty() {
                commands.push(PersistenceCommand::SaveSummaries(summaries));
            } else if is_save_due {
                commands.push(PersistenceCommand::CheckAcknowledgements);
            }
            let incidents = events.iter().filter_map(|event| raised_incident(tracker, event));
            // promise: incident-saved
            commands.extend(journal.save_alerts(tracker, incidents));
            let request = journal.restore.request(tracker, &journal.scope);
            commands.extend(request.map(|request| PersistenceCommand::LoadHistory(Box::new(request))));
        }
        (events, commands)
    }

    /// Starts a new segment of the journal, and restarts the encoder. The encoder first ends its open repeats: the
    /// entries of equal responses that it still extends. If the journal was cleared since the last segment,
    /// `cleared_at` is the moment of the clear. The sessions that were seen after that moment are saved again.
    pub(super) fn start_segment(
        &mut self,
        tracker: &SessionTracker,
        cleared_at: Option<Moment>,
        now: Moment,
    ) -> Vec<PersistenceCommand> {
        let Some(journal) = &mut self.journal else { return Vec::new() };
        let start_segment =
            PersistenceCommand::StartSegment { scope: journal.scope.clone(), started: now.wall };
        let repeat_entries = self.encoder.restart();
        let append_entries =
            (!repeat_entries.is_empty()).then_some(PersistenceCommand::AppendEntries(repeat_entries));
        let summaries = cleared_at.map_or_else(Vec::new, |cleared_at| {
            let cleared = journal.cleared.insert(ClearedJournal::new(cleared_at, tracker));
            let ids: Vec<&SessionId> = cleared.seen_since(tracker).collect();
            journal.summaries(tracker, ids, self.hides_metadata)
        });
        let save_summaries = (!summaries.is_empty()).then_some(PersistenceCommand::SaveSummaries(summaries));
        // The writer has dropped what was raised since the clear, too.
        let save_alerts = cleared_at.and_then(|_| journal.save_alerts(tracker, incidents(tracker)));
        let commands = append_entries.into_iter().chain([start_segment]);
        commands.chain(save_summaries).chain(save_alerts).collect()
    }

    /// Ends the stream, and saves the summaries of sessions with a response since the last save.
    pub(super) fn finish(&mut self, tracker: &SessionTracker) -> Vec<PersistenceCommand> {
        let mut commands = Vec::new();
        let entries = self.encoder.finish(tracker);
        if !entries.is_empty() {
            commands.push(PersistenceCommand::AppendEntries(entries));
        }
        if let Some(journal) = &mut self.journal {
            let ids = updated_since(tracker, journal.last_save);
            commands.push(PersistenceCommand::SaveSummaries(journal.summaries(
                tracker,
                ids,
                self.hides_metadata,
            )));
        }
        commands
    }

    /// Returns the command that stores alerts, each with the time of its acknowledgement, if any. Returns `None` without a
    /// journal, or if the journal was cleared after they were raised.
    pub(in crate::tui) fn save_alerts<'i>(
        &self,
        tracker: &SessionTracker,
        alerts: impl IntoIterator<Item = (&'i SessionId, RaisedAlert, Option<Timestamp>)>,
    ) -> Option<PersistenceCommand> {
        self.journal.as_ref()?.save_alerts(tracker, alerts)
    }

    /// Returns the API's host, under which the journal stores this profile; `None` without a journal.
    pub(super) fn host(&self) -> Option<&str> {
        self.journal.as_ref().map(|journal| journal.scope.host.as_str())
    }

    /// Ends the restore. Returns the inputs that came while it was pending, or `None` if it was not pending.
    pub(super) fn finish_restore(&mut self) -> Option<Vec<Input>> {
        self.journal.as_mut()?.restore.finish()
    }

    /// Notes the sessions of the restored tracker, which has replaced this run's tracker. `stored` are the alerts in the
    /// journal. Returns the command that stores the incidents that the journal lacks: an older version did not store them,
    /// or a run was killed before it did.
    pub(super) fn on_tracker_restored(
        &mut self,
        tracker: &SessionTracker,
        stored: &[StoredAlert],
    ) -> Option<PersistenceCommand> {
        let journal = self.journal.as_mut()?;
        if let Some(cleared) = &mut journal.cleared {
            cleared.note_earlier(tracker);
        }
        let known: HashSet<_> = stored.iter().map(|alert| (&alert.session, alert.kind)).collect();
        let missing =
            incidents(tracker).filter(|(id, raised, _)| !known.contains(&(*id, raised.alert.kind())));
        journal.save_alerts(tracker, missing)
    }
}

impl JournalState {
    /// Returns the summaries of sessions with an event, and of sessions with their first response after a clear. Once
    /// a minute, returns those of all sessions with a new response.
    fn due_summaries(
        &mut self,
        tracker: &SessionTracker,
        events: &[Event],
        now: Moment,
        hides_metadata: bool,
    ) -> Vec<SessionSummary> {
        let mut ids: BTreeSet<&SessionId> = events.iter().filter_map(|event| event.id.as_ref()).collect();
        if now.since(self.last_save) >= SUMMARY_INTERVAL {
            ids.extend(updated_since(tracker, self.last_save));
            self.last_save = now;
        }
        let newly_seen: Vec<SessionId> =
            self.cleared.iter().flat_map(|cleared| cleared.newly_seen(tracker)).cloned().collect();
        ids.extend(&newly_seen);
        self.summaries(tracker, ids, hides_metadata)
    }

    /// Returns the summaries of these sessions, without what was seen before the journal was cleared.
    fn summaries<'i>(
        &mut self,
        tracker: &SessionTracker,
        ids: impl IntoIterator<Item = &'i SessionId>,
        hides_metadata: bool,
    ) -> Vec<SessionSummary> {
        let Self { scope, cleared, .. } = self;
        let all = ids.into_iter().filter_map(|id| session_summary(tracker, id, scope, hides_metadata));
        match cleared {
            Some(cleared) => all.filter_map(|summary| cleared.reduce(tracker, summary)).collect(),
            None => all.collect(),
        }
    }

    /// Returns the command that stores alerts, as [`ProfilePersistence::save_alerts`] does.
    fn save_alerts<'i>(
        &self,
        tracker: &SessionTracker,
        alerts: impl IntoIterator<Item = (&'i SessionId, RaisedAlert, Option<Timestamp>)>,
    ) -> Option<PersistenceCommand> {
        let is_kept = |raised: &RaisedAlert| {
            // promise: cleared-alerts, mutant: cleared.is_raised_since(tracker, raised) -> true
            self.cleared.as_ref().is_none_or(|cleared| cleared.is_raised_since(tracker, raised))
        };
        let kept = alerts.into_iter().filter(|(_, raised, _)| is_kept(raised));
        let stored: Vec<StoredAlert> = kept
            .map(|(id, raised, acknowledged)| StoredAlert {
                host: self.scope.host.clone(),
                project: tracker.get(id).and_then(|record| record.session.as_ref()?.project.clone()),
                session: id.clone(),
                kind: raised.alert.kind(),
                raised: raised.at,
                acknowledged,
            })
            .collect();
        (!stored.is_empty()).then_some(PersistenceCommand::SaveAlerts(stored))
    }

    /// Returns the command that tells the journal's writer the server's time. Returns `None` if that time is unknown,
    /// or differs by less than [`SERVER_TIME_TOLERANCE`] from the time that the writer was last told.
    fn changed_server_time(&mut self, tracker: &SessionTracker, now: Moment) -> Option<PersistenceCommand> {
        if !tracker.clock().is_known() {
            return None;
        }
        // A known server clock uses only the boot time of a moment.
        let boot_moment = Moment { boot: Duration::ZERO, ..now };
        let at_boot = tracker.clock().at(boot_moment);
        let is_close = |known: Timestamp| known.signed_duration_since(at_boot).abs() < SERVER_TIME_TOLERANCE;
        if self.server_time_at_boot.is_some_and(is_close) {
            return None;
        }
        self.server_time_at_boot = Some(at_boot);
        Some(PersistenceCommand::SetServerTime { now, server: saturating_add(at_boot, now.boot) })
    }
}

/// Returns the incident that this event raised, if it did.
fn raised_incident<'e>(
    tracker: &SessionTracker,
    event: &'e Event,
) -> Option<(&'e SessionId, RaisedAlert, Option<Timestamp>)> {
    let EventKind::AlertRaised(alert) = event.kind else { return None };
    let id = event.id.as_ref().filter(|_| alert.is_incident())?;
    let raised = tracker.get(id)?.alerts.iter().find(|raised| raised.alert == alert)?;
    Some((id, *raised, None))
}

/// Returns all current incidents.
fn incidents(tracker: &SessionTracker) -> impl Iterator<Item = (&SessionId, RaisedAlert, Option<Timestamp>)> {
    tracker.records().flat_map(|record| {
        let incidents = record.alerts.iter().filter(|raised| raised.alert.is_incident());
        incidents.map(|raised| (&record.id, *raised, None))
    })
}

/// Returns the sessions whose newest response came after `moment`.
fn updated_since(tracker: &SessionTracker, moment: Moment) -> impl Iterator<Item = &SessionId> {
    let is_newer = move |last: Moment| last.boot > moment.boot;
    tracker
        .records()
        .filter(move |record| record.last_response().is_some_and(|last| is_newer(last.received)))
        .map(|record| &record.id)
}

#[cfg(test)]
mod tests;
