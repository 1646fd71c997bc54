//! Logs changes of the machine's clocks: the machine slept, or its wall clock was set.

use keepwatch_core::clock::Moment;
use keepwatch_core::text;

/// The maximum drift between the wall clock and the boot clock from one reading to the next, in milliseconds. A larger
/// drift means that the wall clock was set.
const MAX_CLOCK_DRIFT_MS: i64 = 2000;

/// Logs if the machine slept between two readings of the clocks, and if its wall clock was set.
pub fn log_clock_changes(previous: Moment, now: Moment) {
    if now.slept_since(previous) {
        // `since` counts the time asleep, `mono` does not.
        let slept = now.since(previous).saturating_sub(now.mono.saturating_sub(previous.mono));
        tracing::warn!("this machine slept for {}", text::format_duration(slept));
    }
    if let Some(step) = wall_clock_step(previous, now) {
        tracing::warn!("this machine's wall clock was set by {step:+} s");
    }
}

/// Returns the seconds by which the wall clock was set between two readings, or `None` if it was not set.
fn wall_clock_step(previous: Moment, now: Moment) -> Option<i64> {
    let passed_ms = i64::try_from(now.since(previous).as_millis()).unwrap_or(i64::MAX);
    let wall_passed_ms = now.wall.signed_duration_since(previous.wall).num_milliseconds();
    let step_ms = wall_passed_ms.saturating_sub(passed_ms);
    (step_ms.saturating_abs() > MAX_CLOCK_DRIFT_MS).then_some(step_ms / 1000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use keepwatch_core::clock::{Timestamp, saturating_add};

    #[test]
    fn clock_step_differs_from_sleep() {
        let start = Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::ZERO };
        let hour = Duration::from_secs(3600);
        let awake = start.plus(hour);
        assert_eq!(wall_clock_step(start, awake), None);
        // An hour passed, and the machine was awake for one second of it.
        let slept = Moment { mono: Duration::from_secs(1), ..awake };
        assert!(slept.slept_since(start) && wall_clock_step(start, slept).is_none());
        assert_eq!(
            wall_clock_step(start, Moment { wall: saturating_add(awake.wall, hour), ..awake }),
            Some(3600)
        );
        assert_eq!(wall_clock_step(awake, Moment { wall: start.wall, ..awake }), Some(-3600));
    }
}
