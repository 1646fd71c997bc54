//! The scheduler: decides which request to send at which time. It is pure: the caller passes in the time and the
//! outcomes. It never sends anything itself.
//!
//! ```text
//!                     ┌───────── response, alive: the next point of the grid ──────┐
//!                     ▼                                                            │
//!   target ────► Waiting ── due, a slot is free, no backoff ──► InFlight ──────────┤
//!                     ▲                                                            │
//!                     └───────── failure: backoff, for one target or for all ──────┤
//!                                                                                  ▼
//!                                              response, ended ──► removed, never polled again
//! ```
//!
//! A target in this picture is a request that the scheduler repeats. The grid is `start + k·interval`. Polls that are
//! due together are sent together, so the screen changes once.
//!
//! Up to [`MAX_POLLED_SINGLY`] named sessions are polled singly. If more are named, or if all sessions are watched, the
//! scheduler polls the lists (running, pending) instead. It then polls a session singly only after the session left the
//! lists, or if the user named the session and no list contains it. List polls go before single polls. Of the sessions
//! that left the lists, the one that left last goes first.
//!
//! A failure that concerns one session delays that session. A failure that concerns all polls (no network, a rejected
//! API key, a rate limit) delays all of them. After such a failure, the scheduler sends only one request at first, so
//! that a server that recovers does not receive a burst.

mod list_membership;
mod priority;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::PollLimits;
use super::rate_limiter::RateLimiter;
use crate::api::RateLimit;
use keepwatch_core::backoff;
use keepwatch_core::session::{ApiError, List, SessionId, Targets};
use list_membership::ListMembership;

/// The maximum number of polls in flight at a time.
// promise: requests-in-flight, mutant: = 4 -> = 64
pub const MAX_IN_FLIGHT: usize = 4;
/// The maximum number of named sessions that are polled singly. Their responses together are usually smaller than one
/// list, which may contain a thousand other sessions.
pub const MAX_POLLED_SINGLY: usize = 4;
/// The number of intervals between polls of the list of pending sessions. A session stays pending only for seconds, so
/// polling this list more often gains little.
// promise: pending-interval, mutant: = 3 -> = 1
const PENDING_ROUNDS: u32 = 3;
/// The time between polls of the projects, whose limits and defaults rarely change.
const PROJECTS_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The maximum interval between polls of a live session that no list contains. The interval doubles with each poll.
const MAX_UNLISTED_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The maximum interval between polls of an id that does not exist. Polling continues, because the session may yet be
/// created. The interval doubles with each poll.
const MAX_NOT_FOUND_INTERVAL: Duration = Duration::from_secs(60);

/// One request, as the poller sends it. The scheduler repeats `Session`, `List` and `Projects`. Only the user triggers
/// the other requests, and the scheduler never delays them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// One session.
    Session(SessionId),
    /// One list.
    List(List),
    /// The projects that the API key can access.
    Projects,
    /// One session with its connect fields.
    ConnectUrls(SessionId),
    /// The project's sessions of every status.
    RecentSessions,
    /// The live view of one session.
    LiveView(SessionId),
    /// The release of one session.
    Release(SessionId),
}

/// The part of a report that matters to the scheduler.
#[derive(Clone, Debug)]
pub enum PollOutcome<'a> {
    /// The session has not ended. Also the outcome of the user's requests, which the scheduler ignores.
    Alive,
    /// The session has ended.
    Ended,
    /// The list contains these sessions.
    Listed(Vec<SessionId>),
    /// The projects arrived.
    Projects,
    /// The request failed.
    Failed(&'a ApiError),
}

/// The state of all polls of one profile. Times are those of the monotonic clock.
#[derive(Debug)]
pub struct Scheduler {
    interval: Duration,
    /// The first point of the grid.
    grid_start: Duration,
    /// The requests that are repeated, with the state of each.
    poll_targets: HashMap<Request, PollTarget>,
    /// Sessions that the user named after the start. They are polled singly while no list contains them, even if they
    /// do not exist.
    added_sessions: HashSet<SessionId>,
    /// The contents of the lists; `None` if lists are not polled.
    lists: Option<ListMembership>,
    rate_limiter: RateLimiter,
    /// True if the newest poll was for a list.
    last_poll_was_list: bool,
    /// The number of polls in flight.
    in_flight: usize,
    /// The number of polls in flight that take no slot, because they were sent before the last refresh.
    ignored_in_flight: usize,
    /// The end of the backoff for all polls.
    backoff_until: Duration,
    /// The number of consecutive failures that concern all polls.
    shared_failures: u32,
    /// True once the projects were polled with any result but throttling.
    has_polled_projects: bool,
    is_paused: bool,
}

