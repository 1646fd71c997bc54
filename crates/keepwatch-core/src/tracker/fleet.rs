//! All sessions that are watched, and what happened to them.
//!
//! ```text
//!   Input ──► apply ──► Applied                   what the input changed
//!               ├─────► records, timeline, …  ──► known: what is asked of them
//!               ├─────► replies: what a reply about sessions changes
//!               └─────► leaving: who left the lists, who is missing, who is forgotten
//! ```

mod known;
mod leaving;
mod replies;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use indexmap::IndexMap;
use lru::LruCache;

use super::applied::Applied;
use super::bounds::{ServerClock, When};
use super::changes::Changes;
use super::cost::Short;
use super::event::{Event, EventKind};
use super::flag::Thresholds;
use super::health::Health;
use super::input::{Exchange, Input, Scope};
use super::record::{Failing, Record, Release};
use super::succession::Succession;
use super::timeline::{Seq, Timeline};
use super::together::Ends;
use crate::clock::{Moment, Timestamp};
use crate::session::{ApiError, MetadataPath, Project, SessionId};

/// How many sessions that are over stay, beside those that the reader named.
pub(super) const MOST_OVER: usize = 500;
/// The wall clock was set if it moved by more than this against the clock since boot, in milliseconds.
const CLOCK_SET: i64 = 2000;

/// The record of everything that was observed. It learns only through [`Fleet::apply`].
#[derive(Debug)]
pub struct Fleet {
    pub(super) records: IndexMap<SessionId, Box<Record>>,
    /// The ids of all of them, in order.
    ids: BTreeSet<SessionId>,
    pub(super) changes: Changes,
    /// Sessions that are over and were not named by the reader, in the order in which they will be forgotten. Unbounded by
    /// itself: `Fleet::bound` takes out what is too much.
    over: LruCache<SessionId, ()>,
    /// Sessions that left their list for a reason that is not yet known and were not named by the reader, in the order in
    /// which they will be forgotten.
    pub(super) left: LruCache<SessionId, ()>,
    pub(super) clock: ServerClock,
    health: Health,
    projects: Vec<Project>,
    timeline: Timeline,
    pub(super) thresholds: Thresholds,
    /// Where the metadata says whose a session is.
    owner_key: Option<MetadataPath>,
    /// When which session will next be flagged, if nothing happens.
    pub(super) deadlines: BTreeSet<(Timestamp, SessionId)>,
    pub(super) ends: Ends,
    succession: Succession,
    short: Short,
    /// How many lists came.
    lists: u64,
    /// The newest moment that an input told of.
    latest: Option<Moment>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new(Thresholds::default())
    }
}

