//! What really happened to each session, and why: what the API tells nobody, so that whoever watches can be judged by it.
//! It follows from the plans as they stand; what a test alters afterwards is told as altered. Pure.
//!
//! `docs/simulator-truth.md` documents its lines, and a test holds them to it. Fields may be added; none is renamed, removed
//! or given another meaning.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::offset::Offset;
use super::resident::Resident;
use super::session::{Cause, Ending, Window};
use super::world::World;
use keepwatch_core::clock::Timestamp;

/// The version of the lines.
pub const VERSION: u32 = 1;

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// When.
    pub at: Offset,
    /// From when on a client could know: not before the API knows the session. Facts are in this order.
    pub known: Offset,
    /// The session.
    pub id: String,
    /// What.
    pub what: Happened,
}

/// What can happen to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The API knows it.
    Appeared {
        /// Its true `createdAt` and `startedAt`.
        created: Offset,
        /// Its true `expiresAt`.
        expires: Offset,
        /// Its true `keepAlive`.
        keep_alive: bool,
    },
    /// It turned from PENDING to RUNNING.
    Started,
    /// Until then no list has it, though it is there.
    Unlisted {
        /// The first moment after it.
        until: Offset,
    },
    /// Until then replies say of these fields what is not so.
    Odd {
        /// The first moment after it.
        until: Offset,
        /// The API's names of them.
        fields: Vec<String>,
    },
    /// It ended.
    Ended {
        /// As what.
        status: Ending,
        /// Why.
        cause: Cause,
        /// The `endedAt` that replies state; `None` if they leave it out.
        stated: Option<Offset>,
        /// What had passed its proxy.
        proxy_bytes: u64,
    },
    /// The API knows it no more.
    Vanished,
}

impl World {
    /// What happened within `span`, in the order in which it could be known.
    #[must_use]
    pub fn truth(&self, span: Window) -> Vec<Fact> {
        let facts = self.residents.iter().flat_map(Resident::facts);
        let mut facts: Vec<Fact> = facts.filter(|fact| span.has(fact.known)).collect();
        let place = |fact: &Fact| {
            let comes_later = !matches!(fact.what, Happened::Appeared { .. });
            (fact.known, comes_later, fact.at)
        };
        facts.sort_by(|one, other| place(one).cmp(&place(other)).then_with(|| one.id.cmp(&other.id)));
        facts
    }
}

impl Resident {
    fn facts(&self) -> Vec<Fact> {
        let plan = &self.plan;
        let fact = |at: Offset, what| Fact { at, known: at.max(plan.appears), id: self.id.clone(), what };
        let gone = plan.vanishes.unwrap_or(Offset::NEVER);
        let end = self.end();
        let mut facts = vec![fact(
            plan.appears,
            Happened::Appeared { created: self.created, expires: self.expires, keep_alive: plan.keep_alive },
        )];
        if end.is_none_or(|end| self.starts() < end.at) {
            facts.push(fact(self.starts(), Happened::Started));
        }
        facts.extend(plan.unlisted.iter().map(|it| fact(it.from, Happened::Unlisted { until: it.to })));
        facts.extend(plan.says.iter().map(|say| {
            let mut fields: Vec<String> = say.set.keys().chain(&say.without).cloned().collect();
            fields.sort_unstable();
            fact(say.from, Happened::Odd { until: say.to.unwrap_or(Offset::NEVER), fields })
        }));
        if let Some(end) = end {
            let stated = (!end.omit_ended_at).then_some(end.ended_at.unwrap_or(end.at));
            let standing = self.standing(end.at.max(plan.appears));
            let proxy_bytes = standing.map_or(0, |standing| standing.proxy_bytes);
            let what = Happened::Ended { status: end.status, cause: end.cause(), stated, proxy_bytes };
            facts.push(fact(end.at, what));
        }
        facts.retain(|fact| fact.at < gone);
        facts.extend(plan.vanishes.map(|at| fact(at, Happened::Vanished)));
        facts
    }
}

impl Fact {
    /// As a line of NDJSON, without the line feed, of a server whose clock showed `start` at the start.
    #[must_use]
    pub fn line(&self, start: Timestamp) -> String {
        let date = |at: Offset| match at {
            Offset::NEVER => Value::Null,
            at => at.date(start).to_rfc3339_opts(SecondsFormat::Millis, true).into(),
        };
        let (event, more) = match &self.what {
            Happened::Appeared { created, expires, keep_alive } => (
                "appeared",
                json!({ "created_at": date(*created), "expires_at": date(*expires), "keep_alive": keep_alive }),
            ),
            Happened::Started => ("started", json!({})),
            Happened::Unlisted { until } => ("unlisted", json!({ "until": date(*until) })),
            Happened::Odd { until, fields } => ("odd", json!({ "until": date(*until), "fields": fields })),
            Happened::Ended { status, cause, stated, proxy_bytes } => (
                "ended",
                json!({
                    "status": super::Status::Ended(*status).word(),
                    "cause": cause.word(),
                    "states_ended_at": stated.map(date),
                    "proxy_bytes": proxy_bytes,
                }),
            ),
            Happened::Vanished => ("vanished", json!({})),
        };
        let mut line = Map::new();
        line.insert("v".into(), VERSION.into());
        line.insert("at".into(), date(self.at));
        line.insert("session".into(), self.id.clone().into());
        line.insert("event".into(), event.into());
        if let Value::Object(more) = more {
            line.extend(more);
        }
        Value::from(line).to_string()
    }
}

#[cfg(test)]
mod tests;
