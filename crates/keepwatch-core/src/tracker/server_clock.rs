//! The server clock: an estimate of the API's time from the `Date` headers of its responses. This module also has
//! [`TimeInterval`], the bounds of a time, for example of a change between two polls.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::input::RequestTiming;
use crate::clock::{Moment, Timestamp, saturating_add};

/// The resolution of the `Date` header. The header has whole seconds, rounded down, so the server's time may be later
/// by up to this much.
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// The number of consecutive responses after which the estimate starts again, if they contradict it and agree with each
/// other.
const MIN_CONTRADICTING_RESPONSES: u8 = 3;

/// The number of responses that must agree with the estimate to confirm it. Until then, our own clock may be right.
const CONFIRMING_RESPONSES: u32 = 2;
/// The minimum drift of our wall clock against our clock since boot, in milliseconds, that changes the estimate.
/// Without this minimum, the estimate would change with every response.
const MIN_DRIFT_MS: i64 = 10;
/// The period after a contradicting date in which that date widens the uncertainty.
const DISPUTE_PERIOD: Duration = Duration::from_secs(5 * 60);

/// The earliest and the latest possible time.
type TimeRange = (Timestamp, Timestamp);

/// An estimate of the server's clock.
///
/// The estimate is the server's time at our boot, when our clock since boot was zero. A response with a `Date` header
/// bounds that time to `[Date - received, Date + 1 s - sent]`, where `sent` and `received` are times since boot. The
/// intersection of these ranges soon becomes narrower than the network latency. If it becomes empty, a clock was set or
/// drifted, and the estimate starts again. A step of the wall clock or a sleep does not move the estimate, because the
/// clock since boot runs on.
///
/// A single contradicting response may come from another machine behind the same host name. The estimate therefore
/// starts again only after `MIN_CONTRADICTING_RESPONSES` consecutive responses that contradict it and agree with each
/// other. It starts again at once if our own clock agrees with the new range and not with the old one. Without these
/// rules, times on the screen would jump between the clocks of two machines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerClock {
    /// The possible server times at our boot.
    range: Option<TimeRange>,
    /// If the newest responses contradict `range`: the server times at our boot that they allow, and the number of
    /// these responses.
    contradicting: Option<(TimeRange, u8)>,
    /// The estimate: one time within `range`.
    server_time_at_boot: Option<Timestamp>,
    /// The server clock minus our wall clock, at the newest response with a date.
    skew: TimeDelta,
    /// The number of responses that agreed with `range`. Stops at `CONFIRMING_RESPONSES`.
    agreement_count: u32,
    /// The newest range that contradicted `range`, and the time of this contradiction: the receipt of the response, on
    /// our clock since boot.
    disputed: Option<(TimeRange, Duration)>,
}

impl ServerClock {
    /// Updates the estimate from the `Date` of a response. Returns true if anything changed.
    pub fn observe(&mut self, at: &RequestTiming) -> bool {
        let Some(date) = at.date else { return false };
        let previous = *self;
        // The time of our wall clock at our boot. It is the server's time at our boot if the two clocks agree.
        let own_time_at_boot = saturating_sub(at.received.wall, at.received.boot);
        let allows_own_clock = |range: TimeRange| (range.0..=range.1).contains(&own_time_at_boot);
        let reported_range = (
            saturating_sub(date, at.received.boot),
            saturating_sub(saturating_add(date, DATE_RESOLUTION), at.sent.boot),
        );
        let (low, high) = match self.range.map(|range| (range, intersect(range, reported_range))) {
            None => {
                self.agreement_count = 1;
                reported_range
            }
            Some((_, Some(intersection))) => {
                self.contradicting = None;
                self.agreement_count = self.agreement_count.saturating_add(1).min(CONFIRMING_RESPONSES);
                intersection
            }
            Some((range, None)) => {
                let (challenger, count) = match self
                    .contradicting
                    .and_then(|(range, count)| Some((intersect(range, reported_range)?, count)))
                {
                    Some((intersection, count)) => (intersection, count.saturating_add(1)),
                    None => (reported_range, 1),
                };
                // If two machines disagree, trust at once the one whose clock agrees with ours.
                let is_accepted = count >= MIN_CONTRADICTING_RESPONSES
                    || allows_own_clock(challenger) && !allows_own_clock(range);
                self.contradicting = (!is_accepted).then_some((challenger, count));
                self.disputed = Some((if is_accepted { range } else { challenger }, at.received.boot));
                self.agreement_count = if is_accepted { 1 } else { self.agreement_count };
                if is_accepted { challenger } else { range }
            }
        };
        self.range = Some((low, high));
        self.disputed =
            self.disputed.filter(|(_, received)| at.received.boot.saturating_sub(*received) < DISPUTE_PERIOD);
        // Keep the estimate while the range allows it and it is close to our own clock. Otherwise use our own clock if
        // the range allows it, so that the screen shows the same time as the rest of the system. Otherwise use the
        // middle of the range.
        let middle = low.checked_add_signed(high.signed_duration_since(low) / 2).unwrap_or(low);
        let is_close = |one: Timestamp, other: Timestamp| {
            one.signed_duration_since(other).num_milliseconds().abs() < MIN_DRIFT_MS
        };
        let kept = self
            .server_time_at_boot
            .filter(|kept| (low..=high).contains(kept) && is_close(*kept, own_time_at_boot));
        let estimate = kept.unwrap_or(if allows_own_clock((low, high)) { own_time_at_boot } else { middle });
        let skew = estimate.signed_duration_since(own_time_at_boot);
        let drift = skew.checked_sub(&self.skew);
        if self.server_time_at_boot != Some(estimate)
            || drift.is_none_or(|drift| drift.num_milliseconds().abs() >= MIN_DRIFT_MS)
        {
            (self.server_time_at_boot, self.skew) = (Some(estimate), skew);
        }
        *self != previous
    }

