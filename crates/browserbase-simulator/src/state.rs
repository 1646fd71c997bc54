//! The state that changes while a simulator runs: the world, the remaining faults, the rate limit, the request log and
//! the counts.
//!
//! The module picks the fault of each request. It never reads a clock: callers pass the time.

use std::collections::VecDeque;
use std::time::Duration;

use super::fault::{Fault, FaultTarget};
use super::rate_limit::{FixedWindow, RateLimitStatus};
use super::scenario_time::Offset;
use super::world::World;
use keepwatch_core::session::Secret;

/// The maximum number of requests in the log.
const MAX_LOG_ENTRIES: usize = 10_000;
/// The maximum number of connect URLs that the state keeps.
const MAX_CONNECT_URLS: usize = 1_000;

/// A request in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLogEntry {
    /// The time from the simulator's start to the arrival of the request, on the simulator's clock.
    pub at: Duration,
    /// The HTTP method.
    pub method: String,
    /// The path, as sent.
    pub path: String,
    /// The query, as sent, without the `?`. Empty if there is none.
    pub query: String,
    /// The status of the response. `None` if the server has sent no response.
    pub status: Option<u16>,
    /// The time from the simulator's start to the response, on the simulator's clock. `None` if the server has sent no
    /// response.
    pub answered_at: Option<Duration>,
    /// The [`Fault::label`] of the fault that affected the request. `None` without a fault.
    pub fault: Option<&'static str>,
}

/// The number of requests, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// `GET /v1/sessions`.
    pub list: u64,
    /// `GET /v1/sessions/{id}`.
    pub retrieve: u64,
    /// `POST /v1/sessions`.
    pub create: u64,
    /// `POST /v1/sessions/{id}`.
    pub release: u64,
    /// `GET /v1/sessions/{id}/debug`.
    pub debug: u64,
    /// `GET /v1/sessions/{id}/logs`.
    pub logs: u64,
    /// `GET /v1/projects`, `/v1/projects/{id}` and `/v1/projects/{id}/usage`.
    pub projects: u64,
    /// Everything else.
    pub other: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// The maximum number of requests that were in flight at once.
    pub max_in_flight: u64,
}

/// The operation that a request's method and path mean.
#[derive(Debug)]
pub(super) enum ApiRoute {
    List,
    Create,
    Retrieve(String),
    Release(String),
    Debug(String),
    Logs(String),
    Projects,
    Project(String),
    Usage(String),
    /// A known path with an unsupported method. Holds the supported methods.
    MethodNotAllowed(&'static str),
    /// A known path with an id that is not UTF-8.
    InvalidPath,
    /// An unknown path.
    Unknown,
}

/// The parts of a request that its response depends on.
#[derive(Debug)]
pub(super) struct RequestParts {
    pub(super) method: String,
    pub(super) path: String,
    /// The query, without the `?`.
    pub(super) query: String,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

/// The mutable state of a simulator.
#[derive(Debug)]
pub(super) struct SimState {
    pub(super) world: World,
    /// The faults, in order of precedence. The `count` of each is the number of requests that it will still affect.
    pub(super) faults: Vec<Fault>,
    pub(super) request_log: VecDeque<RequestLogEntry>,
    pub(super) counts: RequestCounts,
    pub(super) connect_urls: VecDeque<Secret>,
    rate_limit: Option<FixedWindow>,
    /// The count of requests so far. Requests are numbered from 0, so this is also the next request's number.
    request_count: u64,
}

impl SimState {
    pub(super) fn new(world: World, faults: Vec<Fault>, rate_limit: Option<FixedWindow>) -> Self {
        Self {
            world,
            faults,
            request_log: VecDeque::new(),
            counts: RequestCounts::default(),
            connect_urls: VecDeque::new(),
            rate_limit,
            request_count: 0,
        }
    }

    /// Logs and counts a request. Returns its number and the fault that affects it.
    pub(super) fn record_request(
        &mut self,
        mut entry: RequestLogEntry,
        route: &ApiRoute,
    ) -> (u64, Option<Fault>) {
        let number = self.request_count;
        self.request_count += 1;
        let counts = &mut self.counts;
        *match route {
            ApiRoute::List => &mut counts.list,
            ApiRoute::Retrieve(_) => &mut counts.retrieve,
            ApiRoute::Create => &mut counts.create,
            ApiRoute::Release(_) => &mut counts.release,
            ApiRoute::Debug(_) => &mut counts.debug,
            ApiRoute::Logs(_) => &mut counts.logs,
            ApiRoute::Projects | ApiRoute::Project(_) | ApiRoute::Usage(_) => &mut counts.projects,
            ApiRoute::MethodNotAllowed(_) | ApiRoute::InvalidPath | ApiRoute::Unknown => &mut counts.other,
        } += 1;
        counts.in_flight += 1;
        counts.max_in_flight = counts.max_in_flight.max(counts.in_flight);
        let fault = self.consume_fault(route, Offset::from_duration(entry.at));
        entry.fault = fault.as_ref().map(Fault::label);
        push_bounded(&mut self.request_log, entry, MAX_LOG_ENTRIES);
        (number, fault)
    }

    /// Logs the response to request `number`, if the log still contains the request.
    pub(super) fn record_response(&mut self, number: u64, status: u16, at: Duration) {
        let index_from_end = usize::try_from(self.request_count.saturating_sub(number)).unwrap_or(usize::MAX);
        if let Some(entry) = self
            .request_log
            .len()
            .checked_sub(index_from_end)
            .and_then(|index| self.request_log.get_mut(index))
        {
            (entry.status, entry.answered_at) = (Some(status), Some(at));
        }
    }

    /// Counts a request that arrives at `at`, a time since the start. Returns the state of the rate limit, or `None` if
    /// the simulator has no rate limit.
    pub(super) fn count_against_limit(&mut self, at: Duration) -> Option<RateLimitStatus> {
        self.rate_limit.as_mut().map(|limit| limit.count_request(at))
    }

    /// Records a URL that a response contains, so that tests can search output for it.
    pub(super) fn record_connect_url(&mut self, connect_url: Secret) {
        push_bounded(&mut self.connect_urls, connect_url, MAX_CONNECT_URLS);
    }

    /// Returns the first fault that affects the request, and decrements the remaining count of the fault.
    fn consume_fault(&mut self, route: &ApiRoute, at: Offset) -> Option<Fault> {
        let world = &self.world;
        let is_target = |target: &FaultTarget| match (target, route) {
            (FaultTarget::All, _)
            | (FaultTarget::List, ApiRoute::List)
            | (FaultTarget::Retrieve, ApiRoute::Retrieve(_))
            | (FaultTarget::Create, ApiRoute::Create)
            | (FaultTarget::Release, ApiRoute::Release(_))
            | (FaultTarget::Debug, ApiRoute::Debug(_))
            | (FaultTarget::Logs, ApiRoute::Logs(_))
            | (FaultTarget::Projects, ApiRoute::Projects | ApiRoute::Project(_) | ApiRoute::Usage(_)) => true,
            (FaultTarget::Session(name_or_id), ApiRoute::Retrieve(id)) => {
                world.has_name_or_id(id, name_or_id)
            }
            _ => false,
        };
        let applies = |fault: &&mut Fault| {
            fault.window.contains(at) && fault.count != Some(0) && is_target(&fault.target)
        };
        let fault = self.faults.iter_mut().find(applies)?;
        fault.count = fault.count.map(|left| left.saturating_sub(1));
        Some(fault.clone())
    }
}

/// Appends `item` to `queue` and evicts the oldest item if there are already `max` items.
fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(item);
}
