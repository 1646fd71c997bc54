//! The only module that reads clocks.
//!
//! All other code receives the time as a [`Moment`], a reading of three clocks at one instant. No single clock is
//! enough: the wall clock can be stepped, the monotonic clock stops while the machine sleeps, and the clock since boot
//! has no date.
//!
//! A [`Clock`] runs in real time, faster (`demo --speed`, where the simulator and the program share one clock), or only
//! when a test advances it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A date and time in UTC.
pub type Timestamp = DateTime<Utc>;

/// The minimum sleep that is noticed. The machine slept if the clock since boot advanced more than the monotonic clock,
/// and the difference is greater than this time. A smaller difference can arise because the clocks are not read at
/// exactly the same instant.
const MIN_SLEEP: Duration = Duration::from_secs(2);

/// A reading of the three clocks at one instant. Serialised as `["2026-11-22T12:00:00.123456789Z", mono, boot]`, with
/// `mono` and `boot` in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(into = "(Timestamp, u64, u64)", from = "(Timestamp, u64, u64)")]
pub struct Moment {
    /// The machine's date and time. Can jump forwards and backwards.
    pub wall: Timestamp,
    /// Time since the [`Clock`] was created, without the time that the machine slept. Never goes back.
    pub mono: Duration,
    /// Time since the [`Clock`] was created, with the time that the machine slept. Never goes back.
    pub boot: Duration,
}

impl From<Moment> for (Timestamp, u64, u64) {
    fn from(moment: Moment) -> Self {
        let nanos = |reading: Duration| u64::try_from(reading.as_nanos()).unwrap_or(u64::MAX);
        (moment.wall, nanos(moment.mono), nanos(moment.boot))
    }
}

impl From<(Timestamp, u64, u64)> for Moment {
    fn from((wall, mono, boot): (Timestamp, u64, u64)) -> Self {
        Self { wall, mono: Duration::from_nanos(mono), boot: Duration::from_nanos(boot) }
    }
}

impl Moment {
    /// Returns the moment `duration` later, without a step of the wall clock or sleep in between.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self {
            wall: saturating_add(self.wall, duration),
            mono: self.mono.saturating_add(duration),
            boot: self.boot.saturating_add(duration),
        }
    }

    /// Returns the moment `duration` earlier, without a step of the wall clock or sleep in between. A clock never shows
    /// less than its minimum, which is zero for `mono` and `boot`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let wall = TimeDelta::from_std(duration).ok().and_then(|delta| self.wall.checked_sub_signed(delta));
        Self {
            wall: wall.unwrap_or(Timestamp::MIN_UTC),
            mono: self.mono.saturating_sub(duration),
            boot: self.boot.saturating_sub(duration),
        }
    }

    /// Returns the time since `earlier`, including sleep, or zero if `earlier` is later than this moment.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.boot.saturating_sub(earlier.boot)
    }

    /// Returns true if the machine slept since `earlier`. A step of the wall clock does not count as sleep.
    #[must_use]
    pub fn slept_since(self, earlier: Self) -> bool {
        let awake = self.mono.saturating_sub(earlier.mono);
        self.since(earlier) > awake.saturating_add(MIN_SLEEP)
    }
}

/// Returns `at + duration`, or the last representable time if the sum is later than that.
#[must_use]
pub fn saturating_add(at: Timestamp, duration: Duration) -> Timestamp {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| at.checked_add_signed(delta))
        .unwrap_or(Timestamp::MAX_UTC)
}

/// The time zone in which times are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// This machine's time zone.
    Local,
    /// UTC.
    Utc,
}

/// Returns the tenths of the second, 0 to 9. In a leap second, in which chrono counts up to 1999 milliseconds, they
/// stay at 9.
fn tenth_of_second(at: Timestamp) -> u32 {
    (at.timestamp_subsec_millis() / 100).min(9)
}

impl Zone {
    /// Formats a time as `21:04:09`.
    #[must_use]
    pub fn time(self, at: Timestamp) -> String {
        self.format(at, "%H:%M:%S")
    }

    /// Formats a time as `21:04:09.6`.
    #[must_use]
    pub fn time_tenths(self, at: Timestamp) -> String {
        format!("{}.{}", self.time(at), tenth_of_second(at))
    }

    /// Formats a time as [`Zone::short_date_time`] does, with tenths of a second.
    #[must_use]
    pub fn short_date_time_tenths(self, at: Timestamp, now: Timestamp) -> String {
        format!("{}.{}", self.short_date_time(at, now), tenth_of_second(at))
    }

    /// Formats a date and time as `2026-11-22 21:04:09`.
    #[must_use]
    pub fn date_time(self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S")
    }

    /// Formats a date as `2026-11-22`.
    #[must_use]
    pub fn date(self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d")
    }

