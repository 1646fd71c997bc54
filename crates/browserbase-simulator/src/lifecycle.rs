//! The lifecycle of sessions that clients create and release, within the project's plan and slots.
//!
//! ```text
//!   created ── pending ──► RUNNING ──┬── unused, without keep-alive ─────────► COMPLETED   (no browser client)
//!                                    ├── released, then release_delay ───────► COMPLETED
//!                                    └── timeout, with or without keep-alive ► TIMED_OUT
//! ```
//!
//! `sim_session` computes the end at the timeout. This module decides the other ends. A request to create a session
//! gets a 429 if no slot is free.
//!
//! No browser runs, so no browser client ever connects to a session. No source documents whether the API then ends a
//! keep-alive session. Here, such a session lives until its timeout.

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

/// The maximum retry delay when all slots are taken: a minute, because the API limits creations per minute.
const MAX_SLOT_WAIT: Duration = Duration::from_secs(60);

/// The delays and lifetimes of sessions that clients create or release.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LifecycleRules {
    /// The time that a new session is PENDING before it is RUNNING.
    pub pending: HumanDuration,
    /// The lifetime of a session without keep-alive, to which no browser client ever connects.
    pub unused: HumanDuration,
    /// The time from a release request to the end of the session.
    pub release_delay: HumanDuration,
}

impl Default for LifecycleRules {
    fn default() -> Self {
        let seconds = |seconds| HumanDuration(Duration::from_secs(seconds));
        Self { pending: seconds(1), unused: seconds(300), release_delay: seconds(2) }
    }
}

impl World {
    /// Creates the session that `request` asks for, with the id `id`.
    ///
    /// # Errors
    /// Returns the API's error if the plan does not allow the session, or if all slots are taken.
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
            let max = plan.max_timeout().as_secs();
            let message = format!("Session timeouts above {max} seconds are not supported on the FREE plan");
            return Err(error_response(StatusCode::FORBIDDEN, &message));
        }
        self.check_slot(at)?;
        let unused_end = ScenarioEnd::new(at.plus(self.rules.unused.into()), FinalStatus::Completed)
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
            ends: (!request.keep_alive).then_some(unused_end),
            ..ScenarioSession::default()
        });
        Ok(())
    }

    /// Releases the session `id`. Returns the body of the API's response, or `None` if the API does not know the
    /// session. If the session ends anyway before the release would take effect, that end is kept.
    pub(super) fn release_session(&mut self, id: &str, at: Offset) -> Option<String> {
        let end_at = at.plus(self.rules.release_delay.into());
        let session = self.session(id)?;
        if is_alive(&session.snapshot(at)?) && session.effective_end().is_none_or(|end| end_at < end.at) {
            let end = ScenarioEnd::new(end_at, FinalStatus::Completed).with_cause(EndCause::Released);
            self.update_session(id, |session| session.ends = Some(end));
        }
        let session = self.session(id)?;
        let mut body = String::with_capacity(1024);
        session.write_json(&mut body, &session.snapshot(at)?, self.start);
        Some(session.apply_overrides(body, at, OverrideScope::Retrieve))
    }

    /// Returns the API's error if all slots are taken at `at`. The retry delay ends when the next session ends, but
    /// is at least one second and at most [`MAX_SLOT_WAIT`].
    fn check_slot(&self, at: Offset) -> Result<(), Box<ErrorResponse>> {
        let live_sessions =
            || self.sessions.iter().filter(|session| session.snapshot(at).as_ref().is_some_and(is_alive));
        let (limit, taken) = (self.project.concurrency, live_sessions().count());
        if u32::try_from(taken).is_ok_and(|taken| taken < limit) {
            return Ok(());
        }
        let time_to_next_end =
            live_sessions().filter_map(SimSession::effective_end).map(|end| end.at.minus(at)).min();
        let wait = time_to_next_end
            .map_or(MAX_SLOT_WAIT, Offset::to_duration)
            .clamp(Duration::from_secs(1), MAX_SLOT_WAIT);
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
