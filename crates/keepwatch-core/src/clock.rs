//! The only place where clocks are read.
//!
//! Everything else is told the time as a [`Moment`]: three clocks read together, because each is wrong for
//! something. The wall clock can be stepped; the monotonic clock stops while the machine sleeps; the clock
//! since boot does neither, but says nothing about the date.
//!
//! A [`Clock`] runs at the speed of the real one, faster (`demo --speed`, where the simulator and the program
//! share one clock), or only when it is told to (tests).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A point in time as a calendar has it, in UTC.
pub type Timestamp = DateTime<Utc>;

/// The clock since boot runs ahead of the monotonic one by this only if the machine slept.
const MIN_SLEEP: Duration = Duration::from_secs(2);

/// One reading of the three clocks. Written down as `["2026-11-22T12:00:00.123456789Z", mono, boot]`, the latter two in
/// nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(into = "(Timestamp, u64, u64)", from = "(Timestamp, u64, u64)")]
pub struct Moment {
    /// What the machine believes the date is. May jump either way.
    pub wall: Timestamp,
    /// Since the clock was made, without the time the machine slept. Never goes back.
    pub mono: Duration,
    /// Since the clock was made, with the time the machine slept. Never goes back.
    pub boot: Duration,
}

impl From<Moment> for (Timestamp, u64, u64) {
    fn from(moment: Moment) -> Self {
        let nanos = |since: Duration| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        (moment.wall, nanos(moment.mono), nanos(moment.boot))
    }
}

impl From<(Timestamp, u64, u64)> for Moment {
    fn from((wall, mono, boot): (Timestamp, u64, u64)) -> Self {
        Self { wall, mono: Duration::from_nanos(mono), boot: Duration::from_nanos(boot) }
    }
}

impl Moment {
    /// The moment `by` later, had nothing stepped and nothing slept.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self {
            wall: saturating_add(self.wall, by),
            mono: self.mono.saturating_add(by),
            boot: self.boot.saturating_add(by),
        }
    }

    /// The moment `by` earlier, had nothing stepped and nothing slept; as far as the clocks go back.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let wall = TimeDelta::from_std(by).ok().and_then(|by| self.wall.checked_sub_signed(by));
        Self {
            wall: wall.unwrap_or(Timestamp::MIN_UTC),
            mono: self.mono.saturating_sub(by),
            boot: self.boot.saturating_sub(by),
        }
    }

    /// How long after `earlier` this is, with the time the machine slept; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.boot.saturating_sub(earlier.boot)
    }

    /// Whether the machine slept since `earlier`. A wall clock that was set is no sleep.
    #[must_use]
    pub fn slept_since(self, earlier: Self) -> bool {
        let awake = self.mono.saturating_sub(earlier.mono);
        self.since(earlier) > awake.saturating_add(MIN_SLEEP)
    }
}

/// `at + by`, staying at the end of the calendar where it would leave it.
#[must_use]
pub fn saturating_add(at: Timestamp, by: Duration) -> Timestamp {
    TimeDelta::from_std(by).ok().and_then(|by| at.checked_add_signed(by)).unwrap_or(Timestamp::MAX_UTC)
}

/// In which zone times are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// As this machine's reader lives by.
    Local,
    /// UTC.
    Utc,
}

/// The first digit after the point; a leap second is as long as two, and its second half has none of its own.
fn tenth_of_second(at: Timestamp) -> u32 {
    (at.timestamp_subsec_millis() / 100).min(9)
}

impl Zone {
    /// `21:04:09`
    #[must_use]
    pub fn time(self, at: Timestamp) -> String {
        self.format(at, "%H:%M:%S")
    }

    /// `21:04:09.6`
    #[must_use]
    pub fn time_tenths(self, at: Timestamp) -> String {
        format!("{}.{}", self.time(at), tenth_of_second(at))
    }

    /// As [`Zone::short_date_time`], to the tenth of a second.
    #[must_use]
    pub fn short_date_time_tenths(self, at: Timestamp, now: Timestamp) -> String {
        format!("{}.{}", self.short_date_time(at, now), tenth_of_second(at))
    }

    /// `2026-11-22 21:04:09`
    #[must_use]
    pub fn date_time(self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S")
    }

    /// `2026-11-22`
    #[must_use]
    pub fn date(self, at: Timestamp) -> String {
        self.format(at, "%Y-%m-%d")
    }

    /// `21:04:09` for today's, with the date for others.
    #[must_use]
    pub fn short_date_time(self, at: Timestamp, now: Timestamp) -> String {
        if self.date(at) == self.date(now) { self.time(at) } else { self.date_time(at) }
    }

    fn format(self, at: Timestamp, pattern: &str) -> String {
        match self {
            Self::Utc => at.format(pattern).to_string(),
            // promise: local-zone, mutant: chrono::Local -> chrono::Utc
            Self::Local => at.with_timezone(&chrono::Local).format(pattern).to_string(),
        }
    }
}

/// Where the time comes from. Clones read the same clock.
#[derive(Clone, Debug)]
pub struct Clock(ClockSource);

#[derive(Clone, Debug)]
enum ClockSource {
    /// The machine's clocks, since `origin`; they began with `past`.
    System { origin: ClockOrigin, backdated_by: Duration },
    /// The machine's clocks, `speed` times as fast since `start`; the wall clock starts at the real one.
    Scaled { origin: ClockOrigin, speed: u32 },
    /// Stands still until a test moves it.
    Scripted(Arc<Mutex<Moment>>),
}

