//! Times of a scenario. An [`Offset`] is a point on the scenario's timeline, or the signed distance between two points.
//! A [`HumanDuration`] is a length of time.
//!
//! Both parse text such as `90s`, `1m 30s` or `40ms`. An offset may lie before the simulator's start (`-12m`).
//! Arithmetic saturates.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Deserialize;

use keepwatch_core::clock::Timestamp;

/// A point on the timeline, in microseconds since the simulator's start (negative before the start), or the signed
/// distance between two points. Microseconds are the resolution of the API's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Offset(i64);

/// A length of time, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct HumanDuration(pub Duration);

impl Offset {
    /// The simulator's start.
    pub const START: Self = Self(0);
    /// The latest offset. It stands for a time that never comes.
    pub const NEVER: Self = Self(i64::MAX);

    /// Returns the offset `elapsed` after the start.
    #[must_use]
    pub fn from_duration(elapsed: Duration) -> Self {
        Self(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }

    /// Returns the offset `micros` microseconds after the start, or before it if negative.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns the offset `delay` later. [`Offset::NEVER`] stays the same.
    #[must_use]
    pub fn plus(self, delay: Self) -> Self {
        if self == Self::NEVER { self } else { Self(self.0.saturating_add(delay.0)) }
    }

    /// Returns the time from `earlier` to this offset, which is negative if `earlier` is in fact later.
    #[must_use]
    pub fn minus(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time since the start, or zero for an offset before the start.
    #[must_use]
    pub fn to_duration(self) -> Duration {
        Duration::from_micros(u64::try_from(self.0).unwrap_or(0))
    }

    /// Returns the offset in microseconds.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the offset in seconds.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a scenario lasts for hours, a range in which an f64 is exact to the microsecond"
    )]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Returns the date and time at this offset, for a simulator that started at `start`.
    #[must_use]
    pub fn to_timestamp(self, start: Timestamp) -> Timestamp {
        let limit = if self.0 < 0 { Timestamp::MIN_UTC } else { Timestamp::MAX_UTC };
        start.checked_add_signed(TimeDelta::microseconds(self.0)).unwrap_or(limit)
    }
}

impl From<HumanDuration> for Offset {
    fn from(duration: HumanDuration) -> Self {
        Self::from_duration(duration.0)
    }
}

impl TryFrom<String> for Offset {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (sign, length) = match text.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, text.as_str()),
        };
        let length = humantime::parse_duration(length).map_err(|_| {
            format!("“{text}” is not a time: write 15s, 1m 30s, or -12m for before the start")
        })?;
        Ok(Self(sign * Self::from_duration(length).0))
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        humantime::parse_duration(&text)
            .map(Self)
            .map_err(|_| format!("“{text}” is not a length of time: write 40ms, 15s or 1m 30s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_parse_on_both_sides_of_start() {
        for (text, micros) in [
            ("0s", 0),
            ("15s", 15_000_000),
            ("9s 600ms", 9_600_000),
            ("-12m", -720_000_000),
            ("-400ms", -400_000),
        ] {
            assert_eq!(Offset::try_from(text.to_owned()), Ok(Offset(micros)), "{text}");
        }
    }

    #[test]
    fn invalid_offset_is_quoted_in_error() {
        for text in ["", "-", "12 parsecs", "--3s", "s"] {
            let message = Offset::try_from(text.to_owned()).unwrap_err();
            assert!(message.contains(&format!("“{text}”")), "{message}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        assert_eq!(Offset::NEVER.plus(Offset(-1)), Offset::NEVER);
        assert_eq!(Offset::from_duration(Duration::MAX).to_timestamp(start), Timestamp::MAX_UTC);
        assert_eq!(Offset(-i64::MAX).to_timestamp(start), Timestamp::MIN_UTC);
        assert_eq!(Offset(-2).minus(Offset::NEVER), Offset(i64::MIN));
    }
}
