//! The rate limiter for polls. It combines the user's limit (`--max-rps`) with the rate limit that the server reports.
//! It is pure.
//!
//! ```text
//!   --max-rps 4                    at most four polls in any second; the four may be sent at once
//!   12 requests left for 48 s      one poll every 48 s / (12 - 1): the last request is reserved for the user
//!    1 request left for 48 s       no poll for 48 s
//! ```
//!
//! Requests that the user triggers are not throttled.

use std::collections::VecDeque;
use std::time::Duration;

use crate::api::RateLimit;
use keepwatch_core::session::ApiError;

/// The number of remaining requests to reserve for the user.
const RESERVE: u32 = 1;
/// The time in which at most `--max-rps` polls are sent. It is longer than a second, because the limit must also hold
/// where the polls arrive: a poll that opens a connection takes some milliseconds longer to arrive than the next one.
const POLL_WINDOW: Duration = Duration::from_millis(1025);
/// The maximum difference between two reset times that belong to the same window of the server. Servers round resets to
/// whole seconds.
const RESET_TOLERANCE: Duration = Duration::from_secs(2);

/// The limiter's state. Times are those of the monotonic clock.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    /// The average time between polls at the user's limit.
    user_poll_interval: Duration,
    /// The maximum number of polls in each [`POLL_WINDOW`].
    max_in_window: usize,
    /// The times of the newest polls, the oldest first: at most `max_in_window` of them.
    newest_polls: VecDeque<Duration>,
    /// `None` if the server has reported no rate limit for its current window.
    server_pace: Option<ServerPace>,
}

/// The pace that the server's rate limit allows.
#[derive(Clone, Copy, Debug)]
struct ServerPace {
    /// The number of requests left in the server's current window.
    remaining: u32,
    /// The start of the server's next window.
    resets_at: Duration,
    /// The time between polls; zero if the server's limit is no constraint.
    poll_interval: Duration,
}

