//! A simulated Browserbase API on real HTTP, on a loopback address.
//!
//! ```text
//!   assets/scenarios/*.toml ──► script::Script ──┐
//!                --scenario chaos ──► chaos ────┤
//!                  --sessions N ──► crowd ───────┤
//!                                                ▼
//!   Control (a test's hand) ─────────────► world::World + faults ◄── the clock's time since the start
//!                                                │ JSON at a moment, and truth: what really happened; pure
//!                                                ▼
//!                                               answer: what each request is told; order: what a body asks for
//!                                                │
//!   any client ◄──────── HTTP ─────────► server (axum): key, routes, faults, headers, log
//! ```
//!
//! Sessions are the scenario's, or made by clients (`POST /v1/sessions`), and live by the rules in `living`. There is
//! no browser behind any: a connect URL looks like the vendor's, and its key is made up.
//!
//! It knows the contract and not our client: of this crate it uses the clock and [`Secret`], and never more. `keepwatch
//! demo`, `keepwatch simulate` and the whole-program tests run against it, and so can any other program.
//!
//! What it plays follows the given [`Clock`], so `demo --speed` and scripted clocks move it; delays of the network
//! (`latency`, `slow`) are in real time, because the time limits of clients are.

pub mod chaos;
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

/// How to serve a scenario.
#[derive(Clone, Debug, Default)]
pub struct SimulatorOptions {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The only key that is let in; any if `None`.
    pub api_key: Option<Secret>,
    /// How many sessions there are beside the scenario's.
    pub extra_sessions: usize,
    /// How many requests are answered, and in which time; all if `None`.
    pub rate_limit: Option<RequestLimit>,
}

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    shared: Arc<server::SimServer>,
    running: watch::Sender<bool>,
    server_task: JoinHandle<()>,
}

impl Simulator {
    /// Starts to serve `script` on the tokio runtime that this is called on. Its timeline begins now, as `clock` has it.
    ///
    /// # Errors
    /// If the port cannot be had.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(clock: Clock, scenario: Scenario, options: SimulatorOptions) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(server::SimServer::new(clock, scenario, options));
        let (alive, running_receiver) = watch::channel(true);
        let server = tokio::spawn(server::serve(listener, Arc::clone(&shared), running_receiver));
        Ok(Self { addr, shared, running: alive, server_task: server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a client takes as its base URL: `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The hand that changes what it plays while it plays.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.shared))
    }

    /// The last requests, oldest first; it keeps 10,000.
    #[must_use]
    pub fn request_log(&self) -> Vec<RequestLogEntry> {
        self.shared.state().request_log.iter().cloned().collect()
    }

    /// How many requests there were.
    #[must_use]
    pub fn request_counts(&self) -> RequestCounts {
        self.shared.state().counts
    }

    /// The last connect and live-view URLs that it handed out, oldest first; it keeps 1,000.
    #[must_use]
    pub fn connect_urls(&self) -> Vec<Secret> {
        self.shared.state().connect_urls.iter().cloned().collect()
    }

    /// Closes the port and every connection, in the midst of replies too. The port is free when this returns.
    pub async fn stop(mut self) {
        self.running.send_replace(false);
        let second = Clock::system();
        tokio::select! {
            _ = &mut self.server_task => {}
            // Somebody connected and never asked: nothing closes that but the end of the runtime.
            () = sleep_until(&second, Duration::from_secs(1)) => self.server_task.abort(),
        }
    }
}

/// Waits on the tokio timer until the monotonic reading of `clock` is `mono` or later.
async fn sleep_until(clock: &Clock, mono: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the clock computed how long to wait")]
    clock.wait_until(mono, tokio::time::sleep).await;
}

/// Changes what a simulator plays, from now on. Clones hold the same simulator.
#[derive(Clone, Debug)]
pub struct Control(Arc<server::SimServer>);

impl Control {
    /// Since the simulator's start, by its clock: where the timeline is now.
    #[must_use]
    pub fn now(&self) -> Offset {
        self.0.now()
    }

    /// Ends the session `id` now. False if it is not alive.
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

    /// Changes anything of the session `id`'s plan, its times included. False if there is none.
    pub fn update_session(&self, id: &str, change: impl FnOnce(&mut ScenarioSession)) -> bool {
        self.0.state().world.update_session(id, change)
    }

    /// Adds a session, whose times count from the simulator's start as ever (see [`Control::now`]); one with its id
    /// gives way. It comes once, whatever its `repeat` says. Answers its id.
    pub fn add_session(&self, session: ScenarioSession) -> String {
        self.0.state().world.add_session(session)
    }

    /// Adds a fault, before those that there are.
    pub fn add_fault(&self, fault: Fault) {
        self.0.state().faults.insert(0, fault);
    }

    /// What the server's clock shows at `at`.
    #[must_use]
    pub fn server_time(&self, at: Offset) -> Timestamp {
        self.0.state().world.server_time(at)
    }

    /// What really happened within `span`, in the order in which it could be known.
    #[must_use]
    pub fn ground_truth(&self, window: Window) -> Vec<TruthEvent> {
        self.0.state().world.ground_truth(window)
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.0.state().faults.clear();
    }
}
