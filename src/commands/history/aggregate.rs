//! Merges the journal's rows, and sums the sessions by day and owner. Pure.
//!
//! The journal has one row for each session and run. The rows of one session become one [`MergedSession`]. The API's
//! fields come from the run that saw the session last. The watched time is the sum over all runs, but never longer
//! than:
//!
//! - the union of the intervals in which the runs saw the session, so that two runs at the same time count once;
//! - the session's running time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::HistoryOptions;
use crate::store::journal::SessionSummary;
use keepwatch_core::clock::Timestamp;
use keepwatch_core::filter::FilterTarget;
use keepwatch_core::session::{Metadata, Region, SessionId, Status};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::cost::{Rates, billed_minutes};

/// One session, merged from all runs that saw it.
#[derive(Debug)]
pub(super) struct MergedSession {
    /// The row of the run that saw the session last.
    pub(super) newest: SessionSummary,
    /// The time of the first response about the session, to any run.
    pub(super) first_seen: Timestamp,
    /// The number of responses about the session, to all runs.
    pub(super) responses: u64,
    /// The number of runs that saw the session.
    pub(super) runs: usize,
    /// The time in which at least one run watched the session.
    pub(super) watched_time: Duration,
}

/// The sessions of one owner that started on one day.
#[derive(Debug)]
pub(super) struct DailyTotals {
    /// The day, as `2026-11-22`.
    pub(super) day: String,
    /// The owner, if the metadata names one.
    pub(super) owner: Option<Untrusted>,
    /// The number of sessions.
    pub(super) session_count: usize,
    /// The sum of the sessions' known running times.
    pub(super) running_time: Duration,
    /// The sum of the watched times of the sessions with a known running time.
    pub(super) watched_time: Duration,
    /// The sum of the sessions' proxy bytes.
    pub(super) proxy_bytes: i64,
    /// The sum of the sessions' estimated costs in dollars.
    pub(super) cost: f64,
}

impl MergedSession {
    /// Merges `rows`, which may be in any order. Of the returned sessions, the one that started last comes first.
    pub(super) fn merge_all(rows: Vec<SessionSummary>) -> Vec<Self> {
        // Ids are unique only within a host: the simulator uses the same ids in each run.
        let mut by_session: BTreeMap<(SessionId, String), Vec<SessionSummary>> = BTreeMap::new();
        for row in rows {
            by_session.entry((row.session.clone(), row.host.clone())).or_default().push(row);
        }
        let mut sessions: Vec<Self> = by_session.into_values().filter_map(Self::merge).collect();
        sessions.sort_by(|one, other| {
            (other.start_time(), &other.newest.session).cmp(&(one.start_time(), &one.newest.session))
        });
        sessions
    }

    /// Merges the rows of one session. Returns `None` if there are none.
    fn merge(mut rows: Vec<SessionSummary>) -> Option<Self> {
        rows.sort_by_key(|row| row.first_seen);
        let newest_index =
            rows.iter().enumerate().max_by_key(|(_, row)| row.last_seen).map(|(index, _)| index)?;
        let watched = rows.iter().fold(Duration::ZERO, |sum, row| sum.saturating_add(row.watched));
        let mut session = Self {
            first_seen: rows.first()?.first_seen,
            responses: rows.iter().fold(0, |sum, row| sum.saturating_add(row.responses)),
            runs: rows.len(),
            watched_time: watched.min(observed_time(&rows)),
            newest: rows.swap_remove(newest_index),
        };
        if let Some(running_time) = session.running_time() {
            session.watched_time = session.watched_time.min(running_time);
        }
        Some(session)
    }

    /// Returns when the session started, else when it was created, else when it was first seen.
    pub(super) fn start_time(&self) -> Timestamp {
        self.newest.started.or(self.newest.created).unwrap_or(self.first_seen)
    }

    /// Returns true if the session had not ended when it was last seen, so that it may have run longer.
    pub(super) fn was_running(&self) -> bool {
        self.newest.ended.is_none() && !self.newest.status.as_ref().is_some_and(Status::is_final)
    }

    /// Returns the time from the start, or else the creation, to the end. For a session that was running when it was
    /// last seen, the last response counts as the end.
    pub(super) fn running_time(&self) -> Option<Duration> {
        let end = self.newest.ended.or(self.was_running().then_some(self.newest.last_seen))?;
        let started = self.newest.started.or(self.newest.created)?;
        end.signed_duration_since(started).to_std().ok()
    }

    /// Returns the estimated cost in dollars.
    pub(super) fn cost(&self, rates: Rates) -> f64 {
        let cost_of_time =
            self.running_time().map_or(0.0, |duration| rates.cost_of_minutes(billed_minutes(duration)));
        cost_of_time + rates.cost_of_bytes(self.newest.proxy_bytes.unwrap_or(0))
    }
}

/// Returns the length of the union of the rows' intervals from `first_seen` to `last_seen`. `rows` are sorted by
/// `first_seen`.
fn observed_time(rows: &[SessionSummary]) -> Duration {
    let mut covered = Duration::ZERO;
    let mut covered_until = Timestamp::MIN_UTC;
    for row in rows {
        let added = row.last_seen.signed_duration_since(row.first_seen.max(covered_until)).to_std();
        covered = covered.saturating_add(added.unwrap_or_default());
        covered_until = covered_until.max(row.last_seen);
    }
    covered
}

/// Returns the totals by day and owner. The newest day comes first, and within a day the totals without an owner come
/// last.
pub(super) fn daily_totals(sessions: &[MergedSession], options: HistoryOptions) -> Vec<DailyTotals> {
    let mut days: BTreeMap<_, DailyTotals> = BTreeMap::new();
    for session in sessions {
        let (day, owner) = (options.zone.date(session.start_time()), session.newest.owner.clone());
        let key = (std::cmp::Reverse(day.clone()), owner.is_none(), owner.clone());
        let totals = days.entry(key).or_insert_with(|| DailyTotals {
            day,
            owner,
            session_count: 0,
            running_time: Duration::ZERO,
            watched_time: Duration::ZERO,
            proxy_bytes: 0,
            cost: 0.0,
        });
        totals.session_count = totals.session_count.saturating_add(1);
        if let Some(running_time) = session.running_time() {
            totals.running_time = totals.running_time.saturating_add(running_time);
            totals.watched_time = totals.watched_time.saturating_add(session.watched_time);
        }
        totals.proxy_bytes = totals.proxy_bytes.saturating_add(session.newest.proxy_bytes.unwrap_or(0));
        totals.cost += session.cost(options.rates);
    }
    days.into_values().collect()
}

impl FilterTarget for MergedSession {
    fn id(&self) -> &SessionId {
        &self.newest.session
    }

    fn status(&self) -> Option<&Status> {
        self.newest.status.as_ref()
    }

    fn region(&self) -> Option<&Region> {
        self.newest.region.as_ref()
    }

    fn keep_alive(&self) -> Option<bool> {
        self.newest.keep_alive
    }

    fn owner(&self) -> Option<&Untrusted> {
        self.newest.owner.as_ref()
    }

    fn context(&self) -> Option<&Untrusted> {
        self.newest.context.as_ref()
    }

    fn metadata(&self) -> Option<&Metadata> {
        self.newest.metadata.as_ref()
    }

    fn profile(&self) -> &str {
        self.newest.profile.as_deref().unwrap_or_default()
    }
}
