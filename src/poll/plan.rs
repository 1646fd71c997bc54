//! What is due, and which requests cover it. Pure: it is told the time and what came back.
//!
//! ```text
//!                     ┌──────── answered, alive: the next point of the grid ───────┐
//!                     ▼                                                            │
//!   a target ──► waiting ── due, a place free, nothing holds ──► in flight ────────┤
//!                     ▲                                                            │
//!                     └──────── failed: interval·2ⁿ, by itself or for all ─────────┤
//!                                                                                  ▼
//!                                                     answered, ended ──► done, never asked again
//! ```
//!
//! The grid is `start + k·interval`: what is due together is asked together, and the screen changes once.
//!
//! Failures that concern one session delay that session. Failures that concern all (no network, the key refused, a
//! rate limit) hold everything, and then one request alone goes first: a server that comes back is not met by a burst.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::backoff;
use crate::config::Targets;
use crate::session::{Fault, List, SessionId};

/// How many polls may be in flight at a time.
pub const IN_FLIGHT: usize = 4;
/// The list of pending sessions is asked every so many intervals: a session stays pending for seconds.
const PENDING_EVERY: u32 = 3;
/// How often the projects are read again, for their limits and defaults.
const PROJECTS_EVERY: Duration = Duration::from_secs(60 * 60);
/// A session that says RUNNING while the list lacks it is asked at doubling distances up to this.
const LONGEST_UNLISTED: Duration = Duration::from_secs(5 * 60);
/// An id that does not exist is asked at growing distances up to this: it may be created yet.
const LONGEST_ABSENT: Duration = Duration::from_secs(60);

/// One request, as the poller sends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// One session.
    Session(SessionId),
    /// One list.
    List(List),
    /// The projects that the key can see.
    Projects,
    /// One session with its connect fields, because the reader asked. Not of the plan: it waits for nothing.
    Fresh(SessionId),
    /// The sessions of the project in whatever state, because the reader asked. Not of the plan either.
    Recent,
}

/// What an answer means for the plan.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// The session can still change.
    Alive,
    /// It can not.
    Ended,
    /// The list holds these.
    Listed(Vec<SessionId>),
    /// The projects came.
    Projects,
    /// Nothing came.
    Failed(&'a Fault),
}

/// When the targets are asked. Times are the monotonic clock's.
#[derive(Debug)]
pub struct Plan {
    interval: Duration,
    /// Point zero of the grid.
    epoch: Duration,
    targets: HashMap<Request, Target>,
    /// Named while the lists are watched: asked singly while they lack them, whatever the answer.
    named: HashSet<SessionId>,
    /// Ids of each list's last reply, by [`List::ALL`]'s order.
    listed: [HashSet<SessionId>; 2],
    in_flight: usize,
    /// Of these, how many do not count, because the reader asked for everything while they were under way.
    passed_over: usize,
    /// Nothing is polled before this.
    held_until: Duration,
    /// Failures in a row that concerned all.
    failures: u32,
    /// Whether the projects were answered, in whatever way.
    projects_tried: bool,
    paused: bool,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    state: State,
    failures: u32,
    /// For an unlisted or absent session: how far apart it is asked.
    distance: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(Duration),
    InFlight { sent: Duration },
}

impl Plan {
    /// A plan whose first round is due at `now`.
    #[must_use]
    pub fn new(targets: &Targets, interval: Duration, now: Duration) -> Self {
        let mut plan = Self {
            interval,
            epoch: now,
            targets: HashMap::new(),
            named: HashSet::new(),
            listed: [HashSet::new(), HashSet::new()],
            in_flight: 0,
            passed_over: 0,
            held_until: now,
            failures: 0,
            projects_tried: false,
            paused: false,
        };
        match targets {
            Targets::Ids(ids) => ids.iter().for_each(|id| plan.add(Request::Session(id.clone()), now)),
            lists => lists.lists().iter().for_each(|list| plan.add(Request::List(*list), now)),
        }
        plan.add(Request::Projects, now);
        plan
    }

    /// Watches one more session, as one that was named at the start. It is due at once.
    pub fn watch(&mut self, id: SessionId, now: Duration) {
        self.named.insert(id.clone());
        let request = Request::Session(id);
        match self.targets.get_mut(&request).map(|target| &mut target.state) {
            Some(State::Waiting(at)) => *at = now.min(*at),
            Some(State::InFlight { .. }) => {}
            None => self.add(request, now),
        }
    }

    fn add(&mut self, request: Request, due: Duration) {
        self.targets.entry(request).or_insert(Target {
            state: State::Waiting(due),
            failures: 0,
            distance: Duration::ZERO,
        });
    }

