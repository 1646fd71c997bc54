//! The events, in the order in which they were learned. Bounded: chatter pushes out chatter, never a beginning or an
//! end. Of a session that lives again after its end, the newest end is meant.
//!
//! ```text
//!   events       seq ──► Event                          all of them, in order
//!   chatter      seqs that may go, the oldest first     (those that have gone already are skipped)
//!   of           session ──► its seqs; None: what concerns all
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::event::{Event, EventKind};
use crate::session::SessionId;

/// The most events of one session, beginnings and ends apart; also the most that concern all.
pub(super) const MAX_EVENTS_PER_SESSION: usize = 500;
/// The most events in all, beginnings and ends of sessions on record apart.
pub(super) const MAX_EVENTS: usize = 20_000;

/// An event's place in the order. Never given twice.
pub type Seq = u64;

/// What happened, bounded.
#[derive(Debug, Default)]
pub struct Timeline {
    events: BTreeMap<Seq, Event>,
    evictable: VecDeque<Seq>,
    events_of: HashMap<Option<SessionId>, SessionEvents>,
    next_seq: Seq,
}

#[derive(Debug, Default)]
struct SessionEvents {
    seqs: VecDeque<Seq>,
    /// How many of them may go.
    evictable_count: usize,
    /// The newest end. One before it, of a session that lived again, may go.
    newest_end: Option<Seq>,
}

impl SessionEvents {
    fn is_evictable(&self, seq: Seq, kind: &EventKind) -> bool {
        !kind.is_permanent()
            || self.newest_end.is_some_and(|end| end != seq && matches!(kind, EventKind::Ended { .. }))
    }
}

impl Timeline {
    /// Adds an event behind all others.
    pub(super) fn push(&mut self, event: Event) -> Seq {
        let seq = self.next_seq;
        self.next_seq = self.next_seq.saturating_add(1);
        let session_events = self.events_of.entry(event.id.clone()).or_default();
        session_events.seqs.push_back(seq);
        let is_end = matches!(event.kind, EventKind::Ended { .. });
        let evictable = if is_end {
            session_events.newest_end.replace(seq)
        } else {
            (!event.kind.is_permanent()).then_some(seq)
        };
        let mut evicted = None;
        if let Some(chatter) = evictable {
            session_events.evictable_count = session_events.evictable_count.saturating_add(1);
            self.evictable.push_back(chatter);
            if session_events.evictable_count > MAX_EVENTS_PER_SESSION {
                let is_evictable = |seq: &Seq| {
                    self.events.get(seq).is_some_and(|event| session_events.is_evictable(*seq, &event.kind))
                };
                evicted = session_events.seqs.iter().copied().find(is_evictable);
            }
        }
        self.events.insert(seq, event);
        if let Some(gone) = evicted {
            self.remove(gone);
        }
        // promise: timeline-limit, mutant: > MAX_EVENTS -> > usize::MAX
        while self.events.len() > MAX_EVENTS {
            let Some(oldest) = self.evictable.pop_front() else { break };
            self.remove(oldest);
        }
        // Those that went by another way are still queued: no more of them than of those that stay.
        if self.evictable.len() > MAX_EVENTS.saturating_mul(2) {
            let events = &self.events;
            self.evictable.retain(|seq| events.contains_key(seq));
        }
        seq
    }

    fn remove(&mut self, seq: Seq) {
        let Some(event) = self.events.remove(&seq) else { return };
        let Some(session_events) = self.events_of.get_mut(&event.id) else { return };
        session_events.seqs.retain(|own| *own != seq);
        if session_events.is_evictable(seq, &event.kind) {
            session_events.evictable_count = session_events.evictable_count.saturating_sub(1);
        }
        if session_events.seqs.is_empty() {
            self.events_of.remove(&event.id);
        }
    }

    /// Forgets all of a session that is no longer on record.
    pub(super) fn forget(&mut self, id: &SessionId) {
        let Some(session_events) = self.events_of.remove(&Some(id.clone())) else { return };
        for seq in session_events.seqs {
            self.events.remove(&seq);
        }
    }

