//! How the polling goes: what keeps it from succeeding now, and what did before.

use std::collections::VecDeque;

use super::input::{RequestTiming, Scope};
use super::record::FailureStreak;
use crate::clock::Moment;
use crate::session::{ApiError, List};

/// How many past failures stay.
pub(super) const MAX_FAILURES: usize = 200;

/// How the polling goes.
#[derive(Debug, Default)]
pub struct PollHealth {
    /// The newest poll that brought something.
    pub last_success: Option<RequestTiming>,
    /// What keeps all polls, or a list, from succeeding now.
    pub failure_streak: Option<FailureStreak>,
    /// Past failures, the newest last.
    pub failures: VecDeque<PollFailure>,
    /// Elements of the newest lists that were no session.
    pub malformed: u32,
    /// The same of each list, by [`List::ALL`]'s order.
    malformed_by_list: [u32; 2],
    /// The scope of `failing`.
    streak_scope: Option<Scope>,
}

/// A poll that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct PollFailure {
    /// When.
    pub at: RequestTiming,
    /// What was asked for.
    pub scope: Scope,
    /// Why it failed.
    pub error: ApiError,
}

impl PollHealth {
    /// Why the newest try brought nothing, if it was after the newest that did.
    #[must_use]
    pub fn current_error(&self) -> Option<&ApiError> {
        let failing = self.failure_streak.as_ref().map(|failing| &failing.error);
        failing.or_else(|| {
            let newest = self.failures.back()?;
            let later = self.last_success.is_none_or(|good| good.received.mono < newest.at.received.mono);
            later.then_some(&newest.error)
        })
    }

    pub(super) fn set_malformed(&mut self, list: List, count: u32) {
        let [running, pending] = &mut self.malformed_by_list;
        *(if list == List::Running { &mut *running } else { &mut *pending }) = count;
        self.malformed = running.saturating_add(*pending);
    }

    /// A poll failed. Returns whether that is news of all polls: they succeeded before, or failed in another way.
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
        // Polls that were under way together fail together: that is one failure.
        let before = self.failure_streak.as_ref();
        let is_new_attempt = before.is_none_or(|before| at.sent.mono >= before.at.received.mono);
        if !error.affects_all_requests() && !error.is_auth_error() && matches!(scope, Scope::Session(_)) {
            // It came further than what kept all from succeeding.
            self.failure_streak.take_if(|before| is_new_attempt && before.error.affects_all_requests());
            return false;
        }
        let list = match scope {
            Scope::List(list) if !error.affects_all_requests() && !error.is_auth_error() => Some(*list),
            Scope::List(_) | Scope::Session(_) | Scope::Projects => None,
        };
        // The list of pending sessions is the lesser one: what else fails is said before it.
        if list == Some(List::Pending) && before.is_some_and(|before| before.list != list) {
            return false;
        }
        let news = before
            .is_none_or(|before| is_new_attempt && before.error.kind != error.kind || before.list != list);
        let count = before.map_or(0, |before| before.count).saturating_add(u32::from(is_new_attempt));
        let since = before.map_or(at, |before| before.since);
        self.failure_streak = Some(FailureStreak { since, at, error: error.clone(), list, count, next });
        self.streak_scope = Some(scope.clone());
        news
    }

    /// A good reply. Returns what it ended, if it ended a row of failures: one to a request from before the failure does
    /// not.
    pub(super) fn record_success(&mut self, at: RequestTiming, scope: &Scope) -> Option<FailureStreak> {
        let ends_streak = self.failure_streak.as_ref().is_some_and(|failing| {
            at.sent.mono >= failing.at.received.mono
                && (failing.error.affects_all_requests() || self.streak_scope.as_ref() == Some(scope))
        });
        // While the list of running sessions fails, what else succeeds does not make them any fresher.
        let is_running_list_failing =
            self.failure_streak.as_ref().is_some_and(|failing| failing.list != Some(List::Pending));
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
