//! What was observed of each source: one tracker for each, in the order of the command line, and what the screen asks of all
//! of them together. Pure.
//!
//! ```text
//!   --profile acme     ──► ProfileState 0: ProfileInfo, Fleet, Effort ─┐
//!   --profile staging  ──► ProfileState 1: ProfileInfo, Fleet, Effort ─┴──► one table, one page of events
//! ```
//!
//! Lists, health, the server's clock and what belongs together are a project's own, and stay so: no source learns anything
//! from another. A session that several have is shown once, as the first of them says; what the others say of it is
//! neither shown nor rung for.

use std::ops::Range;
use std::time::Duration;

use chrono::TimeDelta;

use super::effort::Effort;
use super::persistence::{PersistenceCommand, ProfilePersistence};
use crate::store;
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{MetadataPath, SessionId};
use keepwatch_core::tracker::cost::Short;
use keepwatch_core::tracker::{Changes, Event, Fleet, Input, Record, Seq, Thresholds};

/// Where a source's sessions come from, as the screen says it.
#[derive(Clone, Debug, Default)]
pub struct ProfileInfo {
    /// What it is called, fit to be shown. Nobody calls the only one anything.
    pub name: String,
    /// The API's host, where it is not the public one.
    pub host: Option<String>,
    /// The last characters of the key.
    pub key_tail: String,
    /// Why there is no key, and so nothing is asked.
    pub without_key: Option<String>,
}

/// One project's sessions.
#[derive(Debug, Default)]
pub struct ProfileState {
    /// Where they come from.
    pub info: ProfileInfo,
    /// What was observed of them.
    pub tracker: Fleet,
    /// What the asking costs.
    pub effort: Effort,
    /// Writes down what the tracker is told; `None` if nothing is written.
    pub(super) persistence: Option<ProfilePersistence>,
}

/// All sources: one at least.
#[derive(Debug, Default)]
pub struct Profiles {
    first: ProfileState,
    others: Vec<ProfileState>,
}

/// An event's place: of which source, and where among that one's events. Those of one source are in order, those of two
/// are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRef {
    /// The source.
    pub source: usize,
    /// The place among its events.
    pub seq: Seq,
}

/// A place in each source's events, by the order of the sources: what lies before it is old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadCursors(Vec<Seq>);

impl ReadCursors {
    /// Where the new begins among the events of a source.
    #[must_use]
    pub fn of(&self, source: usize) -> Seq {
        self.0.get(source).copied().unwrap_or(0)
    }
}

impl ReadCursors {
    /// The same, but that the new begins here among the events of `source`.
    pub(super) fn set(&mut self, source: usize, seq: Seq) {
        if self.0.len() <= source {
            self.0.resize(source.saturating_add(1), 0);
        }
        if let Some(mark) = self.0.get_mut(source) {
            *mark = seq;
        }
    }
}

impl FromIterator<Seq> for ReadCursors {
    fn from_iter<I: IntoIterator<Item = Seq>>(seqs: I) -> Self {
        Self(seqs.into_iter().collect())
    }
}

/// One source that nobody calls anything, as far as it was observed.
impl From<Fleet> for Profiles {
    fn from(tracker: Fleet) -> Self {
        Self { first: ProfileState { tracker, ..ProfileState::default() }, others: Vec::new() }
    }
}

impl ProfileState {
    fn new(info: ProfileInfo, thresholds: &Thresholds, owner_key: Option<&MetadataPath>) -> Self {
        let tracker = Fleet::new(thresholds.clone()).with_owner_key(owner_key.cloned());
        Self { info, tracker, effort: Effort::default(), persistence: None }
    }
}

impl Profiles {
    /// Sources of which nothing was seen, flagged at these thresholds.
    #[must_use]
    pub fn new(infos: Vec<ProfileInfo>, thresholds: &Thresholds, owner_key: Option<&MetadataPath>) -> Self {
        let mut sources = infos.into_iter().map(|info| ProfileState::new(info, thresholds, owner_key));
        let first = sources
            .next()
            .unwrap_or_else(|| ProfileState::new(ProfileInfo::default(), thresholds, owner_key));
        Self { first, others: sources.collect() }
    }

