//! The anomalies of `chaos`: fields that are null, missing or of the wrong type, undocumented values, impossible times,
//! and hostile metadata.
//!
//! A field that a verdict depends on never gets a wrong value that is plausible. So a watcher can recognise every wrong
//! value, and a test can require that the watcher treats the field as unknown.

use serde_json::{Map, Value, json};

use super::super::rng::SeededRng;
use super::super::scenario_session::{FieldOverride, OverrideScope, ScenarioSession};
use super::super::scenario_time::Offset;
use super::SECOND;

/// An anomaly of a session.
#[derive(Clone, Copy, Debug, Default)]
enum Anomaly {
    #[default]
    None,
    /// An undocumented region.
    UnknownRegion,
    /// One or two fields that always have an invalid value, such as null or an array.
    InvalidFields,
    /// A field that is always missing.
    MissingField,
    /// An undocumented status, for a while.
    UnknownStatus,
    /// An undocumented status in lists only, for a while.
    UnknownListStatus,
    /// Proxy bytes that are not a number, for a while.
    InvalidBytes,
    /// An end without `endedAt`.
    MissingEndTime,
    /// An end with an `endedAt` that is seven hours too early or too late.
    WrongEndTime,
}

/// The probability of each anomaly, in percent.
const ANOMALY_WEIGHTS: &[(u64, Anomaly)] = &[
    (80, Anomaly::None),
    (3, Anomaly::UnknownRegion),
    (3, Anomaly::InvalidFields),
    (3, Anomaly::MissingField),
    (2, Anomaly::UnknownStatus),
    (2, Anomaly::UnknownListStatus),
    (1, Anomaly::InvalidBytes),
    (4, Anomaly::MissingEndTime),
    (2, Anomaly::WrongEndTime),
];

/// Gives a session a random anomaly. Most sessions get none.
pub(super) fn apply(rng: &mut SeededRng, session: &mut ScenarioSession, created: i64, lifetime: i64) {
    let permanent = FieldOverride { from: session.appears, ..FieldOverride::default() };
    let from = created.saturating_add(rng.in_range(SECOND..(lifetime / 2).max(2 * SECOND)));
    let to = from.saturating_add(rng.in_range(SECOND..20 * SECOND)).min(created.saturating_add(lifetime));
    let temporary = FieldOverride {
        from: Offset::from_micros(from),
        to: Some(Offset::from_micros(to)),
        ..FieldOverride::default()
    };
    let object = |value: Value| value.as_object().cloned().unwrap_or_default();
    match rng.choose_weighted(ANOMALY_WEIGHTS) {
        Anomaly::None => {}
        Anomaly::UnknownRegion => {
            session.region = Some(rng.choose(&["mars-1", "", "\u{202e}1-tsew-su"]).into())
        }
        Anomaly::InvalidFields => {
            let fields =
                ["keepAlive", "expiresAt", "createdAt", "startedAt", "region", "proxyBytes", "contextId"];
            // A value that occurs twice is twice as likely.
            let values = [json!(null), json!(null), json!([1]), json!({ "a": 1 }), json!("never\u{7}")];
            let mut set = Map::new();
            for _ in 0..2 {
                let value = values.get(usize::try_from(rng.below(5)).unwrap_or(0)).cloned();
                set.insert(rng.choose(&fields).to_owned(), value.unwrap_or_default());
            }
            session.overrides.push(FieldOverride { set, ..permanent });
        }
        Anomaly::MissingField => {
            let fields =
                ["keepAlive", "expiresAt", "createdAt", "startedAt", "updatedAt", "region", "projectId"];
            session.overrides.push(FieldOverride { omit: vec![rng.choose(&fields).to_owned()], ..permanent });
        }
        // The session ends before the temporary override would begin.
        Anomaly::UnknownStatus | Anomaly::UnknownListStatus if to <= from => {}
        Anomaly::UnknownStatus => session
            .overrides
            .push(FieldOverride { set: object(json!({ "status": "SLEEPING" })), ..temporary }),
        Anomaly::UnknownListStatus => {
            let set = object(json!({ "status": "paused\u{1b}[31m" }));
            session.overrides.push(FieldOverride { set, scope: OverrideScope::List, ..temporary });
        }
        Anomaly::InvalidBytes => {
            session
                .overrides
                .push(FieldOverride { set: object(json!({ "proxyBytes": "many" })), ..temporary });
        }
        Anomaly::MissingEndTime => session.ends.iter_mut().for_each(|end| end.omit_ended_at = true),
        Anomaly::WrongEndTime => {
            let shift_micros = rng.choose(&[-7_i64, 7]).saturating_mul(3600 * SECOND);
            if let Some(end) = &mut session.ends {
                end.ended_at = Some(end.at.plus(Offset::from_micros(shift_micros)));
            }
        }
    }
}

/// Returns an override with an undocumented final status from `at` on.
pub(super) fn unknown_status_override(at: Offset) -> FieldOverride {
    let mut set = Map::new();
    set.insert("status".into(), "EVICTED".into());
    FieldOverride { from: at, set, ..FieldOverride::default() }
}

/// Returns no metadata, usual metadata, or hostile metadata.
pub(super) fn random_metadata(rng: &mut SeededRng) -> Option<Map<String, Value>> {
    let run = format!("run-{:05}", rng.below(100_000));
    let owner = rng.choose(&["growth", "checkout-e2e", "nightly", "price-watch", "search-qa"]);
    let value = match rng.below(16) {
        0 | 1 => return None,
        2 => json!({ (rng.choose(&["mcp", "browse_cli", "stagehand"])): "true" }),
        3 => hostile_metadata(rng),
        _ => json!({ "owner": owner, "env": rng.choose(&["prod", "staging"]), "run": { "id": run } }),
    };
    value.as_object().cloned()
}

fn hostile_metadata(rng: &mut SeededRng) -> Value {
    match rng.below(9) {
        // Control sequences of terminals.
        0 => json!({ "owner": "\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[31m", "\u{9b}31m": "\u{85}\u{0}" }),
        // Bidirectional controls, invisible characters, and Unicode tag characters.
        1 => {
            json!({ "owner": "nimda\u{202e}\u{2066}\u{200b}\u{feff}", "tags": "\u{e0041}\u{e0042}\u{e007f}" })
        }
        // Many combining marks on one letter, and wide grapheme clusters.
        2 => json!({ "owner": format!("z{}", "\u{0301}".repeat(120)), "wide": "看護 👩‍👩‍👧‍👦 ﷽" }),
        // A long text, and line breaks.
        3 => json!({ "owner": "x".repeat(450), "note": "line\r\nline\tline" }),
        // Secrets.
        4 => json!({ "api_key": "bb_live_cAnArYoFcHaOs77", "url": "wss://c/?signingKey=cAnArYoFcHaOs78" }),
        // Deep nesting.
        5 => json!({ "owner": (0..60).fold(json!("deep"), |inner, _| json!([inner])) }),
        // Unusual field names.
        6 => json!({ "": "", " ": " ", "__proto__": { "owner": true }, "'; DROP TABLE summary; --": 1e308 }),
        // Values that are not texts.
        7 => json!({ "owner": ["a", null, 3], "run": { "id": -0.0 }, "n": u64::MAX }),
        // Control characters, line separators, and text that a format function or a shell would obey.
        _ => json!({ "owner": "\u{7f}\u{1f}\u{80}\u{2028}\u{2029}", "label": "%s%n\\x1b[0m$(reboot)`id`" }),
    }
}
