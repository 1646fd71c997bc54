//! The HTTP side: routes, the key, faults, and a log of what was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State as Extract};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::fault::{Fault, On, Refusal, What};
use super::offset::Offset;
use super::query::Filter;
use super::reply::{self, Reply};
use super::script::Script;
use super::world::World;
use super::{Options, crowd};
use crate::clock::{Clock, Moment, Timestamp};
use crate::session::Secret;

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
}

/// How many requests there were, by what they asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `GET /v1/sessions`.
    pub list: u64,
    /// `GET /v1/sessions/{id}`.
    pub retrieve: u64,
    /// `GET /v1/projects` and `/v1/projects/{id}`.
    pub projects: u64,
    /// Everything else.
    pub other: u64,
    /// How many are being answered.
    pub in_flight: u64,
    /// The most that were at once.
    pub most_in_flight: u64,
}

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    clock: Clock,
    start: Moment,
    skew: Offset,
    key: Option<Secret>,
    latency: Duration,
    /// Behind a lock, against the house's rule for the program's own state: requests run in tasks of their own, and
    /// [`super::Control`] is called from anywhere. Nothing awaits while it holds the lock.
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) world: World,
    /// Each with how often it still holds.
    pub(super) faults: Vec<(Fault, Option<u32>)>,
    pub(super) log: VecDeque<Hit>,
    pub(super) counts: Counts,
    pub(super) connect_urls: VecDeque<Secret>,
    /// How many requests there were: the number of the next one.
    requests: u64,
}

/// What a request asks for.
#[derive(Debug)]
enum Wanted {
    List,
    Retrieve(String),
    Projects,
    Project(String),
    /// Something that does not exist.
    Other,
}

impl Shared {
    pub(super) fn new(clock: Clock, script: Script, options: Options) -> Self {
        let start = clock.now();
        let world = World::new(&script, crowd::sessions(options.sessions), script.skew.date(start.wall));
        let state = State {
            world,
            faults: script.faults.into_iter().map(armed).collect(),
            log: VecDeque::new(),
            counts: Counts::default(),
            connect_urls: VecDeque::new(),
            requests: 0,
        };
        Self {
            clock,
            start,
            skew: script.skew,
            key: options.key,
            latency: script.latency.0,
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().since(self.start)
    }

    pub(super) fn now(&self) -> Offset {
        Offset::after(self.elapsed())
    }

    /// What the server's clock shows. It is not the machine's: that may be stepped without a server noticing.
    fn date(&self) -> Timestamp {
        self.now().plus(self.skew).date(self.start.wall)
    }

    async fn answer(self: Arc<Self>, request: Request, wanted: Wanted) -> Response {
        let (flight, fault) = Flight::begin(&self, &request, &wanted);
        let (slow, pad, what) =
            fault.map_or((Duration::ZERO, 0, What::Truth), |fault| (fault.slow, fault.pad, fault.what));
        real(self.latency.saturating_add(slow)).await;
        let mut reply = match &what {
            What::Hang => std::future::pending().await,
            What::Dropped => return reply::dropped(),
            What::Html => Reply::html(),
            What::Refusal(refusal) => Reply::refusal(refusal, self.date()),
            What::Truth | What::Truncated => self.truth(&request, &wanted),
        };
        if pad > 0 {
            reply.body.insert_str(0, &" ".repeat(pad));
        }
        flight.land(reply.status);
        match what {
            What::Truncated => reply.cut(self.date(), flight.number),
            _ => reply.send(self.date(), flight.number),
        }
    }

    /// What is answered when nothing goes wrong.
    fn truth(&self, request: &Request, wanted: &Wanted) -> Reply {
        let refuse =
            |status, message: String| Reply::refusal(&Refusal::new(status).saying(message), self.date());
        let sent =
            request.headers().get("x-bb-api-key").map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
        let let_in = !sent.is_empty() && self.key.as_ref().is_none_or(|key| key.expose().as_bytes() == sent);
        if !let_in && !matches!(wanted, Wanted::Other) {
            return Reply::refusal(&Refusal::new(StatusCode::UNAUTHORIZED), self.date());
        }
        let now = self.now();
        let mut state = self.state();
        let found = match wanted {
            Wanted::List => match Filter::parse(request.uri().query().unwrap_or_default()) {
                Ok(filter) => Some(state.world.list(now, &filter)),
                Err(message) => return refuse(StatusCode::BAD_REQUEST, message),
            },
            Wanted::Retrieve(id) => {
                state.world.retrieve(id, now, &reply::signing_key()).map(|(body, connect_url)| {
                    keep(&mut state.connect_urls, connect_url.map(Secret::new), CONNECT_URLS);
                    body
                })
            }
            Wanted::Projects => Some(state.world.projects().to_string()),
            Wanted::Project(id) => state.world.project(id).map(|project| project.to_string()),
            Wanted::Other => None,
        };
        match (found, wanted) {
            (Some(body), _) => Reply::json(StatusCode::OK, body),
            (None, Wanted::Retrieve(id)) => {
                refuse(StatusCode::NOT_FOUND, format!("Session with id {id} not found"))
            }
            (None, Wanted::Project(id)) => {
                refuse(StatusCode::NOT_FOUND, format!("Project with id {id} not found"))
            }
            (None, _) => {
                let route = format!("Route {}:{} not found", request.method(), request.uri());
                refuse(StatusCode::NOT_FOUND, route)
            }
        }
    }
}

impl State {
    /// Puts a fault before all others.
    pub(super) fn arm(&mut self, fault: Fault) {
        self.faults.insert(0, armed(fault));
    }

