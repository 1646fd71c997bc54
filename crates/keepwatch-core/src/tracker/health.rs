//! How the polling goes: what keeps it from succeeding now, and what did before.

use std::collections::VecDeque;

use super::input::{Exchange, Scope};
use super::record::Failing;
use crate::clock::Moment;
use crate::session::{ApiError, List};

/// How many past failures stay.
pub(super) const MOST_FAILURES: usize = 200;

/// How the polling goes.
#[derive(Debug, Default)]
pub struct Health {
    /// The newest poll that brought something.
    pub last_good: Option<Exchange>,
    /// What keeps all polls, or a list, from succeeding now.
    pub failing: Option<Failing>,
    /// Past failures, the newest last.
    pub failures: VecDeque<Failure>,
    /// Elements of the newest lists that were no session.
    pub malformed: u32,
    /// The same of each list, by [`List::ALL`]'s order.
    malformed_in: [u32; 2],
    /// The scope of `failing`.
    failing_scope: Option<Scope>,
}

/// A poll that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// When.
    pub at: Exchange,
    /// What was asked for.
    pub scope: Scope,
    /// Why it failed.
    pub fault: ApiError,
}

impl Health {
    /// Why the newest try brought nothing, if it was after the newest that did.
    #[must_use]
    pub fn cause(&self) -> Option<&ApiError> {
        let failing = self.failing.as_ref().map(|failing| &failing.fault);
        failing.or_else(|| {
            let newest = self.failures.back()?;
            let later = self.last_good.is_none_or(|good| good.received.mono < newest.at.received.mono);
            later.then_some(&newest.fault)
        })
    }

    pub(super) fn malformed(&mut self, list: List, count: u32) {
        let [running, pending] = &mut self.malformed_in;
        *(if list == List::Running { &mut *running } else { &mut *pending }) = count;
        self.malformed = running.saturating_add(*pending);
    }

    /// A poll failed. Returns whether that is news of all polls: they succeeded before, or failed in another way.
    pub(super) fn failed(
        &mut self,
        at: Exchange,
        scope: &Scope,
        fault: &ApiError,
        next: Option<Moment>,
    ) -> bool {
        if self.failures.len() >= MOST_FAILURES {
            self.failures.pop_front();
        }
        self.failures.push_back(Failure { at, scope: scope.clone(), fault: fault.clone() });
        // Polls that were under way together fail together: that is one failure.
        let before = self.failing.as_ref();
        let again = before.is_none_or(|before| at.sent.mono >= before.at.received.mono);
        if !fault.affects_all_requests() && !fault.is_auth_error() && matches!(scope, Scope::One(_)) {
            // It came further than what kept all from succeeding.
            self.failing.take_if(|before| again && before.fault.affects_all_requests());
            return false;
        }
        let list = match scope {
            Scope::List(list) if !fault.affects_all_requests() && !fault.is_auth_error() => Some(*list),
            Scope::List(_) | Scope::One(_) | Scope::Projects => None,
        };
        // The list of pending sessions is the lesser one: what else fails is said before it.
        if list == Some(List::Pending) && before.is_some_and(|before| before.list != list) {
            return false;
        }
        let news =
            before.is_none_or(|before| again && before.fault.kind != fault.kind || before.list != list);
        let count = before.map_or(0, |before| before.count).saturating_add(u32::from(again));
        let since = before.map_or(at, |before| before.since);
        self.failing = Some(Failing { since, at, fault: fault.clone(), list, count, next });
        self.failing_scope = Some(scope.clone());
        news
    }

    /// A good reply. Returns what it ended, if it ended a row of failures: one to a request from before the failure does
    /// not.
    pub(super) fn good(&mut self, at: Exchange, scope: &Scope) -> Option<Failing> {
        let over = self.failing.as_ref().is_some_and(|failing| {
            at.sent.mono >= failing.at.received.mono
                && (failing.fault.affects_all_requests() || self.failing_scope.as_ref() == Some(scope))
        });
        // While the list of running sessions fails, what else succeeds does not make them any fresher.
        let spoilt = self.failing.as_ref().is_some_and(|failing| failing.list != Some(List::Pending));
        if (over || !spoilt) && self.last_good.is_none_or(|last| last.received.mono <= at.received.mono) {
            self.last_good = Some(at);
        }
        if !over {
            return None;
        }
        self.failing_scope = None;
        self.failing.take()
    }
}
