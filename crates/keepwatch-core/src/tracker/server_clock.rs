//! When, at the earliest and at the latest: the server's clock, and the time of what was not seen happening.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::input::RequestTiming;
use crate::clock::{Moment, Timestamp, saturating_add};

/// A `Date` header names the second in which it was written: it is up to this much in the past of the real time.
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// How many replies in a row must contradict what was known, and agree with each other, to be believed.
const MIN_AGREEING_RESPONSES: u8 = 3;

/// From so many replies on that agree, their dates are believed against our own clock.
const CONFIRMED_AFTER: u32 = 2;
/// Our own clocks' wander against each other, in milliseconds: less than this moves no time.
const MAX_DRIFT_MS: i64 = 10;
/// For so long a date that contradicted the others makes the time uncertain.
const DISPUTE_PERIOD: Duration = Duration::from_secs(5 * 60);

/// The earliest and the latest.
type TimeRange = (Timestamp, Timestamp);

/// What time it is at the server.
///
/// Each reply with a `Date` says that the server's clock, when ours since boot showed zero, was in
/// `[Date - received, Date + 1 s - sent]`. Over replies these intersect, and soon leave less than the network's
/// latency; when nothing is left, a clock was set or drifted, and it starts again. It is counted on the clock since
/// boot, so neither a step of the wall clock nor a sleep moves it.
///
/// One reply that contradicts the others may come from another machine behind the same name, whose clock differs. So
/// it starts again only from replies that agree with each other `MIN_AGREEING_RESPONSES` times without one that agrees with what was
/// known: times on the screen do not jump to and fro between two machines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerClock {
    /// The server's time at our boot clock's zero: at the earliest, at the latest.
    range: Option<TimeRange>,
    /// The same by the newest replies, where they contradict `range`, and how many they are.
    contradicting: Option<(TimeRange, u8)>,
    /// The one that is used.
    server_time_at_boot: Option<Timestamp>,
    /// Server minus wall clock, at the last reply with a date.
    skew: TimeDelta,
    /// How many replies agreed with what is used, up to `CONFIRMED_AFTER`.
    agreement_count: u32,
    /// The newest date that contradicted it, and when it came, by our clock since boot.
    disputed: Option<(TimeRange, Duration)>,
}

