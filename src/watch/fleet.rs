//! All sessions that are watched, and how the polling goes.

use std::collections::{HashMap, HashSet, VecDeque};

use super::bounds::{ServerClock, When};
use super::event::{Event, EventKind};
use super::input::{Exchange, Input, Scope};
use super::record::{Ended, Failing, Presence, Record};
use crate::clock::Moment;
use crate::session::{Fault, List, Metadata, Phase, Project, Session, SessionId};

/// How many sessions that are over stay, beside those that the reader named.
const MOST_OVER: usize = 500;
/// How many past failures stay.
const MOST_FAILURES: usize = 200;

/// The record of everything that was observed. It learns only through [`Fleet::apply`].
#[derive(Debug, Default)]
pub struct Fleet {
    records: HashMap<SessionId, Record>,
    /// Over and not named by the reader, the oldest first.
    over: VecDeque<SessionId>,
    clock: ServerClock,
    health: Health,
    projects: Vec<Project>,
}

/// How the polling goes.
#[derive(Debug, Default)]
pub struct Health {
    /// The newest poll that brought something.
    pub last_good: Option<Exchange>,
    /// What keeps all polls, or a list, from succeeding now.
    pub failing: Option<Failing>,
    /// Past failures, the newest last.
    pub failures: VecDeque<Failure>,
    /// Elements of the newest lists that were no session.
    pub malformed: u32,
    /// The same of each list, by [`List::ALL`]'s order.
    malformed_in: [u32; 2],
    /// The scope of `failing`.
    failing_scope: Option<Scope>,
}

/// A poll that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// When.
    pub at: Exchange,
    /// What was asked for.
    pub scope: Scope,
    /// Why it failed.
    pub fault: Fault,
}

impl Health {
    /// Why the newest try brought nothing, if it was after the newest that did.
    #[must_use]
    pub fn cause(&self) -> Option<&Fault> {
        let failing = self.failing.as_ref().map(|failing| &failing.fault);
        failing.or_else(|| {
            let newest = self.failures.back()?;
            let later = self.last_good.is_none_or(|good| good.received.mono < newest.at.received.mono);
            later.then_some(&newest.fault)
        })
    }

    fn failed(&mut self, at: Exchange, scope: &Scope, fault: &Fault, next: Option<Moment>) -> bool {
        if self.failures.len() >= MOST_FAILURES {
            self.failures.pop_front();
        }
        self.failures.push_back(Failure { at, scope: scope.clone(), fault: fault.clone() });
        // Polls that were under way together fail together: that is one failure.
        let before = self.failing.as_ref();
        let again = before.is_none_or(|before| at.sent.mono >= before.at.received.mono);
        if !fault.concerns_all() && !fault.is_refusal() && matches!(scope, Scope::One(_)) {
            // It came further than what kept all from succeeding.
            self.failing.take_if(|before| again && before.fault.concerns_all());
            return false;
        }
        let count = before.map_or(0, |before| before.count).saturating_add(u32::from(again));
        let new = self.failing.replace(Failing { at, fault: fault.clone(), count, next }).is_none();
        self.failing_scope = Some(scope.clone());
        new
    }

    /// A good reply. Returns whether that ends a row of failures: one to a request from before the failure does not.
    fn good(&mut self, at: Exchange, scope: &Scope) -> bool {
        let over = self.failing.as_ref().is_some_and(|failing| {
            at.sent.mono >= failing.at.received.mono
                && (failing.fault.concerns_all() || self.failing_scope.as_ref() == Some(scope))
        });
        // While a list fails, what else succeeds does not make its sessions any fresher.
        if (over || self.failing.is_none())
            && self.last_good.is_none_or(|last| last.received.mono <= at.received.mono)
        {
            self.last_good = Some(at);
        }
        if over {
            self.failing = None;
            self.failing_scope = None;
        }
        over
    }
}

impl Fleet {
    /// A fleet that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one input, and says what happened by it.
    pub fn apply(&mut self, input: Input) -> Vec<Event> {
        let mut events = Vec::new();
        match input {
            Input::Asked { ids, .. } => {
                for id in ids {
                    self.records.entry(id.clone()).or_insert_with(|| Record::new(id, true)).asked_for = true;
                }
            }
            Input::Seen { at, scope, sessions, malformed } => {
                self.clock.observe(&at);
                if self.health.good(at, &scope) {
                    events.push(self.event(None, When::at(&self.clock, at.received), EventKind::Recovered));
                }
                match scope {
                    Scope::One(id) => {
                        if let Some(session) = sessions.into_iter().next() {
                            self.seen(at, id, session, false, &mut events);
                        }
                    }
                    Scope::List(list) => {
                        let [running, pending] = &mut self.health.malformed_in;
                        *(if list == List::Running { &mut *running } else { &mut *pending }) = malformed;
                        self.health.malformed = running.saturating_add(*pending);
                        self.listed(at, list, sessions, &mut events);
                    }
                    Scope::Projects => {}
                }
            }
            Input::Missing { at, id, fault, next } => {
                self.clock.observe(&at);
                self.health.good(at, &Scope::One(id.clone()));
                self.missing(at, &id, fault, next, &mut events);
            }
            Input::Failed { at, scope, fault, next } => {
                if let Scope::One(id) = &scope
                    && let Some(record) = self.records.get_mut(id)
                {
                    let count = record.failing.as_ref().map_or(0, |failing| failing.count).saturating_add(1);
                    record.failing = Some(Failing { at, fault: fault.clone(), count, next });
                }
                if self.health.failed(at, &scope, &fault, next) {
                    let when = When::at(&self.clock, at.received);
                    events.push(self.event(None, when, EventKind::Failing(fault)));
                }
            }
            Input::Projects { at, projects } => {
                self.clock.observe(&at);
                self.projects = projects;
            }
            Input::Slept { from, to } => {
                let when = When { earliest: Some(self.clock.at(from)), latest: self.clock.at(to) };
                events.push(self.event(None, when, EventKind::Slept));
            }
            Input::TimePassed { .. } => {}
        }
        self.bound();
        events
    }

