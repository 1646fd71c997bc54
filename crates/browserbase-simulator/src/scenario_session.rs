//! One session of a scenario, as written in the file: its fields, its times and its end.
//!
//! The module owns the parsed form. [`scenario`](super::scenario) documents the fields and their defaults for authors.
//! `sim_session` applies the defaults and computes the session's state at an offset.
//!
//! A *browser client* is a program that controls the session's browser, not a client of the API.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::fault::RESERVED_NAMES;
use super::repeat::Repeat;
use super::scenario_time::{HumanDuration, Offset};

/// A session's status, as the API documents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimStatus {
    /// Created, not started yet.
    Pending,
    /// Started, not ended yet.
    Running,
    /// Ended.
    Ended(FinalStatus),
}

/// The status of a session that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FinalStatus {
    /// An orderly end, whatever its cause.
    #[default]
    Completed,
    /// A failure.
    Error,
    /// An end at the timeout.
    TimedOut,
}

impl SimStatus {
    /// Every status that the API documents.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Ended(FinalStatus::Error),
        Self::Ended(FinalStatus::TimedOut),
        Self::Ended(FinalStatus::Completed),
    ];

    /// Returns the API's name of the status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Ended(FinalStatus::Error) => "ERROR",
            Self::Ended(FinalStatus::TimedOut) => "TIMED_OUT",
            Self::Ended(FinalStatus::Completed) => "COMPLETED",
        }
    }
}

/// A session as written in a scenario. [`scenario`](super::scenario) documents its fields and their defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScenarioSession {
    /// The name of the session and all its copies, for faults and expectations.
    #[serde(deserialize_with = "deserialize_unreserved_name")]
    pub name: Option<String>,
    /// The session's id in the API.
    pub id: Option<String>,
    /// The offset from which the API knows the session. Before this offset, the API answers 404.
    pub appears: Offset,
    /// The session's `startedAt`, from which the timeout counts. `createdAt` differs by up to 0.4 s. `None` means
    /// `appears`.
    pub created: Option<Offset>,
    /// The offset at which PENDING turns into RUNNING. `None` means `created`.
    pub starts: Option<Offset>,
    /// The time from `created` to the expiry. `None` means the project's default timeout.
    pub timeout: Option<HumanDuration>,
    /// True if the session survives the disconnect of its browser client.
    pub keep_alive: bool,
    /// The session's region. Any text, so that a scenario can have unknown regions.
    pub region: Option<String>,
    /// The id of the session's context.
    pub context: Option<String>,
    /// The session's `userMetadata`.
    pub metadata: Option<Map<String, Value>>,
    /// Traffic through the session's proxy.
    pub proxy: Vec<ProxyTraffic>,
    /// The end of the session, if it does not end at its expiry.
    pub ends: Option<ScenarioEnd>,
    /// True if the session does not end at its expiry.
    pub overdue: bool,
    /// The offset from which the API answers 404.
    pub vanishes: Option<Offset>,
    /// The windows in which no list contains the session.
    pub unlisted: Vec<Window>,
    /// Changes of fields in responses.
    #[serde(rename = "says")]
    pub overrides: Vec<FieldOverride>,
    /// The copies of the session. `None` means that there is only the session itself.
    pub repeat: Option<Repeat>,
}

/// A span of the timeline that includes its start and excludes its end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// The start, included.
    pub from: Offset,
    /// The end, excluded.
    pub to: Offset,
}

impl Default for Window {
    fn default() -> Self {
        Self { from: Offset::START, to: Offset::NEVER }
    }
}

impl Window {
    /// Returns true if the window includes `at`.
    #[must_use]
    pub fn contains(self, at: Offset) -> bool {
        self.from <= at && at < self.to
    }

    /// Returns the same window, `delay` later.
    #[must_use]
    pub fn shifted_by(self, delay: Offset) -> Self {
        Self { from: self.from.plus(delay), to: self.to.plus(delay) }
    }
}

/// Traffic through a session's proxy.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyTraffic {
    /// The start of the traffic.
    #[serde(default)]
    pub from: Offset,
    /// The end of the traffic, which ends with the session at the latest.
    #[serde(default = "never")]
    pub to: Offset,
    /// The average rate.
    pub bytes_per_second: u32,
    /// The period in which the rate rises from zero to twice the average and falls back to zero. `None` means a steady
    /// rate.
    #[serde(rename = "wave")]
    pub wave_period: Option<HumanDuration>,
}

impl ProxyTraffic {
    /// Returns the total bytes up to `at`.
    #[must_use]
    pub fn bytes_at(&self, at: Offset) -> f64 {
        let seconds = at.min(self.to).minus(self.from).as_secs_f64().max(0.0);
        // With a wave, the rate is the average times `1 - cos(radians)`. The bytes are the integral of the rate over
        // time: the average times `seconds - sin(radians) / radians_per_second`.
        let sine_seconds = match self.wave_period {
            Some(period) if !period.0.is_zero() => {
                let radians_per_second = std::f64::consts::TAU / period.0.as_secs_f64();
                (radians_per_second * seconds).sin() / radians_per_second
            }
            _ => 0.0,
        };
        f64::from(self.bytes_per_second) * (seconds - sine_seconds)
    }
}