    /// The first source: the only one, in most cases.
    #[must_use]
    pub fn first(&self) -> &ProfileState {
        &self.first
    }

    /// Whether there is more than one, and so something to tell apart.
    #[must_use]
    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// Each of them, in the order of the command line.
    pub fn sources(&self) -> impl DoubleEndedIterator<Item = &ProfileState> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Their numbers.
    #[must_use]
    pub fn numbers(&self) -> Range<usize> {
        0..self.others.len().saturating_add(1)
    }

    /// One of them; of a number that none has, the first.
    #[must_use]
    pub fn source(&self, source: usize) -> &ProfileState {
        source.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }

    /// The same, to be changed.
    pub fn source_mut(&mut self, source: usize) -> &mut ProfileState {
        match source.checked_sub(1) {
            Some(other) => self.others.get_mut(other).unwrap_or(&mut self.first),
            None => &mut self.first,
        }
    }

    /// Applies an input to a source's tracker. Returns the events that it caused, and the commands that write them down.
    pub fn apply(&mut self, source: usize, input: Input) -> (Vec<Event>, Vec<PersistenceCommand>) {
        let ProfileState { tracker, persistence, .. } = self.source_mut(source);
        match persistence {
            Some(persistence) => persistence.apply(tracker, input),
            None => (store::apply(None, tracker, input).0, Vec::new()),
        }
    }

    /// The same sources, of which nothing was seen.
    pub fn forget(&mut self, thresholds: &Thresholds, owner_key: Option<&MetadataPath>) {
        let infos = self.sources().map(|source| source.info.clone()).collect();
        *self = Self::new(infos, thresholds, owner_key);
    }

    /// A session's record, and whose it is: of those that have it, the first that a reply told of it; else the first that
    /// may have it yet; else the first that was told that it is not there.
    #[must_use]
    pub fn find(&self, id: &SessionId) -> Option<(usize, &Record)> {
        if !self.are_several() {
            return self.first.tracker.get(id).map(|record| (0, record));
        }
        let records = self.sources().enumerate();
        let records = records.filter_map(|(source, it)| Some((source, it.tracker.get(id)?)));
        records.min_by_key(|(_, record)| match (&record.session, record.is_absent()) {
            (Some(_), false) => 0,
            (Some(_), true) => 1,
            (None, false) => 2,
            (None, true) => 3,
        })
    }

    /// A session's record.
    #[must_use]
    pub fn get(&self, id: &SessionId) -> Option<&Record> {
        self.find(id).map(|(_, record)| record)
    }

    /// The source that a session is of; the first, where none has it.
    #[must_use]
    pub fn of(&self, id: &SessionId) -> &ProfileState {
        self.source(self.find(id).map_or(0, |(source, _)| source))
    }

    /// Every session, as whoever it is of has it; in no order.
    pub fn records(&self) -> impl Iterator<Item = (usize, &Record)> {
        let all = self.sources().enumerate();
        let all = all.flat_map(|(source, it)| it.tracker.records().map(move |record| (source, record)));
        all.filter(|(source, record)| self.is_of(&record.id, *source))
    }