    /// Formats a time as `21:04:09` if it is on the same day as `now`, else with its date.
    #[must_use]
    pub fn short_date_time(self, at: Timestamp, now: Timestamp) -> String {
        if self.date(at) == self.date(now) { self.time(at) } else { self.date_time(at) }
    }

    /// Formats a time in whole minutes: `21:04` if it is on the same day as `now`, `Mon 02:25` if it is less than a week
    /// before `now`, else `22 Nov 02:25`.
    #[must_use]
    pub fn short_minutes(self, at: Timestamp, now: Timestamp) -> String {
        if self.date(at) == self.date(now) {
            return self.format(at, "%H:%M");
        }
        let is_this_week = (TimeDelta::zero()..TimeDelta::days(6)).contains(&now.signed_duration_since(at));
        self.format(at, if is_this_week { "%a %H:%M" } else { "%-d %b %H:%M" })
    }

    /// Returns the name of the zone at the time `at`, by its offset: `UTC`, `UTC+1`, `UTC-3:30`.
    #[must_use]
    pub fn name(self, at: Timestamp) -> String {
        let minutes = match self {
            Self::Utc => 0,
            Self::Local => at.with_timezone(&chrono::Local).offset().local_minus_utc() / 60,
        };
        let sign = if minutes < 0 { '-' } else { '+' };
        match (minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60) {
            (0, 0) => "UTC".into(),
            (hours, 0) => format!("UTC{sign}{hours}"),
            (hours, minutes) => format!("UTC{sign}{hours}:{minutes:02}"),
        }
    }

    fn format(self, at: Timestamp, pattern: &str) -> String {
        match self {
            Self::Utc => at.format(pattern).to_string(),
            // promise: local-zone, mutant: chrono::Local -> chrono::Utc
            Self::Local => at.with_timezone(&chrono::Local).format(pattern).to_string(),
        }
    }
}

/// A source of [`Moment`]s. Clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(ClockSource);

#[derive(Clone, Debug)]
enum ClockSource {
    /// The machine's clocks. At `origin`, `mono` and `boot` show `backdated_by`.
    System { origin: ClockOrigin, backdated_by: Duration },
    /// The machine's clocks, `speed` times as fast since `origin`. At `origin`, the wall clock shows the real time.
    Scaled { origin: ClockOrigin, speed: u32 },
    /// A clock that only a test moves.
    Scripted(Arc<Mutex<Moment>>),
}

/// The machine's clocks at the creation of a [`Clock`].
#[derive(Clone, Copy, Debug)]
struct ClockOrigin {
    wall: SystemTime,
    mono: Instant,
    boot: Duration,
}

impl Clock {
    /// Creates a clock that shows the machine's time.
    #[must_use]
    pub fn system() -> Self {
        Self(ClockSource::System { origin: ClockOrigin::now(), backdated_by: Duration::ZERO })
    }

    /// Creates a clock that shows the machine's time and whose `mono` and `boot` begin at `age` instead of zero. So
    /// events of earlier runs, up to `age` ago, have moments on this clock.
    #[must_use]
    pub fn backdated(age: Duration) -> Self {
        Self(ClockSource::System { origin: ClockOrigin::now(), backdated_by: age })
    }

    /// Creates a clock that runs `speed` times as fast as the machine's from now on. A speed of 0 counts as 1.
    #[must_use]
    pub fn scaled(speed: u32) -> Self {
        Self(ClockSource::Scaled { origin: ClockOrigin::now(), speed: speed.max(1) })
    }

    /// Creates a clock that shows `at` until [`Clock::advance`] or [`Clock::set`] moves it.
    #[must_use]
    pub fn scripted(at: Moment) -> Self {
        Self(ClockSource::Scripted(Arc::new(Mutex::new(at))))
    }

