//! What really happened to each session, and why: what the API tells nobody, so that whoever watches can be judged by it.
//! It follows from the plans as they stand; what a test alters afterwards is told as altered. Pure.
//!
//! `docs/simulator-truth.md` documents its lines, and a test holds them to it. Fields may be added; none is renamed, removed
//! or given another meaning.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::scenario_session::{EndCause, FinalStatus, Window};
use super::scenario_time::Offset;
use super::sim_session::SimSession;
use super::world::World;
use keepwatch_core::clock::Timestamp;

/// The version of the lines.
pub const VERSION: u32 = 1;

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthEvent {
    /// When.
    pub at: Offset,
    /// From when on a client could know: not before the API knows the session. Facts are in this order.
    pub known_at: Offset,
    /// The session.
    pub id: String,
    /// What.
    pub kind: TruthEventKind,
}

/// What can happen to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TruthEventKind {
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
    Overridden {
        /// The first moment after it.
        until: Offset,
        /// The API's names of them.
        fields: Vec<String>,
    },
    /// It ended.
    Ended {
        /// As what.
        status: FinalStatus,
        /// Why.
        cause: EndCause,
        /// The `endedAt` that replies state; `None` if they leave it out.
        stated_ended_at: Option<Offset>,
        /// What had passed its proxy.
        proxy_bytes: u64,
    },
    /// The API knows it no more.
    Vanished,
}

impl World {
    /// What happened within `span`, in the order in which it could be known.
    #[must_use]
    pub fn ground_truth(&self, window: Window) -> Vec<TruthEvent> {
        let events = self.sessions.iter().flat_map(SimSession::truth_events);
        let mut facts: Vec<TruthEvent> = events.filter(|fact| window.contains(fact.known_at)).collect();
        let sort_key = |fact: &TruthEvent| {
            let comes_later = !matches!(fact.kind, TruthEventKind::Appeared { .. });
            (fact.known_at, comes_later, fact.at)
        };
        facts.sort_by(|one, other| sort_key(one).cmp(&sort_key(other)).then_with(|| one.id.cmp(&other.id)));
        facts
    }
}

impl SimSession {
    fn truth_events(&self) -> Vec<TruthEvent> {
        let spec = &self.spec;
        let event =
            |at: Offset, kind| TruthEvent { at, known_at: at.max(spec.appears), id: self.id.clone(), kind };
        let vanishes_at = spec.vanishes.unwrap_or(Offset::NEVER);
        let end = self.effective_end();
        let mut events = vec![event(
            spec.appears,
            TruthEventKind::Appeared {
                created: self.created,
                expires: self.expires,
                keep_alive: spec.keep_alive,
            },
        )];
        if end.is_none_or(|end| self.starts_at() < end.at) {
            events.push(event(self.starts_at(), TruthEventKind::Started));
        }
        events
            .extend(spec.unlisted.iter().map(|it| event(it.from, TruthEventKind::Unlisted { until: it.to })));
        events.extend(spec.overrides.iter().map(|field_override| {
            let mut fields: Vec<String> =
                field_override.set.keys().chain(&field_override.omit).cloned().collect();
            fields.sort_unstable();
            event(
                field_override.from,
                TruthEventKind::Overridden { until: field_override.to.unwrap_or(Offset::NEVER), fields },
            )
        }));
        if let Some(end) = end {
            let stated_ended_at = (!end.omit_ended_at).then_some(end.ended_at.unwrap_or(end.at));
            let snapshot = self.snapshot(end.at.max(spec.appears));
            let proxy_bytes = snapshot.map_or(0, |standing| standing.proxy_bytes);
            let what = TruthEventKind::Ended {
                status: end.status,
                cause: end.cause(),
                stated_ended_at,
                proxy_bytes,
            };
            events.push(event(end.at, what));
        }
        events.retain(|fact| fact.at < vanishes_at);
        events.extend(spec.vanishes.map(|at| event(at, TruthEventKind::Vanished)));
        events
    }
}

impl TruthEvent {
    /// As a line of NDJSON, without the line feed, of a server whose clock showed `start` at the start.
    #[must_use]
    pub fn to_ndjson(&self, start: Timestamp) -> String {
        let date = |at: Offset| match at {
            Offset::NEVER => Value::Null,
            at => at.to_timestamp(start).to_rfc3339_opts(SecondsFormat::Millis, true).into(),
        };
        let (event, more) = match &self.kind {
            TruthEventKind::Appeared { created, expires, keep_alive } => (
                "appeared",
                json!({ "created_at": date(*created), "expires_at": date(*expires), "keep_alive": keep_alive }),
            ),
            TruthEventKind::Started => ("started", json!({})),
            TruthEventKind::Unlisted { until } => ("unlisted", json!({ "until": date(*until) })),
            TruthEventKind::Overridden { until, fields } => {
                ("odd", json!({ "until": date(*until), "fields": fields }))
            }
            TruthEventKind::Ended { status, cause, stated_ended_at: stated, proxy_bytes } => (
                "ended",
                json!({
                    "status": super::SimStatus::Ended(*status).as_str(),
                    "cause": cause.as_str(),
                    "states_ended_at": stated.map(date),
                    "proxy_bytes": proxy_bytes,
                }),
            ),
            TruthEventKind::Vanished => ("vanished", json!({})),
        };
        let mut object = Map::new();
        object.insert("v".into(), VERSION.into());
        object.insert("at".into(), date(self.at));
        object.insert("session".into(), self.id.clone().into());
        object.insert("event".into(), event.into());
        if let Value::Object(more) = more {
            object.extend(more);
        }
        Value::from(object).to_string()
    }
}

#[cfg(test)]
mod tests;
