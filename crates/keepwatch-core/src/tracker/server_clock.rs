//! The server clock: an estimate of the API's clock from the `Date` headers of its responses. Also [`TimeInterval`],
//! the bounds of an event that happened between two polls.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::input::RequestTiming;
use crate::clock::{Moment, Timestamp, saturating_add};

/// Resolution of the `Date` header. It names the second in which the server wrote it, so it is up to this much too
/// early.
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// Number of consecutive responses that must contradict the estimate, and agree with each other, to replace it.
const MIN_AGREEING_RESPONSES: u8 = 3;

/// Number of agreeing responses from which the estimate is trusted over our own clock.
const CONFIRMED_AFTER: u32 = 2;
/// Smallest drift of our own clocks against each other that changes the estimate, in milliseconds.
const MAX_DRIFT_MS: i64 = 10;
/// Time for which a contradicting date widens the uncertainty.
const DISPUTE_PERIOD: Duration = Duration::from_secs(5 * 60);

/// The earliest and the latest possible time.
type TimeRange = (Timestamp, Timestamp);

/// An estimate of the server's clock.
///
/// A response with a `Date` header bounds the server's time at the zero of our clock since boot: it was in `[Date -
/// received, Date + 1 s - sent]`. The intersection of these ranges soon becomes narrower than the network latency. If
/// it becomes empty, a clock was set or drifted, and the estimate starts again. The estimate is based on the clock
/// since boot, so neither a step of the wall clock nor a sleep moves it.
///
/// A single contradicting response may come from another machine behind the same name. The estimate therefore starts
/// again only after `MIN_AGREEING_RESPONSES` responses in a row that contradict it and agree with each other, or at
/// once if our own clock agrees with the new range and not with the old one. Otherwise times on the screen would jump
/// back and forth between the clocks of two machines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerClock {
    /// The possible server times at the zero of our clock since boot.
    range: Option<TimeRange>,
    /// The possible times by the newest responses, if they contradict `range`, and the number of these responses.
    contradicting: Option<(TimeRange, u8)>,
    /// The chosen time within `range`.
    server_time_at_boot: Option<Timestamp>,
    /// Server clock minus our wall clock, at the last response with a date.
    skew: TimeDelta,
    /// The number of responses that agreed with `range`, up to `CONFIRMED_AFTER`.
    agreement_count: u32,
    /// The newest range that conflicted with `range`, and the receipt of its response on our clock since boot.
    disputed: Option<(TimeRange, Duration)>,
}

