//! The history as a JSON object: the schema of `keepwatch history --json`, version 1. Pure.
//!
//! `docs/history.md` documents it, and a test holds this to the object there. Fields may be added within a version; none is
//! renamed, removed or given another meaning. Metadata is never in it; what looks like a secret is masked.

use serde_json::{Value, json};

use super::Form;
use super::seen::{Day, Seen};
use crate::commands::json::{seconds, time};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Region, Status};
use keepwatch_core::text::{self, Untrusted};

/// The version of the schema.
pub(super) const VERSION: u32 = 1;

/// The object.
pub(super) fn object(seen: &[Seen], days: &[Day], since: Timestamp, form: Form) -> Value {
    let mut object = json!({
        "v": VERSION,
        "since": time(since),
        "sessions": seen.iter().map(|seen| session(seen, form)).collect::<Vec<_>>(),
        "summary": days.iter().map(day).collect::<Vec<_>>(),
    });
    text::redact_values(&mut object);
    object
}

fn session(seen: &Seen, form: Form) -> Value {
    let facts = &seen.facts;
    json!({
        "session": facts.session.raw(),
        "profile": facts.profile,
        "host": facts.host,
        "project": facts.project.as_ref().map(Untrusted::raw),
        "owner": facts.owner.as_ref().map(Untrusted::raw),
        "status": facts.status.as_ref().map(Status::raw),
        "region": facts.region.as_ref().map(Region::raw),
        "keep_alive": facts.keep_alive,
        "context": facts.context.as_ref().map(Untrusted::raw),
        "created_at": facts.created.map(time),
        "started_at": facts.started.map(time),
        "expires_at": facts.expires.map(time),
        "ended_at": facts.ended.map(time),
        "ended_at_exact": facts.ended.map(|_| facts.is_end_exact),
        "ran_s": seen.ran().map(seconds),
        "first_seen": time(seen.first_seen),
        "last_seen": time(facts.last_seen),
        "watched_s": seconds(seen.watched),
        "replies": seen.replies,
        "runs": seen.runs,
        "proxy_bytes": facts.proxy_bytes,
        "est_cost_usd": dollars(seen.cost(form.rates)),
        "verdict": facts.verdict.as_ref().map(|why| {
            json!({ "name": why.name, "sure": why.confidence, "sentence": why.sentence.sanitise_line() })
        }),
    })
}

fn day(day: &Day) -> Value {
    json!({
        "day": day.day,
        "owner": day.owner.as_ref().map(Untrusted::raw),
        "sessions": day.sessions,
        "ran_s": seconds(day.ran),
        "watched_s": seconds(day.watched),
        "proxy_bytes": day.proxy_bytes,
        "est_cost_usd": dollars(day.cost),
    })
}

/// To a hundredth of a cent: it is an estimate.
fn dollars(dollars: f64) -> f64 {
    (dollars * 10_000.0).round() / 10_000.0
}