impl ServerClock {
    /// Learns from a reply. Returns whether anything is otherwise by it.
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
                let (other, count) = match self
                    .contradicting
                    .and_then(|(other, count)| Some((intersect(other, reported)?, count)))
                {
                    Some((both, count)) => (both, count.saturating_add(1)),
                    None => (reported, 1),
                };
                // Of two machines that of whose clock ours speaks is believed at once.
                let ours = earlier(at.received.wall, at.received.boot);
                let within = |range: TimeRange| (range.0..=range.1).contains(&ours);
                let believed = count >= MIN_AGREEING_RESPONSES || within(other) && !within(range);
                self.contradicting = (!believed).then_some((other, count));
                self.disputed = Some((if believed { range } else { other }, at.received.boot));
                self.agreement_count = if believed { 1 } else { self.agreement_count };
                if believed { other } else { range }
            }
        };
        self.range = Some((low, high));
        self.disputed =
            self.disputed.filter(|(_, came)| at.received.boot.saturating_sub(*came) < DISPUTE_PERIOD);
        // Our own clock is kept where nothing speaks against it: then the screen agrees with the reader's watch.
        let ours = earlier(at.received.wall, at.received.boot);
        let middle = low.checked_add_signed(high.signed_duration_since(low) / 2).unwrap_or(low);
        let steady = |zero: Timestamp, than: Timestamp| {
            zero.signed_duration_since(than).num_milliseconds().abs() < MAX_DRIFT_MS
        };
        let kept = self.server_time_at_boot.filter(|zero| (low..=high).contains(zero) && steady(*zero, ours));
        let zero = kept.unwrap_or(if (low..=high).contains(&ours) { ours } else { middle });
        let skew = zero.signed_duration_since(ours);
        if self.server_time_at_boot != Some(zero)
            || skew.checked_sub(&self.skew).is_none_or(|by| by.num_milliseconds().abs() >= MAX_DRIFT_MS)
        {
            (self.server_time_at_boot, self.skew) = (Some(zero), skew);
        }
        *self != before
    }

    /// Whether any reply had a date.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.server_time_at_boot.is_some()
    }

    /// The server's time at `moment`; our wall clock's, until a reply had a date.
    #[must_use]
    pub fn at(&self, moment: Moment) -> Timestamp {
        // promise: boot-clock, mutant: saturating_add(zero, moment.boot) -> moment.wall
        self.server_time_at_boot.map_or(moment.wall, |zero| saturating_add(zero, moment.boot))
    }

    /// The server's time at `moment` at the earliest: what is claimed to be later than something must be so by this.
    #[must_use]
    pub fn earliest(&self, moment: Moment) -> Timestamp {
        earlier(self.at(moment), self.uncertainty())
    }

    /// How far [`ServerClock::at`] may be off, as far as the replies' dates say.
    #[must_use]
    pub fn uncertainty(&self) -> Duration {
        let (Some((low, high)), Some(zero)) = (self.range, self.server_time_at_boot) else {
            return Duration::ZERO;
        };
        let mut off = zero.signed_duration_since(low).max(high.signed_duration_since(zero));
        if self.agreement_count < CONFIRMED_AFTER {
            // One date alone may be another machine's: until a second agrees, our own clock may be right.
            off = off.max(self.skew.abs());
        }
        if let Some(((low, high), _)) = self.disputed {
            off = off.max(zero.signed_duration_since(low).abs()).max(high.signed_duration_since(zero).abs());
        }
        off.to_std().unwrap_or_default()
    }

    /// How far the server's clock is ahead of our wall clock, as of the last reply.
    #[must_use]
    pub fn skew(&self) -> TimeDelta {
        self.skew
    }
}

/// What both ranges have in common.
fn intersect(one: TimeRange, other: TimeRange) -> Option<TimeRange> {
    let both = (one.0.max(other.0), one.1.min(other.1));
    (both.0 <= both.1).then_some(both)
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    TimeDelta::from_std(by).ok().and_then(|by| at.checked_sub_signed(by)).unwrap_or(Timestamp::MIN_UTC)
}

/// A time that is known to lie between two others, on the server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeInterval {
    /// Not before this; `None` if nobody knows.
    pub earliest: Option<Timestamp>,
    /// Not after this.
    pub latest: Timestamp,
}

impl TimeInterval {
    /// A change: not before the last reply that said otherwise was sent, not after the first that says so came.
    #[must_use]
    pub fn between(clock: &ServerClock, before: Option<&RequestTiming>, after: &RequestTiming) -> Self {
        let latest = clock.at(after.received);
        let earliest = before.map(|before| clock.at(before.sent).min(latest));
        Self { earliest, latest }
    }

    /// A moment of ours.
    #[must_use]
    pub fn at(clock: &ServerClock, moment: Moment) -> Self {
        let at = clock.at(moment);
        Self { earliest: Some(at), latest: at }
    }

    /// Narrowed to the time that the API gives, where that lies inside; the second value says whether it does.
    #[must_use]
    pub fn clamp_to(self, reported: Option<Timestamp>) -> (Self, bool) {
        match reported {
            Some(said) if said <= self.latest && self.earliest.is_none_or(|earliest| earliest <= said) => {
                (Self { earliest: Some(said), latest: said }, true)
            }
            Some(_) | None => (self, false),
        }
    }

    /// By so much more at either end.
    #[must_use]
    pub fn widened(self, by: Duration) -> Self {
        Self { earliest: self.earliest.map(|at| earlier(at, by)), latest: saturating_add(self.latest, by) }
    }

    /// How far apart its ends are.
    #[must_use]
    pub fn width(&self) -> Option<Duration> {
        self.latest.signed_duration_since(self.earliest?).to_std().ok()
    }
}

#[cfg(test)]
mod tests;
