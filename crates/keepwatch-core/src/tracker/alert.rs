//! What a session is flagged for (⚑): that which a reader who looks away must not miss.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::text;

/// A reason to look at a session. The names by strum are part of the schema of `keepwatch events`: a variant that is renamed
/// keeps its name there.
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
    /// This much of its time is left: one of those of [`AlertThresholds`].
    #[strum(serialize = "time_left")]
    TimeLeft(Duration),
    /// With keep-alive on it ended, and not by its timeout.
    EndedEarly,
    /// It ended as `ERROR`.
    Error,
    /// A reply that was sent after its expiry says that it lives.
    Overdue,
    /// It still runs this long after its release was asked for from here.
    StillRunning(Duration),
    /// Its release was asked for from here, and the API did not take it.
    ReleaseFailed,
    /// No bytes went through its proxy for at least this long, on a session whose bytes had moved.
    Idle(Duration),
}

impl Alert {
    /// Its name in `keepwatch events`: part of the schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// One sentence.
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
            Self::Idle(for_) => format!("no bytes through its proxy for {}", text::format_duration(for_)),
        }
    }

    /// Whether it can only be true of a session that lives.
    #[must_use]
    pub fn applies_while_running(self) -> bool {
        matches!(
            self,
            Self::TimeLeft(_) | Self::Overdue | Self::Idle(_) | Self::StillRunning(_) | Self::ReleaseFailed
        )
    }
}

/// When a living session is flagged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertThresholds {
    /// With so much of its time left; the longest first.
    left: Vec<Duration>,
    /// After so long without a byte through its proxy, if there were bytes before.
    pub idle: Duration,
}

impl AlertThresholds {
    /// Of these times left, in any order.
    #[must_use]
    pub fn new(mut left: Vec<Duration>, idle: Duration) -> Self {
        left.sort_unstable_by(|one, other| other.cmp(one));
        left.dedup();
        Self { left, idle }
    }

    /// Those of who looks at no flags: time alone never makes any.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new(), Duration::MAX)
    }

    /// The shortest that `left` has reached, for a session of this timeout: one that starts with less than a threshold
    /// is not flagged for it from its first second on.
    #[must_use]
    pub fn reached(&self, left: Duration, timeout: Option<Duration>) -> Option<Duration> {
        self.applicable(timeout).filter(|threshold| left <= *threshold).last()
    }

    /// The longest that `left` has not reached yet.
    #[must_use]
    pub fn next(&self, left: Duration, timeout: Option<Duration>) -> Option<Duration> {
        self.applicable(timeout).find(|threshold| *threshold < left)
    }

    fn applicable(&self, timeout: Option<Duration>) -> impl Iterator<Item = Duration> {
        self.left.iter().copied().filter(move |threshold| timeout.is_none_or(|timeout| *threshold < timeout))
    }
}

impl Default for AlertThresholds {
    /// 5 min and 1 min left, 10 min idle.
    fn default() -> Self {
        Self::new(vec![Duration::from_secs(300), Duration::from_secs(60)], Duration::from_secs(600))
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantNames as _;

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn flag_names_are_those_of_the_schema() {
        let names =
            ["time_left", "ended_early", "error", "overdue", "still_running", "release_failed", "idle"];
        assert_eq!(Alert::VARIANTS, names);
    }

    #[test]
    fn who_looks_at_no_flags_has_none_by_time_alone() {
        let none = AlertThresholds::none();
        assert_eq!((none.reached(S(0), None), none.next(S(9999), None)), (None, None));
        assert_eq!(none.idle, Duration::MAX);
    }

    #[test]
    fn what_only_the_living_can_be_flagged_for_is_told_from_ends() {
        for flag in [
            Alert::TimeLeft(S(60)),
            Alert::Overdue,
            Alert::Idle(S(600)),
            Alert::StillRunning(S(30)),
            Alert::ReleaseFailed,
        ] {
            assert!(flag.applies_while_running(), "{flag:?}");
        }
        assert!(!Alert::EndedEarly.applies_while_running() && !Alert::Error.applies_while_running());
    }

    #[test]
    fn the_shortest_threshold_that_is_reached_counts_and_the_next_is_the_longest_that_is_not() {
        let warn = AlertThresholds::new(vec![S(60), S(300), S(60)], S(600));
        let quarter = Some(S(900));
        for (left, reached, next) in [
            (301, None, Some(300)),
            (300, Some(300), Some(60)),
            (61, Some(300), Some(60)),
            (60, Some(60), None),
            (0, Some(60), None),
        ] {
            assert_eq!(
                (warn.reached(S(left), quarter), warn.next(S(left), quarter)),
                (reached.map(S), next.map(S)),
                "{left} s left"
            );
        }
    }

    #[test]
    fn a_session_is_not_flagged_from_birth_for_a_timeout_that_is_short() {
        let warn = AlertThresholds::default();
        assert_eq!(warn.reached(S(299), Some(S(300))), None);
        assert_eq!(warn.reached(S(59), Some(S(300))), Some(S(60)));
        assert_eq!(warn.reached(S(299), None), Some(S(300)), "of an unknown timeout nothing is assumed");
    }
}
