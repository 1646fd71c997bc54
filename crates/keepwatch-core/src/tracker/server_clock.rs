//! The server clock: an estimate of the API's time from the `Date` headers of its responses. This module also has
//! [`TimeInterval`], the bounds of a time, for example of a change between two polls.
//!
//! ```text
//!   response ──► is its Date refuted? ──yes──► ignored; the estimate stays, or is our own clock
//!                 (`date_check`)
//!                    │ no
//!                    ▼
//!                agrees with the estimate? ──yes──► the estimate becomes more precise
//!                    │ no
//!                    ▼
//!                our clock agrees only with the new Date,
//!                or the contradiction lasts? ──yes──► the estimate starts again
//!                    │ no
//!                    ▼
//!                the estimate stays
//! ```
//!
//! Without any accepted `Date`, the server's time is our wall clock, unless a session has a later timestamp. The API
//! wrote that timestamp in the past, so the server's time cannot be before it. Without this rule, a machine whose clock
//! is slow would show more time left than there is.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use self::date_check::ClockEvidence;
use super::input::RequestTiming;
use crate::clock::{Moment, Timestamp, saturating_add};
use crate::session::Session;

mod date_check;

/// The resolution of the `Date` header. The header has whole seconds, rounded down, so the server's time may be later
/// by up to this much.
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// The minimum number of consecutive responses that contradict the estimate, and agree with each other, after which the
/// estimate starts again.
const MIN_CONTRADICTING_RESPONSES: u8 = 3;
/// The minimum time for which responses must contradict a confirmed estimate until it starts again. If two servers with
/// different clocks answer in turn, or a cache answers some requests, `Date` changes back within seconds. If the
/// server's clock was set, `Date` does not change back.
const MIN_CONTRADICTION: Duration = Duration::from_secs(60);
/// The number of times that `Date` must return to the estimate until it counts as jumping back and forth.
const MIN_RETURNS: u8 = 2;

/// The number of responses that must agree with the estimate to confirm it. Until then, our own clock may be right.
const CONFIRMING_RESPONSES: u32 = 2;
/// The minimum drift of our wall clock against our clock since boot, in milliseconds, that changes the estimate.
/// Without this minimum, the estimate would change with every response.
const MIN_DRIFT_MS: i64 = 10;
/// The period after a contradicting date in which that date widens the uncertainty. After this period without a
/// contradiction, the dates agree again.
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
/// A single contradicting response may come from another machine behind the same host name. A confirmed estimate
/// therefore starts again only if the contradiction lasts for `MIN_CONTRADICTION`, without a response that agrees with
/// the estimate. It starts again at once if our own clock agrees with the new range and not with the old one. Without
/// these rules, times on the screen would jump between the clocks of two machines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerClock {
    /// The possible server times at our boot.
    range: Option<TimeRange>,
    /// The challenger, if the newest responses contradict `range`.
    challenger: Option<Challenger>,
    /// The estimate: one time within `range`.
    server_time_at_boot: Option<Timestamp>,
    /// The server clock minus our wall clock, at the newest response.
    skew: TimeDelta,
    /// The number of responses that agreed with `range`. Stops at `CONFIRMING_RESPONSES`.
    agreement_count: u32,
    /// The newest range that contradicted `range`, and the time of this contradiction: the receipt of the response, on
    /// our clock since boot.
    disputed: Option<(TimeRange, Duration)>,
    /// The number of times that `Date` returned to the estimate after a contradiction. Stops at [`MIN_RETURNS`]. Zero
    /// again after [`DISPUTE_PERIOD`] without a contradiction.
    returns: u8,
    /// The number of contradicting dates while `Date` jumps back and forth. `None` while it does not.
    jumping_dates: Option<u64>,
    /// The minimum server time at our boot, from the timestamps of sessions.
    floor: Option<Timestamp>,
    /// True once [`DateProblem::Ignored`] was returned, so that it is returned only once.
    has_reported_ignored: bool,
    /// True if a session showed that a `Date` far ahead of our own clock is wrong. This field remembers the fact,
    /// because a response without sessions cannot show it. False again once a timestamp shows that our own clock is
    /// slow.
    distrusts_future: bool,
}

