//! How much went through a session's proxy, lately, and whether anything does. Bounded.

use std::sync::Arc;
use std::time::Duration;

use super::input::RequestTiming;

/// Traffic has stopped once nothing moved for so long: a browser that reads a page is not news.
const STOPPED_AFTER: Duration = Duration::from_secs(60);

/// How many steps from one observation to the next are kept.
const MAX_STEPS: usize = 9;

/// The recent observations of `proxyBytes`, by our clock since boot. It is one of ten thousand: 104 bytes, none elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrafficHistory {
    newest: Option<(Duration, i64)>,
    /// Of these, so many count, the oldest first.
    steps: [TrafficStep; MAX_STEPS],
    count: u8,
}

/// From one observation to the next.
#[derive(Clone, Copy, Debug, Default)]
struct TrafficStep {
    /// At most 49 days.
    milliseconds: u32,
    bytes: f32,
}

impl TrafficHistory {
    /// Takes an observation. Several of the same number in a row are kept as the first and the last of them.
    pub fn observe(&mut self, at: Duration, bytes: i64) {
        let Some((before, from)) = self.newest.replace((at, bytes)) else { return };
        let milliseconds = u32::try_from(at.saturating_sub(before).as_millis()).unwrap_or(u32::MAX);
        let step = TrafficStep { milliseconds, bytes: difference(from, bytes) };
        let count = usize::from(self.count);
        let last = count.checked_sub(1).and_then(|last| self.steps.get_mut(last));
        match last.filter(|last| last.bytes == 0.0 && step.bytes == 0.0) {
            Some(still) => still.milliseconds = still.milliseconds.saturating_add(milliseconds),
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

    /// Bytes per second between the last two observations; `None` before there are two, and where the number fell.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let last = self.steps().last()?;
        let (seconds, bytes) = (last.seconds(), f64::from(last.bytes));
        (seconds > 0.0 && bytes >= 0.0).then(|| bytes / seconds)
    }

    /// Whether bytes have moved among the observations that are kept.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.steps().iter().map(|step| step.bytes).sum::<f32>() != 0.0
    }

    /// The rates of the last `count` slots of `slot` each, oldest first, in bytes per second. Slots before the first
    /// observation are missing: the result is shorter then.
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

