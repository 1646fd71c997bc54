//! Applies responses with sessions. After an end, also updates the end clusters. After an end or a creation, also links
//! successors.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::SessionTracker;
use crate::clock::{Moment, Timestamp};
use crate::session::{Session, SessionId};
use crate::tracker::applied::AppliedChanges;
use crate::tracker::diff;
use crate::tracker::event::EventKind;
use crate::tracker::input::{RequestTiming, Scope};
use crate::tracker::record::{Change, Presence, Record, SessionResponse};
use crate::tracker::server_clock::TimeInterval;

impl SessionTracker {
    /// Applies a response with sessions. For a series of identical responses, `repeats` has their number and the
    /// longest gap between two consecutive ones.
    pub(super) fn apply_response(
        &mut self,
        at: RequestTiming,
        scope: Scope,
        sessions: Vec<Session>,
        malformed: u32,
        repeats: Option<(u64, Duration)>,
        applied: &mut AppliedChanges,
    ) {
        let applied_sessions = self.sessions_to_apply(&at, &scope, &sessions);
        self.observe_clock(&at, &applied_sessions, applied);
        self.apply_success(at, &scope, applied);
        let (now, at) = (at.received, Arc::new(at.without_cache()));
        match scope {
            Scope::Session(id) => {
                if let Some(session) = sessions.into_iter().next() {
                    let response = SessionResponse { at, now, is_from_list: false, repeats };
                    self.apply_session(response, id, session, None, applied);
                }
            }
            Scope::List(list) => {
                self.health.set_malformed(list, malformed);
                let response = SessionResponse { at, now, is_from_list: true, repeats };
                self.apply_list(response, list, sessions, applied);
            }
            Scope::Projects => {}
        }
    }

    /// Applies one session of a response. If the response is a list, `list_number` is its number.
    pub(super) fn apply_session(
        &mut self,
        response: SessionResponse,
        id: SessionId,
        session: Session,
        list_number: Option<u64>,
        applied: &mut AppliedChanges,
    ) {
        let now = response.now;
        let record = get_or_insert_record(&mut self.records, &mut self.ids, &id);
        record.last_list_number = list_number.unwrap_or(record.last_list_number);
        let (is_first_response, was_final) = (record.session.is_none(), record.is_final());
        let old_context = record.running_context().cloned();
        let Some(outcome) = record.apply_response(response, session, &self.clock, self.owner_key.as_ref())
        else {
            applied.must_be_stored = true; // the response is stale
            return;
        };
        self.running_contexts.update(&id, old_context.as_ref(), record.running_context());
        let (has_ended, is_evictable) = (record.ended.is_some(), record.is_final() && !record.is_named);
        if !matches!(record.presence, Presence::Unlisted { .. }) {
            self.evictable_unlisted.pop(&id);
        }
        match outcome.change {
            Change::None => {}
            Change::Bytes => self.changes.count_bytes_change(),
            Change::Full => {
                record.alert_rule = self.rules.matching(record);
                self.changes.count_full_change();
            }
        }
        if outcome.change != Change::None {
            applied.changed.push((id.clone(), outcome.change));
        }
        for (when, kind) in outcome.events {
            self.record_event(Some(&id), when, now, kind, applied);
        }
        if outcome.is_revived {
            if let Some(record) = self.records.get_mut(&id) {
                record.ended_with_other_owners = false;
            }
            self.end_clusters.remove(&id);
            self.successors.forget_end(&id);
        }
        if has_ended {
            self.update_end_cluster(&id, now);
        }
        if is_evictable && !was_final {
            self.evictable_final.put(id.clone(), ());
        }
        if outcome.is_newly_ended {
            self.count_if_short(&id);
            self.link_successor(&id, now, applied);
        } else if is_first_response {
            self.link_predecessor(&id, now, applied);
        }
        self.update_alerts(&id, now, applied);
    }

    /// Adds the end of a session to the end clusters. Removes the end instead if the newest response shows that the
    /// session cannot join a cluster.
    fn update_end_cluster(&mut self, id: &SessionId, now: Moment) {
        let can_join = self.known_facts(id).is_some_and(|facts| facts.can_join_cluster());
        let session = self.records.get(id).and_then(|record| record.session.as_ref());
        match session.and_then(|session| session.ended).filter(|_| can_join) {
            Some(ended) => self.end_clusters.add(id, ended, now.boot),
            None => self.end_clusters.remove(id),
        }
    }

    /// Counts a session that ended, if it was short. Counts no session twice, even if it ends again.
    fn count_if_short(&mut self, id: &SessionId) {
        let Some(record) = self.records.get_mut(id) else { return };
        if let Some(ran) = record.duration().filter(|_| record.is_end_exact() && !record.is_checked_for_short)
        {
            self.short_sessions.add(ran);
            record.is_checked_for_short = true;
        }
    }

    /// Links a session that ended to its successor, if the tracker already knows the successor.
    fn link_successor(&mut self, id: &SessionId, now: Moment, applied: &mut AppliedChanges) {
        let Some(record) = self.records.get(id) else { return };
        let metadata = record.session.as_ref().and_then(diff::nonempty_metadata);
        let successor = metadata
            .zip(record.ended_at())
            .and_then(|(metadata, ended_at)| self.successors.session_ended(id, metadata, ended_at));
        if let Some((new, created)) = successor {
            self.record_successor(id, new, created, now, applied);
        }
    }

    /// Links a new session, as successor, to a session with the same metadata that ended shortly before.
    fn link_predecessor(&mut self, id: &SessionId, now: Moment, applied: &mut AppliedChanges) {
        let Some(session) = self.records.get(id).and_then(|record| record.session.as_ref()) else { return };
        let Some((metadata, created)) =
            diff::nonempty_metadata(session).zip(session.created.or(session.started))
        else {
            return;
        };
        if let Some(old) = self.successors.session_created(id, metadata, created) {
            self.record_successor(&old, id.clone(), created, now, applied);
        }
    }

    /// Stores the successor of the session `old`, and records an event.
    fn record_successor(
        &mut self,
        old: &SessionId,
        new: SessionId,
        created: Timestamp,
        now: Moment,
        applied: &mut AppliedChanges,
    ) {
        let Some(record) = self.records.get_mut(old) else { return };
        record.successor = Some(new.clone());
        let latest = self.clock.at(now);
        let when = TimeInterval { earliest: Some(created.min(latest)), latest };
        self.record_event(Some(old), when, now, EventKind::Successor(new), applied);
    }
}

/// Returns the record of a session. If the tracker has no record, creates one for a session that the user did not name.
pub(super) fn get_or_insert_record<'r>(
    records: &'r mut IndexMap<SessionId, Box<Record>>,
    ids: &mut BTreeSet<SessionId>,
    id: &SessionId,
) -> &'r mut Record {
    records.entry(id.clone()).or_insert_with(|| {
        ids.insert(id.clone());
        Box::new(Record::new(id.clone(), false))
    })
}
