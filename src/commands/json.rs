//! Conversions of times and durations to JSON, for the schemas of `events` and `history`.

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::Value;

use keepwatch_core::clock::Timestamp;

/// Returns a time as RFC 3339 in UTC, with milliseconds.
pub(super) fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns a duration in seconds, with up to three decimals.
pub(super) fn seconds(duration: Duration) -> Value {
    seconds_of_millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Returns milliseconds as seconds, with up to three decimals.
pub(super) fn seconds_of_millis(ms: i64) -> Value {
    if ms % 1000 == 0 {
        return (ms / 1000).into();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "the milliseconds of a duration of more than 2^53 ms do not matter"
    )]
    let seconds = ms as f64 / 1000.0;
    seconds.into()
}
