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
//! Up to [`FEW`] sessions are asked for singly. More, or all, are looked for in the two lists, and asked for singly only if
//! they left these or if these do not show them. Lists go before single requests, and the newest ends before the older.
//!
//! Failures that concern one session delay that session. Failures that concern all (no network, the key refused, a
//! rate limit) hold everything, and then one request alone goes first: a server that comes back is not met by a burst.

mod lists;
mod turn;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::PollLimits;
use super::budget::Budget;
use crate::api::Allowance;
use keepwatch_core::backoff;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{ApiError, List, SessionId};
use lists::Lists;

/// How many polls may be in flight at a time.
// promise: requests-in-flight, mutant: = 4 -> = 64
pub const IN_FLIGHT: usize = 4;
/// Up to so many named sessions are asked for singly: a list may hold a thousand others.
pub const FEW: usize = 4;
/// The list of pending sessions is asked every so many intervals: a session stays pending for seconds.
// promise: pending-interval, mutant: = 3 -> = 1
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
    /// The live view of one session, because the reader asked. Not of the plan either.
    LiveView(SessionId),
    /// The release of one session, because the reader asked. Not of the plan either.
    Release(SessionId),
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
    Failed(&'a ApiError),
}

/// When the targets are asked. Times are the monotonic clock's.
#[derive(Debug)]
pub struct Plan {
    interval: Duration,
    /// Point zero of the grid.
    epoch: Duration,
    targets: HashMap<Request, Target>,
    /// Named while all sessions are watched: asked singly while the lists lack them, whatever the answer.
    added: HashSet<SessionId>,
    /// What the lists hold, while they are asked for.
    lists: Option<Lists>,
    budget: Budget,
    /// Whether the newest poll was for a list.
    list_went_last: bool,
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
    /// When it left the lists, until it is known why.
    left: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(Duration),
    InFlight { sent: Duration },
}

impl Plan {
    /// A plan whose first round is due at `now`.
    #[must_use]
    pub fn new(targets: &Targets, pace: PollLimits, now: Duration) -> Self {
        let lists = match targets {
            Targets::Ids(ids) => (ids.len() > FEW).then(|| Lists::of(ids)),
            Targets::All | Targets::OneList(_) => Some(Lists::default()),
        };
        let mut plan = Self {
            interval: pace.interval,
            epoch: now,
            targets: HashMap::new(),
            added: HashSet::new(),
            lists,
            budget: Budget::new(pace.max_rps, now),
            list_went_last: false,
            in_flight: 0,
            passed_over: 0,
            held_until: now,
            failures: 0,
            projects_tried: false,
            paused: false,
        };
        match targets {
            Targets::Ids(ids) if !plan.watches_lists() => {
                for id in ids {
                    plan.add(Request::Session(id.clone()), now);
                }
            }
            Targets::Ids(_) => List::ALL.into_iter().for_each(|list| {
                plan.add(Request::List(list), now);
            }),
            of_lists => of_lists.lists().iter().for_each(|list| {
                plan.add(Request::List(*list), now);
            }),
        }
        plan.add(Request::Projects, now);
        plan
    }

    /// Watches one more session, as one that was named at the start. It is due at once.
    pub fn watch(&mut self, id: SessionId, now: Duration) {
        self.added.insert(id.clone());
        if let Some(lists) = &mut self.lists {
            lists.name(&id);
        }
        let target = self.add(Request::Session(id), now);
        if let State::Waiting(at) = &mut target.state {
            *at = now.min(*at);
        }
    }

    /// Asks for a session no more, which is not there. What is under way is taken as ever.
    pub fn leave(&mut self, id: SessionId) {
        self.added.remove(&id);
        let request = Request::Session(id);
        if self.targets.get(&request).is_some_and(|target| matches!(target.state, State::Waiting(_))) {
            self.targets.remove(&request);
        }
        self.end(&request);
    }

