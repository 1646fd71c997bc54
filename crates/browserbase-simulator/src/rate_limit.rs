//! A rate limit: a number of requests per fixed window, and the headers that report it.
//!
//! The module is pure: it reads no clock. `server` answers requests over the limit with a 429.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

/// The number of requests that each window allows.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimit {
    /// The number of requests.
    pub requests: u32,
    /// The length of a window. The first window starts with the simulator.
    pub window: Duration,
}

/// The counter of requests in the current window.
#[derive(Clone, Copy, Debug)]
pub(super) struct FixedWindow {
    limit: RequestLimit,
    /// The number of windows before the current one.
    window_index: u128,
    /// The number of requests in the current window, including those over the limit.
    used: u32,
}

/// The state of the limit after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimitStatus {
    limit: u32,
    remaining: u32,
    /// The time until the next window, in whole seconds, rounded up.
    reset_seconds: u64,
    /// True if the request exceeds the limit.
    pub(super) is_exceeded: bool,
}

impl FixedWindow {
    pub(super) fn new(limit: RequestLimit) -> Self {
        Self { limit, window_index: 0, used: 0 }
    }

    /// Counts a request. `at` is its arrival, since the start.
    pub(super) fn count_request(&mut self, at: Duration) -> RateLimitStatus {
        let window_nanos = self.limit.window.as_nanos().max(1);
        let window_index = at.as_nanos() / window_nanos;
        if window_index != self.window_index {
            (self.window_index, self.used) = (window_index, 0);
        }
        self.used = self.used.saturating_add(1);
        let left_nanos = window_nanos - at.as_nanos() % window_nanos;
        RateLimitStatus {
            limit: self.limit.requests,
            remaining: self.limit.requests.saturating_sub(self.used),
            reset_seconds: u64::try_from(left_nanos.div_ceil(1_000_000_000)).unwrap_or(u64::MAX),
            is_exceeded: self.used > self.limit.requests,
        }
    }
}

impl RateLimitStatus {
    /// Returns the time until the next window.
    pub(super) fn retry_delay(self) -> Duration {
        Duration::from_secs(self.reset_seconds)
    }

    /// Adds the headers `x-ratelimit-limit`, `x-ratelimit-remaining` and `x-ratelimit-reset`.
    pub(super) fn write_headers(self, headers: &mut HeaderMap) {
        let mut put = |name, value: u64| headers.insert(HeaderName::from_static(name), value.into());
        put("x-ratelimit-limit", self.limit.into());
        put("x-ratelimit-remaining", self.remaining.into());
        put("x-ratelimit-reset", self.reset_seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_allows_its_requests() {
        let limit = RequestLimit { requests: 2, window: Duration::from_secs(60) };
        let mut counter = FixedWindow::new(limit);
        let mut count_at = |seconds: f64| {
            let status = counter.count_request(Duration::from_secs_f64(seconds));
            (status.remaining, status.reset_seconds, status.is_exceeded)
        };
        assert_eq!(
            [count_at(0.0), count_at(10.5), count_at(59.9)],
            [(1, 60, false), (0, 50, false), (0, 1, true)]
        );
        assert_eq!([count_at(60.0), count_at(300.0)], [(1, 60, false), (1, 60, false)]);
    }
}
