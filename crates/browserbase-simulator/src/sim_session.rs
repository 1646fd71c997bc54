//! A session of the world: its status, proxy bytes and JSON at any offset.
//!
//! ```text
//!              appears          starts            ends, or created + timeout        vanishes
//!   unknown ──────┼──── PENDING ───┼──── RUNNING ────┼──── COMPLETED, ERROR, TIMED_OUT ──┼── unknown
//! ```
//!
//! The module is pure: it resolves the defaults of a [`ScenarioSession`] once and computes the rest from the offset.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Map, Value};

use super::project::SimProject;
use super::scenario_session::{FinalStatus, OverrideScope, ScenarioEnd, ScenarioSession, SimStatus};
use super::scenario_time::Offset;
use keepwatch_core::clock::Timestamp;

/// The interval at which `updatedAt` of a running session advances.
const HEARTBEAT_MICROS: i64 = 10_000_000;

/// The state of a session at one offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSnapshot {
    /// The status.
    pub status: SimStatus,
    /// The bytes that have passed through the session's proxy.
    pub proxy_bytes: u64,
    /// `updatedAt`.
    pub updated_at: Offset,
    /// `endedAt`, if responses contain it.
    pub ended_at: Option<Offset>,
}

/// A session whose defaults are resolved.
#[derive(Debug)]
pub(super) struct SimSession {
    pub(super) spec: ScenarioSession,
    pub(super) id: String,
    pub(super) created: Offset,
    pub(super) expires: Offset,
    pub(super) metadata: Value,
    pub(super) connect_host: String,
    /// The JSON of the fields that never change, without the closing brace. It is built once, so that a list of 10,000
    /// sessions formats only the other fields.
    json_prefix: String,
}

impl SimSession {
    pub(super) fn new(spec: ScenarioSession, id: String, project: &SimProject, start: Timestamp) -> Self {
        let created = spec.created.unwrap_or(spec.appears);
        let expires = created.plus(spec.timeout.unwrap_or(project.default_timeout).into());
        // In the API, `createdAt` and `startedAt` come from different machines. Here, `createdAt` is
        // up to 5 ms later than `startedAt` in four of ten sessions, and up to 0.4 s earlier in the others.
        let variant = i64::try_from(fnv1a(id.bytes()) % 10).unwrap_or(0); // 0 to 9, fixed for each id
        let stated_created = created.plus(Offset::from_micros(if variant < 4 {
            1_213 * (variant + 1)
        } else {
            -43_117 * variant
        }));

        let date = |at: Offset| Value::from(api_time(at.to_timestamp(start)));
        let mut fields = Map::new();
        fields.insert("id".into(), id.clone().into());
        fields.insert("createdAt".into(), date(stated_created));
        fields.insert("projectId".into(), project.id.clone().into());
        fields.insert("startedAt".into(), date(created));
        fields.insert("expiresAt".into(), date(expires));
        fields.insert("keepAlive".into(), spec.keep_alive.into());
        if let Some(context) = &spec.context {
            fields.insert("contextId".into(), context.clone().into());
        }
        let metadata = spec.metadata.clone().map_or(Value::Null, Value::from); // null means absent
        let region = spec.region.as_deref().unwrap_or("us-west-2");
        fields.insert("region".into(), region.into());
        if !metadata.is_null() {
            fields.insert("userMetadata".into(), metadata.clone());
        }
        let connect_host = format!("connect.{}.browserbase.com", region_code(region));
        let mut json_prefix = Value::from(fields).to_string();
        json_prefix.pop(); // the closing brace
        Self { spec, id, created, expires, metadata, connect_host, json_prefix }
    }

