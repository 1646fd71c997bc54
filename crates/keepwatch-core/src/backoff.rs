//! The delays before failed operations are retried. Pure: the caller passes the random number and counts the failures.
//!
//! ```text
//!   polls             interval × 2, × 4, × 8 …, at most 60 s, minus up to a quarter at random; at least the interval
//!   rejected API key  60 s, or the interval if that is longer
//!   release           1 s, 2 s, 4 s, 8 s, 16 s, minus up to a quarter at random; at most six attempts
//!   journal           1 s, 2 s, 4 s …, at most 60 s
//! ```
//!
//! Jitter spreads the requests, so that many keepwatches that lost the same server do not retry at the same instant.
//! The journal needs no jitter, because its file has only one writer.

use std::time::Duration;

use crate::session::ApiError;

/// The maximum delay, unless the poll interval or the server's `Retry-After` is longer.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// The delay after the API rejected the API key. The API is unlikely to accept the same API key a second later.
const AUTH_DELAY: Duration = Duration::from_secs(60);
/// The largest fraction that jitter subtracts from a delay.
const MAX_JITTER: f64 = 0.25;
/// The maximum number of times that a release is sent.
const MAX_RELEASE_ATTEMPTS: u32 = 6;
/// The delay after the first failed release, before jitter.
const FIRST_RELEASE_DELAY: Duration = Duration::from_secs(1);
/// The delay after the first failed write of the journal.
const FIRST_JOURNAL_DELAY: Duration = Duration::from_secs(1);

/// Returns the delay after `failures` (1 or more) failed polls in a row. `interval` is the time between successful
/// polls. `random` is between 0 and 1.
#[must_use]
pub fn poll_delay(interval: Duration, failures: u32, random: f64) -> Duration {
    subtract_jitter(exponential(interval, failures), random).max(interval)
}

/// Returns the delay after the API rejected the API key. `interval` is the time between successful polls.
#[must_use]
pub fn auth_delay(interval: Duration) -> Duration {
    // promise: refusal-rest, mutant: .max( -> .min(
    AUTH_DELAY.max(interval)
}

/// Returns the delay after an attempt to release a session failed with `error`. Returns `None` if the error is not
/// [retryable](ApiError::is_retryable) or no attempt is left. `attempts` includes the failed attempt. The server's
/// `Retry-After` extends the delay. `random` is between 0 and 1.
#[must_use]
pub fn release_delay(error: &ApiError, attempts: u32, random: f64) -> Option<Duration> {
    let is_retried = error.is_retryable() && attempts < MAX_RELEASE_ATTEMPTS;
    let own_delay = subtract_jitter(exponential(FIRST_RELEASE_DELAY, attempts.saturating_sub(1)), random);
    is_retried.then(|| error.retry_after.unwrap_or_default().max(own_delay))
}

/// Returns the delay after `failures` (1 or more) failed writes of the journal in a row.
#[must_use]
pub fn journal_delay(failures: u32) -> Duration {
    exponential(FIRST_JOURNAL_DELAY, failures.saturating_sub(1))
}

/// Subtracts a fraction of `delay`: nothing if `random` is 0, [`MAX_JITTER`] if `random` is 1.
fn subtract_jitter(delay: Duration, random: f64) -> Duration {
    delay.mul_f64(1.0 - MAX_JITTER * random.clamp(0.0, 1.0))
}

/// Returns `base * 2^doublings`, at most [`MAX_DELAY`].
fn exponential(base: Duration, doublings: u32) -> Duration {
    // 16 doublings exceed the maximum, so more would change nothing.
    // promise: backoff-growth, mutant: 2_u32 -> 1_u32
    // promise: backoff-start, mutant: doublings.min(16) -> 16
    let factor = 2_u32.saturating_pow(doublings.min(16));
    base.saturating_mul(factor).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ApiErrorKind;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn poll_delay_doubles_up_to_a_minute() {
        let delays: Vec<Duration> = (1..=7).map(|failures| poll_delay(S(3), failures, 0.0)).collect();
        assert_eq!(delays, [S(6), S(12), S(24), S(48), S(60), S(60), S(60)]);
    }

    #[test]
    fn jitter_subtracts_at_most_a_quarter() {
        // Without jitter, the delay is 8 s.
        assert_eq!(poll_delay(S(4), 1, 1.0), S(6));
        assert_eq!(poll_delay(S(4), 1, 0.5), S(7));
        assert_eq!(poll_delay(S(4), 1, 99.0), S(6), "a random number above 1 counts as 1");
    }

    #[test]
    fn interval_is_the_minimum_delay() {
        assert_eq!(poll_delay(S(600), 1, 1.0), S(600));
        assert_eq!(poll_delay(S(60), u32::MAX, 1.0), S(60));
        assert_eq!(auth_delay(S(90)), S(90));
    }

    #[test]
    fn auth_delay_is_usually_a_minute() {
        assert_eq!(auth_delay(S(3)), S(60));
    }

    #[test]
    fn release_is_retried_five_times() {
        let error: ApiError = ApiErrorKind::Server(503).into();
        let delays: Vec<_> = (1..=7).map(|attempts| release_delay(&error, attempts, 0.0)).collect();
        assert_eq!(delays, [Some(S(1)), Some(S(2)), Some(S(4)), Some(S(8)), Some(S(16)), None, None]);
        assert_eq!(release_delay(&error, 1, 1.0), Some(MS(750)));
    }

    #[test]
    fn release_waits_at_least_retry_after() {
        let retry_after =
            |seconds| ApiError { retry_after: Some(S(seconds)), ..ApiErrorKind::RateLimited.into() };
        assert_eq!(release_delay(&retry_after(30), 1, 0.0), Some(S(30)));
        assert_eq!(release_delay(&retry_after(1), 3, 0.0), Some(S(4)), "the longer delay counts");
    }

    #[test]
    fn release_retries_only_retryable_errors() {
        for kind in [
            ApiErrorKind::ApiKeyRejected,
            ApiErrorKind::NotFound,
            ApiErrorKind::Status(409),
            ApiErrorKind::ReadOnly,
        ] {
            assert_eq!(release_delay(&kind.clone().into(), 1, 0.0), None, "{kind:?}");
        }
        assert!(release_delay(&ApiErrorKind::Timeout.into(), 1, 0.0).is_some());
    }

    #[test]
    fn journal_delay_doubles_up_to_a_minute() {
        let delays: Vec<Duration> = (1..=8).map(journal_delay).collect();
        assert_eq!(delays, [S(1), S(2), S(4), S(8), S(16), S(32), S(60), S(60)]);
        assert_eq!(journal_delay(u32::MAX), S(60));
    }
}
