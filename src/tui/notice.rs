//! A sentence to the user, shown for a few seconds in place of the key hints.

use std::time::Duration;

use keepwatch_core::clock::Moment;

/// How long a notice stays.
const NOTICE_DURATION: Duration = Duration::from_secs(5);
/// How long a notice of an error stays.
const ERROR_NOTICE_DURATION: Duration = Duration::from_secs(10);

/// A sentence to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sentence.
    pub text: String,
    /// How it is meant.
    pub level: NoticeLevel,
    /// The time at which it goes, on the clock since boot.
    pub until: Duration,
}

/// How a notice is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeLevel {
    /// Success.
    Success,
    /// Information.
    Info,
    /// An error.
    Error,
}

impl Notice {
    /// A notice from `now` on, on a clock that runs `speed` times as fast as real time.
    #[must_use]
    pub fn new(now: Moment, level: NoticeLevel, text: String, speed: u32) -> Self {
        let stay = if level == NoticeLevel::Error { ERROR_NOTICE_DURATION } else { NOTICE_DURATION };
        Self { text, level, until: now.boot.saturating_add(stay.saturating_mul(speed)) }
    }

    /// True if its time is over.
    #[must_use]
    pub fn is_expired(&self, now: Moment) -> bool {
        self.until <= now.boot
    }
}