    fn add(&mut self, request: Request, due: Duration) -> &mut Target {
        self.targets.entry(request).or_insert(Target {
            state: State::Waiting(due),
            failures: 0,
            distance: Duration::ZERO,
            left: None,
        })
    }

    /// A reply says what is left of the server's limit.
    pub fn learn(&mut self, allowance: Allowance, now: Duration) {
        self.budget.learn(allowance, now);
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
        if !matches!(outcome, Outcome::Failed(fault) if fault.affects_all_requests()) {
            self.failures = 0;
        }
        if let Request::List(_) = request
            && !self.watches_lists()
        {
            self.targets.remove(request); // given up while it was under way
            if let Outcome::Failed(fault) = outcome
                && fault.affects_all_requests()
            {
                self.hold(fault, sent, now, die);
            }
            return None;
        }
        let again = match outcome {
            Outcome::Ended => {
                self.end(request);
                None
            }
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
                let state = State::Waiting(at);
                self.targets.insert(request.clone(), Target { state, failures: 0, distance, left: None });
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
        } else if self.lists.as_ref().is_some_and(|lists| lists.hold(id)) {
            return None;
        } else if self.added.contains(id) {
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

    fn failed(
        &mut self,
        request: &Request,
        mut target: Target,
        fault: &ApiError,
        sent: Duration,
        now: Duration,
        die: f64,
    ) -> Option<Duration> {
        if let Request::List(list) = request
            && !fault.affects_all_requests()
            && self.list_failed(*list, fault, now)
        {
            return None;
        }
        // What concerns all is not this one's failure; the projects, which nothing waits for, count their own.
        if !fault.affects_all_requests() || *request == Request::Projects {
            target.failures = target.failures.saturating_add(1);
        }
        let by_itself = now.saturating_add(backoff::poll_delay(self.interval, target.failures, die));
        let at = if *request == Request::Projects && !fault.is_throttled() {
            // An extra that a server may lack; what its failure would say about all, the others find out.
            self.projects_tried = true;
            if fault.is_network_error() { by_itself } else { now.saturating_add(PROJECTS_EVERY) }
        } else if let Request::Session(id) = request
            && fault.is_not_found()
        {
            let of_all = self.lists.as_ref().is_some_and(|lists| !lists.are_of_named());
            if of_all && !self.added.contains(id) {
                self.targets.remove(request);
                return None;
            }
            target.distance =
                target.distance.saturating_mul(2).clamp(self.interval, LONGEST_ABSENT.max(self.interval));
            now.saturating_add(target.distance)
        } else if fault.affects_all_requests() {
            self.hold(fault, sent, now, die);
            self.held_until
        } else if fault.is_auth_error() {
            now.saturating_add(backoff::auth_delay(self.interval))
        } else {
            by_itself
        };
        target.state = State::Waiting(at);
        self.targets.insert(request.clone(), target);
        Some(at)
    }

    /// Lets nothing be asked for a while. Requests that were under way together fail together: that is one failure,
    /// not four, but what a server asks for counts each time.
    fn hold(&mut self, fault: &ApiError, sent: Duration, now: Duration, die: f64) {
        let is_new = sent >= self.held_until;
        if is_new {
            self.failures = self.failures.saturating_add(1);
        }
        let own = if fault.is_auth_error() {
            backoff::auth_delay(self.interval)
        } else {
            backoff::poll_delay(self.interval, self.failures, die)
        };
        let rest = match fault.retry_after {
            // One that asks for next to no rest, again and again, gets what it would get without asking.
            // promise: retry-after, mutant: => asked -> => own
            Some(asked) if asked > self.interval && !fault.is_auth_error() => asked,
            Some(asked) => asked.max(own),
            None if is_new => own,
            None => Duration::ZERO,
        };
        self.held_until = self.held_until.max(now.saturating_add(rest));
    }

    /// What waits, for whatever reason, is due now; if it is paused, as soon as it goes on.
    pub fn refresh(&mut self, now: Duration) {
        self.held_until = now;
        self.budget.forget();
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

#[cfg(test)]
mod tests;
