//! Priorities of due polls, and the limit on polls in flight. This module never changes the time at which a
//! poll is due.

use std::time::Duration;

use super::{MAX_IN_FLIGHT, PollState, PollTarget, Request, Scheduler};
use keepwatch_core::session::List;

impl Scheduler {
    /// Returns the requests to send now. They count as in flight until [`Scheduler::on_outcome`].
    pub fn take_due(&mut self, now: Duration) -> Vec<Request> {
        let slots = self.free_slots();
        if self.is_paused || now < self.backoff_until {
            return Vec::new();
        }
        let mut slots_for_failing = self.free_slots_for_failing(slots);
        let mut due: Vec<Request> = Vec::new();
        while due.len() < slots && self.rate_limiter.next_poll_time() <= now {
            let Some(request) = self.select_next(now, slots_for_failing) else { break };
            if let Some(target) = self.poll_targets.get_mut(&request) {
                slots_for_failing = slots_for_failing.saturating_sub(usize::from(target.failures > 0));
                target.state = PollState::InFlight { sent: now };
            }
            self.in_flight = self.in_flight.saturating_add(1);
            self.rate_limiter.acquire(now);
            self.last_poll_was_list = matches!(request, Request::List(_));
            due.push(request);
        }
        due
    }

    /// Returns the due request with the highest priority. Lists go first, unless the last poll was for a list and a
    /// session has waited longer. Sessions follow. The projects go last.
    fn select_next(&self, now: Duration, slots_for_failing: usize) -> Option<Request> {
        let due = || {
            self.poll_targets.iter().filter_map(|(request, target)| match target.state {
                PollState::Waiting(at) if at <= now && (target.failures == 0 || slots_for_failing > 0) => {
                    self.is_needed(request).then_some((request, target, at))
                }
                PollState::Waiting(_) | PollState::InFlight { .. } => None,
            })
        };
        let lists = due().filter(|(request, ..)| matches!(request, Request::List(_)));
        let list = lists.min_by_key(|(request, _, at)| (*at, sort_key(request)));
        // Polls of sessions that left the lists go first (0), the latest departure before the others. The other single
        // polls, and all whose last poll failed, go by due time (1).
        let singles = due().filter(|(request, ..)| matches!(request, Request::Session(_)));
        let single = singles.min_by_key(|(request, target, at)| match target.left_lists_at {
            Some(left) if target.failures == 0 => (0, Duration::MAX.saturating_sub(left), sort_key(request)),
            Some(_) | None => (1, *at, sort_key(request)),
        });
        let list_or_session = match (list, single) {
            (Some(list @ (.., list_due)), Some((.., single_due)))
                if !(self.last_poll_was_list && single_due < list_due) =>
            {
                Some(list)
            }
            (list, None) => list,
            (_, single) => single,
        };
        // If neither a list nor a session is due, only the projects can be.
        list_or_session.or_else(|| due().next()).map(|(request, ..)| request.clone())
    }

    /// Returns the number of polls that may start now. After a failure that concerns all polls, only one may be in
    /// flight.
    fn free_slots(&self) -> usize {
        // promise: one-after-failure, mutant: { 1 } -> { 4 }
        let max_in_flight = if self.shared_failures > 0 { 1 } else { MAX_IN_FLIGHT };
        max_in_flight.saturating_sub(self.in_flight.saturating_sub(self.ignored_in_flight))
    }

    /// Returns how many of the free `slots` are open to requests whose last poll failed. Such requests leave one slot
    /// free, so that requests that hang never block those that work.
    fn free_slots_for_failing(&self, slots: usize) -> usize {
        let is_failing_in_flight =
            |target: &&PollTarget| target.failures > 0 && matches!(target.state, PollState::InFlight { .. });
        let failing_in_flight = self.poll_targets.values().filter(is_failing_in_flight).count();
        let taken_by_failing = failing_in_flight.saturating_sub(self.ignored_in_flight);
        // After a failure that concerns all polls, only one poll may be in flight, so no slot can be left free.
        let reserved = usize::from(self.shared_failures == 0);
        slots.min(MAX_IN_FLIGHT.saturating_sub(reserved).saturating_sub(taken_by_failing))
    }

    /// Returns false for a repeated poll of the projects once all sessions have ended, because only sessions need the
    /// projects.
    fn is_needed(&self, request: &Request) -> bool {
        *request != Request::Projects || self.poll_targets.len() > 1 || !self.has_polled_projects
    }

    /// Returns the time at which [`Scheduler::take_due`] will next return a request. `None` if the scheduler is
    /// paused, all slots are taken, or nothing is left to poll.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let slots = self.free_slots();
        if self.is_paused || slots == 0 {
            return None;
        }
        let slots_for_failing = self.free_slots_for_failing(slots);
        let eligible = self.poll_targets.iter().filter(|(request, target)| {
            (target.failures == 0 || slots_for_failing > 0) && self.is_needed(request)
        });
        let next = eligible.filter_map(|(_, target)| match target.state {
            PollState::Waiting(at) => Some(at),
            PollState::InFlight { .. } => None,
        });
        next.min().map(|at| at.max(self.backoff_until).max(self.rate_limiter.next_poll_time()))
    }
}

/// Returns the sort key for requests that are due at the same time. It makes their order deterministic: the lists come
/// before all session ids, and the projects after them.
fn sort_key(request: &Request) -> &str {
    match request {
        Request::List(List::Running) => "",
        Request::List(List::Pending) => " ",
        Request::Session(id) | Request::ConnectUrls(id) | Request::LiveView(id) | Request::Release(id) => {
            id.raw()
        }
        Request::Projects | Request::RecentSessions => "~",
    }
}
