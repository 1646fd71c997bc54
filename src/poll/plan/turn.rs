//! What goes first of what is due, and how much may be under way. It never changes when something is due.

use std::time::Duration;

use super::{IN_FLIGHT, Plan, Request, State, Target};
use keepwatch_core::session::List;

impl Plan {
    /// What to send now; it counts as in flight until [`Plan::answered`].
    pub fn due(&mut self, now: Duration) -> Vec<Request> {
        let places = self.places();
        if self.paused || now < self.held_until {
            return Vec::new();
        }
        let mut for_failing = self.places_for_failing(places);
        let mut due: Vec<Request> = Vec::new();
        while due.len() < places && self.budget.next() <= now {
            let Some(request) = self.first(now, for_failing) else { break };
            if let Some(target) = self.targets.get_mut(&request) {
                for_failing = for_failing.saturating_sub(usize::from(target.failures > 0));
                target.state = State::InFlight { sent: now };
            }
            self.in_flight = self.in_flight.saturating_add(1);
            self.budget.spend(now);
            self.list_went_last = matches!(request, Request::List(_));
            due.push(request);
        }
        due
    }

    /// Of what is due, what goes first: a list, unless the last poll was for one and sessions waited longer; then
    /// sessions; and what nobody looks at, the projects, last.
    fn first(&self, now: Duration, for_failing: usize) -> Option<Request> {
        let due = || {
            self.targets.iter().filter_map(|(request, target)| match target.state {
                State::Waiting(at) if at <= now && (target.failures == 0 || for_failing > 0) => {
                    self.is_wanted(request).then_some((request, target, at))
                }
                State::Waiting(_) | State::InFlight { .. } => None,
            })
        };
        let lists = due().filter(|(request, ..)| matches!(request, Request::List(_)));
        let list = lists.min_by_key(|(request, _, at)| (*at, rank(request)));
        let singles = due().filter(|(request, ..)| matches!(request, Request::Session(_)));
        let single = singles.min_by_key(|(request, target, at)| match target.left {
            Some(left) if target.failures == 0 => (0, Duration::MAX.saturating_sub(left), rank(request)),
            Some(_) | None => (1, *at, rank(request)),
        });
        let first = match (list, single) {
            (Some(list), Some(single)) if !(self.list_went_last && single.2 < list.2) => Some(list),
            (list, None) => list,
            (_, single) => single,
        };
        first.or_else(|| due().next()).map(|(request, ..)| request.clone())
    }

    /// How many more polls may start: after a failure that concerned all, one at a time.
    fn places(&self) -> usize {
        // promise: one-after-failure, mutant: { 1 } -> { 4 }
        let most = if self.failures > 0 { 1 } else { IN_FLIGHT };
        most.saturating_sub(self.in_flight.saturating_sub(self.passed_over))
    }

    /// How many of `places` are for sessions whose last poll failed: all but one, so that those that hang never hold up
    /// those that answer.
    fn places_for_failing(&self, places: usize) -> usize {
        let failing =
            |target: &&Target| target.failures > 0 && matches!(target.state, State::InFlight { .. });
        let under_way = self.targets.values().filter(failing).count().saturating_sub(self.passed_over);
        let spare = usize::from(self.failures == 0);
        places.min(IN_FLIGHT.saturating_sub(spare).saturating_sub(under_way))
    }

    /// The projects are read again for the sake of the sessions: once these are all over, nothing is asked at all.
    fn is_wanted(&self, request: &Request) -> bool {
        *request != Request::Projects || self.targets.len() > 1 || !self.projects_tried
    }

    /// When [`Plan::due`] will next have something; `None` while it is paused, full, or has nothing left to ask.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let places = self.places();
        if self.paused || places == 0 {
            return None;
        }
        let for_failing = self.places_for_failing(places);
        let wanted = self
            .targets
            .iter()
            .filter(|(request, target)| (target.failures == 0 || for_failing > 0) && self.is_wanted(request));
        let next = wanted.filter_map(|(_, target)| match target.state {
            State::Waiting(at) => Some(at),
            State::InFlight { .. } => None,
        });
        next.min().map(|at| at.max(self.held_until).max(self.budget.next()))
    }
}

fn rank(request: &Request) -> &str {
    match request {
        Request::List(List::Running) => "",
        Request::List(List::Pending) => " ",
        Request::Session(id) | Request::Fresh(id) | Request::LiveView(id) | Request::Release(id) => id.raw(),
        Request::Projects | Request::Recent => "~",
    }
}
