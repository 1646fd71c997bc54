//! The progress of `keepwatch wait`: the sessions that have reached the goal, and those that no longer can. Pure.
//!
//! ```text
//!                        ┌── goal reached ─────────────────────────────► GoalReached
//!   session ──► Waiting ─┤── ended, with --for running ────────────────► GoalMissed(Ended)
//!                        └── 404 or 410, after the grace period ───────► GoalMissed(NotFound)
//! ```
//!
//! `GoalReached` and `GoalMissed` are final. [`WaitProgress::outcome`] decides the exit code from them. The header of
//! `commands/error.rs` lists where every other exit code is decided.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::{FailOn, Goal};
use crate::exit_code::ExitCode;
use keepwatch_core::clock::Moment;
use keepwatch_core::session::{ApiError, Phase, SessionId, Status};
use keepwatch_core::tracker::verdict::Cause;
use keepwatch_core::tracker::{Presence, RequestTiming, SessionTracker};

/// The sessions and the progress of each.
#[derive(Debug)]
pub(super) struct WaitProgress {
    sessions: Vec<WaitedSession>,
    /// The sessions that the API does not know, each with its grace period.
    not_found: HashMap<SessionId, GracePeriod>,
    goal: Goal,
    /// True if one session that reaches the goal is enough.
    any: bool,
    /// The ways to end that the exit code reports.
    fail_on: FailOn,
    /// The length of a grace period.
    grace: Duration,
}

/// A session and its progress.
#[derive(Debug)]
struct WaitedSession {
    id: SessionId,
    progress: SessionProgress,
    /// True if the exit code reports the way in which the session ended.
    has_failed: bool,
}

/// The progress of one session.
#[derive(Clone, Debug, PartialEq)]
enum SessionProgress {
    /// The session may still reach the goal.
    Waiting,
    /// The session reached the goal.
    GoalReached,
    /// The session can no longer reach the goal.
    GoalMissed(MissReason),
}

/// The reason why a session can no longer reach the goal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum MissReason {
    /// It ended with this status.
    Ended(Status),
    /// The API does not know it, even after the grace period. Holds the API's error.
    NotFound(ApiError),
}

/// A change of a session's progress from waiting to a final state.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ProgressChange {
    /// The session reached the goal.
    GoalReached(SessionId),
    /// The session can no longer reach the goal.
    GoalMissed(SessionId, MissReason),
}

/// The time in which a session may be unknown to the API, because it is still being created.
#[derive(Clone, Copy, Debug)]
struct GracePeriod {
    /// The send time of the first request that the API answered with 404 or 410.
    start: Moment,
    /// True if the command has requested the poll at the end of the grace period.
    is_final_poll_requested: bool,
}

impl WaitProgress {
    pub(super) fn new(ids: Vec<SessionId>, goal: Goal, any: bool, fail_on: FailOn, grace: Duration) -> Self {
        let session = |id| WaitedSession { id, progress: SessionProgress::Waiting, has_failed: false };
        let sessions = ids.into_iter().map(session).collect();
        Self { sessions, not_found: HashMap::new(), goal, any, fail_on, grace }
    }

    pub(super) fn goal(&self) -> Goal {
        self.goal
    }

