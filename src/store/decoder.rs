//! Decodes entries into the inputs that they were encoded from, in their original order. Does no I/O.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::entry::{EntryContent, RepeatedResponses, ResponseDelta, SessionDelta, StreamEntry};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{List, Session, SessionId};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// The steps of a stream: the inputs of all profiles, merged by time.
#[derive(Clone, Debug, Default)]
pub struct InputLog {
    steps: Vec<(Moment, LogStep)>,
    /// See [`InputLog::profiles`].
    profiles: Vec<Option<String>>,
}

/// One input of an [`InputLog`], still encoded.
#[derive(Clone, Debug)]
pub struct LogStep {
    /// Index of the step's profile in [`InputLog::profiles`].
    pub profile: usize,
    kind: LogStepKind,
}

#[derive(Clone, Debug)]
enum LogStepKind {
    Input(Input),
    Response(ResponseDelta),
    /// A response equal to the previous response of its scope.
    Unchanged(Scope, RequestTiming),
    /// Several responses equal to the previous response of their scope.
    Repeated {
        scope: Scope,
        /// Times of the last response.
        last: RequestTiming,
        /// Number of responses.
        responses: u64,
        /// See [`RepeatedResponses::longest_gap`].
        longest_gap: Duration,
    },
}

impl InputLog {
    /// Creates a log from entries in any order. If two entries of a profile have the same sequence number, the later
    /// one in `entries` wins.
    pub fn from_entries(entries: impl IntoIterator<Item = StreamEntry>) -> Self {
        let mut profiles: Vec<(Option<String>, BTreeMap<u64, StreamEntry>)> = Vec::new();
        for entry in entries {
            match profiles.iter_mut().find(|(profile, _)| *profile == entry.profile) {
                Some((_, by_seq)) => drop(by_seq.insert(entry.seq, entry)),
                None => profiles.push((entry.profile.clone(), BTreeMap::from([(entry.seq, entry)]))),
            }
        }
        let names = profiles.iter().map(|(name, _)| name.clone()).collect();
        // Within a profile, the sequence numbers give the order. Times do not, because responses overtake each other.
        // Profiles are merged by time. The sort key of a step is the latest time in its profile up to this step, so
        // that sorting keeps the order within a profile.
        let mut steps: Vec<(Duration, Moment, LogStep)> = Vec::new();
        for (profile, (_, by_seq)) in profiles.into_iter().enumerate() {
            let mut latest = Duration::ZERO;
            for (at, kind) in ordered_steps(by_seq) {
                latest = latest.max(at.boot);
                steps.push((latest, at, LogStep { profile, kind }));
            }
        }
        steps.sort_by_key(|(key, ..)| *key);
        Self { steps: steps.into_iter().map(|(_, at, step)| (at, step)).collect(), profiles: names }
    }

    /// Returns the number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Returns true if there are no steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns a step and the moment of its input.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(Moment, &LogStep)> {
        self.steps.get(index).map(|(moment, step)| (*moment, step))
    }

    /// Returns all steps, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Moment, &LogStep)> {
        self.steps.iter().map(|(moment, step)| (*moment, step))
    }

    /// Returns the names of the profiles, in the order of their first entry. A single profile has no name.
    #[must_use]
    pub fn profiles(&self) -> &[Option<String>] {
        &self.profiles
    }

    /// Decodes all steps, in order. Returns each input with the index of its profile. Leaves out steps that
    /// [`Decoder::decode`] cannot decode.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Input)> {
        let mut decoders = vec![Decoder::default(); self.profiles.len()];
        self.steps
            .iter()
            .filter_map(move |(_, step)| Some((step.profile, decoders.get_mut(step.profile)?.decode(step)?)))
    }
}

