//! The profiles of this run, in the order of the command line, each with its tracker. Answers the screen's queries
//! across all profiles. Pure.
//!
//! ```text
//!   --profile acme     ──► ProfileId 0: ProfileInfo, SessionTracker, PollStats ─┐
//!   --profile staging  ──► ProfileId 1: ProfileInfo, SessionTracker, PollStats ─┴──► one table, one page of events
//! ```
//!
//! Trackers share nothing: each has its own lists, polling health, server clock, and clusters of sessions that ended
//! together. If several profiles have a record of a session, the screen shows the session once, with the record of one
//! profile ([`Profiles::find`]), which owns the session. The events that the other profiles have of that session are
//! not shown, and ring no bell.

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
use keepwatch_core::tracker::{AlertRules, ChangeCounters, Event, Input, Record, Seq, SessionTracker};

/// Identifies one profile of this run. Only [`Profiles`] creates ids (tests aside), so that [`Profiles::get`] has a
/// profile for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileId(usize);

#[cfg(test)]
impl ProfileId {
    /// Returns the ids of the first `count` profiles.
    pub(super) fn first(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }

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

/// The fixed properties of a profile.
#[derive(Clone, Debug, Default)]
pub struct ProfileInfo {
    /// The displayable name. Empty for a single profile; read it with [`Profiles::label`].
    pub name: String,
    /// The API's host, if it is not the public one.
    pub host: Option<String>,
    /// The last characters of the API key.
    pub key_tail: String,
    /// The reason why there is no API key. Such a profile is not polled.
    pub missing_key_reason: Option<String>,
}

/// One profile: the sessions of one project.
#[derive(Debug, Default)]
pub struct ProfileState {
    /// The fixed properties.
    pub info: ProfileInfo,
    /// The sessions and events.
    pub tracker: SessionTracker,
    /// Statistics about the requests.
    pub poll_stats: PollStats,
    /// The state for storing the tracker's inputs on disk; `None` if nothing is stored.
    pub(super) persistence: Option<ProfilePersistence>,
}

impl ProfileState {
    fn new(info: ProfileInfo, alert_rules: &AlertRules, owner_key: Option<&MetadataPath>) -> Self {
        let tracker =
            SessionTracker::new(alert_rules.for_profile(&info.name)).with_owner_key(owner_key.cloned());
        Self { info, tracker, poll_stats: PollStats::default(), persistence: None }
    }
}

/// All profiles of this run. Their number never changes.
#[derive(Debug)]
pub struct Profiles {
    /// Indexed by [`ProfileId`]. Never empty.
    states: Vec<ProfileState>,
}

/// The names of the profiles. A run with a single profile has none.
#[derive(Clone, Copy, Debug)]
pub struct ProfileLabels<'a>(&'a Profiles);

/// A reference to an event of one profile. Two references of the same profile are ordered by `seq`. References of
/// different profiles have no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRef {
    /// The profile.
    pub profile: ProfileId,
    /// The position among the events of the profile.
    pub seq: Seq,
}

/// One position in the timeline of each profile. It separates the events that the user has read from the later ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimelineCursors(BTreeMap<ProfileId, Seq>);

impl TimelineCursors {
    /// Returns the cursor of a profile: the position of the first event after the cursor, or 0 if the cursor was never
    /// set.
    #[must_use]
    pub fn get(&self, profile: ProfileId) -> Seq {
        self.0.get(&profile).copied().unwrap_or(0)
    }
}

impl EventRef {
    /// Returns true if a walk from the newest event to the oldest finds this event before `anchor`. Use it only until
    /// such a walk reaches `anchor`, because it also returns true for the older events of other profiles.
    pub(super) fn is_newer_than(self, anchor: Self) -> bool {
        self.profile != anchor.profile || self.seq > anchor.seq
    }
}

impl FromIterator<(ProfileId, Seq)> for TimelineCursors {
    fn from_iter<I: IntoIterator<Item = (ProfileId, Seq)>>(cursors: I) -> Self {
        Self(cursors.into_iter().collect())
    }
}