/// The server times at our boot that consecutive responses allow, if they contradict the estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Challenger {
    range: TimeRange,
    /// The number of the responses. Stops at [`MIN_CONTRADICTING_RESPONSES`].
    count: u8,
    /// The receipt of the first of them, on our clock since boot.
    since: Duration,
}

/// The result of [`ServerClock::observe`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClockUpdate {
    /// True if the estimate, its precision, or the state from which it follows changed.
    pub is_changed: bool,
    /// A problem with the `Date` that begins or ends with this response.
    pub problem: Option<DateProblem>,
}

/// A problem with the `Date` of responses. Offsets are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateProblem {
    /// A `Date` is wrong and therefore ignored.
    Ignored {
        /// The `Date` minus the server's time. Negative if the `Date` is earlier.
        offset_ms: i64,
    },
    /// `Date` began to jump back and forth.
    Jumping {
        /// The newest contradicting `Date` minus the server's time according to the other dates.
        offset_ms: i64,
    },
    /// `Date` no longer jumps.
    Steady {
        /// The number of contradicting dates.
        contradicting: u64,
    },
}

impl ServerClock {
    /// Updates the estimate from the `Date` of a response, and from the timestamps of its sessions.
    pub fn observe(&mut self, at: &RequestTiming, sessions: &[&Session]) -> ClockUpdate {
        let previous = *self;
        let evidence = ClockEvidence::new(at, sessions, self.floor, self.distrusts_future);
        let reported_range = at.date.map(|date| {
            (
                saturating_sub(date, at.received.boot),
                saturating_sub(saturating_add(date, DATE_RESOLUTION), at.sent.boot),
            )
        });
        let own_time_at_boot = saturating_sub(at.received.wall, at.received.boot);
        let refuted_estimate = self.range.filter(|range| evidence.refutes(*range));
        if refuted_estimate.is_some() {
            self.forget_dates();
        }
        self.distrusts_future = evidence.is_own_clock_possible()
            && (self.distrusts_future
                || refuted_estimate
                    .into_iter()
                    .chain(reported_range)
                    .any(|range| evidence.is_from_future(range)));
        let accepted_range = reported_range.filter(|range| !evidence.refutes(*range));
        // If our own clock agrees with a date, a later timestamp is the API's mistake.
        let is_own_clock_right = [self.range, accepted_range]
            .into_iter()
            .flatten()
            .any(|range| evidence.agrees_with_own_clock(range));
        let is_possible = |floor: &Timestamp| !is_own_clock_right || *floor <= own_time_at_boot;
        self.floor = evidence.floor.filter(is_possible).or(self.floor.filter(is_possible));
        let mut problem = None;
        if let Some(range) = accepted_range {
            problem = self.compare_with_estimate(range, at, own_time_at_boot);
            self.update_estimate(own_time_at_boot);
        } else if self.range.is_none() {
            self.use_own_clock(own_time_at_boot);
        }
        let ignored_range = refuted_estimate.or(reported_range.filter(|_| accepted_range.is_none()));
        if let (Some(range), Some(count), true) = (ignored_range, self.jumping_dates, self.range.is_some()) {
            // The problem `Jumping` has been returned before, so this date is only counted.
            self.jumping_dates = Some(count.saturating_add(1));
            self.disputed = Some((range, at.received.boot));
        } else if let Some(range) = ignored_range.filter(|_| !self.has_reported_ignored) {
            self.has_reported_ignored = true;
            let time_at_boot = saturating_sub(self.at(at.received), at.received.boot);
            problem = Some(DateProblem::Ignored { offset_ms: offset_ms(range.0, time_at_boot) });
        }
        ClockUpdate { is_changed: *self != previous, problem }
    }

