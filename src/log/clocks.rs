//! What the machine's clocks did, as the log says it.

use keepwatch_core::clock::Moment;
use keepwatch_core::text;

/// The wall clock may wander this much against the one since boot without having been set, in milliseconds.
const WANDER: i64 = 2000;

/// Logs that the machine slept between two readings of the clocks, or that its wall clock was set.
pub fn clocks(before: Moment, now: Moment) {
    if now.slept_since(before) {
        let slept = now.since(before).saturating_sub(now.mono.saturating_sub(before.mono));
        tracing::warn!("this machine slept for {}", text::length(slept));
    }
    if let Some(by) = set_by(before, now) {
        tracing::warn!("this machine's wall clock was set by {by:+} s");
    }
}

/// By how many seconds the wall clock was set between two readings, if it was.
fn set_by(before: Moment, now: Moment) -> Option<i64> {
    let passed = i64::try_from(now.since(before).as_millis()).unwrap_or(i64::MAX);
    let shown = now.wall.signed_duration_since(before.wall).num_milliseconds();
    let by = shown.saturating_sub(passed);
    (by.saturating_abs() > WANDER).then_some(by / 1000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use keepwatch_core::clock::{Timestamp, later};

    #[test]
    fn a_wall_clock_that_was_set_is_told_from_one_that_slept() {
        let start = Moment { wall: Timestamp::UNIX_EPOCH, mono: Duration::ZERO, boot: Duration::ZERO };
        let hour = Duration::from_secs(3600);
        let awake = start.after(hour);
        assert_eq!(set_by(start, awake), None);
        let slept = Moment { mono: Duration::from_secs(1), ..awake };
        assert!(slept.slept_since(start) && set_by(start, slept).is_none());
        assert_eq!(set_by(start, Moment { wall: later(awake.wall, hour), ..awake }), Some(3600));
        assert_eq!(set_by(awake, Moment { wall: start.wall, ..awake }), Some(-3600));
    }
}
