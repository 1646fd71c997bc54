//! Inputs and what they changed → lines.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::entry::{Entry, Line, Reply, Run, Told};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{List, SessionId};
use keepwatch_core::tracker::{AppliedChanges, Change, Input, RequestTiming, Scope, SessionTracker};

/// A run is no longer than this, so that the clocks' wander against each other stays small within one.
const LONGEST_RUN: Duration = Duration::from_secs(600);
/// How many sessions are remembered beyond those on record before the others are forgotten.
const SPARE: usize = 1000;

/// Writes down the inputs of one fleet.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What each list had last, by [`List::ALL`]'s order.
    lists: [Option<Listed>; 2],
    /// Whether both have a session.
    overlap: bool,
    /// The sessions that were told whole.
    told: HashSet<SessionId>,
    open: Vec<Open>,
    next: u64,
    profile: Option<String>,
    /// Whether metadata is left out.
    hides_metadata: bool,
    /// The newest moment that was written down.
    written: Option<Moment>,
}

#[derive(Debug)]
struct Listed {
    members: Vec<SessionId>,
    malformed: u32,
}

#[derive(Debug)]
struct Open {
    n: u64,
    run: Run,
}

/// What is to be known of an input before a fleet takes it.
#[derive(Debug)]
pub struct Before(What);

#[derive(Debug)]
enum What {
    Reply {
        at: RequestTiming,
        scope: Scope,
        members: Vec<SessionId>,
        malformed: u32,
    },
    /// It says nothing by itself.
    Tick(Moment),
    Other(Box<Input>),
}

impl Before {
    /// What is to be known of `input`.
    #[must_use]
    pub fn of(input: &Input) -> Self {
        Self(match input {
            Input::SessionsReceived { at, scope, sessions, malformed } => {
                let members = match scope {
                    Scope::List(_) => sessions.iter().map(|session| session.id.clone()).collect(),
                    Scope::Session(_) | Scope::Projects => Vec::new(),
                };
                What::Reply { at: *at, scope: scope.clone(), members, malformed: *malformed }
            }
            Input::TimePassed { now } => What::Tick(*now),
            other => What::Other(Box::new(other.clone())),
        })
    }
}

impl Encoder {
    /// One whose lines are of this profile; or of the only one.
    #[must_use]
    pub fn new(profile: Option<String>, hides_metadata: bool) -> Self {
        Self { profile, hides_metadata, ..Self::default() }
    }

    /// Begins anew: what follows can be read without what came before. Returns the ends of what was open.
    pub fn restart(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.close(|_| true, &mut lines);
        let next = self.next;
        *self = Self { next, ..Self::new(self.profile.take(), self.hides_metadata) };
        lines
    }

    /// Returns the lines to write for one input: `before` is taken of the input before `fleet` applied it, `applied` is what
    /// it changed, and `fleet` is the state after it.
    pub fn take(&mut self, before: Before, fleet: &SessionTracker, applied: &AppliedChanges) -> Vec<Line> {
        let mut lines = Vec::new();
        let concerns_all = applied.clock_changed || applied.events.iter().any(|event| event.id.is_none());
        if concerns_all {
            self.close(|_| true, &mut lines);
        }
        match before.0 {
            What::Tick(now) => {
                if !applied.events.is_empty() {
                    self.close(|_| true, &mut lines);
                    self.put(now, Entry::Input(Input::TimePassed { now }), &mut lines);
                }
            }
            What::Other(input) => {
                self.close(|_| true, &mut lines);
                self.put(input.moment(), Entry::Input(*input), &mut lines);
            }
            What::Reply { at, scope, members, malformed } => {
                let (reply, is_known) = self.reply(at, scope, members, malformed, fleet, &applied.changed);
                let nothing_new = is_known && reply.changed.is_empty() && reply.gone.is_empty();
                let had_effect =
                    !applied.events.is_empty() || applied.clock_changed || applied.changed_silently;
                let is_of_one = matches!(reply.scope, Scope::Session(_));
                if nothing_new && !had_effect {
                    self.fold(at, reply.scope, &mut lines);
                } else if is_of_one && !is_known && reply.changed.is_empty() {
                    // It was overtaken before anything was known of its session. Its times count all the same.
                    self.close_those_about(&reply.scope, &mut lines);
                    let scope = reply.scope;
                    let empty = Input::SessionsReceived { at, scope, sessions: Vec::new(), malformed: 0 };
                    self.put(at.received, Entry::Input(empty), &mut lines);
                } else {
                    self.close_those_about(&reply.scope, &mut lines);
                    self.put(at.received, Entry::Reply(reply), &mut lines);
                }
            }
        }
        lines
    }