    fn event(&self, id: Option<&SessionId>, when: When, kind: EventKind) -> Event {
        Event { id: id.cloned(), when, kind }
    }

    /// A reply about one session. One that was sent before the newest we have says nothing new.
    fn seen(
        &mut self,
        at: Exchange,
        id: SessionId,
        mut session: Session,
        from_list: bool,
        events: &mut Vec<Event>,
    ) {
        let record = self.records.entry(id.clone()).or_insert_with(|| Record::new(id.clone(), false));
        record.replies = record.replies.saturating_add(1);
        if record.last.is_some_and(|last| at.sent.mono < last.sent.mono) {
            return;
        }
        record.failing = None;
        let old = record.session.take();
        let (before, was) = (record.last_alive, old.as_ref().map(|old| old.status.clone()));
        let phase = session.status.phase();
        match &was {
            None => {
                let when = When::between(&self.clock, None, &at);
                events.push(Event {
                    id: Some(id.clone()),
                    when,
                    kind: EventKind::FirstSeen(session.status.clone()),
                });
            }
            Some(was) if *was != session.status && (phase != Phase::Ended || record.ended.is_some()) => {
                let when = When::between(&self.clock, record.last.as_ref(), &at);
                let kind = EventKind::Changed { from: was.clone(), to: session.status.clone() };
                events.push(Event { id: Some(id.clone()), when, kind });
            }
            Some(_) => {}
        }
        if phase == Phase::Ended {
            if record.ended.is_none() {
                let (when, said_fits) =
                    When::between(&self.clock, before.as_ref(), &at).narrowed(session.ended);
                record.ended = Some(Ended { when, said_fits, seen: at });
                if was.is_some() {
                    let kind = EventKind::Ended(session.status.clone());
                    events.push(Event { id: Some(id.clone()), when, kind });
                }
                if !record.asked_for {
                    lay_down(&mut self.over, &id);
                }
            }
        } else {
            record.last_alive = Some(at);
            record.ended = None;
        }
        record.presence = match (&record.presence, from_list, phase) {
            // With another status it is another list that should have it, and that one was not asked since.
            (Presence::Unlisted { since, confirmed }, false, Phase::Alive | Phase::Unknown)
                if was.as_ref() == Some(&session.status) =>
            {
                if !confirmed {
                    let when = When::at(&self.clock, at.received);
                    events.push(Event { id: Some(id), when, kind: EventKind::Unlisted });
                }
                Presence::Unlisted { since: *since, confirmed: true }
            }
            _ => Presence::Here,
        };
        if let Some(bytes) = session.proxy_bytes {
            record.traffic.observe(at.received.boot, bytes);
        }
        // What a list leaves out stays as a single reply said it; equal texts are kept once.
        session.connect = session.connect.or(old.as_ref().and_then(|old| old.connect));
        match old {
            Some(old) if old.metadata == session.metadata => session.metadata = old.metadata,
            Some(_) | None => record.label = session.metadata.as_ref().and_then(Metadata::label),
        }
        record.first.get_or_insert(at);
        record.last = Some(at);
        record.session = Some(session);
    }

    /// A list holds all sessions of its status, or should: what it lacks is asked for singly before anything is said.
    fn listed(&mut self, at: Exchange, list: List, sessions: Vec<Session>, events: &mut Vec<Event>) {
        let status = list.status();
        let here: HashSet<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
        for session in sessions {
            let id = session.id.clone();
            self.seen(at, id, session, true, events);
        }
        for record in self.records.values_mut() {
            let lacking = record.status() == Some(&status)
                && record.presence == Presence::Here
                && !here.contains(&record.id)
                && record.last.is_some_and(|last| last.sent.mono < at.sent.mono);
            if lacking {
                record.presence = Presence::Unlisted { since: at.received, confirmed: false };
            }
        }
    }

    fn missing(
        &mut self,
        at: Exchange,
        id: &SessionId,
        fault: Fault,
        next: Option<Moment>,
        events: &mut Vec<Event>,
    ) {
        let Some(record) = self.records.get_mut(id) else { return };
        if record.last.is_some_and(|last| at.sent.mono < last.sent.mono) {
            return;
        }
        record.failing = None;
        let since = match &record.presence {
            Presence::NotFound { since, .. } => *since,
            Presence::Awaited | Presence::Here | Presence::Unlisted { .. } => {
                let when = When::between(&self.clock, record.last.as_ref(), &at);
                events.push(Event { id: Some(id.clone()), when, kind: EventKind::NotFound(fault.clone()) });
                if !record.asked_for {
                    lay_down(&mut self.over, id);
                }
                at
            }
        };
        record.presence = Presence::NotFound { since, fault, next };
    }

    /// Forgets the oldest of what is over.
    fn bound(&mut self) {
        while self.over.len() > MOST_OVER {
            let Some(oldest) = self.over.pop_front() else { return };
            if self.records.get(&oldest).is_some_and(|record| record.is_over() && !record.asked_for) {
                self.records.remove(&oldest);
            }
        }
    }

    /// Every record, in no order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// The record of a session.
    #[must_use]
    pub fn get(&self, id: &SessionId) -> Option<&Record> {
        self.records.get(id)
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

/// Puts an id behind all others that are over; it may have been over before.
fn lay_down(over: &mut VecDeque<SessionId>, id: &SessionId) {
    over.retain(|known| known != id);
    over.push_back(id.clone());
}

#[cfg(test)]
mod tests;
