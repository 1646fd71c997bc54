//! Sessions as all runs together saw them. Pure.
//!
//! Of what several runs know of a session, the newest counts. How long it was watched is the sum of what each run watched,
//! but no more than the time from when one first saw it to when one last did, with gaps between runs left out, and no
//! more than it ran: two panes that watch at once watch once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::HistoryOptions;
use crate::store::journal::SessionSummary;
use keepwatch_core::clock::Timestamp;
use keepwatch_core::filter::FilterTarget;
use keepwatch_core::session::{Metadata, Region, SessionId, Status};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::cost::{Rates, billed_minutes};

/// One session.
#[derive(Debug)]
pub(super) struct MergedSession {
    /// What the run knows that saw it last.
    pub(super) newest: SessionSummary,
    /// The first reply to any run.
    pub(super) first_seen: Timestamp,
    /// How many replies came to all of them.
    pub(super) responses: u64,
    /// How many runs saw it.
    pub(super) runs: usize,
    /// For how long it was really watched.
    pub(super) watched_time: Duration,
}

/// The sessions of one owner that started on one day.
#[derive(Debug)]
pub(super) struct DailyTotals {
    /// `2026-11-22`
    pub(super) day: String,
    /// Whose they are.
    pub(super) owner: Option<Untrusted>,
    /// How many.
    pub(super) sessions: usize,
    /// How long they ran together.
    pub(super) running_time: Duration,
    /// How much of that was watched.
    pub(super) watched_time: Duration,
    /// Their proxies' bytes.
    pub(super) proxy_bytes: i64,
    /// What they cost, estimated, in dollars.
    pub(super) cost: f64,
}

impl MergedSession {
    /// Of rows in any order, the sessions: the one that began last first.
    pub(super) fn merge_all(rows: Vec<SessionSummary>) -> Vec<Self> {
        // An id is one session's of one host; a simulated one uses the same again and again.
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

    fn merge(mut rows: Vec<SessionSummary>) -> Option<Self> {
        rows.sort_by_key(|row| row.first_seen);
        let newest = rows.iter().enumerate().max_by_key(|(_, row)| row.last_seen).map(|(at, _)| at)?;
        let sum = rows.iter().fold(Duration::ZERO, |sum, row| sum.saturating_add(row.watched));
        let mut session = Self {
            first_seen: rows.first()?.first_seen,
            responses: rows.iter().fold(0, |sum, row| sum.saturating_add(row.responses)),
            runs: rows.len(),
            watched_time: sum.min(observed_time(&rows)),
            newest: rows.swap_remove(newest),
        };
        if let Some(ran) = session.running_time() {
            session.watched_time = session.watched_time.min(ran);
        }
        Some(session)
    }

    /// When it started, or was created, or was first seen.
    pub(super) fn start_time(&self) -> Timestamp {
        self.newest.started.or(self.newest.created).unwrap_or(self.first_seen)
    }

    /// Whether it lived when it was last seen, and so may have run for longer.
    pub(super) fn was_running(&self) -> bool {
        self.newest.ended.is_none() && !self.newest.status.as_ref().is_some_and(Status::is_final)
    }

    /// How long it ran, or had run when it was last seen.
    pub(super) fn running_time(&self) -> Option<Duration> {
        let until = self.newest.ended.or(self.was_running().then_some(self.newest.last_seen))?;
        let started = self.newest.started.or(self.newest.created)?;
        until.signed_duration_since(started).to_std().ok()
    }

    /// What that cost, in dollars.
    pub(super) fn cost(&self, rates: Rates) -> f64 {
        let time = self.running_time().map_or(0.0, |ran| rates.cost_of_minutes(billed_minutes(ran)));
        time + rates.cost_of_bytes(self.newest.proxy_bytes.unwrap_or(0))
    }
}

/// The time from the first to the last sight of each of `rows`, in the order of the first, put together.
fn observed_time(rows: &[SessionSummary]) -> Duration {
    let mut covered = Duration::ZERO;
    let mut until = Timestamp::MIN_UTC;
    for row in rows {
        let more = row.last_seen.signed_duration_since(row.first_seen.max(until)).to_std();
        covered = covered.saturating_add(more.unwrap_or_default());
        until = until.max(row.last_seen);
    }
    covered
}

/// By day, the newest first, and by owner; those without one last.
pub(super) fn daily_totals(sessions: &[MergedSession], options: HistoryOptions) -> Vec<DailyTotals> {
    let mut days: BTreeMap<_, DailyTotals> = BTreeMap::new();
    for seen in sessions {
        let (day, owner) = (options.zone.date(seen.start_time()), seen.newest.owner.clone());
        let key = (std::cmp::Reverse(day.clone()), owner.is_none(), owner.clone());
        let totals = days.entry(key).or_insert_with(|| DailyTotals {
            day,
            owner,
            sessions: 0,
            running_time: Duration::ZERO,
            watched_time: Duration::ZERO,
            proxy_bytes: 0,
            cost: 0.0,
        });
        totals.sessions = totals.sessions.saturating_add(1);
        if let Some(ran) = seen.running_time() {
            totals.running_time = totals.running_time.saturating_add(ran);
            totals.watched_time = totals.watched_time.saturating_add(seen.watched_time);
        }
        totals.proxy_bytes = totals.proxy_bytes.saturating_add(seen.newest.proxy_bytes.unwrap_or(0));
        totals.cost += seen.cost(options.rates);
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
