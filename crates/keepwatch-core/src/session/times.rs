//! Durations that follow from a session's times: its effective timeout, running time and unused time.

use std::time::Duration;

use super::Session;
use crate::clock::Timestamp;

impl Session {
    /// Returns the effective timeout, `expiresAt - startedAt`; `None` if a time is missing or out of order.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        effective_timeout(self.started, self.expires)
    }

    /// Returns the running time, `endedAt - startedAt`; `None` while the session runs, or if a time is missing or
    /// out of order.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.ended?.signed_duration_since(self.started?).to_std().ok()
    }

    /// Returns the time that was left when the session ended, `expiresAt - endedAt`; `None` while the session runs, or
    /// if a time is missing or out of order.
    #[must_use]
    pub fn unused_time(&self) -> Option<Duration> {
        self.expires?.signed_duration_since(self.ended?).to_std().ok()
    }
}

/// Returns the timeout that applies to a session, `expiresAt - startedAt`; `None` if a time is missing or out of order.
/// The API does not return the timeout that was requested.
#[must_use]
pub fn effective_timeout(started: Option<Timestamp>, expires: Option<Timestamp>) -> Option<Duration> {
    expires?.signed_duration_since(started?).to_std().ok()
}

/// Returns true if `timeout` differs from the project's default by less than a second. The server's times deviate by
/// fractions of a second, so the two are rarely equal.
#[must_use]
pub fn is_default_timeout(timeout: Duration, project_default: Duration) -> bool {
    timeout.abs_diff(project_default) < Duration::from_secs(1)
}
