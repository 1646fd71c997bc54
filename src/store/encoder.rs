//! Inputs and what they changed → lines.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::entry::{EntryContent, RepeatedResponses, ResponseDelta, SessionDelta, StreamEntry};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{List, SessionId};
use keepwatch_core::tracker::{AppliedChanges, Change, Input, RequestTiming, Scope, SessionTracker};

/// A run is no longer than this, so that the clocks' wander against each other stays small within one.
const MAX_REPEAT_DURATION: Duration = Duration::from_secs(600);
/// How many sessions are remembered beyond those on record before the others are forgotten.
const MAX_EXTRA_SESSIONS: usize = 1000;

/// Writes down the inputs of one fleet.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What each list had last, by [`List::ALL`]'s order.
    lists: [Option<ListSnapshot>; 2],
    /// Whether both have a session.
    lists_overlap: bool,
    /// The sessions that were told whole.
    encoded_sessions: HashSet<SessionId>,
    open_repeats: Vec<OpenRepeat>,
    next_seq: u64,
    profile: Option<String>,
    /// Whether metadata is left out.
    hides_metadata: bool,
    /// The newest moment that was written down.
    last_written: Option<Moment>,
}

#[derive(Debug)]
struct ListSnapshot {
    members: Vec<SessionId>,
    malformed: u32,
}

#[derive(Debug)]
struct OpenRepeat {
    seq: u64,
    repeated: RepeatedResponses,
}

/// What is to be known of an input before a fleet takes it.
#[derive(Debug)]
pub struct InputSnapshot(SnapshotContent);

#[derive(Debug)]
enum SnapshotContent {
    Response {
        at: RequestTiming,
        scope: Scope,
        members: Vec<SessionId>,
        malformed: u32,
    },
    /// It says nothing by itself.
    Tick(Moment),
    Other(Box<Input>),
}

