//! Durations that follow from a session's times: its effective timeout, running time and unused time.

use std::time::Duration;

use super::Session;
use crate::clock::Timestamp;

/// The longest time that is shorter than a second. Added before rounding down, it rounds up.
const ALMOST_ONE_SECOND: Duration = Duration::from_nanos(999_999_999);

impl Session {
    /// Returns the effective timeout, `expiresAt - startedAt`; `None` if a time is missing or out of order.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        effective_timeout(self.started, self.expires)
    }

    /// Returns the time left until the expiry at `now`, on the server's clock; `None` after the expiry, or if there is
    /// none.
    ///
    /// The time left is never longer than the timeout. If `now` is before the start, the clocks disagree.
    #[must_use]
    pub fn time_left(&self, now: Timestamp) -> Option<Duration> {
        let left = self.expires?.signed_duration_since(now).to_std().ok()?;
        Some(self.timeout().map_or(left, |timeout| left.min(timeout)))
    }

    /// Returns the time left as [`Session::time_left`] does, in whole seconds. Zero in the second of the expiry.
    ///
    /// The expiry and `now` are rounded down to whole seconds before they are subtracted, so all countdowns change at
    /// the same moment.
    #[must_use]
    pub fn seconds_left(&self, now: Timestamp) -> Option<Duration> {
        let seconds = self.expires?.timestamp().saturating_sub(now.timestamp());
        let left = Duration::from_secs(u64::try_from(seconds).ok()?);
        let timeout = self.timeout().map(|timeout| timeout.saturating_add(ALMOST_ONE_SECOND).as_secs());
        Some(timeout.map_or(left, |timeout| left.min(Duration::from_secs(timeout))))
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
