//! The recent proxy traffic of a session: its rate over time, and whether it moves or has stopped. Bounded.

use std::sync::Arc;
use std::time::Duration;

use super::input::RequestTiming;

/// Time without proxy traffic after which it counts as stopped. Shorter pauses are normal while a page is read.
const STOPPED_AFTER: Duration = Duration::from_secs(60);

/// Most steps that are kept. A step leads from one observation to the next.
const MAX_STEPS: usize = 9;

/// The recent observations of `proxyBytes`, on our clock since boot.
///
/// A tracker can hold ten thousand of these, so it takes 104 bytes and allocates nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrafficHistory {
    newest: Option<(Duration, i64)>,
    /// Steps, the oldest first. Only the first `count` are in use.
    steps: [TrafficStep; MAX_STEPS],
    count: u8,
}

/// The time and the bytes between two consecutive observations.
#[derive(Clone, Copy, Debug, Default)]
struct TrafficStep {
    /// Milliseconds, at most 49 days.
    milliseconds: u32,
    bytes: f32,
}

impl TrafficHistory {
    /// Adds an observation. Consecutive observations without traffic share one step.
    pub fn observe(&mut self, at: Duration, bytes: i64) {
        let Some((before, from)) = self.newest.replace((at, bytes)) else { return };
        let milliseconds = u32::try_from(at.saturating_sub(before).as_millis()).unwrap_or(u32::MAX);
        let step = TrafficStep { milliseconds, bytes: difference(from, bytes) };
        let count = usize::from(self.count);
        let last = count.checked_sub(1).and_then(|last| self.steps.get_mut(last));
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

    /// Returns the bytes per second between the last two observations, or `None` if there are fewer than two or the
    /// number of bytes fell.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let last = self.steps().last()?;
        let (seconds, bytes) = (last.seconds(), f64::from(last.bytes));
        (seconds > 0.0 && bytes >= 0.0).then(|| bytes / seconds)
    }

