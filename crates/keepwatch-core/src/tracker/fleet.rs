//! All sessions that are watched, and what happened to them.
//!
//! ```text
//!   Input ──► apply ──► records, timeline, …   ──► known: what is asked of them
//!               └────► leaving: who left the lists, who is missing, who is forgotten
//! ```

mod known;
mod leaving;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::bounds::{ServerClock, When};
use super::changes::{Changes, Trace};
use super::compare;
use super::cost::Short;
use super::event::{Event, EventKind};
use super::flag::Thresholds;
use super::health::Health;
use super::input::{Exchange, Input, Scope};
use super::over::Over;
use super::record::{Change, Failing, Presence, Record, Release, Reply};
use super::succession::Succession;
use super::timeline::{Seq, Timeline};
use super::together::Ends;
use crate::clock::{Moment, Timestamp};
use crate::session::{Fault, MetadataPath, Project, Session, SessionId};

/// How many sessions that are over stay, beside those that the reader named.
pub(super) const MOST_OVER: usize = 500;
/// The wall clock was set if it moved by more than this against the clock since boot, in milliseconds.
const CLOCK_SET: i64 = 2000;

/// The record of everything that was observed. It learns only through [`Fleet::apply`].
#[derive(Debug, Default)]
pub struct Fleet {
    pub(super) records: IndexMap<SessionId, Box<Record>>,
    /// The ids of all of them, in order.
    ids: BTreeSet<SessionId>,
    pub(super) changes: Changes,
    /// Over and not named by the reader, the oldest first.
    over: Over,
    /// Left their list, and nobody knows yet why; not named by the reader, the oldest first.
    pub(super) left: Over,
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
    trace: Trace,
}

