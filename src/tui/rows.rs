//! Which sessions are shown, and in which order. Worked out when data or wishes change, never while drawing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::acknowledged::AcknowledgedAlerts;
use super::mute::MutedSessions;
use super::profiles::{ProfileId, Profiles};
use chrono::TimeDelta;
use keepwatch_core::filter::{Filter, FilterRow};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Phase, Region, SessionId, Status};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{ChangeCounters, Record};

/// A column to sort by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortColumn {
    /// What ends next comes first; what has ended, last, the newest end first.
    #[default]
    TimeLeft,
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

impl SortColumn {
    /// The column after this one, in the order of the screen. Only several profiles have a column for their names.
    #[must_use]
    pub fn next(self, is_multi_profile: bool) -> Self {
        match self {
            Self::TimeLeft => Self::Proxy,
            Self::Proxy => Self::Status,
            Self::Status => Self::Session,
            Self::Session if is_multi_profile => Self::Profile,
            Self::Session | Self::Profile => Self::Owner,
            Self::Owner => Self::Region,
            Self::Region => Self::Age,
            Self::Age => Self::TimeLeft,
        }
    }

    /// What it is called in a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TimeLeft => "time left",
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
    pub column: SortColumn,
    /// The other way round.
    pub reversed: bool,
}

/// How many sessions there are of each status, whether shown or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusCounts {
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
    pub not_found: usize,
    /// None yet: no reply about it came.
    pub no_response: usize,
    /// Of all of them, those with a flag that the reader does not know of.
    pub with_alerts: usize,
    /// Of all of them, those that are muted.
    pub muted: usize,
}

impl StatusCounts {
    /// How many sessions in all.
    #[must_use]
    pub fn total(&self) -> usize {
        let ended = self.completed.saturating_add(self.timed_out).saturating_add(self.error);
        let others = self.other.saturating_add(self.not_found).saturating_add(self.no_response);
        self.running.saturating_add(self.pending).saturating_add(ended).saturating_add(others)
    }
}

/// Which sessions the table shows.
#[derive(Clone, Copy, Debug)]
pub struct RowCriteria<'a> {
    /// What each must have.
    pub filter: &'a Filter,
    /// Only those with flags that are not known.
    pub alerts_only: bool,
    /// Those that are hidden.
    pub muted: &'a MutedSessions,
    /// The flags that are.
    pub acknowledged: &'a AcknowledgedAlerts,
    /// The one that is being read, which stays while it is.
    pub pinned: Option<&'a SessionId>,
}

/// The sessions of a profile that take slots of its project, whether they have a row or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotUsage {
    /// The number of sessions that run or are pending.
    pub used: usize,
    /// The first of them to expire, and when.
    pub next_expiry: Option<(Timestamp, SessionId)>,
}

/// The rows of the table, in order.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    rows: Vec<SessionId>,
    counts: StatusCounts,
    /// Empty before the rows are built.
    slot_usage: BTreeMap<ProfileId, SlotUsage>,
    /// What they are the rows of.
    built_from: ChangeCounters,
}

impl Rows {
    /// Returns the chosen sessions of `profiles`, sorted.
    #[must_use]
    pub fn build(profiles: &Profiles, sort: Sort, criteria: &RowCriteria<'_>) -> Self {
        let mut counts = StatusCounts::default();
        let mut shown: Vec<(SortKey<'_>, u64, &SessionId)> =
            Vec::with_capacity(profiles.first().tracker.len());
        let mut slot_usage = BTreeMap::new();
        for (profile, state) in profiles.iter() {
            let label = profiles.label(profile).unwrap_or_default();
            let clock_offset = profiles.clock_offset(profile);
            let (mut used, mut next_expiry) = (0_usize, None);
            for record in state.tracker.records() {
                // It takes a slot of its project even if another profile owns it.
                if uses_slot(record) {
                    used = used.saturating_add(1);
                    next_expiry = earlier_expiry(next_expiry, record);
                }
                if !profiles.owns(profile, &record.id) {
                    continue;
                }
                count_status(&mut counts, record);
                let muted = criteria.muted.contains(&record.id);
                counts.muted = counts.muted.saturating_add(usize::from(muted));
                let has_alerts = !muted
                    && !record.alerts.is_empty()
                    && criteria.acknowledged.has_unacknowledged(profile, record);
                counts.with_alerts = counts.with_alerts.saturating_add(usize::from(has_alerts));
                let is_wanted = !muted
                    && (has_alerts || !criteria.alerts_only)
                    && criteria.filter.matches(&FilterRow(record, label));
                if is_wanted || criteria.pinned == Some(&record.id) {
                    shown.push((
                        sort_key(record, label, clock_offset, sort.column),
                        id_prefix(&record.id),
                        &record.id,
                    ));
                }
            }
            let next_end = next_expiry.map(|(at, id)| (at, id.clone()));
            slot_usage.insert(profile, SlotUsage { used, next_expiry: next_end });
        }
        shown.sort_unstable_by(|(a_key, a_start, a), (b_key, b_start, b)| {
            let order = if sort.reversed { b_key.cmp(a_key) } else { a_key.cmp(b_key) };
            // Ties stay where they are: rows never jump.
            order.then(a_start.cmp(b_start)).then_with(|| a.cmp(b))
        });
        let rows = shown.into_iter().map(|(_, _, id)| id.clone()).collect();
        Self { rows, counts, slot_usage, built_from: profiles.changes() }
    }

    /// Whether they would still be the same, but for the reader's wishes.
    #[must_use]
    pub fn is_up_to_date(&self, profiles: &Profiles, sort: Sort) -> bool {
        let ChangeCounters { sessions, bytes } = profiles.changes();
        self.built_from.sessions == sessions
            && (self.built_from.bytes == bytes || sort.column != SortColumn::Proxy)
    }

    /// The session in the row at `place`.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&SessionId> {
        self.rows.get(row)
    }

