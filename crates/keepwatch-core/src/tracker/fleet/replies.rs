//! Replies about sessions, and what an end or a new session means for the others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::Fleet;
use crate::clock::{Moment, Timestamp};
use crate::session::{Session, SessionId};
use crate::tracker::applied::Applied;
use crate::tracker::bounds::When;
use crate::tracker::compare;
use crate::tracker::event::EventKind;
use crate::tracker::input::{Exchange, Scope};
use crate::tracker::record::{Change, Presence, Record, Reply};

impl Fleet {
    /// A reply with sessions, or `several` of them that say the same.
    pub(super) fn replied(
        &mut self,
        at: Exchange,
        scope: Scope,
        sessions: Vec<Session>,
        malformed: u32,
        several: Option<(u64, Duration)>,
        applied: &mut Applied,
    ) {
        self.observe_clock(&at, applied);
        self.good(at, &scope, applied);
        match scope {
            Scope::One(id) => {
                if let Some(session) = sessions.into_iter().next() {
                    self.seen(
                        Reply { at: Arc::new(at), from_list: false, several },
                        id,
                        session,
                        None,
                        applied,
                    );
                }
            }
            Scope::List(list) => {
                self.health.malformed(list, malformed);
                self.listed(Reply { at: Arc::new(at), from_list: true, several }, list, sessions, applied);
            }
            Scope::Projects => {}
        }
    }

    /// A reply about one session; of a list, if it has a number.
    pub(super) fn seen(
        &mut self,
        reply: Reply,
        id: SessionId,
        session: Session,
        list: Option<u64>,
        applied: &mut Applied,
    ) {
        let at = *reply.at;
        let record = record(&mut self.records, &mut self.ids, &id);
        record.listed = list.unwrap_or(record.listed);
        let (is_first, was_over) = (record.session.is_none(), record.is_over());
        let Some(taken) = record.take(reply, session, &self.clock, self.owner_key.as_ref()) else {
            applied.changed_silently = true;
            return;
        };
        let (has_ended, is_over) = (record.ended.is_some(), record.is_over() && !record.asked_for);
        if !matches!(record.presence, Presence::Unlisted { .. }) {
            self.left.pop(&id);
        }
        match taken.change {
            Change::None => {}
            Change::Bytes => self.changes.of_bytes(),
            Change::Whole => self.changes.of_all(),
        }
        if taken.change != Change::None {
            applied.changed.push((id.clone(), taken.change));
        }
        for (when, kind) in taken.news {
            self.tell(Some(&id), when, at.received, kind, applied);
        }
        if taken.revived {
            self.ends.remove(&id);
            self.succession.forget_end(&id);
        }
        if has_ended {
            self.count_end(&id, at.received);
        }
        if is_over && !was_over {
            self.over.put(id.clone(), ());
        }
        if taken.ended {
            self.take_end(&id, at.received, applied);
        } else if is_first {
            self.take_birth(&id, at.received, applied);
        }
        self.attend(&id, at.received, applied);
    }

    /// An end counts among those that belong together as long as the newest reply says that it is such a one.
    fn count_end(&mut self, id: &SessionId, now: Moment) {
        let counts = self.evidence(id).is_some_and(|evidence| evidence.counts_together());
        let session = self.records.get(id).and_then(|record| record.session.as_ref());
        match session.and_then(|session| session.ended).filter(|_| counts) {
            Some(ended) => self.ends.add(id, ended, now.boot),
            None => self.ends.remove(id),
        }
    }

    /// What follows for the others from an end.
    fn take_end(&mut self, id: &SessionId, now: Moment, applied: &mut Applied) {
        let Some(record) = self.records.get_mut(id) else { return };
        if let Some(ran) = record.ran().filter(|_| record.is_end_exact() && !record.counted_short) {
            self.short.add(ran);
            record.counted_short = true;
        }
        let metadata = record.session.as_ref().and_then(compare::attached);
        let follows = metadata.zip(record.ended_at()).and_then(|(it, at)| self.succession.ended(id, it, at));
        if let Some((new, born)) = follows {
            self.tell_successor(id, new, born, now, applied);
        }
    }

    /// A session that is new: where it has the metadata of one that has just ended, that one is told.
    fn take_birth(&mut self, id: &SessionId, now: Moment, applied: &mut Applied) {
        let Some(session) = self.records.get(id).and_then(|record| record.session.as_ref()) else { return };
        let Some((metadata, born)) = compare::attached(session).zip(session.created.or(session.started))
        else {
            return;
        };
        if let Some(old) = self.succession.born(id, metadata, born) {
            self.tell_successor(&old, id.clone(), born, now, applied);
        }
    }

    fn tell_successor(
        &mut self,
        old: &SessionId,
        new: SessionId,
        born: Timestamp,
        now: Moment,
        applied: &mut Applied,
    ) {
        let Some(record) = self.records.get_mut(old) else { return };
        record.successor = Some(new.clone());
        let latest = self.clock.at(now);
        let when = When { earliest: Some(born.min(latest)), latest };
        self.tell(Some(old), when, now, EventKind::Successor(new), applied);
    }
}

/// The record of a session; from now on, if there was none.
pub(super) fn record<'r>(
    records: &'r mut IndexMap<SessionId, Box<Record>>,
    ids: &mut BTreeSet<SessionId>,
    id: &SessionId,
) -> &'r mut Record {
    records.entry(id.clone()).or_insert_with(|| {
        ids.insert(id.clone());
        Box::new(Record::new(id.clone(), false))
    })
}
