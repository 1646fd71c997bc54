//! The rows of the session table, in order, with counts over all sessions. The first rows are pinned: sessions with
//! unacknowledged alerts, the most urgent first. They are built when the data or the user's
//! choices (filter, sort order, muted sessions) change, never while drawing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use super::acknowledged::AcknowledgedAlerts;
use super::mute::MutedSessions;
use super::profiles::{ProfileId, Profiles};
use chrono::TimeDelta;
use keepwatch_core::filter::{Filter, FilterRow};

use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Phase, Region, SessionId, Status};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::{ChangeCounters, Record, SessionTracker, Severity};

/// A column to sort by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortColumn {
    /// By expiry, the earliest first. Ended sessions come last, those that ended most recently first.
    #[default]
    TimeLeft,
    /// By the name of the status.
    Status,
    /// By the id.
    Session,
    /// By the name of the profile.
    Profile,
    /// By the owner.
    Owner,
    /// By the region.
    Region,
    /// By age, the youngest first.
    Age,
    /// By proxy bytes, the largest number first.
    Proxy,
}

impl SortColumn {
    /// Returns the next column to sort by, in the order of the columns on the screen. Skips the profile column unless
    /// there are several profiles.
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

    /// Returns the name of the column for use in a sentence.
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
    /// The column to sort by.
    pub column: SortColumn,
    /// True if the order is reversed.
    pub reversed: bool,
}

/// The number of sessions of each status, including sessions without a row.
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
    /// Sessions with a status that this version does not know.
    pub other: usize,
    /// Sessions that the API does not find, and whose end we never saw. They do not count under their last known
    /// status.
    pub not_found: usize,
    /// Sessions without a status, because no response has contained them yet.
    pub no_response: usize,
    /// Sessions of any status with an unacknowledged alert. Muted sessions do not count.
    pub with_alerts: usize,
    /// Muted sessions of any status.
    pub muted: usize,
}

impl StatusCounts {
    /// Returns the number of all sessions. `with_alerts` and `muted` are not added, because their sessions are already
    /// counted in the other fields.
    #[must_use]
    pub fn total(&self) -> usize {
        let ended = self.completed.saturating_add(self.timed_out).saturating_add(self.error);
        let others = self.other.saturating_add(self.not_found).saturating_add(self.no_response);
        self.running.saturating_add(self.pending).saturating_add(ended).saturating_add(others)
    }
}

/// The criteria that decide which sessions have a row.
#[derive(Clone, Copy, Debug)]
pub struct RowCriteria<'a> {
    /// The filter that a session must match.
    pub filter: &'a Filter,
    /// True if only sessions with unacknowledged alerts have a row.
    pub alerts_only: bool,
    /// The muted sessions, which have no row.
    pub muted: &'a MutedSessions,
    /// The acknowledged alerts.
    pub acknowledged: &'a AcknowledgedAlerts,
    /// The session with open details. It has a row even if it does not meet the other criteria.
    pub with_details: Option<&'a SessionId>,
    /// The maximum number of sessions with unacknowledged alerts that are pinned above the other rows.
    pub max_pinned: usize,
}

/// The use of a project's slots by the sessions of one profile, including sessions without a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotUsage {
    /// The number of sessions that run or are pending.
    pub used: usize,
    /// The earliest expiry of these sessions, and the session that expires then.
    pub next_expiry: Option<(Timestamp, SessionId)>,
}

/// The rows of the table, in order.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    rows: Vec<SessionId>,
    /// The number of pinned rows: the first rows, whose sessions have unacknowledged alerts.
    pinned: usize,
    /// The further rows with unacknowledged alerts, which are in their usual place, in ascending order.
    unpinned_alerts: Vec<usize>,
    counts: StatusCounts,
    /// The slots that the sessions of each profile use. Empty before the rows are built.
    slot_usage: BTreeMap<ProfileId, SlotUsage>,
    /// The change counters of the data that the rows were built from.
    built_from: ChangeCounters,
}

