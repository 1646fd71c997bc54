//! Alerts (⚑): reasons to look at a session.
//!
//! The documented, orderly end of a session raises no alert. `alert_rules` has the thresholds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert_rules::AlertThresholds;
use super::timeline::Seq;
use crate::clock::Timestamp;
use crate::text;

/// The time after which an incident that nobody acknowledged is dropped.
pub const MAX_INCIDENT_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

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
    /// The session had keep-alive on. It ended before its expiry, and its [`EarlyLimit`](super::EarlyLimit) counts that
    /// end as early.
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
    /// The session has been `PENDING` for this long.
    Pending(Duration),
    /// The session had keep-alive on and ended before its expiry, together with sessions of other owners. Perhaps one
    /// program released the sessions of another.
    EndedTogether,
}

/// An alert of a session, with the event that raised it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaisedAlert {
    /// The alert.
    pub alert: Alert,
    /// The number of the event in the timeline.
    pub seq: Seq,
    /// The time of the event, on the server's clock.
    pub at: Timestamp,
}

/// The urgency of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something may need attention soon. Yellow on the screen.
    Warning,
    /// Something is wrong, or will be very soon. Red on the screen.
    Critical,
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
            Self::EndedTogether => "keep-alive session ended together with sessions of other owners".into(),
            Self::Error => "session ended in ERROR".into(),
            Self::Overdue => "session is overdue: the API says it lives past its expiry".into(),
            Self::Pending(duration) => format!("still PENDING after {}", text::format_duration(duration)),
            Self::StillRunning(after) => {
                format!("still running {} after the release", text::format_elapsed(after))
            }
            Self::ReleaseFailed => "its release failed".into(),
            Self::Idle(duration) => {
                format!("no bytes through its proxy for {}", text::format_duration(duration))
            }
        }
    }

    /// Returns true for an incident: something happened. An incident stays until the user acknowledges it, for
    /// [`MAX_INCIDENT_AGE`] at most. The other alerts are conditions, which clear themselves once they no longer hold.
    #[must_use]
    pub fn is_incident(self) -> bool {
        matches!(self, Self::EndedEarly | Self::EndedTogether | Self::Error | Self::ReleaseFailed)
    }

    /// Returns true if only a session that has ended can have this alert.
    #[must_use]
    pub fn is_about_end(self) -> bool {
        matches!(self, Self::EndedEarly | Self::EndedTogether | Self::Error)
    }

    /// Returns true if the user's thresholds decide about this alert.
    #[must_use]
    pub fn depends_on_thresholds(self) -> bool {
        matches!(self, Self::TimeLeft(_) | Self::EndedEarly | Self::Idle(_) | Self::Pending(_))
    }

    /// Returns the urgency. Of several thresholds of time left, the shortest is critical.
    #[must_use]
    pub fn severity(self, thresholds: &AlertThresholds) -> Severity {
        match self {
            Self::EndedEarly | Self::Error | Self::Overdue | Self::ReleaseFailed => Severity::Critical,
            Self::TimeLeft(left) if thresholds.is_shortest_of_several(left) => Severity::Critical,
            // A bulk release would otherwise hide an `ERROR`.
            Self::TimeLeft(_)
            | Self::StillRunning(_)
            | Self::Idle(_)
            | Self::Pending(_)
            | Self::EndedTogether => Severity::Warning,
        }
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
        let names = [
            "time_left",
            "ended_early",
            "error",
            "overdue",
            "still_running",
            "release_failed",
            "idle",
            "pending",
            "ended_together",
        ];
        assert_eq!(Alert::VARIANTS, names);
    }

    #[test]
    fn alert_is_condition_or_incident() {
        let conditions = [
            Alert::TimeLeft(secs(60)),
            Alert::Overdue,
            Alert::Idle(secs(600)),
            Alert::StillRunning(secs(30)),
            Alert::Pending(secs(60)),
        ];
        assert!(conditions.iter().all(|alert| !alert.is_incident() && !alert.is_about_end()));
        let about_end = [Alert::EndedEarly, Alert::EndedTogether, Alert::Error];
        assert!(about_end.iter().all(|alert| alert.is_incident() && alert.is_about_end()));
        assert!(Alert::ReleaseFailed.is_incident() && !Alert::ReleaseFailed.is_about_end());
    }

    #[test]
    fn shortest_of_several_thresholds_is_critical() {
        let several = AlertThresholds::new(vec![secs(300), secs(60)], secs(600));
        let severity = |left, thresholds: &AlertThresholds| Alert::TimeLeft(secs(left)).severity(thresholds);
        assert_eq!(
            (severity(300, &several), severity(60, &several)),
            (Severity::Warning, Severity::Critical)
        );
        let one = AlertThresholds::new(vec![secs(60)], secs(600));
        assert_eq!(severity(60, &one), Severity::Warning, "a single threshold is only a warning");
    }
}
