//! The HTTP side: routes, the key, faults and the log. What is answered when nothing goes wrong is `answer`'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State as Extract};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::answer::{self, Answer};
use super::fault::{Fault, Refusal, RetryAfter, What};
use super::limit::{Meter, Rest};
use super::offset::Offset;
use super::order;
use super::reply::{self, Reply};
use super::script::Script;
use super::state::{Asked, Hit, State, Wanted};
use super::world::World;
use super::{Options, crowd};
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::session::Secret;

use crate::sleep_until;

/// The largest body that is taken, in bytes: Fastify's usual limit.
const LARGEST_BODY: usize = 1024 * 1024;

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
        let (head, body) = request.into_parts();
        let (flight, fault) = Flight::begin(&self, &head, &wanted);
        let rest = self.state().count(self.elapsed());
        let (slow, pad, what) =
            fault.map_or((Duration::ZERO, 0, What::Truth), |fault| (fault.slow, fault.pad, fault.what));
        // Before anything is answered: a client that is still sending would take an early answer for a broken connection.
        let body = axum::body::to_bytes(body, LARGEST_BODY).await;
        real(self.latency.saturating_add(slow)).await;
        let mut reply = match &what {
            What::Hang => std::future::pending().await,
            What::Dropped => return reply::dropped(),
            What::Html => Reply::html(),
            What::Refusal(refusal) => Reply::refusal(refusal, self.date()),
            What::Truth | What::Truncated if rest.is_some_and(|rest| rest.is_over) => self.too_many(rest),
            What::Truth | What::Truncated => match self.truth(&head, body.ok(), &wanted) {
                Ok((status, body)) => Reply::json(status, body),
                Err(refusal) => Reply::refusal(&refusal, self.date()),
            },
        };
        rest.inspect(|rest| rest.write(&mut reply.headers));
        if pad > 0 {
            reply.body.insert_str(0, &" ".repeat(pad));
        }
        let answered = self.elapsed();
        self.state().answered(flight.number, reply.status.as_u16(), answered);
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

    /// What is answered when nothing goes wrong. A `body` of `None` is one that is too large.
    fn truth(&self, head: &Parts, body: Option<Bytes>, wanted: &Wanted) -> Answer {
        let sent = head.headers.get("x-bb-api-key").map(HeaderValue::as_bytes).unwrap_or_default();
        let let_in = !sent.is_empty() && self.key.as_ref().is_none_or(|key| key.expose().as_bytes() == sent);
        if !let_in && !matches!(wanted, Wanted::Not(_) | Wanted::Other) {
            return Err(Box::new(Refusal::new(StatusCode::UNAUTHORIZED)));
        }
        let body = body.ok_or_else(|| {
            let message = "Request body is too large".to_owned();
            order::refused(StatusCode::PAYLOAD_TOO_LARGE, "FST_ERR_CTP_BODY_TOO_LARGE", message)
        })?;
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let asked = Asked {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            content_type: content_type.map(str::to_owned),
            body: body.into(),
        };
        answer::answer(&mut self.state(), wanted, &asked, self.now())
    }
}

/// A request between its arrival and its answer. A client may leave in between, and the future with it.
struct Flight<'a> {
    shared: &'a Shared,
    number: u64,
}

impl<'a> Flight<'a> {
    fn begin(shared: &'a Shared, head: &Parts, wanted: &Wanted) -> (Self, Option<Fault>) {
        let hit = Hit {
            at: shared.elapsed(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            status: None,
            answered: None,
            fault: None,
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
    sleep_until(&Clock::system(), span).await;
}

/// Serves until `alive` says no more, or nobody can say so any longer.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, alive: watch::Receiver<bool>) {
    let served = Served { shared, alive: alive.clone() };
    let router = Router::new()
        .route("/v1/sessions", any(sessions))
        .route("/v1/sessions/{id}", any(session))
        .route("/v1/sessions/{id}/debug", any(debug))
        .route("/v1/sessions/{id}/logs", any(logs))
        .route("/v1/projects", any(projects))
        .route("/v1/projects/{id}", any(project))
        .route("/v1/projects/{id}/usage", any(usage))
        .fallback(other)
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
    /// Answers where there is something to get, and something to post.
    async fn either(self, request: Request, get: Wanted, post: Wanted) -> Response {
        let wanted = match *request.method() {
            Method::GET | Method::HEAD => get,
            Method::POST => post,
            _ => Wanted::Not("GET, HEAD, POST"),
        };
        self.answer(request, wanted).await
    }

    /// Answers where there is something to get, and no more.
    async fn get(self, request: Request, get: Wanted) -> Response {
        let gets = matches!(*request.method(), Method::GET | Method::HEAD);
        self.answer(request, if gets { get } else { Wanted::Not("GET, HEAD") }).await
    }

    /// The answer; or, when the simulator stops first, a connection that breaks.
    async fn answer(self, request: Request, wanted: Wanted) -> Response {
        tokio::select! {
            response = self.shared.answer(request, wanted) => response,
            () = stopped(self.alive) => reply::dropped(),
        }
    }
}

async fn sessions(Extract(served): Extract<Served>, request: Request) -> Response {
    served.either(request, Wanted::List, Wanted::Create).await
}

async fn session(Extract(served): Extract<Served>, Path(id): Path<String>, request: Request) -> Response {
    served.either(request, Wanted::Retrieve(id.clone()), Wanted::Update(id)).await
}

async fn debug(Extract(served): Extract<Served>, Path(id): Path<String>, request: Request) -> Response {
    served.get(request, Wanted::Debug(id)).await
}

async fn logs(Extract(served): Extract<Served>, Path(id): Path<String>, request: Request) -> Response {
    served.get(request, Wanted::Logs(id)).await
}

async fn projects(Extract(served): Extract<Served>, request: Request) -> Response {
    served.get(request, Wanted::Projects).await
}

async fn project(Extract(served): Extract<Served>, Path(id): Path<String>, request: Request) -> Response {
    served.get(request, Wanted::Project(id)).await
}

async fn usage(Extract(served): Extract<Served>, Path(id): Path<String>, request: Request) -> Response {
    served.get(request, Wanted::Usage(id)).await
}

async fn other(Extract(served): Extract<Served>, request: Request) -> Response {
    served.answer(request, Wanted::Other).await
}