    /// The events of a session and those that concern all since the session's first, the newest first.
    pub fn newest_first<'t>(&'t self, id: &SessionId) -> impl Iterator<Item = (Seq, &'t Event)> + use<'t> {
        let seqs = |key: Option<SessionId>| self.events_of.get(&key).map(|own| &own.seqs);
        let own = seqs(Some(id.clone()));
        let first = own.and_then(|seqs| seqs.front().copied());
        let mut left = own.into_iter().flatten().rev().copied().peekable();
        let general = seqs(None).into_iter().flatten().rev().copied();
        let mut right = general.take_while(move |seq| first.is_some_and(|first| *seq > first)).peekable();
        let merged = std::iter::from_fn(move || match (left.peek(), right.peek()) {
            (Some(one), Some(other)) if other > one => right.next(),
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        });
        let id = id.clone();
        merged
            .filter_map(|seq| Some((seq, self.events.get(&seq)?)))
            .filter(move |(_, event)| event.kind.concerns(&id))
    }

    /// The same, in order.
    #[must_use]
    pub fn events_of(&self, id: &SessionId) -> Vec<(Seq, &Event)> {
        let mut events: Vec<_> = self.newest_first(id).collect();
        events.reverse();
        events
    }

    /// The event at a place, if it is still on record.
    #[must_use]
    pub fn get(&self, seq: Seq) -> Option<&Event> {
        self.events.get(&seq)
    }

    /// All events, in order.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (Seq, &Event)> {
        self.events.iter().map(|(seq, event)| (*seq, event))
    }

    /// The events up to the place `seq`, in order. Costs the same wherever that is.
    pub fn up_to(&self, seq: Seq) -> impl DoubleEndedIterator<Item = (Seq, &Event)> {
        self.events.range(..=seq).map(|(seq, event)| (*seq, event))
    }

    /// How many there are after `seq`.
    #[must_use]
    pub fn count_from(&self, seq: Seq) -> usize {
        self.events.range(seq..).count()
    }

    /// What the next event's place will be: all that are here come before it.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::server_clock::TimeInterval;
    use super::*;
    use crate::clock::Timestamp;
    use crate::session::Status;
    use crate::testing::id;

    fn event(of: Option<&str>, kind: EventKind) -> Event {
        let at = Timestamp::UNIX_EPOCH;
        Event { id: of.map(id), when: TimeInterval { earliest: None, latest: at }, learned_at: at, kind }
    }

    fn first(of: &str) -> Event {
        event(Some(of), EventKind::FirstSeen { status: Status::Running, time_left: None, ended_at: None })
    }

    fn ended(of: &str) -> Event {
        let kind = EventKind::Ended {
            status: Status::Completed,
            ended_at: None,
            ended_at_fits: false,
            last_alive: None,
        };
        event(Some(of), kind)
    }

    #[test]
    fn a_session_keeps_its_beginning_and_its_end_whatever_else_happens_to_it() {
        let mut timeline = Timeline::default();
        timeline.push(first("a"));
        timeline.push(ended("a"));
        for _ in 0..MAX_EVENTS_PER_SESSION * 3 {
            timeline.push(event(Some("a"), EventKind::MetadataChanged));
        }
        let kinds: Vec<_> = timeline.events_of(&id("a")).iter().map(|(_, event)| event.kind.name()).collect();
        assert_eq!(kinds.len(), MAX_EVENTS_PER_SESSION + 2);
        assert_eq!(kinds[..3], ["first_seen", "ended", "metadata_changed"]);
    }

    #[test]
    fn all_together_are_bounded_and_the_oldest_chatter_goes_first() {
        let mut timeline = Timeline::default();
        for number in 0..60 {
            timeline.push(first(&format!("s{number}")));
            for _ in 0..MAX_EVENTS_PER_SESSION {
                timeline.push(event(Some(&format!("s{number}")), EventKind::MetadataChanged));
            }
        }
        assert_eq!(timeline.len(), MAX_EVENTS);
        assert!(timeline.evictable.len() <= 2 * MAX_EVENTS);
        let of = |text: &str| timeline.newest_first(&id(text)).count();
        assert_eq!((of("s0"), of("s59")), (1, MAX_EVENTS_PER_SESSION + 1));
    }

    #[test]
    fn beginnings_of_many_sessions_stay_even_where_they_are_more_than_the_bound() {
        let mut timeline = Timeline::default();
        for number in 0..MAX_EVENTS + 10 {
            timeline.push(first(&format!("s{number}")));
        }
        timeline
            .push(event(None, EventKind::PollsRecovered { list: None, after: std::time::Duration::ZERO }));
        assert_eq!(timeline.len(), MAX_EVENTS + 10);
        timeline.forget(&id("s0"));
        assert_eq!(timeline.len(), MAX_EVENTS + 9);
    }

    #[test]
    fn a_sessions_timeline_has_what_concerned_all_since_its_first_event() {
        let mut timeline = Timeline::default();
        let slept = || event(None, EventKind::Slept(std::time::Duration::from_secs(9)));
        timeline.push(slept());
        timeline.push(first("a"));
        timeline.push(slept());
        timeline.push(first("b"));
        timeline.push(ended("a"));
        let names =
            |of: &str| timeline.events_of(&id(of)).iter().map(|(_, it)| it.kind.name()).collect::<Vec<_>>();
        assert_eq!(names("a"), ["first_seen", "slept", "ended"]);
        assert_eq!(names("b"), ["first_seen"]);
        assert_eq!(names("unknown"), [""; 0]);
        assert_eq!(timeline.count_from(3), 2);
    }
}