#[derive(Clone, Copy, Debug)]
struct ClockOrigin {
    wall: SystemTime,
    mono: Instant,
    boot: Duration,
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn system() -> Self {
        Self(ClockSource::System { origin: ClockOrigin::now(), backdated_by: Duration::ZERO })
    }

    /// The machine's clocks, which reach back so far before now: what was seen earlier has its place on them.
    #[must_use]
    pub fn backdated(by: Duration) -> Self {
        Self(ClockSource::System { origin: ClockOrigin::now(), backdated_by: by })
    }

    /// The machine's clocks, `speed` times as fast from now on; a speed of 0 is taken as 1.
    #[must_use]
    pub fn scaled(speed: u32) -> Self {
        Self(ClockSource::Scaled { origin: ClockOrigin::now(), speed: speed.max(1) })
    }

    /// A clock that shows `at` until [`Clock::advance`] or [`Clock::set`] moves it.
    #[must_use]
    pub fn scripted(at: Moment) -> Self {
        Self(ClockSource::Scripted(Arc::new(Mutex::new(at))))
    }

    /// What the clocks show.
    #[must_use]
    pub fn now(&self) -> Moment {
        match &self.0 {
            ClockSource::System { origin, backdated_by: past } => Moment {
                wall: system_time().into(),
                mono: past.saturating_add(monotonic_since(origin)),
                boot: past.saturating_add(boot_time_since(origin)),
            },
            ClockSource::Scaled { origin, speed } => {
                let mono = monotonic_since(origin).saturating_mul(*speed);
                let boot = boot_time_since(origin).saturating_mul(*speed);
                Moment { wall: saturating_add(origin.wall.into(), boot), mono, boot }
            }
            ClockSource::Scripted(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// How many real seconds pass in `span` of this clock.
    #[must_use]
    pub fn to_real_time(&self, span: Duration) -> Duration {
        match &self.0 {
            ClockSource::Scaled { speed, .. } => span.checked_div(*speed).unwrap_or(span),
            ClockSource::System { .. } | ClockSource::Scripted(_) => span,
        }
    }

    /// Waits until the monotonic clock shows `mono` or later, on the timer `sleep` of the caller's runtime. A scripted clock
    /// never ends a wait by itself.
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

    /// Moves a scripted clock on, all three together. Nothing else can be moved.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets a scripted clock, so that a test can step the wall clock or let the machine sleep.
    pub fn set(&self, to: Moment) {
        if let ClockSource::Scripted(at) = &self.0 {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = to;
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

/// Time since the machine was started, with the time it slept.
fn boot_time() -> Duration {
    // Apple's CLOCK_MONOTONIC counts sleep as Linux's CLOCK_BOOTTIME does; std's Instant counts it on neither.
    #[cfg(target_os = "linux")]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let id = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(id);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> Moment {
        crate::testing::moment(0)
    }

    #[test]
    fn a_scripted_clock_moves_only_when_told() {
        let clock = Clock::scripted(noon());
        let seen_by_another = clock.clone();
        clock.advance(Duration::from_secs(90));
        assert_eq!(seen_by_another.now(), noon().plus(Duration::from_secs(90)));
    }

    #[test]
    fn a_tenth_has_one_digit_in_a_leap_second_too() {
        let tenths = |at: &str| Zone::Utc.time_tenths(at.parse().unwrap());
        assert_eq!(tenths("2016-12-31T23:59:59.96Z"), "23:59:59.9");
        assert_eq!(tenths("2016-12-31T23:59:60.04Z"), "23:59:60.9");
        let at = "2016-12-31T23:59:60Z".parse().unwrap();
        assert!(Zone::Utc.short_date_time_tenths(at, at).ends_with("23:59:60.9"));
    }

    #[test]
    fn only_the_clock_since_boot_tells_a_sleep() {
        let awake = noon().plus(Duration::from_secs(60));
        assert!(!awake.slept_since(noon()));
        let stepped = Moment { wall: saturating_add(awake.wall, Duration::from_secs(3600)), ..awake };
        assert!(!stepped.slept_since(noon()));
        let slept = Moment { boot: Duration::from_secs(63), ..awake };
        assert!(slept.slept_since(noon()) && !noon().slept_since(slept));
    }

    #[test]
    fn a_scaled_clock_runs_its_three_clocks_at_one_speed() {
        let clock = Clock::scaled(1000);
        let first = clock.now();
        let mut second = clock.now();
        while second.mono < first.mono + Duration::from_secs(1) {
            second = clock.now();
        }
        let wall = (second.wall - first.wall).to_std().unwrap();
        let mono = second.mono - first.mono;
        assert!(wall.abs_diff(mono) < Duration::from_millis(500), "{wall:?} against {mono:?}");
        assert_eq!(clock.to_real_time(Duration::from_secs(10)), Duration::from_millis(10));
    }

    #[test]
    fn what_would_leave_the_calendar_stays_at_its_end() {
        assert_eq!(saturating_add(Timestamp::MAX_UTC, Duration::from_secs(1)), Timestamp::MAX_UTC);
        assert_eq!(saturating_add(noon().wall, Duration::MAX), Timestamp::MAX_UTC);
    }
}