impl Fleet {
    /// A fleet that has seen nothing, and flags sessions at these thresholds.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, ..Self::default() }
    }

    /// The same, with the place in the metadata that says whose a session is.
    #[must_use]
    pub fn with_owner_key(self, owner_key: Option<MetadataPath>) -> Self {
        Self { owner_key, ..self }
    }

    /// Takes one input, and says what happened by it.
    pub fn apply(&mut self, input: Input) -> Vec<Event> {
        let mut events = Vec::new();
        let now = input.moment();
        self.trace.changed.clear();
        (self.trace.clock, self.trace.unsaid) = (false, false);
        self.watch_clock(now, &mut events);
        match input {
            Input::Asked { ids, .. } => {
                for id in ids {
                    record(&mut self.records, &mut self.ids, &id).asked_for = true;
                }
                self.changes.of_sessions();
            }
            Input::Seen { at, scope, sessions, malformed } => {
                self.replied(at, scope, sessions, malformed, None, &mut events);
            }
            Input::Repeated { at, scope, sessions, malformed, replies, longest_gap } => {
                self.replied(at, scope, sessions, malformed, Some((replies, longest_gap)), &mut events);
            }
            Input::Missing { at, id, fault, next } => {
                self.observe_clock(&at, &mut events);
                self.good(at, &Scope::One(id.clone()), &mut events);
                self.missing(at, &id, fault, next, &mut events);
            }
            Input::Failed { at, scope, fault, next } => self.failed(at, &scope, fault, next, &mut events),
            Input::ReleaseAsked { at, id } => {
                if let Some(record) = self.records.get_mut(&id) {
                    record.release = Some(Box::new(Release { asked: at, failed: None }));
                    self.tell(Some(&id), When::at(&self.clock, at), at, EventKind::ReleaseAsked, &mut events);
                    self.attend(&id, at, &mut events);
                }
            }
            Input::ReleaseFailed { at, id, fault, next } => {
                let wait = next.map(|next| next.since(at.received));
                if let Some(release) = self.records.get_mut(&id).and_then(|record| record.release.as_mut()) {
                    release.failed = Some((fault.clone(), next));
                    let when = When::at(&self.clock, at.received);
                    let kind = EventKind::ReleaseFailed { fault, wait };
                    self.tell(Some(&id), when, at.received, kind, &mut events);
                    self.attend(&id, at.received, &mut events);
                }
            }
            Input::Projects { at, projects } => {
                self.observe_clock(&at, &mut events);
                self.projects = projects;
            }
            Input::Slept { from, to } => {
                let latest = self.clock.at(to);
                let when = When { earliest: Some(self.clock.at(from).min(latest)), latest };
                let asleep = to.since(from).saturating_sub(to.mono.saturating_sub(from.mono));
                self.tell(None, when, to, EventKind::Slept(asleep), &mut events);
            }
            Input::TimePassed { .. } => {}
        }
        self.pass(now, &mut events);
        self.bound();
        if !events.is_empty() {
            self.changes.of_sessions();
        }
        events
    }

    /// Puts an event on record.
    pub(super) fn tell(
        &mut self,
        id: Option<&SessionId>,
        when: When,
        now: Moment,
        kind: EventKind,
        out: &mut Vec<Event>,
    ) -> Seq {
        let event = Event { id: id.cloned(), when, seen: self.clock.at(now), kind };
        out.push(event.clone());
        self.timeline.push(event)
    }

    /// Learns what time it is at the server. Where that is not what it was believed to be, all times move.
    fn observe_clock(&mut self, at: &Exchange, out: &mut Vec<Event>) {
        let before = self.clock.is_known().then(|| self.clock.at(at.received));
        // promise: server-date
        self.trace.clock |= self.clock.observe(at);
        let after = self.clock.at(at.received);
        let by_ms = before.map_or(0, |before| after.signed_duration_since(before).num_milliseconds());
        if by_ms.abs() >= CLOCK_SET {
            let when = When::at(&self.clock, at.received);
            self.tell(None, when, at.received, EventKind::ServerClockSet { by_ms }, out);
        }
    }

    /// A wall clock that moves otherwise than the clock since boot was set.
    fn watch_clock(&mut self, now: Moment, out: &mut Vec<Event>) {
        let before = self.latest.replace(now);
        let Some(before) = before else { return };
        let against_boot = |moment: Moment| {
            let boot = i64::try_from(moment.boot.as_millis()).unwrap_or(i64::MAX);
            moment.wall.timestamp_millis().saturating_sub(boot)
        };
        let by_ms = against_boot(now).saturating_sub(against_boot(before));
        if by_ms.abs() >= CLOCK_SET {
            self.tell(None, When::at(&self.clock, now), now, EventKind::ClockSet { by_ms }, out);
        }
    }

    fn good(&mut self, at: Exchange, scope: &Scope, out: &mut Vec<Event>) {
        if let Some(over) = self.health.good(at, scope) {
            let after = at.received.since(over.since.sent);
            let when = When::at(&self.clock, at.received);
            self.tell(None, when, at.received, EventKind::Recovered { list: over.list, after }, out);
        }
    }

    fn failed(
        &mut self,
        at: Exchange,
        scope: &Scope,
        fault: Fault,
        next: Option<Moment>,
        out: &mut Vec<Event>,
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
            let told = before.is_some_and(|failing| !failing.fault.concerns_all());
            of_one = (!told && !fault.concerns_all()).then_some(id);
            let fault = fault.clone();
            record.failing = Some(Box::new(Failing { since, at, fault, list: None, count, next }));
        }
        if of_all {
            let list = self.health.failing.as_ref().and_then(|failing| failing.list);
            self.tell(None, when, at.received, EventKind::Failing { fault, list, wait }, out);
        } else if let Some(id) = of_one {
            self.tell(Some(id), when, at.received, EventKind::Failing { fault, list: None, wait }, out);
        }
    }

    /// A reply with sessions, or `several` of them that say the same.
    fn replied(
        &mut self,
        at: Exchange,
        scope: Scope,
        sessions: Vec<Session>,
        malformed: u32,
        several: Option<(u64, Duration)>,
        out: &mut Vec<Event>,
    ) {
        self.observe_clock(&at, out);
        self.good(at, &scope, out);
        match scope {
            Scope::One(id) => {
                if let Some(session) = sessions.into_iter().next() {
                    self.seen(Reply { at: Arc::new(at), from_list: false, several }, id, session, None, out);
                }
            }
            Scope::List(list) => {
                self.health.malformed(list, malformed);
                self.listed(Reply { at: Arc::new(at), from_list: true, several }, list, sessions, out);
            }
            Scope::Projects => {}
        }
    }

    /// A reply about one session; of a list, if it has a number.
    fn seen(
        &mut self,
        reply: Reply,
        id: SessionId,
        session: Session,
        list: Option<u64>,
        out: &mut Vec<Event>,
    ) {
        let at = *reply.at;
        let record = record(&mut self.records, &mut self.ids, &id);
        record.listed = list.unwrap_or(record.listed);
        let (is_first, was_over) = (record.session.is_none(), record.is_over());
        let Some(taken) = record.take(reply, session, &self.clock, self.owner_key.as_ref()) else {
            self.trace.unsaid = true;
            return;
        };
        let (has_ended, is_over) = (record.ended.is_some(), record.is_over() && !record.asked_for);
        if !matches!(record.presence, Presence::Unlisted { .. }) {
            self.left.remove(&id);
        }
        match taken.change {
            Change::None => {}
            Change::Bytes => self.changes.of_bytes(),
            Change::Whole => self.changes.of_all(),
        }
        if taken.change != Change::None {
            self.trace.changed.push((id.clone(), taken.change));
        }
        for (when, kind) in taken.news {
            self.tell(Some(&id), when, at.received, kind, out);
        }
        if taken.revived {
            self.ends.remove(&id);
            self.succession.forget_end(&id);
        }
        if has_ended {
            self.count_end(&id, at.received);
        }
        if is_over && !was_over {
            self.over.put(&id);
        }
        if taken.ended {
            self.take_end(&id, at.received, out);
        } else if is_first {
            self.take_birth(&id, at.received, out);
        }
        self.attend(&id, at.received, out);
    }

    /// An end counts among those that belong together as long as the newest reply says that it is such a one.
    fn count_end(&mut self, id: &SessionId, now: Moment) {
        let counts = self.evidence(id).is_some_and(|evidence| evidence.counts_together());
        let session = self.records.get(id).and_then(|record| record.session.as_ref());
        match session.and_then(|session| session.ended).filter(|_| counts) {
            Some(ended) => self.ends.add(id, ended, now.boot),
            None => self.ends.remove(id),
        }
    }

    /// What follows for the others from an end.
    fn take_end(&mut self, id: &SessionId, now: Moment, out: &mut Vec<Event>) {
        let Some(record) = self.records.get_mut(id) else { return };
        if let Some(ran) = record.ran().filter(|_| record.is_end_exact() && !record.counted_short) {
            self.short.add(ran);
            record.counted_short = true;
        }
        let metadata = record.session.as_ref().and_then(compare::attached);
        let follows = metadata.zip(record.ended_at()).and_then(|(it, at)| self.succession.ended(id, it, at));
        if let Some((new, born)) = follows {
            self.tell_successor(id, new, born, now, out);
        }
    }

    /// A session that is new: where it has the metadata of one that has just ended, that one is told.
    fn take_birth(&mut self, id: &SessionId, now: Moment, out: &mut Vec<Event>) {
        let Some(session) = self.records.get(id).and_then(|record| record.session.as_ref()) else { return };
        let Some((metadata, born)) = compare::attached(session).zip(session.created.or(session.started))
        else {
            return;
        };
        if let Some(old) = self.succession.born(id, metadata, born) {
            self.tell_successor(&old, id.clone(), born, now, out);
        }
    }

    fn tell_successor(
        &mut self,
        old: &SessionId,
        new: SessionId,
        born: Timestamp,
        now: Moment,
        out: &mut Vec<Event>,
    ) {
        let Some(record) = self.records.get_mut(old) else { return };
        record.successor = Some(new.clone());
        let latest = self.clock.at(now);
        let when = When { earliest: Some(born.min(latest)), latest };
        self.tell(Some(old), when, now, EventKind::Successor(new), out);
    }
}

/// The record of a session; from now on, if there was none.
fn record<'r>(
    records: &'r mut IndexMap<SessionId, Box<Record>>,
    ids: &mut BTreeSet<SessionId>,
    id: &SessionId,
) -> &'r mut Record {
    records.entry(id.clone()).or_insert_with(|| {
        ids.insert(id.clone());
        Box::new(Record::new(id.clone(), false))
    })
}