    /// Returns the state at `at`, or `None` if the API does not know the session then.
    pub(super) fn snapshot(&self, at: Offset) -> Option<SessionSnapshot> {
        let spec = &self.spec;
        if at < spec.appears || spec.vanishes.is_some_and(|vanishes_at| vanishes_at <= at) {
            return None;
        }
        let starts_at = self.starts_at();
        let (status, updated_at, ended_at, alive_until) = match self.effective_end() {
            Some(end) if end.at <= at => {
                let stated_end = (!end.omit_ended_at).then_some(end.ended_at.unwrap_or(end.at));
                (SimStatus::Ended(end.status), end.at, stated_end, end.at)
            }
            _ if at < starts_at => (SimStatus::Pending, self.created, None, at),
            _ => {
                let heartbeats = at.minus(starts_at).as_micros().checked_div(HEARTBEAT_MICROS).unwrap_or(0);
                let last_heartbeat =
                    starts_at.plus(Offset::from_micros(heartbeats.saturating_mul(HEARTBEAT_MICROS)));
                (SimStatus::Running, last_heartbeat, None, at)
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates, and the sum is never negative"
        )]
        let proxy_bytes = spec.proxy.iter().map(|traffic| traffic.bytes_at(alive_until)).sum::<f64>() as u64;
        Some(SessionSnapshot { status, proxy_bytes, updated_at, ended_at })
    }

    /// Returns the end that the session will have, or `None` if it never ends.
    pub(super) fn effective_end(&self) -> Option<ScenarioEnd> {
        match self.spec.ends {
            Some(end) if self.spec.overdue || end.at < self.expires => Some(end),
            _ if self.spec.overdue => None,
            _ => Some(ScenarioEnd::new(self.expires, FinalStatus::TimedOut)),
        }
    }

    /// Returns the offset at which the session turns from PENDING to RUNNING, unless it ends before.
    pub(super) fn starts_at(&self) -> Offset {
        self.spec.starts.unwrap_or(self.created)
    }

    /// Appends the session's JSON to `body`. It has no connect fields, and the overrides are not applied.
    pub(super) fn write_json(&self, body: &mut String, snapshot: &SessionSnapshot, start: Timestamp) {
        let updated = api_time(snapshot.updated_at.to_timestamp(start));
        let SessionSnapshot { status, proxy_bytes, ended_at, .. } = snapshot;
        body.push_str(&self.json_prefix);
        _ = write!(
            body,
            r#","updatedAt":"{updated}","status":"{}","proxyBytes":{proxy_bytes}"#,
            status.as_str()
        );
        if let Some(ended_at) = ended_at {
            _ = write!(body, r#","endedAt":"{}""#, api_time(ended_at.to_timestamp(start)));
        }
        body.push('}');
    }

    /// Returns `json`, changed by the overrides that apply at `at` to responses of the kind `scope`.
    pub(super) fn apply_overrides(&self, json: String, at: Offset, scope: OverrideScope) -> String {
        let overrides: Vec<_> = self
            .spec
            .overrides
            .iter()
            .filter(|field_override| field_override.applies_at(at, scope))
            .collect();
        if overrides.is_empty() {
            return json;
        }
        let mut fields: Map<String, Value> = serde_json::from_str(&json).unwrap_or_default();
        for field_override in overrides {
            fields.extend(field_override.set.clone());
            fields.retain(|name, _| !field_override.omit.contains(name));
        }
        Value::from(fields).to_string()
    }
}

/// Formats `at` as the API does: `2026-10-03T16:05:34.513867+00:00`.
pub(super) fn api_time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// Returns the region's part of a connect URL's host: `usw2` for `us-west-2`.
fn region_code(region: &str) -> String {
    let mut words = region.split('-');
    let first = words.next().unwrap_or_default();
    let rest = words.map(|word| match word {
        "southeast" => "se",
        word => word.get(..1).unwrap_or_default(),
    });
    // The region of a scenario can have characters that a host name cannot have.
    std::iter::once(first)
        .chain(rest)
        .filter(|part| part.chars().all(|c| c.is_ascii_alphanumeric()))
        .collect()
}

/// Returns a version 4 UUID that depends only on the arguments.
pub(super) fn stable_uuid(seed: &str, number: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(fnv1a(seed.bytes().chain(number.to_le_bytes())));
    let hex = format!("{:032x}", rng.u128(..));
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// Returns the FNV-1a hash. Unlike the standard library's hash, it is the same in every version of Rust.
fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
