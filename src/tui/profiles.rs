//! The profiles, which are watched at the same time: one tracker for each, in the order of the command line, and the queries
//! that the screen asks of all of them. Pure.
//!
//! ```text
//!   --profile acme     ──► ProfileId 0: ProfileInfo, Fleet, Effort ─┐
//!   --profile staging  ──► ProfileId 1: ProfileInfo, Fleet, Effort ─┴──► one table, one page of events
//! ```
//!
//! Profiles share nothing: lists, health, server clock and clusters of ends belong to one project. A session that several
//! profiles have is shown once, with the record of one of them ([`Profiles::find`]). The events of the others about it are
//! not shown and do not ring.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;

use super::persistence::{PersistenceCommand, ProfilePersistence};
use super::poll_stats::PollStats;
use crate::store;
use keepwatch_core::clock::{Moment, Timestamp};
use keepwatch_core::session::{MetadataPath, SessionId};
use keepwatch_core::text;
use keepwatch_core::tracker::cost::ShortSessions;
use keepwatch_core::tracker::{AlertThresholds, ChangeCounters, Event, Input, Record, Seq, SessionTracker};

/// Identifies one profile of this run. Only [`Profiles::new`] creates ids, so that [`Profiles::get`] has a profile for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileId(usize);

#[cfg(test)]
impl ProfileId {
    /// The first profile of a test.
    pub(crate) const FIRST: Self = Self(0);
    /// The second profile of a test that has two.
    pub(crate) const SECOND: Self = Self(1);
}

/// Writes the position on the command line, from 0.
impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The properties of a profile that do not change.
#[derive(Clone, Debug, Default)]
pub struct ProfileInfo {
    /// The displayable name. Empty for a single profile; read it with [`Profiles::label`].
    pub name: String,
    /// The API's host, if it is not the public one.
    pub host: Option<String>,
    /// The last characters of the API key.
    pub key_tail: String,
    /// Why there is no API key. Such a profile is not polled.
    pub missing_key_reason: Option<String>,
}

/// One profile: the sessions of one project.
#[derive(Debug, Default)]
pub struct ProfileState {
    /// The properties that do not change.
    pub info: ProfileInfo,
    /// The sessions and events.
    pub tracker: SessionTracker,
    /// The number, size and latency of the replies.
    pub poll_stats: PollStats,
    /// Writes down the inputs of the tracker; `None` if nothing is written.
    pub(super) persistence: Option<ProfilePersistence>,
}

impl ProfileState {
    fn new(info: ProfileInfo, thresholds: &AlertThresholds, owner_key: Option<&MetadataPath>) -> Self {
        let tracker = SessionTracker::new(thresholds.clone()).with_owner_key(owner_key.cloned());
        Self { info, tracker, poll_stats: PollStats::default(), persistence: None }
    }
}

/// All profiles of this run. Their number never changes.
#[derive(Debug)]
pub struct Profiles {
    /// Indexed by [`ProfileId`]. Never empty.
    states: Vec<ProfileState>,
}

/// The names of several profiles, to tell them apart.
#[derive(Clone, Copy, Debug)]
pub struct ProfileLabels<'a>(&'a Profiles);

/// An event of one profile. The events of one profile are in order; those of two profiles are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRef {
    /// The profile.
    pub profile: ProfileId,
    /// The position among the events of the profile.
    pub seq: Seq,
}

/// How far the events of each profile are read. Later events are new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadCursors(BTreeMap<ProfileId, Seq>);

impl ReadCursors {
    /// Returns the first unread event of a profile: the first of all, if nothing is read.
    #[must_use]
    pub fn get(&self, profile: ProfileId) -> Seq {
        self.0.get(&profile).copied().unwrap_or(0)
    }

    /// Moves the cursor of one profile.
    pub(super) fn set(&mut self, profile: ProfileId, seq: Seq) {
        self.0.insert(profile, seq);
    }
}

