//! Loads the history of earlier runs from the journal, on a thread, because the journal may be large and the disk slow.
//! Never reports errors: the thread that writes the same journal reports them.
//!
//! ```text
//!   now - 8 d                              now - 1 d                     now
//!       │  sessions with an incident that      │  all sessions of           │
//!       │  nobody acknowledged                 │  the request               │
//! ```

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;

use super::{HistoryRequest, PersistenceEvent, PersistenceEventSender};
use crate::store::history::{self, HistoryQuery, HistoryScope};
use crate::store::journal::{JournalError, JournalReader, StoredAlert};
use crate::tui::profiles::ProfileId;
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{Input, MAX_INCIDENT_AGE, SessionTracker};

/// The period before this run from which all inputs are loaded.
const HISTORY_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);
/// The period before this run from which the sessions with an incident are loaded. An incident may be
/// [`MAX_INCIDENT_AGE`] old. The day before that covers the session's life before the incident.
const INCIDENT_PERIOD: Duration = MAX_INCIDENT_AGE.saturating_add(HISTORY_PERIOD);
/// Maximum size of the loaded history of each period, in bytes. A busy day with a thousand sessions fits.
const MAX_HISTORY_BYTES: usize = 24 * 1024 * 1024;
/// The difference between our clock and the server's up to which no incident is overlooked.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60 * 60);
/// Maximum number of sessions that are loaded because of an incident, the newest.
const MAX_INCIDENT_SESSIONS: usize = 200;

/// Starts the threads that read the journal.
#[derive(Debug)]
pub(super) struct HistoryLoader {
    journal: PathBuf,
    clock: Clock,
    event_sender: PersistenceEventSender,
}

impl HistoryLoader {
    pub(super) fn new(journal: PathBuf, clock: Clock, event_sender: PersistenceEventSender) -> Self {
        Self { journal, clock, event_sender }
    }

    /// Starts a thread that loads the history. A journal that cannot be read counts as empty.
    pub(super) fn load(&self, profile: ProfileId, request: HistoryRequest) {
        let (journal, now, event_sender) =
            (self.journal.clone(), self.clock.now(), self.event_sender.clone());
        // If the thread cannot be started, nothing is restored.
        let _ = std::thread::Builder::new().name("history".into()).spawn(move || {
            // The end of the last run comes first, so that the page about the absence can open once the history is loaded.
            if let Some(at) = last_run_end(&journal, &request).unwrap_or_default() {
                event_sender.send(PersistenceEvent::LastRunEnded { at });
            }
            let (tracker, alerts) = load_history(&journal, request, now).unwrap_or_default();
            let outcome = if tracker.is_some() { "is back" } else { "is not known" };
            tracing::info!("what earlier runs saw of project {profile} {outcome}");
            event_sender.send(PersistenceEvent::HistoryLoaded {
                profile,
                tracker: tracker.map(Box::new),
                alerts,
            });
        });
    }
}

/// Builds a tracker from the entries of earlier runs; `None` if there are no entries. Also returns the alerts in the journal.
fn load_history(
    journal: &Path,
    request: HistoryRequest,
    now: Moment,
) -> Result<(Option<SessionTracker>, Vec<StoredAlert>), JournalError> {
    let HistoryRequest { scope, writer, are_named, alert_rules, owner_key } = request;
    let Some(reader) = JournalReader::open(journal)? else { return Ok((None, Vec::new())) };
    let alerts = reader.alerts(&writer.host)?;
    let day_start = time_before(now.wall, HISTORY_PERIOD);
    let day_query = HistoryQuery {
        scope: &scope,
        since: day_start,
        until: None,
        host: Some(&writer.host),
        excluded_run: Some(&writer.run),
        max_bytes: MAX_HISTORY_BYTES,
    };
    // promise: incident-restored, mutant: earlier_incidents(&alerts, &scope, now.wall) -> Vec::new()
    let incident_scope = HistoryScope::Sessions(earlier_incidents(&alerts, &scope, now.wall));
    let incident_query = HistoryQuery {
        scope: &incident_scope,
        since: time_before(now.wall, INCIDENT_PERIOD),
        until: Some(day_start),
        ..day_query
    };
    let mut tracker = SessionTracker::new(alert_rules).with_owner_key(owner_key);
    // The tracker must have the named sessions before the first loaded input, so they are named at the start of the
    // longer period.
    if let (HistoryScope::Sessions(ids), true) = (&scope, are_named) {
        tracker.apply(Input::SessionsNamed { at: now.minus(INCIDENT_PERIOD), ids: ids.clone() });
    }
    history::read_inputs(&reader, &[incident_query, day_query], now, |input| drop(tracker.apply(input)))?;
    let is_empty = history::newest_header(&reader, &day_query)?.is_none()
        && history::newest_header(&reader, &incident_query)?.is_none();
    Ok(((!is_empty).then_some(tracker), alerts))
}

/// Returns the time of the newest entry of another run of the same host and sessions, however long ago. Returns `None` if
/// there is no such entry.
fn last_run_end(journal: &Path, request: &HistoryRequest) -> Result<Option<Timestamp>, JournalError> {
    let Some(reader) = JournalReader::open(journal)? else { return Ok(None) };
    let query = HistoryQuery {
        host: Some(&request.writer.host),
        excluded_run: Some(&request.writer.run),
        ..HistoryQuery::all(&request.scope)
    };
    history::newest_entry_time(&reader, &query)
}

/// Returns the sessions in `scope` with an unacknowledged incident that is older than a day and not older than
/// [`MAX_INCIDENT_AGE`]. If there are more than [`MAX_INCIDENT_SESSIONS`], returns those with the newest incidents.
fn earlier_incidents(alerts: &[StoredAlert], scope: &HistoryScope, now: Timestamp) -> Vec<SessionId> {
    let is_in_scope = |alert: &StoredAlert| match scope {
        HistoryScope::Sessions(ids) => ids.contains(&alert.session),
        HistoryScope::Projects(projects) => {
            alert.project.as_ref().is_some_and(|project| projects.contains(project))
        }
    };
    // The incidents of the last day are in the last day's segments, unless the clocks differ: the time of an incident is
    // on the server's clock, and that of a segment is on ours.
    let newest_time = time_before(now, HISTORY_PERIOD.saturating_sub(MAX_CLOCK_DIFFERENCE));
    let oldest_time = time_before(now, MAX_INCIDENT_AGE);
    let is_wanted = |alert: &&StoredAlert| {
        alert.acknowledged.is_none()
            && (oldest_time..newest_time).contains(&alert.raised)
            && is_in_scope(alert)
    };
    let mut wanted: Vec<&StoredAlert> = alerts.iter().filter(is_wanted).collect();
    wanted.sort_by_key(|alert| std::cmp::Reverse(alert.raised));
    let mut seen = HashSet::new();
    let sessions = wanted.into_iter().map(|alert| &alert.session).filter(|id| seen.insert(*id));
    sessions.take(MAX_INCIDENT_SESSIONS).cloned().collect()
}

fn time_before(now: Timestamp, age: Duration) -> Timestamp {
    TimeDelta::from_std(age).ok().and_then(|age| now.checked_sub_signed(age)).unwrap_or(now)
}

#[cfg(test)]
mod tests;
