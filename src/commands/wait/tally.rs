//! Which of the sessions that are waited for have come to where they were to come, and which never will. Pure.
//!
//! ```text
//!                     ┌── the goal ──────────────────────────────► Holds     for good: it came true
//!   a session ► Open ─┤── --for running, and it has ended ───────► Never
//!                     └── 404 or 410, for longer than the grace ─► Never
//! ```

use std::collections::HashMap;
use std::time::Duration;

use crate::config::Goal;
use crate::exit_code::ExitCode;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{ApiError, Phase, SessionId, Status};
use keepwatch_core::tracker::{Presence, RequestTiming, SessionTracker};

/// The sessions, and how they stand.
#[derive(Debug)]
pub(super) struct Tally {
    sessions: Vec<(SessionId, Standing)>,
    /// Those that the API does not know.
    absent: HashMap<SessionId, Absence>,
    goal: Goal,
    any: bool,
    exit_status: bool,
    grace: Duration,
}

#[derive(Clone, Debug, PartialEq)]
enum Standing {
    Open,
    /// With this status.
    Holds(Status),
    Never(Why),
}

/// Why a session will never come to where it was to come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Why {
    /// It has ended.
    Ended(Status),
    /// The API does not know it, in these words.
    Absent(ApiError),
}

/// A session that stands otherwise than before.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    /// It has come to where it was to come.
    Holds(SessionId),
    /// It never will.
    Never(SessionId, Why),
}

#[derive(Clone, Copy, Debug)]
struct Absence {
    /// When the first request was sent that was answered so.
    since: Moment,
    /// Whether it was asked for at the end of the grace.
    asked: bool,
}

impl Tally {
    pub(super) fn new(
        ids: Vec<SessionId>,
        goal: Goal,
        any: bool,
        exit_status: bool,
        grace: Duration,
    ) -> Self {
        let sessions = ids.into_iter().map(|id| (id, Standing::Open)).collect();
        Self { sessions, absent: HashMap::new(), goal, any, exit_status, grace }
    }

    pub(super) fn goal(&self) -> Goal {
        self.goal
    }

    /// Takes what the fleet knows by now. `missing` is the session of which the newest reply says that it is not there.
    pub(super) fn take(
        &mut self,
        fleet: &SessionTracker,
        missing: Option<(SessionId, RequestTiming)>,
    ) -> Vec<News> {
        let mut news = Vec::new();
        for (id, standing) in self.sessions.iter_mut().filter(|(_, standing)| *standing == Standing::Open) {
            let Some(record) = fleet.get(id) else { continue };
            if let Presence::NotFound(absence) = &record.presence {
                let (since, fault) = (absence.since, &absence.error);
                self.absent.entry(id.clone()).or_insert(Absence { since: since.sent, asked: false });
                let newest = missing.as_ref().filter(|(missing, _)| missing == id);
                let is_over = newest.is_some_and(|(_, at)| at.sent.since(since.sent) >= self.grace);
                if is_over {
                    *standing = Standing::Never(Why::Absent(fault.clone()));
                    news.push(News::Never(id.clone(), Why::Absent(fault.clone())));
                }
                continue;
            }
            self.absent.remove(id);
            let Some(status) = record.status() else { continue };
            let has_ended = status.phase() == Phase::Ended;
            let holds = match self.goal {
                Goal::Ended => has_ended,
                Goal::Running => *status == Status::Running,
            };
            if holds {
                *standing = Standing::Holds(status.clone());
                news.push(News::Holds(id.clone()));
            } else if has_ended {
                *standing = Standing::Never(Why::Ended(status.clone()));
                news.push(News::Never(id.clone(), Why::Ended(status.clone())));
            }
        }
        news
    }

    /// How it ends, once that is certain.
    pub(super) fn outcome(&self) -> Option<ExitCode> {
        let standings = || self.sessions.iter().map(|(_, standing)| standing);
        let holding = || standings().filter(|standing| matches!(standing, Standing::Holds(_)));
        let lost = || standings().filter(|standing| matches!(standing, Standing::Never(_)));
        let count = self.sessions.len();
        let (is_won, is_lost) = if self.any {
            (holding().count() > 0, lost().count() == count)
        } else {
            (holding().count() == count, lost().count() > 0)
        };
        let bad = |standing: &Standing| match standing {
            Standing::Holds(status) | Standing::Never(Why::Ended(status)) => {
                self.exit_status && matches!(status, Status::Error | Status::TimedOut)
            }
            Standing::Open | Standing::Never(Why::Absent(_)) => false,
        };
        if is_won {
            return Some(if holding().any(bad) { ExitCode::EndedBadly } else { ExitCode::Success });
        }
        let absent = lost().any(|standing| matches!(standing, Standing::Never(Why::Absent(_))));
        is_lost.then(|| match (lost().any(bad), absent) {
            (true, _) => ExitCode::EndedBadly,
            (false, true) => ExitCode::NoSuchSession,
            (false, false) => ExitCode::Failure,
        })
    }

    /// Those that may still come to where they are to come.
    pub(super) fn open(&self) -> Vec<&SessionId> {
        let open = self.sessions.iter().filter(|(_, standing)| *standing == Standing::Open);
        open.map(|(id, _)| id).collect()
    }

    /// When the grace of the first session ends that was not asked for at that time yet, by the clock since boot.
    pub(super) fn grace_ends(&self) -> Option<Duration> {
        let waiting = self.absent.values().filter(|absence| !absence.asked);
        waiting.map(|absence| absence.since.boot.saturating_add(self.grace)).min()
    }

    /// Whether the grace of a session is over at `now`, so that it is to be asked for once more: the last time may be
    /// long ago, for what is not there is asked for less and less. Says so once of each.
    pub(super) fn last_chance(&mut self, now: Duration) -> bool {
        let mut is_due = false;
        for absence in self.absent.values_mut().filter(|absence| !absence.asked) {
            if absence.since.boot.saturating_add(self.grace) <= now {
                absence.asked = true;
                is_due = true;
            }
        }
        is_due
    }
}

#[cfg(test)]
mod tests;
