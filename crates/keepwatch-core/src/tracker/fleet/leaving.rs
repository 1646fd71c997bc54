//! What leaves: the lists, the API, and at last the record. All of it is bounded.

use super::{Fleet, MOST_OVER};
use crate::clock::Moment;
use crate::session::{ApiError, List, Phase, Session, SessionId};
use crate::tracker::applied::Applied;
use crate::tracker::bounds::When;
use crate::tracker::event::EventKind;
use crate::tracker::input::Exchange;
use crate::tracker::record::{Absence, Presence, Reply};

/// What no list had for so many lists left them: more than come between two of the same kind.
const STRAYS: u64 = 8;

impl Fleet {
    /// A list holds all sessions of its status, or should: what it lacks is asked for singly before anything is said.
    pub(super) fn listed(&mut self, reply: Reply, list: List, sessions: Vec<Session>, applied: &mut Applied) {
        let (at, status) = (*reply.at, list.status());
        self.lists = self.lists.saturating_add(1);
        let number = self.lists;
        for session in sessions {
            let id = session.id.clone();
            let known = self.records.get(&id);
            // A list that has a session twice has said it once. One that has what is over as well would bring back, each
            // time, what was forgotten.
            // promise: forgotten-sessions, mutant: >= MOST_OVER -> == usize::MAX
            let is_forgotten = known.is_none() && session.is_final() && self.over.len() >= MOST_OVER;
            if known.is_none_or(|record| record.listed != number) && !is_forgotten {
                self.seen(reply.clone(), id, session, Some(number), applied);
            }
        }
        for record in self.records.values_mut() {
            let lacking = record.listed != number
                && record.status() == Some(&status)
                && record.presence == Presence::Here
                && record.last().is_some_and(|last| last.sent.mono < at.sent.mono);
            if lacking {
                record.presence = Presence::Unlisted { since: at.received, confirmed: false };
                applied.changed_silently = true;
            }
            // With a status that nobody knows, nobody knows either which list should have it.
            let is_odd = record.phase() == Phase::Unknown && !record.is_over();
            let strays =
                is_odd && number.saturating_sub(record.listed) >= STRAYS && !self.left.contains(&record.id);
            if (lacking || strays) && !record.asked_for {
                self.left.put(record.id.clone(), ());
            }
        }
    }

    pub(super) fn missing(
        &mut self,
        at: Exchange,
        id: &SessionId,
        fault: ApiError,
        next: Option<Moment>,
        applied: &mut Applied,
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
        self.left.pop(id);
        if is_new {
            if !record.asked_for {
                self.over.put(id.clone(), ());
            }
            self.tell(Some(id), when, at.received, EventKind::NotFound(fault), applied);
            self.attend(id, at.received, applied);
        }
    }

    /// Forgets the oldest of what is over, and of what left the lists faster than it can be asked for.
    pub(super) fn bound(&mut self) {
        while self.over.len() > MOST_OVER {
            let Some((oldest, ())) = self.over.pop_lru() else { break };
            if self.records.get(&oldest).is_some_and(|record| record.is_over() && !record.asked_for) {
                self.forget(&oldest);
            }
        }
        // promise: left-lists-limit, mutant: > List::MOST_LEFT -> > usize::MAX
        while self.left.len() > List::MAX_DELISTED {
            let Some((oldest, ())) = self.left.pop_lru() else { break };
            self.forget(&oldest);
        }
    }

    pub(super) fn forget(&mut self, id: &SessionId) {
        let Some(record) = self.records.swap_remove(id) else { return };
        self.ids.remove(id);
        self.over.pop(id);
        self.left.pop(id);
        self.changes.of_sessions();
        self.timeline.forget(id);
        self.ends.remove(id);
        if let Some(deadline) = record.deadline {
            self.deadlines.remove(&(deadline, id.clone()));
        }
    }
}