impl InputSnapshot {
    /// What is to be known of `input`.
    #[must_use]
    pub fn new(input: &Input) -> Self {
        Self(match input {
            Input::SessionsReceived { at, scope, sessions, malformed } => {
                let members = match scope {
                    Scope::List(_) => sessions.iter().map(|session| session.id.clone()).collect(),
                    Scope::Session(_) | Scope::Projects => Vec::new(),
                };
                SnapshotContent::Response { at: *at, scope: scope.clone(), members, malformed: *malformed }
            }
            Input::TimePassed { now } => SnapshotContent::Tick(*now),
            other => SnapshotContent::Other(Box::new(other.clone())),
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
    pub fn restart(&mut self) -> Vec<StreamEntry> {
        let mut entries = Vec::new();
        self.close_repeats(|_| true, &mut entries);
        let next = self.next_seq;
        *self = Self { next_seq: next, ..Self::new(self.profile.take(), self.hides_metadata) };
        entries
    }

    /// Returns the lines to write for one input: `before` is taken of the input before `fleet` applied it, `applied` is what
    /// it changed, and `fleet` is the state after it.
    pub fn encode(
        &mut self,
        snapshot: InputSnapshot,
        tracker: &SessionTracker,
        applied: &AppliedChanges,
    ) -> Vec<StreamEntry> {
        let mut entries = Vec::new();
        let affects_all_sessions =
            applied.clock_changed || applied.events.iter().any(|event| event.id.is_none());
        if affects_all_sessions {
            self.close_repeats(|_| true, &mut entries);
        }
        match snapshot.0 {
            SnapshotContent::Tick(now) => {
                if !applied.events.is_empty() {
                    self.close_repeats(|_| true, &mut entries);
                    self.push_entry(now, EntryContent::Input(Input::TimePassed { now }), &mut entries);
                }
            }
            SnapshotContent::Other(input) => {
                self.close_repeats(|_| true, &mut entries);
                self.push_entry(input.moment(), EntryContent::Input(*input), &mut entries);
            }
            SnapshotContent::Response { at, scope, members, malformed } => {
                let (delta, is_known) =
                    self.response_delta(at, scope, members, malformed, tracker, &applied.changed);
                let nothing_new = is_known && delta.changed.is_empty() && delta.removed.is_empty();
                let had_effect =
                    !applied.events.is_empty() || applied.clock_changed || applied.changed_silently;
                let is_single_session = matches!(delta.scope, Scope::Session(_));
                if nothing_new && !had_effect {
                    self.extend_repeat(at, delta.scope, &mut entries);
                } else if is_single_session && !is_known && delta.changed.is_empty() {
                    // It was overtaken before anything was known of its session. Its times count all the same.
                    self.close_overlapping(&delta.scope, &mut entries);
                    let scope = delta.scope;
                    let empty = Input::SessionsReceived { at, scope, sessions: Vec::new(), malformed: 0 };
                    self.push_entry(at.received, EntryContent::Input(empty), &mut entries);
                } else {
                    self.close_overlapping(&delta.scope, &mut entries);
                    self.push_entry(at.received, EntryContent::Response(delta), &mut entries);
                }
            }
        }
        entries
    }

    /// Ends what is open, and says until when was watched.
    pub fn finish(&mut self, tracker: &SessionTracker) -> Vec<StreamEntry> {
        let mut entries = Vec::new();
        self.close_repeats(|_| true, &mut entries);
        if let Some(now) = tracker.latest_moment().filter(|now| self.last_written != Some(*now)) {
            self.push_entry(now, EntryContent::Input(Input::TimePassed { now }), &mut entries);
        }
        entries
    }

    /// What a reply has that was not told before; and whether what was asked for was told before at all.
    fn response_delta(
        &mut self,
        at: RequestTiming,
        scope: Scope,
        members: Vec<SessionId>,
        malformed: u32,
        tracker: &SessionTracker,
        changes: &[(SessionId, Change)],
    ) -> (ResponseDelta, bool) {
        let (changed, removed, is_known) = match &scope {
            Scope::Session(id) => {
                let change = changes.first().map_or(Change::None, |(_, change)| *change);
                let is_known = self.encoded_sessions.contains(id);
                (self.encode_session(id, change, tracker).into_iter().collect(), Vec::new(), is_known)
            }
            Scope::List(list) => self.list_delta(*list, members, malformed, tracker, changes),
            Scope::Projects => (Vec::new(), Vec::new(), false),
        };
        if self.encoded_sessions.len() > tracker.len().saturating_mul(2).saturating_add(MAX_EXTRA_SESSIONS) {
            self.encoded_sessions.retain(|id| tracker.get(id).is_some());
        }
        (ResponseDelta { at, scope, changed, removed, malformed }, is_known)
    }

    /// The same of a list.
    fn list_delta(
        &mut self,
        list: List,
        members: Vec<SessionId>,
        malformed: u32,
        tracker: &SessionTracker,
        changes: &[(SessionId, Change)],
    ) -> (Vec<SessionDelta>, Vec<SessionId>, bool) {
        let previous = self.lists.get_mut(list_index(list)).and_then(Option::take);
        let is_known = previous.as_ref().is_some_and(|before| before.malformed == malformed);
        let before = previous.map(|before| before.members).unwrap_or_default();
        let (deltas, removed) = if before == members {
            (
                changes
                    .iter()
                    .filter_map(|(id, change)| self.encode_listed_session(id, *change, tracker))
                    .collect(),
                Vec::new(),
            )
        } else {
            let changes: HashMap<&SessionId, Change> = changes.iter().map(|(id, it)| (id, *it)).collect();
            let previous_ids: HashSet<&SessionId> = before.iter().collect();
            let current_ids: HashSet<&SessionId> = members.iter().collect();
            let gone = before.iter().filter(|id| !current_ids.contains(id)).cloned().collect();
            let other = self.lists.iter().flatten().flat_map(|other| &other.members);
            self.lists_overlap = other.into_iter().any(|id| current_ids.contains(id));
            let told = members.iter().filter_map(|id| {
                let change = changes.get(id).copied().unwrap_or_default();
                let again = || (!previous_ids.contains(id)).then(|| SessionDelta::Unchanged(id.clone()));
                self.encode_listed_session(id, change, tracker).or_else(again)
            });
            (told.collect(), gone)
        };
        if let Some(place) = self.lists.get_mut(list_index(list)) {
            *place = Some(ListSnapshot { members, malformed });
        }
        (deltas, removed, is_known)
    }

    /// As [`Encoder::encode_session`], of an element of a list: it is found by its own id.
    fn encode_listed_session(
        &mut self,
        id: &SessionId,
        change: Change,
        tracker: &SessionTracker,
    ) -> Option<SessionDelta> {
        let mut delta = self.encode_session(id, change, tracker);
        if let Some(SessionDelta::Full(session)) = &mut delta {
            session.id.clone_from(id);
        }
        delta
    }

    /// How a session is told that differs like this; `None` where nothing is to be told.
    fn encode_session(
        &mut self,
        id: &SessionId,
        change: Change,
        tracker: &SessionTracker,
    ) -> Option<SessionDelta> {
        let session = tracker.get(id)?.session.as_ref()?;
        let is_new = self.encoded_sessions.insert(id.clone());
        let delta = match change {
            Change::None if !is_new => return None,
            Change::Bytes if !is_new => SessionDelta::Bytes {
                id: id.clone(),
                proxy_bytes: session.proxy_bytes,
                updated: session.updated,
            },
            _ => SessionDelta::Full(Box::new(session.clone())),
        };
        Some(if self.hides_metadata { delta.without_metadata() } else { delta })
    }

    /// A reply like the one before it.
    fn extend_repeat(&mut self, at: RequestTiming, scope: Scope, entries: &mut Vec<StreamEntry>) {
        // The order of replies about one session counts.
        let others: Vec<u64> = self
            .open_repeats
            .iter()
            .filter(|open| open.repeated.scope != scope && self.scopes_overlap(&open.repeated.scope, &scope))
            .map(|open| open.seq)
            .collect();
        let too_long = |run: &RepeatedResponses| {
            run.scope == scope && at.received.since(run.first.received) > MAX_REPEAT_DURATION
        };
        self.close_repeats(|open| others.contains(&open.seq) || too_long(&open.repeated), entries);
        let open = match self.open_repeats.iter_mut().find(|open| open.repeated.scope == scope) {
            Some(open) => {
                let gap = at.received.since(open.repeated.last.sent);
                open.repeated.longest_gap = open.repeated.longest_gap.max(gap);
                open.repeated.responses = open.repeated.responses.saturating_add(1);
                (open.repeated.last, open.repeated.next_seq) = (at, self.next_seq);
                open
            }
            None => {
                let seq = self.next_seq;
                self.next_seq = seq.saturating_add(1);
                let (before, longest_gap) = (self.next_seq, Duration::ZERO);
                self.open_repeats.push(OpenRepeat {
                    seq,
                    repeated: RepeatedResponses {
                        scope,
                        first: at,
                        last: at,
                        next_seq: before,
                        responses: 1,
                        longest_gap,
                    },
                });
                let Some(open) = self.open_repeats.last_mut() else { return };
                open
            }
        };
        let (n, run) = (open.seq, open.repeated.clone());
        entries.push(self.new_entry(n, at.received.wall, true, EntryContent::Repeated(run)));
        self.last_written = Some(at.received);
    }

    fn close_overlapping(&mut self, scope: &Scope, entries: &mut Vec<StreamEntry>) {
        let overlapping: Vec<u64> = self
            .open_repeats
            .iter()
            .filter(|open| self.scopes_overlap(&open.repeated.scope, scope))
            .map(|open| open.seq)
            .collect();
        self.close_repeats(|open| overlapping.contains(&open.seq), entries);
    }

    /// Whether both are about the same session.
    fn scopes_overlap(&self, one: &Scope, other: &Scope) -> bool {
        let has = |list: List, id: &SessionId| {
            let listed = self.lists.get(list_index(list)).and_then(Option::as_ref);
            listed.is_some_and(|listed| listed.members.contains(id))
        };
        match (one, other) {
            (Scope::Session(one), Scope::Session(other)) => one == other,
            (Scope::List(list), Scope::Session(id)) | (Scope::Session(id), Scope::List(list)) => {
                has(*list, id)
            }
            (Scope::List(one), Scope::List(other)) => one == other || self.lists_overlap,
            (Scope::Projects, _) | (_, Scope::Projects) => false,
        }
    }

    fn close_repeats(&mut self, predicate: impl Fn(&OpenRepeat) -> bool, entries: &mut Vec<StreamEntry>) {
        let (closed, open): (Vec<OpenRepeat>, Vec<OpenRepeat>) =
            std::mem::take(&mut self.open_repeats).into_iter().partition(predicate);
        self.open_repeats = open;
        for OpenRepeat { seq: n, repeated: run } in closed {
            entries.push(self.new_entry(n, run.last.received.wall, false, EntryContent::Repeated(run)));
        }
    }

    fn push_entry(&mut self, at: Moment, entry: EntryContent, entries: &mut Vec<StreamEntry>) {
        let seq = self.next_seq;
        self.next_seq = self.next_seq.saturating_add(1);
        self.last_written = Some(at);
        entries.push(self.new_entry(seq, at.wall, false, entry));
    }

    fn new_entry(&self, seq: u64, at: Timestamp, open: bool, entry: EntryContent) -> StreamEntry {
        StreamEntry { seq, at, profile: self.profile.clone(), is_open: open, content: entry }
    }
}

fn list_index(list: List) -> usize {
    match list {
        List::Running => 0,
        List::Pending => 1,
    }
}
