//! How long to wait after a failure. Pure: the die is thrown by the caller.

use std::time::Duration;

/// Nothing waits longer than this because of failures alone.
const LONGEST: Duration = Duration::from_secs(60);
/// A refused key will hardly be accepted a second later.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// The delay after the `failures`-th failure in a row (1 is the first): `interval * 2^failures`, at most 60 s but never
/// less than `interval`, shortened by up to a quarter by `die` (0 to 1), so that many watchers do not come back at once.
#[must_use]
pub fn delay(interval: Duration, failures: u32, die: f64) -> Duration {
    // promise: backoff-growth, mutant: 2_u32 -> 1_u32
    // promise: backoff-start, mutant: failures.min(16) -> 16
    let factor = 2_u32.saturating_pow(failures.min(16));
    let grown = interval.saturating_mul(factor).min(LONGEST);
    grown.mul_f64(1.0 - 0.25 * die.clamp(0.0, 1.0)).max(interval)
}

/// The delay after the API refused the key.
#[must_use]
pub fn after_refusal(interval: Duration) -> Duration {
    // promise: refusal-rest, mutant: .max( -> .min(
    AFTER_REFUSAL.max(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn doubles_from_the_interval_up_to_a_minute() {
        let delays: Vec<Duration> = (1..=7).map(|failures| delay(S(3), failures, 0.0)).collect();
        assert_eq!(delays, [S(6), S(12), S(24), S(48), S(60), S(60), S(60)]);
    }

    #[test]
    fn the_die_takes_off_a_quarter_at_most() {
        assert_eq!(delay(S(4), 1, 1.0), S(6));
        assert_eq!(delay(S(4), 1, 0.5), S(7));
        assert_eq!(delay(S(4), 1, 99.0), S(6));
    }

    #[test]
    fn never_quicker_than_the_interval_that_the_reader_chose() {
        assert_eq!(delay(S(600), 1, 1.0), S(600));
        assert_eq!(delay(S(60), u32::MAX, 1.0), S(60));
        assert_eq!(after_refusal(S(90)), S(90));
    }
}
