//! Encodes the inputs of one tracker as entries. Pure.
//!
//! A *repeat* is a series of equal responses, stored as one entry that grows while the repeat is open.
//!
//! ```text
//!   response that changed something ──► closes the repeats that it overlaps, then a new entry
//!   response that changed nothing   ──► opens the repeat of its scope, or extends it (same number, `is_open`)
//!   any other input                 ──► closes all repeats, then a new entry
//!   tick without an event           ──► nothing
//! ```
//!
//! If an input causes an event without a session, or changes the estimate of the server's clock, the encoder first
//! closes all repeats.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::entry::{EntryContent, RepeatedResponses, ResponseDelta, SessionDelta, StreamEntry};
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{List, SessionId};
use keepwatch_core::tracker::{AppliedChanges, Change, Input, RequestTiming, Scope, SessionTracker};

/// Maximum duration of a repeat. It is limited because a repeat has the times of our clocks only at its ends, and
/// clocks drift apart.
const MAX_REPEAT_DURATION: Duration = Duration::from_secs(600);
/// The encoder remembers up to twice as many sessions as the tracker has, plus this number. Beyond that, it forgets the
/// sessions that the tracker has evicted.
const MAX_EXTRA_SESSIONS: usize = 1000;

/// Encodes the inputs of one tracker.
#[derive(Debug, Default)]
pub struct Encoder {
    /// The newest response to each list, indexed by [`list_index`].
    lists: [Option<ListSnapshot>; 2],
    /// True if any session is in both lists.
    lists_overlap: bool,
    /// The sessions that were encoded in full.
    encoded_sessions: HashSet<SessionId>,
    /// At most one repeat for each scope.
    open_repeats: Vec<OpenRepeat>,
    next_seq: u64,
    profile: Option<String>,
    /// True if metadata is omitted.
    hides_metadata: bool,
    /// The moment of the newest entry.
    last_written: Option<Moment>,
}

#[derive(Debug)]
struct ListSnapshot {
    members: Vec<SessionId>,
    /// Number of list elements that are not valid sessions.
    malformed: u32,
}

#[derive(Debug)]
struct OpenRepeat {
    seq: u64,
    repeated: RepeatedResponses,
}

/// The parts of an input that the encoder needs, taken before the tracker consumes it.
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
    /// The time passed. Encoded only if the tracker derives an event from it.
    Tick(Moment),
    /// Any other input. Stored completely.
    Other(Box<Input>),
}

impl InputSnapshot {
    /// Copies the parts of `input` that the encoder needs.
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
    /// Creates an encoder. `profile` is the name of its profile, or `None` if the program has only one profile.
    #[must_use]
    pub fn new(profile: Option<String>, hides_metadata: bool) -> Self {
        Self { profile, hides_metadata, ..Self::default() }
    }

    /// Restarts the stream: later entries do not refer to earlier ones. Closes the open repeats and returns their
    /// entries.
    pub fn restart(&mut self) -> Vec<StreamEntry> {
        let mut entries = Vec::new();
        self.close_repeats(|_| true, &mut entries);
        let next_seq = self.next_seq;
        *self = Self { next_seq, ..Self::new(self.profile.take(), self.hides_metadata) };
        entries
    }

