//! How much went through a session's proxy, lately, and whether anything does. Bounded.

use std::sync::Arc;
use std::time::Duration;

use super::input::Exchange;

/// Traffic has stopped once nothing moved for so long: a browser that reads a page is not news.
const STOPPED: Duration = Duration::from_secs(60);

/// How many steps from one observation to the next are kept.
const MOST: usize = 9;

/// The recent observations of `proxyBytes`, by our clock since boot. It is one of ten thousand: 104 bytes, none elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    newest: Option<(Duration, i64)>,
    /// Of these, so many count, the oldest first.
    steps: [Step; MOST],
    count: u8,
}

/// From one observation to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// At most 49 days.
    milliseconds: u32,
    bytes: f32,
}

impl Traffic {
    /// Takes an observation. Several of the same number in a row are kept as the first and the last of them.
    pub fn observe(&mut self, at: Duration, bytes: i64) {
        let Some((before, from)) = self.newest.replace((at, bytes)) else { return };
        let milliseconds = u32::try_from(at.saturating_sub(before).as_millis()).unwrap_or(u32::MAX);
        let step = Step { milliseconds, bytes: difference(from, bytes) };
        let count = usize::from(self.count);
        let last = count.checked_sub(1).and_then(|last| self.steps.get_mut(last));
        match last.filter(|last| last.bytes == 0.0 && step.bytes == 0.0) {
            Some(still) => still.milliseconds = still.milliseconds.saturating_add(milliseconds),
            None if count < MOST => self.push(step),
            None => {
                self.steps.rotate_left(1);
                self.count = self.count.saturating_sub(1);
                self.push(step);
            }
        }
    }

    fn push(&mut self, step: Step) {
        if let Some(free) = self.steps.get_mut(usize::from(self.count)) {
            *free = step;
            self.count = self.count.saturating_add(1);
        }
    }

    fn steps(&self) -> &[Step] {
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
    pub fn moved(&self) -> bool {
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
                ((self.since(end + slot) - self.since(end)) / slot).max(0.0)
            })
            .collect()
    }

    /// How many bytes came in the last `seconds`, read off the line between the observations around then.
    fn since(&self, seconds: f64) -> f64 {
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

impl Step {
    fn seconds(&self) -> f64 {
        f64::from(self.milliseconds) / 1000.0
    }
}

/// Whether bytes move through a session's proxy, and since when not.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// The newest reply that had more bytes than the one before it, or the first that had any.
    grew: Option<Arc<Exchange>>,
    /// The first reply after it that had no more.
    still: Option<Arc<Exchange>>,
    moving: bool,
}

/// Bytes began or ceased to move between two replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Started,
    /// Between which replies, [`Flow::stopped_between`] says.
    Stopped,
}

impl Flow {
    /// Takes the reply of `at` with its bytes, and those of the reply before it.
    pub(super) fn observe(&mut self, before: Option<i64>, bytes: i64, at: &Arc<Exchange>) -> Option<Turn> {
        if before.map_or(bytes > 0, |before| bytes > before) {
            (self.grew, self.still) = (Some(at.clone()), None);
            let starts = before.is_some() && !self.moving;
            self.moving |= starts;
            return starts.then_some(Turn::Started);
        }
        let grew = self.grew.as_ref()?;
        self.still.get_or_insert_with(|| at.clone());
        let stops = self.moving && at.sent.since(grew.received) >= STOPPED;
        self.moving &= !stops;
        stops.then_some(Turn::Stopped)
    }

    /// The newest reply that had more bytes than the one before, and the first after it that had no more.
    pub(super) fn stopped_between(&self) -> Option<(&Exchange, &Exchange)> {
        self.grew.as_deref().zip(self.still.as_deref())
    }

    /// For how long, up to the reply of `last`, certainly nothing moved on a session whose bytes had moved before.
    #[must_use]
    pub fn quiet(&self, last: &Exchange) -> Option<Duration> {
        self.still.as_ref()?;
        Some(last.sent.since(self.grew.as_ref()?.received))
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

    fn traffic(samples: &[(u64, i64)]) -> Traffic {
        let mut traffic = Traffic::default();
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
        assert!(!traffic.moved());
    }

    #[test]
    fn a_number_that_grows_is_bounded() {
        let grows: Vec<(u64, i64)> = (0..1000).map(|at| (at, i64::try_from(at).unwrap())).collect();
        assert_eq!(traffic(&grows).steps().len(), MOST);
        assert!(traffic(&grows).moved());
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

    fn reply(second: u64) -> Arc<Exchange> {
        let since = S(second);
        let wall = crate::clock::saturating_add("2026-11-22T12:00:00Z".parse().unwrap(), since);
        let moment = crate::clock::Moment { wall, mono: since, boot: since };
        Arc::new(Exchange { sent: moment, received: moment, date: None })
    }

    #[test]
    fn traffic_starts_with_the_first_byte_more_and_stops_after_a_minute_without() {
        let mut flow = Flow::default();
        assert_eq!(flow.observe(None, 500, &reply(0)), None, "when those moved, nobody saw");
        assert_eq!(flow.observe(Some(500), 500, &reply(3)), None);
        assert_eq!(flow.quiet(&reply(3)), Some(S(3)));
        assert_eq!(flow.observe(Some(500), 501, &reply(6)), Some(Turn::Started));
        assert_eq!(flow.quiet(&reply(6)), None);
        assert_eq!(flow.observe(Some(501), 501, &reply(9)), None);
        assert_eq!(flow.observe(Some(501), 501, &reply(65)), None);
        assert_eq!(flow.observe(Some(501), 501, &reply(66)), Some(Turn::Stopped));
        assert_eq!(flow.stopped_between(), Some((&*reply(6), &*reply(9))));
        assert_eq!(flow.observe(Some(501), 501, &reply(69)), None, "once");
        assert_eq!(flow.quiet(&reply(666)), Some(S(660)));
        assert_eq!(flow.observe(Some(501), 900, &reply(700)), Some(Turn::Started));
    }

    #[test]
    fn a_session_without_any_bytes_is_never_called_quiet() {
        let mut flow = Flow::default();
        assert_eq!(flow.observe(None, 0, &reply(0)), None);
        assert_eq!(flow.observe(Some(0), 0, &reply(900)), None);
        assert_eq!(flow.quiet(&reply(900)), None);
    }

    #[test]
    fn slots_are_read_off_the_line_between_observations() {
        let traffic = traffic(&[(0, 0), (4, 400), (6, 400), (8, 1400)]);
        assert_eq!(traffic.rates(S(2), 8), [100.0, 100.0, 0.0, 500.0]);
        assert_eq!(traffic.rates(S(2), 2), [0.0, 500.0]);
        assert!(Traffic::default().rates(S(2), 8).is_empty());
        let falls = self::traffic(&[(0, 900), (2, 100), (4, 300)]);
        assert_eq!(falls.rates(S(2), 8), [0.0, 100.0], "a number that falls is no traffic");
    }
}
