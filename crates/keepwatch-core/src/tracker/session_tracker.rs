//! The session tracker: the state machine for all sessions of one profile.
//!
//! The tracker owns the records, the timeline and the server clock. It never sends a request and never reads a clock.
//! Its state changes only in [`SessionTracker::apply`].
//!
//! ```text
//!   Input ──► apply ──► AppliedChanges          the events and other changes
//!               ├─────► responses               applies responses with sessions, links successors
//!               ├─────► reconcile               applies lists and 404s, evicts sessions
//!               └─────► records, timeline, … ──► queries
//! ```

mod queries;
mod reconcile;
mod responses;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};

use indexmap::IndexMap;
use lru::LruCache;

use super::alert::Alert;
use super::alert_rules::{AlertRules, AlertThresholds};
use super::applied::AppliedChanges;
use super::change_counters::ChangeCounters;
use super::cost::ShortSessions;
use super::end_clusters::EndClusters;
use super::event::{Event, EventKind};
use super::health::PollHealth;
use super::input::{Input, RequestTiming, Scope};
use super::record::{FailureStreak, Record, ReleaseRequest};
use super::running_contexts::RunningContexts;
use super::server_clock::{ClockUpdate, DateProblem, ServerClock, TimeInterval};
use super::successors::SuccessorMatcher;
use super::timeline::{Seq, Timeline};
use crate::clock::{Moment, Timestamp};
use crate::session::{ApiError, MetadataPath, Project, Session, SessionId};

/// The maximum number of final sessions, not counting sessions that the user named.
pub(super) const MAX_FINAL_SESSIONS: usize = 500;
/// The maximum number of final sessions that are kept in addition because they have an incident.
pub(super) const MAX_INCIDENT_SESSIONS: usize = 200;
/// The minimum step of a clock, in milliseconds, that causes an event. It exceeds the resolution of `Date`, one second.
const MIN_CLOCK_STEP_MS: i64 = 2000;

/// The state of all sessions of one profile. It changes only in [`SessionTracker::apply`].
#[derive(Debug)]
pub struct SessionTracker {
    pub(super) records: IndexMap<SessionId, Box<Record>>,
    /// The ids of all records, sorted. `SessionTracker::id_prefix_length` compares an id with its neighbours here.
    ids: BTreeSet<SessionId>,
    pub(super) changes: ChangeCounters,
    /// Final sessions that the user did not name, in the order of eviction. The cache has no limit of its own:
    /// `SessionTracker::evict` removes the excess above [`MAX_FINAL_SESSIONS`].
    evictable_final: LruCache<SessionId, ()>,
    /// Final sessions with an incident that were due for eviction, in the order of eviction.
    pub(super) evictable_incidents: LruCache<SessionId, ()>,
    /// Sessions that the user did not name and that are missing from their lists, in the order of eviction.
    pub(super) evictable_unlisted: LruCache<SessionId, ()>,
    pub(super) clock: ServerClock,
    health: PollHealth,
    /// The projects that the API key can list.
    projects: Vec<Project>,
    timeline: Timeline,
    pub(super) rules: AlertRules,
    /// The path of the owner in a session's metadata.
    owner_key: Option<MetadataPath>,
    /// The deadlines of all sessions, sorted, on the server's clock. See `Record::deadline`.
    pub(super) deadlines: BTreeSet<(Timestamp, SessionId)>,
    pub(super) end_clusters: EndClusters,
    successors: SuccessorMatcher,
    running_contexts: RunningContexts,
    short_sessions: ShortSessions,
    /// The number of lists received so far.
    list_count: u64,
    /// The number of sessions in the longest list.
    max_listed: usize,
    /// The time of the first input, on the server's clock.
    pub(super) watched_since: Option<Timestamp>,
    /// The moment of the input applied last.
    last_input_moment: Option<Moment>,
    /// The moment of the newest input that a recording would contain. `SessionTracker::detect_clock_step` compares the
    /// clocks of the next input with it.
    ///
    /// A tick (`Input::TimePassed`) that causes no event does not change this moment, because recordings omit such a
    /// tick. Otherwise, a drift spread over several ticks would stay below the minimum step at each of them. The replay
    /// has no such ticks, so it would see the whole drift at once, and record an event that the screen did not show.
    clock_reference: Option<Moment>,
}

