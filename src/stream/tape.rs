//! Lines → the inputs that they were, in the order in which they came.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::entry::{Entry, Line, Reply, Run, Told};
use crate::clock::Moment;
use crate::session::{List, Session, SessionId};
use crate::watch::{Exchange, Input, Scope};

/// A stream, in the order of its times.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    items: Vec<(Moment, Item)>,
}

/// A step of a tape.
#[derive(Clone, Debug)]
pub struct Item {
    /// The profile whose sessions it is about, where there are several.
    pub profile: Option<String>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Input(Input),
    Reply(Reply),
    /// A reply that says what the one before it said.
    Same(Scope, Exchange),
    /// The same of many.
    Repeated(Scope, Exchange, u64, Duration),
}

impl Tape {
    /// Of lines in any order. Of two with the same place the later one counts.
    pub fn of(lines: impl IntoIterator<Item = Line>) -> Self {
        let by_place: BTreeMap<u64, Line> = lines.into_iter().map(|line| (line.n, line)).collect();
        let mut items: Vec<((u64, bool, Duration), Moment, Item)> = Vec::with_capacity(by_place.len());
        for (n, Line { profile, entry, .. }) in by_place {
            let (at, what) = match entry {
                Entry::Input(input) => (input.moment(), What::Input(input)),
                Entry::Reply(reply) => (reply.at.received, What::Reply(reply)),
                Entry::Run(Run { scope, first, last, before, replies, longest_gap }) => {
                    let more = replies.saturating_sub(1);
                    if more > 0 {
                        let what = What::Repeated(scope.clone(), last, more, longest_gap);
                        let item = Item { profile: profile.clone(), what };
                        items.push((
                            (before.max(n.saturating_add(1)), false, last.received.boot),
                            last.received,
                            item,
                        ));
                    }
                    (first.received, What::Same(scope, first))
                }
            };
            items.push(((n, true, Duration::ZERO), at, Item { profile, what }));
        }
        items.sort_by_key(|(key, ..)| *key);
        Self { items: items.into_iter().map(|(_, at, item)| (at, item)).collect() }
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

    /// The profiles that it is about, each once, in the order of their first step.
    #[must_use]
    pub fn profiles(&self) -> Vec<Option<&str>> {
        let mut profiles: Vec<Option<&str>> = Vec::new();
        for (_, item) in &self.items {
            let profile = item.profile.as_deref();
            if !profiles.contains(&profile) {
                profiles.push(profile);
            }
        }
        profiles
    }

    /// The inputs that it stands for, in order, as one profile's fleet took them.
    pub fn inputs(&self) -> impl Iterator<Item = Input> {
        let mut unfold = Unfold::default();
        self.items.iter().filter_map(move |(_, item)| unfold.take(item))
    }
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
                let Some(Input::Seen { at, scope, sessions, malformed }) = self.seen(scope, *at) else {
                    return None;
                };
                let (replies, longest_gap) = (*replies, *longest_gap);
                Some(Input::Repeated { at, scope, sessions, malformed, replies, longest_gap })
            }
        }
    }

    fn learn(&mut self, reply: &Reply) {
        let mut came = Vec::new();
        for told in &reply.changed {
            let id = match (told, &reply.scope) {
                (_, Scope::One(id)) => id.clone(),
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

    fn seen(&self, scope: &Scope, at: Exchange) -> Option<Input> {
        let (sessions, malformed) = match scope {
            Scope::One(id) => (vec![self.sessions.get(id)?.clone()], 0),
            Scope::List(list) => {
                let (members, malformed) = self.lists.get(list)?;
                let session =
                    |id: &SessionId| Some(Session { id: id.clone(), ..self.sessions.get(id)?.clone() });
                (members.iter().filter_map(session).collect(), *malformed)
            }
            Scope::Projects => (Vec::new(), 0),
        };
        Some(Input::Seen { at, scope: scope.clone(), sessions, malformed })
    }
}