impl ServerClock {
    /// Updates the estimate from a response. Returns true if anything changed.
    pub fn observe(&mut self, at: &RequestTiming) -> bool {
        let Some(date) = at.date else { return false };
        let before = *self;
        let reported =
            (earlier(date, at.received.boot), earlier(saturating_add(date, DATE_RESOLUTION), at.sent.boot));
        let (low, high) = match self.range.map(|range| (range, intersect(range, reported))) {
            None => {
                self.agreement_count = 1;
                reported
            }
            Some((_, Some(both))) => {
                self.contradicting = None;
                self.agreement_count = self.agreement_count.saturating_add(1).min(CONFIRMED_AFTER);
                both
            }
            Some((range, None)) => {
                let (challenger, count) = match self
                    .contradicting
                    .and_then(|(range, count)| Some((intersect(range, reported)?, count)))
                {
                    Some((both, count)) => (both, count.saturating_add(1)),
                    None => (reported, 1),
                };
                // If two machines disagree, trust at once the one whose clock agrees with ours.
                let ours = earlier(at.received.wall, at.received.boot);
                let within = |range: TimeRange| (range.0..=range.1).contains(&ours);
                let is_accepted = count >= MIN_AGREEING_RESPONSES || within(challenger) && !within(range);
                self.contradicting = (!is_accepted).then_some((challenger, count));
                self.disputed = Some((if is_accepted { range } else { challenger }, at.received.boot));
                self.agreement_count = if is_accepted { 1 } else { self.agreement_count };
                if is_accepted { challenger } else { range }
            }
        };
        self.range = Some((low, high));
        self.disputed =
            self.disputed.filter(|(_, received)| at.received.boot.saturating_sub(*received) < DISPUTE_PERIOD);
        // Our own clock wins if no date contradicts it. The screen then agrees with the user's watch.
        let ours = earlier(at.received.wall, at.received.boot);
        let middle = low.checked_add_signed(high.signed_duration_since(low) / 2).unwrap_or(low);
        let is_close = |zero: Timestamp, other: Timestamp| {
            zero.signed_duration_since(other).num_milliseconds().abs() < MAX_DRIFT_MS
        };
        let kept =
            self.server_time_at_boot.filter(|zero| (low..=high).contains(zero) && is_close(*zero, ours));
        let zero = kept.unwrap_or(if (low..=high).contains(&ours) { ours } else { middle });
        let skew = zero.signed_duration_since(ours);
        if self.server_time_at_boot != Some(zero)
            || skew.checked_sub(&self.skew).is_none_or(|by| by.num_milliseconds().abs() >= MAX_DRIFT_MS)
        {
            (self.server_time_at_boot, self.skew) = (Some(zero), skew);
        }
        *self != before
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

    /// Returns the earliest possible server time at `moment`. Code that claims that a time has passed must use this.
    #[must_use]
    pub fn earliest(&self, moment: Moment) -> Timestamp {
        earlier(self.at(moment), self.uncertainty())
    }

    /// Returns the largest error of [`ServerClock::at`] that the dates of the responses allow.
    #[must_use]
    pub fn uncertainty(&self) -> Duration {
        let (Some((low, high)), Some(zero)) = (self.range, self.server_time_at_boot) else {
            return Duration::ZERO;
        };
        let mut error = zero.signed_duration_since(low).max(high.signed_duration_since(zero));
        if self.agreement_count < CONFIRMED_AFTER {
            // A single date may come from a machine whose clock is wrong. Until a second one agrees, our clock may be
            // right.
            error = error.max(self.skew.abs());
        }
        if let Some(((low, high), _)) = self.disputed {
            error =
                error.max(zero.signed_duration_since(low).abs()).max(high.signed_duration_since(zero).abs());
        }
        error.to_std().unwrap_or_default()
    }

    /// Returns the server clock minus our wall clock, as of the last response.
    #[must_use]
    pub fn skew(&self) -> TimeDelta {
        self.skew
    }
}

/// Returns the intersection of two ranges, or `None` if they do not overlap.
fn intersect(one: TimeRange, other: TimeRange) -> Option<TimeRange> {
    let both = (one.0.max(other.0), one.1.min(other.1));
    (both.0 <= both.1).then_some(both)
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    TimeDelta::from_std(by).ok().and_then(|by| at.checked_sub_signed(by)).unwrap_or(Timestamp::MIN_UTC)
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
    /// Returns the bounds of a change: from the sending of the last request that did not show it to the receipt of the
    /// first response that did.
    #[must_use]
    pub fn between(clock: &ServerClock, before: Option<&RequestTiming>, after: &RequestTiming) -> Self {
        let latest = clock.at(after.received);
        let earliest = before.map(|before| clock.at(before.sent).min(latest));
        Self { earliest, latest }
    }

    /// Returns the interval of zero width at one of our moments.
    #[must_use]
    pub fn at(clock: &ServerClock, moment: Moment) -> Self {
        let at = clock.at(moment);
        Self { earliest: Some(at), latest: at }
    }

    /// Returns the interval narrowed to the time that the API reports, and true, if that time is inside. Otherwise
    /// returns the interval unchanged, and false.
    #[must_use]
    pub fn clamp_to(self, reported: Option<Timestamp>) -> (Self, bool) {
        match reported {
            Some(time) if time <= self.latest && self.earliest.is_none_or(|earliest| earliest <= time) => {
                (Self { earliest: Some(time), latest: time }, true)
            }
            Some(_) | None => (self, false),
        }
    }

    /// Returns the interval widened by `by` at either end.
    #[must_use]
    pub fn widened(self, by: Duration) -> Self {
        Self { earliest: self.earliest.map(|at| earlier(at, by)), latest: saturating_add(self.latest, by) }
    }

    /// Returns the time between its ends, or `None` if the earliest time is unknown.
    #[must_use]
    pub fn width(&self) -> Option<Duration> {
        self.latest.signed_duration_since(self.earliest?).to_std().ok()
    }
}

#[cfg(test)]
mod tests;