impl Default for SessionTracker {
    fn default() -> Self {
        Self::new(AlertThresholds::default())
    }
}

impl SessionTracker {
    /// Creates an empty tracker that raises alerts by these rules.
    #[must_use]
    pub fn new(rules: impl Into<AlertRules>) -> Self {
        Self {
            records: IndexMap::default(),
            ids: BTreeSet::default(),
            changes: ChangeCounters::default(),
            evictable_final: LruCache::unbounded(),
            evictable_incidents: LruCache::unbounded(),
            evictable_unlisted: LruCache::unbounded(),
            clock: ServerClock::default(),
            health: PollHealth::default(),
            projects: Vec::new(),
            timeline: Timeline::default(),
            rules: rules.into(),
            owner_key: None,
            deadlines: BTreeSet::default(),
            end_clusters: EndClusters::default(),
            successors: SuccessorMatcher::default(),
            running_contexts: RunningContexts::default(),
            short_sessions: ShortSessions::default(),
            list_count: 0,
            max_listed: 0,
            watched_since: None,
            last_input_moment: None,
            clock_reference: None,
        }
    }

    /// Sets the path of the owner in a session's metadata.
    #[must_use]
    pub fn with_owner_key(self, owner_key: Option<MetadataPath>) -> Self {
        Self { owner_key, ..self }
    }

    /// Applies one input. Returns its events, and the changes that decide how the input is stored.
    pub fn apply(&mut self, input: Input) -> AppliedChanges {
        let mut applied = AppliedChanges::default();
        let now = input.moment();
        let is_tick = matches!(input, Input::TimePassed { .. });
        self.last_input_moment = Some(now);
        self.detect_clock_step(now, &mut applied);
        match input {
            Input::SessionsNamed { ids, .. } => {
                for id in ids {
                    responses::get_or_insert_record(&mut self.records, &mut self.ids, &id).is_named = true;
                }
                self.changes.count_session_change();
            }
            Input::SessionsReceived { at, scope, sessions, malformed } => {
                self.apply_response(at, scope, sessions, malformed, None, &mut applied);
            }
            Input::ResponseRepeated { at, scope, sessions, malformed, responses, longest_gap } => {
                self.apply_response(
                    at,
                    scope,
                    sessions,
                    malformed,
                    Some((responses, longest_gap)),
                    &mut applied,
                );
            }
            Input::SessionNotFound { at, id, error, next } => {
                self.observe_clock(&at, &[], &mut applied);
                self.apply_success(at, &Scope::Session(id.clone()), &mut applied);
                self.apply_not_found(at.without_cache(), now, &id, error, next, &mut applied);
            }
            Input::RequestFailed { at, scope, error, next } => {
                self.apply_failure(at, &scope, error, next, &mut applied)
            }
            Input::ReleaseRequested { at, id } => self.apply_release_requested(&id, at, &mut applied),
            Input::ReleaseFailed { at, id, error, next } => {
                self.apply_release_failed(&id, at, error, next, &mut applied);
            }
            Input::ProjectsReceived { at, projects } => {
                self.observe_clock(&at, &[], &mut applied);
                self.projects = projects;
            }
            Input::Slept { from, to } => self.apply_sleep(from, to, &mut applied),
            Input::TimePassed { .. } => {}
        }
        let server_time = self.clock.at(now);
        self.watched_since.get_or_insert(server_time);
        self.advance_time(now, &mut applied);
        self.evict();
        if !is_tick || !applied.events.is_empty() || applied.must_be_stored {
            self.clock_reference = Some(now);
        }
        if !applied.events.is_empty() {
            self.changes.count_session_change();
        }
        applied
    }

