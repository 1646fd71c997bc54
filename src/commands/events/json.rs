//! The JSON schema of `keepwatch events`, version 1. This module does no I/O.
//!
//! `docs/events.md` documents the schema, and a test compares every example there with this code. A version may gain
//! fields, but never renames, removes or redefines one. Of a session's metadata, an object has only the owner. The
//! fields of an event are not sanitised, but secrets in them are redacted. Sentences are sanitised and redacted.

use serde_json::{Map, Value, json};

use crate::commands::json::{seconds, seconds_of_millis, time};
use keepwatch_core::clock::{Timestamp, Zone};
use keepwatch_core::session::{Region, SessionId, Status};
use keepwatch_core::text::{self, Untrusted};
use keepwatch_core::tracker::verdict::Verdict;
use keepwatch_core::tracker::{Alert, Event, EventKind};

/// The version of the schema.
pub const VERSION: u32 = 1;

/// The session and the profile that an event is about. A value is `None` if it is unknown, or if the event is about no
/// session.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventSubject<'a> {
    /// The session's owner, from its metadata.
    pub owner: Option<&'a Untrusted>,
    /// The session's region.
    pub region: Option<&'a Region>,
    /// True if the session's keep-alive is on.
    pub keep_alive: Option<bool>,
    /// The id of the session's project.
    pub project: Option<&'a Untrusted>,
    /// The profile's name. `None` for a profile without a name, and for an event about this machine.
    pub profile: Option<&'a str>,
}

/// Returns the JSON object of an event. `ending` is the final status and the verdict if the session has ended.
#[must_use]
pub fn object(event: &Event, subject: &EventSubject<'_>, ending: Option<&(Status, Verdict)>) -> Value {
    let mut object = Map::new();
    object.insert("v".into(), VERSION.into());
    object.insert("event".into(), event.kind.name().into());
    object.insert("session".into(), event.id.as_ref().map(SessionId::raw).into());
    object.insert("not_before".into(), event.when.earliest.map(time).into());
    object.insert("not_after".into(), time(event.when.latest).into());
    object.insert("observed_at".into(), time(event.learned_at).into());
    object.insert("sentence".into(), event.kind.sentence(Zone::Utc, event.learned_at).into());
    // `sentence` has redacted its text already. A second redaction could remove too much.
    for mut fields in [subject_fields(subject), kind_fields(&event.kind)] {
        text::redact_values(&mut fields);
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
    }
    if is_end_event(&event.kind) {
        let verdict = ending.map(|(status, verdict)| verdict_object(status, verdict, event.learned_at));
        object.insert("verdict".into(), verdict.unwrap_or_default());
    }
    Value::Object(object)
}

/// Returns true if the event reports that a session has ended.
fn is_end_event(kind: &EventKind) -> bool {
    match kind {
        EventKind::Ended { .. } => true,
        EventKind::FirstSeen { status, .. } | EventKind::StatusChanged { to: status, .. } => {
            status.is_final()
        }
        _ => false,
    }
}

/// Returns the fields about the session and the profile.
fn subject_fields(subject: &EventSubject<'_>) -> Value {
    json!({
        "owner": subject.owner.map(Untrusted::raw),
        "region": subject.region.map(Region::raw),
        "keep_alive": subject.keep_alive,
        "project_id": subject.project.map(Untrusted::raw),
        "profile": subject.profile,
    })
}

