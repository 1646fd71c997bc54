//! Lines → the inputs that they were, in the order in which they came.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::entry::{Entry, Line, Reply, Run, Told};
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{List, Session, SessionId};
use keepwatch_core::tracker::{Input, RequestTiming, Scope};

/// A stream, in the order of its times.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    items: Vec<(Moment, Item)>,
    profiles: Vec<Option<String>>,
}

/// A step of a tape.
#[derive(Clone, Debug)]
pub struct Item {
    /// The profile whose sessions it is about, by its number among [`Tape::profiles`].
    pub profile: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Input(Input),
    Reply(Reply),
    /// A reply that says what the one before it said.
    Same(Scope, RequestTiming),
    /// The same of many.
    Repeated(Scope, RequestTiming, u64, Duration),
}

impl Tape {
    /// Of lines in any order. Of two with the same place the later one counts.
    pub fn of(lines: impl IntoIterator<Item = Line>) -> Self {
        let mut profiles: Vec<(Option<String>, BTreeMap<u64, Line>)> = Vec::new();
        for line in lines {
            match profiles.iter_mut().find(|(profile, _)| *profile == line.profile) {
                Some((_, by_place)) => drop(by_place.insert(line.n, line)),
                None => profiles.push((line.profile.clone(), BTreeMap::from([(line.n, line)]))),
            }
        }
        // Of one profile the order is that of the places: replies overtake each other. Profiles are merged by time.
        let names = profiles.iter().map(|(profile, _)| profile.clone()).collect();
        let mut items: Vec<(Duration, Moment, Item)> = Vec::new();
        for (profile, (_, by_place)) in profiles.into_iter().enumerate() {
            let mut newest = Duration::ZERO;
            for (at, what) in in_order(by_place) {
                newest = newest.max(at.boot);
                items.push((newest, at, Item { profile, what }));
            }
        }
        items.sort_by_key(|(key, ..)| *key);
        Self { items: items.into_iter().map(|(_, at, item)| (at, item)).collect(), profiles: names }
    }

    /// How many steps there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// A step, and when it came.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<(Moment, &Item)> {
        self.items.get(at).map(|(moment, item)| (*moment, item))
    }

    /// All steps, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Moment, &Item)> {
        self.items.iter().map(|(moment, item)| (*moment, item))
    }

    /// The profiles that it is about, in the order of their first step; none has a name where there is but one.
    #[must_use]
    pub fn profiles(&self) -> &[Option<String>] {
        &self.profiles
    }

    /// The inputs that it stands for, in order, each with the number of its profile.
    pub fn inputs(&self) -> impl Iterator<Item = (usize, Input)> {
        let mut unfolds = vec![Unfold::default(); self.profiles.len()];
        self.items
            .iter()
            .filter_map(move |(_, item)| Some((item.profile, unfolds.get_mut(item.profile)?.take(item)?)))
    }
}

/// The steps of one profile, in the order in which they came.
fn in_order(by_place: BTreeMap<u64, Line>) -> Vec<(Moment, What)> {
    let mut steps: Vec<((u64, bool, Duration), Moment, What)> = Vec::with_capacity(by_place.len());
    for (n, Line { entry, .. }) in by_place {
        let (at, what) = match entry {
            Entry::Input(input) => (input.moment(), What::Input(input)),
            Entry::Reply(reply) => (reply.at.received, What::Reply(reply)),
            Entry::Run(Run { scope, first, last, before, replies, longest_gap }) => {
                let more = replies.saturating_sub(1);
                if more > 0 {
                    let key = (before.max(n.saturating_add(1)), false, last.received.boot);
                    let what = What::Repeated(scope.clone(), last, more, longest_gap);
                    steps.push((key, last.received, what));
                }
                (first.received, What::Same(scope, first))
            }
        };
        steps.push(((n, true, Duration::ZERO), at, what));
    }
    steps.sort_by_key(|(key, ..)| *key);
    steps.into_iter().map(|(_, at, what)| (at, what)).collect()
}

/// Steps of one profile → the inputs that they stand for: it knows what was told before.
#[derive(Clone, Debug, Default)]
pub struct Unfold {
    sessions: HashMap<SessionId, Session>,
    lists: HashMap<List, (Vec<SessionId>, u32)>,
}

impl Unfold {
    /// The input of the next step; `None` where the step speaks of what was never told, as only a damaged file can.
    pub fn take(&mut self, item: &Item) -> Option<Input> {
        match &item.what {
            What::Input(input) => Some(input.clone()),
            What::Reply(reply) => {
                self.learn(reply);
                self.seen(&reply.scope, reply.at)
            }
            What::Same(scope, at) => self.seen(scope, *at),
            What::Repeated(scope, at, replies, longest_gap) => {
                let Some(Input::SessionsReceived { at, scope, sessions, malformed }) = self.seen(scope, *at)
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

    fn learn(&mut self, reply: &Reply) {
        let mut came = Vec::new();
        for told in &reply.changed {
            let id = match (told, &reply.scope) {
                (_, Scope::Session(id)) => id.clone(),
                (Told::Whole(session), _) => session.id.clone(),
                (Told::Bytes { id, .. } | Told::Same(id), _) => id.clone(),
            };
            match told {
                Told::Whole(session) => {
                    self.sessions.insert(id.clone(), (**session).clone());
                }
                Told::Bytes { proxy_bytes, updated, .. } => {
                    if let Some(session) = self.sessions.get_mut(&id) {
                        (session.proxy_bytes, session.updated) = (*proxy_bytes, *updated);
                    }
                }
                Told::Same(_) => {}
            }
            came.push(id);
        }
        if let Scope::List(list) = reply.scope {
            let (members, malformed) = self.lists.entry(list).or_default();
            *malformed = reply.malformed;
            // What is new in a list comes behind what was there, in the reply's order.
            let moved: HashSet<&SessionId> = reply.gone.iter().chain(&came).collect();
            members.retain(|id| !moved.contains(id));
            members.extend(came);
        }
    }

    fn seen(&self, scope: &Scope, at: RequestTiming) -> Option<Input> {
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
