//! Sessions as all runs together saw them. Pure.
//!
//! Of what several runs know of a session, the newest counts. How long it was watched is the sum of what each run watched,
//! but no more than the time from when one first saw it to when one last did, with gaps between runs left out, and no
//! more than it ran: two panes that watch at once watch once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Form;
use crate::store::journal::SessionSummary;
use keepwatch_core::clock::Timestamp;
use keepwatch_core::filter::FilterTarget;
use keepwatch_core::session::{Metadata, Region, SessionId, Status};
use keepwatch_core::text::Untrusted;
use keepwatch_core::tracker::cost::{Rates, billed_minutes};

/// One session.
#[derive(Debug)]
pub(super) struct Seen {
    /// What the run knows that saw it last.
    pub(super) facts: SessionSummary,
    /// The first reply to any run.
    pub(super) first_seen: Timestamp,
    /// How many replies came to all of them.
    pub(super) replies: u64,
    /// How many runs saw it.
    pub(super) runs: usize,
    /// For how long it was really watched.
    pub(super) watched: Duration,
}

/// The sessions of one owner that started on one day.
#[derive(Debug)]
pub(super) struct Day {
    /// `2026-11-22`
    pub(super) day: String,
    /// Whose they are.
    pub(super) owner: Option<Untrusted>,
    /// How many.
    pub(super) sessions: usize,
    /// How long they ran together.
    pub(super) ran: Duration,
    /// How much of that was watched.
    pub(super) watched: Duration,
    /// Their proxies' bytes.
    pub(super) proxy_bytes: i64,
    /// What they cost, estimated, in dollars.
    pub(super) cost: f64,
}

impl Seen {
    /// Of rows in any order, the sessions: the one that began last first.
    pub(super) fn of(rows: Vec<SessionSummary>) -> Vec<Self> {
        // An id is one session's of one host; a simulated one uses the same again and again.
        let mut by_session: BTreeMap<(SessionId, String), Vec<SessionSummary>> = BTreeMap::new();
        for row in rows {
            by_session.entry((row.session.clone(), row.host.clone())).or_default().push(row);
        }
        let mut seen: Vec<Self> = by_session.into_values().filter_map(Self::merged).collect();
        seen.sort_by(|one, other| {
            (other.began(), &other.facts.session).cmp(&(one.began(), &one.facts.session))
        });
        seen
    }

    fn merged(mut rows: Vec<SessionSummary>) -> Option<Self> {
        rows.sort_by_key(|row| row.first_seen);
        let newest = rows.iter().enumerate().max_by_key(|(_, row)| row.last_seen).map(|(at, _)| at)?;
        let sum = rows.iter().fold(Duration::ZERO, |sum, row| sum.saturating_add(row.watched));
        let mut seen = Self {
            first_seen: rows.first()?.first_seen,
            replies: rows.iter().fold(0, |sum, row| sum.saturating_add(row.responses)),
            runs: rows.len(),
            watched: sum.min(covered(&rows)),
            facts: rows.swap_remove(newest),
        };
        if let Some(ran) = seen.ran() {
            seen.watched = seen.watched.min(ran);
        }
        Some(seen)
    }

    /// When it started, or was created, or was first seen.
    pub(super) fn began(&self) -> Timestamp {
        self.facts.started.or(self.facts.created).unwrap_or(self.first_seen)
    }

    /// Whether it lived when it was last seen, and so may have run for longer.
    pub(super) fn lived(&self) -> bool {
        self.facts.ended.is_none() && !self.facts.status.as_ref().is_some_and(Status::is_final)
    }

    /// How long it ran, or had run when it was last seen.
    pub(super) fn ran(&self) -> Option<Duration> {
        let until = self.facts.ended.or(self.lived().then_some(self.facts.last_seen))?;
        let started = self.facts.started.or(self.facts.created)?;
        until.signed_duration_since(started).to_std().ok()
    }

    /// What that cost, in dollars.
    pub(super) fn cost(&self, rates: Rates) -> f64 {
        let time = self.ran().map_or(0.0, |ran| rates.cost_of_minutes(billed_minutes(ran)));
        time + rates.cost_of_bytes(self.facts.proxy_bytes.unwrap_or(0))
    }
}

/// The time from the first to the last sight of each of `rows`, in the order of the first, put together.
fn covered(rows: &[SessionSummary]) -> Duration {
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
pub(super) fn of_days(seen: &[Seen], form: Form) -> Vec<Day> {
    let mut days: BTreeMap<_, Day> = BTreeMap::new();
    for seen in seen {
        let (day, owner) = (form.zone.date(seen.began()), seen.facts.owner.clone());
        let key = (std::cmp::Reverse(day.clone()), owner.is_none(), owner.clone());
        let sum = days.entry(key).or_insert_with(|| Day {
            day,
            owner,
            sessions: 0,
            ran: Duration::ZERO,
            watched: Duration::ZERO,
            proxy_bytes: 0,
            cost: 0.0,
        });
        sum.sessions = sum.sessions.saturating_add(1);
        if let Some(ran) = seen.ran() {
            sum.ran = sum.ran.saturating_add(ran);
            sum.watched = sum.watched.saturating_add(seen.watched);
        }
        sum.proxy_bytes = sum.proxy_bytes.saturating_add(seen.facts.proxy_bytes.unwrap_or(0));
        sum.cost += seen.cost(form.rates);
    }
    days.into_values().collect()
}

impl FilterTarget for Seen {
    fn id(&self) -> &SessionId {
        &self.facts.session
    }

    fn status(&self) -> Option<&Status> {
        self.facts.status.as_ref()
    }

    fn region(&self) -> Option<&Region> {
        self.facts.region.as_ref()
    }

    fn keep_alive(&self) -> Option<bool> {
        self.facts.keep_alive
    }

    fn owner(&self) -> Option<&Untrusted> {
        self.facts.owner.as_ref()
    }

    fn context(&self) -> Option<&Untrusted> {
        self.facts.context.as_ref()
    }

    fn metadata(&self) -> Option<&Metadata> {
        self.facts.metadata.as_ref()
    }

    fn profile(&self) -> &str {
        self.facts.profile.as_deref().unwrap_or_default()
    }
}