    /// Whether a session is shown as this source has it.
    #[must_use]
    pub fn is_of(&self, id: &SessionId, source: usize) -> bool {
        !self.are_several() || self.find(id).is_none_or(|(of, _)| of == source)
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.are_several() { self.records().count() } else { self.first.tracker.len() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources().all(|source| source.tracker.is_empty())
    }

    /// How long until something becomes true by time alone, for any of them.
    #[must_use]
    pub fn next_deadline(&self, now: Moment) -> Option<Duration> {
        self.sources().filter_map(|source| source.tracker.next_deadline(now)).min()
    }

    /// How often something changed, of all together.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.sources().map(|source| source.tracker.changes()).fold(Changes::default(), |sum, of| Changes {
            sessions: sum.sessions.wrapping_add(of.sessions),
            bytes: sum.bytes.wrapping_add(of.bytes),
        })
    }

    /// How many columns of a session's id tell it from all others, 8 at least.
    #[must_use]
    pub fn id_columns(&self, id: &SessionId) -> usize {
        self.sources().map(|source| source.tracker.id_columns(id)).max().unwrap_or(0)
    }

    /// What time it is at a source's server.
    ///
    /// Of several it is a whole number of seconds from what it is at the first: all that ticks, ticks together.
    #[must_use]
    pub fn time(&self, source: usize, moment: Moment) -> Timestamp {
        let first = self.first.tracker.clock().at(moment);
        if source == 0 {
            return first;
        }
        let own = self.source(source).tracker.clock().at(moment);
        let apart = own.signed_duration_since(first).num_milliseconds();
        let whole = apart.saturating_add(apart.signum().saturating_mul(500)) / 1000;
        TimeDelta::try_seconds(whole).and_then(|apart| first.checked_add_signed(apart)).unwrap_or(own)
    }

    /// How far a source's clock is ahead of the first's, in whole seconds as they are shown.
    #[must_use]
    pub fn apart(&self, source: usize) -> TimeDelta {
        let moment = self.source(source).tracker.latest().filter(|_| source > 0);
        let apart = |at| self.time(source, at).signed_duration_since(self.time(0, at));
        moment.map(apart).unwrap_or_default()
    }

    /// Where the next event of each would be.
    #[must_use]
    pub fn end(&self) -> ReadCursors {
        self.sources().map(|source| source.tracker.timeline().end()).collect()
    }

    /// The event at a place, if it is still on record.
    #[must_use]
    pub fn event(&self, place: EventRef) -> Option<&Event> {
        self.source(place.source).tracker.timeline().get(place.seq)
    }

    /// A source's own events, the newest first, without those of sessions that are shown as another has them.
    pub fn newest_in(&self, source: usize) -> impl Iterator<Item = (EventRef, &Event)> {
        let events = self.source(source).tracker.timeline().all().rev();
        events
            .map(move |(seq, event)| (EventRef { source, seq }, event))
            .filter(move |(_, event)| event.id.as_ref().is_none_or(|id| self.is_of(id, source)))
    }

    /// The events of all, the newest first, by the times at which they were seen.
    pub fn newest(&self) -> impl Iterator<Item = (EventRef, &Event)> {
        let mut queues: Vec<_> =
            self.sources().enumerate().map(|(source, _)| self.newest_in(source).peekable()).collect();
        std::iter::from_fn(move || {
            if let [only] = queues.as_mut_slice() {
                return only.next();
            }
            let heads = queues.iter_mut().enumerate();
            let heads = heads.filter_map(|(source, queue)| Some((queue.peek()?.1.seen, source)));
            let (_, newest) = heads.max()?;
            queues.get_mut(newest)?.next()
        })
    }

    /// The events of all from the one at `anchor` backwards, the newest first. With one profile that costs the same wherever
    /// the anchor is.
    pub fn newest_from(&self, anchor: EventRef) -> Box<dyn Iterator<Item = (EventRef, &Event)> + '_> {
        if self.are_several() {
            let is_newer = move |place: &EventRef| place.source != anchor.source || place.seq > anchor.seq;
            return Box::new(self.newest().skip_while(move |(place, _)| is_newer(place)));
        }
        let events = self.first.tracker.timeline().up_to(anchor.seq).rev();
        Box::new(events.map(|(seq, event)| (EventRef { source: 0, seq }, event)))
    }

    /// What happened to a session, and to all of its source while it was watched; the newest first.
    pub fn newest_of<'f>(&'f self, id: &SessionId) -> impl Iterator<Item = (EventRef, &'f Event)> + use<'f> {
        let source = self.find(id).map_or(0, |(source, _)| source);
        let events = self.source(source).tracker.newest_of(id);
        events.map(move |(seq, event)| (EventRef { source, seq }, event))
    }

    /// Elements of the newest lists that were no session.
    #[must_use]
    pub fn malformed(&self) -> u32 {
        self.sources().fold(0, |sum, source| sum.saturating_add(source.tracker.health().malformed))
    }

    /// The sessions that ran for less than a minute.
    #[must_use]
    pub fn short(&self) -> Short {
        self.sources().map(|source| source.tracker.short()).fold(Short::default(), |sum, of| Short {
            sessions: sum.sessions.saturating_add(of.sessions),
            used: sum.used.saturating_add(of.used),
        })
    }
}