/// An end of a session that does not end at its expiry.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioEnd {
    /// The offset of the end, from which responses have `status`.
    pub at: Offset,
    /// The status after the end.
    #[serde(default)]
    pub status: FinalStatus,
    /// The `endedAt` in responses, if it differs from `at`.
    pub ended_at: Option<Offset>,
    /// True if responses lack `endedAt`.
    #[serde(default)]
    pub omit_ended_at: bool,
    /// The cause of the end, if the scenario gives one. It appears only in the ground truth, never in a response.
    #[serde(rename = "cause")]
    pub explicit_cause: Option<EndCause>,
}

/// The cause of an end. The API never reveals it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The session reached its timeout.
    Timeout,
    /// The session failed.
    Failure,
    /// A program released the session through the API of this server.
    Released,
    /// Another program that has the API key released the session, without a request to this server.
    ReleasedElsewhere,
    /// The browser client disconnected or closed the browser.
    Client,
    /// No browser client ever connected.
    Unused,
    /// The platform ended the session.
    Platform,
    /// The scenario gives no cause.
    #[default]
    #[serde(rename = "unsaid")]
    Unspecified,
}

impl ScenarioEnd {
    /// Returns an end that responses report truthfully.
    #[must_use]
    pub fn new(at: Offset, status: FinalStatus) -> Self {
        Self { at, status, ended_at: None, omit_ended_at: false, explicit_cause: None }
    }

    /// Returns the same end with this cause.
    #[must_use]
    pub fn with_cause(self, cause: EndCause) -> Self {
        Self { explicit_cause: Some(cause), ..self }
    }

    /// Returns the explicit cause, or the default for the status if there is no explicit cause.
    #[must_use]
    pub fn cause(&self) -> EndCause {
        self.explicit_cause.unwrap_or(match self.status {
            FinalStatus::TimedOut => EndCause::Timeout,
            FinalStatus::Error => EndCause::Failure,
            FinalStatus::Completed => EndCause::Unspecified,
        })
    }
}

impl EndCause {
    /// Returns the cause's name in the ground truth.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Failure => "failure",
            Self::Released => "released",
            Self::ReleasedElsewhere => "released_elsewhere",
            Self::Client => "client",
            Self::Unused => "unused",
            Self::Platform => "platform",
            Self::Unspecified => "unsaid",
        }
    }
}

/// A change of fields in responses about a session, during a window.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldOverride {
    /// The start of the window, included.
    pub from: Offset,
    /// The end of the window, excluded. `None` means that it never ends.
    pub to: Option<Offset>,
    /// The responses to change.
    #[serde(rename = "on")]
    pub scope: OverrideScope,
    /// Fields to replace or add: any name, any value.
    pub set: Map<String, Value>,
    /// Fields to remove.
    #[serde(rename = "without")]
    pub omit: Vec<String>,
}

impl FieldOverride {
    fn window(&self) -> Window {
        Window { from: self.from, to: self.to.unwrap_or(Offset::NEVER) }
    }

    /// Returns true if the override applies at `at` to responses of the kind `scope`.
    #[must_use]
    pub fn applies_at(&self, at: Offset, scope: OverrideScope) -> bool {
        self.window().contains(at) && (self.scope == OverrideScope::All || self.scope == scope)
    }
}

/// The responses that a [`FieldOverride`] changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverrideScope {
    /// The responses to both requests below.
    #[default]
    All,
    /// `GET /v1/sessions`.
    List,
    /// `GET /v1/sessions/{id}`.
    Retrieve,
}

impl ScenarioSession {
    /// Returns true if `name_or_id` is the session's name or id.
    #[must_use]
    pub fn has_name_or_id(&self, name_or_id: &str) -> bool {
        self.name.as_deref() == Some(name_or_id) || self.id.as_deref() == Some(name_or_id)
    }
}

fn never() -> Offset {
    Offset::NEVER
}

/// Deserialises a session's name. Rejects the words that mean a kind of request in a fault's `on`.
fn deserialize_unreserved_name<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    if RESERVED_NAMES.contains(&name.as_str()) {
        let message = format!("“{name}” means requests, and cannot be a session's name");
        return Err(serde::de::Error::custom(message));
    }
    Ok(Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Offset {
        Offset::from_micros(seconds * 1_000_000)
    }

    fn traffic(from: i64, to: i64, wave_seconds: Option<u64>) -> ProxyTraffic {
        let wave_period = wave_seconds.map(|seconds| HumanDuration(std::time::Duration::from_secs(seconds)));
        ProxyTraffic { from: seconds(from), to: seconds(to), bytes_per_second: 1000, wave_period }
    }

    #[test]
    fn proxy_bytes_follow_rate_and_window() {
        // At these times the wave has finished whole periods, so it has the same total as the steady rate.
        for (at, bytes) in [(-11, 0.0), (-10, 0.0), (0, 10_000.0), (10, 20_000.0), (99, 40_000.0)] {
            for wave_seconds in [None, Some(10)] {
                let traffic = traffic(-10, 30, wave_seconds);
                assert!(
                    (traffic.bytes_at(seconds(at)) - bytes).abs() < 0.01,
                    "wave of {wave_seconds:?} at {at} s"
                );
            }
        }
    }

    #[test]
    fn proxy_bytes_never_decrease() {
        let traffic = traffic(0, 100, Some(7));
        let bytes: Vec<_> =
            (0..2000).map(|tenth| traffic.bytes_at(Offset::from_micros(tenth * 100_000))).collect();
        assert!(bytes.windows(2).all(|pair| pair[0] <= pair[1] + 1e-6));
    }
}
