//! The clock that tells how old the journal's data is. Protects the data from a clock that is wrong: a jump of more than
//! a day must hold for an hour before anything is deleted because of its age. Pure.
//!
//! ```text
//!   server clock, else wall clock ──► more than a day ahead of the trusted time? ──no──► trusted from now on
//!                                              │ yes                                            ▲
//!                                              ├── the server's clock and ours agree ──────────►┤
//!                                              ├── the jump has held for an hour ──────────────►┘
//!                                              └── else: no time, so nothing is deleted by age
//! ```

use std::time::Duration;

use chrono::TimeDelta;

use keepwatch_core::clock::{Moment, Timestamp, saturating_add};

/// Maximum jump ahead that is trusted at once, and maximum difference of two clocks that agree.
const MAX_JUMP: Duration = Duration::from_secs(24 * 60 * 60);
/// Time for which a jump must hold before it is trusted.
const HOLD_TIME: Duration = Duration::from_secs(60 * 60);

/// A time, and the reading of the `boot` clock (see [`Moment`]) at that time.
#[derive(Clone, Copy, Debug)]
struct ClockPoint {
    at: Timestamp,
    boot: Duration,
}

impl ClockPoint {
    /// Returns the time at which the `boot` clock will show `boot`, which is a later reading.
    fn extrapolate_to(self, boot: Duration) -> Timestamp {
        saturating_add(self.at, boot.saturating_sub(self.boot))
    }
}

/// A jump of the clock that is not trusted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockJump {
    /// Time by which the clock is ahead of the trusted time.
    pub(super) ahead: Duration,
}

/// The clock for the age of data.
#[derive(Debug, Default)]
pub(super) struct AgeClock {
    /// The newest trusted time: that of the newest entry in the file, and later that of the last pruning.
    trusted: Option<ClockPoint>,
    /// The time that the clock showed when the current jump was first seen; `None` if there is no jump.
    jump: Option<ClockPoint>,
}

impl AgeClock {
    /// Trusts the time of the newest entry in the file, unless a time is trusted already.
    pub(super) fn trust_newest_entry(&mut self, at: Timestamp, boot: Duration) {
        self.trusted.get_or_insert(ClockPoint { at, boot });
    }

    /// Returns the time from which ages are measured. `server` is the server's time, if it is known.
    ///
    /// # Errors
    /// The clock has jumped, and the jump is not trusted yet.
    pub(super) fn now(&mut self, now: Moment, server: Option<Timestamp>) -> Result<Timestamp, ClockJump> {
        let at = server.unwrap_or(now.wall);
        let current = ClockPoint { at, boot: now.boot };
        let ahead_of = |point: ClockPoint| {
            at.signed_duration_since(point.extrapolate_to(now.boot)).to_std().unwrap_or_default()
        };
        let ahead = self.trusted.map_or(Duration::ZERO, ahead_of);
        let is_confirmed = server.is_some_and(|server| is_near(server, now.wall));
        // promise: age-clock, mutant: ahead > MAX_JUMP -> false && ahead > MAX_JUMP
        if ahead > MAX_JUMP && !is_confirmed {
            let jump = self.jump.filter(|jump| is_near(jump.extrapolate_to(now.boot), at)).unwrap_or(current);
            self.jump = Some(jump);
            if now.boot.saturating_sub(jump.boot) < HOLD_TIME {
                return Err(ClockJump { ahead });
            }
        }
        (self.trusted, self.jump) = (Some(current), None);
        Ok(at)
    }
}

/// Returns true if two times are at most [`MAX_JUMP`] apart.
fn is_near(one: Timestamp, other: Timestamp) -> bool {
    one.signed_duration_since(other).abs() <= TimeDelta::from_std(MAX_JUMP).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepwatch_core::testing::{moment, time};

    const DAYS_60: Duration = Duration::from_secs(60 * 24 * 60 * 60);

    /// Returns the moment this many seconds after noon, on a machine whose wall clock is 60 days ahead.
    fn moment_ahead(seconds: i32) -> Moment {
        let correct = moment(seconds);
        Moment { wall: saturating_add(correct.wall, DAYS_60), ..correct }
    }

    fn clock_with_newest_entry() -> AgeClock {
        let mut clock = AgeClock::default();
        clock.trust_newest_entry(time("12:00:00"), Duration::ZERO);
        clock
    }

    #[test]
    fn jump_must_hold_for_an_hour() {
        let mut clock = clock_with_newest_entry();
        assert_eq!(clock.now(moment(10), None), Ok(moment(10).wall));
        // The jump is first seen 20 s after noon, so it has held for an hour 3620 s after noon.
        assert_eq!(clock.now(moment_ahead(20), None), Err(ClockJump { ahead: DAYS_60 }));
        assert!(clock.now(moment_ahead(3619), None).is_err());
        assert_eq!(clock.now(moment_ahead(3620), None), Ok(moment_ahead(3620).wall));
        assert_eq!(clock.now(moment_ahead(3621), None), Ok(moment_ahead(3621).wall));
    }

    #[test]
    fn corrected_clock_ends_jump() {
        let mut clock = clock_with_newest_entry();
        assert!(clock.now(moment_ahead(20), None).is_err());
        assert_eq!(clock.now(moment(25), None), Ok(moment(25).wall));
        assert!(clock.now(moment_ahead(3700), None).is_err(), "a new jump must hold for a new hour");
    }

    #[test]
    fn server_clock_overrides_wall_clock() {
        let mut clock = clock_with_newest_entry();
        assert_eq!(clock.now(moment_ahead(20), Some(moment(20).wall)), Ok(moment(20).wall));
    }

    #[test]
    fn agreeing_clocks_are_trusted_at_once() {
        let mut clock = clock_with_newest_entry();
        assert_eq!(clock.now(moment_ahead(20), Some(moment_ahead(21).wall)), Ok(moment_ahead(21).wall));
    }

    #[test]
    fn server_clock_jump_must_hold() {
        let mut clock = clock_with_newest_entry();
        assert!(clock.now(moment(20), Some(moment_ahead(20).wall)).is_err());
    }

    #[test]
    fn empty_file_trusts_any_clock() {
        assert!(AgeClock::default().now(moment_ahead(0), None).is_ok());
    }
}
