//! The user's limits for polling.

use std::time::Duration;

/// The rate of polling, per profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollLimits {
    /// The time from one round of polls to the next.
    pub interval: Duration,
    /// The maximum number of polls per second, over all sessions.
    pub max_rps: u32,
}

impl Default for PollLimits {
    /// The defaults of `--interval` and `--max-rps`.
    fn default() -> Self {
        Self { interval: Duration::from_secs(3), max_rps: 4 }
    }
}
