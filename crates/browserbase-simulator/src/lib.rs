//! A simulated Browserbase API, served over real HTTP on a loopback address.
//!
//! ```text
//!   assets/scenarios/*.toml ──► scenario::Scenario ──┐
//!                     --scenario chaos ──► chaos ────┤
//!                       --sessions N ──► synthetic ──┤
//!                                                    ▼
//!   Control (used by tests) ──────────────► state: world::World and faults ◄── clock: time since the start
//!                                                    │ JSON at an offset, and the ground truth (pure)
//!                                                    ▼
//!                                           handlers: the response to each request
//!                                           request_body, query: parsed requests
//!                                                    │
//!                                           server (axum): API key, routes, faults, headers, request log
//!                                                    │
//!   any client ◄──────── HTTP ─────────────► connections (hyper): their number, timeouts for silent clients
//! ```
//!
//! Sessions come from the scenario or from clients (`POST /v1/sessions`, see [`lifecycle`]). No browser runs behind
//! them: connect URLs look like the API's, but their signing keys are made up.
//!
//! The crate implements the documented API and never uses keepwatch's client. From `keepwatch-core` it uses only the
//! clock, [`Secret`] and text sanitising. `keepwatch simulate` serves the simulated API. `keepwatch demo` and the
//! whole-program tests run against it, and so can any other program.
//!
//! The timeline follows the given [`Clock`], so `demo --speed` and scripted clocks move it. Network delays (`latency`,
//! `slow`) and the timeouts for silent clients pass in real time, because the timeouts of clients do.

pub mod chaos;
mod connections;
mod debug_endpoints;
pub mod expectations;
pub mod fault;
pub mod ground_truth;
mod handlers;
pub mod lifecycle;
pub mod project;
mod query;
mod rate_limit;
pub mod repeat;
mod request_body;
mod response;
mod rng;
pub mod scenario;
pub mod scenario_session;
pub mod scenario_time;
mod server;
mod sim_session;
mod state;
mod synthetic;
mod world;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use axum::http::StatusCode;
pub use connections::ConnectionLimits;
pub use expectations::{Expectation, NO_VERDICT};
pub use fault::{ErrorResponse, Fault, FaultResponse, FaultTarget, RetryAfterFormat};
pub use ground_truth::{TruthEvent, TruthEventKind};
pub use lifecycle::LifecycleRules;
pub use project::{ProjectPlan, SimProject};
pub use rate_limit::RequestLimit;
pub use response::SIGNING_KEY_PREFIX;
pub use scenario::{Scenario, ScenarioError};
pub use scenario_session::{
    EndCause, FieldOverride, FinalStatus, ProxyTraffic, ScenarioEnd, ScenarioSession, SimStatus, Window,
};
pub use scenario_time::{HumanDuration, Offset};
pub use sim_session::SessionSnapshot;
pub use state::{RequestCounts, RequestLogEntry};
pub use world::World;

use keepwatch_core::clock::{Clock, Timestamp};
use keepwatch_core::session::Secret;

/// Options for serving a scenario.
#[derive(Clone, Debug, Default)]
pub struct SimulatorOptions {
    /// The port on 127.0.0.1; 0 picks a free port.
    pub port: u16,
    /// The only API key that the server accepts; `None` accepts any.
    pub api_key: Option<Secret>,
    /// The number of synthetic sessions to add to the scenario's.
    pub extra_sessions: usize,
    /// The rate limit on requests; `None` means no limit.
    pub rate_limit: Option<RequestLimit>,
    /// The limits on connections and on silent clients.
    pub connections: ConnectionLimits,
}

/// A running simulator. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    shared: Arc<server::SimServer>,
    /// True until the server must stop.
    running: watch::Sender<bool>,
    server_task: JoinHandle<()>,
}

