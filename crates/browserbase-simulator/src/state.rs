//! What changes while a simulator runs: the world under a test's hand, what is left of the faults, and the log.

use std::collections::VecDeque;
use std::time::Duration;

use super::fault::{Fault, FaultTarget};
use super::rate_limit::{FixedWindow, RateLimitStatus};
use super::scenario_time::Offset;
use super::world::World;
use keepwatch_core::session::Secret;

/// So many requests the log keeps.
const MAX_LOG_ENTRIES: usize = 10_000;
/// So many connect URLs it keeps.
const MAX_CONNECT_URLS: usize = 1_000;

/// One request, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLogEntry {
    /// When it came, since the simulator's start by its clock.
    pub at: Duration,
    /// Its method.
    pub method: String,
    /// Its path, as sent.
    pub path: String,
    /// Its query, as sent and without the `?`; empty if there is none.
    pub query: String,
    /// The status it was answered with; `None` while it is not, or if it never was.
    pub status: Option<u16>,
    /// When it was answered, since the simulator's start by its clock; as `status`.
    pub answered_at: Option<Duration>,
    /// What went wrong with it: [`Fault::label`].
    pub fault: Option<&'static str>,
}

/// How many requests there were, by what they asked for.
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
    /// How many are being answered.
    pub in_flight: u64,
    /// The most that were at once.
    pub max_in_flight: u64,
}

/// What a request asks for.
#[derive(Debug)]
pub(super) enum ApiRoute {
    List,
    Create,
    Retrieve(String),
    Update(String),
    Debug(String),
    Logs(String),
    Projects,
    Project(String),
    Usage(String),
    /// Something that exists and takes other methods: these.
    MethodNotAllowed(&'static str),
    /// Something that does not exist.
    Unknown,
}

/// What of a request its answer depends on.
#[derive(Debug)]
pub(super) struct RequestParts {
    pub(super) method: String,
    pub(super) path: String,
    /// Without the `?`.
    pub(super) query: String,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Everything about a simulator that is not the same for ever.
#[derive(Debug)]
pub(super) struct SimState {
    pub(super) world: World,
    /// In the order in which they are looked through. `count` is what is left of it.
    pub(super) faults: Vec<Fault>,
    pub(super) request_log: VecDeque<RequestLogEntry>,
    pub(super) counts: RequestCounts,
    pub(super) connect_urls: VecDeque<Secret>,
    rate_limit: Option<FixedWindow>,
    /// How many requests there were: the number of the next one.
    request_count: u64,
}

impl SimState {
    pub(super) fn new(world: World, faults: Vec<Fault>, rate_limit: Option<FixedWindow>) -> Self {
        let (log, connect_urls) = (VecDeque::new(), VecDeque::new());
        Self {
            world,
            faults,
            request_log: log,
            counts: RequestCounts::default(),
            connect_urls,
            rate_limit,
            request_count: 0,
        }
    }

    /// Takes down a request that came; its number, and what goes wrong with it.
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
            ApiRoute::Update(_) => &mut counts.release,
            ApiRoute::Debug(_) => &mut counts.debug,
            ApiRoute::Logs(_) => &mut counts.logs,
            ApiRoute::Projects | ApiRoute::Project(_) | ApiRoute::Usage(_) => &mut counts.projects,
            ApiRoute::MethodNotAllowed(_) | ApiRoute::Unknown => &mut counts.other,
        } += 1;
        counts.in_flight += 1;
        counts.max_in_flight = counts.max_in_flight.max(counts.in_flight);
        let fault = self.consume_fault(route, Offset::from_duration(entry.at));
        entry.fault = fault.as_ref().map(Fault::label);
        push_bounded(&mut self.request_log, entry, MAX_LOG_ENTRIES);
        (number, fault)
    }

    /// Takes down how request `number` was answered, if the log still has it.
    pub(super) fn record_response(&mut self, number: u64, status: u16, at: Duration) {
        let from_end = usize::try_from(self.request_count.saturating_sub(number)).unwrap_or(usize::MAX);
        if let Some(entry) =
            self.request_log.len().checked_sub(from_end).and_then(|index| self.request_log.get_mut(index))
        {
            (entry.status, entry.answered_at) = (Some(status), Some(at));
        }
    }

    /// What is left of the limit, if there is one, now that a request came `at` so long after the start.
    pub(super) fn count_against_limit(&mut self, at: Duration) -> Option<RateLimitStatus> {
        self.rate_limit.as_mut().map(|limit| limit.count_request(at))
    }

    /// Takes down a URL with a secret that is on its way out.
    pub(super) fn record_connect_url(&mut self, connect_url: Secret) {
        push_bounded(&mut self.connect_urls, connect_url, MAX_CONNECT_URLS);
    }

    /// The first fault that holds for a request, counted off.
    fn consume_fault(&mut self, route: &ApiRoute, at: Offset) -> Option<Fault> {
        let world = &self.world;
        let is_target = |target: &FaultTarget| match (target, route) {
            (FaultTarget::All, _)
            | (FaultTarget::List, ApiRoute::List)
            | (FaultTarget::Retrieve, ApiRoute::Retrieve(_))
            | (FaultTarget::Create, ApiRoute::Create)
            | (FaultTarget::Release, ApiRoute::Update(_))
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

/// Puts `item` at the end of `ring`, which holds `most`.
fn push_bounded<T>(ring: &mut VecDeque<T>, item: T, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(item);
}
