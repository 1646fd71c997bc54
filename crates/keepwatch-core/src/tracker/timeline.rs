//! The timeline: the events, in the order in which the tracker learned of them.
//!
//! The timeline is bounded. It never evicts the first event or the newest end of a session. If a session ran again
//! after an end, that end may be evicted like any other event.
//!
//! ```text
//!   events       seq ──► Event             the events, in order
//!   evictable    seqs, oldest first        events that may be evicted, and some that were removed already
//!   by_session   session ──► its seqs      None ──► seqs of events without a session
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::event::{Event, EventKind};
use crate::session::SessionId;

/// The maximum number of evictable events of one session. The events without a session have the same limit.
pub(super) const MAX_EVENTS_PER_SESSION: usize = 500;
/// The maximum number of events in total. Only events that are not evictable may exceed it.
pub(super) const MAX_EVENTS: usize = 20_000;

/// Sequence number of an event. Never reused.
pub type Seq = u64;

/// The events of a tracker, in the order in which the tracker learned of them.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Boxed, because the nodes of a map that grows at its end are only half full: large values would waste memory.
    events: BTreeMap<Seq, Box<Event>>,
    /// The sequence numbers of evictable events, oldest first. Some of these events may have been removed already.
    evictable: VecDeque<Seq>,
    /// The events of each session. The key `None` has the events without a session.
    by_session: HashMap<Option<SessionId>, SessionEvents>,
    next_seq: Seq,
}

/// The events of one session, or the events without a session.
#[derive(Debug, Default)]
struct SessionEvents {
    /// The sequence numbers, in ascending order.
    seqs: VecDeque<Seq>,
    /// The number of these events that may be evicted.
    evictable_count: usize,
    /// The newest end. Earlier ends may be evicted.
    newest_end: Option<Seq>,
}

impl SessionEvents {
    /// Returns true if the event is not permanent, or is an end before the newest one.
    fn is_evictable(&self, seq: Seq, kind: &EventKind) -> bool {
        !kind.is_permanent()
            || self.newest_end.is_some_and(|end| end != seq && matches!(kind, EventKind::Ended { .. }))
    }
}

impl Timeline {
    /// Appends an event and returns its sequence number. Evicts events that exceed the bounds.
    pub(super) fn push(&mut self, event: Event) -> Seq {
        let seq = self.next_seq;
        self.next_seq = self.next_seq.saturating_add(1);
        let session_events = self.by_session.entry(event.id.clone()).or_default();
        session_events.seqs.push_back(seq);
        let is_end = matches!(event.kind, EventKind::Ended { .. });
        // A new end makes the previous one evictable.
        let newly_evictable = if is_end {
            session_events.newest_end.replace(seq)
        } else {
            (!event.kind.is_permanent()).then_some(seq)
        };
        let mut evicted = None;
        if let Some(newly_evictable) = newly_evictable {
            session_events.evictable_count = session_events.evictable_count.saturating_add(1);
            self.evictable.push_back(newly_evictable);
            if session_events.evictable_count > MAX_EVENTS_PER_SESSION {
                let is_evictable = |seq: &Seq| {
                    self.events.get(seq).is_some_and(|event| session_events.is_evictable(*seq, &event.kind))
                };
                evicted = session_events.seqs.iter().copied().find(is_evictable);
            }
        }
        self.events.insert(seq, Box::new(event));
        if let Some(evicted) = evicted {
            self.remove(evicted);
        }
        // promise: timeline-limit, mutant: > MAX_EVENTS -> > usize::MAX
        while self.events.len() > MAX_EVENTS {
            let Some(oldest) = self.evictable.pop_front() else { break };
            self.remove(oldest);
        }
        // Other removals leave their sequence numbers in the queue, so limit the queue to twice the number of events.
        if self.evictable.len() > MAX_EVENTS.saturating_mul(2) {
            let events = &self.events;
            self.evictable.retain(|seq| events.contains_key(seq));
        }
        seq
    }

    fn remove(&mut self, seq: Seq) {
        let Some(event) = self.events.remove(&seq) else { return };
        let Some(session_events) = self.by_session.get_mut(&event.id) else { return };
        session_events.seqs.retain(|own| *own != seq);
        if session_events.is_evictable(seq, &event.kind) {
            session_events.evictable_count = session_events.evictable_count.saturating_sub(1);
        }
        if session_events.seqs.is_empty() {
            self.by_session.remove(&event.id);
        }
    }

    /// Removes all events of a session. The tracker calls this when it evicts the session.
    pub(super) fn forget(&mut self, id: &SessionId) {
        let Some(session_events) = self.by_session.remove(&Some(id.clone())) else { return };
        for seq in session_events.seqs {
            self.events.remove(&seq);
        }
    }

