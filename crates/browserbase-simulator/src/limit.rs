//! A rate limit: so many requests in each window, and what replies say of it. Pure.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};

/// How many requests are answered in each window; the others get a 429.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// How many.
    pub requests: u32,
    /// How long a window is. The first begins with the simulator.
    pub window: Duration,
}

/// The window that a limit is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    limit: Limit,
    /// How many windows were before it.
    number: u128,
    gone: u32,
}

/// What a request leaves of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    limit: u32,
    remaining: u32,
    /// In whole seconds, rounded up.
    reset: u64,
    /// Whether the request itself is one too many.
    pub(super) is_over: bool,
}

impl Meter {
    pub(super) fn new(limit: Limit) -> Self {
        Self { limit, number: 0, gone: 0 }
    }

    /// A request comes `at` so long after the start.
    pub(super) fn count(&mut self, at: Duration) -> Rest {
        let window = self.limit.window.as_nanos().max(1);
        let number = at.as_nanos() / window;
        if number != self.number {
            (self.number, self.gone) = (number, 0);
        }
        self.gone = self.gone.saturating_add(1);
        let left = window - at.as_nanos() % window;
        Rest {
            limit: self.limit.requests,
            remaining: self.limit.requests.saturating_sub(self.gone),
            reset: u64::try_from(left.div_ceil(1_000_000_000)).unwrap_or(u64::MAX),
            is_over: self.gone > self.limit.requests,
        }
    }
}

impl Rest {
    /// How long one that comes too often is to wait.
    pub(super) fn wait(self) -> Duration {
        Duration::from_secs(self.reset)
    }

    /// `x-ratelimit-limit`, `-remaining` and `-reset`.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let mut put = |name, value: u64| headers.insert(HeaderName::from_static(name), value.into());
        put("x-ratelimit-limit", self.limit.into());
        put("x-ratelimit-remaining", self.remaining.into());
        put("x-ratelimit-reset", self.reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_lets_so_many_through() {
        let limit = Limit { requests: 2, window: Duration::from_secs(60) };
        let mut meter = Meter::new(limit);
        let mut at = |seconds: f64| {
            let rest = meter.count(Duration::from_secs_f64(seconds));
            (rest.remaining, rest.reset, rest.is_over)
        };
        assert_eq!([at(0.0), at(10.5), at(59.9)], [(1, 60, false), (0, 50, false), (0, 1, true)]);
        assert_eq!([at(60.0), at(300.0)], [(1, 60, false), (1, 60, false)]);
    }
}
