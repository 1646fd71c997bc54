//! One session of a scenario, as written: what it is, and what becomes of it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::fault::RESERVED_NAMES;
use super::repeat::Repeat;
use super::scenario_time::{HumanDuration, Offset};

/// What the API says of a session, in the contract's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimStatus {
    /// Created, not started yet.
    Pending,
    /// Alive.
    Running,
    /// Over.
    Ended(FinalStatus),
}

/// The ways in which a session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FinalStatus {
    /// Orderly, for whatever cause.
    #[default]
    Completed,
    /// It failed.
    Error,
    /// It ran into its timeout.
    TimedOut,
}

impl SimStatus {
    /// Every status that the contract knows.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Ended(FinalStatus::Error),
        Self::Ended(FinalStatus::TimedOut),
        Self::Ended(FinalStatus::Completed),
    ];

    /// The contract's word for it.
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

/// A session as written. The module `script` says what each field means and what it is if left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScenarioSession {
    /// What faults call it, and all its copies.
    #[serde(deserialize_with = "unreserved_name")]
    pub name: Option<String>,
    /// Its id in the API.
    pub id: Option<String>,
    /// When the API first knows it.
    pub appears: Offset,
    /// Its `createdAt` and `startedAt`, and what the timeout is counted from.
    pub created: Option<Offset>,
    /// When it turns from PENDING to RUNNING.
    pub starts: Option<Offset>,
    /// From its creation to its expiry.
    pub timeout: Option<HumanDuration>,
    /// Whether it outlives its last client.
    pub keep_alive: bool,
    /// Where it runs. Any word, so that unknown regions can be shown too.
    pub region: Option<String>,
    /// Its context's id.
    pub context: Option<String>,
    /// Its `userMetadata`.
    pub metadata: Option<Map<String, Value>>,
    /// What goes through its proxy.
    pub proxy: Vec<ProxyTraffic>,
    /// How it ends, if not by its timeout.
    pub ends: Option<ScenarioEnd>,
    /// Whether it goes on after its expiry.
    pub overdue: bool,
    /// When the API forgets it.
    pub vanishes: Option<Offset>,
    /// While it is in no list.
    pub unlisted: Vec<Window>,
    /// What replies say of it that is not so.
    #[serde(rename = "says")]
    pub overrides: Vec<FieldOverride>,
    /// How often it comes again.
    pub repeat: Option<Repeat>,
}

/// From a point on the timeline until just before another.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// Its first moment.
    pub from: Offset,
    /// The first moment after it.
    pub to: Offset,
}

impl Default for Window {
    fn default() -> Self {
        Self { from: Offset::START, to: Offset::NEVER }
    }
}

impl Window {
    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(self, at: Offset) -> bool {
        self.from <= at && at < self.to
    }

    /// The same, `by` later.
    #[must_use]
    pub fn shifted_by(self, by: Offset) -> Self {
        Self { from: self.from.plus(by), to: self.to.plus(by) }
    }
}

/// Bytes through a proxy.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyTraffic {
    /// When it begins.
    #[serde(default)]
    pub from: Offset,
    /// When it is over; with the session at the latest.
    #[serde(default = "never")]
    pub to: Offset,
    /// How much, on average.
    pub bytes_per_second: u32,
    /// If given: the rate swings between nothing and twice the average, once in this time.
    pub wave: Option<HumanDuration>,
}

impl ProxyTraffic {
    /// The bytes that have passed at `at`.
    #[must_use]
    pub fn bytes_at(&self, at: Offset) -> f64 {
        let seconds = at.min(self.to).minus(self.from).as_secs_f64().max(0.0);
        let swing = match self.wave {
            Some(wave) if !wave.0.is_zero() => {
                let turns_per_second = std::f64::consts::TAU / wave.0.as_secs_f64();
                (turns_per_second * seconds).sin() / turns_per_second
            }
            _ => 0.0,
        };
        f64::from(self.bytes_per_second) * (seconds - swing)
    }
}

/// The end of a session before its timeout.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioEnd {
    /// When replies first say so.
    pub at: Offset,
    /// What they say.
    #[serde(default)]
    pub status: FinalStatus,
    /// The `endedAt` that they state, if it is not `at`.
    pub ended_at: Option<Offset>,
    /// Whether they leave `endedAt` out.
    #[serde(default)]
    pub omit_ended_at: bool,
    /// Why it ends. No reply says so; the record of the truth does.
    pub cause: Option<EndCause>,
}