    /// Ends what is open, and says until when was watched.
    pub fn finish(&mut self, fleet: &SessionTracker) -> Vec<Line> {
        let mut lines = Vec::new();
        self.close(|_| true, &mut lines);
        if let Some(now) = fleet.latest_moment().filter(|now| self.written != Some(*now)) {
            self.put(now, Entry::Input(Input::TimePassed { now }), &mut lines);
        }
        lines
    }

    /// What a reply has that was not told before; and whether what was asked for was told before at all.
    fn reply(
        &mut self,
        at: RequestTiming,
        scope: Scope,
        members: Vec<SessionId>,
        malformed: u32,
        fleet: &SessionTracker,
        changes: &[(SessionId, Change)],
    ) -> (Reply, bool) {
        let (changed, gone, is_known) = match &scope {
            Scope::Session(id) => {
                let change = changes.first().map_or(Change::None, |(_, change)| *change);
                let is_known = self.told.contains(id);
                (self.tell(id, change, fleet).into_iter().collect(), Vec::new(), is_known)
            }
            Scope::List(list) => self.list(*list, members, malformed, fleet, changes),
            Scope::Projects => (Vec::new(), Vec::new(), false),
        };
        if self.told.len() > fleet.len().saturating_mul(2).saturating_add(SPARE) {
            self.told.retain(|id| fleet.get(id).is_some());
        }
        (Reply { at, scope, changed, gone, malformed }, is_known)
    }

    /// The same of a list.
    fn list(
        &mut self,
        list: List,
        members: Vec<SessionId>,
        malformed: u32,
        fleet: &SessionTracker,
        changes: &[(SessionId, Change)],
    ) -> (Vec<Told>, Vec<SessionId>, bool) {
        let before = self.lists.get_mut(place(list)).and_then(Option::take);
        let is_known = before.as_ref().is_some_and(|before| before.malformed == malformed);
        let before = before.map(|before| before.members).unwrap_or_default();
        let (told, gone) = if before == members {
            (
                changes.iter().filter_map(|(id, change)| self.tell_listed(id, *change, fleet)).collect(),
                Vec::new(),
            )
        } else {
            let changes: HashMap<&SessionId, Change> = changes.iter().map(|(id, it)| (id, *it)).collect();
            let was: HashSet<&SessionId> = before.iter().collect();
            let is: HashSet<&SessionId> = members.iter().collect();
            let gone = before.iter().filter(|id| !is.contains(id)).cloned().collect();
            let other = self.lists.iter().flatten().flat_map(|other| &other.members);
            self.overlap = other.into_iter().any(|id| is.contains(id));
            let told = members.iter().filter_map(|id| {
                let change = changes.get(id).copied().unwrap_or_default();
                let again = || (!was.contains(id)).then(|| Told::Same(id.clone()));
                self.tell_listed(id, change, fleet).or_else(again)
            });
            (told.collect(), gone)
        };
        if let Some(place) = self.lists.get_mut(place(list)) {
            *place = Some(Listed { members, malformed });
        }
        (told, gone, is_known)
    }

    /// As [`Encoder::tell`], of an element of a list: it is found by its own id.
    fn tell_listed(&mut self, id: &SessionId, change: Change, fleet: &SessionTracker) -> Option<Told> {
        let mut told = self.tell(id, change, fleet);
        if let Some(Told::Whole(session)) = &mut told {
            session.id.clone_from(id);
        }
        told
    }

