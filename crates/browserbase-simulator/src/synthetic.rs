//! Synthetic sessions: the N varied sessions of `--sessions N`.
//!
//! The seed of each session is its index, so every run makes the same sessions.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::scenario_session::{FinalStatus, ProxyTraffic, ScenarioEnd, ScenarioSession};
use super::scenario_time::{HumanDuration, Offset};

const REGIONS: [&str; 4] = ["us-west-2", "us-east-1", "eu-central-1", "ap-southeast-1"];
const OWNERS: [&str; 6] = ["growth", "checkout-e2e", "nightly", "price-watch", "support-bot", "search-qa"];
const TOOL_MARKERS: [&str; 3] = ["mcp", "browse_cli", "stagehand"];
const MINUTE_MICROS: i64 = 60_000_000;

/// Returns `count` sessions. Most are running, some are pending, some have ended. Those that
/// have not ended expire within six hours.
pub(super) fn sessions(count: usize) -> impl Iterator<Item = ScenarioSession> {
    (0..count).map(session)
}

fn session(index: usize) -> ScenarioSession {
    let mut rng = fastrand::Rng::with_seed(u64::try_from(index).unwrap_or(0));
    let timeout_minutes = *rng.choice(&[15_u32, 30, 60, 180, 360]).unwrap_or(&60);
    let timeout_micros = i64::from(timeout_minutes) * MINUTE_MICROS;
    // 0: pending; 1, 2 and 3: ended; others: running
    let one_of_20 = rng.u8(0..20);
    let is_pending = one_of_20 == 0;
    let age_micros = rng.i64(1_000_000..if is_pending { MINUTE_MICROS / 2 } else { timeout_micros });
    let created = Offset::from_micros(-age_micros);
    let end_in_the_past = |rng: &mut fastrand::Rng, status| {
        let at = Offset::from_micros(-rng.i64(0..age_micros));
        Some(ScenarioEnd::new(at, status))
    };
    ScenarioSession {
        created: Some(created),
        starts: is_pending.then(|| Offset::from_micros(rng.i64(5_000_000..5 * MINUTE_MICROS))),
        ends: match one_of_20 {
            1 | 2 => end_in_the_past(&mut rng, FinalStatus::Completed),
            3 => end_in_the_past(&mut rng, FinalStatus::Error),
            _ => None,
        },
        timeout: Some(HumanDuration(Duration::from_secs(u64::from(timeout_minutes) * 60))),
        keep_alive: rng.bool(),
        region: rng.choice(REGIONS).map(str::to_owned),
        metadata: metadata(&mut rng, index),
        proxy: match rng.u8(0..3) {
            0 => Vec::new(),
            _ => vec![ProxyTraffic {
                from: created,
                to: Offset::NEVER,
                bytes_per_second: rng.u32(200..60_000),
                wave_period: Some(HumanDuration(Duration::from_secs(rng.u64(15..120)))),
            }],
        },
        ..ScenarioSession::default()
    }
}

fn metadata(rng: &mut fastrand::Rng, index: usize) -> Option<Map<String, Value>> {
    let usual = json!({
        "owner": rng.choice(OWNERS)?,
        "env": rng.choice(["prod", "staging", "dev"])?,
        "run": { "id": format!("run-{index:05}") },
    });
    let metadata = match rng.u8(0..8) {
        0 => return None,
        1 => json!({ (rng.choice(TOOL_MARKERS)?): "true" }),
        _ => usual,
    };
    metadata.as_object().cloned()
}
