//! The JSON schema of `keepwatch history --json`, version 1. Pure.
//!
//! `docs/history.md` documents the schema, and a test compares its example with this code. A version may gain fields,
//! but never renames, removes or redefines one. The object never has metadata, and everything that looks like a secret
//! is redacted.

use serde_json::{Value, json};

use super::HistoryOptions;
use super::aggregate::{DailyTotals, MergedSession};
use crate::commands::json::{seconds, time};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{Region, Status};
use keepwatch_core::text::{self, Untrusted};

/// The version of the schema.
pub(super) const VERSION: u32 = 1;

/// Returns the JSON object. `since` is the start of the period that the object covers.
pub(super) fn object(
    sessions: &[MergedSession],
    days: &[DailyTotals],
    since: Timestamp,
    options: HistoryOptions,
) -> Value {
    let mut object = json!({
        "v": VERSION,
        "since": time(since),
        "sessions": sessions.iter().map(|merged| session_object(merged, options)).collect::<Vec<_>>(),
        "summary": days.iter().map(totals_object).collect::<Vec<_>>(),
    });
    text::redact_values(&mut object);
    object
}

fn session_object(merged: &MergedSession, options: HistoryOptions) -> Value {
    let newest = &merged.newest;
    json!({
        "session": newest.session.raw(),
        "profile": newest.profile,
        "host": newest.host,
        "project": newest.project.as_ref().map(Untrusted::raw),
        "owner": newest.owner.as_ref().map(Untrusted::raw),
        "status": newest.status.as_ref().map(Status::raw),
        "region": newest.region.as_ref().map(Region::raw),
        "keep_alive": newest.keep_alive,
        "context": newest.context.as_ref().map(Untrusted::raw),
        "created_at": newest.created.map(time),
        "started_at": newest.started.map(time),
        "expires_at": newest.expires.map(time),
        "ended_at": newest.ended.map(time),
        "ended_at_exact": newest.ended.map(|_| newest.is_end_exact),
        "ran_s": merged.running_time().map(seconds),
        "first_seen": time(merged.first_seen),
        "last_seen": time(newest.last_seen),
        "watched_s": seconds(merged.watched_time),
        "replies": merged.responses,
        "runs": merged.runs,
        "proxy_bytes": newest.proxy_bytes,
        "est_cost_usd": round_dollars(merged.cost(options.rates)),
        "verdict": newest.verdict.as_ref().map(|verdict| {
            json!({ "name": verdict.name, "sure": verdict.confidence, "sentence": verdict.sentence.sanitise_line() })
        }),
    })
}

fn totals_object(totals: &DailyTotals) -> Value {
    json!({
        "day": totals.day,
        "owner": totals.owner.as_ref().map(Untrusted::raw),
        "sessions": totals.session_count,
        "ran_s": seconds(totals.running_time),
        "watched_s": seconds(totals.watched_time),
        "proxy_bytes": totals.proxy_bytes,
        "est_cost_usd": round_dollars(totals.cost),
    })
}

/// Rounds to a hundredth of a cent. More digits would be noise in an estimate.
fn round_dollars(dollars: f64) -> f64 {
    (dollars * 10_000.0).round() / 10_000.0
}