impl Simulator {
    /// Starts a server that plays `scenario`, on the current tokio runtime. The timeline starts now, by `clock`.
    ///
    /// # Errors
    /// Returns an error if the port cannot be bound.
    ///
    /// # Panics
    /// Panics if called outside a tokio runtime.
    pub fn start(clock: Clock, scenario: Scenario, options: SimulatorOptions) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(server::SimServer::new(clock, scenario, options));
        let (running, running_receiver) = watch::channel(true);
        let server_task = tokio::spawn(server::serve(listener, Arc::clone(&shared), running_receiver));
        Ok(Self { addr, shared, running, server_task })
    }

    /// Returns the address that the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the base URL for clients: `http://127.0.0.1:PORT`, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns a handle that reads and changes the simulator while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.shared))
    }

    /// Returns the last requests (at most 10,000), oldest first.
    #[must_use]
    pub fn request_log(&self) -> Vec<RequestLogEntry> {
        self.shared.state().request_log.iter().cloned().collect()
    }

    /// Returns the number of requests so far, by kind.
    #[must_use]
    pub fn request_counts(&self) -> RequestCounts {
        self.shared.state().counts
    }

    /// Returns the last connect and live-view URLs that the server sent (at most 1,000), oldest first.
    #[must_use]
    pub fn connect_urls(&self) -> Vec<Secret> {
        self.shared.state().connect_urls.iter().cloned().collect()
    }

    /// Closes the port and every connection, including those with a response in progress. Returns when the port is
    /// free.
    pub async fn stop(self) {
        self.running.send_replace(false);
        _ = self.server_task.await;
    }
}

/// Waits for `duration` of real time, whatever the simulator's clock does.
async fn sleep_real_time(duration: Duration) {
    sleep_until(&Clock::system(), duration).await; // the clock's monotonic reading starts at zero
}

/// Waits on the tokio timer until the monotonic reading of `clock` is `mono` or later.
async fn sleep_until(clock: &Clock, mono: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the clock computed how long to wait")]
    clock.wait_until(mono, tokio::time::sleep).await;
}

/// A handle that reads and changes a running simulator. Clones control the same simulator.
#[derive(Clone, Debug)]
pub struct Control(Arc<server::SimServer>);

impl Control {
    /// Returns the current offset on the timeline, by the simulator's clock.
    #[must_use]
    pub fn now(&self) -> Offset {
        self.0.now()
    }

    /// Ends the session `id` now. Returns false if no such session is alive.
    pub fn end_session(&self, id: &str, status: FinalStatus) -> bool {
        let at = self.now();
        let mut state = self.0.state();
        let is_alive = state
            .world
            .snapshot(id, at)
            .is_some_and(|session| !matches!(session.status, SimStatus::Ended(_)));
        let end = ScenarioEnd::new(at, status);
        is_alive && state.world.update_session(id, |session| session.ends = Some(end))
    }

    /// Changes fields of the session `id`, but not its id. Returns false if there is no such session.
    pub fn update_session(&self, id: &str, change: impl FnOnce(&mut ScenarioSession)) -> bool {
        self.0.state().world.update_session(id, change)
    }

    /// Adds `session` and returns its id. The times of `session` count from the simulator's start (see
    /// [`Control::now`]), and its `repeat` is ignored. An existing session with the same id is replaced.
    pub fn add_session(&self, session: ScenarioSession) -> String {
        self.0.state().world.add_session(session)
    }

    /// Adds a fault that takes precedence over the existing ones.
    pub fn add_fault(&self, fault: Fault) {
        self.0.state().faults.insert(0, fault);
    }

    /// Returns the reading of the server's clock at `at`.
    #[must_use]
    pub fn server_time(&self, at: Offset) -> Timestamp {
        self.0.state().world.server_time(at)
    }

    /// Returns the events of the ground truth within `window`, in the order in which a client could learn of them.
    #[must_use]
    pub fn ground_truth(&self, window: Window) -> Vec<TruthEvent> {
        self.0.state().world.ground_truth(window)
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.0.state().faults.clear();
    }
}