/// The state of a request that is repeated.
#[derive(Clone, Copy, Debug)]
struct PollTarget {
    state: PollState,
    /// The number of consecutive failures that concern only this target.
    failures: u32,
    /// The current interval between polls of a session that no list contains or that does not exist.
    slow_interval: Duration,
    /// The time at which the session left the lists. For a session of an earlier run, the time at which it was added.
    /// `None` for every other target, and after the next successful poll.
    left_lists_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PollState {
    /// The poll is due at this time.
    Waiting(Duration),
    /// The request was sent at this time.
    InFlight { sent: Duration },
}

impl Scheduler {
    /// Creates a scheduler whose first polls are due at `now`.
    #[must_use]
    pub fn new(targets: &Targets, limits: PollLimits, now: Duration) -> Self {
        let lists = match targets {
            Targets::Ids(ids) => (ids.len() > MAX_POLLED_SINGLY).then(|| ListMembership::for_named(ids)),
            Targets::All | Targets::OneList(_) => Some(ListMembership::default()),
        };
        let mut scheduler = Self {
            interval: limits.interval,
            grid_start: now,
            poll_targets: HashMap::new(),
            added_sessions: HashSet::new(),
            lists,
            rate_limiter: RateLimiter::new(limits.max_rps),
            last_poll_was_list: false,
            in_flight: 0,
            ignored_in_flight: 0,
            backoff_until: now,
            shared_failures: 0,
            has_polled_projects: false,
            is_paused: false,
        };
        match targets {
            Targets::Ids(ids) if !scheduler.polls_lists() => {
                for id in ids {
                    scheduler.add(Request::Session(id.clone()), now);
                }
            }
            Targets::Ids(_) => List::ALL.into_iter().for_each(|list| {
                scheduler.add(Request::List(list), now);
            }),
            targets => targets.lists().iter().for_each(|list| {
                scheduler.add(Request::List(*list), now);
            }),
        }
        scheduler.add(Request::Projects, now);
        scheduler
    }

    /// Adds a session as if it had been named at the start. Its poll is due at once.
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

    /// Stops polling a session. A poll in flight is processed as usual.
    pub fn unwatch(&mut self, id: SessionId) {
        self.added_sessions.remove(&id);
        let request = Request::Session(id);
        if self.poll_targets.get(&request).is_some_and(|target| matches!(target.state, PollState::Waiting(_)))
        {
            self.poll_targets.remove(&request);
        }
        self.forget_session(&request);
    }

    /// Adds a poll target whose first poll is due at `due`. Returns the existing poll target if there is one.
    fn add(&mut self, request: Request, due: Duration) -> &mut PollTarget {
        self.poll_targets.entry(request).or_insert(PollTarget {
            state: PollState::Waiting(due),
            failures: 0,
            slow_interval: Duration::ZERO,
            left_lists_at: None,
        })
    }

    /// Applies the server's rate limit from a response.
    pub fn update_rate_limit(&mut self, rate_limit: RateLimit, now: Duration) {
        self.rate_limiter.update_from_headers(rate_limit, now);
    }

    /// Applies the outcome of `request`. The outcome arrived at `now`. `jitter` is from 0 to 1; a larger value shortens
    /// a backoff. Returns the time of the next poll; `None` if the scheduler will not repeat the request.
    pub fn on_outcome(
        &mut self,
        request: &Request,
        outcome: PollOutcome<'_>,
        now: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        let target = self.poll_targets.get(request).copied()?;
        let PollState::InFlight { sent } = target.state else { return None };
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ignored_in_flight = self.ignored_in_flight.min(self.in_flight);
        if !matches!(outcome, PollOutcome::Failed(error) if error.affects_all_requests()) {
            self.shared_failures = 0;
        }
        if let Request::List(_) = request
            && !self.polls_lists()
        {
            self.poll_targets.remove(request); // polling of lists stopped while this request was in flight
            if let PollOutcome::Failed(error) = outcome
                && error.affects_all_requests()
            {
                self.back_off_all(error, sent, now, jitter);
            }
            return None;
        }
        let next_poll = match outcome {
            PollOutcome::Ended => {
                self.forget_session(request);
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
                Some(now.saturating_add(PROJECTS_INTERVAL))
            }
            PollOutcome::Failed(error) => return self.on_failure(request, target, error, sent, now, jitter),
        };
        match next_poll {
            Some(at) => {
                let slow_interval = self
                    .poll_targets
                    .get(request)
                    .map_or(target.slow_interval, |target| target.slow_interval);
                let state = PollState::Waiting(at);
                self.poll_targets.insert(
                    request.clone(),
                    PollTarget { state, failures: 0, slow_interval, left_lists_at: None },
                );
            }
            None => {
                self.poll_targets.remove(request);
            }
        }
        next_poll
    }

    /// Returns the time of the next poll of a live session, and updates its slow interval. While lists are polled, a
    /// session is polled singly only if no list contains it.
    fn next_poll_of_live(
        &mut self,
        request: &Request,
        target: &PollTarget,
        sent: Duration,
        now: Duration,
    ) -> Option<Duration> {
        let Request::Session(id) = request else { return None };
        let (slow_interval, at) = if !self.polls_lists() {
            (Duration::ZERO, self.next_grid_point(sent, now, 1))
        } else if self.lists.as_ref().is_some_and(|lists| lists.contains(id)) {
            return None;
        } else if self.added_sessions.contains(id) {
            (Duration::ZERO, self.next_grid_point(sent, now, 1))
        } else {
            let max_interval = MAX_UNLISTED_INTERVAL.max(self.interval);
            let slow_interval = target.slow_interval.saturating_mul(2).clamp(self.interval, max_interval);
            (slow_interval, now.saturating_add(slow_interval))
        };
        if let Some(target) = self.poll_targets.get_mut(request) {
            target.slow_interval = slow_interval;
        }
        Some(at)
    }