impl EventRef {
    /// True if this event comes before `anchor` in a list of events with the newest first that has the anchor.
    pub(super) fn is_newer_than(self, anchor: Self) -> bool {
        self.profile != anchor.profile || self.seq > anchor.seq
    }
}

impl FromIterator<(ProfileId, Seq)> for ReadCursors {
    fn from_iter<I: IntoIterator<Item = (ProfileId, Seq)>>(cursors: I) -> Self {
        Self(cursors.into_iter().collect())
    }
}

/// A single profile without a name.
impl From<SessionTracker> for Profiles {
    fn from(tracker: SessionTracker) -> Self {
        Self { states: vec![ProfileState { tracker, ..ProfileState::default() }] }
    }
}

impl<'a> ProfileLabels<'a> {
    /// Returns the name of a profile.
    #[must_use]
    pub fn get(self, id: ProfileId) -> &'a str {
        &self.0.get(id).info.name
    }

    /// Returns all names, in the order of the command line.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.0.states.iter().map(|profile| profile.info.name.as_str())
    }

    /// Returns the width of the widest name, in columns.
    #[must_use]
    pub fn width(self) -> usize {
        self.iter().map(text::width).max().unwrap_or(0)
    }
}

impl Profiles {
    /// Creates profiles that have seen nothing, with these thresholds for flags.
    #[must_use]
    pub fn new(
        first: ProfileInfo,
        others: Vec<ProfileInfo>,
        thresholds: &AlertThresholds,
        owner_key: Option<&MetadataPath>,
    ) -> Self {
        let infos = std::iter::once(first).chain(others);
        Self { states: infos.map(|info| ProfileState::new(info, thresholds, owner_key)).collect() }
    }

