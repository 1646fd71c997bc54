//! The thresholds that raise alerts, and the user's rules that give some sessions other thresholds.
//!
//! ```text
//!   [[alert]]  filter = "owner:nightly"  early = "never"      the first rule whose filter matches
//!   [[alert]]  filter = "region:us"      left = ["10m"]       decides all thresholds of the session
//!   --alert-left 5m,1m  --alert-early 1m  …                   the default: for a session that no rule matches,
//!                                                             and for a threshold that its rule does not set
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::early_limit::EarlyLimit;
use super::record::Record;
use crate::filter::{Filter, FilterError, FilterRow};

/// The thresholds of all sessions of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRules {
    /// The thresholds of sessions that no rule matches.
    #[serde(flatten)]
    pub default: AlertThresholds,
    /// The rules, in the order of the config file. The first rule that matches a session decides all thresholds of that
    /// session.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<AlertRule>,
    /// The profile's name, which the filters can match. Empty if there is only one profile.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    profile: String,
}

/// The thresholds of the sessions that match a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredRule", into = "StoredRule")]
pub struct AlertRule {
    filter: Filter,
    thresholds: AlertThresholds,
}

/// The form of an [`AlertRule`] in a recording.
#[derive(Serialize, Deserialize)]
struct StoredRule {
    filter: String,
    thresholds: AlertThresholds,
}

impl AlertRules {
    /// Creates rules. `rules` are in descending priority.
    #[must_use]
    pub fn new(default: AlertThresholds, rules: Vec<AlertRule>) -> Self {
        Self { default, rules, profile: String::new() }
    }

    /// Returns the same rules for a profile with this name.
    #[must_use]
    pub fn for_profile(&self, profile: &str) -> Self {
        Self { profile: profile.to_owned(), ..self.clone() }
    }

    /// Returns the number of the first rule that matches the session, if any.
    #[must_use]
    pub(super) fn matching(&self, record: &Record) -> Option<usize> {
        self.rules.iter().position(|rule| rule.filter.matches(&FilterRow(record, &self.profile)))
    }

    /// Returns the thresholds of the rule with this number, or the default thresholds if `rule` is `None`.
    #[must_use]
    pub(super) fn thresholds(&self, rule: Option<usize>) -> &AlertThresholds {
        rule.and_then(|rule| self.rules.get(rule)).map_or(&self.default, |rule| &rule.thresholds)
    }

    /// Returns the filter of the rule with this number.
    #[must_use]
    pub(super) fn filter(&self, rule: usize) -> Option<&str> {
        self.rules.get(rule).map(|rule| rule.filter.text())
    }
}

impl From<AlertThresholds> for AlertRules {
    fn from(default: AlertThresholds) -> Self {
        Self::new(default, Vec::new())
    }
}

impl AlertRule {
    /// Creates a rule.
    #[must_use]
    pub fn new(filter: Filter, thresholds: AlertThresholds) -> Self {
        Self { filter, thresholds }
    }
}

impl TryFrom<StoredRule> for AlertRule {
    type Error = FilterError;

    fn try_from(stored: StoredRule) -> Result<Self, FilterError> {
        // The filter was valid when it was stored; the field `profile` may occur in it.
        let filter = Filter::parse_for_profiles(&stored.filter, true)?;
        Ok(Self::new(filter, stored.thresholds))
    }
}

impl From<AlertRule> for StoredRule {
    fn from(rule: AlertRule) -> Self {
        Self { filter: rule.filter.text().to_owned(), thresholds: rule.thresholds }
    }
}

/// Thresholds for the alerts of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertThresholds {
    /// The thresholds of time left until the expiry, the longest first.
    #[serde(rename = "left")]
    time_left: Vec<Duration>,
    /// The threshold of time without proxy traffic, for a session that had traffic before.
    pub idle: Duration,
    /// The limit for early ends of keep-alive sessions.
    #[serde(default)]
    pub early: EarlyLimit,
    /// The threshold of time as `PENDING`.
    #[serde(default = "default_pending")]
    pub pending: Duration,
}

fn default_pending() -> Duration {
    Duration::from_secs(60)
}

impl AlertThresholds {
    /// Creates thresholds, with the default limits for early ends and for `PENDING`. `time_left` may be in any order.
    #[must_use]
    pub fn new(mut time_left: Vec<Duration>, idle: Duration) -> Self {
        time_left.sort_unstable_by(|one, other| other.cmp(one)); // the longest first
        time_left.dedup();
        Self { time_left, idle, early: EarlyLimit::default(), pending: default_pending() }
    }

    /// Returns thresholds that raise no alert about time left, idle time, early ends or `PENDING`.
    #[must_use]
    pub fn none() -> Self {
        let (time_left, idle) = (Vec::new(), Duration::MAX);
        Self { time_left, idle, early: EarlyLimit::Never, pending: Duration::MAX }
    }

    /// Returns the same thresholds with another limit for early ends.
    #[must_use]
    pub fn with_early(self, early: EarlyLimit) -> Self {
        Self { early, ..self }
    }

    /// Returns the same thresholds with another threshold for `PENDING`.
    #[must_use]
    pub fn with_pending(self, pending: Duration) -> Self {
        Self { pending, ..self }
    }

    /// Returns the thresholds of time left, the longest first.
    #[must_use]
    pub fn time_left(&self) -> &[Duration] {
        &self.time_left
    }

    /// Returns true if there are several thresholds of time left, and `left` is the shortest of them.
    #[must_use]
    pub fn is_shortest_of_several(&self, left: Duration) -> bool {
        matches!(self.time_left.as_slice(), [_, .., shortest] if *shortest == left)
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
    /// Returns the thresholds of 5 min and 1 min left, 10 min idle, and 1 min for early ends and for `PENDING`.
    fn default() -> Self {
        Self::new(vec![Duration::from_secs(300), Duration::from_secs(60)], Duration::from_secs(600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn no_thresholds_raise_no_alert() {
        let none = AlertThresholds::none();
        assert_eq!((none.reached(secs(0), None), none.next(secs(9999), None)), (None, None));
        assert_eq!(none.idle, Duration::MAX);
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

    #[test]
    fn rules_survive_a_recording() {
        let nightly = AlertThresholds { early: EarlyLimit::Never, ..AlertThresholds::default() };
        let filter = Filter::parse_for_profiles("owner:nightly profile:prod", true).unwrap();
        let rules = AlertRules::new(AlertThresholds::default(), vec![AlertRule::new(filter, nightly)]);
        let rules = rules.for_profile("prod");
        let json = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<AlertRules>(&json).unwrap(), rules);
    }

    #[test]
    fn thresholds_of_old_recording_have_defaults() {
        let json = r#"{"left":[{"secs":60,"nanos":0}],"idle":{"secs":600,"nanos":0}}"#;
        let rules: AlertRules = serde_json::from_str(json).unwrap();
        assert_eq!(rules, AlertThresholds::new(vec![secs(60)], secs(600)).into());
    }
}