    /// The first fault that holds for a request, counted off.
    fn fault(&mut self, wanted: &Wanted, at: Offset) -> Option<Fault> {
        let world = &self.world;
        let is_on = |on: &On| match (on, wanted) {
            (On::All, _)
            | (On::List, Wanted::List)
            | (On::Retrieve, Wanted::Retrieve(_))
            | (On::Projects, Wanted::Projects | Wanted::Project(_)) => true,
            (On::Session(word), Wanted::Retrieve(id)) => world.is_called(id, word),
            _ => false,
        };
        let (fault, left) = self
            .faults
            .iter_mut()
            .find(|(fault, left)| fault.window.has(at) && *left != Some(0) && is_on(&fault.on))?;
        *left = left.map(|left| left.saturating_sub(1));
        Some(fault.clone())
    }
}

/// A request between its arrival and its answer. A client may leave in between, and the future with it.
struct Flight<'a> {
    shared: &'a Shared,
    number: u64,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared, request: &Request, wanted: &Wanted) -> (Self, Option<Fault>) {
        let at = shared.elapsed();
        let mut state = shared.state();
        let counts = &mut state.counts;
        *match wanted {
            Wanted::List => &mut counts.list,
            Wanted::Retrieve(_) => &mut counts.retrieve,
            Wanted::Projects | Wanted::Project(_) => &mut counts.projects,
            Wanted::Other => &mut counts.other,
        } += 1;
        counts.in_flight += 1;
        counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
        let hit = Hit {
            at,
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            status: None,
        };
        keep(&mut state.log, Some(hit), LOG);
        let number = state.requests;
        state.requests += 1;
        let fault = state.fault(wanted, Offset::after(at));
        drop(state);
        (Self { shared, number }, fault)
    }

    /// Writes into the log how it was answered, if the log still has it.
    fn land(&self, status: StatusCode) {
        let mut state = self.shared.state();
        let from_end = usize::try_from(state.requests.saturating_sub(self.number)).unwrap_or(usize::MAX);
        if let Some(hit) = state.log.len().checked_sub(from_end).and_then(|place| state.log.get_mut(place)) {
            hit.status = Some(status.as_u16());
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let counts = &mut self.shared.state().counts;
        counts.in_flight = counts.in_flight.saturating_sub(1);
    }
}

fn armed(fault: Fault) -> (Fault, Option<u32>) {
    let left = fault.count;
    (fault, left)
}

/// Puts `item` at the end of `ring`, which holds `most`.
fn keep<T>(ring: &mut VecDeque<T>, item: Option<T>, most: usize) {
    ring.extend(item);
    while ring.len() > most {
        ring.pop_front();
    }
}

/// Returns after `span` of real time, whatever the simulator's clock does.
async fn real(span: Duration) {
    Clock::system().sleep_until(span).await;
}

/// Serves until `alive` says no more, or nobody can say so any longer.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, alive: watch::Receiver<bool>) {
    let served = Served { shared, alive: alive.clone() };
    let router = Router::new()
        .route("/v1/sessions", get(list))
        .route("/v1/sessions/{id}", get(retrieve))
        .route("/v1/projects", get(projects))
        .route("/v1/projects/{id}", get(project))
        .fallback(other)
        .method_not_allowed_fallback(other)
        .with_state(served);
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    let stopped = stopped(alive);
    _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
}

async fn stopped(mut alive: watch::Receiver<bool>) {
    _ = alive.wait_for(|alive| !alive).await;
}

/// The state of the routes.
#[derive(Clone)]
struct Served {
    shared: Arc<Shared>,
    alive: watch::Receiver<bool>,
}

impl Served {
    /// The answer; or, when the simulator stops first, a connection that breaks.
    async fn answer(self, request: Request, wanted: Wanted) -> Response {
        tokio::select! {
            response = self.shared.answer(request, wanted) => response,
            () = stopped(self.alive) => reply::dropped(),
        }
    }
}

async fn list(Extract(served): Extract<Served>, request: Request) -> Response {
    served.answer(request, Wanted::List).await
}

async fn retrieve(Extract(served): Extract<Served>, Path(id): Path<String>, request: Request) -> Response {
    served.answer(request, Wanted::Retrieve(id)).await
}

async fn projects(Extract(served): Extract<Served>, request: Request) -> Response {
    served.answer(request, Wanted::Projects).await
}

async fn project(Extract(served): Extract<Served>, Path(id): Path<String>, request: Request) -> Response {
    served.answer(request, Wanted::Project(id)).await
}

async fn other(Extract(served): Extract<Served>, request: Request) -> Response {
    served.answer(request, Wanted::Other).await
}
