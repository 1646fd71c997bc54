//! All sessions that are watched, and what happened to them.

use std::collections::BTreeSet;
use std::ops::Bound;
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
use super::record::{Absence, Change, Failing, Presence, Record, Release, Reply};
use super::succession::Succession;
use super::timeline::{Seq, Timeline};
use super::together::Ends;
use super::verdict::{Evidence, Verdict};
use crate::clock::{Moment, Timestamp, later};
use crate::session::{Fault, List, MetadataPath, Phase, Project, Session, SessionId};
use crate::text;

/// How many sessions that are over stay, beside those that the reader named.
pub(super) const MOST_OVER: usize = 500;
/// What no list had for so many lists left them: more than come between two of the same kind.
const STRAYS: u64 = 8;
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

    /// A list holds all sessions of its status, or should: what it lacks is asked for singly before anything is said.
    fn listed(&mut self, reply: Reply, list: List, sessions: Vec<Session>, out: &mut Vec<Event>) {
        let (at, status) = (*reply.at, list.status());
        self.lists = self.lists.saturating_add(1);
        let number = self.lists;
        for session in sessions {
            let id = session.id.clone();
            let known = self.records.get(&id);
            // A list that has a session twice has said it once. One that has what is over as well would bring back, each
            // time, what was forgotten.
            let is_forgotten = known.is_none() && session.is_over() && self.over.len() >= MOST_OVER;
            if known.is_none_or(|record| record.listed != number) && !is_forgotten {
                self.seen(reply.clone(), id, session, Some(number), out);
            }
        }
        for record in self.records.values_mut() {
            let lacking = record.listed != number
                && record.status() == Some(&status)
                && record.presence == Presence::Here
                && record.last().is_some_and(|last| last.sent.mono < at.sent.mono);
            if lacking {
                record.presence = Presence::Unlisted { since: at.received, confirmed: false };
                self.trace.unsaid = true;
            }
            // With a status that nobody knows, nobody knows either which list should have it.
            let is_odd = record.phase() == Phase::Unknown && !record.is_over();
            let strays =
                is_odd && number.saturating_sub(record.listed) >= STRAYS && !self.left.has(&record.id);
            if (lacking || strays) && !record.asked_for {
                self.left.put(&record.id);
            }
        }
    }

    fn missing(
        &mut self,
        at: Exchange,
        id: &SessionId,
        fault: Fault,
        next: Option<Moment>,
        out: &mut Vec<Event>,
    ) {
        let Some(record) = self.records.get_mut(id) else { return };
        if record.last().is_some_and(|last| at.sent.mono < last.sent.mono) {
            return;
        }
        record.failing = None;
        let (since, is_new) = match &record.presence {
            Presence::NotFound(absence) => (absence.since, false),
            Presence::Awaited | Presence::Here | Presence::Unlisted { .. } => (at, true),
        };
        let when = When::between(&self.clock, record.last.as_deref(), &at);
        record.presence = Presence::NotFound(Box::new(Absence { since, fault: fault.clone(), next }));
        self.left.remove(id);
        if is_new {
            if !record.asked_for {
                self.over.put(id);
            }
            self.tell(Some(id), when, at.received, EventKind::NotFound(fault), out);
            self.attend(id, at.received, out);
        }
    }

    /// Forgets the oldest of what is over, and of what left the lists faster than it can be asked for.
    fn bound(&mut self) {
        while self.over.len() > MOST_OVER {
            let Some(oldest) = self.over.take() else { break };
            if self.records.get(&oldest).is_some_and(|record| record.is_over() && !record.asked_for) {
                self.forget(&oldest);
            }
        }
        while self.left.len() > List::MOST_LEFT {
            let Some(oldest) = self.left.take() else { break };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, id: &SessionId) {
        let Some(record) = self.records.swap_remove(id) else { return };
        self.ids.remove(id);
        self.over.remove(id);
        self.left.remove(id);
        self.changes.of_sessions();
        self.timeline.forget(id);
        self.ends.remove(id);
        if let Some(deadline) = record.deadline {
            self.deadlines.remove(&(deadline, id.clone()));
        }
    }

    /// What is known of a session's end, or of what is odd about it.
    fn evidence(&self, id: &SessionId) -> Option<Evidence> {
        let record = self.records.get(id)?;
        let session = record.session.as_ref()?;
        let absent = match &record.presence {
            Presence::NotFound(absence) => Some(absence.fault.clone()),
            Presence::Awaited | Presence::Here | Presence::Unlisted { .. } => None,
        };
        let together = session.ended.and_then(|ended| self.ends.window(id, ended));
        Some(Evidence {
            watched: record.ended.as_ref().and_then(|ended| ended.watched),
            ended_by: record
                .ended
                .as_ref()
                .map(|ended| later(self.clock.at(ended.seen.received), self.clock.slack())),
            released: record.release.as_ref().map(|release| self.clock.at(release.asked)),
            absent,
            last_alive: record
                .last_alive()
                .filter(|_| record.overdue)
                .map(|last| self.clock.earliest(last.sent)),
            together,
            ..self.fields(session)
        })
    }

    /// What a session's own fields are evidence of, without anything that was watched.
    fn fields(&self, session: &Session) -> Evidence {
        Evidence {
            status: Some(session.status.clone()),
            created: session.created,
            started: session.started,
            expires: session.expires,
            ended: session.ended,
            keep_alive: session.keep_alive,
            proxy_bytes: session.proxy_bytes,
            default_timeout: self.project_of(session).and_then(|project| project.default_timeout),
            ..Evidence::default()
        }
    }

    /// Why it ended, or what is odd about it; `None` while there is nothing to explain.
    #[must_use]
    pub fn verdict(&self, id: &SessionId) -> Option<Verdict> {
        self.evidence(id)?.verdict()
    }

    /// The same of a session that is perhaps not on record: then by its fields alone.
    #[must_use]
    pub fn verdict_of(&self, session: &Session) -> Option<Verdict> {
        if self.records.get(&session.id).is_some_and(|record| record.session.is_some()) {
            return self.verdict(&session.id);
        }
        self.fields(session).verdict()
    }

    /// What happened, in the order in which it was learned.
    #[must_use]
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What happened to a session, and to all while it was watched and had not ended; the newest first.
    pub fn newest_of<'t>(&'t self, id: &SessionId) -> impl Iterator<Item = (Seq, &'t Event)> + use<'t> {
        let ended = self.records.get(id).and_then(|record| record.ended.as_ref());
        let over = ended.map(|ended| self.clock.at(ended.seen.received));
        self.timeline.newest_of(id).filter(move |(_, event)| {
            let of_it = event.id.is_some() || matches!(event.kind, EventKind::Together { .. });
            of_it || over.is_none_or(|over| event.seen <= over)
        })
    }

    /// The sessions that ran for less than a minute.
    #[must_use]
    pub fn short(&self) -> Short {
        self.short
    }

    /// The newest moment that is on record: the record is as of then.
    #[must_use]
    pub fn latest(&self) -> Option<Moment> {
        self.latest
    }

    /// Every record, in no order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values().map(Box::as_ref)
    }

    /// How often something changed.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.changes
    }

    /// What the newest input changed.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How many columns of a session's id tell it from all others that are on record, 8 at least.
    #[must_use]
    pub fn id_columns(&self, id: &SessionId) -> usize {
        let before = self.ids.range(..id).next_back();
        let after = self.ids.range((Bound::Excluded(id), Bound::Unbounded)).next();
        text::unique_columns(before.map(SessionId::raw), id.raw(), after.map(SessionId::raw))
    }

    /// The record of a session.
    #[must_use]
    pub fn get(&self, id: &SessionId) -> Option<&Record> {
        self.records.get(id).map(Box::as_ref)
    }

    /// How many sessions are on record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What time it is at the server.
    #[must_use]
    pub fn clock(&self) -> &ServerClock {
        &self.clock
    }

    /// How the polling goes.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The project of a session, where the key may list it.
    #[must_use]
    pub fn project_of(&self, session: &Session) -> Option<&Project> {
        self.projects.iter().find(|project| Some(&project.id) == session.project.as_ref())
    }

    /// The projects that the key can list.
    #[must_use]
    pub fn projects(&self) -> &[Project] {
        &self.projects
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

#[cfg(test)]
mod day;
#[cfg(test)]
mod tests;
