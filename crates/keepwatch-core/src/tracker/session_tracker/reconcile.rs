//! Applies lists and 404s: finds the sessions that left a list, and the sessions that the API no longer knows. Also
//! evicts sessions.
//!
//! The numbers of final and of unlisted sessions are bounded. The oldest are evicted first. Sessions that the user
//! named are never evicted.

use super::{MAX_FINAL_SESSIONS, MAX_INCIDENT_SESSIONS, SessionTracker};
use crate::clock::Moment;
use crate::session::{ApiError, List, Phase, Session, SessionId};
use crate::tracker::applied::AppliedChanges;
use crate::tracker::event::EventKind;
use crate::tracker::input::RequestTiming;
use crate::tracker::record::{NotFoundSince, Presence, SessionResponse};
use crate::tracker::server_clock::TimeInterval;

/// The number of consecutive lists without a session after which the session may be evicted, if its status is unknown.
///
/// The tracker cannot know which of the two lists, running or pending, should contain such a session. Eight consecutive
/// lists normally include both, although the poller requests the pending list less often.
const MIN_LISTS_MISSED: u64 = 8;

impl SessionTracker {
    /// Applies a list, which should contain all sessions of its status.
    ///
    /// A session of this status that is missing from the list becomes unlisted. That causes no event yet: the poller
    /// first requests the session by its id.
    pub(super) fn apply_list(
        &mut self,
        response: SessionResponse,
        list: List,
        sessions: Vec<Session>,
        applied: &mut AppliedChanges,
    ) {
        let (at, status) = (*response.at, list.status());
        self.max_listed = self.max_listed.max(sessions.len());
        self.list_count = self.list_count.saturating_add(1);
        let list_number = self.list_count;
        for session in sessions {
            let id = session.id.clone();
            let existing = self.records.get(&id);
            // If a list contains a session twice, only the first counts.
            if existing.is_none_or(|record| record.last_list_number != list_number)
                && !self.may_have_been_evicted(&session)
            {
                self.apply_session(response.clone(), id, session, Some(list_number), applied);
            }
        }
        for record in self.records.values_mut() {
            // The last condition: a response to a request sent after the list's request is fresher than the list.
            let is_missing_from_list = record.last_list_number != list_number
                && record.status() == Some(&status)
                && record.presence == Presence::Present
                && record.last_response().is_some_and(|last| last.sent.mono < at.sent.mono);
            if is_missing_from_list {
                self.running_contexts.update(&record.id, record.running_context(), None);
                record.presence = Presence::Unlisted { since: at.received, confirmed: false };
                applied.must_be_stored = true;
            }
            let has_unknown_status = record.phase() == Phase::Unknown && !record.is_final();
            let has_left_all_lists = has_unknown_status
                && list_number.saturating_sub(record.last_list_number) >= MIN_LISTS_MISSED
                && !self.evictable_unlisted.contains(&record.id);
            if (is_missing_from_list || has_left_all_lists) && !record.is_named {
                self.evictable_unlisted.put(record.id.clone(), ());
            }
        }
    }

    /// Returns true if a session in a list may have been evicted. An evicted session must not return.
    ///
    /// A list may contain final sessions. Once their maximum is reached, a final session without a record may have been
    /// evicted.
    pub(super) fn may_have_been_evicted(&self, session: &Session) -> bool {
        let has_record = self.records.contains_key(&session.id);
        // promise: forgotten-sessions, mutant: >= MAX_FINAL_SESSIONS -> == usize::MAX
        !has_record && session.is_final() && self.evictable_final.len() >= MAX_FINAL_SESSIONS
    }

    /// Applies a 404 or 410 for a session. Only the first of several consecutive ones causes an event.
    ///
    /// `now` is the receipt. For a response from a cache, the times of `at` are earlier: see
    /// [`RequestTiming::without_cache`].
    pub(super) fn apply_not_found(
        &mut self,
        at: RequestTiming,
        now: Moment,
        id: &SessionId,
        error: ApiError,
        next: Option<Moment>,
        applied: &mut AppliedChanges,
    ) {
        let Some(record) = self.records.get_mut(id) else { return };
        if record.last_response().is_some_and(|last| at.sent.mono < last.sent.mono) {
            return;
        }
        record.failure_streak = None;
        let (since, is_new) = match &record.presence {
            Presence::NotFound(not_found) => (not_found.since, false),
            Presence::NoResponseYet | Presence::Present | Presence::Unlisted { .. } => (at, true),
        };
        let when = TimeInterval::between(&self.clock, record.last_response.as_deref(), &at);
        self.running_contexts.update(id, record.running_context(), None);
        record.presence = Presence::NotFound(Box::new(NotFoundSince { since, error: error.clone(), next }));
        self.evictable_unlisted.pop(id);
        if is_new {
            if !record.is_named {
                self.evictable_final.put(id.clone(), ());
            }
            self.record_event(Some(id), when, now, EventKind::NotFound(error), applied);
            self.update_alerts(id, now, applied);
        }
    }

    /// Evicts the oldest final sessions above [`MAX_FINAL_SESSIONS`]. Those with an incident stay longer: only the oldest
    /// above [`MAX_INCIDENT_SESSIONS`] are evicted. Also evicts the oldest unlisted sessions above
    /// [`List::max_unlisted`]. The second limit is reached only if sessions leave the lists faster than the poller can
    /// request them.
    pub(super) fn evict(&mut self) {
        while self.evictable_final.len() > MAX_FINAL_SESSIONS {
            let Some((oldest, ())) = self.evictable_final.pop_lru() else { break };
            let Some(record) = self.records.get(&oldest) else { continue };
            if record.has_incident() && !record.is_named {
                self.evictable_incidents.put(oldest, ());
            } else if record.is_final() && !record.is_named {
                self.forget(&oldest);
            }
        }
        // promise: incidents-limit, mutant: > MAX_INCIDENT_SESSIONS -> > usize::MAX
        while self.evictable_incidents.len() > MAX_INCIDENT_SESSIONS {
            let Some((oldest, ())) = self.evictable_incidents.pop_lru() else { break };
            if self.records.get(&oldest).is_some_and(|record| record.is_final() && !record.is_named) {
                self.forget(&oldest);
            }
        }
        // promise: left-lists-limit, mutant: > List::max_unlisted(self.max_listed) -> > usize::MAX
        while self.evictable_unlisted.len() > List::max_unlisted(self.max_listed) {
            let Some((oldest, ())) = self.evictable_unlisted.pop_lru() else { break };
            if self.records.get(&oldest).is_some_and(|record| !record.is_named) {
                self.forget(&oldest);
            }
        }
    }

    /// Removes the record of a session, its events, its deadline, its context, and its end from the end clusters.
    pub(super) fn forget(&mut self, id: &SessionId) {
        let Some(record) = self.records.swap_remove(id) else { return };
        self.ids.remove(id);
        self.running_contexts.update(id, record.running_context(), None);
        self.evictable_final.pop(id);
        self.evictable_incidents.pop(id);
        self.evictable_unlisted.pop(id);
        self.changes.count_session_change();
        self.timeline.forget(id);
        self.end_clusters.remove(id);
        if let Some(deadline) = record.deadline {
            self.deadlines.remove(&(deadline, id.clone()));
        }
    }
}
