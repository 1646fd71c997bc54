//! Alerts (⚑): reasons to look at a session, and the thresholds that raise them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// A reason to look at a session.
///
/// The strum names are part of the schema of `keepwatch events`, so a renamed variant keeps its strum name.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Alert {
    /// At most this much time is left until the session's expiry. The value is a threshold of [`AlertThresholds`].
    #[strum(serialize = "time_left")]
    TimeLeft(Duration),
    /// The session had keep-alive on, and ended long before its expiry.
    EndedEarly,
    /// The session ended as `ERROR`.
    Error,
    /// The session still runs, according to a response to a request sent after its expiry.
    Overdue,
    /// The session still runs this long after the user requested its release.
    StillRunning(Duration),
    /// The user requested the session's release. The request failed, and keepwatch gave up.
    ReleaseFailed,
    /// The session had proxy traffic before, and has had none for at least this long.
    Idle(Duration),
}

impl Alert {
    /// Returns the alert's name in `keepwatch events`, which is part of the schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the alert as one sentence.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::TimeLeft(left) => format!("{} or less left until it expires", text::format_duration(left)),
            Self::EndedEarly => "keep-alive session ended early".into(),
            Self::Error => "session ended in ERROR".into(),
            Self::Overdue => "session is overdue: the API says it lives past its expiry".into(),
            Self::StillRunning(after) => {
                format!("still running {} after the release", text::format_elapsed(after))
            }
            Self::ReleaseFailed => "its release failed".into(),
            Self::Idle(duration) => {
                format!("no bytes through its proxy for {}", text::format_duration(duration))
            }
        }
    }

    /// Returns true if only a session that has not ended can have this alert. The others are end alerts.
    #[must_use]
    pub fn applies_while_running(self) -> bool {
        matches!(
            self,
            Self::TimeLeft(_) | Self::Overdue | Self::Idle(_) | Self::StillRunning(_) | Self::ReleaseFailed
        )
    }
}

/// Thresholds for the alerts of a running session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertThresholds {
    /// Thresholds of time left until the expiry, the longest first.
    #[serde(rename = "left")]
    time_left: Vec<Duration>,
    /// Threshold of time without proxy traffic, for a session that had traffic before.
    pub idle: Duration,
}

impl AlertThresholds {
    /// Creates thresholds. `time_left` may be in any order.
    #[must_use]
    pub fn new(mut time_left: Vec<Duration>, idle: Duration) -> Self {
        time_left.sort_unstable_by(|one, other| other.cmp(one)); // the longest first
        time_left.dedup();
        Self { time_left, idle }
    }

    /// Returns thresholds that raise no alert about time left or idle time.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new(), Duration::MAX)
    }

    /// Returns the threshold that a session has reached: the shortest one that is at least `left`, the session's time
    /// left.
    ///
    /// Thresholds of `timeout` or more do not apply. Otherwise a short session would have an alert from its first
    /// second on.
    #[must_use]
    pub fn reached(&self, left: Duration, timeout: Option<Duration>) -> Option<Duration> {
        self.applicable(timeout).filter(|threshold| left <= *threshold).last()
    }

    /// Returns the longest threshold below `left`: the one that the session reaches next.
    #[must_use]
    pub fn next(&self, left: Duration, timeout: Option<Duration>) -> Option<Duration> {
        self.applicable(timeout).find(|threshold| *threshold < left)
    }

    /// Returns the thresholds that apply to a session with this timeout, the longest first.
    fn applicable(&self, timeout: Option<Duration>) -> impl Iterator<Item = Duration> {
        let thresholds = self.time_left.iter().copied();
        thresholds.filter(move |threshold| timeout.is_none_or(|timeout| *threshold < timeout))
    }
}

impl Default for AlertThresholds {
    /// Returns the thresholds of 5 min and 1 min left, and 10 min idle.
    fn default() -> Self {
        Self::new(vec![Duration::from_secs(300), Duration::from_secs(60)], Duration::from_secs(600))
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantNames as _;

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn alert_names_match_the_schema() {
        let names =
            ["time_left", "ended_early", "error", "overdue", "still_running", "release_failed", "idle"];
        assert_eq!(Alert::VARIANTS, names);
    }

    #[test]
    fn no_thresholds_raise_no_alert() {
        let none = AlertThresholds::none();
        assert_eq!((none.reached(secs(0), None), none.next(secs(9999), None)), (None, None));
        assert_eq!(none.idle, Duration::MAX);
    }

    #[test]
    fn running_alerts_differ_from_end_alerts() {
        for alert in [
            Alert::TimeLeft(secs(60)),
            Alert::Overdue,
            Alert::Idle(secs(600)),
            Alert::StillRunning(secs(30)),
            Alert::ReleaseFailed,
        ] {
            assert!(alert.applies_while_running(), "{alert:?}");
        }
        assert!(!Alert::EndedEarly.applies_while_running() && !Alert::Error.applies_while_running());
    }

    #[test]
    fn shortest_reached_threshold_counts() {
        let thresholds = AlertThresholds::new(vec![secs(60), secs(300), secs(60)], secs(600));
        let timeout = Some(secs(900)); // longer than each threshold, so all of them apply
        for (left, reached, next) in [
            (301, None, Some(300)),
            (300, Some(300), Some(60)),
            (61, Some(300), Some(60)),
            (60, Some(60), None),
            (0, Some(60), None),
        ] {
            assert_eq!(
                (thresholds.reached(secs(left), timeout), thresholds.next(secs(left), timeout)),
                (reached.map(secs), next.map(secs)),
                "{left} s left"
            );
        }
    }

    #[test]
    fn short_timeout_raises_no_alert_at_start() {
        let thresholds = AlertThresholds::default(); // 300 s and 60 s left
        assert_eq!(thresholds.reached(secs(299), Some(secs(300))), None);
        assert_eq!(thresholds.reached(secs(59), Some(secs(300))), Some(secs(60)));
        assert_eq!(
            thresholds.reached(secs(299), None),
            Some(secs(300)),
            "every threshold applies if the timeout is unknown"
        );
    }
}
