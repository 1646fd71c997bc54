//! How often polls may go out, whatever is due: the reader's own limit, and what the server says is left of its. Pure.
//!
//! ```text
//!   --max-rps 4              one poll each 250 ms, and up to four together after a rest
//!   12 left for 48 s         one poll each 48 s / (12 - 1): the last is kept for what the reader asks for
//!    1 left for 48 s         none until then
//! ```
//!
//! What the reader asks for never waits for it.

use std::time::Duration;

use crate::api::RateLimit;
use keepwatch_core::session::ApiError;

/// Of what is left, so many are kept for what the reader asks for.
const RESERVE: u32 = 1;
/// Two replies tell of the same window if it ends at the same time, give or take this: resets are whole seconds.
const SAME_WINDOW: Duration = Duration::from_secs(2);

/// When the next poll may go out. Times are the monotonic clock's.
#[derive(Clone, Copy, Debug)]
pub struct RateLimiter {
    /// From one poll to the next, if they go out evenly.
    poll_interval: Duration,
    /// How much sooner than evenly a poll may go out.
    burst_allowance: Duration,
    /// When the next poll would be due if they went out evenly.
    next_even_slot: Duration,
    /// The newest poll.
    last: Option<Duration>,
    server_pace: Option<ServerPace>,
}

/// The pace that a server's limit asks for.
#[derive(Clone, Copy, Debug)]
struct ServerPace {
    remaining: u32,
    /// When there are more again.
    resets_at: Duration,
    /// From one poll to the next.
    poll_interval: Duration,
}

impl RateLimiter {
    /// At most `per_second` polls a second, and as many at once after a rest; 0 is taken as 1.
    #[must_use]
    pub fn new(per_second: u32, now: Duration) -> Self {
        let apart = Duration::from_secs(1).checked_div(per_second.max(1)).unwrap_or(Duration::from_secs(1));
        let ahead = apart.saturating_mul(per_second.max(1).saturating_sub(1));
        Self {
            poll_interval: apart,
            burst_allowance: ahead,
            next_even_slot: now,
            last: None,
            server_pace: None,
        }
    }

    /// When the next poll may go out; at once, if that is past.
    #[must_use]
    pub fn next_slot(&self) -> Duration {
        let own = self.next_even_slot.saturating_sub(self.burst_allowance);
        let paced = self.server_pace.and_then(|pace| {
            // The last poll of a window may be long ago: then nothing is left to wait for but the window's own end.
            let after = self.last.map(|last| last.saturating_add(pace.poll_interval)).unwrap_or_default();
            (!pace.poll_interval.is_zero()).then(|| after.min(pace.resets_at))
        });
        paced.map_or(own, |paced| own.max(paced))
    }

    /// A poll goes out.
    pub fn acquire(&mut self, now: Duration) {
        self.next_even_slot = self.next_even_slot.max(now).saturating_add(self.poll_interval);
        self.last = Some(now);
        self.server_pace = self.server_pace.filter(|pace| now < pace.resets_at);
    }

    /// A reply says what is left.
    pub fn update_from_headers(&mut self, rate_limit: RateLimit, now: Duration) {
        let RateLimit { mut remaining, resets_in: reset } = rate_limit;
        let mut until = now.saturating_add(reset);
        // Replies overtake each other: of one window, the least that was said is what is left.
        if let Some(before) = self.server_pace.filter(|before| now < before.resets_at)
            && until.abs_diff(before.resets_at) <= SAME_WINDOW
        {
            remaining = remaining.min(before.remaining);
            until = until.max(before.resets_at);
        }
        let left = until.saturating_sub(now);
        let apart = match left.checked_div(remaining.saturating_sub(RESERVE)) {
            Some(apart) if apart > self.poll_interval => apart,
            Some(_) => Duration::ZERO,
            None => left,
        };
        self.server_pace = Some(ServerPace {
            remaining,
            resets_at: until,
            poll_interval: apart.min(ApiError::MAX_RETRY_AFTER),
        });
    }

