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
pub(super) struct WaitProgress {
    sessions: Vec<(SessionId, SessionProgress)>,
    /// Those that the API does not know.
    not_found: HashMap<SessionId, GracePeriod>,
    goal: Goal,
    any: bool,
    exit_status: bool,
    grace: Duration,
}

#[derive(Clone, Debug, PartialEq)]
enum SessionProgress {
    Waiting,
    /// With this status.
    GoalReached(Status),
    GoalMissed(MissReason),
}

/// Why a session will never come to where it was to come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum MissReason {
    /// It has ended.
    Ended(Status),
    /// The API does not know it, in these words.
    NotFound(ApiError),
}

/// A session that stands otherwise than before.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ProgressChange {
    /// It has come to where it was to come.
    GoalReached(SessionId),
    /// It never will.
    GoalMissed(SessionId, MissReason),
}

#[derive(Clone, Copy, Debug)]
struct GracePeriod {
    /// When the first request was sent that was answered so.
    since: Moment,
    /// Whether it was asked for at the end of the grace.
    is_final_poll_sent: bool,
}

impl WaitProgress {
    pub(super) fn new(
        ids: Vec<SessionId>,
        goal: Goal,
        any: bool,
        exit_status: bool,
        grace: Duration,
    ) -> Self {
        let sessions = ids.into_iter().map(|id| (id, SessionProgress::Waiting)).collect();
        Self { sessions, not_found: HashMap::new(), goal, any, exit_status, grace }
    }

    pub(super) fn goal(&self) -> Goal {
        self.goal
    }

    /// Takes what the fleet knows by now. `missing` is the session of which the newest reply says that it is not there.
    pub(super) fn update(
        &mut self,
        tracker: &SessionTracker,
        missing: Option<(SessionId, RequestTiming)>,
    ) -> Vec<ProgressChange> {
        let mut changes = Vec::new();
        for (id, progress) in
            self.sessions.iter_mut().filter(|(_, standing)| *standing == SessionProgress::Waiting)
        {
            let Some(record) = tracker.get(id) else { continue };
            if let Presence::NotFound(absence) = &record.presence {
                let (since, error) = (absence.since, &absence.error);
                self.not_found
                    .entry(id.clone())
                    .or_insert(GracePeriod { since: since.sent, is_final_poll_sent: false });
                let newest = missing.as_ref().filter(|(missing, _)| missing == id);
                let is_grace_over = newest.is_some_and(|(_, at)| at.sent.since(since.sent) >= self.grace);
                if is_grace_over {
                    *progress = SessionProgress::GoalMissed(MissReason::NotFound(error.clone()));
                    changes.push(ProgressChange::GoalMissed(id.clone(), MissReason::NotFound(error.clone())));
                }
                continue;
            }
            self.not_found.remove(id);
            let Some(status) = record.status() else { continue };
            let has_ended = status.phase() == Phase::Ended;
            let is_goal_reached = match self.goal {
                Goal::Ended => has_ended,
                Goal::Running => *status == Status::Running,
            };
            if is_goal_reached {
                *progress = SessionProgress::GoalReached(status.clone());
                changes.push(ProgressChange::GoalReached(id.clone()));
            } else if has_ended {
                *progress = SessionProgress::GoalMissed(MissReason::Ended(status.clone()));
                changes.push(ProgressChange::GoalMissed(id.clone(), MissReason::Ended(status.clone())));
            }
        }
        changes
    }

    /// How it ends, once that is certain.
    pub(super) fn outcome(&self) -> Option<ExitCode> {
        let all = || self.sessions.iter().map(|(_, standing)| standing);
        let reached = || all().filter(|standing| matches!(standing, SessionProgress::GoalReached(_)));
        let missed = || all().filter(|standing| matches!(standing, SessionProgress::GoalMissed(_)));
        let count = self.sessions.len();
        let (is_reached, is_missed) = if self.any {
            (reached().count() > 0, missed().count() == count)
        } else {
            (reached().count() == count, missed().count() > 0)
        };
        let ended_badly = |standing: &SessionProgress| match standing {
            SessionProgress::GoalReached(status) | SessionProgress::GoalMissed(MissReason::Ended(status)) => {
                self.exit_status && matches!(status, Status::Error | Status::TimedOut)
            }
            SessionProgress::Waiting | SessionProgress::GoalMissed(MissReason::NotFound(_)) => false,
        };
        if is_reached {
            return Some(if reached().any(ended_badly) { ExitCode::EndedBadly } else { ExitCode::Success });
        }
        let absent =
            missed().any(|standing| matches!(standing, SessionProgress::GoalMissed(MissReason::NotFound(_))));
        is_missed.then(|| match (missed().any(ended_badly), absent) {
            (true, _) => ExitCode::EndedBadly,
            (false, true) => ExitCode::NoSuchSession,
            (false, false) => ExitCode::Failure,
        })
    }

    /// Those that may still come to where they are to come.
    pub(super) fn waiting(&self) -> Vec<&SessionId> {
        let open = self.sessions.iter().filter(|(_, standing)| *standing == SessionProgress::Waiting);
        open.map(|(id, _)| id).collect()
    }

    /// When the grace of the first session ends that was not asked for at that time yet, by the clock since boot.
    pub(super) fn next_grace_end(&self) -> Option<Duration> {
        let waiting = self.not_found.values().filter(|absence| !absence.is_final_poll_sent);
        waiting.map(|absence| absence.since.boot.saturating_add(self.grace)).min()
    }

    /// Whether the grace of a session is over at `now`, so that it is to be asked for once more: the last time may be
    /// long ago, for what is not there is asked for less and less. Says so once of each.
    pub(super) fn needs_final_poll(&mut self, now: Duration) -> bool {
        let mut is_due = false;
        for absence in self.not_found.values_mut().filter(|absence| !absence.is_final_poll_sent) {
            if absence.since.boot.saturating_add(self.grace) <= now {
                absence.is_final_poll_sent = true;
                is_due = true;
            }
        }
        is_due
    }
}

#[cfg(test)]
mod tests;
