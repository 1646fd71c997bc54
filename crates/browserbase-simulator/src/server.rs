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
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, EXPECT, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Version};
use axum::response::Response;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::connections::{self, ConnectionLimits};
use super::fault::{ErrorResponse, Fault, FaultResponse, RetryAfterFormat};
use super::handlers::{self, HandlerResult};
use super::rate_limit::{FixedWindow, RateLimitStatus};
use super::request_body::{self, BodyError};
use super::response::{self, SimResponse};
use super::scenario::Scenario;
use super::scenario_time::Offset;
use super::state::{ApiRoute, RequestLogEntry, RequestParts, SimState};
use super::world::World;
use super::{SimulatorOptions, sleep_real_time, synthetic};
use keepwatch_core::clock::{Clock, Moment, Timestamp};
use keepwatch_core::session::Secret;

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
    connection_limits: ConnectionLimits,
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
            connection_limits: options.connections,
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

    /// Returns the reading of the server's clock. That clock counts from the start, so it does not step when the
    /// machine's clock does.
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
        // Reads the body before responding: a client that is still sending takes an early response for a broken
        // connection.
        let body = request_body::read(body, self.connection_limits.request_timeout).await;
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
                match self.normal_response(&head, body, &route) {
                    Ok((status, body)) => SimResponse::json(status, body),
                    Err(error) => SimResponse::error(&error, self.server_time()),
                }
            }
        };
        if let Some(status) = limit_status {
            status.write_headers(&mut response.headers);
        }
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

    /// Returns the response to a request that no fault affects.
    fn normal_response(
        &self,
        head: &Parts,
        body: Result<Bytes, BodyError>,
        route: &ApiRoute,
    ) -> HandlerResult {
        check_head(head)?;
        let body = match (body, route) {
            // The API reads no other body, so the body of any other request can have any size.
            (Err(BodyError::TooLarge), route)
                if !matches!(route, ApiRoute::Create | ApiRoute::Release(_)) =>
            {
                Ok(Bytes::new())
            }
            (Err(error @ (BodyError::Malformed | BodyError::TimedOut)), _) => return Err(error.into()),
            (body, _) => body,
        };
        let sent_key = head.headers.get("x-bb-api-key").map(HeaderValue::as_bytes).unwrap_or_default();
        let is_authorised = !sent_key.is_empty()
            && self.api_key.as_ref().is_none_or(|key| key.expose().as_bytes() == sent_key);
        let needs_key =
            !matches!(route, ApiRoute::MethodNotAllowed(_) | ApiRoute::InvalidPath | ApiRoute::Unknown);
        if needs_key && !is_authorised {
            return Err(Box::new(ErrorResponse::new(StatusCode::UNAUTHORIZED)));
        }
        // A request without a valid API key gets a 401 even if its body is too large.
        let body = body?;
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

/// Checks what an HTTP server checks before it routes a request.
fn check_head(head: &Parts) -> Result<(), Box<ErrorResponse>> {
    if head.version == Version::HTTP_11 && !head.headers.contains_key(HOST) {
        let message = "Header Host is missing".to_owned();
        return Err(Box::new(ErrorResponse::new(StatusCode::BAD_REQUEST).with_message(message)));
    }
    // hyper has sent `100 Continue` already, if the client expects it.
    let expectation = head.headers.get(EXPECT).map(HeaderValue::as_bytes);
    if expectation.is_some_and(|expected| !expected.eq_ignore_ascii_case(b"100-continue")) {
        let message = "Header Expect takes only 100-continue".to_owned();
        return Err(Box::new(ErrorResponse::new(StatusCode::EXPECTATION_FAILED).with_message(message)));
    }
    Ok(())
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

/// Serves until `running` is false or its sender is dropped.
pub(super) async fn serve(listener: TcpListener, server: Arc<SimServer>, running: watch::Receiver<bool>) {
    let limits = server.connection_limits;
    let router = Router::new()
        .route("/v1/sessions", any(handle_sessions))
        .route("/v1/sessions/{id}", any(handle_session))
        .route("/v1/sessions/{id}/debug", any(handle_debug))
        .route("/v1/sessions/{id}/logs", any(handle_logs))
        .route("/v1/projects", any(handle_projects))
        .route("/v1/projects/{id}", any(handle_project))
        .route("/v1/projects/{id}/usage", any(handle_usage))
        .fallback(handle_unknown_route)
        .with_state(server);
    connections::serve(listener, router, limits, running).await;
}

/// The id in a path, or the error if the id is not UTF-8.
type PathId = Result<Path<String>, PathRejection>;

/// Returns the route for the id in a path.
fn route_for_id(id: PathId, route: impl FnOnce(String) -> ApiRoute) -> ApiRoute {
    id.map_or(ApiRoute::InvalidPath, |Path(id)| route(id))
}

/// Handles a request to a path that supports GET, HEAD and POST.
async fn get_or_post(server: Arc<SimServer>, request: Request, get: ApiRoute, post: ApiRoute) -> Response {
    let route = match *request.method() {
        Method::GET | Method::HEAD => get,
        Method::POST => post,
        _ => ApiRoute::MethodNotAllowed("GET, HEAD, POST"),
    };
    server.handle(request, route).await
}

/// Handles a request to a path that supports only GET and HEAD.
async fn get_only(server: Arc<SimServer>, request: Request, get: ApiRoute) -> Response {
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    server.handle(request, if is_get { get } else { ApiRoute::MethodNotAllowed("GET, HEAD") }).await
}

async fn handle_sessions(State(server): State<Arc<SimServer>>, request: Request) -> Response {
    get_or_post(server, request, ApiRoute::List, ApiRoute::Create).await
}

async fn handle_session(State(server): State<Arc<SimServer>>, id: PathId, request: Request) -> Response {
    let (get, post) = match id {
        Ok(Path(id)) => (ApiRoute::Retrieve(id.clone()), ApiRoute::Release(id)),
        Err(_) => (ApiRoute::InvalidPath, ApiRoute::InvalidPath),
    };
    get_or_post(server, request, get, post).await
}

async fn handle_debug(State(server): State<Arc<SimServer>>, id: PathId, request: Request) -> Response {
    get_only(server, request, route_for_id(id, ApiRoute::Debug)).await
}

async fn handle_logs(State(server): State<Arc<SimServer>>, id: PathId, request: Request) -> Response {
    get_only(server, request, route_for_id(id, ApiRoute::Logs)).await
}

async fn handle_projects(State(server): State<Arc<SimServer>>, request: Request) -> Response {
    get_only(server, request, ApiRoute::Projects).await
}

async fn handle_project(State(server): State<Arc<SimServer>>, id: PathId, request: Request) -> Response {
    get_only(server, request, route_for_id(id, ApiRoute::Project)).await
}

async fn handle_usage(State(server): State<Arc<SimServer>>, id: PathId, request: Request) -> Response {
    get_only(server, request, route_for_id(id, ApiRoute::Usage)).await
}

async fn handle_unknown_route(State(server): State<Arc<SimServer>>, request: Request) -> Response {
    server.handle(request, ApiRoute::Unknown).await
}
