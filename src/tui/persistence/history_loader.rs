//! Loads the history of earlier runs from the journal, on a thread, because the journal may be large and the disk slow.
//! Never reports errors: the thread that writes the same journal reports them.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;

use super::{HistoryRequest, PersistenceEventSender};
use crate::store::history::{self, HistoryQuery, HistoryScope};
use crate::store::journal::{JournalError, JournalReader};
use crate::tui::profiles::ProfileId;
use keepwatch_core::clock::{Clock, Moment};
use keepwatch_core::tracker::{Input, SessionTracker};

/// The period before this run from which inputs are loaded.
const HISTORY_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum size of the loaded history, in bytes. A busy day with a thousand sessions fits.
const MAX_HISTORY_BYTES: usize = 24 * 1024 * 1024;

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
            let tracker = load_tracker(&journal, request, now).unwrap_or_default();
            let outcome = if tracker.is_some() { "is back" } else { "is not known" };
            tracing::info!("what earlier runs saw of project {profile} {outcome}");
            event_sender.history_loaded(profile, tracker.map(Box::new));
        });
    }
}

/// Builds a tracker from the entries of earlier runs. Returns `None` if there are no entries.
fn load_tracker(
    journal: &std::path::Path,
    request: HistoryRequest,
    now: Moment,
) -> Result<Option<SessionTracker>, JournalError> {
    let HistoryRequest { scope, writer, are_named, alert_rules, owner_key } = request;
    let Some(reader) = JournalReader::open(journal)? else { return Ok(None) };
    let period = TimeDelta::from_std(HISTORY_PERIOD).unwrap_or_default();
    let query = HistoryQuery {
        scope: &scope,
        since: now.wall.checked_sub_signed(period).unwrap_or(now.wall),
        host: Some(&writer.host),
        excluded_run: Some(&writer.run),
        max_bytes: MAX_HISTORY_BYTES,
    };
    let mut tracker = SessionTracker::new(alert_rules).with_owner_key(owner_key);
    // The tracker must have the named sessions before the first loaded input, so they are named at the start of the
    // period.
    if let (HistoryScope::Sessions(ids), true) = (&scope, are_named) {
        tracker.apply(Input::SessionsNamed { at: now.minus(HISTORY_PERIOD), ids: ids.clone() });
    }
    history::read_inputs(&reader, &query, now, |input| drop(tracker.apply(input)))?;
    let is_empty = history::newest_header(&reader, &query)?.is_none();
    Ok((!is_empty).then_some(tracker))
}
