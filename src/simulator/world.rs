//! What the API knows at a moment: pure, from the scenario, the moment it began and the time since.
//!
//! What never changes of a session is written as JSON once; a list of 10,000 sessions only adds the moving fields.

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::offset::Offset;
use super::query::Filter;
use super::script::{Project, Script};
use super::session::{Ending, Replies, Session, Status};
use crate::clock::Timestamp;

/// `updatedAt` of a running session moves in such steps.
const HEARTBEAT_MICROS: i64 = 10_000_000;

/// All sessions of a scenario, and its project.
#[derive(Debug)]
pub struct World {
    start: Timestamp,
    project: Project,
    /// Newest first, as lists show them.
    residents: Vec<Resident>,
    /// Where each id stands in `residents`.
    places: HashMap<String, usize>,
}

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
struct Resident {
    plan: Session,
    id: String,
    created: Offset,
    expires: Offset,
    metadata: Value,
    connect_host: String,
    /// Its JSON up to the moving fields, without the closing brace.
    head: String,
}

impl World {
    /// The sessions of `script`, and `more` besides, as they are for a server that started at `start`.
    #[must_use]
    pub fn new(script: &Script, more: impl IntoIterator<Item = Session>, start: Timestamp) -> Self {
        let copies = script
            .sessions
            .iter()
            .flat_map(|session| (0..session.copies()).map(|number| session.copy(number)));
        let project = script.project.clone();
        let residents = copies
            .chain(more)
            .enumerate()
            .map(|(place, plan)| {
                let id = plan.id.clone().unwrap_or_else(|| uuid(&script.name, place));
                Resident::new(plan, id, &project, start)
            })
            .collect();
        let mut world = Self { start, project, residents, places: HashMap::new() };
        world.put_in_order();
        world
    }

    /// Adds `plan`, and says the id it got.
    pub fn add(&mut self, plan: Session) -> String {
        let id = plan.id.clone().unwrap_or_else(|| uuid("added", self.residents.len()));
        self.residents.retain(|resident| resident.id != id);
        self.residents.push(Resident::new(plan, id.clone(), &self.project, self.start));
        self.put_in_order();
        id
    }

    /// Changes what is planned for the session `id`; its id stays.
    /// False if there is none.
    pub fn alter(&mut self, id: &str, change: impl FnOnce(&mut Session)) -> bool {
        let Some(resident) = self.places.get(id).and_then(|place| self.residents.get_mut(*place)) else {
            return false;
        };
        let mut plan = resident.plan.clone();
        change(&mut plan);
        *resident = Resident::new(plan, id.to_owned(), &self.project, self.start);
        self.put_in_order();
        true
    }

    fn put_in_order(&mut self) {
        self.residents
            .sort_by(|one, other| other.created.cmp(&one.created).then_with(|| one.id.cmp(&other.id)));
        self.places =
            self.residents.iter().enumerate().map(|(place, resident)| (resident.id.clone(), place)).collect();
    }

    fn resident(&self, id: &str) -> Option<&Resident> {
        self.residents.get(*self.places.get(id)?)
    }

    /// Whether the session `id` is called `word`.
    #[must_use]
    pub fn is_called(&self, id: &str, word: &str) -> bool {
        id == word || self.resident(id).is_some_and(|resident| resident.plan.is_called(word))
    }

    /// What the session `id` is at `at`; `None` if the API does not know it.
    #[must_use]
    pub fn standing(&self, id: &str, at: Offset) -> Option<Standing> {
        self.resident(id)?.standing(at)
    }

    /// What `GET /v1/sessions/{id}` answers at `at`: the JSON, and the connect URL in it, if the session is alive.
    /// `signing_key` is the one that this reply carries.
    #[must_use]
    pub fn retrieve(&self, id: &str, at: Offset, signing_key: &str) -> Option<(String, Option<String>)> {
        let resident = self.resident(id)?;
        let standing = resident.standing(at)?;
        let mut body = String::with_capacity(resident.head.len() + 1024);
        resident.write(&mut body, &standing, self.start);
        let connect_url = (!matches!(standing.status, Status::Ended(_))).then(|| {
            let host = &resident.connect_host;
            let connect_url = format!("wss://{host}/?signingKey={signing_key}");
            body.pop();
            _ = write!(
                body,
                r#","connectUrl":{},"seleniumRemoteUrl":{},"signingKey":{}}}"#,
                json!(connect_url),
                json!(format!("http://{host}/webdriver")),
                json!(signing_key)
            );
            connect_url
        });
        Some((resident.said(body, at, Replies::Retrieve), connect_url))
    }

