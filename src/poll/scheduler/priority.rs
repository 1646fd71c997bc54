//! What goes first of what is due, and how much may be under way. It never changes when something is due.

use std::time::Duration;

use super::{MAX_IN_FLIGHT, PollState, PollTarget, Request, Scheduler};
use keepwatch_core::session::List;

impl Scheduler {
    /// What to send now; it counts as in flight until [`Scheduler::on_response`].
    pub fn take_due(&mut self, now: Duration) -> Vec<Request> {
        let places = self.free_slots();
        if self.is_paused || now < self.backoff_until {
            return Vec::new();
        }
        let mut for_failing = self.free_slots_for_failing(places);
        let mut due: Vec<Request> = Vec::new();
        while due.len() < places && self.rate_limiter.next_slot() <= now {
            let Some(request) = self.select_next(now, for_failing) else { break };
            if let Some(target) = self.targets.get_mut(&request) {
                for_failing = for_failing.saturating_sub(usize::from(target.failures > 0));
                target.state = PollState::InFlight { sent: now };
            }
            self.in_flight = self.in_flight.saturating_add(1);
            self.rate_limiter.acquire(now);
            self.last_poll_was_list = matches!(request, Request::List(_));
            due.push(request);
        }
        due
    }

    /// Of what is due, what goes first: a list, unless the last poll was for one and sessions waited longer; then
    /// sessions; and what nobody looks at, the projects, last.
    fn select_next(&self, now: Duration, for_failing: usize) -> Option<Request> {
        let due = || {
            self.targets.iter().filter_map(|(request, target)| match target.state {
                PollState::Waiting(at) if at <= now && (target.failures == 0 || for_failing > 0) => {
                    self.is_needed(request).then_some((request, target, at))
                }
                PollState::Waiting(_) | PollState::InFlight { .. } => None,
            })
        };
        let lists = due().filter(|(request, ..)| matches!(request, Request::List(_)));
        let list = lists.min_by_key(|(request, _, at)| (*at, sort_key(request)));
        let singles = due().filter(|(request, ..)| matches!(request, Request::Session(_)));
        let single = singles.min_by_key(|(request, target, at)| match target.left_lists_at {
            Some(left) if target.failures == 0 => (0, Duration::MAX.saturating_sub(left), sort_key(request)),
            Some(_) | None => (1, *at, sort_key(request)),
        });
        let first = match (list, single) {
            (Some(list), Some(single)) if !(self.last_poll_was_list && single.2 < list.2) => Some(list),
            (list, None) => list,
            (_, single) => single,
        };
        first.or_else(|| due().next()).map(|(request, ..)| request.clone())
    }

    /// How many more polls may start: after a failure that concerned all, one at a time.
    fn free_slots(&self) -> usize {
        // promise: one-after-failure, mutant: { 1 } -> { 4 }
        let most = if self.shared_failures > 0 { 1 } else { MAX_IN_FLIGHT };
        most.saturating_sub(self.in_flight.saturating_sub(self.ignored_in_flight))
    }

    /// How many of `places` are for sessions whose last poll failed: all but one, so that those that hang never hold up
    /// those that answer.
    fn free_slots_for_failing(&self, places: usize) -> usize {
        let failing =
            |target: &&PollTarget| target.failures > 0 && matches!(target.state, PollState::InFlight { .. });
        let under_way = self.targets.values().filter(failing).count().saturating_sub(self.ignored_in_flight);
        let spare = usize::from(self.shared_failures == 0);
        places.min(MAX_IN_FLIGHT.saturating_sub(spare).saturating_sub(under_way))
    }

    /// The projects are read again for the sake of the sessions: once these are all over, nothing is asked at all.
    fn is_needed(&self, request: &Request) -> bool {
        *request != Request::Projects || self.targets.len() > 1 || !self.has_polled_projects
    }

    /// When [`Scheduler::take_due`] will next have something; `None` while it is paused, full, or has nothing left to ask.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let places = self.free_slots();
        if self.is_paused || places == 0 {
            return None;
        }
        let for_failing = self.free_slots_for_failing(places);
        let wanted = self
            .targets
            .iter()
            .filter(|(request, target)| (target.failures == 0 || for_failing > 0) && self.is_needed(request));
        let next = wanted.filter_map(|(_, target)| match target.state {
            PollState::Waiting(at) => Some(at),
            PollState::InFlight { .. } => None,
        });
        next.min().map(|at| at.max(self.backoff_until).max(self.rate_limiter.next_slot()))
    }
}

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