/// What is behind an end. The API tells nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Its timeout was over.
    Timeout,
    /// It failed.
    Failure,
    /// Its release was asked of this server.
    Released,
    /// Its release was asked for by somebody else.
    ReleasedElsewhere,
    /// Its client left, or closed the browser.
    Client,
    /// Nobody ever connected.
    Unused,
    /// The platform ended it.
    Platform,
    /// The scenario does not say.
    #[default]
    #[serde(rename = "unsaid")]
    Unspecified,
}

impl ScenarioEnd {
    /// An end that replies tell as it is.
    #[must_use]
    pub fn new(at: Offset, status: FinalStatus) -> Self {
        Self { at, status, ended_at: None, omit_ended_at: false, cause: None }
    }

    /// The same, for this reason.
    #[must_use]
    pub fn with_cause(self, cause: EndCause) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// Why it ends: as the scenario says, else what its status does.
    #[must_use]
    pub fn cause(&self) -> EndCause {
        self.cause.unwrap_or(match self.status {
            FinalStatus::TimedOut => EndCause::Timeout,
            FinalStatus::Error => EndCause::Failure,
            FinalStatus::Completed => EndCause::Unspecified,
        })
    }
}

impl EndCause {
    /// Its word in the record of the truth.
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

/// Fields that replies state otherwise than they are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldOverride {
    /// From when on.
    pub from: Offset,
    /// Until when; for good if left out.
    pub to: Option<Offset>,
    /// In which replies.
    #[serde(rename = "on")]
    pub scope: OverrideScope,
    /// Fields put in, or in place of what they were. Any name, any value.
    pub set: Map<String, Value>,
    /// Fields left out.
    #[serde(rename = "without")]
    pub omit: Vec<String>,
}

impl FieldOverride {
    fn window(&self) -> Window {
        Window { from: self.from, to: self.to.unwrap_or(Offset::NEVER) }
    }

    /// Whether it holds at `at` in replies of the kind `on`.
    #[must_use]
    pub fn applies_at(&self, at: Offset, scope: OverrideScope) -> bool {
        self.window().contains(at) && (self.scope == OverrideScope::All || self.scope == scope)
    }
}

/// Which replies show a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverrideScope {
    /// Both.
    #[default]
    All,
    /// `GET /v1/sessions`.
    List,
    /// `GET /v1/sessions/{id}`.
    Retrieve,
}

impl ScenarioSession {
    /// Whether `word` is its name or its id.
    #[must_use]
    pub fn has_name_or_id(&self, name_or_id: &str) -> bool {
        self.name.as_deref() == Some(name_or_id) || self.id.as_deref() == Some(name_or_id)
    }
}

fn never() -> Offset {
    Offset::NEVER
}

/// A name that cannot be mistaken for a kind of request.
fn unreserved_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
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

    fn traffic(from: i64, to: i64, wave: Option<u64>) -> ProxyTraffic {
        let wave = wave.map(|wave| HumanDuration(std::time::Duration::from_secs(wave)));
        ProxyTraffic { from: seconds(from), to: seconds(to), bytes_per_second: 1000, wave }
    }

    #[test]
    fn proxy_bytes_are_the_sum_of_the_rate_up_to_the_moment() {
        for (at, even, waving) in [
            (-11, 0.0, 0.0),
            (-10, 0.0, 0.0),
            (0, 10_000.0, 10_000.0),
            (10, 20_000.0, 20_000.0),
            (99, 40_000.0, 40_000.0),
        ] {
            assert!((traffic(-10, 30, None).bytes_at(seconds(at)) - even).abs() < 0.01, "even at {at}");
            assert!(
                (traffic(-10, 30, Some(10)).bytes_at(seconds(at)) - waving).abs() < 0.01,
                "waving at {at}"
            );
        }
    }

    #[test]
    fn waving_traffic_never_flows_back() {
        let traffic = traffic(0, 100, Some(7));
        let counted: Vec<_> =
            (0..2000).map(|tenth| traffic.bytes_at(Offset::from_micros(tenth * 100_000))).collect();
        assert!(counted.windows(2).all(|pair| pair[0] <= pair[1] + 1e-6));
    }
}