    /// Returns true if the number of bytes changed among the kept observations.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.steps().iter().map(|step| step.bytes).sum::<f32>() != 0.0
    }

    /// Returns the rates of the last `count` slots of length `slot`, oldest first, in bytes per second.
    ///
    /// The result is shorter if the observations do not reach back far enough.
    #[must_use]
    pub fn rates(&self, slot: Duration, count: usize) -> Vec<f64> {
        let slot = slot.as_secs_f64().max(0.001);
        let covered: f64 = self.steps().iter().map(|step| step.seconds()).sum();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded, not negative, and cut to count"
        )]
        let slots = ((covered / slot).round() as usize).min(count);
        (0..slots)
            .rev()
            .map(|back| {
                let end = slot * f64::from(u32::try_from(back).unwrap_or(u32::MAX));
                ((self.bytes_in_last(end + slot) - self.bytes_in_last(end)) / slot).max(0.0)
            })
            .collect()
    }

    /// Returns the bytes of the last `seconds`, interpolated linearly between observations.
    fn bytes_in_last(&self, seconds: f64) -> f64 {
        let (mut left, mut bytes) = (seconds, 0.0);
        for step in self.steps().iter().rev() {
            let share = if step.seconds() > 0.0 { (left / step.seconds()).min(1.0) } else { 1.0 };
            bytes += f64::from(step.bytes) * share;
            left -= step.seconds();
            if left <= 0.0 {
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

/// The state of a session's proxy traffic: moving or not, and since when.
#[derive(Clone, Debug, Default)]
pub struct TrafficActivity {
    /// The newest response with more bytes than the one before it, or the first response with any.
    last_growth: Option<Arc<RequestTiming>>,
    /// The first response after `last_growth` without more bytes.
    first_unchanged: Option<Arc<RequestTiming>>,
    is_moving: bool,
}

/// A start or stop of traffic between two responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrafficEdge {
    Started,
    /// [`TrafficActivity::stopped_between`] returns the two responses.
    Stopped,
}

impl TrafficActivity {
    /// Adds a response with its bytes, and the bytes of the response before it. Returns the start or stop that it
    /// shows.
    pub(super) fn observe(
        &mut self,
        before: Option<i64>,
        bytes: i64,
        at: &Arc<RequestTiming>,
    ) -> Option<TrafficEdge> {
        if before.map_or(bytes > 0, |before| bytes > before) {
            (self.last_growth, self.first_unchanged) = (Some(at.clone()), None);
            let starts = before.is_some() && !self.is_moving;
            self.is_moving |= starts;
            return starts.then_some(TrafficEdge::Started);
        }
        let last_growth = self.last_growth.as_ref()?;
        self.first_unchanged.get_or_insert_with(|| at.clone());
        let stops = self.is_moving && at.sent.since(last_growth.received) >= STOPPED_AFTER;
        self.is_moving &= !stops;
        stops.then_some(TrafficEdge::Stopped)
    }

    /// Returns the newest response with more bytes than the one before it, and the first one after it without more.
    pub(super) fn stopped_between(&self) -> Option<(&RequestTiming, &RequestTiming)> {
        self.last_growth.as_deref().zip(self.first_unchanged.as_deref())
    }

    /// Returns the time up to the response `last` in which certainly no byte moved, or `None` if there was no traffic
    /// before.
    #[must_use]
    pub fn idle_for(&self, last: &RequestTiming) -> Option<Duration> {
        self.first_unchanged.as_ref()?;
        Some(last.sent.since(self.last_growth.as_ref()?.received))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits than f32 has")]
fn difference(from: i64, to: i64) -> f32 {
    to.checked_sub(from).map_or_else(|| to as f32 - from as f32, |by| by as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn traffic(samples: &[(u64, i64)]) -> TrafficHistory {
        let mut traffic = TrafficHistory::default();
        samples.iter().for_each(|(at, bytes)| traffic.observe(S(*at), *bytes));
        traffic
    }

    #[test]
    fn rate_uses_last_two_observations() {
        assert_eq!(traffic(&[]).rate(), None);
        assert_eq!(traffic(&[(0, 5)]).rate(), None);
        assert_eq!(traffic(&[(0, 0), (2, 100), (4, 500)]).rate(), Some(200.0));
        assert_eq!(traffic(&[(0, 500), (2, 100)]).rate(), None, "a falling number is not traffic");
        assert_eq!(traffic(&[(0, i64::MIN), (1, i64::MAX)]).rate().map(f64::is_finite), Some(true));
    }

    #[test]
    fn idle_observations_share_one_step() {
        let idle: Vec<(u64, i64)> = (0..1000).map(|at| (at, 7)).collect();
        let traffic = traffic(&idle);
        assert_eq!(traffic.steps().len(), 1);
        assert_eq!(traffic.rate(), Some(0.0));
        assert!(!traffic.has_moved());
    }

    #[test]
    fn history_is_bounded() {
        let growing: Vec<(u64, i64)> = (0..1000).map(|at| (at, i64::try_from(at).unwrap())).collect();
        assert_eq!(traffic(&growing).steps().len(), MAX_STEPS);
        assert!(traffic(&growing).has_moved());
    }

    #[test]
    fn instant_step_has_no_rate() {
        let mut traffic = traffic(&[]);
        for second in 0..30 {
            traffic.observe(S(second), i64::try_from(second * second).unwrap());
        }
        assert_eq!(traffic.rate(), Some(57.0), "from 28² to 29²");
        traffic.observe(S(29), 1000);
        assert_eq!(traffic.rate(), None);
        assert!(difference(i64::MIN, i64::MAX) > 1.8e19);
    }

    fn timing(second: u64) -> Arc<RequestTiming> {
        let since = S(second);
        let wall = crate::clock::saturating_add("2026-11-22T12:00:00Z".parse().unwrap(), since);
        let moment = crate::clock::Moment { wall, mono: since, boot: since };
        Arc::new(RequestTiming { sent: moment, received: moment, date: None })
    }

    #[test]
    fn traffic_stops_after_an_idle_minute() {
        let mut activity = TrafficActivity::default();
        assert_eq!(activity.observe(None, 500, &timing(0)), None, "earlier traffic was not observed");
        assert_eq!(activity.observe(Some(500), 500, &timing(3)), None);
        assert_eq!(activity.idle_for(&timing(3)), Some(S(3)));
        assert_eq!(activity.observe(Some(500), 501, &timing(6)), Some(TrafficEdge::Started));
        assert_eq!(activity.idle_for(&timing(6)), None);
        assert_eq!(activity.observe(Some(501), 501, &timing(9)), None);
        assert_eq!(activity.observe(Some(501), 501, &timing(65)), None);
        assert_eq!(activity.observe(Some(501), 501, &timing(66)), Some(TrafficEdge::Stopped));
        assert_eq!(activity.stopped_between(), Some((&*timing(6), &*timing(9))));
        assert_eq!(activity.observe(Some(501), 501, &timing(69)), None, "a stop is reported once");
        assert_eq!(activity.idle_for(&timing(666)), Some(S(660)));
        assert_eq!(activity.observe(Some(501), 900, &timing(700)), Some(TrafficEdge::Started));
    }

    #[test]
    fn session_without_traffic_is_never_idle() {
        let mut activity = TrafficActivity::default();
        assert_eq!(activity.observe(None, 0, &timing(0)), None);
        assert_eq!(activity.observe(Some(0), 0, &timing(900)), None);
        assert_eq!(activity.idle_for(&timing(900)), None);
    }

    #[test]
    fn slot_rates_are_interpolated() {
        let traffic = traffic(&[(0, 0), (4, 400), (6, 400), (8, 1400)]);
        assert_eq!(traffic.rates(S(2), 8), [100.0, 100.0, 0.0, 500.0]);
        assert_eq!(traffic.rates(S(2), 2), [0.0, 500.0]);
        assert!(TrafficHistory::default().rates(S(2), 8).is_empty());
        let falling = self::traffic(&[(0, 900), (2, 100), (4, 300)]);
        assert_eq!(falling.rates(S(2), 8), [0.0, 100.0], "a falling number is not traffic");
    }
}
