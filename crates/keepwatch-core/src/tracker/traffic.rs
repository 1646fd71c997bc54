//! The proxy traffic of a session: its recent rates, and its starts and stops. All of this takes a bounded amount of
//! memory.

use std::sync::Arc;
use std::time::Duration;

use super::input::RequestTiming;

/// Time without new bytes after which the traffic counts as stopped. Shorter pauses are normal, for example while a
/// client reads a web page.
const STOPPED_AFTER: Duration = Duration::from_secs(60);

/// The maximum number of steps. The table's sparkline shows eight rates. It needs one step more, because the time
/// between two polls varies.
const MAX_STEPS: usize = 9;

/// The recent values of `proxyBytes`. Times are on our clock since boot.
///
/// A tracker can hold ten thousand histories, so a history is small: 104 bytes, and no heap memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrafficHistory {
    /// The time and the bytes of the newest observation.
    newest: Option<(Duration, i64)>,
    /// Steps, the oldest first. Only the first `count` are in use.
    steps: [TrafficStep; MAX_STEPS],
    count: u8,
}

/// The differences in time and in bytes between two consecutive observations. Observations with equal bytes share one
/// step.
#[derive(Clone, Copy, Debug, Default)]
struct TrafficStep {
    /// The time from the first observation to the last. Saturates at 49 days.
    milliseconds: u32,
    /// The growth of `proxyBytes`; negative if the number fell.
    bytes: f32,
}

impl TrafficHistory {
    /// Adds an observation: at the time `at`, the value of `proxyBytes` was `bytes`. Consecutive observations without
    /// traffic share one step.
    pub fn observe(&mut self, at: Duration, bytes: i64) {
        let Some((previous_at, previous_bytes)) = self.newest.replace((at, bytes)) else { return };
        let milliseconds = u32::try_from(at.saturating_sub(previous_at).as_millis()).unwrap_or(u32::MAX);
        let step = TrafficStep { milliseconds, bytes: difference(previous_bytes, bytes) };
        let count = usize::from(self.count);
        let last = count.checked_sub(1).and_then(|index| self.steps.get_mut(index));
        match last.filter(|last| last.bytes == 0.0 && step.bytes == 0.0) {
            Some(idle) => idle.milliseconds = idle.milliseconds.saturating_add(milliseconds),
            None if count < MAX_STEPS => self.push(step),
            None => {
                self.steps.rotate_left(1);
                self.count = self.count.saturating_sub(1);
                self.push(step);
            }
        }
    }

    fn push(&mut self, step: TrafficStep) {
        if let Some(free) = self.steps.get_mut(usize::from(self.count)) {
            *free = step;
            self.count = self.count.saturating_add(1);
        }
    }

    fn steps(&self) -> &[TrafficStep] {
        self.steps.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// Returns the bytes per second in the newest step. Returns `None` if there is no step, if the number of bytes
    /// fell, or if the step took no time.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let last = self.steps().last()?;
        let (seconds, bytes) = (last.seconds(), f64::from(last.bytes));
        (seconds > 0.0 && bytes >= 0.0).then(|| bytes / seconds)
    }

    /// Returns true if the newest number of bytes differs from the oldest one that the steps cover.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.steps().iter().map(|step| step.bytes).sum::<f32>() != 0.0
    }

    /// Divides the time before the newest observation into `count` intervals of the length `interval`. Returns the
    /// average rate of each interval in bytes per second, oldest first.
    ///
    /// The result has fewer rates if the kept steps cover less time.
    #[must_use]
    pub fn rates(&self, interval: Duration, count: usize) -> Vec<f64> {
        let interval = interval.as_secs_f64().max(0.001); // never zero: it is a divisor
        let covered: f64 = self.steps().iter().map(|step| step.seconds()).sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded, not negative, and cut to count"
        )]
        let covered_intervals = ((covered / interval).round() as usize).min(count);
        (0..covered_intervals)
            .rev()
            .map(|later_intervals| {
                let end_age = interval * f64::from(u32::try_from(later_intervals).unwrap_or(u32::MAX));
                let bytes = self.bytes_in_last(end_age + interval) - self.bytes_in_last(end_age);
                (bytes / interval).max(0.0)
            })
            .collect()
    }

    /// Returns the bytes in the `seconds` before the newest observation, interpolated linearly within a step.
    fn bytes_in_last(&self, seconds: f64) -> f64 {
        let (mut seconds_left, mut bytes) = (seconds, 0.0);
        for step in self.steps().iter().rev() {
            let share = if step.seconds() > 0.0 { (seconds_left / step.seconds()).min(1.0) } else { 1.0 };
            bytes += f64::from(step.bytes) * share;
            seconds_left -= step.seconds();
            if seconds_left <= 0.0 {
                break;
            }
        }
        bytes
    }
}

