//! The ground truth: the events of each session with their true times and causes, which the API does not reveal. Tests
//! compare the output of a watching program with it.
//!
//! The module is pure. It derives the events from the current fields of the sessions, so that after a
//! [`Control`](crate::Control) changes a session, the past events of the session change, too.
//!
//! [`TruthEvent::to_ndjson`] formats each event as a line. `docs/simulator-truth.md` documents the lines, and a test
//! compares the example there with this module. Within a version, fields may be added, but no field is renamed or
//! removed, or changes its meaning.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::scenario_session::{EndCause, FinalStatus, Window};
use super::scenario_time::Offset;
use super::sim_session::SimSession;
use super::world::World;
use keepwatch_core::clock::Timestamp;

/// The version of the format of the lines.
pub const VERSION: u32 = 1;

/// An event in the life of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthEvent {
    /// The time of the event.
    pub at: Offset,
    /// The first offset at which an API client could learn of the event: `at`, or the appearance of the session if that
    /// is later. Events are sorted by this offset.
    pub known_at: Offset,
    /// The session's id.
    pub id: String,
    /// The kind of event.
    pub kind: TruthEventKind,
}

/// The kinds of events in the ground truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TruthEventKind {
    /// The API knows the session from now on.
    Appeared {
        /// The true `createdAt` and `startedAt`.
        created: Offset,
        /// The true `expiresAt`.
        expires: Offset,
        /// The true `keepAlive`.
        keep_alive: bool,
    },
    /// The session turned from PENDING to RUNNING.
    Started,
    /// No list contains the session for a while, though it can be retrieved.
    Unlisted {
        /// The end of that time, excluded.
        window_end: Offset,
    },
    /// Responses have wrong values of some fields, or lack the fields, for a while.
    Overridden {
        /// The end of that time, excluded.
        window_end: Offset,
        /// The API's names of the fields.
        fields: Vec<String>,
    },
    /// The session ended.
    Ended {
        /// The final status.
        status: FinalStatus,
        /// The cause of the end.
        cause: EndCause,
        /// The `endedAt` in responses. `None` if they lack it.
        stated_ended_at: Option<Offset>,
        /// The bytes that had passed through the session's proxy.
        proxy_bytes: u64,
    },
    /// The API answers 404 from now on.
    Vanished,
}

impl World {
    /// Returns the events with a `known_at` within `window`, sorted by `known_at`.
    #[must_use]
    pub fn ground_truth(&self, window: Window) -> Vec<TruthEvent> {
        let events = self.sessions.iter().flat_map(SimSession::truth_events);
        let mut events: Vec<TruthEvent> = events.filter(|event| window.contains(event.known_at)).collect();
        // Of the events with the same `known_at`, `Appeared` comes first, even if another happened earlier.
        let sort_key = |event: &TruthEvent| {
            let follows_appearance = !matches!(event.kind, TruthEventKind::Appeared { .. });
            (event.known_at, follows_appearance, event.at)
        };
        events.sort_by(|one, other| sort_key(one).cmp(&sort_key(other)).then_with(|| one.id.cmp(&other.id)));
        events
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
        events.extend(
            spec.unlisted
                .iter()
                .map(|window| event(window.from, TruthEventKind::Unlisted { window_end: window.to })),
        );
        events.extend(spec.overrides.iter().map(|field_override| {
            let mut fields: Vec<String> =
                field_override.set.keys().chain(&field_override.omit).cloned().collect();
            fields.sort_unstable();
            event(
                field_override.from,
                TruthEventKind::Overridden { window_end: field_override.to.unwrap_or(Offset::NEVER), fields },
            )
        }));
        if let Some(end) = end {
            let stated_ended_at = (!end.omit_ended_at).then_some(end.ended_at.unwrap_or(end.at));
            let snapshot = self.snapshot(end.at.max(spec.appears));
            let proxy_bytes = snapshot.map_or(0, |snapshot| snapshot.proxy_bytes);
            let kind = TruthEventKind::Ended {
                status: end.status,
                cause: end.cause(),
                stated_ended_at,
                proxy_bytes,
            };
            events.push(event(end.at, kind));
        }
        events.retain(|event| event.at < vanishes_at);
        events.extend(spec.vanishes.map(|at| event(at, TruthEventKind::Vanished)));
        events
    }
}

impl TruthEvent {
    /// Formats the event as a line of NDJSON, without the line feed. `start` is the server clock's reading at the
    /// simulator's start.
    #[must_use]
    pub fn to_ndjson(&self, start: Timestamp) -> String {
        let date = |at: Offset| match at {
            Offset::NEVER => Value::Null,
            at => at.to_timestamp(start).to_rfc3339_opts(SecondsFormat::Millis, true).into(),
        };
        let (event_name, fields) = match &self.kind {
            TruthEventKind::Appeared { created, expires, keep_alive } => (
                "appeared",
                json!({ "created_at": date(*created), "expires_at": date(*expires), "keep_alive": keep_alive }),
            ),
            TruthEventKind::Started => ("started", json!({})),
            TruthEventKind::Unlisted { window_end } => ("unlisted", json!({ "until": date(*window_end) })),
            TruthEventKind::Overridden { window_end, fields } => {
                ("odd", json!({ "until": date(*window_end), "fields": fields }))
            }
            TruthEventKind::Ended { status, cause, stated_ended_at, proxy_bytes } => (
                "ended",
                json!({
                    "status": super::SimStatus::Ended(*status).as_str(),
                    "cause": cause.as_str(),
                    "states_ended_at": stated_ended_at.map(date),
                    "proxy_bytes": proxy_bytes,
                }),
            ),
            TruthEventKind::Vanished => ("vanished", json!({})),
        };
        let mut object = Map::new();
        object.insert("v".into(), VERSION.into());
        object.insert("at".into(), date(self.at));
        object.insert("session".into(), self.id.clone().into());
        object.insert("event".into(), event_name.into());
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        Value::from(object).to_string()
    }
}

#[cfg(test)]
mod tests;
