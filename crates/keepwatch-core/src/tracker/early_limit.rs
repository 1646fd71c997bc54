//! The running time below which the end of a keep-alive session is early, and so raises an alert.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// The limit that decides if an end of a keep-alive session before its expiry is early. Only an early end raises an
/// alert: a later end is probably a release, which is the documented way to end a keep-alive session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EarlyLimit {
    /// An end after less than this running time is early. If the running time is unknown, the end is not early.
    Below(Duration),
    /// Every end before the expiry is early.
    Always,
    /// No end is early.
    Never,
}

impl EarlyLimit {
    /// Returns true if an end before the expiry is early. `ran` is the running time, or an upper bound of it; `None` if
    /// it is unknown.
    #[must_use]
    pub fn is_early(self, ran: Option<Duration>) -> bool {
        match self {
            Self::Below(limit) => ran.is_some_and(|ran| ran < limit),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Default for EarlyLimit {
    /// Returns the limit of one minute.
    fn default() -> Self {
        Self::Below(Duration::from_secs(60))
    }
}

impl fmt::Display for EarlyLimit {
    /// Writes the limit as the option `--alert-early` takes it: a duration, `always` or `never`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(limit) => f.write_str(&text::format_duration(*limit)),
            Self::Always => f.write_str("always"),
            Self::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_needs_short_known_running_time() {
        let after = |seconds| Some(Duration::from_secs(seconds));
        let limit = EarlyLimit::default();
        assert_eq!(
            [after(0), after(59), after(60), None].map(|ran| limit.is_early(ran)),
            [true, true, false, false]
        );
        assert!(EarlyLimit::Always.is_early(None) && EarlyLimit::Always.is_early(after(99_999)));
        assert!(!EarlyLimit::Never.is_early(after(1)));
    }

    #[test]
    fn limit_is_shown_as_option() {
        let limits = [EarlyLimit::default(), EarlyLimit::Always, EarlyLimit::Never];
        assert_eq!(limits.map(|limit| limit.to_string()), ["1m", "always", "never"]);
    }
}
