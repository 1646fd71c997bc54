//! One session at a moment: its status, its bytes, its JSON.
//!
//! ```text
//!              appears          starts            ends, or created + timeout        vanishes
//!   unknown ──────┼──── PENDING ───┼──── RUNNING ────┼──── COMPLETED, ERROR, TIMED_OUT ──┼── unknown
//! ```

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Map, Value};

use super::offset::Offset;
use super::project::Project;
use super::session::{End, Ending, Replies, Session, Status};
use keepwatch_core::clock::Timestamp;

/// `updatedAt` of a running session moves in such steps.
const HEARTBEAT_MICROS: i64 = 10_000_000;

/// What a session is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its status.
    pub status: Status,
    /// What has passed its proxy.
    pub proxy_bytes: u64,
    /// Its `updatedAt`.
    pub updated: Offset,
    /// The `endedAt` that it states.
    pub ended: Option<Offset>,
}

/// A session with everything that its scenario left open decided.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) plan: Session,
    pub(super) id: String,
    pub(super) created: Offset,
    pub(super) expires: Offset,
    pub(super) metadata: Value,
    pub(super) connect_host: String,
    /// Its JSON up to the moving fields, without the closing brace: written once, so that a list of 10,000 sessions
    /// only adds those.
    head: String,
}

impl Resident {
    pub(super) fn new(plan: Session, id: String, project: &Project, start: Timestamp) -> Self {
        let created = plan.created.unwrap_or(plan.appears);
        let expires = created.plus(plan.timeout.unwrap_or(project.default_timeout).into());
        // The API's `createdAt` is another machine's reading than `startedAt`: by so much later, or earlier.
        let chance = i64::try_from(fnv(id.bytes()) % 10).unwrap_or(0);
        let recorded = created.plus(Offset::from_micros(if chance < 4 {
            1_213 * (chance + 1)
        } else {
            -43_117 * chance
        }));

        let date = |at: Offset| Value::from(time(at.date(start)));
        let mut fields = Map::new();
        fields.insert("id".into(), id.clone().into());
        fields.insert("createdAt".into(), date(recorded));
        fields.insert("projectId".into(), project.id.clone().into());
        fields.insert("startedAt".into(), date(created));
        fields.insert("expiresAt".into(), date(expires));
        fields.insert("keepAlive".into(), plan.keep_alive.into());
        if let Some(context) = &plan.context {
            fields.insert("contextId".into(), context.clone().into());
        }
        let metadata = plan.metadata.clone().map_or(Value::Null, Value::from); // null means absent
        let region = plan.region.as_deref().unwrap_or("us-west-2");
        fields.insert("region".into(), region.into());
        if !metadata.is_null() {
            fields.insert("userMetadata".into(), metadata.clone());
        }
        let connect_host = format!("connect.{}.browserbase.com", connect_region(region));
        let mut head = Value::from(fields).to_string();
        head.pop();
        Self { plan, id, created, expires, metadata, connect_host, head }
    }

    pub(super) fn standing(&self, at: Offset) -> Option<Standing> {
        let plan = &self.plan;
        if at < plan.appears || plan.vanishes.is_some_and(|gone| gone <= at) {
            return None;
        }
        let starts = self.starts();
        let (status, updated, ended, alive_until) = match self.end() {
            Some(end) if end.at <= at => {
                let stated = (!end.omit_ended_at).then_some(end.ended_at.unwrap_or(end.at));
                (Status::Ended(end.status), end.at, stated, end.at)
            }
            _ if at < starts => (Status::Pending, self.created, None, at),
            _ => {
                let beats = at.minus(starts).micros().checked_div(HEARTBEAT_MICROS).unwrap_or(0);
                let last = starts.plus(Offset::from_micros(beats.saturating_mul(HEARTBEAT_MICROS)));
                (Status::Running, last, None, at)
            }
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates; never negative"
        )]
        let proxy_bytes = plan.proxy.iter().map(|traffic| traffic.bytes_at(alive_until)).sum::<f64>() as u64;
        Some(Standing { status, proxy_bytes, updated, ended })
    }

    /// How it ends, as things stand.
    pub(super) fn end(&self) -> Option<End> {
        match self.plan.ends {
            Some(end) if self.plan.overdue || end.at < self.expires => Some(end),
            _ if self.plan.overdue => None,
            _ => Some(End::new(self.expires, Ending::TimedOut)),
        }
    }

    /// When it turns from PENDING to RUNNING, if it lives so long.
    pub(super) fn starts(&self) -> Offset {
        self.plan.starts.unwrap_or(self.created)
    }

    pub(super) fn write(&self, body: &mut String, standing: &Standing, start: Timestamp) {
        let updated = time(standing.updated.date(start));
        let Standing { status, proxy_bytes, ended, .. } = standing;
        body.push_str(&self.head);
        _ = write!(
            body,
            r#","updatedAt":"{updated}","status":"{}","proxyBytes":{proxy_bytes}"#,
            status.word()
        );
        if let Some(ended) = ended {
            _ = write!(body, r#","endedAt":"{}""#, time(ended.date(start)));
        }
        body.push('}');
    }

    /// `truth`, with what the scenario has replies of the kind `on` say instead.
    pub(super) fn said(&self, truth: String, at: Offset, on: Replies) -> String {
        let says: Vec<_> = self.plan.says.iter().filter(|say| say.holds(at, on)).collect();
        if says.is_empty() {
            return truth;
        }
        let mut fields: Map<String, Value> = serde_json::from_str(&truth).unwrap_or_default();
        for say in says {
            fields.extend(say.set.clone());
            fields.retain(|name, _| !say.without.contains(name));
        }
        Value::from(fields).to_string()
    }
}

/// `at` as the API writes it: `2026-10-03T16:05:34.513867+00:00`.
pub(super) fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// The region's part of a connect URL's host: `usw2` for `us-west-2`.
fn connect_region(region: &str) -> String {
    let mut words = region.split('-');
    let first = words.next().unwrap_or_default();
    let rest = words.map(|word| match word {
        "southeast" => "se",
        word => word.get(..1).unwrap_or_default(),
    });
    std::iter::once(first)
        .chain(rest)
        .filter(|part| part.chars().all(|c| c.is_ascii_alphanumeric()))
        .collect()
}

/// A version 4 UUID that is always the same for the same arguments.
pub(super) fn uuid(seed: &str, number: usize) -> String {
    let mut chance = fastrand::Rng::with_seed(fnv(seed.bytes().chain(number.to_le_bytes())));
    let hex = format!("{:032x}", chance.u128(..));
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// The FNV-1a hash: the same in every version of Rust, as the standard library's need not be.
fn fnv(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
