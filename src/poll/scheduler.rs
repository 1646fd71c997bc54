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
//! Up to [`MAX_POLLED_SINGLY`] sessions are asked for singly. More, or all, are looked for in the two lists, and asked for singly only if
//! they left these or if these do not show them. Lists go before single requests, and the newest ends before the older.
//!
//! Failures that concern one session delay that session. Failures that concern all (no network, the key refused, a
//! rate limit) hold everything, and then one request alone goes first: a server that comes back is not met by a burst.

mod list_membership;
mod priority;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::PollLimits;
use super::rate_limiter::RateLimiter;
use crate::api::RateLimit;
use keepwatch_core::backoff;
use keepwatch_core::session::Targets;
use keepwatch_core::session::{ApiError, List, SessionId};
use list_membership::ListMembership;

/// How many polls may be in flight at a time.
// promise: requests-in-flight, mutant: = 4 -> = 64
pub const MAX_IN_FLIGHT: usize = 4;
/// Up to so many named sessions are asked for singly: a list may hold a thousand others.
pub const MAX_POLLED_SINGLY: usize = 4;
/// The list of pending sessions is asked every so many intervals: a session stays pending for seconds.
// promise: pending-interval, mutant: = 3 -> = 1
const PENDING_EVERY: u32 = 3;
/// How often the projects are read again, for their limits and defaults.
const PROJECTS_EVERY: Duration = Duration::from_secs(60 * 60);
/// A session that says RUNNING while the list lacks it is asked at doubling distances up to this.
const MAX_UNLISTED_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// An id that does not exist is asked at growing distances up to this: it may be created yet.
const MAX_NOT_FOUND_INTERVAL: Duration = Duration::from_secs(60);

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
    ConnectUrls(SessionId),
    /// The sessions of the project in whatever state, because the reader asked. Not of the plan either.
    RecentSessions,
    /// The live view of one session, because the reader asked. Not of the plan either.
    LiveView(SessionId),
    /// The release of one session, because the reader asked. Not of the plan either.
    Release(SessionId),
}

/// What an answer means for the plan.
#[derive(Clone, Debug)]
pub enum PollOutcome<'a> {
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
pub struct Scheduler {
    interval: Duration,
    /// Point zero of the grid.
    grid_start: Duration,
    targets: HashMap<Request, PollTarget>,
    /// Named while all sessions are watched: asked singly while the lists lack them, whatever the answer.
    added_sessions: HashSet<SessionId>,
    /// What the lists hold, while they are asked for.
    lists: Option<ListMembership>,
    rate_limiter: RateLimiter,
    /// Whether the newest poll was for a list.
    last_poll_was_list: bool,
    in_flight: usize,
    /// Of these, how many do not count, because the reader asked for everything while they were under way.
    ignored_in_flight: usize,
    /// Nothing is polled before this.
    backoff_until: Duration,
    /// Failures in a row that concerned all.
    shared_failures: u32,
    /// Whether the projects were answered, in whatever way.
    has_polled_projects: bool,
    is_paused: bool,
}