    /// Forgets all dates, because the timestamps of sessions refute them.
    fn forget_dates(&mut self) {
        *self = Self {
            floor: self.floor,
            has_reported_ignored: self.has_reported_ignored,
            distrusts_future: self.distrusts_future,
            skew: self.skew,
            ..Self::default()
        };
    }

    /// Updates `range` from the range that a `Date` allows. Returns the problem that begins or ends with this `Date`.
    fn compare_with_estimate(
        &mut self,
        reported_range: TimeRange,
        at: &RequestTiming,
        own_time_at_boot: Timestamp,
    ) -> Option<DateProblem> {
        let allows_own_clock = |range: TimeRange| (range.0..=range.1).contains(&own_time_at_boot);
        let mut problem = None;
        let range = match self.range.map(|range| (range, intersect(range, reported_range))) {
            None => {
                self.agreement_count = 1;
                reported_range
            }
            Some((_, Some(intersection))) => {
                if let Some(challenger) = self.challenger.take() {
                    self.returns = self.returns.saturating_add(1).min(MIN_RETURNS);
                    if self.returns >= MIN_RETURNS && !self.has_reported_problem() {
                        self.jumping_dates = Some(u64::from(MIN_RETURNS));
                        let offset_ms = offset_ms(challenger.range.0, intersection.0);
                        problem = Some(DateProblem::Jumping { offset_ms });
                    }
                }
                self.agreement_count = self.agreement_count.saturating_add(1).min(CONFIRMING_RESPONSES);
                intersection
            }
            Some((range, None)) => {
                let received = at.received.boot;
                let new_challenger = Challenger { range: reported_range, count: 1, since: received };
                let challenger = self.challenger.map_or(new_challenger, |previous| {
                    match intersect(previous.range, reported_range) {
                        Some(range) => {
                            let count = previous.count.saturating_add(1).min(MIN_CONTRADICTING_RESPONSES);
                            Challenger { range, count, since: previous.since }
                        }
                        None => new_challenger,
                    }
                });
                self.jumping_dates = self.jumping_dates.map(|count| count.saturating_add(1));
                // promise: jumping-date, mutant: MIN_CONTRADICTION -> Duration::ZERO
                let min_contradiction = match self.agreement_count {
                    _ if self.jumping_dates.is_some() => DISPUTE_PERIOD,
                    CONFIRMING_RESPONSES.. => MIN_CONTRADICTION,
                    _ => Duration::ZERO,
                };
                let has_lasted = challenger.count >= MIN_CONTRADICTING_RESPONSES
                    && received.saturating_sub(challenger.since) >= min_contradiction;
                // If two machines disagree, trust at once the one whose clock agrees with ours.
                let is_confirmed_by_own_clock =
                    allows_own_clock(challenger.range) && !allows_own_clock(range);
                if is_confirmed_by_own_clock && !self.has_reported_problem() {
                    self.jumping_dates = Some(1);
                    let offset_ms = offset_ms(range.0, challenger.range.0);
                    problem = Some(DateProblem::Jumping { offset_ms });
                }
                let is_accepted = has_lasted || is_confirmed_by_own_clock;
                self.challenger = (!is_accepted).then_some(challenger);
                self.disputed = Some((if is_accepted { range } else { challenger.range }, received));
                self.agreement_count = if is_accepted { 1 } else { self.agreement_count };
                if is_accepted { challenger.range } else { range }
            }
        };
        self.range = Some(range);
        let is_recent = |(_, received): &(TimeRange, Duration)| {
            at.received.boot.saturating_sub(*received) < DISPUTE_PERIOD
        };
        self.disputed = self.disputed.filter(is_recent);
        if self.disputed.is_none() {
            self.returns = 0;
            let steady = self.jumping_dates.take().map(|contradicting| DateProblem::Steady { contradicting });
            problem = problem.or(steady);
        }
        problem
    }