    /// What `GET /v1/sessions` answers at `at`.
    #[must_use]
    pub(super) fn list(&self, at: Offset, filter: &Filter) -> String {
        let mut body = String::with_capacity(self.residents.len() * 640 + 2);
        body.push('[');
        for resident in &self.residents {
            let Some(standing) = resident.standing(at) else { continue };
            if resident.plan.unlisted.iter().any(|window| window.has(at))
                || filter.metadata.as_ref().is_some_and(|field| !field.is_in(&resident.metadata))
            {
                continue;
            }
            let as_filtered = |status: &str| filter.status.is_none_or(|wanted| wanted.word() == status);
            if resident.plan.says.is_empty() {
                if as_filtered(standing.status.word()) {
                    resident.write(&mut body, &standing, self.start);
                    body.push(',');
                }
            } else {
                let mut truth = String::new();
                resident.write(&mut truth, &standing, self.start);
                let said = resident.said(truth, at, Replies::List);
                let status = serde_json::from_str::<Value>(&said).unwrap_or_default();
                if as_filtered(status.get("status").and_then(Value::as_str).unwrap_or_default()) {
                    body.push_str(&said);
                    body.push(',');
                }
            }
        }
        if body.ends_with(',') {
            body.pop();
        }
        body.push(']');
        body
    }

    /// What `GET /v1/projects/{id}` answers; `None` if the API does not know it.
    #[must_use]
    pub fn project(&self, id: &str) -> Option<Value> {
        (self.project.id == id).then(|| self.project_json())
    }

    /// What `GET /v1/projects` answers.
    #[must_use]
    pub fn projects(&self) -> Value {
        json!([self.project_json()])
    }

    fn project_json(&self) -> Value {
        let year = Offset::from_micros(-365 * 86_400_000_000);
        json!({
            "id": self.project.id,
            "name": self.project.name,
            "ownerId": uuid(&self.project.id, 0),
            "createdAt": time(year.date(self.start)),
            "updatedAt": time(year.date(self.start)),
            "defaultTimeout": self.project.default_timeout.0.as_secs(),
            "concurrency": self.project.concurrency,
        })
    }
}

impl Resident {
    fn new(plan: Session, id: String, project: &Project, start: Timestamp) -> Self {
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

    fn standing(&self, at: Offset) -> Option<Standing> {
        let plan = &self.plan;
        if at < plan.appears || plan.vanishes.is_some_and(|gone| gone <= at) {
            return None;
        }
        let end = match plan.ends {
            Some(end) if plan.overdue || end.at < self.expires => {
                let stated = (!end.omit_ended_at).then_some(end.ended_at.unwrap_or(end.at));
                Some((end.at, end.status, stated))
            }
            _ if plan.overdue => None,
            _ => Some((self.expires, Ending::TimedOut, Some(self.expires))),
        };
        let starts = plan.starts.unwrap_or(self.created);
        let (status, updated, ended, alive_until) = match end {
            Some((end, ending, stated)) if end <= at => (Status::Ended(ending), end, stated, end),
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

    fn write(&self, body: &mut String, standing: &Standing, start: Timestamp) {
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
    fn said(&self, truth: String, at: Offset, on: Replies) -> String {
        let says: Vec<_> = self.plan.says.iter().filter(|say| say.holds(at, on)).collect();
        match serde_json::from_str::<Map<String, Value>>(&truth) {
            Ok(mut fields) if !says.is_empty() => {
                for say in says {
                    fields.extend(say.set.clone());
                    fields.retain(|name, _| !say.without.contains(name));
                }
                Value::from(fields).to_string()
            }
            _ => truth,
        }
    }
}

/// `at` as the API writes it: `2026-10-03T16:05:34.513867+00:00`.
fn time(at: Timestamp) -> String {
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
fn uuid(seed: &str, number: usize) -> String {
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

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