    /// Returns the entries for one input. `snapshot` was taken before `tracker` applied the input, and `applied` lists
    /// the changes that it made.
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
                if !applied.events.is_empty() || applied.must_be_stored {
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
                let is_unchanged = is_known && delta.changed.is_empty() && delta.removed.is_empty();
                let needs_own_entry =
                    !applied.events.is_empty() || applied.clock_changed || applied.must_be_stored;
                let is_single_session = matches!(delta.scope, Scope::Session(_));
                // A repeat has no room for the ages of its responses.
                let is_repeat = is_unchanged && !needs_own_entry && at.age.is_zero();
                if is_repeat {
                    self.extend_repeat(at, delta.scope, &mut entries);
                } else if is_single_session && !is_known && delta.changed.is_empty() {
                    // The tracker ignored the session in this response, because a later request was answered first. The
                    // session is not encoded yet. The tracker used only the response's times, so only the times are
                    // encoded.
                    self.close_overlapping(&delta.scope, &mut entries);
                    let scope = delta.scope;
                    let times_only =
                        Input::SessionsReceived { at, scope, sessions: Vec::new(), malformed: 0 };
                    self.push_entry(at.received, EntryContent::Input(times_only), &mut entries);
                } else {
                    self.close_overlapping(&delta.scope, &mut entries);
                    self.push_entry(at.received, EntryContent::Response(delta), &mut entries);
                }
            }
        }
        entries
    }

    /// Ends the stream: closes the open repeats, and records the latest moment, so that a replay ends at it.
    pub fn finish(&mut self, tracker: &SessionTracker) -> Vec<StreamEntry> {
        let mut entries = Vec::new();
        self.close_repeats(|_| true, &mut entries);
        if let Some(now) = tracker.last_input_moment().filter(|now| self.last_written != Some(*now)) {
            self.push_entry(now, EntryContent::Input(Input::TimePassed { now }), &mut entries);
        }
        entries
    }

    /// Returns the part of a response that is not encoded yet, and true if an earlier entry has the same session, or
    /// the same list with the same number of malformed elements.
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

    /// Returns the changed and the removed sessions of a list, and true if an earlier entry has this list with the same
    /// number of malformed elements.
    fn list_delta(
        &mut self,
        list: List,
        members: Vec<SessionId>,
        malformed: u32,
        tracker: &SessionTracker,
        changes: &[(SessionId, Change)],
    ) -> (Vec<SessionDelta>, Vec<SessionId>, bool) {
        let previous = self.lists.get_mut(list_index(list)).and_then(Option::take);
        let is_known = previous.as_ref().is_some_and(|previous| previous.malformed == malformed);
        let previous_members = previous.map(|previous| previous.members).unwrap_or_default();
        let (deltas, removed) = if previous_members == members {
            (
                changes
                    .iter()
                    .filter_map(|(id, change)| self.encode_listed_session(id, *change, tracker))
                    .collect(),
                Vec::new(),
            )
        } else {
            let changes: HashMap<&SessionId, Change> =
                changes.iter().map(|(id, change)| (id, *change)).collect();
            let previous_ids: HashSet<&SessionId> = previous_members.iter().collect();
            let current_ids: HashSet<&SessionId> = members.iter().collect();
            let removed = previous_members.iter().filter(|id| !current_ids.contains(id)).cloned().collect();
            // This list was taken out above, so only the other list is left.
            let mut other_members = self.lists.iter().flatten().flat_map(|other| &other.members);
            self.lists_overlap = other_members.any(|id| current_ids.contains(id));
            let deltas = members.iter().filter_map(|id| {
                let change = changes.get(id).copied().unwrap_or_default();
                let rejoined = || (!previous_ids.contains(id)).then(|| SessionDelta::Unchanged(id.clone()));
                self.encode_listed_session(id, change, tracker).or_else(rejoined)
            });
            (deltas.collect(), removed)
        };
        if let Some(newest) = self.lists.get_mut(list_index(list)) {
            *newest = Some(ListSnapshot { members, malformed });
        }
        (deltas, removed, is_known)
    }

    /// Encodes an element of a list, as [`Encoder::encode_session`] does. The decoder identifies a full session in a
    /// list by its `id` field, so the field is set to the id that the tracker uses.
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

    /// Returns the delta for a session with this change, or `None` if there is nothing to encode.
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
            // The first entry with the session, or a change of other fields.
            _ => SessionDelta::Full(Box::new(session.clone())),
        };
        Some(if self.hides_metadata { delta.without_metadata() } else { delta })
    }

    /// Encodes a response equal to the one before it: extends the open repeat of `scope`, or opens a new repeat.
    fn extend_repeat(&mut self, at: RequestTiming, scope: Scope, entries: &mut Vec<StreamEntry>) {
        // A session can be in the responses to several scopes. Its responses must keep their order, so the other
        // repeats that can contain it are closed.
        let overlapping: Vec<u64> = self
            .open_repeats
            .iter()
            .filter(|open| open.repeated.scope != scope && self.scopes_overlap(&open.repeated.scope, &scope))
            .map(|open| open.seq)
            .collect();
        let is_too_long = |repeat: &RepeatedResponses| {
            repeat.scope == scope && at.received.since(repeat.first.received) > MAX_REPEAT_DURATION
        };
        self.close_repeats(|open| overlapping.contains(&open.seq) || is_too_long(&open.repeated), entries);
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
                let (next_seq, longest_gap) = (self.next_seq, Duration::ZERO);
                self.open_repeats.push(OpenRepeat {
                    seq,
                    repeated: RepeatedResponses {
                        scope,
                        first: at,
                        last: at,
                        next_seq,
                        responses: 1,
                        longest_gap,
                    },
                });
                let Some(open) = self.open_repeats.last_mut() else { return };
                open
            }
        };
        let (seq, repeated) = (open.seq, open.repeated.clone());
        entries.push(self.new_entry(seq, at.received.wall, true, EntryContent::Repeated(repeated)));
        self.last_written = Some(at.received);
    }

    /// Closes the repeats that can contain a session of `scope`.
    fn close_overlapping(&mut self, scope: &Scope, entries: &mut Vec<StreamEntry>) {
        let overlapping: Vec<u64> = self
            .open_repeats
            .iter()
            .filter(|open| self.scopes_overlap(&open.repeated.scope, scope))
            .map(|open| open.seq)
            .collect();
        self.close_repeats(|open| overlapping.contains(&open.seq), entries);
    }

    /// Returns true if a session can be in the responses to both scopes.
    fn scopes_overlap(&self, one: &Scope, other: &Scope) -> bool {
        let is_listed = |list: List, id: &SessionId| {
            let newest = self.lists.get(list_index(list)).and_then(Option::as_ref);
            newest.is_some_and(|newest| newest.members.contains(id))
        };
        match (one, other) {
            (Scope::Session(one), Scope::Session(other)) => one == other,
            (Scope::List(list), Scope::Session(id)) | (Scope::Session(id), Scope::List(list)) => {
                is_listed(*list, id)
            }
            (Scope::List(one), Scope::List(other)) => one == other || self.lists_overlap,
            (Scope::Projects, _) | (_, Scope::Projects) => false,
        }
    }

    /// Closes the open repeats that match `predicate`, and adds their final entries to `entries`.
    fn close_repeats(&mut self, predicate: impl Fn(&OpenRepeat) -> bool, entries: &mut Vec<StreamEntry>) {
        let (closed, open): (Vec<OpenRepeat>, Vec<OpenRepeat>) =
            std::mem::take(&mut self.open_repeats).into_iter().partition(predicate);
        self.open_repeats = open;
        for OpenRepeat { seq, repeated } in closed {
            let at = repeated.last.received.wall;
            entries.push(self.new_entry(seq, at, false, EntryContent::Repeated(repeated)));
        }
    }

    /// Adds an entry with the next sequence number to `entries`.
    fn push_entry(&mut self, at: Moment, content: EntryContent, entries: &mut Vec<StreamEntry>) {
        let seq = self.next_seq;
        self.next_seq = self.next_seq.saturating_add(1);
        self.last_written = Some(at);
        entries.push(self.new_entry(seq, at.wall, false, content));
    }

    fn new_entry(&self, seq: u64, at: Timestamp, is_open: bool, content: EntryContent) -> StreamEntry {
        StreamEntry { seq, at, profile: self.profile.clone(), is_open, content }
    }
}

fn list_index(list: List) -> usize {
    match list {
        List::Running => 0,
        List::Pending => 1,
    }
}