#[derive(Clone, Copy, Debug)]
struct PollTarget {
    state: PollState,
    failures: u32,
    /// For an unlisted or absent session: how far apart it is asked.
    retry_interval: Duration,
    /// When it left the lists, until it is known why.
    left_lists_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PollState {
    Waiting(Duration),
    InFlight { sent: Duration },
}

impl Scheduler {
    /// A plan whose first round is due at `now`.
    #[must_use]
    pub fn new(targets: &Targets, limits: PollLimits, now: Duration) -> Self {
        let lists = match targets {
            Targets::Ids(ids) => (ids.len() > MAX_POLLED_SINGLY).then(|| ListMembership::for_named(ids)),
            Targets::All | Targets::OneList(_) => Some(ListMembership::default()),
        };
        let mut plan = Self {
            interval: limits.interval,
            grid_start: now,
            targets: HashMap::new(),
            added_sessions: HashSet::new(),
            lists,
            rate_limiter: RateLimiter::new(limits.max_rps, now),
            last_poll_was_list: false,
            in_flight: 0,
            ignored_in_flight: 0,
            backoff_until: now,
            shared_failures: 0,
            has_polled_projects: false,
            is_paused: false,
        };
        match targets {
            Targets::Ids(ids) if !plan.polls_lists() => {
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
        self.added_sessions.insert(id.clone());
        if let Some(lists) = &mut self.lists {
            lists.add_named(&id);
        }
        let target = self.add(Request::Session(id), now);
        if let PollState::Waiting(at) = &mut target.state {
            *at = now.min(*at);
        }
    }

    /// Asks for a session no more, which is not there. What is under way is taken as ever.
    pub fn unwatch(&mut self, id: SessionId) {
        self.added_sessions.remove(&id);
        let request = Request::Session(id);
        if self.targets.get(&request).is_some_and(|target| matches!(target.state, PollState::Waiting(_))) {
            self.targets.remove(&request);
        }
        self.mark_ended(&request);
    }

    fn add(&mut self, request: Request, due: Duration) -> &mut PollTarget {
        self.targets.entry(request).or_insert(PollTarget {
            state: PollState::Waiting(due),
            failures: 0,
            retry_interval: Duration::ZERO,
            left_lists_at: None,
        })
    }

    /// A reply says what is left of the server's limit.
    pub fn update_rate_limit(&mut self, rate_limit: RateLimit, now: Duration) {
        self.rate_limiter.update_from_headers(rate_limit, now);
    }

    /// What came back for `request` at `now`. `die` is 0 to 1. Returns when it will be asked again.
    pub fn on_response(
        &mut self,
        request: &Request,
        outcome: PollOutcome<'_>,
        now: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        let target = self.targets.get(request).copied()?;
        let PollState::InFlight { sent } = target.state else { return None };
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ignored_in_flight = self.ignored_in_flight.min(self.in_flight);
        if !matches!(outcome, PollOutcome::Failed(error) if error.affects_all_requests()) {
            self.shared_failures = 0;
        }
        if let Request::List(_) = request
            && !self.polls_lists()
        {
            self.targets.remove(request); // given up while it was under way
            if let PollOutcome::Failed(error) = outcome
                && error.affects_all_requests()
            {
                self.back_off_all(error, sent, now, jitter);
            }
            return None;
        }
        let next_poll = match outcome {
            PollOutcome::Ended => {
                self.mark_ended(request);
                None
            }
            PollOutcome::Alive => self.next_poll_of_live(request, &target, sent, now),
            PollOutcome::Listed(ids) => {
                if let Request::List(list) = request {
                    self.apply_list(*list, ids, now);
                }
                Some(self.next_grid_point(sent, now, self.rounds_between_polls(request)))
            }
            PollOutcome::Projects => {
                self.has_polled_projects = true;
                Some(now.saturating_add(PROJECTS_EVERY))
            }
            PollOutcome::Failed(error) => return self.on_failure(request, target, error, sent, now, jitter),
        };
        match next_poll {
            Some(at) => {
                let distance =
                    self.targets.get(request).map_or(target.retry_interval, |now| now.retry_interval);
                let state = PollState::Waiting(at);
                self.targets.insert(
                    request.clone(),
                    PollTarget { state, failures: 0, retry_interval: distance, left_lists_at: None },
                );
            }
            None => {
                self.targets.remove(request);
            }
        }
        next_poll
    }

    /// A single session lives. If the lists are what is watched, it is asked only while they lack it.
    fn next_poll_of_live(
        &mut self,
        request: &Request,
        target: &PollTarget,
        sent: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let Request::Session(id) = request else { return None };
        let (distance, at) = if !self.polls_lists() {
            (Duration::ZERO, self.next_grid_point(sent, now, 1))
        } else if self.lists.as_ref().is_some_and(|lists| lists.contains(id)) {
            return None;
        } else if self.added_sessions.contains(id) {
            (Duration::ZERO, self.next_grid_point(sent, now, 1))
        } else {
            let longest = MAX_UNLISTED_INTERVAL.max(self.interval);
            let distance = target.retry_interval.saturating_mul(2).clamp(self.interval, longest);
            (distance, now.saturating_add(distance))
        };
        if let Some(target) = self.targets.get_mut(request) {
            target.retry_interval = distance;
        }
        Some(at)
    }

    fn on_failure(
        &mut self,
        request: &Request,
        mut target: PollTarget,
        error: &ApiError,
        sent: Duration,
        now: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        if let Request::List(list) = request
            && !error.affects_all_requests()
            && self.on_list_failure(*list, error, now)
        {
            return None;
        }
        // What concerns all is not this one's failure; the projects, which nothing waits for, count their own.
        if !error.affects_all_requests() || *request == Request::Projects {
            target.failures = target.failures.saturating_add(1);
        }
        let own_retry = now.saturating_add(backoff::poll_delay(self.interval, target.failures, jitter));
        let at = if *request == Request::Projects && !error.is_throttled() {
            // An extra that a server may lack; what its failure would say about all, the others find out.
            self.has_polled_projects = true;
            if error.is_network_error() { own_retry } else { now.saturating_add(PROJECTS_EVERY) }
        } else if let Request::Session(id) = request
            && error.is_not_found()
        {
            let of_all = self.lists.as_ref().is_some_and(|lists| !lists.is_for_named());
            if of_all && !self.added_sessions.contains(id) {
                self.targets.remove(request);
                return None;
            }
            target.retry_interval = target
                .retry_interval
                .saturating_mul(2)
                .clamp(self.interval, MAX_NOT_FOUND_INTERVAL.max(self.interval));
            now.saturating_add(target.retry_interval)
        } else if error.affects_all_requests() {
            self.back_off_all(error, sent, now, jitter);
            self.backoff_until
        } else if error.is_auth_error() {
            now.saturating_add(backoff::auth_delay(self.interval))
        } else {
            own_retry
        };
        target.state = PollState::Waiting(at);
        self.targets.insert(request.clone(), target);
        Some(at)
    }

    /// Lets nothing be asked for a while. Requests that were under way together fail together: that is one failure,
    /// not four, but what a server asks for counts each time.
    fn back_off_all(&mut self, error: &ApiError, sent: Duration, now: Duration, jitter: f64) {
        let is_new = sent >= self.backoff_until;
        if is_new {
            self.shared_failures = self.shared_failures.saturating_add(1);
        }
        let own_delay = if error.is_auth_error() {
            backoff::auth_delay(self.interval)
        } else {
            backoff::poll_delay(self.interval, self.shared_failures, jitter)
        };
        let delay = match error.retry_after {
            // One that asks for next to no rest, again and again, gets what it would get without asking.
            // promise: retry-after, mutant: => asked -> => own
            Some(asked) if asked > self.interval && !error.is_auth_error() => asked,
            Some(asked) => asked.max(own_delay),
            None if is_new => own_delay,
            None => Duration::ZERO,
        };
        self.backoff_until = self.backoff_until.max(now.saturating_add(delay));
    }

    /// What waits, for whatever reason, is due now; if it is paused, as soon as it goes on.
    pub fn refresh(&mut self, now: Duration) {
        self.backoff_until = now;
        self.rate_limiter.forget_server_limit();
        self.shared_failures = 0;
        self.ignored_in_flight = self.in_flight.min(MAX_IN_FLIGHT);
        for (request, target) in &mut self.targets {
            if let PollState::Waiting(at) = &mut target.state
                && *request != Request::Projects
            {
                *at = now.min(*at); // what is due already keeps its turn
            }
        }
    }

    /// Nothing more is asked until [`Scheduler::resume`].
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Goes on where [`Scheduler::pause`] stopped it. What fell due meanwhile is due now, once.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }

    fn rounds_between_polls(&self, request: &Request) -> u32 {
        if *request == Request::List(List::Pending) { PENDING_EVERY } else { 1 }
    }

    /// The point of the grid that is `rounds` intervals after `sent`, or one that is not long past: an answer that took
    /// longer than that skips rounds.
    fn next_grid_point(&self, sent: Duration, now: Duration, rounds: u32) -> Duration {
        let step = self.interval.as_nanos().max(1);
        let nearest =
            |at: Duration| (at.saturating_sub(self.grid_start).as_nanos().saturating_add(step / 2)) / step;
        let point = nearest(sent).saturating_add(u128::from(rounds)).max(nearest(now)).saturating_mul(step);
        self.grid_start.saturating_add(Duration::from_nanos(u64::try_from(point).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests;