    /// Reads the tracker and returns the sessions that have reached or missed the goal since the last call. If the
    /// newest response was a 404 or 410, `not_found` has its session and the times of its request.
    pub(super) fn update(
        &mut self,
        tracker: &SessionTracker,
        not_found: Option<(SessionId, RequestTiming)>,
    ) -> Vec<ProgressChange> {
        let mut changes = Vec::new();
        let waiting = self.sessions.iter_mut().filter(|session| session.progress == SessionProgress::Waiting);
        for WaitedSession { id, progress, has_failed } in waiting {
            let Some(record) = tracker.get(id) else { continue };
            if let Presence::NotFound(not_found_since) = &record.presence {
                let (first_timing, error) = (not_found_since.since, &not_found_since.error);
                self.not_found
                    .entry(id.clone())
                    .or_insert(GracePeriod { start: first_timing.sent, is_final_poll_requested: false });
                let newest = not_found.as_ref().filter(|(newest_id, _)| newest_id == id);
                let is_grace_over =
                    newest.is_some_and(|(_, timing)| timing.sent.since(first_timing.sent) >= self.grace);
                if is_grace_over {
                    *progress = SessionProgress::GoalMissed(MissReason::NotFound(error.clone()));
                    *has_failed = self.fail_on.gone && record.ended.is_none();
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
            *has_failed = has_ended && ended_badly(tracker, id, status, self.fail_on);
            if is_goal_reached {
                *progress = SessionProgress::GoalReached;
                changes.push(ProgressChange::GoalReached(id.clone()));
            } else if has_ended {
                *progress = SessionProgress::GoalMissed(MissReason::Ended(status.clone()));
                changes.push(ProgressChange::GoalMissed(id.clone(), MissReason::Ended(status.clone())));
            }
        }
        changes
    }

    /// Returns the exit code of the command as soon as no further response can change it.
    pub(super) fn outcome(&self) -> Option<ExitCode> {
        let all = || self.sessions.iter().map(|session| &session.progress);
        let reached = || all().filter(|progress| **progress == SessionProgress::GoalReached);
        let missed = || all().filter(|progress| matches!(progress, SessionProgress::GoalMissed(_)));
        let count = self.sessions.len();
        // With `any`, the command reaches its goal if one session does, and misses it if all do. Otherwise, the command
        // reaches its goal if all sessions do, and misses it if one does.
        let (is_reached, is_missed) = if self.any {
            (reached().count() > 0, missed().count() == count)
        } else {
            (reached().count() == count, missed().count() > 0)
        };
        if !is_reached && !is_missed {
            return None;
        }
        if self.sessions.iter().any(|session| session.has_failed) {
            return Some(ExitCode::EndedBadly);
        }
        if is_reached {
            return Some(ExitCode::Success);
        }
        let is_not_found =
            missed().any(|progress| matches!(progress, SessionProgress::GoalMissed(MissReason::NotFound(_))));
        Some(if is_not_found { ExitCode::NoSuchSession } else { ExitCode::Failure })
    }

    /// Returns the sessions that may still reach the goal.
    pub(super) fn waiting(&self) -> Vec<&SessionId> {
        let waiting = self.sessions.iter().filter(|session| session.progress == SessionProgress::Waiting);
        waiting.map(|session| &session.id).collect()
    }

    /// Returns when the next grace period ends, as a reading of the clock since boot. Ignores grace periods whose final
    /// poll was requested.
    pub(super) fn next_grace_end(&self) -> Option<Duration> {
        let periods = self.not_found.values().filter(|period| !period.is_final_poll_requested);
        periods.map(|period| period.start.boot.saturating_add(self.grace)).min()
    }

    /// For each grace period that is over at `now`, marks the final poll as requested. Returns true if it has marked
    /// any: the caller must then request a poll. `now` is a reading of the clock since boot.
    ///
    /// The final poll is needed because the previous poll may be long ago: the poller backs off for sessions that do
    /// not exist.
    pub(super) fn mark_due_final_polls(&mut self, now: Duration) -> bool {
        let mut is_due = false;
        for period in self.not_found.values_mut().filter(|period| !period.is_final_poll_requested) {
            if period.start.boot.saturating_add(self.grace) <= now {
                period.is_final_poll_requested = true;
                is_due = true;
            }
        }
        is_due
    }
}

/// Returns true if the session with this final status ended in a way that `fail_on` lists.
fn ended_badly(tracker: &SessionTracker, id: &SessionId, status: &Status, fail_on: FailOn) -> bool {
    match status {
        Status::Error => fail_on.error,
        Status::TimedOut => fail_on.timeout,
        _ => tracker.verdict(id).is_some_and(|verdict| {
            let is_before_expiry = matches!(verdict.cause, Cause::KeepAliveEnded { unused: Some(_), .. });
            is_before_expiry && fail_on.early.is_early(verdict.duration)
        }),
    }
}

#[cfg(test)]
mod tests;
