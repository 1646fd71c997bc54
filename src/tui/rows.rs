//! Which sessions are shown, and in which order. Worked out when data or wishes change, never while drawing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::flags::KnownFlags;
use super::mute::Muted;
use super::profiles::{ProfileId, Profiles};
use chrono::TimeDelta;
use keepwatch_core::filter::{Filter, FilterRow};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Phase, Region, SessionId, Status};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{ChangeCounters, Record};

/// A column to sort by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// What ends next comes first; what has ended, last, the newest end first.
    #[default]
    Left,
    /// By the status' name.
    Status,
    /// By the id.
    Session,
    /// By the profile's name.
    Profile,
    /// By whose it is.
    Owner,
    /// By the region.
    Region,
    /// The youngest first.
    Age,
    /// The most bytes first.
    Proxy,
}

impl SortBy {
    /// The column after this one, in the order of the screen. Only several profiles have a column for their names.
    #[must_use]
    pub fn next(self, is_multi_profile: bool) -> Self {
        match self {
            Self::Left => Self::Proxy,
            Self::Proxy => Self::Status,
            Self::Status => Self::Session,
            Self::Session if is_multi_profile => Self::Profile,
            Self::Session | Self::Profile => Self::Owner,
            Self::Owner => Self::Region,
            Self::Region => Self::Age,
            Self::Age => Self::Left,
        }
    }

    /// What it is called in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "time left",
            Self::Status => "status",
            Self::Session => "session",
            Self::Profile => "profile",
            Self::Owner => "owner",
            Self::Region => "region",
            Self::Age => "age",
            Self::Proxy => "proxy bytes",
        }
    }
}

/// The order of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// By which column.
    pub by: SortBy,
    /// The other way round.
    pub reversed: bool,
}

/// How many sessions there are of each status, whether shown or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `RUNNING`
    pub running: usize,
    /// `PENDING`
    pub pending: usize,
    /// `COMPLETED`
    pub completed: usize,
    /// `TIMED_OUT`
    pub timed_out: usize,
    /// `ERROR`
    pub error: usize,
    /// A status that is not known.
    pub other: usize,
    /// A session that the API does not know, and of whose end nothing is known either.
    pub absent: usize,
    /// None yet: no reply about it came.
    pub waiting: usize,
    /// Of all of them, those with a flag that the reader does not know of.
    pub flagged: usize,
    /// Of all of them, those that are muted.
    pub muted: usize,
}

impl Counts {
    /// How many sessions in all.
    #[must_use]
    pub fn all(&self) -> usize {
        let ended = self.completed.saturating_add(self.timed_out).saturating_add(self.error);
        let others = self.other.saturating_add(self.absent).saturating_add(self.waiting);
        self.running.saturating_add(self.pending).saturating_add(ended).saturating_add(others)
    }
}

/// Which sessions the table shows.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// What each must have.
    pub filter: &'a Filter,
    /// Only those with flags that are not known.
    pub flagged_only: bool,
    /// Those that are hidden.
    pub muted: &'a Muted,
    /// The flags that are.
    pub known: &'a KnownFlags,
    /// The one that is being read, which stays while it is.
    pub read: Option<&'a SessionId>,
}

/// The sessions of a profile that take slots of its project, whether they have a row or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotUsage {
    /// The number of sessions that run or are pending.
    pub taken: usize,
    /// The first of them to expire, and when.
    pub next_end: Option<(Timestamp, SessionId)>,
}

/// The rows of the table, in order.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    rows: Vec<SessionId>,
    counts: Counts,
    /// Empty before the rows are built.
    slot_usage: BTreeMap<ProfileId, SlotUsage>,
    /// What they are the rows of.
    of: ChangeCounters,
}

impl Rows {
    /// Returns the chosen sessions of `profiles`, sorted.
    #[must_use]
    pub fn of(profiles: &Profiles, sort: Sort, choice: &Choice<'_>) -> Self {
        let mut counts = Counts::default();
        let mut chosen: Vec<(Key<'_>, u64, &SessionId)> = Vec::with_capacity(profiles.first().tracker.len());
        let mut slot_usage = BTreeMap::new();
        for (profile, state) in profiles.iter() {
            let label = profiles.label(profile).unwrap_or_default();
            let clock_offset = profiles.clock_offset(profile);
            let (mut taken, mut next_end) = (0_usize, None);
            for record in state.tracker.records() {
                // It takes a slot of its project even if another profile owns it.
                if takes_slot(record) {
                    taken = taken.saturating_add(1);
                    next_end = sooner(next_end, record);
                }
                if !profiles.owns(profile, &record.id) {
                    continue;
                }
                count(&mut counts, record);
                let muted = choice.muted.has(&record.id);
                counts.muted = counts.muted.saturating_add(usize::from(muted));
                let flagged = !muted && !record.alerts.is_empty() && choice.known.has_news(profile, record);
                counts.flagged = counts.flagged.saturating_add(usize::from(flagged));
                let wanted = !muted
                    && (flagged || !choice.flagged_only)
                    && choice.filter.matches(&FilterRow(record, label));
                if wanted || choice.read == Some(&record.id) {
                    chosen.push((key(record, label, clock_offset, sort.by), start(&record.id), &record.id));
                }
            }
            let next_end = next_end.map(|(at, id)| (at, id.clone()));
            slot_usage.insert(profile, SlotUsage { taken, next_end });
        }
        chosen.sort_unstable_by(|(a_key, a_start, a), (b_key, b_start, b)| {
            let order = if sort.reversed { b_key.cmp(a_key) } else { a_key.cmp(b_key) };
            // Ties stay where they are: rows never jump.
            order.then(a_start.cmp(b_start)).then_with(|| a.cmp(b))
        });
        let rows = chosen.into_iter().map(|(_, _, id)| id.clone()).collect();
        Self { rows, counts, slot_usage, of: profiles.changes() }
    }

    /// Whether they would still be the same, but for the reader's wishes.
    #[must_use]
    pub fn are_of(&self, profiles: &Profiles, sort: Sort) -> bool {
        let ChangeCounters { sessions, bytes } = profiles.changes();
        self.of.sessions == sessions && (self.of.bytes == bytes || sort.by != SortBy::Proxy)
    }

    /// The session in the row at `place`.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&SessionId> {
        self.rows.get(place)
    }