    /// Adds an event to the timeline and to `applied`. Returns its sequence number.
    pub(super) fn record_event(
        &mut self,
        id: Option<&SessionId>,
        when: TimeInterval,
        now: Moment,
        kind: EventKind,
        applied: &mut AppliedChanges,
    ) -> Seq {
        let event = Event { id: id.cloned(), when, learned_at: self.clock.at(now), kind };
        applied.events.push(event.clone());
        self.timeline.push(event)
    }

    /// Updates the server clock from a response. Records an event for a problem with its `Date`. Otherwise records an
    /// event if the estimate moved by [`MIN_CLOCK_STEP_MS`] or more. This means that the server's clock was set, or that
    /// another machine answers.
    fn observe_clock(&mut self, at: &RequestTiming, sessions: &[&Session], applied: &mut AppliedChanges) {
        let previous_time = self.clock.is_known().then(|| self.clock.at(at.received));
        // promise: server-date, mutant: self.clock.observe(at, sessions) -> ClockUpdate::default()
        let update: ClockUpdate = self.clock.observe(at, sessions);
        applied.clock_changed |= update.is_changed;
        let new_time = self.clock.at(at.received);
        let step_ms =
            previous_time.map_or(0, |previous| new_time.signed_duration_since(previous).num_milliseconds());
        let kind = match update.problem {
            Some(DateProblem::Ignored { offset_ms }) => EventKind::DateIgnored { offset_ms },
            Some(DateProblem::Jumping { offset_ms }) => EventKind::DatesContradict { offset_ms },
            Some(DateProblem::Steady { contradicting }) => EventKind::DatesAgree { contradicting },
            None if step_ms.abs() >= MIN_CLOCK_STEP_MS => EventKind::ServerClockSet { step_ms },
            None => return,
        };
        self.record_event(None, TimeInterval::at(&self.clock, at.received), at.received, kind, applied);
    }