    /// Returns true if any response had a date.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.server_time_at_boot.is_some()
    }

    /// Returns the server's time at `moment`. Until a response has a date, this is our wall clock.
    #[must_use]
    pub fn at(&self, moment: Moment) -> Timestamp {
        // promise: boot-clock, mutant: saturating_add(zero, moment.boot) -> moment.wall
        self.server_time_at_boot.map_or(moment.wall, |zero| saturating_add(zero, moment.boot))
    }

    /// Returns the earliest possible server time at `moment`. Code that claims that a deadline has passed must use
    /// this.
    #[must_use]
    pub fn earliest(&self, moment: Moment) -> Timestamp {
        saturating_sub(self.at(moment), self.uncertainty())
    }

    /// Returns the maximum error of [`ServerClock::at`], given the dates of the responses.
    #[must_use]
    pub fn uncertainty(&self) -> Duration {
        let (Some((low, high)), Some(estimate)) = (self.range, self.server_time_at_boot) else {
            return Duration::ZERO;
        };
        let mut error = estimate.signed_duration_since(low).max(high.signed_duration_since(estimate));
        if self.agreement_count < CONFIRMING_RESPONSES {
            // A single date may come from a machine with a wrong clock. Until a second date agrees, our clock may be
            // right.
            error = error.max(self.skew.abs());
        }
        if let Some(((low, high), _)) = self.disputed {
            // The disputed range may lie on either side of the estimate.
            error = error
                .max(estimate.signed_duration_since(low).abs())
                .max(high.signed_duration_since(estimate).abs());
        }
        error.to_std().unwrap_or_default()
    }

    /// Returns the server clock minus our wall clock, at the newest response with a date.
    #[must_use]
    pub fn skew(&self) -> TimeDelta {
        self.skew
    }
}

/// Returns the intersection of two ranges, or `None` if they do not overlap.
fn intersect(one: TimeRange, other: TimeRange) -> Option<TimeRange> {
    let (low, high) = (one.0.max(other.0), one.1.min(other.1));
    (low <= high).then_some((low, high))
}

/// Returns the time `duration` before `at`, or the earliest timestamp that the type can hold.
fn saturating_sub(at: Timestamp, duration: Duration) -> Timestamp {
    let delta = TimeDelta::from_std(duration).ok();
    delta.and_then(|delta| at.checked_sub_signed(delta)).unwrap_or(Timestamp::MIN_UTC)
}

/// The bounds of a time on the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeInterval {
    /// The earliest possible time, or `None` if it is unknown.
    pub earliest: Option<Timestamp>,
    /// The latest possible time.
    pub latest: Timestamp,
}

impl TimeInterval {
    /// Returns the bounds of a change: from the sending of the last request whose response did not show the change, to
    /// the receipt of the first response that did.
    #[must_use]
    pub fn between(clock: &ServerClock, without: Option<&RequestTiming>, with: &RequestTiming) -> Self {
        let latest = clock.at(with.received);
        let earliest = without.map(|without| clock.at(without.sent).min(latest));
        Self { earliest, latest }
    }

    /// Returns the interval of zero width at `moment`.
    #[must_use]
    pub fn at(clock: &ServerClock, moment: Moment) -> Self {
        let at = clock.at(moment);
        Self { earliest: Some(at), latest: at }
    }

    /// If the time that the API reports is in the interval, returns the interval of only this time, and true. Otherwise
    /// returns the unchanged interval, and false.
    #[must_use]
    pub fn narrowed_to(self, reported: Option<Timestamp>) -> (Self, bool) {
        match reported {
            Some(time) if time <= self.latest && self.earliest.is_none_or(|earliest| earliest <= time) => {
                (Self { earliest: Some(time), latest: time }, true)
            }
            Some(_) | None => (self, false),
        }
    }

    /// Returns the interval widened by `margin` at both ends.
    #[must_use]
    pub fn widened(self, margin: Duration) -> Self {
        Self {
            earliest: self.earliest.map(|at| saturating_sub(at, margin)),
            latest: saturating_add(self.latest, margin),
        }
    }

    /// Returns the time from `earliest` to `latest`, or `None` if `earliest` is unknown.
    #[must_use]
    pub fn width(&self) -> Option<Duration> {
        self.latest.signed_duration_since(self.earliest?).to_std().ok()
    }
}

#[cfg(test)]
mod tests;