    /// Updates the estimate and the skew from `range` and our own clock.
    fn update_estimate(&mut self, own_time_at_boot: Timestamp) {
        let Some((low, high)) = self.range else { return };
        // Keep the estimate while the range allows it and it is close to our own clock. Otherwise use our own clock if
        // the range allows it, so that the screen shows the same time as the rest of the system. Otherwise use the
        // middle of the range.
        let middle = low.checked_add_signed(high.signed_duration_since(low) / 2).unwrap_or(low);
        let is_close = |one: Timestamp, other: Timestamp| offset_ms(one, other).abs() < MIN_DRIFT_MS;
        let kept = self
            .server_time_at_boot
            .filter(|kept| (low..=high).contains(kept) && is_close(*kept, own_time_at_boot));
        let is_own_clock_allowed = (low..=high).contains(&own_time_at_boot);
        let estimate = kept.unwrap_or(if is_own_clock_allowed { own_time_at_boot } else { middle });
        let skew = estimate.signed_duration_since(own_time_at_boot);
        if self.server_time_at_boot != Some(estimate) || is_drift(self.skew, skew) {
            (self.server_time_at_boot, self.skew) = (Some(estimate), skew);
        }
    }

    /// Updates the skew while no date is known.
    fn use_own_clock(&mut self, own_time_at_boot: Timestamp) {
        let server_time = self.floor.map_or(own_time_at_boot, |floor| floor.max(own_time_at_boot));
        let skew = server_time.signed_duration_since(own_time_at_boot);
        self.skew = if is_drift(self.skew, skew) { skew } else { self.skew };
    }

    /// Returns true if the estimate rests on the date of a response. It does not if no response had a date, or if all
    /// dates were wrong.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.server_time_at_boot.is_some()
    }

    /// Returns the server's time at `moment`. Until a response has a date that is not wrong, this is our wall clock, or
    /// the earliest time that the timestamps of sessions allow, if that is later.
    #[must_use]
    pub fn at(&self, moment: Moment) -> Timestamp {
        // promise: boot-clock, mutant: saturating_add(zero, moment.boot) -> moment.wall
        let estimate = self.server_time_at_boot.map(|zero| saturating_add(zero, moment.boot));
        estimate.unwrap_or_else(|| {
            let earliest = self.floor.map(|zero| saturating_add(zero, moment.boot));
            earliest.map_or(moment.wall, |earliest| earliest.max(moment.wall))
        })
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
        // If our own clock agrees with a confirmed estimate, a contradicting date is wrong.
        let is_certain =
            self.agreement_count >= CONFIRMING_RESPONSES && self.skew.num_milliseconds().abs() < MIN_DRIFT_MS;
        if let Some(((low, high), _)) = self.disputed.filter(|_| !is_certain) {
            // The disputed range may lie on either side of the estimate.
            error = error
                .max(estimate.signed_duration_since(low).abs())
                .max(high.signed_duration_since(estimate).abs());
        }
        error.to_std().unwrap_or_default()
    }

    /// Returns true if an event has said that dates are ignored, or that they jump and that the jumps are ignored.
    fn has_reported_problem(&self) -> bool {
        self.has_reported_ignored || self.jumping_dates.is_some()
    }

    /// Returns true if a `Date` was wrong and ignored.
    #[must_use]
    pub fn has_ignored_dates(&self) -> bool {
        self.has_reported_ignored
    }

    /// Returns true while `Date` jumps back and forth.
    #[must_use]
    pub fn has_jumping_dates(&self) -> bool {
        self.jumping_dates.is_some()
    }

    /// Returns the server clock minus our wall clock, at the newest response.
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

/// Returns true if the difference of two skews is at least [`MIN_DRIFT_MS`].
fn is_drift(old: TimeDelta, new: TimeDelta) -> bool {
    new.checked_sub(&old).is_none_or(|drift| drift.num_milliseconds().abs() >= MIN_DRIFT_MS)
}

/// Returns `one - other` in milliseconds.
fn offset_ms(one: Timestamp, other: Timestamp) -> i64 {
    one.signed_duration_since(other).num_milliseconds()
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