impl Rows {
    /// Builds the rows: the sessions of `profiles` that meet `criteria`, sorted.
    #[must_use]
    pub fn build(profiles: &Profiles, sort: Sort, criteria: &RowCriteria<'_>) -> Self {
        let mut counts = StatusCounts::default();
        // For each row: the sort key, the first bytes of the id, and the id.
        let mut shown: Vec<(SortKey<'_>, u64, &SessionId)> =
            Vec::with_capacity(profiles.first().tracker.len());
        // The sessions with unacknowledged alerts that have a row: the urgency, the time of the newest alert, and the id.
        let mut alerted: Vec<(Reverse<Severity>, Reverse<Timestamp>, &SessionId)> = Vec::new();
        let mut slot_usage = BTreeMap::new();
        for (profile, state) in profiles.iter() {
            let label = profiles.label(profile).unwrap_or_default();
            let clock_offset = profiles.clock_offset(profile);
            let (mut used, mut next_expiry) = (0_usize, None);
            for record in state.tracker.records() {
                // A session uses a slot of this profile's project even if another profile owns its row.
                if uses_slot(record) {
                    used = used.saturating_add(1);
                    next_expiry = earlier_expiry(next_expiry, record);
                }
                if !profiles.owns(profile, &record.id) {
                    continue;
                }
                count_status(&mut counts, record);
                let is_muted = criteria.muted.contains(&record.id);
                counts.muted = counts.muted.saturating_add(usize::from(is_muted));
                let has_alerts = !is_muted
                    && !record.alerts.is_empty()
                    && criteria.acknowledged.has_unacknowledged(profile, record);
                counts.with_alerts = counts.with_alerts.saturating_add(usize::from(has_alerts));
                let meets_criteria = !is_muted
                    && (has_alerts || !criteria.alerts_only)
                    && criteria.filter.matches(&FilterRow(record, label));
                if has_alerts && meets_criteria {
                    alerted.extend(alert_rank(&state.tracker, record).map(|(severity, at)| {
                        let at = at.checked_sub_signed(clock_offset).unwrap_or(at);
                        (Reverse(severity), Reverse(at), &record.id)
                    }));
                }
                if meets_criteria || criteria.with_details == Some(&record.id) {
                    shown.push((
                        sort_key(record, label, clock_offset, sort.column),
                        first_eight_bytes(&record.id),
                        &record.id,
                    ));
                }
            }
            let next_expiry = next_expiry.map(|(at, id)| (at, id.clone()));
            slot_usage.insert(profile, SlotUsage { used, next_expiry });
        }
        shown.sort_unstable_by(|(a_key, a_bytes, a_id), (b_key, b_bytes, b_id)| {
            let order = if sort.reversed { b_key.cmp(a_key) } else { a_key.cmp(b_key) };
            // Rows with equal keys are sorted by id, in ascending order even if reversed, so that they never jump.
            order.then(a_bytes.cmp(b_bytes)).then_with(|| a_id.cmp(b_id))
        });
        alerted.sort_unstable();
        let mut pinned: Vec<&SessionId> = alerted.into_iter().map(|(_, _, id)| id).collect();
        let unpinned = pinned.split_off(criteria.max_pinned.min(pinned.len()));
        let unpinned: HashSet<&SessionId> = unpinned.into_iter().collect();
        let pinned_set: HashSet<&SessionId> = pinned.iter().copied().collect();
        let others = shown.into_iter().map(|(_, _, id)| id).filter(|id| !pinned_set.contains(id));
        let rows: Vec<SessionId> = pinned.iter().copied().chain(others).cloned().collect();
        let rows_with_numbers = rows.iter().enumerate().filter(|_| !unpinned.is_empty());
        let unpinned_alerts =
            rows_with_numbers.filter(|(_, id)| unpinned.contains(id)).map(|(row, _)| row).collect();
        Self {
            rows,
            pinned: pinned.len(),
            unpinned_alerts,
            counts,
            slot_usage,
            built_from: profiles.changes(),
        }
    }

    /// Returns true if a rebuild would give the same rows. Expects that the order and the criteria have not changed
    /// since the last build.
    #[must_use]
    pub fn is_up_to_date(&self, profiles: &Profiles, sort: Sort) -> bool {
        // If nothing but proxy bytes has changed, rows can move only if the table is sorted by proxy bytes.
        let ChangeCounters { sessions, bytes } = profiles.changes();
        self.built_from.sessions == sessions
            && (self.built_from.bytes == bytes || sort.column != SortColumn::Proxy)
    }

    /// Returns the session in a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&SessionId> {
        self.rows.get(row)
    }

    /// Returns the row of a session.
    #[must_use]
    pub fn row_of(&self, id: &SessionId) -> Option<usize> {
        self.rows.iter().position(|row| row == id)
    }