    /// How a session is told that differs like this; `None` where nothing is to be told.
    fn tell(&mut self, id: &SessionId, change: Change, fleet: &SessionTracker) -> Option<Told> {
        let session = fleet.get(id)?.session.as_ref()?;
        let is_new = self.told.insert(id.clone());
        let told = match change {
            Change::None if !is_new => return None,
            Change::Bytes if !is_new => {
                Told::Bytes { id: id.clone(), proxy_bytes: session.proxy_bytes, updated: session.updated }
            }
            _ => Told::Whole(Box::new(session.clone())),
        };
        Some(if self.hides_metadata { told.without_metadata() } else { told })
    }

    /// A reply like the one before it.
    fn fold(&mut self, at: RequestTiming, scope: Scope, lines: &mut Vec<Line>) {
        // The order of replies about one session counts.
        let others: Vec<u64> = self
            .open
            .iter()
            .filter(|open| open.run.scope != scope && self.overlap(&open.run.scope, &scope))
            .map(|open| open.n)
            .collect();
        let too_long = |run: &Run| run.scope == scope && at.received.since(run.first.received) > LONGEST_RUN;
        self.close(|open| others.contains(&open.n) || too_long(&open.run), lines);
        let open = match self.open.iter_mut().find(|open| open.run.scope == scope) {
            Some(open) => {
                let gap = at.received.since(open.run.last.sent);
                open.run.longest_gap = open.run.longest_gap.max(gap);
                open.run.replies = open.run.replies.saturating_add(1);
                (open.run.last, open.run.before) = (at, self.next);
                open
            }
            None => {
                let n = self.next;
                self.next = n.saturating_add(1);
                let (before, longest_gap) = (self.next, Duration::ZERO);
                self.open.push(Open {
                    n,
                    run: Run { scope, first: at, last: at, before, replies: 1, longest_gap },
                });
                let Some(open) = self.open.last_mut() else { return };
                open
            }
        };
        let (n, run) = (open.n, open.run.clone());
        lines.push(self.line(n, at.received.wall, true, Entry::Run(run)));
        self.written = Some(at.received);
    }

    fn close_those_about(&mut self, scope: &Scope, lines: &mut Vec<Line>) {
        let about: Vec<u64> =
            self.open.iter().filter(|open| self.overlap(&open.run.scope, scope)).map(|open| open.n).collect();
        self.close(|open| about.contains(&open.n), lines);
    }

    /// Whether both are about the same session.
    fn overlap(&self, one: &Scope, other: &Scope) -> bool {
        let has = |list: List, id: &SessionId| {
            let listed = self.lists.get(place(list)).and_then(Option::as_ref);
            listed.is_some_and(|listed| listed.members.contains(id))
        };
        match (one, other) {
            (Scope::Session(one), Scope::Session(other)) => one == other,
            (Scope::List(list), Scope::Session(id)) | (Scope::Session(id), Scope::List(list)) => {
                has(*list, id)
            }
            (Scope::List(one), Scope::List(other)) => one == other || self.overlap,
            (Scope::Projects, _) | (_, Scope::Projects) => false,
        }
    }

    fn close(&mut self, which: impl Fn(&Open) -> bool, lines: &mut Vec<Line>) {
        let (closed, open): (Vec<Open>, Vec<Open>) =
            std::mem::take(&mut self.open).into_iter().partition(which);
        self.open = open;
        for Open { n, run } in closed {
            lines.push(self.line(n, run.last.received.wall, false, Entry::Run(run)));
        }
    }

    fn put(&mut self, at: Moment, entry: Entry, lines: &mut Vec<Line>) {
        let n = self.next;
        self.next = self.next.saturating_add(1);
        self.written = Some(at);
        lines.push(self.line(n, at.wall, false, entry));
    }

    fn line(&self, n: u64, at: Timestamp, open: bool, entry: Entry) -> Line {
        Line { n, at, profile: self.profile.clone(), open, entry }
    }
}

fn place(list: List) -> usize {
    match list {
        List::Running => 0,
        List::Pending => 1,
    }
}
