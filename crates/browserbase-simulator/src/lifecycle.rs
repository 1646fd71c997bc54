//! Sessions that requests make and end: by which rules they live, and what the project's plan and its slots allow.
//!
//! ```text
//!   created ── pending ──► RUNNING ──┬── unused, without keep-alive ──────────► COMPLETED   nobody ever connects here
//!                                    ├── released, and release_delay later ───► COMPLETED
//!                                    └── its timeout, with keep-alive too ────► TIMED_OUT
//! ```
//!
//! Whether the API ends a keep-alive session that nobody ever connected to, no source says; here it lives on.

use std::time::Duration;

use axum::http::{HeaderName, StatusCode};
use serde::Deserialize;

use super::fault::{ErrorResponse, RetryAfterFormat};
use super::project::ProjectPlan;
use super::request_body::CreateRequest;
use super::scenario_session::{
    EndCause, FinalStatus, OverrideScope, ScenarioEnd, ScenarioSession, SimStatus,
};
use super::scenario_time::{HumanDuration, Offset};
use super::sim_session::{SessionSnapshot, SimSession};
use super::world::World;

/// The longest that a client is told to wait for a slot: the API counts creations by the minute.
const MAX_SLOT_WAIT: Duration = Duration::from_secs(60);

/// How sessions live that a client creates, and how the API takes its wishes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LifecycleRules {
    /// How long a session is PENDING before it runs.
    pub pending: HumanDuration,
    /// After so long a session that nobody connected to ends, if it has no keep-alive.
    pub unused: HumanDuration,
    /// So long replies go on as before once a release was asked for.
    pub release_delay: HumanDuration,
}

impl Default for LifecycleRules {
    fn default() -> Self {
        let span = |seconds| HumanDuration(Duration::from_secs(seconds));
        Self { pending: span(1), unused: span(300), release_delay: span(2) }
    }
}

impl World {
    /// Makes the session that a client ordered, with the id `id`.
    ///
    /// # Errors
    /// What the API answers where the plan does not allow it, or all slots are taken.
    pub(super) fn create_session(
        &mut self,
        request: CreateRequest,
        id: String,
        at: Offset,
    ) -> Result<(), Box<ErrorResponse>> {
        let plan = self.project.plan;
        if plan == ProjectPlan::Free && request.keep_alive {
            return Err(error_response(
                StatusCode::FORBIDDEN,
                "Keep alive sessions are not supported on the FREE plan",
            ));
        }
        if request.timeout.is_some_and(|timeout| timeout > plan.max_timeout()) {
            let longest = plan.max_timeout().as_secs();
            let message =
                format!("Session timeouts above {longest} seconds are not supported on the FREE plan");
            return Err(error_response(StatusCode::FORBIDDEN, &message));
        }
        self.check_slot(at)?;
        let unused = ScenarioEnd::new(at.plus(self.rules.unused.into()), FinalStatus::Completed)
            .with_cause(EndCause::Unused);
        self.add_session(ScenarioSession {
            id: Some(id),
            appears: at,
            starts: Some(at.plus(self.rules.pending.into())),
            timeout: Some(HumanDuration(
                request.timeout.unwrap_or(self.project.default_timeout.0.min(plan.max_timeout())),
            )),
            keep_alive: request.keep_alive,
            region: request.region,
            context: request.context,
            metadata: request.metadata,
            ends: (!request.keep_alive).then_some(unused),
            ..ScenarioSession::default()
        });
        Ok(())
    }

    /// Has the session `id` released, and says what the API answers; `None` if it does not know it. What has ended, or
    /// will have by then, stays as it is.
    pub(super) fn release_session(&mut self, id: &str, at: Offset) -> Option<String> {
        let end_at = at.plus(self.rules.release_delay.into());
        let session = self.session(id)?;
        if is_alive(&session.snapshot(at)?) && session.effective_end().is_none_or(|end| end_at < end.at) {
            let end = ScenarioEnd::new(end_at, FinalStatus::Completed).with_cause(EndCause::Released);
            self.update_session(id, |session| session.ends = Some(end));
        }
        let resident = self.session(id)?;
        let mut body = String::with_capacity(1024);
        resident.write_json(&mut body, &resident.snapshot(at)?, self.start);
        Some(resident.apply_overrides(body, at, OverrideScope::Retrieve))
    }

    /// Whether one more session may run at `at`.
    fn check_slot(&self, at: Offset) -> Result<(), Box<ErrorResponse>> {
        let alive = || self.sessions.iter().filter(|it| it.snapshot(at).as_ref().is_some_and(is_alive));
        let (limit, taken) = (self.project.concurrency, alive().count());
        if u32::try_from(taken).is_ok_and(|taken| taken < limit) {
            return Ok(());
        }
        let frees = alive().filter_map(SimSession::effective_end).map(|end| end.at.minus(at)).min();
        let wait =
            frees.map_or(MAX_SLOT_WAIT, Offset::to_duration).clamp(Duration::from_secs(1), MAX_SLOT_WAIT);
        let message = format!(
            "You've exceeded your max concurrent sessions limit (limit {limit}, currently {taken}). \
             Please contact support to increase your limit."
        );
        let mut error = ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS).with_message(message);
        error.retry_after = Some((wait, RetryAfterFormat::Seconds));
        error.headers = vec![(HeaderName::from_static("x-ratelimit-limit"), limit.into())];
        Err(Box::new(error))
    }
}

fn is_alive(snapshot: &SessionSnapshot) -> bool {
    !matches!(snapshot.status, SimStatus::Ended(_))
}

fn error_response(status: StatusCode, message: &str) -> Box<ErrorResponse> {
    Box::new(ErrorResponse::new(status).with_message(message))
}

#[cfg(test)]
mod tests;
