//! The HTTP side: routes, the key, and what is answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State as Extract};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::fault::{Fault, Refusal, RetryAfter, What};
use super::limit::{Meter, Rest};
use super::offset::Offset;
use super::query::Filter;
use super::reply::{self, Reply};
use super::script::Script;
use super::state::{Hit, State, Wanted};
use super::world::World;
use super::{Options, crowd};
use crate::clock::{Clock, Moment, Timestamp};
use crate::session::Secret;

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

impl Shared {
    pub(super) fn new(clock: Clock, script: Script, options: Options) -> Self {
        let start = clock.now();
        let world = World::new(&script, crowd::sessions(options.sessions), script.skew.date(start.wall));
        Self {
            clock,
            start,
            skew: script.skew,
            key: options.key,
            latency: script.latency.0,
            state: Mutex::new(State::new(world, script.faults, options.limit.map(Meter::new))),
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
        let rest = self.state().count(self.elapsed());
        let (slow, pad, what) =
            fault.map_or((Duration::ZERO, 0, What::Truth), |fault| (fault.slow, fault.pad, fault.what));
        real(self.latency.saturating_add(slow)).await;
        let mut reply = match &what {
            What::Hang => std::future::pending().await,
            What::Dropped => return reply::dropped(),
            What::Html => Reply::html(),
            What::Refusal(refusal) => Reply::refusal(refusal, self.date()),
            What::Truth | What::Truncated if rest.is_some_and(|rest| rest.is_over) => self.too_many(rest),
            What::Truth | What::Truncated => self.truth(&request, &wanted),
        };
        rest.inspect(|rest| rest.write(&mut reply.headers));
        if pad > 0 {
            reply.body.insert_str(0, &" ".repeat(pad));
        }
        self.state().answered(flight.number, reply.status.as_u16());
        match what {
            What::Truncated => reply.cut(self.date(), flight.number),
            _ => reply.send(self.date(), flight.number),
        }
    }

    fn too_many(&self, rest: Option<Rest>) -> Reply {
        let mut refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS);
        refusal.retry_after = rest.map(|rest| (rest.wait(), RetryAfter::Seconds));
        Reply::refusal(&refusal, self.date())
    }

    /// What is answered when nothing goes wrong.
    fn truth(&self, request: &Request, wanted: &Wanted) -> Reply {
        let refuse =
            |status, message: String| Reply::refusal(&Refusal::new(status).saying(message), self.date());
        let sent = request.headers().get("x-bb-api-key").map(HeaderValue::as_bytes).unwrap_or_default();
        let let_in = !sent.is_empty() && self.key.as_ref().is_none_or(|key| key.expose().as_bytes() == sent);
        if !let_in && !matches!(wanted, Wanted::Other) {
            return Reply::refusal(&Refusal::new(StatusCode::UNAUTHORIZED), self.date());
        }
        let now = self.now();
        let mut state = self.state();
        let found = match wanted {
            Wanted::List => match Filter::parse(request.uri().query().unwrap_or_default()) {
                Ok(filter) => Some(state.world.list(now, &filter)),
                Err(message) => {
                    let mut refusal = Refusal::new(StatusCode::BAD_REQUEST).saying(message);
                    refusal.code = Some("FST_ERR_VALIDATION".into());
                    return Reply::refusal(&refusal, self.date());
                }
            },
            Wanted::Retrieve(id) => {
                state.world.retrieve(id, now, &reply::signing_key()).map(|(body, connect_url)| {
                    if let Some(connect_url) = connect_url {
                        state.handed_out(Secret::new(connect_url));
                    }
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

/// A request between its arrival and its answer. A client may leave in between, and the future with it.
struct Flight<'a> {
    shared: &'a Shared,
    number: u64,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared, request: &Request, wanted: &Wanted) -> (Self, Option<Fault>) {
        let hit = Hit {
            at: shared.elapsed(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            status: None,
        };
        let (number, fault) = shared.state().arrived(hit, wanted);
        (Self { shared, number }, fault)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let counts = &mut self.shared.state().counts;
        counts.in_flight = counts.in_flight.saturating_sub(1);
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
