//! The health of polling: the current failure streak, past failures, and the newest success.
//!
//! The failure streak here concerns a list or all polls. A streak that concerns one session is kept in its record.

use std::collections::VecDeque;

use super::input::{RequestTiming, Scope};
use super::record::FailureStreak;
use crate::clock::Moment;
use crate::session::{ApiError, List};

/// Most past failures that are kept.
pub(super) const MAX_FAILURES: usize = 200;

/// Successes and failures of the polls.
#[derive(Debug, Default)]
pub struct PollHealth {
    /// The newest successful poll.
    pub last_success: Option<RequestTiming>,
    /// The current failure of all polls, or of a list.
    pub failure_streak: Option<FailureStreak>,
    /// Past failures, newest last.
    pub failures: VecDeque<PollFailure>,
    /// The number of elements of the newest lists that were not sessions.
    pub malformed: u32,
    /// The same number for each list, in the order of [`List::ALL`].
    malformed_by_list: [u32; 2],
    /// The scope of `failure_streak`.
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
    /// Returns the error of the newest poll, or `None` if a success is newer.
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

    pub(super) fn set_malformed(&mut self, list: List, count: u32) {
        let [running, pending] = &mut self.malformed_by_list;
        *(if list == List::Running { &mut *running } else { &mut *pending }) = count;
        self.malformed = running.saturating_add(*pending);
    }

    /// Records a failed poll. Returns true if the failure concerns more than one session and is new: the polls
    /// succeeded before, or failed with another error.
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
        // Polls that are in flight together fail together. They count as one failure.
        let before = self.failure_streak.as_ref();
        let is_new_attempt = before.is_none_or(|before| at.sent.mono >= before.at.received.mono);
        if !error.affects_all_requests() && !error.is_auth_error() && matches!(scope, Scope::Session(_)) {
            // The request reached the API, so the failure that affected all requests is over.
            self.failure_streak.take_if(|before| is_new_attempt && before.error.affects_all_requests());
            return false;
        }
        let list = match scope {
            Scope::List(list) if !error.affects_all_requests() && !error.is_auth_error() => Some(*list),
            Scope::List(_) | Scope::Session(_) | Scope::Projects => None,
        };
        // The list of pending sessions matters less: any other failure takes precedence.
        if list == Some(List::Pending) && before.is_some_and(|before| before.list != list) {
            return false;
        }
        let is_new = before
            .is_none_or(|before| is_new_attempt && before.error.kind != error.kind || before.list != list);
        let count = before.map_or(0, |before| before.count).saturating_add(u32::from(is_new_attempt));
        let since = before.map_or(at, |before| before.since);
        self.failure_streak = Some(FailureStreak { since, at, error: error.clone(), list, count, next });
        self.streak_scope = Some(scope.clone());
        is_new
    }

    /// Records a successful poll. Returns the failure streak that it ended, if any.
    ///
    /// A response to a request that was sent before the failure does not end the streak.
    pub(super) fn record_success(&mut self, at: RequestTiming, scope: &Scope) -> Option<FailureStreak> {
        let ends_streak = self.failure_streak.as_ref().is_some_and(|streak| {
            at.sent.mono >= streak.at.received.mono
                && (streak.error.affects_all_requests() || self.streak_scope.as_ref() == Some(scope))
        });
        // While the list of running sessions fails, other successes do not make its data fresher.
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