impl TrafficStep {
    fn seconds(&self) -> f64 {
        f64::from(self.milliseconds) / 1000.0
    }
}

/// The state of a session's proxy traffic: moving or not, and the responses between which the current pause began.
#[derive(Clone, Debug, Default)]
pub struct TrafficActivity {
    /// The newest response with more bytes than the one before it. The first response counts if it has any bytes.
    last_growth: Option<Arc<RequestTiming>>,
    /// The first response after `last_growth` without more bytes.
    first_unchanged: Option<Arc<RequestTiming>>,
    /// True from [`TrafficTransition::Started`] to [`TrafficTransition::Stopped`].
    is_moving: bool,
}

/// A start or a stop of the traffic, shown by a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrafficTransition {
    /// The bytes grew, and the traffic was not moving before.
    Started,
    /// The bytes have not grown for [`STOPPED_AFTER`]. [`TrafficActivity::pause_start_bounds`] tells when the traffic
    /// paused.
    Stopped,
}

impl TrafficActivity {
    /// Applies a response in which `proxyBytes` is `bytes`. `previous_bytes` is the number in the response before it,
    /// if that number is known. Returns the start or the stop of traffic that the new response shows, if any.
    pub(super) fn observe(
        &mut self,
        previous_bytes: Option<i64>,
        bytes: i64,
        at: &Arc<RequestTiming>,
    ) -> Option<TrafficTransition> {
        if previous_bytes.map_or(bytes > 0, |previous_bytes| bytes > previous_bytes) {
            (self.last_growth, self.first_unchanged) = (Some(at.clone()), None);
            let starts = previous_bytes.is_some() && !self.is_moving;
            self.is_moving |= starts;
            return starts.then_some(TrafficTransition::Started);
        }
        let last_growth = self.last_growth.as_ref()?;
        self.first_unchanged.get_or_insert_with(|| at.clone());
        let stops = self.is_moving && at.sent.since(last_growth.received) >= STOPPED_AFTER;
        self.is_moving &= !stops;
        stops.then_some(TrafficTransition::Stopped)
    }

    /// Returns the two responses between which the current pause began: the last one with more bytes than the one
    /// before it, and the first one after that without more bytes. Returns `None` if there is no pause.
    ///
    /// A pause exists from the first response without more bytes on, long before the traffic counts as stopped.
    pub(super) fn pause_start_bounds(&self) -> Option<(&RequestTiming, &RequestTiming)> {
        self.last_growth.as_deref().zip(self.first_unchanged.as_deref())
    }

    /// Returns the minimum length of the current pause. `newest` is the timing of the newest response. Returns `None`
    /// if there is no pause. A session that never had traffic has no pause.
    #[must_use]
    pub fn idle_for(&self, newest: &RequestTiming) -> Option<Duration> {
        self.first_unchanged.as_ref()?;
        Some(newest.sent.since(self.last_growth.as_ref()?.received))
    }
}