impl Fleet {
    /// A fleet that has seen nothing, and flags sessions at these thresholds.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self {
            records: IndexMap::default(),
            ids: BTreeSet::default(),
            changes: Changes::default(),
            over: LruCache::unbounded(),
            left: LruCache::unbounded(),
            clock: ServerClock::default(),
            health: Health::default(),
            projects: Vec::new(),
            timeline: Timeline::default(),
            thresholds,
            owner_key: None,
            deadlines: BTreeSet::default(),
            ends: Ends::default(),
            succession: Succession::default(),
            short: Short::default(),
            lists: 0,
            latest: None,
        }
    }

    /// The same, with the place in the metadata that says whose a session is.
    #[must_use]
    pub fn with_owner_key(self, owner_key: Option<MetadataPath>) -> Self {
        Self { owner_key, ..self }
    }

    /// Applies one input, and returns everything that it changed.
    pub fn apply(&mut self, input: Input) -> Applied {
        let mut applied = Applied::default();
        let now = input.moment();
        self.watch_clock(now, &mut applied);
        match input {
            Input::Asked { ids, .. } => {
                for id in ids {
                    replies::record(&mut self.records, &mut self.ids, &id).asked_for = true;
                }
                self.changes.of_sessions();
            }
            Input::Seen { at, scope, sessions, malformed } => {
                self.replied(at, scope, sessions, malformed, None, &mut applied);
            }
            Input::Repeated { at, scope, sessions, malformed, replies, longest_gap } => {
                self.replied(at, scope, sessions, malformed, Some((replies, longest_gap)), &mut applied);
            }
            Input::Missing { at, id, fault, next } => {
                self.observe_clock(&at, &mut applied);
                self.good(at, &Scope::One(id.clone()), &mut applied);
                self.missing(at, &id, fault, next, &mut applied);
            }
            Input::Failed { at, scope, fault, next } => self.failed(at, &scope, fault, next, &mut applied),
            Input::ReleaseAsked { at, id } => self.release_asked(&id, at, &mut applied),
            Input::ReleaseFailed { at, id, fault, next } => {
                self.release_failed(&id, at, fault, next, &mut applied);
            }
            Input::Projects { at, projects } => {
                self.observe_clock(&at, &mut applied);
                self.projects = projects;
            }
            Input::Slept { from, to } => self.slept(from, to, &mut applied),
            Input::TimePassed { .. } => {}
        }
        self.pass(now, &mut applied);
        self.bound();
        if !applied.events.is_empty() {
            self.changes.of_sessions();
        }
        applied
    }

    /// Adds an event to the timeline and to `applied`. Returns its place in the timeline.
    pub(super) fn tell(
        &mut self,
        id: Option<&SessionId>,
        when: When,
        now: Moment,
        kind: EventKind,
        applied: &mut Applied,
    ) -> Seq {
        let event = Event { id: id.cloned(), when, seen: self.clock.at(now), kind };
        applied.events.push(event.clone());
        self.timeline.push(event)
    }

    /// Learns what time it is at the server. Where that is not what it was believed to be, all times move.
    fn observe_clock(&mut self, at: &Exchange, applied: &mut Applied) {
        let before = self.clock.is_known().then(|| self.clock.at(at.received));
        // promise: server-date
        applied.clock_changed |= self.clock.observe(at);
        let after = self.clock.at(at.received);
        let by_ms = before.map_or(0, |before| after.signed_duration_since(before).num_milliseconds());
        if by_ms.abs() >= CLOCK_SET {
            let when = When::at(&self.clock, at.received);
            self.tell(None, when, at.received, EventKind::ServerClockSet { by_ms }, applied);
        }
    }

    /// A wall clock that moves otherwise than the clock since boot was set.
    fn watch_clock(&mut self, now: Moment, applied: &mut Applied) {
        let before = self.latest.replace(now);
        let Some(before) = before else { return };
        let against_boot = |moment: Moment| {
            let boot = i64::try_from(moment.boot.as_millis()).unwrap_or(i64::MAX);
            moment.wall.timestamp_millis().saturating_sub(boot)
        };
        let by_ms = against_boot(now).saturating_sub(against_boot(before));
        if by_ms.abs() >= CLOCK_SET {
            self.tell(None, When::at(&self.clock, now), now, EventKind::ClockSet { by_ms }, applied);
        }
    }

    fn slept(&mut self, from: Moment, to: Moment, applied: &mut Applied) {
        let latest = self.clock.at(to);
        let when = When { earliest: Some(self.clock.at(from).min(latest)), latest };
        let asleep = to.since(from).saturating_sub(to.mono.saturating_sub(from.mono));
        self.tell(None, when, to, EventKind::Slept(asleep), applied);
    }

    fn release_asked(&mut self, id: &SessionId, at: Moment, applied: &mut Applied) {
        let Some(record) = self.records.get_mut(id) else { return };
        record.release = Some(Box::new(Release { asked: at, failed: None }));
        self.tell(Some(id), When::at(&self.clock, at), at, EventKind::ReleaseAsked, applied);
        self.attend(id, at, applied);
    }

    fn release_failed(
        &mut self,
        id: &SessionId,
        at: Exchange,
        fault: ApiError,
        next: Option<Moment>,
        applied: &mut Applied,
    ) {
        let record = self.records.get_mut(id);
        let Some(release) = record.and_then(|record| record.release.as_mut()) else { return };
        release.failed = Some((fault.clone(), next));
        let (when, wait) = (When::at(&self.clock, at.received), next.map(|next| next.since(at.received)));
        self.tell(Some(id), when, at.received, EventKind::ReleaseFailed { fault, wait }, applied);
        self.attend(id, at.received, applied);
    }

    fn good(&mut self, at: Exchange, scope: &Scope, applied: &mut Applied) {
        if let Some(over) = self.health.good(at, scope) {
            let after = at.received.since(over.since.sent);
            let when = When::at(&self.clock, at.received);
            self.tell(None, when, at.received, EventKind::Recovered { list: over.list, after }, applied);
        }
    }

    fn failed(
        &mut self,
        at: Exchange,
        scope: &Scope,
        fault: ApiError,
        next: Option<Moment>,
        applied: &mut Applied,
    ) {
        let (when, wait) = (When::at(&self.clock, at.received), next.map(|next| next.since(at.received)));
        let of_all = self.health.failed(at, scope, &fault, next);
        let mut of_one = None;
        if let Scope::One(id) = scope
            && let Some(record) = self.records.get_mut(id)
        {
            let before = record.failing.as_ref();
            let count = before.map_or(0, |failing| failing.count).saturating_add(1);
            let since = before.map_or(at, |failing| failing.since);
            let told = before.is_some_and(|failing| !failing.fault.affects_all_requests());
            of_one = (!told && !fault.affects_all_requests()).then_some(id);
            let fault = fault.clone();
            record.failing = Some(Box::new(Failing { since, at, fault, list: None, count, next }));
        }
        if of_all {
            let list = self.health.failing.as_ref().and_then(|failing| failing.list);
            self.tell(None, when, at.received, EventKind::Failing { fault, list, wait }, applied);
        } else if let Some(id) = of_one {
            self.tell(Some(id), when, at.received, EventKind::Failing { fault, list: None, wait }, applied);
        }
    }
}