    /// Reads the clocks.
    #[must_use]
    pub fn now(&self) -> Moment {
        match &self.0 {
            ClockSource::System { origin, backdated_by } => Moment {
                wall: system_time().into(),
                mono: backdated_by.saturating_add(monotonic_since(origin)),
                boot: backdated_by.saturating_add(boot_time_since(origin)),
            },
            ClockSource::Scaled { origin, speed } => {
                let mono = monotonic_since(origin).saturating_mul(*speed);
                let boot = boot_time_since(origin).saturating_mul(*speed);
                Moment { wall: saturating_add(origin.wall.into(), boot), mono, boot }
            }
            ClockSource::Scripted(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Returns the real time that passes during `span` of this clock.
    #[must_use]
    pub fn to_real_time(&self, span: Duration) -> Duration {
        match &self.0 {
            ClockSource::Scaled { speed, .. } => span.checked_div(*speed).unwrap_or(span),
            ClockSource::System { .. } | ClockSource::Scripted(_) => span,
        }
    }

    /// Waits until the monotonic clock shows `mono` or later, with the timer `sleep` of the caller's runtime. On a
    /// scripted clock, a wait that has to sleep never ends.
    pub async fn wait_until<F: Future<Output = ()>>(
        &self,
        mono: Duration,
        sleep: impl FnOnce(Duration) -> F,
    ) {
        let left = mono.saturating_sub(self.now().mono);
        match self.0 {
            _ if left.is_zero() => {}
            ClockSource::Scripted(_) => std::future::pending().await,
            ClockSource::System { .. } | ClockSource::Scaled { .. } => sleep(self.to_real_time(left)).await,
        }
    }

    /// Advances the three readings of a scripted clock by `duration`. Does nothing to other clocks.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().plus(duration));
    }

    /// Sets a scripted clock to `moment`, to step the wall clock or to simulate sleep. Does nothing to other clocks.
    pub fn set(&self, moment: Moment) {
        if let ClockSource::Scripted(at) = &self.0 {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = moment;
        }
    }
}

impl ClockOrigin {
    fn now() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let mono = Instant::now();
        Self { wall: system_time(), mono, boot: boot_time() }
    }
}

fn system_time() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    SystemTime::now()
}

fn monotonic_since(origin: &ClockOrigin) -> Duration {
    origin.mono.elapsed()
}

fn boot_time_since(origin: &ClockOrigin) -> Duration {
    boot_time().saturating_sub(origin.boot)
}

/// Returns the time since the machine started, including sleep.
fn boot_time() -> Duration {
    // Apple's CLOCK_MONOTONIC includes sleep, as Linux's CLOCK_BOOTTIME does. std's Instant excludes it on both.
    #[cfg(target_os = "linux")]
    let clock_id = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock_id = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(clock_id);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Moment {
        crate::testing::moment(0)
    }

    #[test]
    fn clones_share_a_scripted_clock() {
        let clock = Clock::scripted(noon());
        let clone = clock.clone();
        clock.advance(Duration::from_secs(90));
        assert_eq!(clone.now(), noon().plus(Duration::from_secs(90)));
    }

    #[test]
    fn leap_second_tenth_has_one_digit() {
        let tenths = |at: &str| Zone::Utc.time_tenths(at.parse().unwrap());
        assert_eq!(tenths("2016-12-31T23:59:59.96Z"), "23:59:59.9");
        assert_eq!(tenths("2016-12-31T23:59:60.04Z"), "23:59:60.9");
        let at = "2016-12-31T23:59:60Z".parse().unwrap();
        assert!(Zone::Utc.short_date_time_tenths(at, at).ends_with("23:59:60.9"));
    }

    #[test]
    fn short_minutes_names_other_days() {
        let now = "2026-11-22T21:06:48Z".parse().unwrap(); // a Sunday
        let text = |at: &str| Zone::Utc.short_minutes(at.parse().unwrap(), now);
        assert_eq!(text("2026-11-22T00:00:59Z"), "00:00");
        assert_eq!(text("2026-11-21T23:59:59Z"), "Sat 23:59");
        assert_eq!(text("2026-11-15T21:06:48Z"), "15 Nov 21:06", "a weekday would be ambiguous");
        assert_eq!(text("2026-11-23T02:25:11Z"), "23 Nov 02:25");
        assert_eq!(Zone::Utc.name(now), "UTC");
    }

    #[test]
    fn wall_clock_step_is_not_sleep() {
        let awake = noon().plus(Duration::from_secs(60));
        assert!(!awake.slept_since(noon()));
        let stepped = Moment { wall: saturating_add(awake.wall, Duration::from_secs(3600)), ..awake };
        assert!(!stepped.slept_since(noon()));
        // 60 s awake and 3 s asleep, which is more than `MIN_SLEEP`.
        let slept = Moment { boot: Duration::from_secs(63), ..awake };
        assert!(slept.slept_since(noon()) && !noon().slept_since(slept));
    }

    #[test]
    fn scaled_clocks_run_at_one_speed() {
        let clock = Clock::scaled(1000);
        let start = clock.now();
        let mut end = clock.now();
        while end.mono < start.mono + Duration::from_secs(1) {
            end = clock.now();
        }
        let wall = (end.wall - start.wall).to_std().unwrap();
        let mono = end.mono - start.mono;
        assert!(
            wall.abs_diff(mono) < Duration::from_millis(500),
            "the wall clock and the monotonic clock advance alike: {wall:?}, {mono:?}"
        );
        assert_eq!(clock.to_real_time(Duration::from_secs(10)), Duration::from_millis(10));
    }

    #[test]
    fn addition_saturates_at_last_date() {
        assert_eq!(saturating_add(Timestamp::MAX_UTC, Duration::from_secs(1)), Timestamp::MAX_UTC);
        assert_eq!(saturating_add(noon().wall, Duration::MAX), Timestamp::MAX_UTC);
    }
}