/// Returns the steps of one profile, in the order of their inputs.
///
/// A repeat of several responses becomes two steps: its first response at the repeat's own sequence number, and all
/// others just before the entry with its `next_seq`.
fn ordered_steps(by_seq: BTreeMap<u64, StreamEntry>) -> Vec<(Moment, LogStepKind)> {
    // Sort key: the sequence number; false for the second step of a repeat, true for an entry's own step; the time.
    let mut steps: Vec<((u64, bool, Duration), Moment, LogStepKind)> = Vec::with_capacity(by_seq.len());
    for (seq, StreamEntry { content, .. }) in by_seq {
        let (at, kind) = match content {
            EntryContent::Input(input) => (input.moment(), LogStepKind::Input(input)),
            EntryContent::Response(delta) => (delta.at.received, LogStepKind::Response(delta)),
            EntryContent::Repeated(RepeatedResponses {
                scope,
                first,
                last,
                next_seq,
                responses,
                longest_gap,
            }) => {
                let later_responses = responses.saturating_sub(1);
                if later_responses > 0 {
                    let key = (next_seq.max(seq.saturating_add(1)), false, last.received.boot);
                    let kind = LogStepKind::Repeated {
                        scope: scope.clone(),
                        last,
                        responses: later_responses,
                        longest_gap,
                    };
                    steps.push((key, last.received, kind));
                }
                (first.received, LogStepKind::Unchanged(scope, first))
            }
        };
        steps.push(((seq, true, Duration::ZERO), at, kind));
    }
    steps.sort_by_key(|(key, ..)| *key);
    steps.into_iter().map(|(_, at, kind)| (at, kind)).collect()
}

/// Decodes the steps of one profile, which must come in order. Remembers the newest state of each session and list.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    sessions: HashMap<SessionId, Session>,
    /// The members of each list, and the number of its malformed elements.
    lists: HashMap<List, (Vec<SessionId>, u32)>,
}

impl Decoder {
    /// Returns the input of the next step, or `None` if the step refers to a session or list that no earlier step had.
    /// Only a damaged stream has such steps.
    pub fn decode(&mut self, step: &LogStep) -> Option<Input> {
        match &step.kind {
            LogStepKind::Input(input) => Some(input.clone()),
            LogStepKind::Response(delta) => {
                self.apply_delta(delta);
                self.response_input(&delta.scope, delta.at)
            }
            LogStepKind::Unchanged(scope, at) => self.response_input(scope, *at),
            LogStepKind::Repeated { scope, last, responses, longest_gap } => {
                let Some(Input::SessionsReceived { at, scope, sessions, malformed }) =
                    self.response_input(scope, *last)
                else {
                    return None;
                };
                let (responses, longest_gap) = (*responses, *longest_gap);
                Some(Input::ResponseRepeated { at, scope, sessions, malformed, responses, longest_gap })
            }
        }
    }

    /// Updates the sessions and the list that a response changed.
    fn apply_delta(&mut self, response: &ResponseDelta) {
        let mut listed_ids = Vec::new();
        for delta in &response.changed {
            let id = match (delta, &response.scope) {
                (_, Scope::Session(id)) => id.clone(),
                (SessionDelta::Full(session), _) => session.id.clone(),
                (SessionDelta::Bytes { id, .. } | SessionDelta::Unchanged(id), _) => id.clone(),
            };
            match delta {
                SessionDelta::Full(session) => {
                    self.sessions.insert(id.clone(), (**session).clone());
                }
                SessionDelta::Bytes { proxy_bytes, updated, .. } => {
                    if let Some(session) = self.sessions.get_mut(&id) {
                        (session.proxy_bytes, session.updated) = (*proxy_bytes, *updated);
                    }
                }
                SessionDelta::Unchanged(_) => {}
            }
            listed_ids.push(id);
        }
        if let Scope::List(list) = response.scope {
            let (members, malformed) = self.lists.entry(list).or_default();
            *malformed = response.malformed;
            // New sessions and changed sessions move behind the others, in the response's order.
            let moved: HashSet<&SessionId> = response.removed.iter().chain(&listed_ids).collect();
            members.retain(|id| !moved.contains(id));
            members.extend(listed_ids);
        }
    }

    /// Returns the input for a response that has the newest known state of `scope`.
    fn response_input(&self, scope: &Scope, at: RequestTiming) -> Option<Input> {
        let (sessions, malformed) = match scope {
            Scope::Session(id) => (vec![self.sessions.get(id)?.clone()], 0),
            Scope::List(list) => {
                let (members, malformed) = self.lists.get(list)?;
                // The API's response to a request for one session may have another id in the session's body.
                let session =
                    |id: &SessionId| Some(Session { id: id.clone(), ..self.sessions.get(id)?.clone() });
                (members.iter().filter_map(session).collect(), *malformed)
            }
            Scope::Projects => (Vec::new(), 0),
        };
        Some(Input::SessionsReceived { at, scope: scope.clone(), sessions, malformed })
    }
}
