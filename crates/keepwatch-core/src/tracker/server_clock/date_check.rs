//! Checks a `Date` against the timestamps of the sessions, and against our own clock.
//!
//! A cache or a proxy can replace the `Date` of a fresh response by an old one, without an `Age` header. Such a `Date`
//! would move every countdown. This module compares three clocks: the `Date`, our own clock, and the timestamps.
//!
//! ```text
//!   Date and our clock agree      → the Date is right; a timestamp after it is the API's mistake
//!   Date before a timestamp       → the Date is wrong: it is old
//!   Date far ahead of our clock   → the Date is wrong if it would make more running sessions overdue than our clock
//!                                   does, and our clock is not before a timestamp
//!   otherwise                     → the Date is right, and our clock may be wrong
//! ```
//!
//! If all sessions fit both a `Date` and our clock, no rule tells which of the two is wrong. The `Date` then counts,
//! because the clocks of machines are wrong more often than those of servers.

use std::time::Duration;

use super::{TimeRange, saturating_sub};
use crate::clock::{Timestamp, saturating_add};
use crate::session::{Session, Status};
use crate::tracker::input::RequestTiming;

/// The maximum difference of clocks that agree, beyond the resolution of `Date`. The timestamps of a session come from
/// several machines of the API, whose clocks differ slightly.
const TOLERANCE: Duration = Duration::from_secs(1);
/// A `Date` can be from the future only if it is ahead of our own clock by more than this. Clocks of healthy machines
/// differ by less.
const MIN_FUTURE: Duration = Duration::from_secs(5 * 60);
/// The maximum time for which a running session normally outlives its expiry.
const MAX_OVERRUN: Duration = Duration::from_secs(60);
/// The maximum time by which a plausible timestamp is ahead of our own clock. This covers a clock that is set to the
/// wrong time zone. A later timestamp is a mistake of the API, and must not move the countdowns of other sessions.
const MAX_TIMESTAMP_LEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// The facts that a response gives about the server's clock, besides its `Date`. A time "at our boot" is the time when
/// our clock since boot was zero.
pub(super) struct ClockEvidence<'a> {
    at: &'a RequestTiming,
    sessions: &'a [&'a Session],
    /// The time at our boot according to our wall clock.
    own_time_at_boot: Timestamp,
    /// The minimum server time at our boot, from the timestamps of this response and of earlier ones.
    min_time_at_boot: Option<Timestamp>,
    /// True if an earlier response showed that a `Date` far ahead of our own clock is wrong.
    distrusts_future: bool,
    /// The minimum server time at our boot, like `min_time_at_boot`, but without `endedAt`: the API may only plan that
    /// time.
    pub(super) floor: Option<Timestamp>,
}

impl<'a> ClockEvidence<'a> {
    /// Collects the facts in a response. `floor` is the minimum server time at our boot from earlier responses.
    /// `distrusts_future` is true if one of them showed that a `Date` far ahead of our own clock is wrong.
    pub(super) fn new(
        at: &'a RequestTiming,
        sessions: &'a [&'a Session],
        floor: Option<Timestamp>,
        distrusts_future: bool,
    ) -> Self {
        let max_plausible = saturating_add(at.received.wall, MAX_TIMESTAMP_LEAD);
        let plausible = |time: &Timestamp| *time <= max_plausible;
        let past_times = |session: &&Session| [session.created, session.started, session.updated];
        let newest_past_time = sessions.iter().flat_map(past_times).flatten().filter(plausible).max();
        let newest_end = sessions.iter().filter_map(|session| session.ended).filter(plausible).max();
        // The API wrote each timestamp before the response was received.
        let at_boot = |time: Timestamp| saturating_sub(time, at.received.boot);
        let new_floor = floor.max(newest_past_time.map(at_boot));
        Self {
            at,
            sessions,
            own_time_at_boot: saturating_sub(at.received.wall, at.received.boot),
            min_time_at_boot: new_floor.max(newest_end.map(at_boot)),
            floor: new_floor,
            distrusts_future,
        }
    }

    /// Returns true if our own clock agrees with `range`.
    pub(super) fn agrees_with_own_clock(&self, range: TimeRange) -> bool {
        (saturating_sub(range.0, TOLERANCE)..=saturating_add(range.1, TOLERANCE))
            .contains(&self.own_time_at_boot)
    }

    /// Returns true if the sessions show that the server's clock is not in `range`.
    pub(super) fn refutes(&self, range: TimeRange) -> bool {
        if self.agrees_with_own_clock(range) {
            return false;
        }
        // promise: stale-date, mutant: < min -> < Timestamp::MIN_UTC.min(min)
        let is_old = self.min_time_at_boot.is_some_and(|min| saturating_add(range.1, TOLERANCE) < min);
        // promise: future-date, mutant: self.is_from_future(range) -> false
        is_old || self.is_from_future(range)
    }

    /// Returns true if `range` is far ahead of our own clock, and our own clock fits the sessions better.
    pub(super) fn is_from_future(&self, range: TimeRange) -> bool {
        let own_time = self.own_time_at_boot;
        range.0 > saturating_add(own_time, MIN_FUTURE)
            && self.is_own_clock_possible()
            && (self.distrusts_future || self.count_running(own_time) > self.count_running(range.0))
    }

    /// Returns true if no timestamp is after our own clock.
    pub(super) fn is_own_clock_possible(&self) -> bool {
        self.min_time_at_boot.is_none_or(|min| min <= saturating_add(self.own_time_at_boot, TOLERANCE))
    }

    /// Returns the number of running sessions that should run if the server's time at our boot is `time_at_boot`.
    fn count_running(&self, time_at_boot: Timestamp) -> usize {
        // The API determined the response's content after the request was sent.
        let now = saturating_add(time_at_boot, self.at.sent.boot);
        let is_before_end = |expires: Timestamp| now <= saturating_add(expires, MAX_OVERRUN);
        let running = self.sessions.iter().filter(|session| session.status == Status::Running);
        running.filter(|session| session.expires.is_some_and(is_before_end)).count()
    }
}