/// Returns the fields that only events of this kind have.
fn kind_fields(kind: &EventKind) -> Value {
    let request_id = kind.request_id().map(Untrusted::raw);
    match kind {
        EventKind::FirstSeen { status, time_left, ended_at } => {
            json!({ "status": status.raw(), "left_s": time_left.map(seconds), "ended_at": ended_at.map(time) })
        }
        EventKind::StatusChanged { from, to } | EventKind::Contradicted { from, to } => {
            json!({ "from": from.raw(), "to": to.raw() })
        }
        EventKind::Ended { status, ended_at, ended_at_fits, last_alive } => json!({
            "status": status.raw(),
            "ended_at": ended_at.map(time),
            "ended_at_fits": ended_at_fits,
            "last_alive_at": last_alive.as_ref().map(|(at, _)| time(*at)),
            "last_status": last_alive.as_ref().map(|(_, status)| status.raw()),
        }),
        EventKind::ExpiryMoved { from, to } => json!({ "from": time(*from), "to": time(*to) }),
        EventKind::ResponsesAgree { changes } => json!({ "changes": changes }),
        EventKind::KeepAliveChanged(on) => json!({ "keep_alive": on }),
        EventKind::RegionChanged { from, to } => json!({ "from": from.raw(), "to": to.raw() }),
        EventKind::ContextChanged(to) => json!({ "context": to.as_ref().map(Untrusted::raw) }),
        EventKind::MetadataChanged
        | EventKind::TrafficStarted
        | EventKind::Unlisted
        | EventKind::ContradictoryResponses
        | EventKind::ReleaseRequested => {
            json!({})
        }
        EventKind::ReleaseFailed { wait, .. } => {
            json!({ "next_try_s": wait.map(seconds), "request_id": request_id })
        }
        EventKind::TrafficStopped { bytes } => json!({ "proxy_bytes": bytes }),
        EventKind::NotFound(_) => json!({ "request_id": request_id }),
        EventKind::FoundAgain(status) => json!({ "status": status.raw() }),
        EventKind::Overdue { expires } => json!({ "expires_at": time(*expires) }),
        EventKind::AlertRaised(alert) => match alert {
            Alert::TimeLeft(left) => json!({ "flag": alert.name(), "left_s": seconds(*left) }),
            Alert::Idle(idle) => json!({ "flag": alert.name(), "idle_s": seconds(*idle) }),
            Alert::StillRunning(after) => json!({ "flag": alert.name(), "after_s": seconds(*after) }),
            Alert::Pending(after) => json!({ "flag": alert.name(), "after_s": seconds(*after) }),
            Alert::EndedEarly
            | Alert::EndedTogether
            | Alert::Error
            | Alert::Overdue
            | Alert::ReleaseFailed => {
                json!({ "flag": alert.name() })
            }
        },
        EventKind::Successor(id) => json!({ "successor": id.raw() }),
        EventKind::EndedTogether { ids, spread } => {
            let ids: Vec<&str> = ids.iter().map(SessionId::raw).collect();
            json!({ "sessions": ids, "spread_s": seconds(*spread) })
        }
        EventKind::PollsFailing { wait, list, .. } => json!({
            "list": list.map(|list| list.status().raw().to_owned()),
            "next_try_s": wait.map(seconds),
            "request_id": request_id,
        }),
        EventKind::PollsRecovered { list, outage } => json!({
            "list": list.map(|list| list.status().raw().to_owned()),
            "after_s": seconds(*outage),
        }),
        EventKind::Slept(asleep) => json!({ "slept_s": seconds(*asleep) }),
        EventKind::ServerClockSet { step_ms } | EventKind::ClockSet { step_ms } => {
            json!({ "by_s": seconds_of_millis(*step_ms) })
        }
        EventKind::DateIgnored { offset_ms } | EventKind::DatesContradict { offset_ms } => {
            json!({ "by_s": seconds_of_millis(*offset_ms) })
        }
        EventKind::DatesAgree { contradicting } => json!({ "contradicting": contradicting }),
    }
}

fn verdict_object(status: &Status, verdict: &Verdict, learned_at: Timestamp) -> Value {
    let text = verdict.text(Zone::Utc, learned_at);
    let advice = text.advice();
    let steps: Vec<&str> = text.what_to_do.iter().map(|step| step.text.as_str()).collect();
    json!({
        "name": verdict.name(),
        "line": verdict.summary_line(status, Zone::Utc, learned_at),
        "short": text.short,
        "was": text.headline,
        "why": text.why,
        "was_not": text.ruled_out,
        "sure": verdict.confidence.name(),
        "how_sure": text.how_sure,
        "advice": advice,
        "what_to_do": steps,
        "hint": text.hint,
    })
}

#[cfg(test)]
mod tests;
