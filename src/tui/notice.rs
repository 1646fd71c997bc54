//! Notices: one-line messages to the user. The footer shows a notice for a few seconds instead of its hints.

use std::time::Duration;

use keepwatch_core::clock::Moment;

/// The time for which a notice other than an error is shown.
const NOTICE_DURATION: Duration = Duration::from_secs(5);
/// The time for which an error notice is shown.
const ERROR_NOTICE_DURATION: Duration = Duration::from_secs(10);

/// A one-line message to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The text.
    pub text: String,
    /// The kind of notice.
    pub level: NoticeLevel,
    /// The time at which the notice is hidden, as time since boot.
    pub expires_at: Duration,
}

/// The kind of a notice, which decides its glyph, colour and duration.
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
    /// Creates a notice that is shown from `now` on. The clock of `now` runs `clock_speed` times as fast as real time.
    #[must_use]
    pub fn new(now: Moment, level: NoticeLevel, text: String, clock_speed: u32) -> Self {
        let duration = if level == NoticeLevel::Error { ERROR_NOTICE_DURATION } else { NOTICE_DURATION };
        Self { text, level, expires_at: now.boot.saturating_add(duration.saturating_mul(clock_speed)) }
    }

    /// Returns true if it is time to hide the notice.
    #[must_use]
    pub fn is_expired(&self, now: Moment) -> bool {
        self.expires_at <= now.boot
    }
}