    /// Returns the sessions of a response that the tracker applies. The timestamps of the others must not change the
    /// server clock, because recordings do not contain them: a stale session, a second session with the same id, and a
    /// session that may have been evicted.
    fn sessions_to_apply<'s>(
        &self,
        at: &RequestTiming,
        scope: &Scope,
        sessions: &'s [Session],
    ) -> Vec<&'s Session> {
        let at = at.without_cache();
        let is_stale = |id: &SessionId| self.records.get(id).is_some_and(|record| record.is_stale(&at));
        match scope {
            Scope::Session(id) => sessions.first().filter(|_| !is_stale(id)).into_iter().collect(),
            Scope::List(_) => {
                let mut ids = HashSet::with_capacity(sessions.len());
                let first_of_id = sessions.iter().filter(|session| ids.insert(&session.id));
                first_of_id
                    .filter(|session| !self.may_have_been_evicted(session) && !is_stale(&session.id))
                    .collect()
            }
            Scope::Projects => Vec::new(),
        }
    }

    /// Records an event if the wall clock was set: since `clock_reference`, it advanced by [`MIN_CLOCK_STEP_MS`] more
    /// or less than our clock since boot.
    fn detect_clock_step(&mut self, now: Moment, applied: &mut AppliedChanges) {
        let Some(previous) = self.clock_reference else { return };
        let wall_minus_boot_ms = |moment: Moment| {
            let boot_ms = i64::try_from(moment.boot.as_millis()).unwrap_or(i64::MAX);
            moment.wall.timestamp_millis().saturating_sub(boot_ms)
        };
        let step_ms = wall_minus_boot_ms(now).saturating_sub(wall_minus_boot_ms(previous));
        if step_ms.abs() >= MIN_CLOCK_STEP_MS {
            self.record_event(
                None,
                TimeInterval::at(&self.clock, now),
                now,
                EventKind::ClockSet { step_ms },
                applied,
            );
        }
    }

    /// Records an event with the interval of a sleep. `Moment::boot` runs on during a sleep and `Moment::mono` does
    /// not, so the time asleep is the difference of their advances.
    fn apply_sleep(&mut self, from: Moment, to: Moment, applied: &mut AppliedChanges) {
        let latest = self.clock.at(to);
        let when = TimeInterval { earliest: Some(self.clock.at(from).min(latest)), latest };
        let time_asleep = to.since(from).saturating_sub(to.mono.saturating_sub(from.mono));
        self.record_event(None, when, to, EventKind::Slept(time_asleep), applied);
    }

    fn apply_release_requested(&mut self, id: &SessionId, at: Moment, applied: &mut AppliedChanges) {
        let Some(record) = self.records.get_mut(id) else { return };
        record.release = Some(Box::new(ReleaseRequest { requested_at: at, failure: None }));
        record.raised_incidents.retain(|raised| raised.alert != Alert::ReleaseFailed); // a second failure is new
        self.record_event(
            Some(id),
            TimeInterval::at(&self.clock, at),
            at,
            EventKind::ReleaseRequested,
            applied,
        );
        self.update_alerts(id, at, applied);
    }

    fn apply_release_failed(
        &mut self,
        id: &SessionId,
        at: RequestTiming,
        error: ApiError,
        next: Option<Moment>,
        applied: &mut AppliedChanges,
    ) {
        let record = self.records.get_mut(id);
        let Some(release) = record.and_then(|record| record.release.as_mut()) else { return };
        release.failure = Some((error.clone(), next));
        let (when, wait) =
            (TimeInterval::at(&self.clock, at.received), next.map(|next| next.since(at.received)));
        self.record_event(Some(id), when, at.received, EventKind::ReleaseFailed { error, wait }, applied);
        self.update_alerts(id, at.received, applied);
    }

    /// Records an event if a successful poll ends a failure streak of all polls or of a list.
    fn apply_success(&mut self, at: RequestTiming, scope: &Scope, applied: &mut AppliedChanges) {
        if let Some(streak) = self.health.record_success(at, scope) {
            let outage = at.received.since(streak.first_failure.sent);
            let when = TimeInterval::at(&self.clock, at.received);
            self.record_event(
                None,
                when,
                at.received,
                EventKind::PollsRecovered { list: streak.list, outage },
                applied,
            );
        }
    }

    /// Updates the failure streaks after a failed poll. Records an event if a streak begins: of all polls, of a list or
    /// of one session. Also records an event if the streak of all polls or of a list changes its error or its list.
    fn apply_failure(
        &mut self,
        at: RequestTiming,
        scope: &Scope,
        error: ApiError,
        next: Option<Moment>,
        applied: &mut AppliedChanges,
    ) {
        let (when, wait) =
            (TimeInterval::at(&self.clock, at.received), next.map(|next| next.since(at.received)));
        let is_new_failure = self.health.record_failure(at, scope, &error, next);
        let mut newly_failing_session = None; // the session, if a streak of this session alone begins
        if let Scope::Session(id) = scope
            && let Some(record) = self.records.get_mut(id)
        {
            let previous = record.failure_streak.as_ref();
            let count = previous.map_or(0, |streak| streak.count).saturating_add(1);
            let first_failure = previous.map_or(at, |streak| streak.first_failure);
            // A failure that affects all requests has one event for all sessions, and no event for each session.
            let has_own_event = previous.is_some_and(|streak| !streak.error.affects_all_requests());
            newly_failing_session = (!has_own_event && !error.affects_all_requests()).then_some(id);
            let error = error.clone();
            record.failure_streak = Some(Box::new(FailureStreak {
                first_failure,
                newest_failure: at,
                error,
                list: None,
                count,
                next,
            }));
        }
        if is_new_failure {
            let list = self.health.failure_streak.as_ref().and_then(|streak| streak.list);
            self.record_event(
                None,
                when,
                at.received,
                EventKind::PollsFailing { error, list, wait },
                applied,
            );
        } else if let Some(id) = newly_failing_session {
            self.record_event(
                Some(id),
                when,
                at.received,
                EventKind::PollsFailing { error, list: None, wait },
                applied,
            );
        }
    }
}