/// Returns `to - from`, without overflow.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits than f32 has")]
fn difference(from: i64, to: i64) -> f32 {
    to.checked_sub(from).map_or_else(|| to as f32 - from as f32, |difference| difference as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Returns the history of these observations: pairs of a time in seconds and a number of bytes.
    fn history(observations: &[(u64, i64)]) -> TrafficHistory {
        let mut traffic = TrafficHistory::default();
        observations.iter().for_each(|(at, bytes)| traffic.observe(secs(*at), *bytes));
        traffic
    }

    #[test]
    fn rate_uses_last_two_observations() {
        assert_eq!(history(&[]).rate(), None);
        assert_eq!(history(&[(0, 5)]).rate(), None);
        assert_eq!(history(&[(0, 0), (2, 100), (4, 500)]).rate(), Some(200.0));
        assert_eq!(history(&[(0, 500), (2, 100)]).rate(), None, "a falling number is not traffic");
    }

    #[test]
    fn extreme_values_do_not_overflow() {
        assert_eq!(history(&[(0, i64::MIN), (1, i64::MAX)]).rate().map(f64::is_finite), Some(true));
        assert!(difference(i64::MIN, i64::MAX) > 1.8e19);
    }

    #[test]
    fn unchanged_observations_share_one_step() {
        let idle: Vec<(u64, i64)> = (0..1000).map(|at| (at, 7)).collect();
        let traffic = history(&idle);
        assert_eq!(traffic.steps().len(), 1);
        assert_eq!(traffic.rate(), Some(0.0));
        assert!(!traffic.has_moved());
    }

    #[test]
    fn history_is_bounded() {
        let growing: Vec<(u64, i64)> = (0..1000).map(|at| (at, i64::try_from(at).unwrap())).collect();
        assert_eq!(history(&growing).steps().len(), MAX_STEPS);
        assert!(history(&growing).has_moved());
    }

    #[test]
    fn instant_step_has_no_rate() {
        let mut traffic = history(&[]);
        // More observations than `MAX_STEPS`, so that the oldest steps are gone.
        for second in 0..30 {
            traffic.observe(secs(second), i64::try_from(second * second).unwrap());
        }
        assert_eq!(traffic.rate(), Some(57.0), "the newest step is from 28² to 29²");
        traffic.observe(secs(29), 1000); // the same second again
        assert_eq!(traffic.rate(), None, "a step that takes no time has no rate");
    }

    /// Returns the timing of a request that was sent and answered `second` seconds after noon.
    fn timing(second: u32) -> Arc<RequestTiming> {
        Arc::new(crate::testing::request_timing(second, second))
    }

    #[test]
    fn traffic_stops_after_an_idle_minute() {
        let mut activity = TrafficActivity::default();
        assert_eq!(activity.observe(None, 500, &timing(0)), None, "the first response starts no traffic");
        assert_eq!(activity.observe(Some(500), 500, &timing(3)), None);
        assert_eq!(activity.idle_for(&timing(3)), Some(secs(3)));
        assert_eq!(activity.observe(Some(500), 501, &timing(6)), Some(TrafficTransition::Started));
        assert_eq!(activity.idle_for(&timing(6)), None);
        assert_eq!(activity.observe(Some(501), 501, &timing(9)), None);
        assert_eq!(activity.observe(Some(501), 501, &timing(65)), None, "59 s are too short for a stop");
        assert_eq!(activity.observe(Some(501), 501, &timing(66)), Some(TrafficTransition::Stopped));
        assert_eq!(activity.pause_start_bounds(), Some((&*timing(6), &*timing(9))));
        assert_eq!(activity.observe(Some(501), 501, &timing(69)), None, "a stop is reported once");
        assert_eq!(activity.idle_for(&timing(666)), Some(secs(660)));
        assert_eq!(activity.observe(Some(501), 900, &timing(700)), Some(TrafficTransition::Started));
    }

    #[test]
    fn session_without_traffic_is_never_idle() {
        let mut activity = TrafficActivity::default();
        assert_eq!(activity.observe(None, 0, &timing(0)), None);
        assert_eq!(activity.observe(Some(0), 0, &timing(900)), None);
        assert_eq!(activity.idle_for(&timing(900)), None);
    }

    #[test]
    fn rates_are_interpolated() {
        let traffic = history(&[(0, 0), (4, 400), (6, 400), (8, 1400)]);
        assert_eq!(traffic.rates(secs(2), 8), [100.0, 100.0, 0.0, 500.0]);
        assert_eq!(traffic.rates(secs(2), 2), [0.0, 500.0]);
        assert!(TrafficHistory::default().rates(secs(2), 8).is_empty());
        let falling = history(&[(0, 900), (2, 100), (4, 300)]);
        assert_eq!(falling.rates(secs(2), 8), [0.0, 100.0], "a falling number is not traffic");
    }
}
