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

use super::fault::{Refusal, RetryAfter};
use super::offset::{Offset, Span};
use super::order::Order;
use super::project::Plan;
use super::resident::{Resident, Standing};
use super::session::{Cause, End, Ending, Replies, Session, Status};
use super::world::World;

/// The longest that a client is told to wait for a slot: the API counts creations by the minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How sessions live that a client creates, and how the API takes its wishes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// How long a session is PENDING before it runs.
    pub pending: Span,
    /// After so long a session that nobody connected to ends, if it has no keep-alive.
    pub unused: Span,
    /// So long replies go on as before once a release was asked for.
    pub release_delay: Span,
}

impl Default for Rules {
    fn default() -> Self {
        let span = |seconds| Span(Duration::from_secs(seconds));
        Self { pending: span(1), unused: span(300), release_delay: span(2) }
    }
}

impl World {
    /// Makes the session that a client ordered, with the id `id`.
    ///
    /// # Errors
    /// What the API answers where the plan does not allow it, or all slots are taken.
    pub(super) fn create(&mut self, order: Order, id: String, at: Offset) -> Result<(), Box<Refusal>> {
        let plan = self.project.plan;
        if plan == Plan::Free && order.keep_alive {
            return Err(refusal(
                StatusCode::FORBIDDEN,
                "Keep alive sessions are not supported on the FREE plan",
            ));
        }
        if order.timeout.is_some_and(|timeout| timeout > plan.longest()) {
            let longest = plan.longest().as_secs();
            let message =
                format!("Session timeouts above {longest} seconds are not supported on the FREE plan");
            return Err(refusal(StatusCode::FORBIDDEN, &message));
        }
        self.slot(at)?;
        let unused = End::new(at.plus(self.rules.unused.into()), Ending::Completed).by(Cause::Unused);
        self.add(Session {
            id: Some(id),
            appears: at,
            starts: Some(at.plus(self.rules.pending.into())),
            timeout: Some(Span(order.timeout.unwrap_or(self.project.default_timeout.0.min(plan.longest())))),
            keep_alive: order.keep_alive,
            region: order.region,
            context: order.context,
            metadata: order.metadata,
            ends: (!order.keep_alive).then_some(unused),
            ..Session::default()
        });
        Ok(())
    }

    /// Has the session `id` released, and says what the API answers; `None` if it does not know it. What has ended, or
    /// will have by then, stays as it is.
    pub(super) fn release(&mut self, id: &str, at: Offset) -> Option<String> {
        let ends = at.plus(self.rules.release_delay.into());
        let resident = self.resident(id)?;
        if is_alive(&resident.standing(at)?) && resident.end().is_none_or(|end| ends < end.at) {
            let end = End::new(ends, Ending::Completed).by(Cause::Released);
            self.alter(id, |session| session.ends = Some(end));
        }
        let resident = self.resident(id)?;
        let mut body = String::with_capacity(1024);
        resident.write(&mut body, &resident.standing(at)?, self.start);
        Some(resident.said(body, at, Replies::Retrieve))
    }

    /// Whether one more session may run at `at`.
    fn slot(&self, at: Offset) -> Result<(), Box<Refusal>> {
        let alive = || self.residents.iter().filter(|it| it.standing(at).as_ref().is_some_and(is_alive));
        let (limit, taken) = (self.project.concurrency, alive().count());
        if u32::try_from(taken).is_ok_and(|taken| taken < limit) {
            return Ok(());
        }
        let frees = alive().filter_map(Resident::end).map(|end| end.at.minus(at)).min();
        let wait = frees.map_or(LONGEST_WAIT, Offset::length).clamp(Duration::from_secs(1), LONGEST_WAIT);
        let message = format!(
            "You've exceeded your max concurrent sessions limit (limit {limit}, currently {taken}). \
             Please contact support to increase your limit."
        );
        let mut refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS).saying(message);
        refusal.retry_after = Some((wait, RetryAfter::Seconds));
        refusal.headers = vec![(HeaderName::from_static("x-ratelimit-limit"), limit.into())];
        Err(Box::new(refusal))
    }
}

fn is_alive(standing: &Standing) -> bool {
    !matches!(standing.status, Status::Ended(_))
}

fn refusal(status: StatusCode, message: &str) -> Box<Refusal> {
    Box::new(Refusal::new(status).saying(message))
}

#[cfg(test)]
mod tests;