    /// In which row a session stands.
    #[must_use]
    pub fn row_of(&self, id: &SessionId) -> Option<usize> {
        self.rows.iter().position(|row| row == id)
    }

    /// The sessions of `count` rows from `top` on.
    pub fn visible(&self, top: usize, count: usize) -> impl Iterator<Item = &SessionId> {
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
    pub fn counts(&self) -> &StatusCounts {
        &self.counts
    }
}

fn uses_slot(record: &Record) -> bool {
    matches!(record.status(), Some(Status::Running | Status::Pending)) && !record.is_not_found()
}

/// The end that comes first: the one so far, or that of this session.
fn earlier_expiry<'r>(
    soonest: Option<(Timestamp, &'r SessionId)>,
    record: &'r Record,
) -> Option<(Timestamp, &'r SessionId)> {
    let expires = record.session.as_ref().and_then(|session| session.expires);
    expires.map(|expires| (expires, &record.id)).into_iter().chain(soonest).min()
}

fn count_status(counts: &mut StatusCounts, record: &Record) {
    let status = record.status().filter(|_| !record.is_not_found() || record.phase() == Phase::Ended);
    let counter = match status {
        Some(Status::Running) => &mut counts.running,
        Some(Status::Pending) => &mut counts.pending,
        Some(Status::Completed) => &mut counts.completed,
        Some(Status::TimedOut) => &mut counts.timed_out,
        Some(Status::Error) => &mut counts.error,
        Some(Status::Other(_)) => &mut counts.other,
        None if record.is_not_found() => &mut counts.not_found,
        None => &mut counts.no_response,
    };
    *counter = counter.saturating_add(1);
}

/// The first eight bytes of an id as a number, which is ordered as the ids are, and needs no look at them.
fn id_prefix(id: &SessionId) -> u64 {
    let mut start = [0; 8];
    for (to, from) in start.iter_mut().zip(id.raw().bytes()) {
        *to = from;
    }
    u64::from_be_bytes(start)
}

/// What a row is sorted by. What does not depend on the time of day: the order of a countdown is that of its end. All
/// keys of a table are of one kind.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortKey<'a> {
    /// The group, and the time in microseconds.
    TimeLeft(u8, i64),
    /// What has no text comes last.
    Text(bool, Option<&'a str>),
    Newest(Reverse<Option<Timestamp>>),
    Largest(Reverse<Option<i64>>),
}

/// Returns the sort key of a row. All times are compared on the screen's clock: `clock_offset` is how far the clock of the
/// record's server is ahead of it.
fn sort_key<'a>(
    record: &'a Record,
    label: &'a str,
    clock_offset: TimeDelta,
    column: SortColumn,
) -> SortKey<'a> {
    let session = record.session.as_ref();
    let began = || session.and_then(|session| session.started.or(session.created));
    match column {
        SortColumn::TimeLeft => time_left_key(record, clock_offset),
        SortColumn::Status => text_key(session.map(|session| session.status.raw())),
        SortColumn::Session => text_key(Some(record.id.raw())),
        SortColumn::Profile => text_key(Some(label)),
        SortColumn::Owner => text_key(record.owner.as_ref().map(Untrusted::raw)),
        SortColumn::Region => text_key(session.and_then(|session| session.region.as_ref()).map(Region::raw)),
        SortColumn::Age => {
            SortKey::Newest(Reverse(began().and_then(|at| at.checked_sub_signed(clock_offset))))
        }
        SortColumn::Proxy => SortKey::Largest(Reverse(session.and_then(|session| session.proxy_bytes))),
    }
}

fn text_key(text: Option<&str>) -> SortKey<'_> {
    SortKey::Text(text.is_none(), text)
}

/// What lives, by its expiry; what does not say when; what is not known; what is over, the newest end first.
fn time_left_key(record: &Record, clock_offset: TimeDelta) -> SortKey<'static> {
    let micros = |at: Timestamp| at.checked_sub_signed(clock_offset).unwrap_or(at).timestamp_micros();
    if record.is_final() {
        let ended = record.ended_at().map(micros);
        return SortKey::TimeLeft(3, ended.map_or(i64::MAX, |at| at.saturating_neg()));
    }
    let session = record.session.as_ref().filter(|_| !record.is_not_found());
    let Some(session) = session else { return SortKey::TimeLeft(2, 0) };
    match session.expires.filter(|_| session.status != Status::Pending) {
        Some(expires) => SortKey::TimeLeft(0, micros(expires)),
        None => SortKey::TimeLeft(1, 0),
    }
}

#[cfg(test)]
mod tests;
