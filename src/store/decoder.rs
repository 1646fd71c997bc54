//! Lines → the inputs that they were, in the order in which they came.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::entry::{EntryContent, RepeatedResponses, ResponseDelta, SessionDelta, StreamEntry};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{List, Session, SessionId};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// A stream, in the order of its times.
#[derive(Clone, Debug, Default)]
pub struct InputLog {
    steps: Vec<(Moment, LogStep)>,
    profiles: Vec<Option<String>>,
}

/// A step of a tape.
#[derive(Clone, Debug)]
pub struct LogStep {
    /// The profile whose sessions it is about, by its number among [`InputLog::profiles`].
    pub profile: usize,
    kind: LogStepKind,
}

#[derive(Clone, Debug)]
enum LogStepKind {
    Input(Input),
    Response(ResponseDelta),
    /// A reply that says what the one before it said.
    Unchanged(Scope, RequestTiming),
    /// The same of many.
    Repeated(Scope, RequestTiming, u64, Duration),
}

impl InputLog {
    /// Of lines in any order. Of two with the same place the later one counts.
    pub fn from_entries(entries: impl IntoIterator<Item = StreamEntry>) -> Self {
        let mut profiles: Vec<(Option<String>, BTreeMap<u64, StreamEntry>)> = Vec::new();
        for line in entries {
            match profiles.iter_mut().find(|(profile, _)| *profile == line.profile) {
                Some((_, by_seq)) => drop(by_seq.insert(line.seq, line)),
                None => profiles.push((line.profile.clone(), BTreeMap::from([(line.seq, line)]))),
            }
        }
        // Of one profile the order is that of the places: replies overtake each other. Profiles are merged by time.
        let names = profiles.iter().map(|(profile, _)| profile.clone()).collect();
        let mut steps: Vec<(Duration, Moment, LogStep)> = Vec::new();
        for (profile, (_, by_place)) in profiles.into_iter().enumerate() {
            let mut newest = Duration::ZERO;
            for (at, kind) in ordered_steps(by_place) {
                newest = newest.max(at.boot);
                steps.push((newest, at, LogStep { profile, kind }));
            }
        }
        steps.sort_by_key(|(key, ..)| *key);
        Self { steps: steps.into_iter().map(|(_, at, item)| (at, item)).collect(), profiles: names }
    }

    /// How many steps there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A step, and when it came.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(Moment, &LogStep)> {
        self.steps.get(index).map(|(moment, item)| (*moment, item))
    }

    /// All steps, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Moment, &LogStep)> {
        self.steps.iter().map(|(moment, item)| (*moment, item))
    }

    /// The profiles that it is about, in the order of their first step; none has a name where there is but one.
    #[must_use]
    pub fn profiles(&self) -> &[Option<String>] {
        &self.profiles
    }

    /// The inputs that it stands for, in order, each with the number of its profile.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Input)> {
        let mut decoders = vec![Decoder::default(); self.profiles.len()];
        self.steps
            .iter()
            .filter_map(move |(_, item)| Some((item.profile, decoders.get_mut(item.profile)?.decode(item)?)))
    }
}

/// The steps of one profile, in the order in which they came.
fn ordered_steps(by_seq: BTreeMap<u64, StreamEntry>) -> Vec<(Moment, LogStepKind)> {
    let mut steps: Vec<((u64, bool, Duration), Moment, LogStepKind)> = Vec::with_capacity(by_seq.len());
    for (seq, StreamEntry { content: entry, .. }) in by_seq {
        let (at, kind) = match entry {
            EntryContent::Input(input) => (input.moment(), LogStepKind::Input(input)),
            EntryContent::Response(reply) => (reply.at.received, LogStepKind::Response(reply)),
            EntryContent::Repeated(RepeatedResponses {
                scope,
                first,
                last,
                next_seq: before,
                responses: replies,
                longest_gap,
            }) => {
                let more = replies.saturating_sub(1);
                if more > 0 {
                    let key = (before.max(seq.saturating_add(1)), false, last.received.boot);
                    let what = LogStepKind::Repeated(scope.clone(), last, more, longest_gap);
                    steps.push((key, last.received, what));
                }
                (first.received, LogStepKind::Unchanged(scope, first))
            }
        };
        steps.push(((seq, true, Duration::ZERO), at, kind));
    }
    steps.sort_by_key(|(key, ..)| *key);
    steps.into_iter().map(|(_, at, what)| (at, what)).collect()
}

/// Steps of one profile → the inputs that they stand for: it knows what was told before.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    sessions: HashMap<SessionId, Session>,
    lists: HashMap<List, (Vec<SessionId>, u32)>,
}

impl Decoder {
    /// The input of the next step; `None` where the step speaks of what was never told, as only a damaged file can.
    pub fn decode(&mut self, step: &LogStep) -> Option<Input> {
        match &step.kind {
            LogStepKind::Input(input) => Some(input.clone()),
            LogStepKind::Response(reply) => {
                self.apply_delta(reply);
                self.response_input(&reply.scope, reply.at)
            }
            LogStepKind::Unchanged(scope, at) => self.response_input(scope, *at),
            LogStepKind::Repeated(scope, at, replies, longest_gap) => {
                let Some(Input::SessionsReceived { at, scope, sessions, malformed }) =
                    self.response_input(scope, *at)
                else {
                    return None;
                };
                let (replies, longest_gap) = (*replies, *longest_gap);
                Some(Input::ResponseRepeated {
                    at,
                    scope,
                    sessions,
                    malformed,
                    responses: replies,
                    longest_gap,
                })
            }
        }
    }

    fn apply_delta(&mut self, reply: &ResponseDelta) {
        let mut listed_ids = Vec::new();
        for delta in &reply.changed {
            let id = match (delta, &reply.scope) {
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
        if let Scope::List(list) = reply.scope {
            let (members, malformed) = self.lists.entry(list).or_default();
            *malformed = reply.malformed;
            // What is new in a list comes behind what was there, in the reply's order.
            let moved: HashSet<&SessionId> = reply.removed.iter().chain(&listed_ids).collect();
            members.retain(|id| !moved.contains(id));
            members.extend(listed_ids);
        }
    }

    fn response_input(&self, scope: &Scope, at: RequestTiming) -> Option<Input> {
        let (sessions, malformed) = match scope {
            Scope::Session(id) => (vec![self.sessions.get(id)?.clone()], 0),
            Scope::List(list) => {
                let (members, malformed) = self.lists.get(list)?;
                let session =
                    |id: &SessionId| Some(Session { id: id.clone(), ..self.sessions.get(id)?.clone() });
                (members.iter().filter_map(session).collect(), *malformed)
            }
            Scope::Projects => (Vec::new(), 0),
        };
        Some(Input::SessionsReceived { at, scope: scope.clone(), sessions, malformed })
    }
}
