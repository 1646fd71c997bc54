//! A rate limit: so many requests in each window, and what replies say of it. Pure.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

/// How many requests are answered in each window; the others get a 429.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimit {
    /// How many.
    pub requests: u32,
    /// How long a window is. The first begins with the simulator.
    pub window: Duration,
}

/// The window that a limit is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct FixedWindow {
    limit: RequestLimit,
    /// How many windows were before it.
    window_index: u128,
    used: u32,
}

/// What a request leaves of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimitStatus {
    limit: u32,
    remaining: u32,
    /// In whole seconds, rounded up.
    reset_seconds: u64,
    /// Whether the request itself is one too many.
    pub(super) is_exceeded: bool,
}

impl FixedWindow {
    pub(super) fn new(limit: RequestLimit) -> Self {
        Self { limit, window_index: 0, used: 0 }
    }

    /// A request comes `at` so long after the start.
    pub(super) fn count_request(&mut self, at: Duration) -> RateLimitStatus {
        let window = self.limit.window.as_nanos().max(1);
        let number = at.as_nanos() / window;
        if number != self.window_index {
            (self.window_index, self.used) = (number, 0);
        }
        self.used = self.used.saturating_add(1);
        let left = window - at.as_nanos() % window;
        RateLimitStatus {
            limit: self.limit.requests,
            remaining: self.limit.requests.saturating_sub(self.used),
            reset_seconds: u64::try_from(left.div_ceil(1_000_000_000)).unwrap_or(u64::MAX),
            is_exceeded: self.used > self.limit.requests,
        }
    }
}

impl RateLimitStatus {
    /// How long one that comes too often is to wait.
    pub(super) fn retry_delay(self) -> Duration {
        Duration::from_secs(self.reset_seconds)
    }

    /// `x-ratelimit-limit`, `-remaining` and `-reset`.
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
    fn each_window_lets_so_many_through() {
        let limit = RequestLimit { requests: 2, window: Duration::from_secs(60) };
        let mut meter = FixedWindow::new(limit);
        let mut at = |seconds: f64| {
            let rest = meter.count_request(Duration::from_secs_f64(seconds));
            (rest.remaining, rest.reset_seconds, rest.is_exceeded)
        };
        assert_eq!([at(0.0), at(10.5), at(59.9)], [(1, 60, false), (0, 50, false), (0, 1, true)]);
        assert_eq!([at(60.0), at(300.0)], [(1, 60, false), (1, 60, false)]);
    }
}