    /// What to send now; it counts as in flight until [`Plan::answered`]. In the order of being due, what the reader
    /// looks at before the projects.
    pub fn due(&mut self, now: Duration) -> Vec<Request> {
        let places = self.places();
        if self.paused || now < self.held_until || places == 0 {
            return Vec::new();
        }
        let mut for_failing = self.places_for_failing(places);
        let mut due: Vec<Request> = Vec::new();
        while due.len() < places {
            let first = self
                .targets
                .iter()
                .filter(|(request, target)| {
                    let has_place = target.failures == 0 || for_failing > 0;
                    has_place && self.is_wanted(request) && !due.contains(request)
                })
                .filter_map(|(request, target)| match target.state {
                    State::Waiting(at) if at <= now => {
                        Some((*request == Request::Projects, at, rank(request), request, target.failures))
                    }
                    State::Waiting(_) | State::InFlight { .. } => None,
                })
                .min_by_key(|(last, at, rank, ..)| (*last, *at, *rank));
            let Some((.., request, failures)) = first else { break };
            for_failing = for_failing.saturating_sub(usize::from(failures > 0));
            due.push(request.clone());
        }
        for request in &due {
            if let Some(target) = self.targets.get_mut(request) {
                target.state = State::InFlight { sent: now };
                self.in_flight = self.in_flight.saturating_add(1);
            }
        }
        due
    }

    /// How many more polls may start: after a failure that concerned all, one at a time.
    fn places(&self) -> usize {
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
        next.min().map(|at| at.max(self.held_until))
    }

    /// What came back for `request` at `now`. `die` is 0 to 1. Returns when it will be asked again.
    pub fn answered(
        &mut self,
        request: &Request,
        outcome: Outcome<'_>,
        now: Duration,
        die: f64,
    ) -> Option<Duration> {
        let target = self.targets.get(request).copied()?;
        let State::InFlight { sent } = target.state else { return None };
        self.in_flight = self.in_flight.saturating_sub(1);
        self.passed_over = self.passed_over.min(self.in_flight);
        if !matches!(outcome, Outcome::Failed(fault) if fault.concerns_all()) {
            self.failures = 0;
        }
        let again = match outcome {
            Outcome::Ended => None,
            Outcome::Alive => self.alive(request, &target, sent, now),
            Outcome::Listed(ids) => {
                if let Request::List(list) = request {
                    self.take_list(*list, ids, now);
                }
                Some(self.grid(sent, now, self.every(request)))
            }
            Outcome::Projects => {
                self.projects_tried = true;
                Some(now.saturating_add(PROJECTS_EVERY))
            }
            Outcome::Failed(fault) => return self.failed(request, target, fault, sent, now, die),
        };
        match again {
            Some(at) => {
                let distance = self.targets.get(request).map_or(target.distance, |now| now.distance);
                self.targets
                    .insert(request.clone(), Target { state: State::Waiting(at), failures: 0, distance });
            }
            None => {
                self.targets.remove(request);
            }
        }
        again
    }

    /// A single session lives. If the lists are what is watched, it is asked only while they lack it.
    fn alive(
        &mut self,
        request: &Request,
        target: &Target,
        sent: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let Request::Session(id) = request else { return None };
        let (distance, at) = if !self.watches_lists() {
            (Duration::ZERO, self.grid(sent, now, 1))
        } else if self.is_listed(id) {
            return None;
        } else if self.named.contains(id) {
            (Duration::ZERO, self.grid(sent, now, 1))
        } else {
            let longest = LONGEST_UNLISTED.max(self.interval);
            let distance = target.distance.saturating_mul(2).clamp(self.interval, longest);
            (distance, now.saturating_add(distance))
        };
        if let Some(target) = self.targets.get_mut(request) {
            target.distance = distance;
        }
        Some(at)
    }

    /// What left the lists is asked singly, at once; what came back to them is not asked singly any more.
    fn take_list(&mut self, list: List, ids: Vec<SessionId>, now: Duration) {
        let [running, pending] = &mut self.listed;
        let own = if list == List::Running { &mut *running } else { &mut *pending };
        let old = std::mem::replace(own, ids.into_iter().collect());
        // A session in both lists has just started: the list of pending ones forgets it, so that its end is noticed.
        pending.retain(|id| !running.contains(id));
        let left: Vec<SessionId> = old.into_iter().filter(|id| !self.is_listed(id)).collect();
        let listed = &self.listed;
        self.targets.retain(|request, target| match request {
            Request::Session(id) => {
                matches!(target.state, State::InFlight { .. }) || !listed.iter().any(|list| list.contains(id))
            }
            Request::List(_) | Request::Projects | Request::Fresh(_) | Request::Recent => true,
        });
        // What is pending no more runs, in all likelihood: the list under way is about to say so.
        let other = self.targets.get(&Request::List(List::Running)).map(|target| target.state);
        let may_be_there = list == List::Pending && matches!(other, Some(State::InFlight { .. }));
        let due = if may_be_there { self.grid(now, now, 1) } else { now };
        for id in left {
            self.add(Request::Session(id), due);
        }
    }

