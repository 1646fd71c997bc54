//! The HTTP server: routes, the API key, faults, the rate limit and the request log.
//!
//! ```text
//!   request ──► record, pick a fault ──► read the body ──► wait for the delay ──┬── fault ────────────► its response
//!                                                                               ├── over the limit ───► 429
//!                                                                               └── API key, handlers ► response
//! ```
//!
//! The server never builds a normal response: `handlers` does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::fault::{ErrorResponse, Fault, FaultResponse, RetryAfterFormat};
use super::handlers::{self, HandlerResult};
use super::rate_limit::{FixedWindow, RateLimitStatus};
use super::request_body;
use super::response::{self, SimResponse};
use super::scenario::Scenario;
use super::scenario_time::Offset;
use super::state::{ApiRoute, RequestLogEntry, RequestParts, SimState};
use super::world::World;
use super::{SimulatorOptions, synthetic};
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::session::Secret;

use crate::sleep_until;

/// The largest request body, in bytes: Fastify's default limit.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The data that all requests share.
#[derive(Debug)]
pub(super) struct SimServer {
    clock: Clock,
    /// The moment at which the timeline starts.
    start: Moment,
    /// The server's clock minus the machine's.
    skew: Offset,
    /// The only API key that is accepted. `None` accepts any.
    api_key: Option<Secret>,
    /// The delay of every response, in real time.
    latency: Duration,
    /// The state that requests change. It needs a lock, unlike keepwatch's own state: each request runs in its own
    /// task, and any thread can call [`super::Control`]. No code awaits while it holds the lock.
    state: Mutex<SimState>,
}

impl SimServer {
    pub(super) fn new(clock: Clock, scenario: Scenario, options: SimulatorOptions) -> Self {
        let start = clock.now();
        let world = World::new(
            &scenario,
            synthetic::sessions(options.extra_sessions),
            scenario.skew.to_timestamp(start.wall),
        );
        Self {
            clock,
            start,
            skew: scenario.skew,
            api_key: options.api_key,
            latency: scenario.latency.0,
            state: Mutex::new(SimState::new(
                world,
                scenario.faults,
                options.rate_limit.map(FixedWindow::new),
            )),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, SimState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().since(self.start)
    }

    pub(super) fn now(&self) -> Offset {
        Offset::from_duration(self.elapsed())
    }

    /// Returns the reading of the server's clock. It counts from the start, so a step of the machine's clock does not
    /// move it.
    fn server_time(&self) -> Timestamp {
        self.now().plus(self.skew).to_timestamp(self.start.wall)
    }

    async fn handle(self: Arc<Self>, request: Request, route: ApiRoute) -> Response {
        let (head, body) = request.into_parts();
        let (in_flight, fault) = InFlightRequest::begin(&self, &head, &route);
        let limit_status = self.state().count_against_limit(self.elapsed());
        let (delay, padding, fault_response) = fault
            .map_or((Duration::ZERO, 0, FaultResponse::Normal), |fault| {
                (fault.delay, fault.padding, fault.response)
            });
        // The body comes first: a client that is still sending takes an early response for a broken connection.
        let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await;
        sleep_real_time(self.latency.saturating_add(delay)).await;
        let mut response = match &fault_response {
            FaultResponse::Hang => std::future::pending().await,
            FaultResponse::Dropped => return response::dropped_connection(),
            FaultResponse::Html => SimResponse::html(),
            FaultResponse::Error(error) => SimResponse::error(error, self.server_time()),
            FaultResponse::Normal | FaultResponse::Truncated
                if limit_status.is_some_and(|status| status.is_exceeded) =>
            {
                self.too_many_requests(limit_status)
            }
            FaultResponse::Normal | FaultResponse::Truncated => {
                match self.normal_response(&head, body.ok(), &route) {
                    Ok((status, body)) => SimResponse::json(status, body),
                    Err(error) => SimResponse::error(&error, self.server_time()),
                }
            }
        };
        limit_status.inspect(|status| status.write_headers(&mut response.headers));
        if padding > 0 {
            response.body.insert_str(0, &" ".repeat(padding));
        }
        let answered_at = self.elapsed();
        self.state().record_response(in_flight.request_number, response.status.as_u16(), answered_at);
        match fault_response {
            FaultResponse::Truncated => {
                response.into_truncated_response(self.server_time(), in_flight.request_number)
            }
            _ => response.into_response(self.server_time(), in_flight.request_number),
        }
    }

    fn too_many_requests(&self, limit_status: Option<RateLimitStatus>) -> SimResponse {
        let mut error = ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS);
        error.retry_after = limit_status.map(|status| (status.retry_delay(), RetryAfterFormat::Seconds));
        SimResponse::error(&error, self.server_time())
    }

