//! The user's limits for polling.

use std::time::Duration;

/// The poll interval and the maximum rate of polls. They apply to each profile on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollLimits {
    /// The time from one round of polls to the next.
    pub interval: Duration,
    /// The maximum number of polls per second, over all sessions of the profile.
    pub max_rps: u32,
}

impl Default for PollLimits {
    /// The defaults of `--interval` and `--max-rps`.
    fn default() -> Self {
        Self { interval: Duration::from_secs(3), max_rps: 4 }
    }
}