    /// How many bytes came in the last `seconds`, read off the line between the observations around then.
    fn bytes_in_last(&self, seconds: f64) -> f64 {
        let (mut left, mut bytes) = (seconds, 0.0);
        for step in self.steps().iter().rev() {
            let part = if step.seconds() > 0.0 { (left / step.seconds()).min(1.0) } else { 1.0 };
            bytes += f64::from(step.bytes) * part;
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

/// Whether bytes move through a session's proxy, and since when not.
#[derive(Clone, Debug, Default)]
pub struct TrafficActivity {
    /// The newest reply that had more bytes than the one before it, or the first that had any.
    last_growth: Option<Arc<RequestTiming>>,
    /// The first reply after it that had no more.
    first_unchanged: Option<Arc<RequestTiming>>,
    is_moving: bool,
}

/// Bytes began or ceased to move between two replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrafficEdge {
    Started,
    /// Between which replies, [`TrafficActivity::stopped_between`] says.
    Stopped,
}

impl TrafficActivity {
    /// Takes the reply of `at` with its bytes, and those of the reply before it.
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
        let grew = self.last_growth.as_ref()?;
        self.first_unchanged.get_or_insert_with(|| at.clone());
        let stops = self.is_moving && at.sent.since(grew.received) >= STOPPED_AFTER;
        self.is_moving &= !stops;
        stops.then_some(TrafficEdge::Stopped)
    }

    /// The newest reply that had more bytes than the one before, and the first after it that had no more.
    pub(super) fn stopped_between(&self) -> Option<(&RequestTiming, &RequestTiming)> {
        self.last_growth.as_deref().zip(self.first_unchanged.as_deref())
    }

    /// For how long, up to the reply of `last`, certainly nothing moved on a session whose bytes had moved before.
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
    fn a_rate_is_between_the_last_two_observations() {
        assert_eq!(traffic(&[]).rate(), None);
        assert_eq!(traffic(&[(0, 5)]).rate(), None);
        assert_eq!(traffic(&[(0, 0), (2, 100), (4, 500)]).rate(), Some(200.0));
        assert_eq!(traffic(&[(0, 500), (2, 100)]).rate(), None, "a number that falls is no traffic");
        assert_eq!(traffic(&[(0, i64::MIN), (1, i64::MAX)]).rate().map(f64::is_finite), Some(true));
    }

    #[test]
    fn a_number_that_stands_still_takes_one_place_for_ever() {
        let still: Vec<(u64, i64)> = (0..1000).map(|at| (at, 7)).collect();
        let traffic = traffic(&still);
        assert_eq!(traffic.steps().len(), 1);
        assert_eq!(traffic.rate(), Some(0.0));
        assert!(!traffic.has_moved());
    }

    #[test]
    fn a_number_that_grows_is_bounded() {
        let grows: Vec<(u64, i64)> = (0..1000).map(|at| (at, i64::try_from(at).unwrap())).collect();
        assert_eq!(traffic(&grows).steps().len(), MAX_STEPS);
        assert!(traffic(&grows).has_moved());
    }

    #[test]
    fn the_newest_step_counts_however_many_came_before_and_one_without_time_has_no_rate() {
        let mut traffic = traffic(&[]);
        for second in 0..30 {
            traffic.observe(S(second), i64::try_from(second * second).unwrap());
        }
        assert_eq!(traffic.rate(), Some(57.0), "from 28² to 29²");
        traffic.observe(S(29), 1000);
        assert_eq!(traffic.rate(), None);
        assert!(difference(i64::MIN, i64::MAX) > 1.8e19);
    }

    fn reply(second: u64) -> Arc<RequestTiming> {
        let since = S(second);
        let wall = crate::clock::saturating_add("2026-11-22T12:00:00Z".parse().unwrap(), since);
        let moment = crate::clock::Moment { wall, mono: since, boot: since };
        Arc::new(RequestTiming { sent: moment, received: moment, date: None })
    }

    #[test]
    fn traffic_starts_with_the_first_byte_more_and_stops_after_a_minute_without() {
        let mut flow = TrafficActivity::default();
        assert_eq!(flow.observe(None, 500, &reply(0)), None, "when those moved, nobody saw");
        assert_eq!(flow.observe(Some(500), 500, &reply(3)), None);
        assert_eq!(flow.idle_for(&reply(3)), Some(S(3)));
        assert_eq!(flow.observe(Some(500), 501, &reply(6)), Some(TrafficEdge::Started));
        assert_eq!(flow.idle_for(&reply(6)), None);
        assert_eq!(flow.observe(Some(501), 501, &reply(9)), None);
        assert_eq!(flow.observe(Some(501), 501, &reply(65)), None);
        assert_eq!(flow.observe(Some(501), 501, &reply(66)), Some(TrafficEdge::Stopped));
        assert_eq!(flow.stopped_between(), Some((&*reply(6), &*reply(9))));
        assert_eq!(flow.observe(Some(501), 501, &reply(69)), None, "once");
        assert_eq!(flow.idle_for(&reply(666)), Some(S(660)));
        assert_eq!(flow.observe(Some(501), 900, &reply(700)), Some(TrafficEdge::Started));
    }

    #[test]
    fn a_session_without_any_bytes_is_never_called_quiet() {
        let mut flow = TrafficActivity::default();
        assert_eq!(flow.observe(None, 0, &reply(0)), None);
        assert_eq!(flow.observe(Some(0), 0, &reply(900)), None);
        assert_eq!(flow.idle_for(&reply(900)), None);
    }

    #[test]
    fn slots_are_read_off_the_line_between_observations() {
        let traffic = traffic(&[(0, 0), (4, 400), (6, 400), (8, 1400)]);
        assert_eq!(traffic.rates(S(2), 8), [100.0, 100.0, 0.0, 500.0]);
        assert_eq!(traffic.rates(S(2), 2), [0.0, 500.0]);
        assert!(TrafficHistory::default().rates(S(2), 8).is_empty());
        let falls = self::traffic(&[(0, 900), (2, 100), (4, 300)]);
        assert_eq!(falls.rates(S(2), 8), [0.0, 100.0], "a number that falls is no traffic");
    }
}
