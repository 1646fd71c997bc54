//! What the lists hold, and of which sessions that matters. It never says when to ask; that is the plan's.

use std::collections::HashSet;

use crate::session::{List, SessionId};

/// The newest lists, and the sessions that are looked for in them.
#[derive(Debug, Default)]
pub(super) struct Lists {
    running: HashSet<SessionId>,
    pending: HashSet<SessionId>,
    /// The sessions that the reader named, and that are not over; `None` where all count.
    named: Option<HashSet<SessionId>>,
    /// Of these, those that no list has had yet and that were not asked singly.
    unseen: HashSet<SessionId>,
    /// Whether each list was answered, in whatever way.
    tried: [bool; 2],
}

impl Lists {
    /// Lists of which only `ids` count.
    pub(super) fn of(ids: &[SessionId]) -> Self {
        let named: HashSet<SessionId> = ids.iter().cloned().collect();
        Self { unseen: named.clone(), named: Some(named), ..Self::default() }
    }

    /// Whether a session counts.
    pub(super) fn concern(&self, id: &SessionId) -> bool {
        self.named.as_ref().is_none_or(|named| named.contains(id))
    }

    /// Whether they were asked for the sake of sessions that the reader named.
    pub(super) fn are_of_named(&self) -> bool {
        self.named.is_some()
    }

    /// The sessions that the reader named and that are not over.
    pub(super) fn open(&self) -> impl Iterator<Item = &SessionId> {
        self.named.iter().flatten()
    }

    /// Whether nothing is left to be looked for in them.
    pub(super) fn are_done(&self) -> bool {
        self.named.as_ref().is_some_and(HashSet::is_empty)
    }

    /// A session is over. One that was not named is forgotten as it leaves the lists.
    pub(super) fn end(&mut self, id: &SessionId) {
        self.named.as_mut().map(|named| named.remove(id));
        self.unseen.remove(id);
    }

    /// Whether a list has it.
    pub(super) fn hold(&self, id: &SessionId) -> bool {
        self.running.contains(id) || self.pending.contains(id)
    }

    /// Takes a list. Returns the sessions that were in it and are in none now.
    pub(super) fn take(&mut self, list: List, ids: Vec<SessionId>) -> Vec<SessionId> {
        let ids: HashSet<SessionId> = ids.into_iter().filter(|id| self.concern(id)).collect();
        self.unseen.retain(|id| !ids.contains(id));
        let own = if list == List::Running { &mut self.running } else { &mut self.pending };
        let old = std::mem::replace(own, ids);
        // A session in both lists has just started: the list of pending ones forgets it, so that its end is noticed.
        let running = &self.running;
        self.pending.retain(|id| !running.contains(id));
        self.tried(list);
        old.into_iter().filter(|id| !self.hold(id) && self.concern(id)).collect()
    }

    /// A list was answered, though perhaps with a fault of its own.
    pub(super) fn tried(&mut self, list: List) {
        let [running, pending] = &mut self.tried;
        *(if list == List::Running { running } else { pending }) = true;
    }

    /// The named sessions that no list has shown, once both were answered; each once.
    pub(super) fn take_unseen(&mut self) -> Vec<SessionId> {
        if self.tried == [true; 2] { self.unseen.drain().collect() } else { Vec::new() }
    }
}