    /// Returns the sessions in the `count` rows from row `top` on.
    pub fn visible(&self, top: usize, count: usize) -> impl Iterator<Item = &SessionId> {
        self.rows.iter().skip(top).take(count)
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the number of pinned rows. They are the first rows, the most urgent alert first.
    #[must_use]
    pub fn pinned(&self) -> usize {
        self.pinned
    }

    /// Returns the number of rows with unacknowledged alerts that are not pinned, because there are too many.
    #[must_use]
    pub fn unpinned_alerts(&self) -> usize {
        self.unpinned_alerts.len()
    }

    /// Returns the number of rows with unacknowledged alerts that are not pinned and not among the `count` rows from row
    /// `top` on.
    #[must_use]
    pub fn alerts_out_of_view(&self, top: usize, count: usize) -> usize {
        let before = |row: usize| self.unpinned_alerts.partition_point(|alert_row| *alert_row < row);
        let in_view = before(top.saturating_add(count)).saturating_sub(before(top));
        self.unpinned_alerts.len().saturating_sub(in_view)
    }

    /// Returns true if there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the slots that a profile's sessions use, or `None` before the rows are built.
    #[must_use]
    pub fn slot_usage(&self, profile: ProfileId) -> Option<&SlotUsage> {
        self.slot_usage.get(&profile)
    }

    /// Returns the number of sessions of each status, including sessions without a row.
    #[must_use]
    pub fn counts(&self) -> &StatusCounts {
        &self.counts
    }
}

/// Returns the highest urgency of the record's alerts, and the time of the newest alert.
fn alert_rank(tracker: &SessionTracker, record: &Record) -> Option<(Severity, Timestamp)> {
    let thresholds = tracker.thresholds_of(record);
    let severity = record.alerts.iter().map(|raised| raised.alert.severity(thresholds)).max()?;
    Some((severity, record.alerts.iter().map(|raised| raised.at).max()?))
}

fn uses_slot(record: &Record) -> bool {
    matches!(record.status(), Some(Status::Running | Status::Pending)) && !record.is_not_found()
}

/// Returns the earlier of two expiries, each with its session: `earliest`, or the expiry of the record's session.
fn earlier_expiry<'r>(
    earliest: Option<(Timestamp, &'r SessionId)>,
    record: &'r Record,
) -> Option<(Timestamp, &'r SessionId)> {
    let expires = record.session.as_ref().and_then(|session| session.expires);
    expires.map(|expires| (expires, &record.id)).into_iter().chain(earliest).min()
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

/// Returns the first eight bytes of an id as a number. The numbers sort like these bytes. Most ids differ in these
/// bytes, so a sort rarely reads the ids on the heap.
fn first_eight_bytes(id: &SessionId) -> u64 {
    let mut bytes = [0; 8];
    for (target, byte) in bytes.iter_mut().zip(id.raw().bytes()) {
        *target = byte;
    }
    u64::from_be_bytes(bytes)
}

/// The sort key of a row. It does not depend on the current time: a countdown is sorted by its end time. The keys of
/// all rows of a table are of the same variant.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortKey<'a> {
    /// The number of the group ([`time_left_key`]), and a number that orders the group: a time in microseconds, negated
    /// if the latest time comes first.
    TimeLeft(u8, i64),
    /// True if the row has no text, and the text. Rows without text come last.
    Text(bool, Option<&'a str>),
    /// A time. The newest comes first, and rows without a time last.
    Newest(Reverse<Option<Timestamp>>),
    /// A number. The largest comes first, and rows without a number last.
    Largest(Reverse<Option<i64>>),
}

/// Returns the sort key of a row. Times of different profiles are compared on the clock of the first profile's server.
/// The server clock of the record's profile is ahead of that clock by `clock_offset`.
fn sort_key<'a>(
    record: &'a Record,
    label: &'a str,
    clock_offset: TimeDelta,
    column: SortColumn,
) -> SortKey<'a> {
    let session = record.session.as_ref();
    let started_or_created = || session.and_then(|session| session.started.or(session.created));
    match column {
        SortColumn::TimeLeft => time_left_key(record, clock_offset),
        SortColumn::Status => text_key(session.map(|session| session.status.raw())),
        SortColumn::Session => text_key(Some(record.id.raw())),
        SortColumn::Profile => text_key(Some(label)),
        SortColumn::Owner => text_key(record.owner.as_ref().map(Untrusted::raw)),
        SortColumn::Region => text_key(session.and_then(|session| session.region.as_ref()).map(Region::raw)),
        SortColumn::Age => {
            SortKey::Newest(Reverse(started_or_created().and_then(|at| at.checked_sub_signed(clock_offset))))
        }
        SortColumn::Proxy => SortKey::Largest(Reverse(session.and_then(|session| session.proxy_bytes))),
    }
}

fn text_key(text: Option<&str>) -> SortKey<'_> {
    SortKey::Text(text.is_none(), text)
}

/// Returns the sort key of the time left. The groups are:
///
/// - 0: sessions with a known expiry, the earliest first. Pending sessions are here only if they are overdue.
/// - 1: sessions that are pending or have no known expiry
/// - 2: sessions that were not found, or have no response yet
/// - 3: final sessions, those that ended most recently first, those without an end time last
fn time_left_key(record: &Record, clock_offset: TimeDelta) -> SortKey<'static> {
    let micros = |at: Timestamp| at.checked_sub_signed(clock_offset).unwrap_or(at).timestamp_micros();
    if record.is_final() {
        let ended = record.ended_at().map(micros);
        return SortKey::TimeLeft(3, ended.map_or(i64::MAX, |at| at.saturating_neg()));
    }
    let session = record.session.as_ref().filter(|_| !record.is_not_found());
    let Some(session) = session else { return SortKey::TimeLeft(2, 0) };
    match session.expires.filter(|_| session.status != Status::Pending || record.is_overdue()) {
        Some(expires) => SortKey::TimeLeft(0, micros(expires)),
        None => SortKey::TimeLeft(1, 0),
    }
}

#[cfg(test)]
mod tests;