    fn is_listed(&self, id: &SessionId) -> bool {
        self.listed.iter().any(|list| list.contains(id))
    }

    fn failed(
        &mut self,
        request: &Request,
        mut target: Target,
        fault: &Fault,
        sent: Duration,
        now: Duration,
        die: f64,
    ) -> Option<Duration> {
        // What concerns all is not this one's failure; the projects, which nothing waits for, count their own.
        if !fault.concerns_all() || *request == Request::Projects {
            target.failures = target.failures.saturating_add(1);
        }
        let by_itself = now.saturating_add(backoff::delay(self.interval, target.failures, die));
        let at = if *request == Request::Projects && !fault.asks_for_rest() {
            // An extra that a server may lack; what its failure would say about all, the others find out.
            self.projects_tried = true;
            if fault.is_unreached() { by_itself } else { now.saturating_add(PROJECTS_EVERY) }
        } else if let Request::Session(id) = request
            && fault.is_absence()
        {
            if self.watches_lists() && !self.named.contains(id) {
                self.targets.remove(request);
                return None;
            }
            target.distance =
                target.distance.saturating_mul(2).clamp(self.interval, LONGEST_ABSENT.max(self.interval));
            now.saturating_add(target.distance)
        } else if fault.concerns_all() {
            self.hold(fault, sent, now, die);
            self.held_until
        } else if fault.is_refusal() {
            now.saturating_add(backoff::after_refusal(self.interval))
        } else {
            by_itself
        };
        target.state = State::Waiting(at);
        self.targets.insert(request.clone(), target);
        Some(at)
    }

    /// Lets nothing be asked for a while. Requests that were under way together fail together: that is one failure,
    /// not four, but what a server asks for counts each time.
    fn hold(&mut self, fault: &Fault, sent: Duration, now: Duration, die: f64) {
        let is_new = sent >= self.held_until;
        if is_new {
            self.failures = self.failures.saturating_add(1);
        }
        let own = if fault.is_refusal() {
            backoff::after_refusal(self.interval)
        } else {
            backoff::delay(self.interval, self.failures, die)
        };
        let rest = match fault.retry_after {
            // One that asks for next to no rest, again and again, gets what it would get without asking.
            Some(asked) if asked > self.interval && !fault.is_refusal() => asked,
            Some(asked) => asked.max(own),
            None if is_new => own,
            None => Duration::ZERO,
        };
        self.held_until = self.held_until.max(now.saturating_add(rest));
    }

    /// What waits, for whatever reason, is due now; if it is paused, as soon as it goes on.
    pub fn refresh(&mut self, now: Duration) {
        self.held_until = now;
        self.failures = 0;
        self.passed_over = self.in_flight.min(IN_FLIGHT);
        for (request, target) in &mut self.targets {
            if let State::Waiting(at) = &mut target.state
                && *request != Request::Projects
            {
                *at = now.min(*at); // what is due already keeps its turn
            }
        }
    }

    /// Nothing more is asked until [`Plan::resume`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on where [`Plan::pause`] stopped it. What fell due meanwhile is due now, once.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    fn watches_lists(&self) -> bool {
        List::ALL.into_iter().any(|list| self.targets.contains_key(&Request::List(list)))
    }

    fn every(&self, request: &Request) -> u32 {
        if *request == Request::List(List::Pending) { PENDING_EVERY } else { 1 }
    }

    /// The point of the grid that is `rounds` intervals after `sent`, or one that is not long past: an answer that took
    /// longer than that skips rounds.
    fn grid(&self, sent: Duration, now: Duration, rounds: u32) -> Duration {
        let step = self.interval.as_nanos().max(1);
        let nearest =
            |at: Duration| (at.saturating_sub(self.epoch).as_nanos().saturating_add(step / 2)) / step;
        let point = nearest(sent).saturating_add(u128::from(rounds)).max(nearest(now)).saturating_mul(step);
        self.epoch.saturating_add(Duration::from_nanos(u64::try_from(point).unwrap_or(u64::MAX)))
    }
}

fn rank(request: &Request) -> &str {
    match request {
        Request::List(List::Running) => "",
        Request::List(List::Pending) => " ",
        Request::Session(id) | Request::Fresh(id) => id.raw(),
        Request::Projects | Request::Recent => "~",
    }
}

#[cfg(test)]
mod tests;