    /// Returns the events of a session, newest first. Includes the events without a session that concern this session,
    /// such as failing polls, from the session's first event on.
    pub fn newest_first<'t>(&'t self, id: &SessionId) -> impl Iterator<Item = (Seq, &'t Event)> + use<'t> {
        let seqs = |key: Option<SessionId>| self.by_session.get(&key).map(|events| &events.seqs);
        let own = seqs(Some(id.clone()));
        let first_own_seq = own.and_then(|seqs| seqs.front().copied());
        let mut own_seqs = own.into_iter().flatten().rev().copied().peekable();
        let general = seqs(None).into_iter().flatten().rev().copied();
        let mut general_seqs =
            general.take_while(move |seq| first_own_seq.is_some_and(|first| *seq > first)).peekable();
        // Both sequences of numbers are descending. Merge them into one.
        let merged = std::iter::from_fn(move || match (own_seqs.peek(), general_seqs.peek()) {
            (Some(own), Some(general)) if general > own => general_seqs.next(),
            (Some(_), _) => own_seqs.next(),
            (None, _) => general_seqs.next(),
        });
        let id = id.clone();
        merged
            .filter_map(|seq| Some((seq, self.get(seq)?)))
            .filter(move |(_, event)| event.kind.concerns(&id))
    }

    /// Returns the same events as [`Timeline::newest_first`], oldest first.
    #[must_use]
    pub fn events_of(&self, id: &SessionId) -> Vec<(Seq, &Event)> {
        let mut events: Vec<_> = self.newest_first(id).collect();
        events.reverse();
        events
    }

    /// Returns the event with this sequence number, unless it was evicted.
    #[must_use]
    pub fn get(&self, seq: Seq) -> Option<&Event> {
        self.events.get(&seq).map(|event| &**event)
    }

    /// Returns the events of all sessions and those without a session, oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (Seq, &Event)> {
        self.events.iter().map(|(seq, event)| (*seq, &**event))
    }

    /// Returns the events up to and including `seq`, oldest first. The reversed iterator starts directly at `seq`, and
    /// does not pass over newer events.
    pub fn up_to(&self, seq: Seq) -> impl DoubleEndedIterator<Item = (Seq, &Event)> {
        self.events.range(..=seq).map(|(seq, event)| (*seq, &**event))
    }

    /// Returns the number of events from `seq` on, including `seq`.
    #[must_use]
    pub fn count_from(&self, seq: Seq) -> usize {
        self.events.range(seq..).count()
    }

    /// Returns the sequence number that the next event will get. All existing events have a lower one.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// Returns the number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns true if there are no events.
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

    fn event(session: Option<&str>, kind: EventKind) -> Event {
        let at = Timestamp::UNIX_EPOCH;
        Event { id: session.map(id), when: TimeInterval { earliest: None, latest: at }, learned_at: at, kind }
    }

    fn first_seen(session: &str) -> Event {
        event(
            Some(session),
            EventKind::FirstSeen { status: Status::Running, time_left: None, ended_at: None },
        )
    }

    fn ended(session: &str) -> Event {
        let kind = EventKind::Ended {
            status: Status::Completed,
            ended_at: None,
            ended_at_fits: false,
            last_alive: None,
        };
        event(Some(session), kind)
    }

    #[test]
    fn first_seen_and_end_are_not_evicted() {
        let mut timeline = Timeline::default();
        timeline.push(first_seen("a"));
        timeline.push(ended("a"));
        for _ in 0..MAX_EVENTS_PER_SESSION * 3 {
            timeline.push(event(Some("a"), EventKind::MetadataChanged));
        }
        let kinds: Vec<_> = timeline.events_of(&id("a")).iter().map(|(_, event)| event.kind.name()).collect();
        assert_eq!(kinds.len(), MAX_EVENTS_PER_SESSION + 2);
        assert_eq!(kinds[..3], ["first_seen", "ended", "metadata_changed"]);
    }

    #[test]
    fn timeline_evicts_oldest_evictable_events() {
        let mut timeline = Timeline::default();
        for number in 0..60 {
            timeline.push(first_seen(&format!("s{number}")));
            for _ in 0..MAX_EVENTS_PER_SESSION {
                timeline.push(event(Some(&format!("s{number}")), EventKind::MetadataChanged));
            }
        }
        assert_eq!(timeline.len(), MAX_EVENTS);
        assert!(timeline.evictable.len() <= 2 * MAX_EVENTS);
        let event_count = |session: &str| timeline.newest_first(&id(session)).count();
        assert_eq!((event_count("s0"), event_count("s59")), (1, MAX_EVENTS_PER_SESSION + 1));
    }

    #[test]
    fn first_seen_events_may_exceed_the_bound() {
        let mut timeline = Timeline::default();
        for number in 0..MAX_EVENTS + 10 {
            timeline.push(first_seen(&format!("s{number}")));
        }
        // The only evictable event is evicted at once.
        timeline
            .push(event(None, EventKind::PollsRecovered { list: None, outage: std::time::Duration::ZERO }));
        assert_eq!(timeline.len(), MAX_EVENTS + 10);
        timeline.forget(&id("s0"));
        assert_eq!(timeline.len(), MAX_EVENTS + 9);
    }

    #[test]
    fn events_without_session_show_from_first_seen() {
        let mut timeline = Timeline::default();
        let slept = || event(None, EventKind::Slept(std::time::Duration::from_secs(9)));
        timeline.push(slept());
        timeline.push(first_seen("a"));
        timeline.push(slept());
        timeline.push(first_seen("b"));
        timeline.push(ended("a"));
        let names = |session: &str| {
            timeline.events_of(&id(session)).iter().map(|(_, event)| event.kind.name()).collect::<Vec<_>>()
        };
        assert_eq!(names("a"), ["first_seen", "slept", "ended"]);
        assert_eq!(names("b"), ["first_seen"]);
        assert_eq!(names("unknown"), [""; 0]);
    }

    #[test]
    fn count_from_includes_the_event_itself() {
        let mut timeline = Timeline::default();
        let seqs: Vec<Seq> = ["a", "b", "c"].map(|session| timeline.push(first_seen(session))).into();
        assert_eq!(timeline.count_from(seqs[1]), 2);
    }
}