    /// In which row a session stands.
    #[must_use]
    pub fn place(&self, id: &SessionId) -> Option<usize> {
        self.rows.iter().position(|row| row == id)
    }

    /// The sessions of `count` rows from `top` on.
    pub fn window(&self, top: usize, count: usize) -> impl Iterator<Item = &SessionId> {
        self.rows.iter().skip(top).take(count)
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The slots that a profile's sessions take; `None` before the rows are built.
    #[must_use]
    pub fn slot_usage(&self, profile: ProfileId) -> Option<&SlotUsage> {
        self.slot_usage.get(&profile)
    }

    /// How many sessions of each status there are, shown or not.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

fn takes_slot(record: &Record) -> bool {
    matches!(record.status(), Some(Status::Running | Status::Pending)) && !record.is_not_found()
}

/// The end that comes first: the one so far, or that of this session.
fn sooner<'r>(
    soonest: Option<(Timestamp, &'r SessionId)>,
    record: &'r Record,
) -> Option<(Timestamp, &'r SessionId)> {
    let expires = record.session.as_ref().and_then(|session| session.expires);
    expires.map(|expires| (expires, &record.id)).into_iter().chain(soonest).min()
}

fn count(counts: &mut Counts, record: &Record) {
    let known = record.status().filter(|_| !record.is_not_found() || record.phase() == Phase::Ended);
    let place = match known {
        Some(Status::Running) => &mut counts.running,
        Some(Status::Pending) => &mut counts.pending,
        Some(Status::Completed) => &mut counts.completed,
        Some(Status::TimedOut) => &mut counts.timed_out,
        Some(Status::Error) => &mut counts.error,
        Some(Status::Other(_)) => &mut counts.other,
        None if record.is_not_found() => &mut counts.absent,
        None => &mut counts.waiting,
    };
    *place = place.saturating_add(1);
}

/// The first eight bytes of an id as a number, which is ordered as the ids are, and needs no look at them.
fn start(id: &SessionId) -> u64 {
    let mut start = [0; 8];
    for (to, from) in start.iter_mut().zip(id.raw().bytes()) {
        *to = from;
    }
    u64::from_be_bytes(start)
}

/// What a row is sorted by. What does not depend on the time of day: the order of a countdown is that of its end. All
/// keys of a table are of one kind.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    /// The group, and the time in microseconds.
    Left(u8, i64),
    /// What has no text comes last.
    Text(bool, Option<&'a str>),
    Newest(Reverse<Option<Timestamp>>),
    Most(Reverse<Option<i64>>),
}

/// Returns the sort key of a row. All times are compared on the screen's clock: `clock_offset` is how far the clock of the
/// record's server is ahead of it.
fn key<'a>(record: &'a Record, label: &'a str, clock_offset: TimeDelta, by: SortBy) -> Key<'a> {
    let session = record.session.as_ref();
    let began = || session.and_then(|session| session.started.or(session.created));
    match by {
        SortBy::Left => left(record, clock_offset),
        SortBy::Status => worded(session.map(|session| session.status.raw())),
        SortBy::Session => worded(Some(record.id.raw())),
        SortBy::Profile => worded(Some(label)),
        SortBy::Owner => worded(record.owner.as_ref().map(Untrusted::raw)),
        SortBy::Region => worded(session.and_then(|session| session.region.as_ref()).map(Region::raw)),
        SortBy::Age => Key::Newest(Reverse(began().and_then(|at| at.checked_sub_signed(clock_offset)))),
        SortBy::Proxy => Key::Most(Reverse(session.and_then(|session| session.proxy_bytes))),
    }
}

fn worded(text: Option<&str>) -> Key<'_> {
    Key::Text(text.is_none(), text)
}

/// What lives, by its expiry; what does not say when; what is not known; what is over, the newest end first.
fn left(record: &Record, clock_offset: TimeDelta) -> Key<'static> {
    let micros = |at: Timestamp| at.checked_sub_signed(clock_offset).unwrap_or(at).timestamp_micros();
    if record.is_final() {
        let ended = record.ended_at().map(micros);
        return Key::Left(3, ended.map_or(i64::MAX, |at| at.saturating_neg()));
    }
    let session = record.session.as_ref().filter(|_| !record.is_not_found());
    let Some(session) = session else { return Key::Left(2, 0) };
    match session.expires.filter(|_| session.status != Status::Pending) {
        Some(expires) => Key::Left(0, micros(expires)),
        None => Key::Left(1, 0),
    }
}

#[cfg(test)]
mod tests;