/// Creates a single profile without a name.
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
    /// Creates profiles without sessions and events, with these thresholds for alerts.
    #[must_use]
    pub fn new(
        first: ProfileInfo,
        others: Vec<ProfileInfo>,
        alert_rules: &AlertRules,
        owner_key: Option<&MetadataPath>,
    ) -> Self {
        let infos = std::iter::once(first).chain(others);
        Self { states: infos.map(|info| ProfileState::new(info, alert_rules, owner_key)).collect() }
    }

    /// Returns the ids of all profiles, in the order of the command line.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = ProfileId> + use<> {
        (0..self.states.len()).map(ProfileId)
    }

    /// Returns all profiles, in the order of the command line.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ProfileId, &ProfileState)> {
        self.states.iter().enumerate().map(|(position, profile)| (ProfileId(position), profile))
    }

    /// Returns the id of the first profile. In most runs it is the only one.
    #[must_use]
    pub fn first_id(&self) -> ProfileId {
        ProfileId(0)
    }

    /// Returns the first profile. In most runs it is the only one.
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

    /// Returns mutable access to a profile.
    #[expect(
        clippy::indexing_slicing,
        reason = "each id comes from this list, which never changes its length"
    )]
    pub fn get_mut(&mut self, id: ProfileId) -> &mut ProfileState {
        &mut self.states[id.0]
    }

    /// Returns true if there are several profiles.
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

    /// Applies an input to the tracker of a profile. Returns the events and the persistence commands that follow from
    /// it.
    pub fn apply(&mut self, id: ProfileId, input: Input) -> (Vec<Event>, Vec<PersistenceCommand>) {
        let ProfileState { tracker, persistence, .. } = self.get_mut(id);
        match persistence {
            Some(persistence) => persistence.apply(tracker, input),
            None => (store::apply_and_encode(None, tracker, input).0, Vec::new()),
        }
    }

    /// Removes all sessions, events and poll statistics. Only for a replay, which has no state for storing inputs.
    pub fn reset(&mut self, alert_rules: &AlertRules, owner_key: Option<&MetadataPath>) {
        for profile in &mut self.states {
            *profile = ProfileState::new(std::mem::take(&mut profile.info), alert_rules, owner_key);
        }
    }

    /// Returns the record to show for a session, and its profile. If several profiles have a record, prefers a profile
    /// that, in this order:
    ///
    /// 1. has received the session, and still finds it
    /// 2. has received the session, but does not find it any more
    /// 3. waits for the first response
    /// 4. has never found the session
    ///
    /// Among equals, the first profile wins.
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

    /// Returns the records of all sessions, in no particular order. Each session occurs once.
    pub fn records(&self) -> impl Iterator<Item = (ProfileId, &Record)> {
        let records = self
            .iter()
            .flat_map(|(profile, state)| state.tracker.records().map(move |record| (profile, record)));
        records.filter(|(profile, record)| self.owns(*profile, &record.id))
    }

    /// Returns true if this profile owns the session: the screen shows the session with the record of this profile.
    /// Also returns true if no profile has a record of the session.
    #[must_use]
    pub fn owns(&self, profile: ProfileId, id: &SessionId) -> bool {
        // A single profile owns all sessions. This saves a lookup for each row.
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

    /// Returns true if there is no session.
    #[must_use]
    pub fn has_no_sessions(&self) -> bool {
        self.states.iter().all(|profile| profile.tracker.is_empty())
    }

    /// Returns the time from `now` until the next change in any tracker that depends on time alone, such as an alert,
    /// or `None` if nothing is due.
    #[must_use]
    pub fn time_until_deadline(&self, now: Moment) -> Option<Duration> {
        self.states.iter().filter_map(|profile| profile.tracker.time_until_deadline(now)).min()
    }

    /// Returns the sum of the change counters of all trackers.
    #[must_use]
    pub fn changes(&self) -> ChangeCounters {
        self.states.iter().map(|profile| profile.tracker.change_counters()).fold(
            ChangeCounters::default(),
            |sum, other| ChangeCounters {
                sessions: sum.sessions.wrapping_add(other.sessions),
                bytes: sum.bytes.wrapping_add(other.bytes),
            },
        )
    }

    /// Returns the number of characters at the start of a session's id that distinguish it from the other ids of every
    /// profile. It is at least 8.
    #[must_use]
    pub fn id_prefix_length(&self, id: &SessionId) -> usize {
        self.states.iter().map(|profile| profile.tracker.id_prefix_length(id)).max().unwrap_or(0)
    }

    /// Returns the time that the screen shows: that of the first profile's server. All countdowns tick with it.
    #[must_use]
    pub fn screen_time(&self, moment: Moment) -> Timestamp {
        self.first().tracker.clock().at(moment)
    }

    /// Returns the time of a profile's server. Its difference from [`Profiles::screen_time`] is rounded to whole
    /// seconds, so that all countdowns tick at the same moment.
    #[must_use]
    pub fn profile_time(&self, id: ProfileId, moment: Moment) -> Timestamp {
        let screen_time = self.screen_time(moment);
        let exact_time = self.get(id).tracker.clock().at(moment);
        let offset_ms = exact_time.signed_duration_since(screen_time).num_milliseconds();
        // Half a second, with the sign of the offset, rounds the division to the nearest second.
        let seconds = offset_ms.saturating_add(offset_ms.signum().saturating_mul(500)) / 1000;
        let offset = TimeDelta::try_seconds(seconds);
        offset.and_then(|offset| screen_time.checked_add_signed(offset)).unwrap_or(exact_time)
    }

    /// Returns the offset of a profile's server clock from [`Profiles::screen_time`], in whole seconds, at the moment
    /// of the profile's last input. The offset is positive if the profile's server clock is ahead, and 0 before the
    /// first input.
    #[must_use]
    pub fn clock_offset(&self, id: ProfileId) -> TimeDelta {
        let latest = self.get(id).tracker.last_input_moment();
        let offset = |at| self.profile_time(id, at).signed_duration_since(self.screen_time(at));
        latest.map(offset).unwrap_or_default()
    }

    /// Returns cursors after the newest event of each profile.
    #[must_use]
    pub fn cursors_at_end(&self) -> TimelineCursors {
        self.iter().map(|(id, profile)| (id, profile.tracker.timeline().next_seq())).collect()
    }

    /// Returns an event, or `None` if it was evicted.
    #[must_use]
    pub fn event(&self, event: EventRef) -> Option<&Event> {
        self.get(event.profile).tracker.timeline().get(event.seq)
    }

    /// Returns the events of a profile, from the newest to the oldest. Leaves out the events of sessions that another
    /// profile owns.
    pub fn newest_events_in(&self, profile: ProfileId) -> impl Iterator<Item = (EventRef, &Event)> {
        let events = self.get(profile).tracker.timeline().all().rev();
        events
            .map(move |(seq, event)| (EventRef { profile, seq }, event))
            .filter(move |(_, event)| event.id.as_ref().is_none_or(|id| self.owns(profile, id)))
    }

    /// Returns the events of all profiles, from the newest to the oldest, by the time at which we learned of them.
    pub fn newest_events(&self) -> impl Iterator<Item = (EventRef, &Event)> {
        let mut queues: Vec<_> =
            self.ids().map(|profile| self.newest_events_in(profile).peekable()).collect();
        std::iter::from_fn(move || {
            if let [only] = queues.as_mut_slice() {
                return only.next();
            }
            let indexed_queues = queues.iter_mut().enumerate();
            let heads = indexed_queues.filter_map(|(index, queue)| Some((queue.peek()?.1.learned_at, index)));
            let (_, newest_index) = heads.max()?;
            queues.get_mut(newest_index)?.next()
        })
    }

    /// Returns `anchor` and the older events of all profiles, from the newest to the oldest. With a single profile, the
    /// cost does not depend on the position of the anchor.
    pub fn newest_events_from(&self, anchor: EventRef) -> Box<dyn Iterator<Item = (EventRef, &Event)> + '_> {
        if let [only] = self.states.as_slice() {
            let events = only.tracker.timeline().up_to(anchor.seq).rev();
            return Box::new(events.map(move |(seq, event)| (EventRef { seq, ..anchor }, event)));
        }
        Box::new(self.newest_events().skip_while(move |(event, _)| event.is_newer_than(anchor)))
    }

    /// Returns the events of a session, and the events without a session (such as failing polls) that its profile had
    /// while the session ran, from the newest to the oldest. The iterator is empty if the session is not on record.
    pub fn newest_events_of<'f>(
        &'f self,
        id: &SessionId,
    ) -> impl Iterator<Item = (EventRef, &'f Event)> + use<'f> {
        let found = self.find(id).map(|(profile, _)| (profile, self.get(profile).tracker.newest_events(id)));
        found
            .into_iter()
            .flat_map(|(profile, events)| events.map(move |(seq, event)| (EventRef { profile, seq }, event)))
    }

    /// Returns the number of elements that could not be decoded as sessions, in the newest lists of all profiles.
    #[must_use]
    pub fn malformed(&self) -> u32 {
        self.states.iter().fold(0, |sum, profile| sum.saturating_add(profile.tracker.health().malformed))
    }

    /// Returns the number and the total run time of sessions that ran for less than a minute.
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