    /// Applies a failure. Returns the time of the next poll.
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
        // `shared_failures` counts the failures that concern all polls. The projects are optional, and most of their
        // failures delay no other poll. So the poll target of the projects counts all of its failures.
        if !error.affects_all_requests() || *request == Request::Projects {
            target.failures = target.failures.saturating_add(1);
        }
        let target_retry = now.saturating_add(backoff::poll_delay(self.interval, target.failures, jitter));
        let at = if *request == Request::Projects && !error.is_throttled() {
            // A server may lack projects. If the failure concerns all polls, another poll will notice it.
            self.has_polled_projects = true;
            if error.is_network_error() { target_retry } else { now.saturating_add(PROJECTS_INTERVAL) }
        } else if let Request::Session(id) = request
            && error.is_not_found()
        {
            let watches_all = self.lists.as_ref().is_some_and(|lists| !lists.watches_only_named());
            if watches_all && !self.added_sessions.contains(id) {
                // The session left the lists, and the API no longer knows it.
                self.poll_targets.remove(request);
                return None;
            }
            target.slow_interval = target
                .slow_interval
                .saturating_mul(2)
                .clamp(self.interval, MAX_NOT_FOUND_INTERVAL.max(self.interval));
            now.saturating_add(target.slow_interval)
        } else if error.affects_all_requests() {
            self.back_off_all(error, sent, now, jitter);
            self.backoff_until
        } else if error.is_auth_error() {
            now.saturating_add(backoff::auth_delay(self.interval))
        } else {
            target_retry
        };
        target.state = PollState::Waiting(at);
        self.poll_targets.insert(request.clone(), target);
        Some(at)
    }

    /// Delays all polls. Failures of requests that were in flight together count as one. Every `retry-after` is
    /// honoured.
    fn back_off_all(&mut self, error: &ApiError, sent: Duration, now: Duration, jitter: f64) {
        let is_new_failure = sent >= self.backoff_until;
        if is_new_failure {
            self.shared_failures = self.shared_failures.saturating_add(1);
        }
        let own_delay = if error.is_auth_error() {
            backoff::auth_delay(self.interval)
        } else {
            backoff::poll_delay(self.interval, self.shared_failures, jitter)
        };
        let delay = match error.retry_after {
            // A `retry-after` within one interval does not shorten the backoff: a server may send a very short delay
            // again and again.
            // promise: retry-after, mutant: => retry_after -> => own_delay
            Some(retry_after) if retry_after > self.interval && !error.is_auth_error() => retry_after,
            Some(retry_after) => retry_after.max(own_delay),
            None if is_new_failure => own_delay,
            None => Duration::ZERO,
        };
        self.backoff_until = self.backoff_until.max(now.saturating_add(delay));
    }

    /// Ends the backoff and the server's rate limit, and makes all waiting polls due now, except that of the projects.
    /// During a pause, the scheduler sends them only after [`Scheduler::resume`].
    pub fn refresh(&mut self, now: Duration) {
        self.backoff_until = now;
        self.rate_limiter.forget_server_limit();
        self.shared_failures = 0;
        // A request in flight may hang on a dead connection. It must not keep the new polls from starting.
        self.ignored_in_flight = self.in_flight.min(MAX_IN_FLIGHT);
        for (request, target) in &mut self.poll_targets {
            if let PollState::Waiting(at) = &mut target.state
                && *request != Request::Projects
            {
                *at = now.min(*at); // overdue polls keep their order
            }
        }
    }

    /// Stops all polls until [`Scheduler::resume`].
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Ends a pause. A target that missed polls during the pause is polled once, however many it missed.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }

    /// Returns the number of intervals between two polls of `request`.
    fn rounds_between_polls(&self, request: &Request) -> u32 {
        if *request == Request::List(List::Pending) { PENDING_ROUNDS } else { 1 }
    }

    /// Returns the grid point that is `rounds` intervals after the point nearest to `sent`, or the point nearest to
    /// `now`, if that is later. So a slow response skips rounds.
    fn next_grid_point(&self, sent: Duration, now: Duration, rounds: u32) -> Duration {
        let step = self.interval.as_nanos().max(1);
        let nearest_round =
            |at: Duration| (at.saturating_sub(self.grid_start).as_nanos().saturating_add(step / 2)) / step;
        let round = nearest_round(sent).saturating_add(u128::from(rounds)).max(nearest_round(now));
        let nanos = u64::try_from(round.saturating_mul(step)).unwrap_or(u64::MAX);
        self.grid_start.saturating_add(Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests;