    /// Returns the response without any fault. A `body` of `None` means that it was too large.
    fn normal_response(&self, head: &Parts, body: Option<Bytes>, route: &ApiRoute) -> HandlerResult {
        let sent_key = head.headers.get("x-bb-api-key").map(HeaderValue::as_bytes).unwrap_or_default();
        let is_authorised = !sent_key.is_empty()
            && self.api_key.as_ref().is_none_or(|key| key.expose().as_bytes() == sent_key);
        if !is_authorised && !matches!(route, ApiRoute::MethodNotAllowed(_) | ApiRoute::Unknown) {
            return Err(Box::new(ErrorResponse::new(StatusCode::UNAUTHORIZED)));
        }
        let body = body.ok_or_else(|| {
            let message = "Request body is too large".to_owned();
            request_body::coded_error(StatusCode::PAYLOAD_TOO_LARGE, "FST_ERR_CTP_BODY_TOO_LARGE", message)
        })?;
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let request = RequestParts {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            content_type: content_type.map(str::to_owned),
            body: body.into(),
        };
        handlers::handle_request(&mut self.state(), route, &request, self.now())
    }
}

/// A request between its arrival and its response. Dropping this value decrements the count of requests in flight, even
/// if the client disconnects before the response.
struct InFlightRequest<'a> {
    server: &'a SimServer,
    request_number: u64,
}

impl<'a> InFlightRequest<'a> {
    /// Records a request. Returns the recorded request, and the fault that affects it.
    fn begin(server: &'a SimServer, head: &Parts, route: &ApiRoute) -> (Self, Option<Fault>) {
        let entry = RequestLogEntry {
            at: server.elapsed(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            status: None,
            answered_at: None,
            fault: None,
        };
        let (request_number, fault) = server.state().record_request(entry, route);
        (Self { server, request_number }, fault)
    }
}

impl Drop for InFlightRequest<'_> {
    fn drop(&mut self) {
        let counts = &mut self.server.state().counts;
        counts.in_flight = counts.in_flight.saturating_sub(1);
    }
}

/// Waits for `duration` of real time, whatever the simulator's clock does.
async fn sleep_real_time(duration: Duration) {
    sleep_until(&Clock::system(), duration).await;
}

/// Serves until `running` is false or its sender is dropped.
pub(super) async fn serve(listener: TcpListener, server: Arc<SimServer>, running: watch::Receiver<bool>) {
    let route_state = RouteState { server, running: running.clone() };
    let router = Router::new()
        .route("/v1/sessions", any(handle_sessions))
        .route("/v1/sessions/{id}", any(handle_session))
        .route("/v1/sessions/{id}/debug", any(handle_debug))
        .route("/v1/sessions/{id}/logs", any(handle_logs))
        .route("/v1/projects", any(handle_projects))
        .route("/v1/projects/{id}", any(handle_project))
        .route("/v1/projects/{id}/usage", any(handle_usage))
        .fallback(handle_unknown_route)
        .with_state(route_state);
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    let stopped = wait_until_stopped(running);
    _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
}

async fn wait_until_stopped(mut running: watch::Receiver<bool>) {
    _ = running.wait_for(|running| !running).await;
}

/// The data that every route needs.
#[derive(Clone)]
struct RouteState {
    server: Arc<SimServer>,
    /// True until the server must stop.
    running: watch::Receiver<bool>,
}

impl RouteState {
    /// Handles a request to a path that supports GET and POST.
    async fn get_or_post(self, request: Request, get: ApiRoute, post: ApiRoute) -> Response {
        let route = match *request.method() {
            Method::GET | Method::HEAD => get,
            Method::POST => post,
            _ => ApiRoute::MethodNotAllowed("GET, HEAD, POST"),
        };
        self.handle(request, route).await
    }

    /// Handles a request to a path that supports only GET.
    async fn get_only(self, request: Request, get: ApiRoute) -> Response {
        let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
        self.handle(request, if is_get { get } else { ApiRoute::MethodNotAllowed("GET, HEAD") }).await
    }

    /// Returns the response. If the simulator stops first, the connection breaks.
    async fn handle(self, request: Request, route: ApiRoute) -> Response {
        tokio::select! {
            response = self.server.handle(request, route) => response,
            () = wait_until_stopped(self.running) => response::dropped_connection(),
        }
    }
}

async fn handle_sessions(State(state): State<RouteState>, request: Request) -> Response {
    state.get_or_post(request, ApiRoute::List, ApiRoute::Create).await
}

async fn handle_session(
    State(state): State<RouteState>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    state.get_or_post(request, ApiRoute::Retrieve(id.clone()), ApiRoute::Update(id)).await
}

async fn handle_debug(State(state): State<RouteState>, Path(id): Path<String>, request: Request) -> Response {
    state.get_only(request, ApiRoute::Debug(id)).await
}

async fn handle_logs(State(state): State<RouteState>, Path(id): Path<String>, request: Request) -> Response {
    state.get_only(request, ApiRoute::Logs(id)).await
}

async fn handle_projects(State(state): State<RouteState>, request: Request) -> Response {
    state.get_only(request, ApiRoute::Projects).await
}

async fn handle_project(
    State(state): State<RouteState>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    state.get_only(request, ApiRoute::Project(id)).await
}

async fn handle_usage(State(state): State<RouteState>, Path(id): Path<String>, request: Request) -> Response {
    state.get_only(request, ApiRoute::Usage(id)).await
}

async fn handle_unknown_route(State(state): State<RouteState>, request: Request) -> Response {
    state.handle(request, ApiRoute::Unknown).await
}
