//! A clear of the journal, as the model of one profile knows it. Reduces summaries to what was seen after the clear. Pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::store::journal::SessionSummary;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::SessionId;
use keepwatch_core::tracker::{RaisedAlert, Record, SessionTracker};

/// The newest clear of the journal.
#[derive(Debug)]
pub(super) struct ClearedJournal {
    cleared_at: Moment,
    /// The sessions that were seen before the clear, each with the part of its record from that time.
    earlier: HashMap<SessionId, PartBeforeClear>,
}

/// The part of a record that was seen before the clear.
#[derive(Clone, Copy, Debug)]
struct PartBeforeClear {
    responses: u64,
    watched: Duration,
    /// Receive time of the first response after the clear; `None` if there was none yet.
    seen_again: Option<Moment>,
}

impl ClearedJournal {
    /// Creates the state for a clear. Notes the part of each record that was seen before the clear.
    pub(super) fn new(cleared_at: Moment, tracker: &SessionTracker) -> Self {
        let mut cleared = Self { cleared_at, earlier: HashMap::new() };
        cleared.note_earlier(tracker);
        cleared
    }

    /// Notes the records again, because the history of earlier runs has changed them.
    pub(super) fn note_earlier(&mut self, tracker: &SessionTracker) {
        let earlier = tracker.records().filter(|record| self.was_seen_before(record));
        self.earlier = earlier.map(|record| (record.id.clone(), self.part_before_clear(record))).collect();
    }

    /// Returns the sessions with a response after the clear.
    pub(super) fn seen_since<'t>(&self, tracker: &'t SessionTracker) -> impl Iterator<Item = &'t SessionId> {
        tracker.records().filter(|record| self.is_seen_since(record)).map(|record| &record.id)
    }

    /// Returns the sessions with a first response after the clear that no summary has yet.
    pub(super) fn newly_seen<'s>(&'s self, tracker: &SessionTracker) -> impl Iterator<Item = &'s SessionId> {
        let is_new = |id: &&SessionId| tracker.get(id).is_some_and(|record| self.is_seen_since(record));
        let not_seen_again = self.earlier.iter().filter(|(_, before)| before.seen_again.is_none());
        not_seen_again.map(|(id, _)| id).filter(is_new)
    }

    /// Reduces the summary of a record to what was seen after the clear. Returns `None` if nothing was seen after it.
    pub(super) fn reduce(
        &mut self,
        tracker: &SessionTracker,
        mut summary: SessionSummary,
    ) -> Option<SessionSummary> {
        let record = tracker.get(&summary.session)?;
        if !self.was_seen_before(record) {
            return Some(summary);
        }
        // promise: cleared-summaries
        if !self.is_seen_since(record) {
            return None;
        }
        let newest = record.last_response()?.received;
        let part_before = self.part_before_clear(record);
        let before = self.earlier.entry(summary.session.clone()).or_insert(part_before);
        summary.first_seen = tracker.clock().at(*before.seen_again.get_or_insert(newest));
        summary.responses = summary.responses.saturating_sub(before.responses).max(1);
        summary.watched = summary.watched.saturating_sub(before.watched);
        Some(summary)
    }

    /// Returns true if the alert was raised after the clear.
    pub(super) fn is_raised_since(&self, tracker: &SessionTracker, raised: &RaisedAlert) -> bool {
        raised.at > tracker.clock().at(self.cleared_at)
    }

    fn was_seen_before(&self, record: &Record) -> bool {
        record.first_response().is_some_and(|first| first.received.boot <= self.cleared_at.boot)
    }

    fn is_seen_since(&self, record: &Record) -> bool {
        record.last_response().is_some_and(|last| last.received.boot > self.cleared_at.boot)
    }

    /// Returns the part of a record that counts as seen before the clear: everything, except the newest response if it
    /// came after the clear.
    fn part_before_clear(&self, record: &Record) -> PartBeforeClear {
        let seen_again =
            record.last_response().map(|last| last.received).filter(|_| self.is_seen_since(record));
        let responses = record.responses.saturating_sub(u64::from(seen_again.is_some()));
        PartBeforeClear { responses, watched: record.watched_for, seen_again }
    }
}