impl RateLimiter {
    /// Creates a limiter that allows `per_second` polls in any second. Treats 0 as 1.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        Self {
            user_poll_interval: POLL_WINDOW.checked_div(per_second).unwrap_or(POLL_WINDOW),
            max_in_window: usize::try_from(per_second).unwrap_or(usize::MAX),
            newest_polls: VecDeque::new(),
            server_pace: None,
        }
    }

    /// Returns the time at which the next poll may be sent, which may be in the past.
    #[must_use]
    pub fn next_poll_time(&self) -> Duration {
        let last_poll = self.newest_polls.back().copied();
        let allowed_by_server = self.server_pace.filter(|pace| !pace.poll_interval.is_zero()).map(|pace| {
            // The server's next window lifts the limit, so there is no need to wait past its start.
            let spaced = last_poll.map(|last| last.saturating_add(pace.poll_interval)).unwrap_or_default();
            spaced.min(pace.resets_at)
        });
        [self.allowed_by_user(), allowed_by_server].into_iter().flatten().max().unwrap_or_default()
    }

    /// Returns the time from which the user's limit allows one more poll. `None` if fewer polls were sent so far than
    /// one poll window allows.
    fn allowed_by_user(&self) -> Option<Duration> {
        let oldest = self.newest_polls.front().filter(|_| self.newest_polls.len() >= self.max_in_window)?;
        Some(oldest.saturating_add(POLL_WINDOW))
    }

    /// Records that a poll is sent at `now`.
    pub fn acquire(&mut self, now: Duration) {
        if self.newest_polls.len() >= self.max_in_window {
            self.newest_polls.pop_front();
        }
        self.newest_polls.push_back(now);
        self.server_pace = self.server_pace.filter(|pace| now < pace.resets_at);
    }

    /// Applies the rate limit in the headers of a response that arrived at `now`.
    pub fn update_from_headers(&mut self, rate_limit: RateLimit, now: Duration) {
        let RateLimit { mut remaining, resets_in } = rate_limit;
        let mut resets_at = now.saturating_add(resets_in);
        // Responses may arrive out of order. Within one window of the server, the lowest number is the current one.
        if let Some(previous) = self.server_pace.filter(|previous| now < previous.resets_at)
            && resets_at.abs_diff(previous.resets_at) <= RESET_TOLERANCE
        {
            remaining = remaining.min(previous.remaining);
            resets_at = resets_at.max(previous.resets_at);
        }
        let time_left = resets_at.saturating_sub(now);
        let poll_interval = match time_left.checked_div(remaining.saturating_sub(RESERVE)) {
            Some(interval) if interval > self.user_poll_interval => interval,
            Some(_) => Duration::ZERO, // the user's limit is stricter
            None => time_left,         // only the reserve is left
        };
        self.server_pace = Some(ServerPace {
            remaining,
            resets_at,
            poll_interval: poll_interval.min(ApiError::MAX_RETRY_AFTER),
        });
    }

    /// Forgets the server's rate limit, for a refresh that the user requested.
    pub fn forget_server_limit(&mut self) {
        self.server_pace = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Returns the send times of polls from `start` to `end`, if one is always due. The arguments are in seconds, the
    /// result in milliseconds.
    fn send_times(limiter: &mut RateLimiter, start: f64, end: f64) -> Vec<u128> {
        let mut now = secs(start);
        let mut sent = Vec::new();
        loop {
            now = now.max(limiter.next_poll_time());
            if now >= secs(end) {
                return sent;
            }
            limiter.acquire(now);
            sent.push(now.as_millis());
        }
    }

    fn rate_limit(remaining: u32, resets_in: f64) -> RateLimit {
        RateLimit { remaining, resets_in: secs(resets_in) }
    }

    #[test]
    fn burst_waits_for_next_poll_window() {
        let mut limiter = RateLimiter::new(4);
        assert_eq!(
            send_times(&mut limiter, 10.0, 11.6), // the next window starts 1.025 s after the first poll
            [10_000, 10_000, 10_000, 10_000, 11_025, 11_025, 11_025, 11_025]
        );
        limiter.acquire(secs(99.0));
        assert_eq!(send_times(&mut limiter, 99.5, 100.1), [99_500, 99_500, 99_500, 100_025]);
    }

    #[test]
    fn no_second_has_more_polls_than_limit() {
        for rate in [1, 3, 4, 7, 100] {
            let mut limiter = RateLimiter::new(rate);
            // Bursts of different lengths, with pauses between them.
            let bursts = [(0.0, 2.5), (2.6, 2.9), (3.5, 3.6), (3.7, 9.0), (11.0, 11.1), (11.9, 14.0)];
            let sent: Vec<u128> =
                bursts.into_iter().flat_map(|(start, end)| send_times(&mut limiter, start, end)).collect();
            for start in &sent {
                let count = sent.iter().filter(|time| (*start..start + 1000).contains(*time)).count();
                assert!(
                    count <= usize::try_from(rate).unwrap(),
                    "at most {rate} polls in any second: {count} from {start} ms"
                );
            }
        }
    }

    #[test]
    fn full_rate_is_used() {
        for rate in [1, 3, 4, 7, 100] {
            let count = send_times(&mut RateLimiter::new(rate), 0.0, 60.0).len();
            // A minute has 58 whole poll windows.
            assert!(count >= usize::try_from(rate * 58).unwrap(), "each window has {rate} polls: {count}");
        }
        assert_eq!(send_times(&mut RateLimiter::new(0), 0.0, 2.5).len(), 3, "0 is treated as 1");
    }

    #[test]
    fn remaining_requests_spread_over_server_window() {
        // remaining, reset in seconds → the time between polls in milliseconds
        for (remaining, reset, expected) in [
            (1000, 60.0, 1025), // plenty: only the user's limit applies
            (61, 60.0, 1025),
            (25, 48.0, 2000),
            (13, 48.0, 4000),
            (2, 48.0, 48_000),
            (1, 48.0, 48_000), // the last one is reserved for the user
            (0, 48.0, 48_000),
            (2, 3600.0, 300_000), // capped at the longest retry delay
        ] {
            let mut limiter = RateLimiter::new(4);
            (0..4).for_each(|_| limiter.acquire(secs(0.0)));
            limiter.update_from_headers(rate_limit(remaining, reset), secs(0.0));
            assert_eq!(limiter.next_poll_time().as_millis(), expected, "{remaining} left for {reset} s");
        }
    }

    #[test]
    fn polls_slow_down_until_reset() {
        let mut limiter = RateLimiter::new(4);
        let (mut now, mut used) = (secs(0.0), 0);
        let mut gaps_ms = Vec::new();
        // The server allows 10 requests per minute, and another client uses as many as this one.
        while now < secs(60.0) {
            limiter.acquire(now);
            used += 2; // one request by each client
            limiter
                .update_from_headers(rate_limit(10_u32.saturating_sub(used), 60.0 - now.as_secs_f64()), now);
            let next = now.max(limiter.next_poll_time());
            gaps_ms.push((next - now).as_millis());
            now = next;
        }
        assert!(gaps_ms.len() < 6, "a sixth poll would exceed the server's limit: {gaps_ms:?}");
        assert_eq!(now, secs(60.0), "polling continues with the next window");
        limiter.acquire(now);
        assert!(limiter.next_poll_time() <= now, "the server's new window has no limit yet");
    }

    #[test]
    fn late_response_never_raises_limit() {
        let mut limiter = RateLimiter::new(4);
        limiter.acquire(secs(0.0));
        limiter.update_from_headers(rate_limit(3, 30.0), secs(0.0));
        limiter.update_from_headers(rate_limit(20, 29.0), secs(0.3));
        // With 3 requests left, two polls share the 30 s until the reset. With 20, a poll would follow after 1.5 s.
        let next = limiter.next_poll_time();
        assert!(next >= secs(14.0), "the lowest number of requests left counts: {next:?}");
        limiter.update_from_headers(rate_limit(20, 60.0), secs(0.4));
        assert!(limiter.next_poll_time() < secs(4.0), "the server's new window replaces the old one");
        limiter.forget_server_limit();
        assert_eq!(limiter.next_poll_time(), secs(0.0), "a forgotten limit delays no poll");
    }
}
