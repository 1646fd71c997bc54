//! The kind of an alert: the part of its identity that is the same in every run and every pane.

use std::fmt;
use std::time::Duration;

use strum::VariantNames as _;

use super::alert::Alert;

/// The kind of an alert. Together with the session it identifies the alert: a session has at most one alert of each kind
/// at a time, and a user acknowledges a session's alerts by their kinds.
///
/// Written as the alert's name. The threshold of time left is a part of it, as in `time_left_300`: a user who has seen
/// the alert of 5 minutes left has not seen that of 1 minute left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertKind {
    name: &'static str,
    /// The threshold of time left, in seconds.
    seconds_left: Option<u64>,
}

/// The name of [`Alert::TimeLeft`], and a separator before the threshold.
const TIME_LEFT_PREFIX: &str = "time_left_";

impl Alert {
    /// Returns the kind.
    #[must_use]
    pub fn kind(self) -> AlertKind {
        let seconds_left = if let Self::TimeLeft(left) = self { Some(left.as_secs()) } else { None };
        AlertKind { name: self.name(), seconds_left }
    }
}

impl AlertKind {
    /// Parses a kind that was written before. Returns `None` for the kind of an alert that this version does not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(seconds) = text.strip_prefix(TIME_LEFT_PREFIX) {
            return Some(Alert::TimeLeft(Duration::from_secs(seconds.parse().ok()?)).kind());
        }
        let time_left = Alert::TimeLeft(Duration::ZERO).name();
        let name = Alert::VARIANTS.iter().copied().find(|name| *name == text && *name != time_left)?;
        Some(Self { name, seconds_left: None })
    }
}

impl fmt::Display for AlertKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds_left {
            Some(seconds) => write!(f, "{TIME_LEFT_PREFIX}{seconds}"),
            None => f.write_str(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_is_parsed_as_written() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (alert, text) in [
            (Alert::Error, "error"),
            (Alert::EndedEarly, "ended_early"),
            (Alert::EndedTogether, "ended_together"),
            (Alert::ReleaseFailed, "release_failed"),
            (Alert::Overdue, "overdue"),
            (Alert::Idle(minutes(10)), "idle"),
            (Alert::Pending(minutes(1)), "pending"),
            (Alert::StillRunning(minutes(1)), "still_running"),
            (Alert::TimeLeft(minutes(5)), "time_left_300"),
        ] {
            assert_eq!(
                (alert.kind().to_string().as_str(), AlertKind::parse(text)),
                (text, Some(alert.kind()))
            );
        }
        for unknown in ["", "time_left", "time_left_", "time_left_5m", "ERROR", "error "] {
            assert_eq!(AlertKind::parse(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn each_threshold_of_time_left_has_its_own_kind() {
        let kind = |seconds| Alert::TimeLeft(Duration::from_secs(seconds)).kind();
        assert!(kind(300) != kind(60) && kind(60) == kind(60));
    }
}
