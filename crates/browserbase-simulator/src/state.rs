//! What changes while a simulator runs: the world under a test's hand, what is left of the faults, and the log.

use std::collections::VecDeque;
use std::time::Duration;

use super::fault::{Fault, On};
use super::limit::{Meter, Rest};
use super::offset::Offset;
use super::world::World;
use keepwatch_core::session::Secret;

/// So many requests the log keeps.
const LOG: usize = 10_000;
/// So many connect URLs it keeps.
const CONNECT_URLS: usize = 1_000;

/// One request, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
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
    pub answered: Option<Duration>,
    /// What went wrong with it: [`Fault::word`].
    pub fault: Option<&'static str>,
}

/// How many requests there were, by what they asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
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
    pub most_in_flight: u64,
}

/// What a request asks for.
#[derive(Debug)]
pub(super) enum Wanted {
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
    Not(&'static str),
    /// Something that does not exist.
    Other,
}

/// What of a request its answer depends on.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    /// Without the `?`.
    pub(super) query: String,
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Everything about a simulator that is not the same for ever.
#[derive(Debug)]
pub(super) struct State {
    pub(super) world: World,
    /// In the order in which they are looked through. `count` is what is left of it.
    pub(super) faults: Vec<Fault>,
    pub(super) log: VecDeque<Hit>,
    pub(super) counts: Counts,
    pub(super) connect_urls: VecDeque<Secret>,
    limit: Option<Meter>,
    /// How many requests there were: the number of the next one.
    requests: u64,
}

impl State {
    pub(super) fn new(world: World, faults: Vec<Fault>, limit: Option<Meter>) -> Self {
        let (log, connect_urls) = (VecDeque::new(), VecDeque::new());
        Self { world, faults, log, counts: Counts::default(), connect_urls, limit, requests: 0 }
    }

    /// Takes down a request that came; its number, and what goes wrong with it.
    pub(super) fn arrived(&mut self, mut hit: Hit, wanted: &Wanted) -> (u64, Option<Fault>) {
        let number = self.requests;
        self.requests += 1;
        let counts = &mut self.counts;
        *match wanted {
            Wanted::List => &mut counts.list,
            Wanted::Retrieve(_) => &mut counts.retrieve,
            Wanted::Create => &mut counts.create,
            Wanted::Update(_) => &mut counts.release,
            Wanted::Debug(_) => &mut counts.debug,
            Wanted::Logs(_) => &mut counts.logs,
            Wanted::Projects | Wanted::Project(_) | Wanted::Usage(_) => &mut counts.projects,
            Wanted::Not(_) | Wanted::Other => &mut counts.other,
        } += 1;
        counts.in_flight += 1;
        counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
        let fault = self.fault(wanted, Offset::after(hit.at));
        hit.fault = fault.as_ref().map(Fault::word);
        keep(&mut self.log, hit, LOG);
        (number, fault)
    }

    /// Takes down how request `number` was answered, if the log still has it.
    pub(super) fn answered(&mut self, number: u64, status: u16, at: Duration) {
        let from_end = usize::try_from(self.requests.saturating_sub(number)).unwrap_or(usize::MAX);
        if let Some(hit) = self.log.len().checked_sub(from_end).and_then(|place| self.log.get_mut(place)) {
            (hit.status, hit.answered) = (Some(status), Some(at));
        }
    }

    /// What is left of the limit, if there is one, now that a request came `at` so long after the start.
    pub(super) fn count(&mut self, at: Duration) -> Option<Rest> {
        self.limit.as_mut().map(|limit| limit.count(at))
    }

    /// Takes down a URL with a secret that is on its way out.
    pub(super) fn handed_out(&mut self, connect_url: Secret) {
        keep(&mut self.connect_urls, connect_url, CONNECT_URLS);
    }

    /// The first fault that holds for a request, counted off.
    fn fault(&mut self, wanted: &Wanted, at: Offset) -> Option<Fault> {
        let world = &self.world;
        let is_on = |on: &On| match (on, wanted) {
            (On::All, _)
            | (On::List, Wanted::List)
            | (On::Retrieve, Wanted::Retrieve(_))
            | (On::Create, Wanted::Create)
            | (On::Release, Wanted::Update(_))
            | (On::Debug, Wanted::Debug(_))
            | (On::Logs, Wanted::Logs(_))
            | (On::Projects, Wanted::Projects | Wanted::Project(_) | Wanted::Usage(_)) => true,
            (On::Session(word), Wanted::Retrieve(id)) => world.is_called(id, word),
            _ => false,
        };
        let holds = |fault: &&mut Fault| fault.window.has(at) && fault.count != Some(0) && is_on(&fault.on);
        let fault = self.faults.iter_mut().find(holds)?;
        fault.count = fault.count.map(|left| left.saturating_sub(1));
        Some(fault.clone())
    }
}

/// Puts `item` at the end of `ring`, which holds `most`.
fn keep<T>(ring: &mut VecDeque<T>, item: T, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(item);
}
