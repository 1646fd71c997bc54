//! The health of polling: the current failure streak, the newest failed polls, and the newest success.
//!
//! The failure streak here concerns all polls, or the polls of one list. A streak of one session is in its
//! [`Record`](super::Record).

use std::collections::VecDeque;

use super::input::{RequestTiming, Scope};
use super::record::FailureStreak;
use crate::clock::Moment;
use crate::session::{ApiError, List};

/// The maximum number of failed polls that are kept.
pub(super) const MAX_FAILURES: usize = 200;

/// Successes and failures of the polls.
#[derive(Debug, Default)]
pub struct PollHealth {
    /// The newest successful poll.
    pub last_success: Option<RequestTiming>,
    /// The current failure streak of all polls, or of the polls of one list.
    pub failure_streak: Option<FailureStreak>,
    /// The newest failed polls, oldest first.
    pub failures: VecDeque<PollFailure>,
    /// The number of list elements that were not sessions, summed over the newest list of each kind.
    pub malformed: u32,
    /// The terms of the sum `malformed`, in the order of [`List::ALL`].
    malformed_by_list: [u32; 2],
    /// The scope of the newest failure in `failure_streak`.
    streak_scope: Option<Scope>,
}

/// A poll that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct PollFailure {
    /// The times of the request.
    pub at: RequestTiming,
    /// The target of the request.
    pub scope: Scope,
    /// The reason for the failure.
    pub error: ApiError,
}

impl PollHealth {
    /// Returns the error of the failure streak. Without a streak, returns the error of the newest poll, or `None` if
    /// that poll succeeded.
    #[must_use]
    pub fn current_error(&self) -> Option<&ApiError> {
        let streak_error = self.failure_streak.as_ref().map(|streak| &streak.error);
        streak_error.or_else(|| {
            let newest = self.failures.back()?;
            let is_newest =
                self.last_success.is_none_or(|success| success.received.mono < newest.at.received.mono);
            is_newest.then_some(&newest.error)
        })
    }

    /// Stores the number of elements of the newest `list` that were not sessions.
    pub(super) fn set_malformed(&mut self, list: List, count: u32) {
        let [running, pending] = &mut self.malformed_by_list;
        match list {
            List::Running => *running = count,
            List::Pending => *pending = count,
        }
        self.malformed = running.saturating_add(*pending);
    }

    /// Records a failed poll. Returns true if the failure begins a streak of all polls or of a list, or changes the
    /// error or the list of that streak.
    pub(super) fn record_failure(
        &mut self,
        at: RequestTiming,
        scope: &Scope,
        error: &ApiError,
        next: Option<Moment>,
    ) -> bool {
        if self.failures.len() >= MAX_FAILURES {
            self.failures.pop_front();
        }
        self.failures.push_back(PollFailure { at, scope: scope.clone(), error: error.clone() });
        // Polls that are in flight together fail together, so they count as one failure.
        let previous = self.failure_streak.as_ref();
        let is_new_attempt =
            previous.is_none_or(|previous| at.sent.mono >= previous.newest_failure.received.mono);
        let may_affect_all = error.affects_all_requests() || error.is_auth_error();
        if !may_affect_all && matches!(scope, Scope::Session(_)) {
            // The request reached the API, so a failure of all requests is over.
            self.failure_streak.take_if(|previous| is_new_attempt && previous.error.affects_all_requests());
            return false;
        }
        let list = match scope {
            Scope::List(list) if !may_affect_all => Some(*list),
            Scope::List(_) | Scope::Session(_) | Scope::Projects => None,
        };
        // A failure of the pending list does not replace another failure, because pending sessions matter less.
        if list == Some(List::Pending) && previous.is_some_and(|previous| previous.list != list) {
            return false;
        }
        let is_new = previous.is_none_or(|previous| {
            is_new_attempt && previous.error.kind != error.kind || previous.list != list
        });
        let count = previous.map_or(0, |previous| previous.count).saturating_add(u32::from(is_new_attempt));
        let first_failure = previous.map_or(at, |previous| previous.first_failure);
        let error = error.clone();
        self.failure_streak =
            Some(FailureStreak { first_failure, newest_failure: at, error, list, count, next });
        self.streak_scope = Some(scope.clone());
        is_new
    }

    /// Records a successful poll. Returns the failure streak that the success ends, if any.
    ///
    /// A response to a request that was sent before the newest failure does not end the streak.
    pub(super) fn record_success(&mut self, at: RequestTiming, scope: &Scope) -> Option<FailureStreak> {
        let ends_streak = self.failure_streak.as_ref().is_some_and(|streak| {
            at.sent.mono >= streak.newest_failure.received.mono
                && (streak.error.affects_all_requests() || self.streak_scope.as_ref() == Some(scope))
        });
        // While polls of the running list fail, or all polls fail, the success of another poll does not show that the
        // data about running sessions is fresh.
        let is_running_list_failing =
            self.failure_streak.as_ref().is_some_and(|streak| streak.list != Some(List::Pending));
        if (ends_streak || !is_running_list_failing)
            && self.last_success.is_none_or(|last| last.received.mono <= at.received.mono)
        {
            self.last_success = Some(at);
        }
        if !ends_streak {
            return None;
        }
        self.streak_scope = None;
        self.failure_streak.take()
    }
}