    /// Forgets what a server said: the reader wants to know now.
    pub fn forget_server_limit(&mut self) {
        self.server_pace = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// When polls go out until `end`, if there is always one due: in milliseconds.
    fn send_times(budget: &mut RateLimiter, from: f64, end: f64) -> Vec<u128> {
        let mut now = s(from);
        let mut sent = Vec::new();
        loop {
            now = now.max(budget.next_slot());
            if now >= s(end) {
                return sent;
            }
            budget.acquire(now);
            sent.push(now.as_millis());
        }
    }

    fn rate_limit(remaining: u32, reset: f64) -> RateLimit {
        RateLimit { remaining, resets_in: s(reset) }
    }

    #[test]
    fn so_many_go_out_at_once_and_then_evenly_and_a_rest_saves_no_more_than_that() {
        let mut budget = RateLimiter::new(4, s(10.0));
        assert_eq!(
            send_times(&mut budget, 10.0, 11.1),
            [10_000, 10_000, 10_000, 10_000, 10_250, 10_500, 10_750, 11_000]
        );
        assert_eq!(send_times(&mut budget, 99.0, 99.3), [99_000, 99_000, 99_000, 99_000, 99_250]);
    }

    #[test]
    fn over_a_minute_never_more_than_the_rate_and_one_burst() {
        for rate in [1, 3, 4, 7, 100] {
            let count = send_times(&mut RateLimiter::new(rate, s(0.0)), 0.0, 60.0).len();
            assert!(count <= usize::try_from(rate * 61).unwrap(), "{rate}: {count}");
            assert!(
                count >= usize::try_from(rate * 60).unwrap(),
                "nothing is wasted either: {rate}: {count}"
            );
        }
        assert_eq!(
            send_times(&mut RateLimiter::new(0, s(0.0)), 0.0, 2.5).len(),
            3,
            "none at all is taken as one"
        );
    }

    #[test]
    fn what_a_server_says_is_left_spreads_over_the_time_that_it_is_left_for() {
        // remaining, reset → how far apart polls go out, in milliseconds
        for (remaining, reset, apart) in [
            (1000, 60.0, 250), // plenty: the reader's own limit holds
            (241, 60.0, 250),
            (25, 48.0, 2000),
            (13, 48.0, 4000),
            (2, 48.0, 48_000),
            (1, 48.0, 48_000), // the last one is the reader's
            (0, 48.0, 48_000),
            (2, 3600.0, 300_000), // and nothing waits longer than a server may ask for
        ] {
            let mut budget = RateLimiter::new(4, s(0.0));
            (0..4).for_each(|_| budget.acquire(s(0.0)));
            budget.update_from_headers(rate_limit(remaining, reset), s(0.0));
            assert_eq!(budget.next_slot().as_millis(), apart, "{remaining} for {reset} s");
        }
    }

    #[test]
    fn polls_slow_down_as_it_falls_and_are_free_again_with_the_next_window() {
        let mut budget = RateLimiter::new(4, s(0.0));
        let (mut now, mut gone) = (s(0.0), 0);
        let mut apart = Vec::new();
        // A server that lets 10 through each minute, and others on the same key that take as many as we do.
        while now < s(60.0) {
            budget.acquire(now);
            gone += 2;
            budget
                .update_from_headers(rate_limit(10_u32.saturating_sub(gone), 60.0 - now.as_secs_f64()), now);
            let next = now.max(budget.next_slot());
            apart.push((next - now).as_millis() / 100);
            now = next;
        }
        assert!(apart.len() < 6, "never a 429: {apart:?}");
        assert_eq!(now, s(60.0), "and as soon as there are more, it goes on");
        budget.acquire(now);
        assert!(budget.next_slot() <= now, "as if nothing had been");
    }

    #[test]
    fn a_reply_that_was_overtaken_does_not_make_it_more() {
        let mut budget = RateLimiter::new(4, s(0.0));
        budget.acquire(s(0.0));
        budget.update_from_headers(rate_limit(3, 30.0), s(0.0));
        budget.update_from_headers(rate_limit(20, 29.0), s(0.3));
        assert!(budget.next_slot() >= s(14.0), "{:?}", budget.next_slot());
        budget.update_from_headers(rate_limit(20, 60.0), s(0.4));
        assert!(budget.next_slot() < s(4.0), "another window is another window");
        budget.forget_server_limit();
        assert_eq!(budget.next_slot(), s(0.0));
    }
}