    /// Returns the ids of all profiles, in the order of the command line.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = ProfileId> + use<> {
        (0..self.states.len()).map(ProfileId)
    }

    /// Returns all profiles, in the order of the command line.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ProfileId, &ProfileState)> {
        self.states.iter().enumerate().map(|(position, profile)| (ProfileId(position), profile))
    }

    /// Returns the id of the first profile: the only one, in most runs.
    #[must_use]
    pub fn first_id(&self) -> ProfileId {
        ProfileId(0)
    }

    /// Returns the first profile: the only one, in most runs.
    #[must_use]
    pub fn first(&self) -> &ProfileState {
        self.get(self.first_id())
    }

    /// Returns a profile.
    #[expect(
        clippy::indexing_slicing,
        reason = "each id comes from this list, which never changes its length"
    )]
    #[must_use]
    pub fn get(&self, id: ProfileId) -> &ProfileState {
        &self.states[id.0]
    }

    /// Returns a profile, to be changed.
    #[expect(
        clippy::indexing_slicing,
        reason = "each id comes from this list, which never changes its length"
    )]
    pub fn get_mut(&mut self, id: ProfileId) -> &mut ProfileState {
        &mut self.states[id.0]
    }

    /// True if there are several profiles.
    #[must_use]
    pub fn is_multi_profile(&self) -> bool {
        self.states.len() > 1
    }

    /// Returns the names of the profiles, or `None` for a single one, which needs no name.
    #[must_use]
    pub fn labels(&self) -> Option<ProfileLabels<'_>> {
        self.is_multi_profile().then_some(ProfileLabels(self))
    }

    /// Returns the name of a profile, or `None` for a single one, which needs no name.
    #[must_use]
    pub fn label(&self, id: ProfileId) -> Option<&str> {
        self.labels().map(|labels| labels.get(id))
    }

    /// Applies an input to the tracker of a profile. Returns the events that it caused, and the commands that write it down.
    pub fn apply(&mut self, id: ProfileId, input: Input) -> (Vec<Event>, Vec<PersistenceCommand>) {
        let ProfileState { tracker, persistence, .. } = self.get_mut(id);
        match persistence {
            Some(persistence) => persistence.apply(tracker, input),
            None => (store::apply_and_encode(None, tracker, input).0, Vec::new()),
        }
    }

    /// Forgets all sessions and events.
    pub fn reset(&mut self, thresholds: &AlertThresholds, owner_key: Option<&MetadataPath>) {
        for profile in &mut self.states {
            *profile = ProfileState::new(std::mem::take(&mut profile.info), thresholds, owner_key);
        }
    }

    /// Returns the record to show for a session, and its profile. If several profiles have the session, the first one with a
    /// reply about it comes first; then the first one that may have it; then the first one that does not find it.
    #[must_use]
    pub fn find(&self, id: &SessionId) -> Option<(ProfileId, &Record)> {
        let mut records = self.iter().filter_map(|(profile, state)| Some((profile, state.tracker.get(id)?)));
        if let [_only] = self.states.as_slice() {
            return records.next();
        }
        records.min_by_key(|(_, record)| match (&record.session, record.is_not_found()) {
            (Some(_), false) => 0,
            (Some(_), true) => 1,
            (None, false) => 2,
            (None, true) => 3,
        })
    }

    /// Returns the record to show for a session.
    #[must_use]
    pub fn record(&self, id: &SessionId) -> Option<&Record> {
        self.find(id).map(|(_, record)| record)
    }

    /// Returns the records of all sessions, each once, in no order.
    pub fn records(&self) -> impl Iterator<Item = (ProfileId, &Record)> {
        let all = self.iter();
        let all =
            all.flat_map(|(profile, state)| state.tracker.records().map(move |record| (profile, record)));
        all.filter(|(profile, record)| self.owns(*profile, &record.id))
    }

    /// True if the session is shown with the record of this profile, or if no profile has it.
    #[must_use]
    pub fn owns(&self, profile: ProfileId, id: &SessionId) -> bool {
        // A single profile owns all sessions. Rows ask this for each of them, so it saves a lookup.
        matches!(self.states.as_slice(), [_only]) || self.find(id).is_none_or(|(owner, _)| owner == profile)
    }

    /// Returns the number of sessions.
    #[must_use]
    pub fn session_count(&self) -> usize {
        match self.states.as_slice() {
            [only] => only.tracker.len(),
            _ => self.records().count(),
        }
    }

    /// True if there is no session.
    #[must_use]
    pub fn has_no_sessions(&self) -> bool {
        self.states.iter().all(|profile| profile.tracker.is_empty())
    }

    /// Returns the time until a tracker has something to do because time has passed.
    #[must_use]
    pub fn next_deadline(&self, now: Moment) -> Option<Duration> {
        self.states.iter().filter_map(|profile| profile.tracker.next_deadline(now)).min()
    }

    /// Returns the sum of the change counters of all trackers.
    #[must_use]
    pub fn changes(&self) -> ChangeCounters {
        self.states.iter().map(|profile| profile.tracker.changes()).fold(
            ChangeCounters::default(),
            |sum, other| ChangeCounters {
                sessions: sum.sessions.wrapping_add(other.sessions),
                bytes: sum.bytes.wrapping_add(other.bytes),
            },
        )
    }

    /// Returns how many columns of a session's id tell it from all others: at least 8.
    #[must_use]
    pub fn id_columns(&self, id: &SessionId) -> usize {
        self.states.iter().map(|profile| profile.tracker.id_columns(id)).max().unwrap_or(0)
    }

    /// Returns the time that the screen shows, on which all texts tick: that of the first profile's server.
    #[must_use]
    pub fn screen_time(&self, moment: Moment) -> Timestamp {
        self.first().tracker.clock().at(moment)
    }

    /// Returns the time of a profile's server, a whole number of seconds from [`Profiles::screen_time`]: all ticking texts
    /// change at the same moment.
    #[must_use]
    pub fn profile_time(&self, id: ProfileId, moment: Moment) -> Timestamp {
        let screen = self.screen_time(moment);
        let own = self.get(id).tracker.clock().at(moment);
        let offset = own.signed_duration_since(screen).num_milliseconds();
        let seconds = offset.saturating_add(offset.signum().saturating_mul(500)) / 1000;
        TimeDelta::try_seconds(seconds).and_then(|offset| screen.checked_add_signed(offset)).unwrap_or(own)
    }

    /// Returns how far the clock of a profile's server is ahead of [`Profiles::screen_time`], in whole seconds.
    #[must_use]
    pub fn clock_offset(&self, id: ProfileId) -> TimeDelta {
        let latest = self.get(id).tracker.latest_moment();
        let offset = |at| self.profile_time(id, at).signed_duration_since(self.screen_time(at));
        latest.map(offset).unwrap_or_default()
    }

    /// Returns cursors behind the newest event of each profile.
    #[must_use]
    pub fn cursors_at_end(&self) -> ReadCursors {
        self.iter().map(|(id, profile)| (id, profile.tracker.timeline().next_seq())).collect()
    }

    /// Returns an event, if it is still on record.
    #[must_use]
    pub fn event(&self, event: EventRef) -> Option<&Event> {
        self.get(event.profile).tracker.timeline().get(event.seq)
    }

    /// Returns the events of a profile, the newest first, except those of sessions that another profile owns.
    pub fn newest_events_in(&self, profile: ProfileId) -> impl Iterator<Item = (EventRef, &Event)> {
        let events = self.get(profile).tracker.timeline().all().rev();
        events
            .map(move |(seq, event)| (EventRef { profile, seq }, event))
            .filter(move |(_, event)| event.id.as_ref().is_none_or(|id| self.owns(profile, id)))
    }

    /// Returns the events of all profiles, the newest first, by the times at which they were seen.
    pub fn newest_events(&self) -> impl Iterator<Item = (EventRef, &Event)> {
        let mut queues: Vec<_> =
            self.ids().map(|profile| self.newest_events_in(profile).peekable()).collect();
        std::iter::from_fn(move || {
            if let [only] = queues.as_mut_slice() {
                return only.next();
            }
            let heads = queues.iter_mut().enumerate();
            let heads = heads.filter_map(|(nth, queue)| Some((queue.peek()?.1.learned_at, nth)));
            let (_, newest) = heads.max()?;
            queues.get_mut(newest)?.next()
        })
    }

    /// Returns the events of all profiles from `anchor` backwards, the newest first. With a single profile that costs the same
    /// wherever the anchor is.
    pub fn newest_events_from(&self, anchor: EventRef) -> Box<dyn Iterator<Item = (EventRef, &Event)> + '_> {
        if let [only] = self.states.as_slice() {
            let events = only.tracker.timeline().up_to(anchor.seq).rev();
            return Box::new(events.map(move |(seq, event)| (EventRef { seq, ..anchor }, event)));
        }
        Box::new(self.newest_events().skip_while(move |(event, _)| event.is_newer_than(anchor)))
    }

    /// Returns the events of a session, and those of its whole profile while it ran, the newest first. There are none if the
    /// session is not on record.
    pub fn newest_events_of<'f>(
        &'f self,
        id: &SessionId,
    ) -> impl Iterator<Item = (EventRef, &'f Event)> + use<'f> {
        let found = self.find(id).map(|(profile, _)| (profile, self.get(profile).tracker.newest_events(id)));
        found
            .into_iter()
            .flat_map(|(profile, events)| events.map(move |(seq, event)| (EventRef { profile, seq }, event)))
    }

    /// Returns the number of elements in the newest lists that are not sessions.
    #[must_use]
    pub fn malformed(&self) -> u32 {
        self.states.iter().fold(0, |sum, profile| sum.saturating_add(profile.tracker.health().malformed))
    }

    /// Returns the number and time of the sessions that ran for less than a minute.
    #[must_use]
    pub fn short_sessions(&self) -> ShortSessions {
        self.states.iter().map(|profile| profile.tracker.short_sessions()).fold(
            ShortSessions::default(),
            |sum, other| ShortSessions {
                sessions: sum.sessions.saturating_add(other.sessions),
                used: sum.used.saturating_add(other.used),
            },
        )
    }
}
