//! The queries of the tracker. They change nothing: only [`SessionTracker::apply`] changes the state.

use std::ops::Bound;

use super::SessionTracker;
use crate::clock::{Moment, saturating_add};
use crate::session::{Metadata, Project, Session, SessionId};
use crate::text;
use crate::tracker::alert_rules::AlertThresholds;
use crate::tracker::change_counters::ChangeCounters;
use crate::tracker::cost::ShortSessions;
use crate::tracker::early_limit::EarlyLimit;
use crate::tracker::event::{Event, EventKind};
use crate::tracker::health::PollHealth;
use crate::tracker::record::{Presence, Record};
use crate::tracker::running_contexts::SharedContext;
use crate::tracker::server_clock::ServerClock;
use crate::tracker::timeline::{Seq, Timeline};
use crate::tracker::verdict::{KnownFacts, Verdict};

impl SessionTracker {
    /// Returns the known facts about a session: its fields and the observed times. Returns `None` until a response
    /// contains the session.
    pub(super) fn known_facts(&self, id: &SessionId) -> Option<KnownFacts> {
        let record = self.records.get(id)?;
        let session = record.session.as_ref()?;
        let not_found = match &record.presence {
            Presence::NotFound(not_found) => Some(not_found.error.clone()),
            Presence::NoResponseYet | Presence::Present | Presence::Unlisted { .. } => None,
        };
        let end_cluster = session.ended.and_then(|ended| self.end_clusters.cluster_of(id, ended));
        Some(KnownFacts {
            end_interval: record.ended.as_ref().and_then(|ended| ended.end_interval),
            latest_possible_end: record.ended.as_ref().map(|ended| {
                saturating_add(self.clock.at(ended.first_response.received), self.clock.uncertainty())
            }),
            release_requested_at: record.release.as_ref().map(|release| self.clock.at(release.requested_at)),
            not_found,
            last_alive: record
                .last_alive()
                .filter(|_| record.is_overdue)
                .map(|last| self.clock.earliest(last.sent)),
            end_cluster,
            client: record.client,
            early_limit: match self.rules.thresholds(record.alert_rule).early {
                // A user who wants no alert about an early end still wants to know what probably happened.
                EarlyLimit::Never => EarlyLimit::default(),
                limit => limit,
            },
            ..self.known_facts_from_fields(session)
        })
    }

    /// Returns the facts in a session's own fields, without any observed times.
    fn known_facts_from_fields(&self, session: &Session) -> KnownFacts {
        KnownFacts {
            status: Some(session.status.clone()),
            created: session.created,
            started: session.started,
            expires: session.expires,
            ended: session.ended,
            keep_alive: session.keep_alive,
            proxy_bytes: session.proxy_bytes,
            default_timeout: self.project_of(session).and_then(|project| project.default_timeout),
            has_metadata: has_metadata(session),
            ..KnownFacts::default()
        }
    }

    /// Returns the thresholds that raise the alerts of a session.
    #[must_use]
    pub fn thresholds_of(&self, record: &Record) -> &AlertThresholds {
        self.rules.thresholds(record.alert_rule)
    }

    /// Returns the filter of the alert rule that matches the session, if any.
    #[must_use]
    pub fn alert_rule(&self, id: &SessionId) -> Option<&str> {
        self.rules.filter(self.records.get(id)?.alert_rule?)
    }

    /// Returns the verdict on a session's end or unusual state, or `None` while there is nothing to explain.
    #[must_use]
    pub fn verdict(&self, id: &SessionId) -> Option<Verdict> {
        self.known_facts(id)?.verdict()
    }

    /// Returns the verdict on a session that may be unknown to the tracker. The verdict then rests on the session's
    /// fields alone.
    #[must_use]
    pub fn verdict_for_session(&self, session: &Session) -> Option<Verdict> {
        if self.records.get(&session.id).is_some_and(|record| record.session.is_some()) {
            return self.verdict(&session.id);
        }
        let client = session.metadata.as_ref().and_then(Metadata::client);
        KnownFacts { client, ..self.known_facts_from_fields(session) }.verdict()
    }

    /// Returns the other running sessions that use the context of a running session, or `None` if there are none.
    #[must_use]
    pub fn shared_context(&self, id: &SessionId) -> Option<SharedContext> {
        self.running_contexts.others(id, self.records.get(id)?.running_context()?)
    }

    /// Returns the timeline: the events, in the order in which the tracker learned of them.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Returns the events of a session, newest first. Includes the events without a session, such as failing polls, up
    /// to the first response that reports the session's end.
    pub fn newest_events<'t>(&'t self, id: &SessionId) -> impl Iterator<Item = (Seq, &'t Event)> + use<'t> {
        let ended = self.records.get(id).and_then(|record| record.ended.as_ref());
        let end_seen_at = ended.map(|ended| self.clock.at(ended.first_response.received));
        self.timeline.newest_first(id).filter(move |(_, event)| {
            // The event of an end cluster has no session id, and comes after the ends of its sessions.
            let belongs_to_session =
                event.id.is_some() || matches!(event.kind, EventKind::EndedTogether { .. });
            belongs_to_session || end_seen_at.is_none_or(|end_seen_at| event.learned_at <= end_seen_at)
        })
    }

    /// Returns the totals of the sessions that ran for less than a minute.
    #[must_use]
    pub fn short_sessions(&self) -> ShortSessions {
        self.short_sessions
    }

    /// Returns the moment of the input applied last, or `None` before the first input.
    #[must_use]
    pub fn last_input_moment(&self) -> Option<Moment> {
        self.last_input_moment
    }

    /// Returns all records, in no particular order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().map(Box::as_ref)
    }

    /// Returns the change counters. If two calls return equal counters, the state that the counters cover did not
    /// change between the calls.
    #[must_use]
    pub fn change_counters(&self) -> ChangeCounters {
        self.changes
    }

    /// Returns the length of the shortest prefix, in characters, that distinguishes a session's id from all other ids.
    /// The length is at least 8.
    #[must_use]
    pub fn id_prefix_length(&self, id: &SessionId) -> usize {
        let previous = self.ids.range(..id).next_back();
        let next = self.ids.range((Bound::Excluded(id), Bound::Unbounded)).next();
        text::unique_prefix_length(previous.map(SessionId::raw), id.raw(), next.map(SessionId::raw))
    }

    /// Returns the record of a session.
    #[must_use]
    pub fn get(&self, id: &SessionId) -> Option<&Record> {
        self.records.get(id).map(Box::as_ref)
    }

    /// Returns the number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns true if there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the estimate of the server's clock.
    #[must_use]
    pub fn clock(&self) -> &ServerClock {
        &self.clock
    }

    /// Returns the health of the polls.
    #[must_use]
    pub fn health(&self) -> &PollHealth {
        &self.health
    }

    /// Returns the project of a session, if the API key can list that project.
    #[must_use]
    pub fn project_of(&self, session: &Session) -> Option<&Project> {
        self.projects.iter().find(|project| Some(&project.id) == session.project.as_ref())
    }

    /// Returns the projects that the API key can list.
    #[must_use]
    pub fn projects(&self) -> &[Project] {
        &self.projects
    }
}

/// Returns true if the session has metadata, or `None` if its metadata was not stored.
fn has_metadata(session: &Session) -> Option<bool> {
    match &session.metadata {
        Some(metadata) if metadata.is_omitted() => None,
        Some(metadata) => Some(!metadata.is_empty()),
        None => Some(false),
    }
}
